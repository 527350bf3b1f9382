// Package clientport is the client port: it cuts the bytes of client connections into requests, answers what needs
// nothing but the tree at once, hands everything else on in order, and writes replies and watch events.
//
// A connection costs one goroutine, and no buffers while nothing is on its way. What is to be written is queued and
// written by whoever finds it first: the goroutine of the connection, or one made for the purpose.
//
// TLS is a matter of the first moments of a connection (transport.go): afterwards it is read and written like any other,
// but for the system calls that a plain one gets by with.
//
// It knows nothing of sessions, and of requests only what it takes to tell reads from the rest.
package clientport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/ratelog"
	"github.com/zkctl/zkctl/wire"
)

// Config is how a client port works and whom it serves.
type Config struct {
	// Address is host:port to listen on for plain connections, SecureAddress for TLS; one of them may be empty.
	Address, SecureAddress string
	// Backlog is how many connections may wait to be accepted (clientPortListenBacklog); not positive for what the system
	// allows.
	Backlog int
	// Handshake makes an accepted connection one of TLS, within the deadline that is set on it; nil without TLS. It logs
	// why it fails. The certificates that the client showed have been verified when it returns.
	Handshake func(net.Conn) (*tls.Conn, error)
	// Unified lets the plain port take TLS, too (client.portUnification).
	Unified bool
	// HandshakeLimit bounds the handshakes at a time (netty.server.outstandingHandshake.limit); not positive for no bound.
	HandshakeLimit int
	// DropEarly closes connections to the secure port before the handshake while Serving says no
	// (netty.server.earlyDropSecureConnectionHandshakes).
	DropEarly bool
	Serving   func() bool

	// MaxFrameBytes is the longest frame that a client may send (jute.maxbuffer).
	MaxFrameBytes int
	// MaxPerAddress bounds the connections of one address to either port, Max those of all; 0 for no bound.
	MaxPerAddress, Max int
	// OutstandingLimit is the number of requests in process above which connections with requests in process are not
	// read (globalOutstandingLimit).
	OutstandingLimit int
	// RequestBytes is how many bytes of requests may be in process before others wait to be read; not positive for any.
	RequestBytes int
	// LargeRequestThreshold is the length in bytes above which a request counts as large (largeRequestThreshold), not
	// positive for none; a large request that would bring those in process beyond LargeRequestMaxBytes
	// (largeRequestMaxBytes) ends its connection.
	LargeRequestThreshold, LargeRequestMaxBytes int
	// SessionlessTimeout is how long a connection may stay without having sent its first frame.
	SessionlessTimeout time.Duration
	// KeepAlive switches TCP keep-alive on.
	KeepAlive bool

	// View is held while Read runs, for several of them at a time.
	View sync.Locker
	// Read answers a request from the tree; see node.Node.
	Read func(id node.ClientID, header wire.RequestHeader, body []byte) (frame []byte, ok bool)
	// Deliver takes inputs for the node, and may wait. It is never called with View held.
	Deliver func([]node.Input)
	// Word answers a four-letter word with what had to follow it.
	Word func(word, argument string) (text string)

	// Metrics is where requests are measured; nil for nowhere.
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

// Port is a client port. Its methods are safe for concurrent use.
type Port struct {
	cfg    Config
	secure net.Listener // nil without such a port
	lastID atomic.Uint64
	// outstanding are the requests of all connections that wait for their answer.
	outstanding atomic.Int64
	// large are the large ones of them, room bounds the bytes of all.
	large largeRequests
	room  room
	// queued is how much waits to be written to connections for which more than a little does.
	queued atomic.Int64
	// handshakes are connections that are about to become plain or TLS.
	handshakes atomic.Int64
	began      time.Time
	often      *ratelog.Logger

	// moved holds something when Move has been called.
	moved chan struct{}

	mu      sync.Mutex
	plain   net.Listener // nil without such a port
	wanted  string       // where it is to be
	stopped bool
	conns   map[node.ClientID]*conn
	all     map[*conn]struct{}
	perAddr map[origin]int
	touched []*conn
	past    admin.Traffic // of connections that are no more

	// dirty are the connections that have something to write since the last Flush. They belong to the caller of Send.
	dirty []*conn
}

// origin is what the connections of one address to one port have in common.
type origin struct {
	addr   netip.Addr
	secure bool
}

// Listen opens the port; Run serves it.
func Listen(cfg Config) (*Port, error) {
	p := &Port{
		cfg: cfg, began: time.Now(), often: ratelog.New(cfg.Log), wanted: cfg.Address, moved: make(chan struct{}, 1),
		conns:   make(map[node.ClientID]*conn),
		all:     make(map[*conn]struct{}),
		perAddr: make(map[origin]int),
	}
	if p.cfg.Metrics == nil {
		p.cfg.Metrics = metrics.New()
	}
	p.room.limit = int64(cfg.RequestBytes)
	p.large.set(cfg.LargeRequestThreshold, cfg.LargeRequestMaxBytes, &p.cfg.Metrics.LargeRequestsRejected)
	var err error
	if p.plain, err = listen(cfg.Address, "client port", cfg.Backlog); err != nil {
		return nil, err
	}
	if p.secure, err = listen(cfg.SecureAddress, "secure client port", cfg.Backlog); err != nil {
		if p.plain != nil {
			p.plain.Close()
		}
		return nil, err
	}
	return p, nil
}

func listen(address, which string, backlog int) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("open the %s: %w: is a server already running here? see who listens with: ss -ltnp", which, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the %s: %w", which, err)
	}
	if backlog > 0 {
		if err := setBacklog(listener, backlog); err != nil {
			listener.Close()
			return nil, fmt.Errorf("set the backlog of the %s: %w", which, err)
		}
	}
	return listener, nil
}

