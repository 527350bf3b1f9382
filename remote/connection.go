package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// connection is one SSH connection with its keepalive.
type connection struct {
	client *ssh.Client
	tcp    *watchedConn
	via    *connection   // that of the jump host, or nil
	jump   string        // the jump host's name
	key    ssh.PublicKey // that let us in, nil if it was a password
	dead   chan struct{} // closed when the connection has ended
	mu     sync.Mutex
	cause  error
}

// watch starts the keepalive: a host that was silent for so long is given
// up, so that a powered-off machine fails its commands within seconds and
// not when TCP notices.
func (c *connection) watch(silence time.Duration) {
	go func() {
		err := c.client.Wait()
		c.setCause(err)
		close(c.dead)
	}()
	go c.keepAlive(silence)
}

func (c *connection) keepAlive(silence time.Duration) {
	tick := time.NewTicker(max(silence/6, time.Millisecond))
	defer tick.Stop()
	asking := false
	answered := make(chan struct{}, 1)
	for {
		select {
		case <-c.dead:
			return
		case <-answered:
			asking = false
			continue
		case <-tick.C:
		}
		if quiet := time.Since(c.tcp.lastHeard()); quiet > silence {
			c.close(fmt.Errorf("no sign of life for %v", silence))
			return
		}
		if !asking {
			asking = true
			go func() {
				// Any answer will do; most servers refuse the request.
				c.client.SendRequest("keepalive@openssh.com", true, nil)
				answered <- struct{}{}
			}()
		}
	}
}

func (c *connection) setCause(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && err != nil && !errors.Is(err, io.EOF) {
		c.cause = err
	}
}

func (c *connection) close(cause error) {
	c.setCause(cause)
	c.client.Close()
	c.tcp.Close()
}

func (c *connection) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// isDying is isDead for one who just saw a session end: the sessions of a lost
// connection end a moment before the connection is known to be.
func (c *connection) isDying() bool {
	select {
	case <-c.dead:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// reason is why the connection ended. All that went through a jump host which was
// lost have that for their reason.
func (c *connection) reason() error {
	if c.via != nil && c.via.isDying() {
		return fmt.Errorf("the jump host %s was lost: %w", c.jump, c.via.reason())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return errors.New("the host closed the connection")
	}
	return c.cause
}

// watchedConn notes when bytes last arrived.
type watchedConn struct {
	net.Conn
	last  atomic.Int64 // time.Time.UnixNano
	bytes atomic.Int64
}

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.bytes.Add(int64(n))
		w.last.Store(time.Now().UnixNano())
	}
	return n, err
}

func (w *watchedConn) heard() bool { return w.bytes.Load() > 0 }

func (w *watchedConn) lastHeard() time.Time { return time.Unix(0, w.last.Load()) }

// refusalPatience is how long a host may refuse a further session: sshd counts
// one until its processes are gone, a little after it ended for us.
const refusalPatience = 5 * time.Second

// session opens a session within the limit. The returned function closes it and
// gives its slot back.
func (s *SSH) session(ctx context.Context, step string, extra bool) (*ssh.Session, *connection, func(), error) {
	if extra {
		return s.extraSession(ctx, step)
	}
	if err := s.takeSlot(ctx); err != nil {
		return nil, nil, nil, err
	}
	giveBack := func() { s.slots <- struct{}{} }
	began := time.Now()
	reconnected := false
	pause := 10 * time.Millisecond
	for {
		conn, err := s.connect(ctx)
		if err != nil {
			giveBack()
			return nil, nil, nil, err
		}
		session, err := openSession(ctx, conn)
		if err == nil {
			var once sync.Once
			return session, conn, func() { once.Do(func() { session.Close(); giveBack() }) }, nil
		}
		var refused *ssh.OpenChannelError
		switch {
		case ctx.Err() != nil:
			giveBack()
			return nil, nil, nil, context.Cause(ctx)
		case errors.As(err, &refused) && s.endIdle():
			// The host takes a moment to notice, as below.
		case errors.As(err, &refused) && s.lowerLimit():
			// The slot is gone; wait for one of those that are in use.
			select {
			case <-s.slots:
			case <-ctx.Done():
				return nil, nil, nil, context.Cause(ctx)
			}
		case errors.As(err, &refused) && time.Since(began) < refusalPatience:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, 200*time.Millisecond)
		case errors.As(err, &refused):
			giveBack()
			return nil, nil, nil, s.failure(step, ErrLost, fmt.Errorf("the host refuses a further session: %w", err), "raise MaxSessions in its sshd_config")
		case !reconnected:
			conn.close(err)
			<-conn.dead
			reconnected = true
		default:
			giveBack()
			return nil, nil, nil, s.failure(step, ErrLost, conn.reason(), "")
		}
	}
}

