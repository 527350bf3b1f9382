// Package clientport is the client port: it cuts the bytes of client connections into requests, answers what needs
// nothing but the tree at once, hands everything else on in order, and writes replies and watch events.
//
// A connection costs one goroutine, and no buffers while nothing is on its way. What is to be written is queued and
// written by whoever finds it first: the goroutine of the connection, or one made for the purpose.
//
// It knows nothing of sessions, and of requests only what it takes to tell reads from the rest; TLS is not here.
package clientport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// Config is how a client port works and whom it serves.
type Config struct {
	// Address is host:port to listen on.
	Address string
	// MaxFrameBytes is the longest frame that a client may send (jute.maxbuffer).
	MaxFrameBytes int
	// MaxPerAddress bounds the connections of one address, Max those of all; 0 for no bound.
	MaxPerAddress, Max int
	// OutstandingLimit is the number of requests in process above which connections with requests in process are not
	// read (globalOutstandingLimit).
	OutstandingLimit int
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
	// Word answers a four-letter word; ok is false if it is none.
	Word func(word string) (text string, ok bool)

	Log *slog.Logger
}

// Port is a client port. Its methods are safe for concurrent use.
type Port struct {
	cfg      Config
	listener net.Listener
	lastID   atomic.Uint64
	// outstanding are the requests of all connections that wait for their answer.
	outstanding atomic.Int64
	began       time.Time

	mu      sync.Mutex
	stopped bool
	conns   map[node.ClientID]*conn
	all     map[*conn]struct{}
	perAddr map[netip.Addr]int
	touched []*conn
	past    admin.Traffic // of connections that are no more, and what counts connections

	// dirty are the connections that have something to write since the last Flush. They belong to the caller of Send.
	dirty []*conn
}

// Listen opens the port; Run serves it.
func Listen(cfg Config) (*Port, error) {
	listener, err := net.Listen("tcp", cfg.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("open the client port: %w: is a server already running here? see who listens with: ss -ltnp", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the client port: %w", err)
	}
	return &Port{
		cfg: cfg, listener: listener, began: time.Now(),
		conns:   make(map[node.ClientID]*conn),
		all:     make(map[*conn]struct{}),
		perAddr: make(map[netip.Addr]int),
	}, nil
}

// Address is where the port listens.
func (p *Port) Address() net.Addr { return p.listener.Addr() }

// Run accepts connections until ctx ends, then closes them all and returns when their goroutines have ended.
func (p *Port) Run(ctx context.Context) error {
	var group sync.WaitGroup
	stop := context.AfterFunc(ctx, p.stop)
	defer stop()
	defer group.Wait()
	for {
		socket, err := p.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			p.cfg.Log.Warn("accept a client", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond): // out of file descriptors, most likely
			}
			continue
		}
		c, err := p.admit(socket.(*net.TCPConn))
		if err != nil {
			p.cfg.Log.Warn("client refused", "remote", socket.RemoteAddr(), "error", err)
			socket.Close()
			continue
		}
		group.Go(c.serve)
	}
}

// stop closes the listener and every connection.
func (p *Port) stop() {
	p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for c := range p.all {
		c.tcp.Close()
	}
}

// Why a connection is refused.
var (
	errTooMany        = errors.New("too many connections (maxCnxns)")
	errTooManyAddress = errors.New("too many connections from this address (maxClientCnxns)")
)

// admit registers a connection, if there is room for it.
func (p *Port) admit(tcp *net.TCPConn) (*conn, error) {
	addr, err := netip.ParseAddrPort(tcp.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	tcp.SetKeepAlive(p.cfg.KeepAlive)
	c := &conn{port: p, tcp: tcp, id: node.ClientID(p.lastID.Add(1)), remote: addr, established: time.Now()}
	c.change.L = &c.mu
	if c.reader, err = newFrameReader(tcp, p.cfg.MaxFrameBytes); err != nil {
		return nil, err
	}
	host := addr.Addr().Unmap()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return nil, net.ErrClosed
	case p.cfg.Max > 0 && len(p.all) >= p.cfg.Max:
		p.past.Rejected++
		return nil, errTooMany
	case p.cfg.MaxPerAddress > 0 && p.perAddr[host] >= p.cfg.MaxPerAddress:
		p.past.Rejected++
		return nil, errTooManyAddress
	}
	p.past.Accepted++
	p.perAddr[host]++
	p.all[c] = struct{}{}
	p.conns[c.id] = c
	return c, nil
}

// forget drops a connection that is closed. The caller holds its mu.
func (p *Port) forget(c *conn) {
	host := c.remote.Addr().Unmap()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.perAddr[host]--; p.perAddr[host] == 0 {
		delete(p.perAddr, host)
	}
	delete(p.all, c)
	delete(p.conns, c.id)
	add(&p.past, c.stats.traffic)
	if c.connected && c.stats.last.op != wire.OpCloseSession {
		p.past.Dropped++
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