// Address is where the port listens for plain connections; nil without.
func (p *Port) Address() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return addressOf(p.plain)
}

// SecureAddress is where the port listens for TLS; nil without.
func (p *Port) SecureAddress() net.Addr { return addressOf(p.secure) }

func addressOf(listener net.Listener) net.Addr {
	if listener == nil {
		return nil
	}
	return listener.Addr()
}

// Run accepts connections until ctx ends, then closes them all and returns when their goroutines have ended.
func (p *Port) Run(ctx context.Context) error {
	var group sync.WaitGroup
	stop := context.AfterFunc(ctx, p.stop)
	defer stop()
	group.Go(func() { p.servePlain(ctx, &group) })
	if p.secure != nil {
		group.Go(func() { p.accept(ctx, p.secure, &group) })
	}
	group.Wait()
	return nil
}

// accept serves the connections of one listener in the group until the listener is closed.
func (p *Port) accept(ctx context.Context, listener net.Listener, group *sync.WaitGroup) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			p.often.Warn("accept a client", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond): // out of file descriptors, most likely
			}
			continue
		}
		c, err := p.admit(socket.(*net.TCPConn), listener == p.secure)
		if err != nil {
			p.often.Warn("client refused", "remote", socket.RemoteAddr(), "error", err)
			socket.Close()
			continue
		}
		group.Go(c.serve)
	}
}

// stop closes the listeners and every connection.
func (p *Port) stop() {
	p.room.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, listener := range []net.Listener{p.plain, p.secure} {
		if listener != nil {
			listener.Close()
		}
	}
	for c := range p.all {
		c.tcp.Close()
	}
}

// Why a connection is refused.
var (
	errTooMany        = errors.New("too many connections (maxCnxns, or what the limit of open files leaves room for)")
	errTooManyAddress = errors.New("too many connections from this address (maxClientCnxns)")
)

// admit registers a connection, if there is room for it.
func (p *Port) admit(tcp *net.TCPConn, secure bool) (*conn, error) {
	addr, err := netip.ParseAddrPort(tcp.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	tcp.SetKeepAlive(p.cfg.KeepAlive)
	c := &conn{
		port: p, tcp: tcp, sock: tcp, secure: secure, from: origin{addr.Addr().Unmap(), secure},
		id: node.ClientID(p.lastID.Add(1)), remote: addr, established: time.Now(),
		large: firstAnswerBytes,
	}
	c.change.L = &c.mu
	if c.reader, err = newFrameReader(tcp, p.cfg.MaxFrameBytes, &p.large); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return nil, net.ErrClosed
	case p.cfg.Max > 0 && len(p.all) >= p.cfg.Max:
		p.cfg.Metrics.ConnectionRejected.Add(1)
		return nil, errTooMany
	case p.cfg.MaxPerAddress > 0 && p.perAddr[c.from] >= p.cfg.MaxPerAddress:
		p.cfg.Metrics.ConnectionRejected.Add(1)
		return nil, errTooManyAddress
	}
	p.perAddr[c.from]++
	switch {
	case c.secure:
	case c.from.addr.IsLoopback():
		p.past.PlainLocal++
	default:
		p.past.PlainRemote++
	}
	p.all[c] = struct{}{}
	p.conns[c.id] = c
	return c, nil
}

// forget drops a connection that is closed. The caller holds its mu.
func (p *Port) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.perAddr[c.from]--; p.perAddr[c.from] == 0 {
		delete(p.perAddr, c.from)
	}
	delete(p.all, c)
	delete(p.conns, c.id)
	add(&p.past, c.stats.traffic)
	if c.connected && c.stats.last.op != wire.OpCloseSession {
		p.cfg.Metrics.ConnectionDropCount.Add(1)
	}
}

func (p *Port) find(id node.ClientID) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[id]
}

// Send queues a frame for a client; Flush lets it go. Only one goroutine may call Send, Close and Flush.
func (p *Port) Send(id node.ClientID, frame []byte) {
	if c := p.find(id); c != nil && c.queueAnswer(frame) {
		p.dirty = append(p.dirty, c)
	}
}

// Close closes a connection after the frames sent to it so far.
func (p *Port) Close(id node.ClientID) {
	if c := p.find(id); c != nil && c.hangUp() {
		p.dirty = append(p.dirty, c)
	}
}

// Flush begins to write what was sent. It does not wait.
func (p *Port) Flush() {
	for _, c := range p.dirty {
		go c.write()
	}
	clear(p.dirty)
	p.dirty = p.dirty[:0]
}

// Touched returns the clients that have had an answer from Read since it was called last, each once.
func (p *Port) Touched() []node.ClientID {
	p.mu.Lock()
	touched := p.touched
	p.touched = nil
	p.mu.Unlock()
	ids := make([]node.ClientID, len(touched))
	for i, c := range touched {
		c.touched.Store(false)
		ids[i] = c.id
	}
	return ids
}

func (p *Port) touch(c *conn) {
	if c.touched.Swap(true) {
		return
	}
	p.mu.Lock()
	p.touched = append(p.touched, c)
	p.mu.Unlock()
}

// Shed closes each connection that has asked for a session with a probability of so many percent, and returns how many.
func (p *Port) Shed(percent int) int {
	shed := 0
	for _, c := range p.everyConn() {
		c.mu.Lock()
		if !c.closed && !c.asks && rand.IntN(100) < percent {
			c.tcp.Close() // which ends its reader
			shed++
		}
		c.mu.Unlock()
	}
	return shed
}
