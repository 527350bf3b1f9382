// Package vfs is the only way to files: the real ones, and ones in memory that can lose power and fail on demand.
//
// What is written is durable only after File.Sync. What is created, renamed or removed is durable only after SyncDir of
// the directory. A failed sync is never tried again: what it was about may be lost.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// FS is a file system. Names are paths with slashes; a missing file is an error that is fs.ErrNotExist.
type FS interface {
	// Create makes a new, empty file for writing, in the place of an old one.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Append opens an existing file for writing at its end.
	Append(name string) (File, error)
	// Remove deletes a file.
	Remove(name string) error
	// Rename gives a file another name, in the place of an old file of that name.
	Rename(from, to string) error
	// List returns the names of the files in a directory, sorted, without the path.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory and those above it.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is an open file. It is not safe for concurrent use.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes durable what has been written.
	Sync() error
	// Truncate cuts the file, or lengthens it with zeros.
	Truncate(sizeBytes int64) error
	// Preallocate reserves space up to this size, which reads as zeros. It may do nothing.
	Preallocate(sizeBytes int64) error
	// Size is the length of the file.
	Size() (int64, error)
}

// IsNotExist tells whether an error says that a file is missing.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
