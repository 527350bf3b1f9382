package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// simClient is a client as applications have one: a session that moves between servers, requests in flight, watches. It
// checks what every client is promised while it works; checkClient.go says what.
type simClient struct {
	w     *World
	index int
	// blocked are machines that this client cannot reach.
	blocked map[int]bool
	// homes are the only machines that it connects to, if any.
	homes []*machine

	session  wire.SessionID
	password []byte
	timeout  time.Duration
	lastZxid wire.Zxid
	// lastTxn is the last zxid seen of a txn: a server that has no txn of an epoch may be at the start of it, or at the end of
	// the one before.
	lastTxn wire.Zxid
	xid     int32

	link        *link
	established bool
	pending     []*operation // without an answer, in order
	lastHeard   time.Duration
	epoch       int // counts connections, for timers
	resting     bool
	reader      bool // it never writes, so that nothing of its own keeps its syncs waiting
	recounts    bool // it gives numbers again that had no answer on its last connection
	operator    bool // it changes the membership now and then
	written     int  // values given out by unique

	seen clientView
}

// operation is one request on its way.
type operation struct {
	xid   int32
	op    wire.OpCode
	path  string
	sent  time.Duration
	value int64     // written
	floor wire.Zxid // what the answer must not be older than
	watch bool
	// compares tells that the write was for this version only.
	compares bool
	version  int32
	body     []byte
	done     func(*answer) // nil, or who wants to know
}

// answer is a reply as the client decoded it.
type answer struct {
	header wire.ReplyHeader
	data   []byte
	stat   wire.Stat
	path   string
	// children are the names of a list.
	children []string
	// failed is the code of the part of a multi that failed.
	failed wire.ErrCode
}

func newClient(w *World, index int) *simClient {
	c := &simClient{w: w, index: index, blocked: make(map[int]bool), password: make([]byte, 16)}
	c.seen.sessionOver()
	c.reader = index > 0 && w.rand.IntN(2) == 0
	c.recounts = index%2 == 0
	return c
}

const clientTimeout = 1200 * time.Millisecond

// begin connects for the first time.
func (c *simClient) begin() { c.w.after(c.w.between(0, 300*time.Millisecond), c.reconnect) }

// reconnect tries one of the servers.
func (c *simClient) reconnect() {
	if c.link != nil {
		return
	}
	m := c.w.machines[c.w.rand.IntN(len(c.w.machines))]
	if len(c.homes) > 0 {
		m = c.homes[c.w.rand.IntN(len(c.homes))]
	}
	c.epoch++
	c.established = false
	c.lastHeard = c.w.now
	c.seen.connected()
	request := wire.ConnectRequest{
		LastZxidSeen: c.lastZxid, TimeOut: int32(clientTimeout.Milliseconds()), SessionID: c.session, Passwd: c.password,
		HasReadOnly: c.index%2 == 0,
	}
	c.link = c.connect(m, request)
	c.keepAlive(c.epoch)
}

// keepAlive pings, and gives up on a silent server.
func (c *simClient) keepAlive(epoch int) {
	c.w.after(clientTimeout/4, func() {
		if c.epoch != epoch || c.link == nil {
			return
		}
		if c.w.now-c.lastHeard > clientTimeout*2/3 {
			l := c.link
			l.leave()
			c.disconnected(l)
			return
		}
		if c.established {
			c.request(&operation{xid: wire.XidPing, op: wire.OpPing})
		}
		c.keepAlive(epoch)
	})
}

// disconnected is told when the connection is gone.
func (c *simClient) disconnected(l *link) {
	if c.link != l {
		return
	}
	for i, op := range c.pending {
		c.w.checks.unanswered(c, op)
		if i == 0 && c.recounts && op.xid > 0 {
			c.xid = op.xid - 1
		}
	}
	c.link, c.pending, c.established = nil, nil, false
	c.epoch++
	c.w.after(c.w.between(5*time.Millisecond, 150*time.Millisecond), c.reconnect)
}

