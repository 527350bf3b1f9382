package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// Mem is a file system in memory that can lose power. It is not safe for concurrent use.
type Mem struct {
	dirs map[string]bool
	// names are the files as programs see them, synced as they would be after a loss of power.
	names, synced map[string]*inode
	// Fail, if set, is asked before each operation that changes something, and can make it fail.
	Fail func(op, name string) error
}

// inode is the content of a file.
type inode struct {
	data   []byte
	synced []byte
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{dirs: make(map[string]bool), names: make(map[string]*inode), synced: make(map[string]*inode)}
}

// Crash loses what was not synced, but for parts of it that r chooses: of each file a beginning of what was written since
// the last sync, and some of the names. Open files must not be used any more.
func (m *Mem) Crash(r *rand.Rand) {
	after := maps.Clone(m.synced)
	all := make(map[string]bool)
	for name := range m.names {
		all[name] = true
	}
	for name := range m.synced {
		all[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m.names[name] != m.synced[name] && r.IntN(2) == 0 {
			if n := m.names[name]; n != nil {
				after[name] = n
			} else {
				delete(after, name)
			}
		}
	}
	done := make(map[*inode]bool)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if n := after[name]; !done[n] {
			done[n] = true
			n.crash(r)
		}
	}
	m.names = after
	m.synced = maps.Clone(after)
}

func (n *inode) crash(r *rand.Rand) {
	kept := slices.Clone(n.synced)
	if len(n.data) > len(kept) && slices.Equal(n.data[:len(kept)], kept) {
		kept = slices.Clone(n.data[:len(kept)+r.IntN(len(n.data)-len(kept)+1)])
	} else if r.IntN(2) == 0 {
		kept = slices.Clone(n.data)
	}
	n.data, n.synced = kept, slices.Clone(kept)
}

func (m *Mem) may(op, name string) error {
	if m.Fail == nil {
		return nil
	}
	return m.Fail(op, name)
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Create makes a file; its directory must exist.
func (m *Mem) Create(name string) (File, error) {
	if err := m.may("create", name); err != nil {
		return nil, err
	}
	if !m.dirs[path.Dir(name)] {
		return nil, notExist("create", name)
	}
	n := &inode{}
	m.names[name] = n
	return &memFile{m: m, n: n, name: name}, nil
}

// Open opens a file for reading.
func (m *Mem) Open(name string) (File, error) {
	n := m.names[name]
	if n == nil {
		return nil, notExist("open", name)
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Append opens a file for writing at its end.
func (m *Mem) Append(name string) (File, error) {
	n := m.names[name]
	if n == nil {
		return nil, notExist("open", name)
	}
	return &memFile{m: m, n: n, name: name, at: int64(len(n.data))}, nil
}

// Remove deletes a file.
func (m *Mem) Remove(name string) error {
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
	if !m.dirs[path.Clean(dir)] {
		return nil, notExist("list", dir)
	}
	var names []string
	for name := range m.names {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll makes a directory, which is durable at once.
func (m *Mem) MkdirAll(dir string) error {
	for dir = path.Clean(dir); !m.dirs[dir]; dir = path.Dir(dir) {
		m.dirs[dir] = true
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func (m *Mem) SyncDir(dir string) error {
	if err := m.may("syncdir", dir); err != nil {
		return err
	}
	prefix := path.Clean(dir) + "/"
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
	m    *Mem
	n    *inode
	name string
	at   int64
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
	if err := f.m.may("write", f.name); err != nil {
		return 0, err
	}
	end := f.at + int64(len(b))
	if end > int64(len(f.n.data)) {
		f.n.data = append(f.n.data, make([]byte, end-int64(len(f.n.data)))...)
	}
	copy(f.n.data[f.at:], b)
	f.at = end
	return len(b), nil
}

func (f *memFile) Sync() error {
	if err := f.m.may("sync", f.name); err != nil {
		return err
	}
	f.n.synced = append(f.n.synced[:0], f.n.data...)
	return nil
}

func (f *memFile) Truncate(sizeBytes int64) error {
	if err := f.m.may("truncate", f.name); err != nil {
		return err
	}
	if sizeBytes < 0 {
		return fmt.Errorf("truncate %s to %d", f.name, sizeBytes)
	}
	if n := int64(len(f.n.data)); sizeBytes > n {
		f.n.data = append(f.n.data, make([]byte, sizeBytes-n)...)
	} else {
		f.n.data = f.n.data[:sizeBytes]
	}
	return nil
}

func (f *memFile) Preallocate(int64) error { return nil }

func (f *memFile) Size() (int64, error) { return int64(len(f.n.data)), nil }

func (f *memFile) Close() error { return nil }
