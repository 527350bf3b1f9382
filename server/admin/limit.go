package admin

import (
	"context"
	"net"
	"sync"
)

// limit bounds the number of connections of a listener that are open at a time. handshake makes each of them ready,
// apart from the others; nil leaves them as they are.
func limit(l net.Listener, handshake func(*net.TCPConn) (net.Conn, error)) net.Listener {
	limited := &limited{Listener: l, handshake: handshake, open: make(chan struct{}, maxConnections), ready: make(chan accepted)}
	limited.ctx, limited.cancel = context.WithCancel(context.Background())
	return limited
}

type limited struct {
	net.Listener
	handshake func(*net.TCPConn) (net.Conn, error)
	open      chan struct{} // holds something for each connection
	ready     chan accepted
	begin     sync.Once
	ctx       context.Context // ends with the listener
	cancel    context.CancelFunc
	work      sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// Accept waits until there is room for a connection, too.
func (l *limited) Accept() (net.Conn, error) {
	if l.handshake == nil {
		return l.accept()
	}
	l.begin.Do(func() { l.work.Go(l.acceptAll) })
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *limited) accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.open })}, nil
}

// acceptAll lets handshakes go on beside each other.
func (l *limited) acceptAll() {
	for l.ctx.Err() == nil {
		c, err := l.accept()
		if err != nil {
			l.hand(accepted{err: err})
			continue
		}
		l.work.Go(func() { l.prepare(c.(*limitedConn)) })
	}
}

func (l *limited) prepare(c *limitedConn) {
	stop := context.AfterFunc(l.ctx, func() { c.Conn.Close() })
	ready, err := l.handshake(c.Conn.(*net.TCPConn))
	if err != nil || !stop() {
		c.Close()
		return
	}
	if !l.hand(accepted{conn: &limitedConn{Conn: ready, leave: c.leave}}) {
		c.Close()
	}
}

// hand gives something to Accept.
func (l *limited) hand(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// Close ends Accept, and the handshakes.
func (l *limited) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.work.Wait()
	return err
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close makes room for another connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
