package node

import (
	"github.com/zkctl/zkctl/server/final"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// handleClientRequest takes a request of a client into its order: what needs the ensemble is sent there at once, what
// does not is answered when nothing before it waits (CommitProcessor: reads of a session wait for its own writes, and
// for nobody else's).
func (n *Node) handleClientRequest(in ClientRequest) {
	c := n.clients[in.Client]
	switch {
	case c == nil || c.closing:
		return
	case !c.established:
		c.early = append(c.early, in)
		return
	}
	n.touch(c)
	if n.throttles() {
		n.hold(c, in)
		return
	}
	n.take(c, in, wire.ErrOK)
}

// take handles a request in its turn, or refuses it.
func (n *Node) take(c *client, in ClientRequest, refusal wire.ErrCode) {
	if c.closing {
		return
	}
	r := request{header: in.Header, body: in.Body, refusal: refusal}
	switch op := in.Header.Type; {
	case c.barred && op != wire.OpAuth && op != wire.OpSASL:
		n.bar(c, r)
	case refusal != wire.ErrOK && op != wire.OpAuth && op != wire.OpSASL:
		n.answerInTurn(c, r)
	case op == wire.OpCloseSession && c.local:
		c.closing = true
		n.answerInTurn(c, r)
	case n.readOnly && (isWrite(op) || op == wire.OpSync):
		r.refusal = wire.ErrNotReadOnly
		n.answerInTurn(c, r)
	case isWrite(op):
		n.submitWrite(c, r)
	case op == wire.OpSync && n.role != Standalone && !(n.cfg.Unsafe.SyncAlone && n.learner != nil):
		r.waits = waitsForSync
		n.enqueue(c, r)
		n.syncing = append(n.syncing, c.id)
		n.submit(zab.Request{Session: c.session, Cxid: in.Header.Xid, Op: op, Body: in.Body, Auth: c.auth})
	case op == wire.OpAuth:
		n.authenticate(c, r)
	case op == wire.OpSASL:
		n.negotiate(c, r)
	default:
		n.answerInTurn(c, r)
	}
}

// submitWrite sends a request to where it becomes a txn.
func (n *Node) submitWrite(c *client, r request) {
	op := r.header.Type
	if n.cfg.EagerACLCheck && n.role != Standalone {
		if code := prep.Eagerly(n.tree, n.policy, op, r.body, c.auth); code != wire.ErrOK {
			n.answerAtOnce(c, r, wire.ReplyHeader{Xid: r.header.Xid, Err: code}.Append(nil), false)
			return
		}
	}
	r.waits = waitsForCommit
	c.closing = op == wire.OpCloseSession
	upgrades := c.local && prep.CreatesEphemeral(op, r.body)
	if upgrades && !n.cfg.LocalSessionsUpgrading {
		upgrades, r.refusal = false, wire.ErrEphemeralOnLocalSession
	}
	if n.cfg.Audit {
		r.auth = c.auth
	}
	n.enqueue(c, r)
	if upgrades {
		n.upgrade(c)
	}
	n.submit(zab.Request{Session: c.session, Cxid: r.header.Xid, Op: op, Body: r.body, Auth: c.auth})
}

// isWrite tells whether a client's request becomes a txn.
func isWrite(op wire.OpCode) bool {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData,
		wire.OpSetACL, wire.OpMulti, wire.OpReconfig, wire.OpCloseSession:
		return true
	}
	return false
}

// submit sends a request to where txns are made: here, or the leader.
func (n *Node) submit(r zab.Request) {
	switch {
	case n.learner != nil:
		n.learner.Request(r)
	case n.leader != nil:
		n.leader.Request(0, r)
	default:
		n.prepare(ownerHere, r)
	}
	n.drain()
}

