package sim

import (
	"errors"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

var (
	errCut     = errors.New("connection reset by peer")
	errTimeout = errors.New("i/o timeout")
)

// network connects machines. A blocked direction delivers nothing: what is sent on a connection waits, as TCP
// retransmits, until the way is free again or the connection is cut; votes are lost.
type network struct {
	w *World
	// blocked are directions between machines.
	blocked map[[2]int]bool
	conns   []*conn // open ones, by age
	nextID  node.ConnID
	// voteAt is when the last vote of each pair of machines arrives, to keep their order.
	voteAt map[[2]int]time.Duration
	slow   time.Duration // added to every delay
	// slowWays are the directions that take longer.
	slowWays map[[2]int]time.Duration
	lossy    bool
}

// conn is one connection of the quorum port.
type conn struct {
	ends [2]*end // the learner's, the leader's
	open bool
}

// end is one end of a connection.
type end struct {
	conn   *conn
	m      *machine
	life   int
	id     node.ConnID
	queue  []*parcel // sent by this end and not delivered
	last   time.Duration
	moving bool
	closed bool // has been told
}

// parcel is something on its way.
type parcel struct {
	packet   wire.QuorumPacket
	snapshot *node.Database
	ready    bool // a snapshot takes time to be read
	at       time.Duration
	fin      bool
}

func (n *network) isBlocked(from, to *machine) bool { return n.blocked[[2]int{from.index, to.index}] }

func (n *network) delay() time.Duration {
	d := n.w.between(100*time.Microsecond, 3*time.Millisecond)
	if n.w.chance(0.02) {
		d += n.w.between(0, 60*time.Millisecond)
	}
	return d + n.slow
}

// vote sends a notification of the election port.
func (n *network) vote(from, to *machine, v wire.Notification) {
	if n.isBlocked(from, to) {
		return
	}
	key := [2]int{from.index, to.index}
	if n.breaks() {
		return
	}
	at := max(n.w.now+n.delay()+n.slowWays[key], n.voteAt[key])
	n.voteAt[key] = at
	life := to.life
	deliver := func() {
		if to.life == life && !n.isBlocked(from, to) {
			to.step(node.NotificationReceived{From: from.id, Notification: v})
		}
	}
	n.w.after(at-n.w.now, deliver)
	if n.w.chance(0.01) { // a new connection begins with the last message again
		n.w.inject(RepeatedVote)
		n.w.after(at-n.w.now+n.w.between(0, 500*time.Millisecond), deliver)
	}
}

// refusedTime is how long a learner tries to connect to a port that nobody opens, closedTime to one that has been open.
const (
	refusedTime = time.Second
	closedTime  = 200 * time.Millisecond
)

// dial opens a connection to one of the two ports for learners, trying again until the time is over.
func (n *network) dial(from *machine, e node.DialLeader, to *machine) {
	life, id := from.life, e.Conn
	deadline := n.w.now + e.Timeout
	if e.ObserverPort {
		deadline = min(deadline, n.w.now+refusedTime)
	}
	if e.Leads {
		deadline = min(deadline, n.w.now+closedTime)
	}
	open := func() bool {
		if e.ObserverPort {
			return to.observerPortOpen
		}
		return to.portOpen
	}
	var try func()
	try = func() {
		switch {
		case from.life != life || from.abandoned[id]:
			return
		case n.w.now > deadline:
			from.step(node.ConnClosed{Conn: id, Err: errTimeout})
			return
		case !to.up() || !open() || n.isBlocked(from, to) || n.isBlocked(to, from) || n.refuses():
			n.w.after(n.w.between(50*time.Millisecond, 100*time.Millisecond), try)
			return
		}
		n.nextID += 2
		c := &conn{open: true}
		c.ends[0] = &end{conn: c, m: from, life: from.life, id: id}
		c.ends[1] = &end{conn: c, m: to, life: to.life, id: n.nextID}
		n.conns = append(n.conns, c)
		from.ends[id] = c.ends[0]
		to.ends[n.nextID] = c.ends[1]
		if !n.w.calm && n.w.chance(0.2) {
			n.w.inject(SyncCut)
			// Most of what can go wrong goes wrong while a learner is being synchronised.
			n.w.after(n.w.between(time.Millisecond, 40*time.Millisecond), func() { n.cut(c, 20*time.Millisecond) })
		}
		to.step(node.LearnerAccepted{Conn: n.nextID, Remote: from.name})
		n.w.after(n.delay(), func() {
			if from.life == life && c.open {
				from.step(node.LeaderConnected{Conn: id})
			}
		})
	}
	n.w.after(n.delay(), try)
}

// breaks tells that a connection ends just now.
func (n *network) breaks() bool { return n.lossy && n.w.more.chance(0.05) }

// refuses tells that a connection fails for no reason.
func (n *network) refuses() bool {
	if n.w.calm || !n.w.chance(0.02) {
		return false
	}
	n.w.inject(Refused)
	return true
}

func (e *end) peer() *end {
	if e.conn.ends[0] == e {
		return e.conn.ends[1]
	}
	return e.conn.ends[0]
}

func (e *end) alive() bool { return e.m.life == e.life && e.m.up() && !e.closed }

// send puts something on its way to the other end.
func (n *network) send(e *end, p *parcel) {
	if !e.conn.open {
		return
	}
	if n.breaks() {
		n.cut(e.conn, 50*time.Millisecond)
		return
	}
	e.last = max(e.last, n.w.now+n.delay()+n.slowWays[[2]int{e.m.index, e.peer().m.index}])
	p.at = e.last
	e.queue = append(e.queue, p)
	n.move(e)
}

// move delivers what has arrived, in order.
func (n *network) move(e *end) {
	if e.moving || len(e.queue) == 0 || !e.conn.open {
		return
	}
	head := e.queue[0]
	if !head.ready {
		return // sendSnapshot calls again
	}
	e.moving = true
	n.w.after(head.at-n.w.now, func() { n.arrive(e) })
}

func (n *network) arrive(e *end) {
	e.moving = false
	if !e.conn.open || len(e.queue) == 0 {
		return
	}
	to := e.peer()
	if n.isBlocked(e.m, to.m) {
		return // free calls again
	}
	p := e.queue[0]
	e.queue = e.queue[1:]
	if p.fin {
		n.cut(e.conn, 0)
		return
	}
	if to.alive() {
		to.m.step(node.PacketReceived{Conn: to.id, Packet: p.packet})
		if p.snapshot != nil && to.alive() {
			to.m.step(node.SnapshotReceived{Conn: to.id, Database: p.snapshot})
		}
	}
	n.move(e)
}

// cut ends a connection; each end learns of it by itself, at most within the given time.
func (n *network) cut(c *conn, within time.Duration) {
	n.end(c, n.w.between(0, within), n.w.between(0, within))
}

// end ends a connection; the learner and the leader learn of it after these times.
func (n *network) end(c *conn, learner, leader time.Duration) {
	if !c.open {
		return
	}
	c.open = false
	for i, other := range n.conns {
		if other == c {
			n.conns = append(n.conns[:i:i], n.conns[i+1:]...)
			break
		}
	}
	for i, after := range []time.Duration{learner, leader} {
		e := c.ends[i]
		e.queue = nil
		n.w.after(after, func() { e.tell(errCut) })
	}
}

// tell reports the end of the connection to the machine.
func (e *end) tell(err error) {
	if e.alive() {
		e.closed = true
		delete(e.m.ends, e.id)
		e.m.step(node.ConnClosed{Conn: e.id, Err: err})
	}
	e.closed = true
}

// block and free change the ways between machines.
func (n *network) block(from, to *machine) { n.blocked[[2]int{from.index, to.index}] = true }

func (n *network) free() {
	clear(n.blocked)
	for _, c := range append([]*conn(nil), n.conns...) {
		n.move(c.ends[0])
		n.move(c.ends[1])
	}
}
