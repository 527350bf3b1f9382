//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"
)

// dialogue is a client program that reads commands from its standard input and answers on stdout and stderr.
type dialogue struct {
	t     *testing.T
	stdin io.WriteCloser
	done  chan error

	mu     sync.Mutex
	output bytes.Buffer
	read   int // what expect has consumed
}

// talk starts the program, which ends with the test.
func talk(t *testing.T, cmd *exec.Cmd) *dialogue {
	t.Helper()
	d := &dialogue{t: t, done: make(chan error, 1)}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	d.stdin = stdin
	cmd.Stdout, cmd.Stderr = d, d
	must(t, cmd.Start())
	go func() { d.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the client printed:\n%s", d.all())
		}
	})
	return d
}

// Write takes the program's output.
func (d *dialogue) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.Write(p)
}

func (d *dialogue) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output.String()
}

// say types one line.
func (d *dialogue) say(format string, args ...any) {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.stdin, format+"\n", args...); err != nil {
		d.t.Fatal(err)
	}
}

// expect waits for output that matches the pattern after what earlier calls have consumed.
func (d *dialogue) expect(pattern string) {
	d.t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.Now().Add(patience)
	for {
		rest := d.all()[d.read:]
		if at := expression.FindStringIndex(rest); at != nil {
			d.read += at[1]
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no output matching %q; since the last match:\n%s", pattern, rest)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// retry types the line again each second until output matches the pattern: for requests that may meet a lost connection.
func (d *dialogue) retry(line, pattern string) {
	d.t.Helper()
	expression := regexp.MustCompile(pattern)
	from := len(d.all())
	for range 120 {
		d.say("%s", line)
		for range 50 {
			if at := expression.FindStringIndex(d.all()[from:]); at != nil {
				d.read = from + at[1]
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	d.t.Fatalf("%q: no output matching %q:\n%s", line, pattern, d.all()[from:])
}

// ended waits for the program's end and returns its error.
func (d *dialogue) ended() error {
	d.t.Helper()
	d.stdin.Close()
	select {
	case err := <-d.done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("the client still runs")
	}
}
