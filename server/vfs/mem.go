package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ErrKilled is what Mem.Fail returns when the process has ended before the operation.
var ErrKilled = errors.New("the process is gone")

// Mem is a file system in memory that can lose power. It is not safe for concurrent use.
type Mem struct {
	dirs map[string]bool
	// names are the files as programs see them, synced as they would be after a loss of power.
	names, synced map[string]*inode
	// Fail, if set, is asked before each operation, which it can make fail: create, open, append, remove, rename, list,
	// mkdir and syncdir of names; read, write, sync, truncate, preallocate and close of files. A write that fails has
	// written half. After a sync that fails, no later one makes that file durable, as on Linux, where the pages count
	// as clean from then on. With ErrKilled neither has been tried.
	Fail func(op, name string) error
	// Lie, if set, is asked before each sync of a file or a directory: if it says so, the sync does nothing, and succeeds.
	Lie func(op, name string) bool
	// Losses is what losses of power did.
	Losses Losses

	life int // counts losses of power
	open int
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{dirs: make(map[string]bool), names: make(map[string]*inode), synced: make(map[string]*inode)}
}

// OpenFiles is the number of files that were opened and not closed.
func (m *Mem) OpenFiles() int { return m.open }

func (m *Mem) may(op, name string) error {
	if m.Fail == nil {
		return nil
	}
	if err := m.Fail(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func (m *Mem) file(n *inode, name string, atEnd bool) File {
	m.open++
	return &memFile{m: m, n: n, name: name, atEnd: atEnd, life: m.life}
}

// Create makes a file; its directory must exist.
func (m *Mem) Create(name string) (File, error) {
	name = path.Clean(name)
	if err := m.may("create", name); err != nil {
		return nil, err
	}
	if !m.dirs[path.Dir(name)] {
		return nil, notExist("create", name)
	}
	n := &inode{}
	m.names[name] = n
	return m.file(n, name, false), nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	name = path.Clean(name)
	if err := m.may("open", name); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, notExist("open", name)
	}
	return m.file(n, name, false), nil
}

// Append opens a file for writing at its end.
func (m *Mem) Append(name string) (File, error) {
	name = path.Clean(name)
	if err := m.may("append", name); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, notExist("open", name)
	}
	return m.file(n, name, true), nil
}

// Remove deletes a file.
func (m *Mem) Remove(name string) error {
	name = path.Clean(name)
	if err := m.may("remove", name); err != nil {
		return err
	}
	if m.names[name] == nil {
		return notExist("remove", name)
	}
	delete(m.names, name)
	return nil
}

// Rename gives a file another name.
func (m *Mem) Rename(from, to string) error {
	from, to = path.Clean(from), path.Clean(to)
	if err := m.may("rename", from); err != nil {
		return err
	}
	n := m.names[from]
	if n == nil {
		return notExist("rename", from)
	}
	delete(m.names, from)
	m.names[to] = n
	return nil
}

// List returns the names of files in a directory.
func (m *Mem) List(dir string) ([]string, error) {
	dir = path.Clean(dir)
	if err := m.may("list", dir); err != nil {
		return nil, err
	}
	if !m.dirs[dir] {
		return nil, notExist("list", dir)
	}
	var names []string
	for name := range m.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll makes a directory, which is durable at once.
func (m *Mem) MkdirAll(dir string) error {
	dir = path.Clean(dir)
	if err := m.may("mkdir", dir); err != nil {
		return err
	}
	for ; !m.dirs[dir]; dir = path.Dir(dir) {
		m.dirs[dir] = true
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func (m *Mem) SyncDir(dir string) error {
	dir = path.Clean(dir)
	if err := m.may("syncdir", dir); err != nil {
		return err
	}
	if m.Lie != nil && m.Lie("syncdir", dir) {
		return nil
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	for name := range m.synced {
		if strings.HasPrefix(name, prefix) && m.names[name] == nil {
			delete(m.synced, name)
		}
	}
	for name, n := range m.names {
		if strings.HasPrefix(name, prefix) {
			m.synced[name] = n
		}
	}
	return nil
}

type memFile struct {
	m      *Mem
	n      *inode
	name   string
	at     int64
	atEnd  bool // writes go to the end, wherever that is
	life   int
	closed bool
}

// may also refuses files that were closed, or opened before the power was lost.
func (f *memFile) may(op string) error {
	if f.closed || f.life != f.m.life {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return f.m.may(op, f.name)
}

func (f *memFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.may("read"); err != nil {
		return 0, err
	}
	if at >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(b []byte) (int, error) {
	err := f.may("write")
	if f.closed || f.life != f.m.life {
		return 0, err
	}
	switch {
	case errors.Is(err, ErrKilled):
		return 0, err
	case err != nil:
		b = b[:len(b)/2]
	}
	if f.atEnd {
		f.at = int64(len(f.n.data))
	}
	f.n.write(b, f.at)
	f.at += int64(len(b))
	return len(b), err
}

func (f *memFile) Sync() error {
	if err := f.may("sync"); err != nil {
		f.n.lost = f.n.lost || !errors.Is(err, ErrKilled)
		return err
	}
	if f.m.Lie == nil || !f.m.Lie("sync", f.name) {
		f.n.sync()
	}
	return nil
}

func (f *memFile) Truncate(sizeBytes int64) error {
	if err := f.may("truncate"); err != nil {
		return err
	}
	if sizeBytes < 0 {
		return fmt.Errorf("truncate %s to %d", f.name, sizeBytes)
	}
	f.n.resize(sizeBytes)
	return nil
}

func (f *memFile) Preallocate(sizeBytes int64) error {
	if err := f.may("preallocate"); err != nil {
		return err
	}
	if sizeBytes > int64(len(f.n.data)) {
		f.n.resize(sizeBytes)
	}
	return nil
}

func (f *memFile) Size() (int64, error) { return int64(len(f.n.data)), nil }

func (f *memFile) Close() error {
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	if f.life != f.m.life {
		return nil // counted as closed when the power went
	}
	f.m.open--
	return f.m.may("close", f.name)
}
