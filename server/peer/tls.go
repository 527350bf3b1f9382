package peer

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/zkctl/zkctl/server/secure"
)

// accepted makes an accepted connection ready for what is said on its port: over TLS, or in the clear where that is
// allowed. It takes the place of the socket, which is closed if nothing comes of it.
func (p *Peer) accepted(sock net.Conn, until time.Time) (net.Conn, bool) {
	if p.cfg.TLS == nil {
		return sock, true
	}
	ready, err := p.cfg.TLS.Accept(sock.(*net.TCPConn), p.cfg.AcceptPlain, until)
	if err != nil { // of which TLS tells
		p.close(sock)
		return nil, false
	}
	return ready, p.replace(sock, ready)
}

// dialed does the same for a connection that was opened to an address, which is not tracked yet.
func (p *Peer) dialed(ctx context.Context, sock net.Conn, address string) (net.Conn, error) {
	if p.cfg.TLS == nil || !p.cfg.DialTLS {
		return sock, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		sock.Close()
		return nil, err
	}
	ready, err := p.cfg.TLS.Client(ctx, sock.(*net.TCPConn), host)
	if err != nil {
		sock.Close()
		return nil, err
	}
	return ready, nil
}

// replace is track for what a tracked socket has become.
func (p *Peer) replace(sock, by net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		by.Close()
		return false
	}
	delete(p.open, sock)
	p.open[by] = struct{}{}
	return true
}

// hangUp closes a connection on which everything has been said. Over TLS the other side may have sent something that
// nobody has read, and closing a socket then takes back what is on its way.
func (p *Peer) hangUp(sock net.Conn) {
	secured, ok := sock.(*secure.Conn)
	if !ok || !p.spawn(func() {
		defer p.close(sock)
		if secured.SetDeadline(time.Now().Add(time.Second)) == nil && secured.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, secured)
		}
	}) {
		p.close(sock)
	}
}
