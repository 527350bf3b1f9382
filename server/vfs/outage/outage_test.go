package outage

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/zkctl/zkctl/server/vfs"
)

// TestOutcomes: with everything made the disk holds what programs see, with nothing made what was synced, and in between
// each of the sectors and names can be missing.
func TestOutcomes(t *testing.T) {
	d := New()
	write := func(name, text string) vfs.File {
		t.Helper()
		f, err := d.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if err := d.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	f := write("/d/a", "synced")
	if err := errors.Join(f.Sync(), d.SyncDir("/d")); err != nil {
		t.Fatal(err)
	}
	more := make([]byte, 600)
	more[0], more[599] = 'x', 'y'
	if _, err := f.Write(more); err != nil {
		t.Fatal(err)
	}
	write("/d/b", "new")
	if err := d.Rename("/d/b", "/d/c"); err != nil {
		t.Fatal(err)
	}
	// Two sectors of a; b's name and bytes; c's name and the end of b's.
	if len(d.pending) != 6 {
		t.Fatalf("%d changes are pending", len(d.pending))
	}
	read := func(made ...bool) map[string]string {
		t.Helper()
		again, err := d.After(Outcome{made: made}).Restart()
		if err != nil {
			t.Fatal(err)
		}
		names, _ := again.List("/d")
		files := make(map[string]string)
		for _, name := range names {
			content, err := vfs.ReadFile(again, "/d/"+name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = string(content)
		}
		return files
	}
	if got := read(false, false, false, false, false, false); len(got) != 1 || got["a"] != "synced" {
		t.Errorf("nothing made: %q", got)
	}
	if got := read(true, true, true, true, true, true); len(got) != 2 || got["a"] != "synced"+string(more) || got["c"] != "new" {
		t.Errorf("all made: %q", got)
	}
	if got := read(false, true, true, false, true, false); len(got) != 3 || len(got["a"]) != 606 || got["a"][6] != 0 || got["a"][605] != 'y' || got["b"]+got["c"] != "" {
		t.Errorf("some made: %q", got)
	}
	sums := make(map[uint64]bool)
	for o := range d.Outcomes(rand.New(rand.NewPCG(1, 1)), 500) {
		sums[d.After(o).Sum] = true
	}
	if len(sums) < 40 {
		t.Errorf("only %d different disks", len(sums))
	}
	for at, n := range d.Places {
		if n != 1 || at != "file: " && at != "directory: " {
			t.Errorf("%d syncs at %q", n, at)
		}
	}
}

// TestFailedSync: what a failed sync was about is never durable.
func TestFailedSync(t *testing.T) {
	d := New()
	if err := d.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	f, err := d.Create("/d/a")
	if err != nil {
		t.Fatal(err)
	}
	d.Fail = func(op, _ string) error {
		if op == "sync" {
			return errors.New("broken")
		}
		return nil
	}
	f.Write([]byte("a"))
	if f.Sync() == nil {
		t.Error("no error")
	}
	d.Fail = nil
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if len(d.pending) != 2 {
		t.Errorf("%d changes are pending", len(d.pending))
	}
}
