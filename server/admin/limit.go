package admin

import (
	"net"
	"sync"
)

// limit bounds the number of connections of a listener that are open at a time.
func limit(l net.Listener) net.Listener {
	return &limited{Listener: l, open: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	open   chan struct{} // holds something for each connection
	once   sync.Once
	closed chan struct{}
}

// Accept waits until there is room for a connection, too.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.open })}, nil
}

// Close ends Accept.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
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
