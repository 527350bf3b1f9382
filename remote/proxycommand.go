package remote

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// startProxy runs a command whose standard input and output lead to the host's
// SSH server; see ssh_config(5), ProxyCommand. Closing the connection ends the
// command.
func startProxy(command string) (net.Conn, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	ours, theirs := os.NewFile(uintptr(pair[0]), "proxy"), os.NewFile(uintptr(pair[1]), "proxy")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	var said tail
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, &said
	// A group of its own, so that all of it can be ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	p := &proxyConn{Conn: conn, said: &said, pid: cmd.Process.Pid, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// proxyConn is the connection through a command.
type proxyConn struct {
	net.Conn
	said  *tail
	pid   int
	ended chan struct{}
	once  sync.Once
}

// Read tells what the command complained of, where it ended.
func (p *proxyConn) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil && n == 0 {
		select {
		case <-p.ended:
			if text := p.said.text(); text != "" {
				err = fmt.Errorf("proxy command: %s: %v", text, err) // not as an end that is worth another try
			}
		case <-time.After(200 * time.Millisecond):
		}
	}
	return n, err
}

func (p *proxyConn) Close() error {
	err := p.Conn.Close()
	p.once.Do(func() {
		select {
		case <-p.ended:
		default:
			syscall.Kill(-p.pid, syscall.SIGTERM)
		}
	})
	return err
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append([]byte(nil), keepTail(append(t.kept, p...), 1024)...)
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(t.kept)
}
