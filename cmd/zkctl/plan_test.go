package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

func TestInterruption(t *testing.T) {
	for _, test := range []struct {
		elections   int
		unavailable string
		want        string
	}{
		{0, provision.Served, "clients are served all the while"},
		{0, "until the first start: nothing runs yet", "clients are not served until the first start: nothing runs yet"},
		{1, "for one election; sessions survive it", "1 election expected; clients are not served for one election; sessions survive it"},
	} {
		if got := interruption(&provision.Document{Elections: test.elections, Unavailable: test.unavailable}); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// A run that was cut off in its rolling restart has written every file, but is not done.
func TestProgressCountsRestarts(t *testing.T) {
	last := &trail.Run{Lines: []json.RawMessage{json.RawMessage(`{"kind":"intended","changes":[["a","change zoo.cfg"],["b","change zoo.cfg"]]}`)}}
	now := &provision.Document{Starts: []string{"c"}, Restarts: []provision.PlannedRestart{{Host: "b"}}}
	if got, want := progressOf(last, now).String(), "2 of 2 changes verified done, 0 to do, 1 member to start, 1 member to restart"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A plan that cannot be written takes nothing with it but itself.
func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := keep(file, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", file); err != nil {
		t.Fatal(err)
	}
	if err := keep(file, []byte("{}")); err == nil {
		t.Error("written to a full disk")
	}
	if _, err := os.Lstat(file); err != nil {
		t.Errorf("the way to a device is gone: %v", err)
	}
}
