package vfs

import (
	"errors"
	"fmt"
	"io"
	"path"
)

// ReadFile returns what a file holds.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}

// Replace writes a small file as a whole: after a crash there is either the old or the new one. A file that was there
// keeps its mode and, as far as possible, its owner.
func Replace(fs FS, name string, content []byte) error { return replace(fs, name, name, content) }

// Copy makes a copy of a small file, with its mode.
func Copy(fs FS, from, to string) error {
	content, err := ReadFile(fs, from)
	if err != nil {
		return err
	}
	return replace(fs, to, from, content)
}

func replace(fs FS, name, like string, content []byte) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if owned, ok := fs.(interface{ CopyMode(from, to string) error }); ok {
		err = owned.CopyMode(like, tmp) // before there is anything to read
	}
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err == nil {
		err = fs.SyncDir(path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
