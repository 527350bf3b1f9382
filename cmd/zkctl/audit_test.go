package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

// A trail that is followed is shown as it is written, until the command is interrupted.
func TestAuditTailFollows(t *testing.T) {
	state := t.TempDir()
	begin := func(id string) *trail.Writer {
		w, err := trail.Create(state, trail.Begin{Run: id, Time: time.Now(), Verb: "apply", Ensemble: "lab", Operator: "me@desk"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	first := begin("a")
	ctx, interrupt := context.WithCancelCause(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, []string{"audit", "tail", "-f", "--state-dir", state}, write, io.Discard)
		write.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(read)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}
	expect("lab: apply: begins: zkctl , by me@desk, run a")
	if err := first.Write(provision.Event{Time: time.Now(), Kind: provision.Changed, Host: "zk1", Text: "write /etc/hosts"}, false); err != nil {
		t.Fatal(err)
	}
	expect("lab: apply: zk1: write /etc/hosts")
	begin("b")
	expect("run b")
	interrupt(errInterrupted)
	for lines.Scan() {
		t.Errorf("too much: %s", lines.Text())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
