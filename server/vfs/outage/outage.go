// Package outage is for tests: a disk in memory that knows, between any two operations, every state in which a loss of
// power could leave it. That is what was synced, with any subset of the changes made since. A write is as many changes as
// it touches sectors, and a rename is two. The disk can also ignore the syncs of one place in the code, to see whether
// that is noticed.
package outage

import (
	"hash/maphash"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/vfs"
)

// sectorBytes is what a disk writes as a whole or not at all, but for the end of a file.
const sectorBytes = 512

// Disk is the disk. It is not safe for concurrent use. Mem.Fail makes operations fail; a sync that fails leaves in doubt
// for ever what it was about.
type Disk struct {
	*vfs.Mem
	// Before is called before each operation that changes or syncs something; nil for nobody.
	Before func(op, name string)
	// Ignored is a place in the code whose syncs have no effect: a key of Places.
	Ignored string
	// Places counts the syncs: what was synced, file or directory, and the functions that led there, the innermost first.
	Places map[string]int

	names   map[string]*file // as programs see them
	durable map[string]*file // as a loss of power would leave them
	pending []change         // since then, in order
}

// file is the content of a file.
type file struct {
	durable []byte // never changed in place
	sum     uint64 // of it
	lost    bool   // a sync failed
}

// change is a part of an operation that is not durable yet.
type change struct {
	name string // "" if it is of the content of file
	file *file  // with a name, nil removes it
	data []byte // nil for a change of size
	at   int64  // of data, or the size
}

// Lives is how many lives of a disk a test is to cut off everywhere, instead of a few: the environment variable
// ZKCTL_CRASH_LIVES, 0 without it.
func Lives() uint64 {
	n, err := strconv.ParseUint(os.Getenv("ZKCTL_CRASH_LIVES"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{
		Mem: vfs.NewMem(), Places: make(map[string]int), names: make(map[string]*file), durable: make(map[string]*file),
	}
}

// Put makes a durable file.
func (d *Disk) Put(name string, content []byte) error {
	if err := d.Mem.MkdirAll(path.Dir(name)); err != nil {
		return err
	}
	f, err := d.Mem.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	d.names[name] = &file{durable: content, sum: maphash.Bytes(seed, content)}
	d.durable[name] = d.names[name]
	return f.Close()
}

func (d *Disk) announce(op, name string) {
	if d.Before != nil {
		d.Before(op, name)
	}
}

// Create empties a file that is there, as Linux does.
func (d *Disk) Create(name string) (vfs.File, error) {
	d.announce("create", name)
	opened, err := d.Mem.Create(name)
	if err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		f = &file{sum: maphash.Bytes(seed, nil)}
		d.names[name] = f
		d.pending = append(d.pending, change{name: name, file: f})
	} else {
		d.pending = append(d.pending, change{file: f})
	}
	return &handle{File: opened, d: d, file: f, name: name}, nil
}

func (d *Disk) Open(name string) (vfs.File, error) {
	opened, err := d.Mem.Open(name)
	if err != nil {
		return nil, err
	}
	return &handle{File: opened, d: d, file: d.names[name], name: name}, nil
}

func (d *Disk) Append(name string) (vfs.File, error) {
	opened, err := d.Mem.Append(name)
	if err != nil {
		return nil, err
	}
	return &handle{File: opened, d: d, file: d.names[name], name: name, atEnd: true}, nil
}

func (d *Disk) Remove(name string) error {
	d.announce("remove", name)
	if err := d.Mem.Remove(name); err != nil {
		return err
	}
	delete(d.names, name)
	d.pending = append(d.pending, change{name: name})
	return nil
}

func (d *Disk) Rename(from, to string) error {
	d.announce("rename", from)
	if err := d.Mem.Rename(from, to); err != nil {
		return err
	}
	f := d.names[from]
	delete(d.names, from)
	d.names[to] = f
	d.pending = append(d.pending, change{name: to, file: f}, change{name: from})
	return nil
}

func (d *Disk) SyncDir(dir string) error {
	d.announce("syncdir", dir)
	if err := d.Mem.SyncDir(dir); err != nil || d.ignores("directory") {
		return err
	}
	d.settle(func(c change) bool {
		if c.name == "" || path.Dir(c.name) != dir {
			return false
		}
		c.rename(d.durable)
		return true
	})
	return nil
}

// ignores counts a sync and tells whether it is to have no effect.
func (d *Disk) ignores(what string) bool {
	at := what + ": " + place()
	d.Places[at]++
	return at == d.Ignored
}

// place names the functions that led to a sync, two apart from those of vfs.
func place() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	var names []string
	for two := 2; two > 0; {
		f, more := frames.Next()
		if strings.HasSuffix(f.File, "_test.go") || !more {
			break
		}
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		names = append(names, strings.NewReplacer("(*", "", ")", "").Replace(name))
		if !strings.HasPrefix(name, "vfs.") {
			two--
		}
	}
	return strings.Join(names, " < ")
}

// settle removes the pending changes that were made durable.
func (d *Disk) settle(made func(change) bool) { d.pending = slices.DeleteFunc(d.pending, made) }

func (c change) rename(names map[string]*file) {
	if c.file == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.file
	}
}

// write changes the content of a file, in place where it can.
func (c change) write(content []byte) []byte {
	if grow := c.at + int64(len(c.data)) - int64(len(content)); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	if c.data == nil {
		return content[:c.at]
	}
	copy(content[c.at:], c.data)
	return content
}

// handle is an open file.
type handle struct {
	vfs.File
	d     *Disk
	file  *file
	name  string
	at    int64
	atEnd bool
}

func (h *handle) Write(b []byte) (int, error) {
	h.d.announce("write", h.name)
	if h.atEnd {
		size, err := h.Size()
		if err != nil {
			return 0, err
		}
		h.at = size
	}
	n, err := h.File.Write(b)
	for rest := slices.Clone(b[:n]); len(rest) > 0; {
		part := min(len(rest), sectorBytes-int(h.at%sectorBytes))
		h.d.pending = append(h.d.pending, change{file: h.file, data: rest[:part], at: h.at})
		h.at += int64(part)
		rest = rest[part:]
	}
	return n, err
}

func (h *handle) Sync() error {
	h.d.announce("sync", h.name)
	if err := h.File.Sync(); err != nil {
		h.file.lost = true
		return err
	}
	if h.d.ignores("file") || h.file.lost {
		return nil
	}
	content := slices.Clone(h.file.durable)
	h.d.settle(func(c change) bool {
		if c.name != "" || c.file != h.file {
			return false
		}
		content = c.write(content)
		return true
	})
	h.file.durable, h.file.sum = content, maphash.Bytes(seed, content)
	return nil
}

func (h *handle) Truncate(sizeBytes int64) error {
	h.d.announce("truncate", h.name)
	if err := h.File.Truncate(sizeBytes); err != nil {
		return err
	}
	h.d.pending = append(h.d.pending, change{file: h.file, at: sizeBytes})
	return nil
}

func (h *handle) Preallocate(sizeBytes int64) error {
	h.d.announce("preallocate", h.name)
	before, err := h.Size()
	if err != nil {
		return err
	}
	if err := h.File.Preallocate(sizeBytes); err != nil {
		return err
	}
	if sizeBytes > before {
		h.d.pending = append(h.d.pending, change{file: h.file, at: sizeBytes})
	}
	return nil
}