// takeSlot waits until a further session may be opened. Loaders that wait for a script give theirs up.
func (s *SSH) takeSlot(ctx context.Context) error {
	select {
	case <-s.slots:
		return nil
	default:
		s.endIdle()
	}
	select {
	case <-s.slots:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endIdle ends the loaders that wait for a script, and reports whether there were any.
func (s *SSH) endIdle() bool {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, p := range idle {
		p.release()
	}
	return len(idle) > 0
}

// takeIdle returns a loader of the live connection that waits for a script, nil if there is none.
func (s *SSH) takeIdle() *sshProcess {
	for {
		s.mu.Lock()
		if len(s.idle) == 0 {
			s.mu.Unlock()
			return nil
		}
		p := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		current := p.conn == s.conn
		s.mu.Unlock()
		if current && !p.conn.isDead() {
			select {
			case <-p.done:
			default:
				return p
			}
		}
		p.release()
	}
}

// keepIdle keeps a loader for another script, unless somebody may be waiting for its slot.
func (s *SSH) keepIdle(p *sshProcess) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || p.conn != s.conn || len(s.slots) == 0 {
		return false
	}
	s.idle = append(s.idle, p)
	return true
}

// lowerLimit notes that the host allows fewer sessions at a time than thought, by
// giving up the caller's slot for good. The last slot stays.
func (s *SSH) lowerLimit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit <= 1 {
		return false
	}
	s.limit--
	return true
}

// openSession opens a session, giving up with ctx, and with the connection: the library waits for ever where that ends at the
// very moment.
func openSession(ctx context.Context, conn *connection) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	ch := make(chan opened, 1)
	go func() {
		session, err := conn.client.NewSession()
		ch <- opened{session, err}
	}()
	var err error
	select {
	case o := <-ch:
		return o.session, o.err
	case <-conn.dead:
		err = conn.reason()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	go func() {
		if o := <-ch; o.session != nil {
			o.session.Close()
		}
	}()
	return nil, err
}

// extraSession opens a session beside those that are counted; where the host
// refuses, over a connection of its own.
func (s *SSH) extraSession(ctx context.Context, step string) (*ssh.Session, *connection, func(), error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if session, err := openSession(ctx, conn); err == nil {
		return session, conn, func() { session.Close() }, nil
	}
	own, err := s.dial(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	session, err := openSession(ctx, own)
	if err != nil {
		own.close(err)
		return nil, nil, nil, s.failure(step, ErrLost, err, "")
	}
	return session, own, func() { session.Close(); own.close(errors.New("closed here")) }, nil
}

// launch implements launcher by an SSH session.
func (s *SSH) launch(ctx context.Context, opts launchOptions) (process, error) {
	const step = "open a session"
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if opts.several && !opts.extra {
		if p := s.takeIdle(); p != nil {
			p.reused = true
			p.listen(opts.stdout, opts.stderr)
			return p, nil
		}
	}
	session, conn, done, err := s.session(ctx, step, opts.extra)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (process, error) {
		done()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, s.failure(step, ErrLost, err, "")
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		return fail(err)
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	stderr, err := session.StderrPipe()
	if err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { session.Close() })
	if opts.terminal {
		raw := ssh.TerminalModes{ssh.ECHO: 0, ssh.ICANON: 0, ssh.ISIG: 0, ssh.IXON: 0, ssh.OPOST: 0, ssh.ICRNL: 0, ssh.IEXTEN: 0}
		if err := session.RequestPty("dumb", 24, 200, raw); err != nil {
			stop()
			return fail(fmt.Errorf("the host gives no terminal: %w", err))
		}
	}
	if err := session.Start(loginCommand); err != nil {
		stop()
		return fail(err)
	}
	stop()

	p := &sshProcess{WriteCloser: stdin, conn: conn, done: make(chan struct{}), close: done}
	if opts.several && !opts.extra {
		p.host = s
	}
	p.listen(opts.stdout, opts.stderr)
	var copying sync.WaitGroup
	copying.Go(func() { pump(stdout, func(b []byte) { p.heard()[0](b) }) })
	copying.Go(func() { pump(stderr, func(b []byte) { p.heard()[1](b) }) })
	go func() {
		p.err = session.Wait()
		drained := make(chan struct{})
		go func() { copying.Wait(); close(drained) }()
		select {
		case <-drained:
		case <-time.After(outputGrace):
		}
		close(p.done)
	}()
	return p, nil
}

type sshProcess struct {
	io.WriteCloser
	conn  *connection
	done  chan struct{}
	err   error
	close func()

	host   *SSH // that may keep it for another script, or nil
	reused bool
	mu     sync.Mutex
	to     [2]func([]byte) // who gets its output and its error output
}

func (p *sshProcess) CloseWrite() error       { return p.WriteCloser.Close() }
func (p *sshProcess) exited() <-chan struct{} { return p.done }
func (p *sshProcess) release()                { p.close() }
func (p *sshProcess) waited() bool            { return p.reused }

func (p *sshProcess) spare() {
	p.listen(func([]byte) {}, func([]byte) {})
	if p.host == nil || !p.host.keepIdle(p) {
		p.release()
	}
}

func (p *sshProcess) listen(stdout, stderr func([]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = [2]func([]byte){stdout, stderr}
}

func (p *sshProcess) heard() [2]func([]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to
}

func (p *sshProcess) status() exit {
	var code *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case p.err == nil:
		return exit{}
	case errors.As(p.err, &code) && code.Signal() != "":
		return exit{code: -1, signal: code.Signal()}
	case errors.As(p.err, &code):
		return exit{code: code.ExitStatus()}
	case errors.As(p.err, &missing) && !p.conn.isDying():
		return exit{lost: errors.New("the session ended without an exit status")}
	}
	return exit{lost: p.conn.reason()}
}
