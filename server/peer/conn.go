package peer

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

const (
	// closeTimeout is how long a connection that was closed may take to write what was sent before, and the other
	// side to close it, too.
	closeTimeout = 3 * time.Second
	// maxQueuedBytes may wait for a socket: what brings a learner in line is queued at once, behind it comes what waits for a
	// quorum. More while a snapshot is on its way, since everything waits for that.
	maxQueuedBytes          = zab.MaxSyncBytes + 32<<20
	maxQueuedSnapshotFactor = 4
)

// ErrQueueFull is why a connection is closed whose other side reads too slowly.
var ErrQueueFull = errors.New("too much waits to be sent")

// conn is a connection of the quorum port. One goroutine reads and, after the other has ended, reports the end; one
// writes what is queued.
type conn struct {
	p      *Peer
	id     node.ConnID
	remote string
	dialed bool
	// learner is who has connected, if it said so.
	learner *learner
	wake    chan struct{} // for the writer

	mu          sync.Mutex
	sock        net.Conn // nil while it is dialled
	cancel      func()   // ends the dialling
	queue       []outgoing
	queuedBytes int  // encoded, of what has not been written
	snapshots   int  // in the queue or being written
	closing     bool // by the node
	closeBy     time.Time
	readLimit   time.Duration
	ended       bool
	err         error // why, unless it was the node
}

// outgoing is a packet or, with a tree, a snapshot.
type outgoing struct {
	packet wire.QuorumPacket
	tree   *tree.Tree
}

func newConn(p *Peer, id node.ConnID) *conn {
	return &conn{p: p, id: id, wake: make(chan struct{}, 1), cancel: func() {}}
}

// register makes a connection known to the effects.
func (p *Peer) register(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.conns[c.id] = c
	}
	return !p.ended
}

func (p *Peer) conn(id node.ConnID) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[id]
}

// gone forgets a connection and reports its end.
func (p *Peer) gone(c *conn) {
	p.mu.Lock()
	delete(p.conns, c.id)
	p.mu.Unlock()
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	p.often.Info("quorum connection is closed", "conn", uint64(c.id), "remote", c.remote, "error", err)
	p.deliver(node.ConnClosed{Conn: c.id, Err: err})
}

// SendPacket sends a packet.
func (p *Peer) SendPacket(e node.SendPacket) {
	if c := p.conn(e.Conn); c != nil {
		c.send(outgoing{packet: e.Packet})
	}
}

// SendSnapshot sends a snapshot of a tree, which is read under Config.View.
func (p *Peer) SendSnapshot(e node.SendSnapshot) {
	if c := p.conn(e.Conn); c != nil {
		c.send(outgoing{packet: wire.QuorumPacket{Type: wire.PacketSnap, Zxid: e.Zxid}, tree: e.Tree})
	}
}

// CloseConn closes a connection once everything sent before has been written, or after three seconds.
func (p *Peer) CloseConn(e node.CloseConn) {
	if c := p.conn(e.Conn); c != nil {
		c.close()
	}
}

// start gives a connection its socket; false if it has been closed meanwhile.
func (c *conn) start(sock net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sock, c.remote = sock, remote(sock)
	return !c.closing && !c.ended
}

func (c *conn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) send(o outgoing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.closing {
		return
	}
	c.queuedBytes += packetBytes(o.packet)
	limit := maxQueuedBytes
	if o.tree != nil {
		c.snapshots++
	}
	if c.snapshots > 0 {
		limit *= maxQueuedSnapshotFactor
	}
	if c.queuedBytes > limit {
		c.end(fmt.Errorf("%w: %d bytes", ErrQueueFull, c.queuedBytes))
		return
	}
	c.queue = append(c.queue, o)
	c.learner.queued()
	c.notify()
}

// close ends a connection in good order.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.closing {
		return
	}
	c.closing = true
	c.closeBy = time.Now().Add(closeTimeout)
	if c.sock == nil {
		c.cancel()
		return
	}
	_ = c.sock.SetDeadline(c.closeBy) // of a socket that has failed, which its goroutines notice
	c.notify()
}

// fail ends a connection at once.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

// end is fail with the lock held.
func (c *conn) end(err error) {
	if c.ended {
		return
	}
	c.ended = true
	if !c.closing {
		c.err = err
	}
	c.queue, c.queuedBytes = nil, 0
	if c.sock != nil {
		c.p.close(c.sock)
	}
	c.cancel()
	c.notify()
}

// isClosing tells that what arrives does not matter any more.
func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.ended
}

// serve runs a connection that has been opened. first is what the node learns before anything else.
func (c *conn) serve(in *bufio.Reader, first []node.Input) {
	written := make(chan struct{})
	if !c.p.spawn(func() {
		defer close(written)
		c.write()
	}) {
		close(written)
	}
	c.fail(c.read(in, first))
	<-written
	c.p.gone(c)
}

// packetBytes is the length of a packet when it is encoded.
func packetBytes(p wire.QuorumPacket) int {
	n := 20 + len(p.Data)
	for _, id := range p.Auth {
		n += 8 + len(id.Scheme) + len(id.ID)
	}
	return n
}
