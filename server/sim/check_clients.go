package sim

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// clientCheck: what clients are promised. Acknowledged writes survive; zxids in replies never go back within a session,
// wherever it is connected; a session reads its own writes; an event arrives before a reply that shows its cause; what is
// read after a sync is at least as new as what anybody was told before the sync began.
type clientCheck struct {
	w *World
	// acknowledged are the writes that a client was told have happened.
	acknowledged []acknowledgedWrite
	// newest is the zxid of the newest write that any client knows of.
	newest wire.Zxid
}

type acknowledgedWrite struct {
	session wire.SessionID
	xid     int32
	zxid    wire.Zxid
	op      wire.OpCode
}

// clientView is what one client knows.
type clientView struct {
	// value is the last number that the client gave out for its own node; acked the newest that it knows to be there.
	value, acked int64
	created      bool
	lastWrite    time.Duration
	// mzxid is the newest modification that the session saw of each path.
	mzxid map[string]wire.Zxid
	// persistent are the paths with a persistent watch on this connection, and the newest zxid up to which it has been told
	// of changes there; everything if it watches all nodes, up to everythingSince before the first event.
	persistent      map[string]wire.Zxid
	everything      bool
	everythingSince wire.Zxid
	told            map[string]wire.Zxid
	// event is the newest zxid of an event on this connection.
	event wire.Zxid
	// absent are the paths with a watch on this connection for a node that was not there.
	absent map[string]bool
	// versions are those that were seen last.
	versions map[string]int32
	// watched are the paths with a data watch on this connection, and what the node was when it was set.
	watched map[string]wire.Zxid
}

func (v *clientView) connected() {
	v.watched, v.persistent, v.told = make(map[string]wire.Zxid), make(map[string]wire.Zxid), make(map[string]wire.Zxid)
	v.everything = false
	v.absent, v.event = make(map[string]bool), 0
}

// toldUpTo is the zxid up to which persistent watches have told of a node; ok is false without one.
func (v *clientView) toldUpTo(path string) (told wire.Zxid, ok bool) {
	since, ok := v.persistent[path]
	if v.everything && (!ok || v.everythingSince < since) {
		since, ok = v.everythingSince, true
	}
	return max(since, v.told[path]), ok
}

// sessionOver: what the session saw binds the next one no more.
func (v *clientView) sessionOver() {
	v.mzxid, v.versions = make(map[string]wire.Zxid), make(map[string]int32)
}

func valueText(v int64) []byte { return strconv.AppendInt(nil, v, 10) }

// checkZxid: replies of a session never show an older server than earlier ones.
func (c *simClient) checkZxid(h wire.ReplyHeader, op *operation) {
	if h.Zxid <= 0 {
		return
	}
	if h.Zxid < c.lastTxn {
		c.w.fail("session order", "client %d: reply to %v at %v after one at %v", c.index, op.op, h.Zxid, c.lastTxn)
	}
	if h.Zxid.Counter() > 0 && h.Zxid < c.seen.event {
		c.w.fail("events after their causes", "client %d: reply to %v at %v after an event of %v", c.index, op.op, h.Zxid, c.seen.event)
	}
	c.lastZxid = h.Zxid
	if h.Zxid.Counter() > 0 {
		c.lastTxn = h.Zxid
	}
}

// answered sees a reply.
func (c *checks) answered(client *simClient, op *operation, a *answer) {
	cc := &c.clients
	v := &client.seen
	if isWrite(op.op) && !(op.op == wire.OpCloseSession && c.local(client.session)) {
		// A refused write is a txn too.
		v.lastWrite = client.w.now
		if a.header.Zxid <= op.floor && a.header.Zxid > 0 {
			cc.w.fail("linearizable writes", "client %d: %v was asked for when %v had been acknowledged, and is %v", client.index, op.op, op.floor, a.header.Zxid)
		}
		cc.newest = max(cc.newest, a.header.Zxid)
		cc.acknowledged = append(cc.acknowledged, acknowledgedWrite{client.session, op.xid, a.header.Zxid, op.op})
	}
	if isWrite(op.op) && a.header.Err == wire.ErrOK && a.failed == wire.ErrOK {
		if op.value > 0 && op.path == "/c"+strconv.Itoa(client.index) {
			v.acked = max(v.acked, op.value)
			v.created = true
		}
	}
	c.reads.answered(client, op, a)
	switch {
	case op.op == wire.OpExists && a.header.Err == wire.ErrNoNode:
		v.absent[op.path] = true
	case op.op == wire.OpExists && a.header.Err == wire.ErrOK && op.watch:
		if _, ok := v.watched[op.path]; !ok {
			v.watched[op.path] = a.stat.Mzxid
		}
	case op.op == wire.OpSync && a.header.Zxid < op.floor:
		cc.w.fail("sync", "client %d: after sync %s is at %v, but %v was acknowledged before", client.index, client.link.m.name, a.header.Zxid, op.floor)
	case op.op == wire.OpCreate2 && a.header.Err == wire.ErrNodeExists:
		v.created = true
	case op.op == wire.OpGetData:
		cc.read(client, op, a)
	case op.op == wire.OpAddWatch && a.header.Err == wire.ErrOK:
		v.added(op.path, a.header.Zxid)
	}
}