// forget begins a new session at the next connection.
func (c *simClient) forget() {
	c.session, c.password = 0, make([]byte, 16)
	c.seen.sessionOver()
}

// request sends a request.
func (c *simClient) request(op *operation) {
	op.sent = c.w.now
	if isWrite(op.op) {
		op.floor = c.w.checks.clients.newest
	}
	if op.xid == 0 {
		c.xid++
		op.xid = c.xid
	}
	c.pending = append(c.pending, op)
	c.w.tracef("client %d: asks %v %s, xid %d", c.index, op.op, op.path, op.xid)
	c.link.send(node.ClientRequest{
		Client: c.link.id, Header: wire.RequestHeader{Xid: op.xid, Type: op.op}, Body: op.body,
	})
}

// receive handles a frame of the server.
func (c *simClient) receive(l *link, frame []byte) {
	if c.link != l {
		return
	}
	c.lastHeard = c.w.now
	if !c.established {
		c.handleConnect(frame)
		return
	}
	header, body, err := splitReply(frame)
	if err != nil {
		c.w.fail("client protocol", "client %d: reply %x: %v", c.index, frame, err)
		return
	}
	if header.Xid == wire.XidWatch {
		c.handleEvent(header, body)
		return
	}
	if len(c.pending) == 0 || c.pending[0].xid != header.Xid {
		c.w.fail("session order", "client %d: reply to xid %d out of turn", c.index, header.Xid)
		return
	}
	op := c.pending[0]
	c.pending = c.pending[1:]
	a, err := decodeAnswer(op, header, body)
	if err != nil {
		c.w.fail("client protocol", "client %d: reply to %v: %v", c.index, op.op, err)
		return
	}
	c.w.tracef("client %d: is told %v, xid %d: %v at %v", c.index, op.op, op.xid, header.Err, header.Zxid)
	c.checkZxid(header, op)
	c.w.checks.answered(c, op, a)
	if op.op == wire.OpCloseSession {
		c.forget()
	}
	if op.done != nil {
		op.done(a)
	}
}

func (c *simClient) handleConnect(frame []byte) {
	var r wire.ConnectResponse
	if err := r.Unmarshal(frame); err != nil {
		c.w.fail("client protocol", "client %d: ConnectResponse %x: %v", c.index, frame, err)
		return
	}
	if r.SessionID == 0 || r.TimeOut <= 0 {
		c.w.tracef("client %d: session %v is over", c.index, c.session)
		c.w.checks.expired(c)
		c.forget()
		return // the server hangs up
	}
	if c.link.over {
		c.w.fail("sessions", "client %d: %s resumes session %v, of which it knows that it is over", c.index, c.link.m.name, r.SessionID)
	}
	if c.session != 0 && r.SessionID != c.session {
		c.w.fail("client protocol", "client %d: session %v became %v", c.index, c.session, r.SessionID)
	}
	c.session, c.password, c.timeout = r.SessionID, r.Passwd, time.Duration(r.TimeOut)*time.Millisecond
	c.established = true
	c.w.tracef("client %d: session %v at %s", c.index, c.session, c.link.m.name)
	c.work(c.epoch)
}

// work sends requests while the connection lasts.
func (c *simClient) work(epoch int) {
	c.w.after(c.w.between(2*time.Millisecond, 120*time.Millisecond), func() {
		if c.epoch != epoch || !c.established {
			return
		}
		if !c.resting {
			for range 1 + c.w.rand.IntN(3) {
				if c.established && len(c.pending) < 8 {
					c.act()
				}
			}
		}
		c.work(epoch)
	})
}

