// Package secure is TLS as Apache ZooKeeper configures it: the keys ssl.* for clients and ssl.quorum.* for the members
// among themselves (X509Util, ClientX509Util, QuorumX509Util, ZKTrustManager).
//
// A Context does handshakes, as the server and as the client of a connection, and verifies the other side: that its
// certificate comes from the trust store, that it is not revoked, and that it is one of the host that is spoken with. It
// reads its stores anew when their files change. One that is refused costs a line in the log, but not one for each try.
//
// What it does not do: whether TLS is spoken on a port at all is for the owner of the port to say.
package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

// ClientAuth says whether clients have to show a certificate.
type ClientAuth int

// The values of clientAuth. Its default is that they need one.
const (
	Need ClientAuth = iota
	Want
	None
)

// Settings are the values of the keys ssl.* or ssl.quorum.*, all checked.
type Settings struct {
	KeyStore, TrustStore Store
	// MinVersion and MaxVersion bound the protocol; 0 for TLS 1.2 and 1.3.
	MinVersion, MaxVersion uint16
	// CipherSuites are those of TLS 1.2; nil for the default of crypto/tls.
	CipherSuites []uint16
	// Curves are those of the key exchange; nil for the default of crypto/tls.
	Curves     []tls.CurveID
	ClientAuth ClientAuth
	// VerifyHost has the certificate of a server checked for its host, VerifyClientHost that of a client as well.
	VerifyHost, VerifyClientHost bool
	// ReverseLookup lets the name of an address be looked up where the address alone does not fit the certificate.
	ReverseLookup bool
	// CRL and OCSP have certificates checked for revocation, by lists or online.
	CRL, OCSP bool
	// DetectionTimeout is how long Accept waits for the first byte.
	DetectionTimeout time.Duration
	// Reload has the stores read again when their files change.
	Reload bool
}

// Context does handshakes. It is safe for concurrent use.
type Context struct {
	settings Settings
	log      *slog.Logger
	current  atomic.Pointer[material]
	loaded   files // as they were when they were read
	server   *tls.Config
	refusals *refusals
	revoked  *revocation // nil if nobody asks
	resolver resolver
}

// New reads the stores. An error is a *StoreError.
func New(settings Settings, log *slog.Logger) (*Context, error) {
	c := &Context{
		settings: settings, log: log, loaded: filesOf(settings), refusals: newRefusals(log), resolver: net.DefaultResolver,
	}
	m, err := load(settings)
	if err != nil {
		return nil, err
	}
	if settings.CRL || settings.OCSP {
		c.revoked = newRevocation(settings.OCSP)
	}
	c.server = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return c.serverConfig(hello.Conn.RemoteAddr()), nil
	}}
	c.current.Store(m)
	return c, nil
}

// ServerConfig is the configuration for servers that do their handshakes themselves. It follows the files if they are read
// again.
func (c *Context) ServerConfig() *tls.Config { return c.server }

// serverConfig is the configuration for a handshake with the client at an address.
func (c *Context) serverConfig(remote net.Addr) *tls.Config {
	m := c.current.Load()
	cfg := c.config(m)
	cfg.ClientCAs = m.pool
	switch c.settings.ClientAuth {
	case Need:
		cfg.ClientAuth = tls.RequireAnyClientCert // and VerifyConnection verifies it
	case Want:
		cfg.ClientAuth = tls.RequestClientCert
	}
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return c.verify(m, state, peer{addr: addrOf(remote), client: true})
	}
	return cfg
}

func (c *Context) config(m *material) *tls.Config {
	least, most := c.settings.versions()
	return &tls.Config{
		Certificates: m.keys, MinVersion: least, MaxVersion: most,
		CipherSuites: c.settings.CipherSuites, CurvePreferences: c.settings.Curves,
	}
}

// Server does the handshake of an accepted connection, within the deadline that is set on it.
func (c *Context) Server(sock net.Conn) (*tls.Conn, error) {
	secured := tls.Server(sock, c.server)
	if err := secured.Handshake(); err != nil {
		c.refusals.note(sock.RemoteAddr(), false, err)
		return nil, err
	}
	return secured, nil
}