// added notes a persistent watch, on all nodes if it is one of the root. One that is there stays as it is.
func (v *clientView) added(path string, zxid wire.Zxid) {
	if path == "/" {
		if !v.everything {
			v.everything, v.everythingSince = true, zxid
		}
		return
	}
	if _, ok := v.persistent[path]; !ok {
		v.persistent[path] = zxid
	}
}

func (cc *clientCheck) read(client *simClient, op *operation, a *answer) {
	v := &client.seen
	w := client.w
	if a.header.Err != wire.ErrOK {
		return
	}
	if op.path == "/c"+strconv.Itoa(client.index) {
		got, _ := strconv.ParseInt(string(a.data), 10, 64)
		if got < op.value {
			w.fail("a session reads its own writes", "client %d: %s is %d, but %d was acknowledged before", client.index, op.path, got, op.value)
		}
	}
	mzxid := a.stat.Mzxid
	if last := v.mzxid[op.path]; mzxid < last {
		w.fail("session order", "client %d: %s of %v after %v", client.index, op.path, mzxid, last)
	}
	v.mzxid[op.path] = mzxid
	if told, ok := v.toldUpTo(op.path); ok && mzxid > told {
		w.fail("event before reply", "client %d: %s shows %v, persistent watches have told of nothing after %v", client.index, op.path, mzxid, told)
	}
	if set, ok := v.watched[op.path]; ok && mzxid > set {
		w.fail("event before reply", "client %d: %s shows %v, the watch set at %v has not fired", client.index, op.path, mzxid, set)
	}
	if v.absent[op.path] {
		w.fail("event before reply", "client %d: %s is there, the watch for its creation has not fired", client.index, op.path)
	}
	if op.watch {
		if _, ok := v.watched[op.path]; !ok {
			v.watched[op.path] = mzxid
		}
	}
}

// handleEvent takes a watch event.
func (c *simClient) handleEvent(h wire.ReplyHeader, body []byte) {
	var e wire.WatcherEvent
	if err := e.Unmarshal(body); err != nil {
		c.w.fail("client protocol", "client %d: event %x: %v", c.index, body, err)
		return
	}
	c.seen.told[e.Path] = max(c.seen.told[e.Path], h.Zxid)
	c.seen.event = max(c.seen.event, h.Zxid)
	if _, ok := c.seen.toldUpTo(e.Path); ok {
		delete(c.seen.watched, e.Path)
		delete(c.seen.absent, e.Path)
		return
	}
	if _, ok := c.seen.watched[e.Path]; !ok && !c.seen.absent[e.Path] {
		c.w.fail("watches", "client %d: event %v for %s, which it does not watch", c.index, e.Type, e.Path)
	}
	delete(c.seen.watched, e.Path)
	delete(c.seen.absent, e.Path)
}

// local tells that a session never became one of the ensemble.
func (c *checks) local(id wire.SessionID) bool {
	if !c.w.opts.LocalSessions {
		return false
	}
	for _, t := range c.history.committed {
		if h := header(t.bytes); h.Session == id && h.Type == wire.OpCreateSession {
			return false
		}
	}
	return true
}

// unanswered sees an operation whose connection ended first: it may or may not have happened.
func (c *checks) unanswered(client *simClient, op *operation) {}

// expired sees a client being told that its session is over.
func (c *checks) expired(client *simClient) {
	if t := c.owners.closed[client.session]; t == 0 && !c.local(client.session) {
		c.w.fail("sessions", "client %d: session %v is said to be over, but no closeSession was logged", client.index, client.session)
	}
}

// replay applies what was committed, in order, to an empty tree: that is the state that every server must have.
func (c *checks) replay(m *machine) {
	t := tree.New(c.w.treeOptions())
	var last wire.Zxid
	for _, zxid := range slices.Sorted(maps.Keys(c.history.committed)) {
		if !follows(last, zxid) {
			c.w.fail("no holes", "%v was committed after %v", zxid, last)
			return
		}
		last = zxid
		e, err := txn.Decode(c.history.committed[zxid].bytes)
		if err != nil {
			c.w.fail("replay", "%v: %v", zxid, err)
			return
		}
		t.Apply(e.Header, e.Record, nil)
		c.reads.replayed(zxid, t)
	}
	c.reads.finish()
	if t.Digest() != m.node.Tree().Digest() {
		c.w.fail("acknowledged writes survive", "%s is not what the committed txns make", m.name)
	}
	if !slices.Equal(t.Sessions(), m.node.Tree().Sessions()) {
		c.w.fail("acknowledged writes survive", "%s has the sessions %v, the committed txns make %v", m.name, m.node.Tree().Sessions(), t.Sessions())
	}
}

// finish checks that what was acknowledged is what the ensemble agreed on.
func (cc *clientCheck) finish() {
	committed := cc.w.checks.history.committed
	for _, a := range cc.acknowledged {
		t, ok := committed[a.zxid]
		if !ok {
			cc.w.fail("acknowledged writes survive", "%v of session %v, xid %d, was acknowledged as %v, which was never committed", a.op, a.session, a.xid, a.zxid)
			return
		}
		if h := header(t.bytes); h.Session != a.session || h.Cxid != a.xid {
			cc.w.fail("acknowledged writes survive", "%v of session %v, xid %d, was acknowledged as %v, which is of session %v, xid %d", a.op, a.session, a.xid, a.zxid, h.Session, h.Cxid)
			return
		}
	}
}
