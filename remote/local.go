package remote

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/user"
	"sync"
	"syscall"
	"time"
)

// Local is this machine as a Host. Its commands are framed as those of any
// other host; only the transport is missing.
type Local struct {
	*runner
	uploader
}

// NewLocal returns this machine under the given name. Commands run as the
// present user; those that need root fail unless that is root or become allows it.
func NewLocal(name string, become Become) *Local {
	login := "the present user"
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	r := newRunner(name, login, localLauncher{}, become)
	r.isRoot = os.Geteuid() == 0
	l := &Local{runner: r}
	l.uploader = uploader{host: r, movers: nil}
	return l
}

// Name implements Host.
func (l *Local) Name() string { return l.name }

// Close implements Host; there is nothing to close.
func (l *Local) Close() error { return nil }

type localLauncher struct{}

func (localLauncher) launch(ctx context.Context, opts launchOptions) (process, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	cmd := exec.Command("/bin/sh", "-c", loader)
	// A group of its own keeps a Ctrl-C at the terminal from reaching it: the
	// context decides.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if home, err := os.UserHomeDir(); err == nil {
		cmd.Dir = home
	}
	if _, err := os.Stat(cmd.Dir); err != nil {
		cmd.Dir = "/"
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &localProcess{cmd: cmd, WriteCloser: stdin, pipes: []io.Closer{stdout, stderr}, done: make(chan struct{})}
	var copying sync.WaitGroup
	copying.Go(func() { pump(stdout, opts.stdout) })
	copying.Go(func() { pump(stderr, opts.stderr) })
	go func() {
		p.state, p.err = cmd.Process.Wait()
		// A descendant may keep the pipes open; what the script itself wrote
		// is in them by now.
		drained := make(chan struct{})
		go func() { copying.Wait(); close(drained) }()
		select {
		case <-drained:
		case <-time.After(outputGrace):
		}
		p.release()
		<-drained
		close(p.done)
	}()
	return p, nil
}

// pump hands on what it reads until the reader ends.
func pump(r io.Reader, to func([]byte)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			to(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

type localProcess struct {
	io.WriteCloser
	cmd   *exec.Cmd
	pipes []io.Closer
	done  chan struct{}
	state *os.ProcessState
	err   error
	once  sync.Once
}

func (p *localProcess) CloseWrite() error       { return p.WriteCloser.Close() }
func (p *localProcess) exited() <-chan struct{} { return p.done }

func (p *localProcess) status() exit {
	if p.err != nil {
		return exit{lost: p.err}
	}
	if ws, ok := p.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exit{code: -1, signal: signalName(ws.Signal())}
	}
	return exit{code: p.state.ExitCode()}
}

func (p *localProcess) release() {
	p.once.Do(func() {
		p.WriteCloser.Close()
		for _, c := range p.pipes {
			c.Close()
		}
	})
}

func (p *localProcess) spare()       { p.release() }
func (p *localProcess) waited() bool { return false }

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGQUIT: "QUIT", syscall.SIGABRT: "ABRT",
		syscall.SIGKILL: "KILL", syscall.SIGSEGV: "SEGV", syscall.SIGPIPE: "PIPE", syscall.SIGTERM: "TERM",
	}
	if n, ok := names[s]; ok {
		return n
	}
	return s.String()
}
