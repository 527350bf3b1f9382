//go:build interop

package transcript

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a line may take, a JVM's start among them, beside whatever else the machine does.
const patience = 2 * time.Minute

// process is a client that gets its commands from stdin, line by line.
type process struct {
	t           *testing.T
	cmd         *exec.Cmd
	in          io.WriteCloser
	out, err    printed
	changed     chan struct{}
	events      int // awaited so far
	lines       int
	outputEnded sync.WaitGroup
	ended       chan struct{} // nothing more will be printed
}

// printed is what came out so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Two commands go after each line of a script, so that the output can be cut at what they print: printwatches for stdout,
// a command that does not exist for stderr.
const (
	markOut = "printwatches is "
	markErr = "Command not found: Command not found =\n"
)

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	var err error
	p.in, err = cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, startGroup(cmd))
	t.Cleanup(func() { signalGroup(cmd, syscall.SIGKILL) })
	p.outputEnded.Go(func() { p.read(stdout, &p.out) })
	p.outputEnded.Go(func() { p.read(stderr, &p.err) })
	go func() {
		p.outputEnded.Wait()
		close(p.ended)
	}()
	return p
}

// startGroup starts a command as the first of a process group: zkCli.sh is a shell with a JVM below it.
func startGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

// signalGroup signals a command and what it has started; that they have ended is no failure.
func signalGroup(cmd *exec.Cmd, s syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, s) }

func (p *process) read(from io.Reader, to *printed) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		to.mu.Lock()
		to.text.Write(b[:n])
		to.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// await waits until both marks of all lines and all events have been printed, or the client has ended.
func (p *process) await(line string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		out, err := p.out.String(), p.err.String()
		events := len(eventsIn(out))
		if strings.Count(out, markOut) >= p.lines && strings.Count(err, markErr) >= p.lines && events >= p.events {
			return
		}
		select {
		case <-p.changed:
		case <-p.ended:
			return
		case <-deadline:
			p.t.Fatalf("%s: after %v %d of %d events, and this output:\n%s\n%s", line, patience, events, p.events, tail(out), tail(err))
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-500):] }

// say types a line and waits for its events and its output. The marks follow the events, because what is printed for the
// marks may depend on them.
func (p *process) say(line string, events int) {
	p.t.Helper()
	_, _ = io.WriteString(p.in, line+"\n") // it may have ended
	p.events += events
	p.await(line)
	p.lines++
	_, _ = io.WriteString(p.in, "=\nprintwatches\n")
	p.await(line)
}

// end types a last line, closes the input, and returns the exit code.
func (p *process) end(line string) int {
	p.t.Helper()
	_, _ = io.WriteString(p.in, line) // it may have ended already
	p.in.Close()
	killer := time.AfterFunc(patience, func() { signalGroup(p.cmd, syscall.SIGKILL) })
	defer killer.Stop()
	<-p.ended
	_ = p.cmd.Wait() // the code says it
	return p.cmd.ProcessState.ExitCode()
}