// Client does the handshake of a connection that was opened to a host, which is a name or an address.
func (c *Context) Client(ctx context.Context, sock *net.TCPConn, host string) (*Conn, error) {
	m := c.current.Load()
	cfg := c.config(m)
	cfg.GetClientCertificate = m.clientCertificate
	cfg.InsecureSkipVerify = true // VerifyConnection verifies
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		return c.verify(m, state, peer{addr: addrOf(sock.RemoteAddr()), host: host})
	}
	if _, err := netip.ParseAddr(host); err != nil {
		cfg.ServerName = host
	}
	secured := tls.Client(sock, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.refusals.note(sock.RemoteAddr(), true, err)
		return nil, err
	}
	return &Conn{secured, sock}, nil
}

// Begins tells whether a client that sends this byte first speaks TLS. Nothing that is spoken in the clear begins so: it
// would be a frame of 352 MiB, a server id above the greatest, or a four-letter word with a control character.
func Begins(first byte) bool { return first == 0x16 }

// ErrPlain is why Accept refuses a connection that is not one of TLS.
var ErrPlain = errors.New("a plain connection where TLS is demanded")

// Accept makes an accepted connection ready for use: one that begins with TLS by a handshake, which has until the time
// given; any other one is taken as it is if plain ones are allowed, also if nothing comes within Settings.DetectionTimeout.
func (c *Context) Accept(sock *net.TCPConn, plain bool, until time.Time) (net.Conn, error) {
	detect := time.Now().Add(c.settings.DetectionTimeout)
	if until.Before(detect) {
		detect = until
	}
	if err := sock.SetReadDeadline(detect); err != nil {
		return nil, err
	}
	first := make([]byte, 1)
	n, err := sock.Read(first)
	var timeout net.Error
	switch {
	case n == 0 && plain && errors.As(err, &timeout) && timeout.Timeout():
		return sock, sock.SetReadDeadline(time.Time{})
	case n == 0:
		c.refusals.note(sock.RemoteAddr(), false, err)
		return nil, err
	case Begins(first[0]):
		if err := sock.SetDeadline(until); err != nil {
			return nil, err
		}
		secured, err := c.Server(Resume(sock, first))
		if err != nil {
			return nil, err
		}
		return &Conn{secured, sock}, sock.SetDeadline(time.Time{})
	case !plain:
		c.refusals.note(sock.RemoteAddr(), false, ErrPlain)
		return nil, ErrPlain
	}
	return Resume(sock, first), sock.SetReadDeadline(time.Time{})
}

// peer is whom a certificate has to belong to.
type peer struct {
	addr   netip.Addr
	host   string // as it is configured; empty for clients
	client bool
}

// verify checks what the other side of a connection has shown.
func (c *Context) verify(m *material, state tls.ConnectionState, p peer) error {
	shown := state.PeerCertificates
	usage, verifyHost := x509.ExtKeyUsageServerAuth, c.settings.VerifyHost
	if p.client {
		usage, verifyHost = x509.ExtKeyUsageClientAuth, c.settings.VerifyHost && c.settings.VerifyClientHost
	}
	err := func() error {
		chain, err := m.verify(shown, usage)
		if err == nil && c.revoked != nil {
			err = c.revoked.check(chain)
		}
		if err == nil && verifyHost {
			err = c.verifyHost(shown[0], p)
		}
		return err
	}()
	if err != nil {
		return fmt.Errorf("certificate %s: %w", nameOf(shown[0]), err)
	}
	return nil
}

// nameOf is what a certificate is known by.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.Subject.Names) > 0:
		return strconv.Quote(c.Subject.String())
	case len(c.DNSNames) > 0:
		return "of " + c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return "of " + c.IPAddresses[0].String()
	}
	return "number " + c.SerialNumber.String()
}

// addrOf is the IP address of a socket's other end; the zero Addr if it has none.
func addrOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
