package node

import (
	"crypto/x509"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/final"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/throttle"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// ownerHere is this server as the owner of sessions; learners own theirs by their connection.
const ownerHere session.Owner = 1<<64 - 1

// client is a connection of the client port with a session, or on its way to one.
type client struct {
	id     ClientID
	remote netip.Addr
	// certificates are those that the client has shown, verified.
	certificates []*x509.Certificate
	session      wire.SessionID
	timeout      time.Duration
	heard        time.Duration // Now.Mono of the last sign of life
	auth         []wire.ID
	reads        *final.Reads
	// barred tells that the client has to authenticate itself before it may ask anything.
	barred   bool
	exchange auth.Exchange
	// hasReadOnly tells that the client knows the field readOnly, and so must be sent it.
	hasReadOnly bool
	// local tells that only this member knows the session.
	local bool
	// creating tells that the session is new and waits for its createSession.
	creating bool
	// opening tells that its createSession is in process.
	opening bool
	// established tells that the ConnectResponse was sent; requests wait for it in early.
	established bool
	early       []ClientRequest
	// after is the newest txn known when the connection took over a session: none up to it is of a request of this one.
	after wire.Zxid
	// closing tells that the client has sent closeSession; nothing after it is answered.
	closing bool
	// queue are the requests in flight, by arrival. Its first one waits for the ensemble.
	queue []request
}

// request is a request of a client that could not be answered at once.
type request struct {
	header wire.RequestHeader
	body   []byte
	waits  waiting
	since  time.Duration // Now.Mono of its arrival
	// reply is the answer to one that no longer waits but has others before it.
	reply []byte
	// refusal is the code of the answer to one that waits for its turn only to be refused, and of the answer to a write
	// that the leader refuses without knowing the better reason.
	refusal wire.ErrCode
	// closes ends the connection after the reply.
	closes bool
	// auth are the ids of the client when it sent the request, for the audit log.
	auth []wire.ID
}

type waiting int

const (
	waitsForTurn   waiting = iota // can be answered when it is the first
	waitsForCommit                // until its txn is delivered
	waitsForSync                  // until the leader answers
	answered
)

// ensemble tells that the request waits for what happens elsewhere.
func (w waiting) ensemble() bool { return w == waitsForCommit || w == waitsForSync }

// handleClientConnected handles a ConnectRequest as ZooKeeperServer.processConnectRequest does, but looks at the
// password before it closes the session's other connection.
func (n *Node) handleClientConnected(in ClientConnected) {
	r := in.Request
	kind := n.kindOf(r)
	switch {
	case !n.admits():
		n.cfg.Metrics.CnxnClosedWithoutZkServerRunning.Add(1)
		n.note(CloseClient{Client: in.Client})
		return
	case !n.connections.Admit(kind, n.now.Mono):
		n.cfg.Metrics.ConnectionRejected.Add(1)
		n.note(CloseClient{Client: in.Client})
		return
	}
	n.cfg.Metrics.ConnectionTokenDeficit.Add(n.connections.Deficit())
	n.cfg.Metrics.ConnectionRequestCount.Add(1)
	if kind == throttle.Renew {
		n.cfg.Metrics.ConnectionRevalidateCount.Add(1)
	}
	if n.readOnly && !r.ReadOnly || r.LastZxidSeen > n.seen() && !n.cfg.Unsafe.ServeAhead {
		n.note(CloseClient{Client: in.Client})
		return
	}
	timeout := time.Duration(r.TimeOut) * time.Millisecond
	timeout = min(max(timeout, n.cfg.MinSessionTimeout), n.cfg.MaxSessionTimeout)
	c := &client{
		id: in.Client, remote: in.Remote, certificates: in.Certificates, timeout: timeout, heard: n.now.Mono, hasReadOnly: r.HasReadOnly,
		reads: final.NewReads(&n.cfg.Metrics.ReadPerNamespace),
	}
	n.identify(c, n.policy.Initial(n.conn(c)))
	n.clients[c.id] = c
	if r.SessionID == 0 {
		c.session = n.newSession()
		n.sessions[c.session] = c
		if n.local != nil {
			n.beginLocal(c)
			return
		}
		c.creating = true
		if n.throttles() {
			n.hold(c, ClientRequest{Client: c.id, Header: wire.RequestHeader{Type: wire.OpCreateSession}})
			return
		}
		n.createSession(c)
		return
	}
	c.session = r.SessionID
	if password := session.Password(c.session); string(password[:]) != string(r.Passwd) {
		n.refuse(c)
		return
	}
	if other := n.sessions[c.session]; other != nil {
		n.closeClient(other)
	}
	n.sessions[c.session] = c
	if n.renewLocal(c) {
		return
	}
	if n.role == Standalone {
		n.renewed(c, n.tracker.Renew(c.session, timeout, n.now.Mono) && n.tracker.SetOwner(c.session, ownerHere))
		return
	}
	if n.cfg.Unsafe.RevalidateAlone && n.learner != nil {
		n.renewed(c, true)
		return
	}
	n.renewals = append(n.renewals, renewal{session: c.session, client: c.id})
	if n.learner != nil {
		n.learner.Revalidate(c.session, timeout)
	} else {
		n.revalidate(zab.Revalidate{Session: c.session, Timeout: timeout})
	}
	n.drain()
}

// createSession lets the ensemble know of a new session.
func (n *Node) createSession(c *client) {
	c.opening = true
	n.opening++
	n.submit(zab.Request{Session: c.session, Op: wire.OpCreateSession, Body: wire.AppendInt32(nil, int32(c.timeout.Milliseconds()))})
}

// kindOf is what a client wants, for the throttle.
func (n *Node) kindOf(r wire.ConnectRequest) throttle.Kind {
	switch {
	case r.SessionID != 0:
		return throttle.Renew
	case n.local != nil:
		return throttle.Local
	}
	return throttle.Global
}

// newSession returns an id that no living session has: the clock that ids come from may have gone back since an earlier
// run of this server.
func (n *Node) newSession() wire.SessionID {
	for {
		id := n.ids.Next()
		if _, taken := n.tree.Session(id); !taken {
			return id
		}
	}
}

// renewal is a question to the leader about a session whose client came to this server.
type renewal struct {
	session wire.SessionID
	client  ClientID
}

// handleRevalidated gives the leader's answer to the client that has waited longest for one about this session.
func (n *Node) handleRevalidated(id wire.SessionID, valid bool) {
	for i, r := range n.renewals {
		if r.session != id {
			continue
		}
		if i == 0 { // the rule: answers come in order, and there may be many thousands
			n.renewals = n.renewals[1:]
		} else {
			n.renewals = slices.Delete(n.renewals, i, i+1)
		}
		if c := n.clients[r.client]; c != nil {
			n.renewed(c, valid)
		}
		return
	}
}

func (n *Node) renewed(c *client, valid bool) {
	if !valid {
		n.refuse(c)
		return
	}
	c.after = n.newest()
	n.establish(c)
}

// newest is that of the last txn that has been made, as far as this server knows.
func (n *Node) newest() wire.Zxid {
	switch {
	case n.leader != nil:
		return n.leader.LastProposed()
	case n.learner != nil:
		return n.learner.Received()
	}
	return n.proposed
}

// establish sends the ConnectResponse and handles what the client sent meanwhile.
func (n *Node) establish(c *client) {
	password := session.Password(c.session)
	response := wire.ConnectResponse{
		TimeOut: int32(c.timeout.Milliseconds()), SessionID: c.session, Passwd: password[:],
		HasReadOnly: c.hasReadOnly, ReadOnly: n.readOnly,
	}
	n.note(SendFrame{Client: c.id, Frame: response.Append(nil)})
	n.opened(c)
	c.creating, c.established = false, true
	n.touch(c)
	early := c.early
	c.early = nil
	for _, r := range early {
		n.handleClientRequest(r)
	}
}

// refuse tells a client that its session is over.
func (n *Node) refuse(c *client) {
	response := wire.ConnectResponse{Passwd: make([]byte, 16), HasReadOnly: c.hasReadOnly, ReadOnly: n.readOnly}
	n.note(SendFrame{Client: c.id, Frame: response.Append(nil)})
	n.closeClient(c)
}

// touch notes that a client's session is alive.
func (n *Node) touch(c *client) {
	c.heard = n.now.Mono
	switch {
	case n.local != nil && n.local.Renew(c.session, c.timeout, n.now.Mono):
	case n.learner != nil:
		n.learner.Touch(c.session, c.timeout)
	case n.tracker != nil:
		n.tracker.Renew(c.session, c.timeout, n.now.Mono)
	}
}

func (n *Node) handleClientsTouched(in ClientsTouched) {
	for _, id := range in.Clients {
		if c := n.clients[id]; c != nil && c.established {
			n.touch(c)
			c.reads.Flush()
		}
	}
}

// closeSilent closes connections of which nothing was heard for longer than a session lasts. Most end with their sessions;
// these belong to sessions that have moved to another server, and nobody told this one that the client is gone.
func (n *Node) closeSilent() {
	if n.now.Mono < n.nextSilenceCheck {
		return
	}
	n.nextSilenceCheck = n.now.Mono + n.cfg.TickTime
	var silent []ClientID
	for id, c := range n.clients {
		if n.now.Mono-c.heard > c.timeout+2*n.cfg.TickTime {
			silent = append(silent, id)
		}
	}
	slices.Sort(silent)
	for _, id := range silent {
		n.closeClient(n.clients[id])
	}
}

// closeClient forgets a client and closes its connection. The session lives on.
func (n *Node) closeClient(c *client) {
	n.note(CloseClient{Client: c.id})
	n.forgetClient(c)
}

// opened notes that the createSession of a client is no longer in process.
func (n *Node) opened(c *client) {
	if c.opening {
		c.opening = false
		n.opening--
	}
}

func (n *Node) forgetClient(c *client) {
	n.opened(c)
	delete(n.clients, c.id)
	if n.sessions[c.session] == c {
		delete(n.sessions, c.session)
	}
	n.watches.Drop(watch.Watcher(c.id))
	n.inFlight -= len(c.queue)
	for _, r := range c.queue {
		if r.waits.ensemble() {
			n.writesInFlight--
		}
		if r.waits == waitsForCommit {
			n.orphan(c.session, r.header.Xid)
		}
	}
	if len(c.queue) > 0 {
		n.sessionsInFlight--
	}
	c.reads.Flush()
	for i, s := range n.syncing {
		if s == c.id {
			n.syncing[i] = 0 // the answer will come, and concern nobody
		}
	}
}

func (n *Node) handleClientClosed(in ClientClosed) {
	if c := n.clients[in.Client]; c != nil {
		n.forgetClient(c)
	}
}

// closeAllClients lets every client go elsewhere.
func (n *Node) closeAllClients() {
	for _, id := range slices.Sorted(maps.Keys(n.clients)) {
		n.closeClient(n.clients[id])
	}
	n.renewals, n.syncing, n.held = nil, nil, nil
}
