package clientport

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/secure"
)

// handshakeTimeout is how long the handshake of a client may take, as Netty has it.
const handshakeTimeout = 10 * time.Second

// socket is what frames are written to.
type socket interface {
	io.Writer
	CloseWrite() error
}

// Why a connection is closed before its handshake, or by it.
var (
	errHandshake  = errors.New("TLS handshake failed")
	errHandshakes = errors.New("too many handshakes (netty.server.outstandingHandshake.limit)")
	errNotServing = errors.New("the server does not serve (netty.server.earlyDropSecureConnectionHandshakes)")
)

// open finds out whether the client speaks TLS, does the handshake if so, and fills the reader for the first time.
func (c *conn) open() error {
	if c.secure || c.port.cfg.Unified {
		if err := c.negotiate(); err != nil {
			return err
		}
	}
	c.tcp.SetReadDeadline(time.Now().Add(c.port.cfg.SessionlessTimeout))
	if len(c.reader.buffered()) > 0 {
		return nil
	}
	return c.reader.fill()
}

// negotiate does the handshake of a connection to the secure port, and of one to a unified port that begins as TLS does.
func (c *conn) negotiate() error {
	p := c.port
	if c.secure && p.cfg.DropEarly && !p.cfg.Serving() {
		p.cfg.Metrics.CnxnClosedWithoutZkServerRunning.Add(1)
		return errNotServing
	}
	open := p.handshakes.Add(1)
	defer p.handshakes.Add(-1)
	if p.cfg.HandshakeLimit > 0 && open > int64(p.cfg.HandshakeLimit) {
		p.cfg.Metrics.TLSHandshakeExceeded.Add(1)
		return errHandshakes
	}
	c.tcp.SetDeadline(time.Now().Add(handshakeTimeout))
	under := net.Conn(c.tcp)
	if !c.secure {
		if err := c.reader.fill(); err != nil {
			return err
		}
		begin := c.reader.buffered()
		if !secure.Begins(begin[0]) {
			return c.tcp.SetDeadline(time.Time{})
		}
		under = secure.Resume(c.tcp, slices.Clone(begin))
		c.reader.discard()
		c.reader.release()
	}
	secured, err := p.cfg.Handshake(under)
	if err != nil {
		p.cfg.Metrics.UnsuccessfulHandshake.Add(1)
		p.count(func(t *admin.Traffic) { t.AuthFailed++ })
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	c.mu.Lock()
	c.secure, c.sock, c.reader.secure = true, secured, secured
	c.mu.Unlock()
	return c.tcp.SetDeadline(time.Time{})
}

// count changes the counters of the port.
func (p *Port) count(change func(*admin.Traffic)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.past)
}

// certificates are those that the client has shown, its own first.
func (c *conn) certificates() []*x509.Certificate {
	if c.reader.secure == nil {
		return nil
	}
	return c.reader.secure.ConnectionState().PeerCertificates
}
