package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
)

// A log that has grown beyond the limit is followed by another, and all of them are read back.
func TestLogSizeLimit(t *testing.T) {
	b := newSite(t, Options{LogSizeLimitBytes: 1500, PreallocBytes: 4096})
	for range 20 {
		b.append(1)
	}
	logs, err := txnlog.Files(b.fs, "/d")
	b.must(err)
	if len(logs) != 7 || logs[1] != 4 { // three txns are more than the limit
		t.Errorf("the logs begin with %v", logs)
	}
	b.recovers(20)
}

func TestNoDirCreate(t *testing.T) {
	fs := vfs.NewMem()
	_, _, err := Open(fs, "/logs", "/d", Options{NoDirCreate: true})
	if !errors.Is(err, ErrDirectory) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(fs.MkdirAll("/d"), fs.MkdirAll("/logs")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(fs, "/logs", "/d", Options{NoDirCreate: true}); err != nil {
		t.Error(err)
	}
}

// What is in the wrong directory is an error of the directories, too.
func TestWrongDirectory(t *testing.T) {
	b := newSite(t, Options{})
	b.append(1)
	if _, _, err := Open(b.fs, "/logs", "/d", Options{}); !errors.Is(err, ErrDirectory) || !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v", err)
	}
}

// Without the file that says so, an empty disk is not taken for that of a new server.
func TestNoEmptyDB(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{NoEmptyDB: true}
	open := func(blank bool) *Store {
		t.Helper()
		s, db, err := Open(fs, "/logs/version-2", "/d/version-2", opts)
		if err != nil {
			t.Fatal(err)
		}
		if db.Blank != blank || db.LastZxid != 0 || db.Tree == nil {
			t.Errorf("got %+v, want one that is blank: %v", db, blank)
		}
		return s
	}
	s := open(true)
	db, err := s.Reload()
	if err != nil || !db.Blank {
		t.Errorf("read again: %+v, %v", db, err)
	}
	open(true)
	for _, file := range []string{"/d/initialize", "/logs/initialize"} {
		fs = vfs.NewMem()
		open(true)
		f, err := fs.Create(file)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		open(false)
		if _, err := fs.Open(file); !vfs.IsNotExist(err) {
			t.Errorf("%s is still there: %v", file, err)
		}
		open(false)
	}

	// A snapshot from a leader makes it a server like others.
	fs = vfs.NewMem()
	s = open(true)
	if err := s.Supersede(tree.New(tree.Options{}), 0); err != nil {
		t.Fatal(err)
	}
	open(false)
}

// Snapshots with and without digest and the field of 3.9 are read back by servers with any settings.
func TestSnapshotSettings(t *testing.T) {
	for _, wrote := range []Options{{}, {AddApplied: true}, {Tree: tree.Options{NoDigest: true}}, {AddApplied: true, Tree: tree.Options{NoDigest: true}}} {
		for _, reads := range []Options{{}, {Tree: tree.Options{NoDigest: true}}} {
			t.Run(fmt.Sprintf("%+v", wrote), func(t *testing.T) {
				b := newSite(t, wrote)
				b.append(3)
				b.snapshot()
				b.append(3)
				b.opts = reads
				b.recovers(6)
				if digest := b.tree.Digest(); (digest == 0) != reads.Tree.NoDigest || digest != b.tree.CheckedDigest() {
					t.Errorf("digest %x, computed anew %x", digest, b.tree.CheckedDigest())
				}
			})
		}
	}
}