// handleSynced completes the oldest sync.
func (n *Node) handleSynced() {
	if len(n.syncing) == 0 {
		return
	}
	c := n.clients[n.syncing[0]]
	n.syncing = n.syncing[1:]
	if c == nil {
		return
	}
	for i := range c.queue {
		if c.queue[i].waits == waitsForSync {
			c.queue[i].waits = waitsForTurn
			n.writesInFlight--
			break
		}
	}
	n.advance(c)
}

// answerInTurn answers a request now, or when those before it have been.
func (n *Node) answerInTurn(c *client, r request) {
	if len(c.queue) == 0 || n.cfg.Unsafe.ReadPastWrites && final.IsRead(r.header.Type) {
		if n.answer(c, &r) {
			n.closeClient(c)
		}
		return
	}
	n.enqueue(c, r)
	n.advance(c)
}

func (n *Node) enqueue(c *client, r request) {
	r.since = n.now.Mono
	c.queue = append(c.queue, r)
	n.inFlight++
	if r.waits.ensemble() {
		n.writesInFlight++
	}
	if len(c.queue) == 1 {
		n.sessionsInFlight++
	}
	n.cfg.Metrics.RequestsInSessionQueue.Add(int64(len(c.queue)))
}

// advance answers what no longer waits, from the front of the client's queue.
func (n *Node) advance(c *client) {
	waited := int64(0)
	defer func() {
		if waited > 0 {
			n.cfg.Metrics.ReadsAfterWriteInSessionQueue.Add(waited)
		}
	}()
	for len(c.queue) > 0 {
		r := &c.queue[0]
		switch r.waits {
		case waitsForCommit, waitsForSync:
			return
		case waitsForTurn:
			waited++
			n.cfg.Metrics.ReadCommitprocTime.Took(n.now.Mono - r.since)
			r.closes = n.answer(c, r)
		}
		if r.reply != nil {
			n.note(SendFrame{Client: c.id, Frame: r.reply})
		}
		closes := r.closes
		c.queue[0] = request{}
		c.queue = c.queue[1:]
		n.inFlight--
		if len(c.queue) == 0 {
			n.sessionsInFlight--
		}
		if closes {
			n.closeClient(c)
			return
		}
	}
	c.queue = nil
}

// orphan notes that a request whose txn is to come has lost its connection. Some clients number the requests of each connection
// anew (kazoo): what an earlier one of the session has asked for, here or elsewhere, is no answer to a later one.
func (n *Node) orphan(session wire.SessionID, xid int32) {
	n.orphans[session] = append(n.orphans[session], xid)
}

// isOrphan tells whether a txn is of the oldest request of its session that has lost its connection here, which is forgotten.
func (n *Node) isOrphan(h txn.Header) bool {
	xids := n.orphans[h.Session]
	if len(xids) == 0 || xids[0] != h.Cxid {
		return false
	}
	if n.orphans[h.Session] = xids[1:]; len(xids) == 1 {
		delete(n.orphans, h.Session)
	}
	return true
}

// complete answers the write of a client whose txn was delivered. One that moved has no answer.
func (n *Node) complete(c *client, h txn.Header, result tree.Result) {
	if h.Zxid <= c.after {
		return // of a connection to another server
	}
	for i := range c.queue {
		r := &c.queue[i]
		if r.waits != waitsForCommit {
			continue
		}
		if r.header.Xid == h.Cxid {
			n.writesInFlight--
			n.cfg.Metrics.WriteCommitprocTime.Took(n.now.Mono - r.since)
			n.cfg.Metrics.PendingSessionQueueSize.Add(int64(n.sessionsInFlight))
			if r.refusal != wire.ErrOK && h.Type == wire.OpError {
				result.Err = r.refusal
			}
			n.audit(c, r, h, result)
			r.waits = answered
			switch {
			case result.Err == wire.ErrSessionMoved:
				r.closes = true
			default:
				r.reply, r.closes = final.Reply(h, result), h.Type == wire.OpCloseSession
			}
			n.advance(c)
		}
		return
	}
}
