// Package client holds a session with a ZooKeeper ensemble: it finds a server that answers, keeps the session alive,
// moves to another server when a connection is lost, sets its watches and authenticates there again, and sends requests
// one after the other. It behaves as Apache ZooKeeper's Java client does (org.apache.zookeeper.ZooKeeper, ClientCnxn), down
// to the texts of its errors and events.
//
// One goroutine connects and reads, another writes; Close and Disconnect return when both have ended. Watches are not
// functions, but only tell which events the one function of the session gets.
package client

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// DefaultSessionTimeout is what Options.SessionTimeout means by zero.
const DefaultSessionTimeout = 30 * time.Second

// DefaultMaxReplyBytes is what Options.MaxReplyBytes means by zero.
const DefaultMaxReplyBytes = 64 << 20

// Options of a session. The zero value will do.
type Options struct {
	SessionTimeout time.Duration // what the session asks for; servers have bounds of their own
	ReadOnly       bool          // servers without a quorum will do, until one with a quorum is found
	MaxReplyBytes  int           // a longer reply costs the connection
	// OnEvent is told of what happens to the session and to watched znodes, in order, and before the reply to any request
	// that came later. It must return soon, and must not wait for a request of the same session.
	OnEvent func(Event)
	// Dial connects to host:port; without it that is a plain TCP connection. ctx carries the deadline.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// SASL, if set, begins an authentication at every new connection.
	SASL func() SASL
}

// State is what has become of a session.
type State int

// The states (org.apache.zookeeper.ZooKeeper.States).
const (
	Connecting State = iota
	Connected
	ConnectedReadOnly
	Closed
	AuthFailed
)

// String is the name that ZooKeeper uses.
func (s State) String() string {
	return [...]string{"CONNECTING", "CONNECTED", "CONNECTEDREADONLY", "CLOSED", "AUTH_FAILED"}[s]
}

// Alive tells whether requests may still succeed, now or after a reconnection.
func (s State) Alive() bool { return s != Closed && s != AuthFailed }

// Client is a session, or on the way to one. Its methods may be called by several goroutines.
type Client struct {
	options Options
	chroot  string // "" for none
	stop    context.CancelFunc
	ended   chan struct{} // closed when no goroutine is left
	wake    chan struct{} // the writer has something to do

	mu       sync.Mutex
	state    State
	closing  bool // closeSession is on its way
	queue    []*request
	pending  []*request // sent, in this order
	auth     []wire.AuthPacket
	watches  watches
	lastZxid wire.Zxid
	xid      int32

	// What follows belongs to the goroutine that connects.
	servers   []string
	at        int // the index of the last attempt
	round     int // where a round through all servers ends
	attempts  int // without success since the last connection
	preferred string
	id        wire.SessionID
	passwd    []byte
	real      bool          // id was given by a server with a quorum
	timeout   time.Duration // negotiated, or what is asked for
	told      EventState    // the state of the last event
}

// Connect begins a session with one of the servers, host:port,host:port/chroot, and returns at once; requests wait for the
// connection. An error is about the text of the servers.
func Connect(servers string, o Options) (*Client, error) {
	addresses, chroot, err := parseServers(servers)
	if err != nil {
		return nil, err
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = DefaultSessionTimeout
	}
	if o.MaxReplyBytes == 0 {
		o.MaxReplyBytes = DefaultMaxReplyBytes
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		options: o, chroot: chroot, stop: stop, ended: make(chan struct{}), wake: make(chan struct{}, 1), watches: newWatches(),
		servers: addresses, at: -1, round: -1, passwd: make([]byte, 16), timeout: o.SessionTimeout,
	}
	go c.run(ctx)
	return c, nil
}

// State is the state of the session.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Close ends the session at the server, which deletes its ephemeral znodes, and disconnects. If no server can be reached
// the session is left to expire, and that is not an error; ctx limits how long that takes.
func (c *Client) Close(ctx context.Context) {
	if c.State().Alive() {
		_ = c.do(ctx, &request{op: wire.OpCloseSession}) // whatever comes of it, the session is over for us
	}
	c.Disconnect()
}

// Disconnect leaves the session to itself: the server ends it when the session timeout has passed.
func (c *Client) Disconnect() {
	c.mu.Lock()
	if c.state.Alive() {
		c.state = Closed
	}
	c.mu.Unlock()
	c.stop()
	<-c.ended
}

// run connects again and again, until the session has ended.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	for c.ready(ctx) {
		attempt, cancel := context.WithTimeout(ctx, c.timeout/time.Duration(len(c.servers)))
		conn, err := c.options.Dial(attempt, c.servers[c.at])
		if err == nil {
			deadline, _ := attempt.Deadline()
			_ = conn.SetDeadline(deadline)
			c.serve(ctx, conn)
		}
		cancel()
		c.lost()
	}
	c.mu.Lock()
	if c.state.Alive() {
		c.state = Closed
	}
	c.mu.Unlock()
	c.fail(true)
	c.tell(Event{State: StateClosed})
}

// ready chooses the next server and waits, a second after each round through all servers, and a moment if there has been
// a connection, lest all clients of a lost server come to another one at once. It is false when the session is over.
func (c *Client) ready(ctx context.Context) bool {
	if c.over() {
		return false
	}
	wait := time.Duration(0)
	if i := slices.Index(c.servers, c.preferred); i >= 0 {
		c.at, c.preferred = i, ""
	} else {
		if c.id != 0 {
			wait = rand.N(time.Second)
		}
		c.at = (c.at + 1) % len(c.servers)
		if c.at == c.round {
			wait += time.Second
		}
		c.round = max(c.round, 0)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return !c.over()
}

// over tells whether there is nothing more to do: the session has ended, or closeSession has been answered or has failed.
func (c *Client) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.state.Alive() || c.closing && len(c.queue) == 0
}

// lost is called after every connection and every attempt. What was sent has failed; what waits goes on waiting until each
// server has been tried.
func (c *Client) lost() {
	c.attempts++
	c.mu.Lock()
	if c.state.Alive() {
		c.state = Connecting
	}
	alive, all := c.state.Alive() && !c.closing, c.attempts >= len(c.servers) || c.closing
	c.mu.Unlock()
	c.fail(all)
	if alive {
		c.tell(Event{State: StateDisconnected})
	}
}

// fail answers the requests that were sent, and if all is true those that wait as well.
func (c *Client) fail(all bool) {
	c.mu.Lock()
	code := c.gone()
	failed := c.pending
	c.pending = nil
	if all {
		failed = append(failed, c.queue...)
		c.queue = nil
	}
	c.mu.Unlock()
	for _, r := range failed {
		c.finish(r, code, nil)
	}
}

// gone is the outcome of a request that cannot be sent, or whose reply is lost. mu is held.
func (c *Client) gone() wire.ErrCode {
	switch c.state {
	case Closed:
		return wire.ErrSessionExpired
	case AuthFailed:
		return wire.ErrAuthFailed
	}
	return wire.ErrConnectionLoss
}

// tell passes an event on. That the session is in the state of which the last event told is no news.
func (c *Client) tell(e Event) {
	if e.Type == None && e.State == c.told {
		return
	}
	c.told = e.State
	c.options.OnEvent(e)
}
