package vfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFS) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

func (osFS) Append(name string) (File, error) { return open(name, os.O_RDWR|os.O_APPEND) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o755) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// CopyMode gives a file the mode of another one, and its owner and group as far as this process may. Without another one
// nothing happens.
func (osFS) CopyMode(from, to string) error {
	info, err := os.Stat(from)
	if IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if os.Chown(to, int(stat.Uid), int(stat.Gid)) != nil {
			_ = os.Chown(to, -1, int(stat.Gid)) // better than nothing
		}
	}
	return os.Chmod(to, info.Mode().Perm())
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

type osFile struct{ *os.File }

// Sync writes data and what is needed to read it, but not the times.
func (f *osFile) Sync() error {
	err := f.call(unix.Fdatasync)
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// Preallocate does nothing where the file system cannot.
func (f *osFile) Preallocate(sizeBytes int64) error {
	if sizeBytes <= 0 {
		return nil
	}
	err := f.call(func(fd int) error { return unix.Fallocate(fd, 0, 0, sizeBytes) })
	if err == nil || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
}

// call repeats what a signal interrupted.
func (f *osFile) call(do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := conn.Control(func(fd uintptr) {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = do(int(fd))
		}
	})
	return errors.Join(failed, err)
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
