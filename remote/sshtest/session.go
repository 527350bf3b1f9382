package sshtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session is one session channel.
type session struct {
	server   *Server
	channel  ssh.Channel
	terminal bool
}

func (s *session) serve(requests <-chan *ssh.Request) {
	defer s.channel.Close()
	done := make(chan struct{})
	started := false
	for {
		select {
		case <-done:
			return
		case req, ok := <-requests:
			if !ok {
				return
			}
			time.Sleep(s.server.opts.Delay)
			answer := func(ok bool) {
				if req.WantReply {
					req.Reply(ok, nil)
				}
			}
			switch {
			case req.Type == "pty-req":
				s.terminal = true
				answer(true)
			case req.Type == "exec" && !started:
				var payload struct{ Command string }
				if err := ssh.Unmarshal(req.Payload, &payload); err != nil {
					answer(false)
					continue
				}
				started = true
				answer(true)
				go func() { defer close(done); s.exec(payload.Command) }()
			case req.Type == "subsystem" && !started:
				var payload struct{ Name string }
				if err := ssh.Unmarshal(req.Payload, &payload); err != nil || payload.Name != "sftp" || s.server.opts.NoSFTP {
					answer(false)
					continue
				}
				started = true
				answer(true)
				go func() { defer close(done); s.sftp() }()
			default:
				answer(false)
			}
		}
	}
}

func (s *session) sftp() {
	if s.server.opts.BlindSFTP {
		server := sftp.NewRequestServer(s.channel, sftp.InMemHandler())
		server.Serve()
		server.Close()
		return
	}
	options := []sftp.ServerOption{sftp.WithServerWorkingDirectory(s.server.Home)}
	if s.server.opts.ReadOnly {
		options = append(options, sftp.ReadOnly())
	}
	server, err := sftp.NewServer(s.channel, options...)
	if err != nil {
		return
	}
	server.Serve()
	server.Close()
}

// exec runs a command as sshd does: by the login shell, in a session of its own,
// and without waiting for descendants.
func (s *session) exec(command string) {
	if path, ok := strings.CutPrefix(command, "scp -qt "); ok {
		s.exit(s.scp(strings.Trim(path, `"`)))
		return
	}
	shell := s.server.opts.Shell
	if shell == nil {
		shell = []string{"/bin/sh"}
	}
	if n := s.server.opts.Noise; n != "" {
		io.WriteString(s.channel, n)
		io.WriteString(s.channel.Stderr(), n)
	}
	cmd := exec.Command(shell[0], append(append([]string(nil), shell[1:]...), "-c", command)...)
	cmd.Dir = s.server.Home
	cmd.Env = []string{"HOME=" + s.server.Home, "PATH=" + s.path(), "TMPDIR=" + os.TempDir()}
	if run := s.server.opts.Command; run != nil {
		cmd = run(command)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}

	var copying sync.WaitGroup
	var closers []io.Closer
	copyOut := func(to io.Writer, from io.ReadCloser) {
		closers = append(closers, from)
		copying.Go(func() { io.Copy(to, from) })
	}
	if s.terminal {
		master, slave, err := openTerminal()
		if err != nil {
			s.exit(255)
			return
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr.Setctty = true
		defer slave.Close()
		copyOut(s.channel, master)
		go io.Copy(master, s.channel)
	} else {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			s.exit(255)
			return
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			s.exit(255)
			return
		}
		stderr, err := cmd.StderrPipe()
		if err != nil {
			s.exit(255)
			return
		}
		copyOut(s.channel, stdout)
		copyOut(s.channel.Stderr(), stderr)
		go func() { io.Copy(stdin, s.channel); stdin.Close() }()
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(s.channel.Stderr(), err)
		s.exit(127)
		return
	}
	state, _ := cmd.Process.Wait()
	drained := make(chan struct{})
	go func() { copying.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(2 * time.Second): // a descendant keeps the output open; less cuts output off on a busy machine
	}
	for _, c := range closers {
		c.Close()
	}
	ws := state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		s.signal(ws.Signal())
		return
	}
	s.exit(ws.ExitStatus())
}

func (s *session) path() string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if s.server.bin != "" {
		path = s.server.bin + ":" + path
	}
	return path
}

func (s *session) exit(code int) {
	s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
}

func (s *session) signal(sig syscall.Signal) {
	name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
	s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Name    string
		Core    bool
		Message string
		Lang    string
	}{name, false, "", ""}))
}

// scp is the receiving side of `scp -t` for one file.
func (s *session) scp(path string) int {
	if s.server.opts.NoSCP {
		io.WriteString(s.channel.Stderr(), "scp: not found\n")
		return 127
	}
	r := bufio.NewReader(s.channel)
	if s.server.opts.HangingSCP {
		io.Copy(io.Discard, r)
		return 1
	}
	header, err := r.ReadString('\n')
	var mode uint32
	var size int64
	var name string
	if err != nil {
		return 1
	}
	if _, err := fmt.Sscanf(header, "C%o %d %s", &mode, &size, &name); err != nil {
		return 1
	}
	s.channel.Write([]byte{0})
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.server.Home, path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, os.FileMode(mode))
	if err != nil {
		fmt.Fprintf(s.channel, "\x01%v\n", err)
		return 1
	}
	defer f.Close()
	if _, err := io.CopyN(f, r, size); err != nil {
		return 1
	}
	r.ReadByte()
	s.channel.Write([]byte{0})
	return 0
}

// openTerminal opens a pseudo-terminal in raw mode; see pts(4).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		var t *unix.Termios
		if t, err = unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err == nil {
			t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
			err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, t)
		}
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