// act sends one request drawn at random.
func (c *simClient) act() {
	w := c.w
	own := "/c" + strconv.Itoa(c.index)
	shared := fmt.Sprintf("/s%d", w.rand.IntN(3))
	choice := w.rand.IntN(18)
	if c.reader {
		choice = 13
	}
	if c.operator && !w.calm && w.chance(0.3) {
		c.reconfigure()
		return
	}
	if w.opts.More && !c.reader && w.more.chance(0.3) {
		c.actMore()
		return
	}
	switch choice {
	case 0, 1, 2:
		c.write(own)
	case 3:
		c.request(&operation{op: wire.OpCreate, path: "/q-", body: createBody("/q-", nil, flagSequential)})
	case 4:
		path := fmt.Sprintf("/e%d-%d", c.index, w.rand.IntN(4))
		c.request(&operation{op: wire.OpCreate, path: path, body: createBody(path, nil, flagEphemeral)})
	case 5:
		path := fmt.Sprintf("/e%d-%d", c.index, w.rand.IntN(4))
		c.request(&operation{op: wire.OpDelete, path: path, body: deleteBody(path, -1)})
	case 6:
		c.seen.value++
		c.request(&operation{op: wire.OpSetData, path: shared, body: setDataBody(shared, valueText(c.seen.value), -1)})
	case 7:
		c.request(&operation{op: wire.OpCreate, path: shared, body: createBody(shared, nil, 0)})
	case 8:
		c.request(&operation{op: wire.OpDelete, path: shared, body: deleteBody(shared, -1)})
	case 9:
		c.multi(own, shared)
	case 10, 11:
		c.read(own, false)
	case 12:
		c.read(shared, w.chance(0.5))
	case 13:
		c.request(&operation{op: wire.OpSync, path: shared, body: pathBody(shared), floor: w.checks.clients.newest})
		c.read(shared, false)
	case 14:
		c.request(&operation{op: wire.OpGetChildren2, path: "/", body: readBody("/", false)})
	case 15:
		if w.chance(0.15) {
			c.request(&operation{op: wire.OpCloseSession})
			return
		}
		if w.chance(0.2) {
			l := c.link
			l.leave()
			c.disconnected(l)
			return
		}
		c.read(own, true)
	case 16:
		c.container()
	case 17:
		c.watch(shared)
	}
}

// write sets the next number into the client's own node, or creates it.
func (c *simClient) write(path string) {
	c.seen.value++
	op := &operation{path: path, value: c.seen.value}
	if c.seen.created {
		op.op, op.body = wire.OpSetData, setDataBody(path, valueText(op.value), -1)
	} else {
		op.op, op.body = wire.OpCreate2, createBody(path, valueText(op.value), 0)
	}
	c.request(op)
}

// read reads a node; what it shows must not be older than what this session has seen.
func (c *simClient) read(path string, watch bool) {
	c.request(&operation{op: wire.OpGetData, path: path, watch: watch, body: readBody(path, watch), value: c.seen.acked})
}

// container makes a container, or fills or empties it.
func (c *simClient) container() {
	path := fmt.Sprintf("/k%d", c.w.rand.IntN(2))
	switch c.w.rand.IntN(3) {
	case 0:
		c.request(&operation{op: wire.OpCreateContainer, path: path, body: createBody(path, nil, flagContainer)})
	case 1:
		c.request(&operation{op: wire.OpCreate, path: path + "/kid", body: createBody(path+"/kid", nil, 0)})
	case 2:
		c.request(&operation{op: wire.OpDelete, path: path + "/kid", body: deleteBody(path+"/kid", -1)})
	}
}

// watch sets a watch that stays, on a node or on all of them.
func (c *simClient) watch(path string) {
	op := &operation{op: wire.OpAddWatch, path: path, body: addWatchBody(path, wire.AddWatchPersistent)}
	if c.w.chance(0.3) {
		op.path, op.body = "/", addWatchBody("/", wire.AddWatchPersistentRecursive)
	}
	c.request(op)
}

// multi changes two nodes together.
func (c *simClient) multi(own, shared string) {
	c.seen.value++
	op := &operation{op: wire.OpMulti, path: own, value: c.seen.value}
	op.body = multiBody(own, shared, valueText(op.value))
	c.request(op)
}
