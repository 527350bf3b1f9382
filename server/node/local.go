package node

import (
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// beginLocal opens a session of which only this member knows: without a txn, and thus at once.
func (n *Node) beginLocal(c *client) {
	n.local.Add(c.session, c.timeout, n.now.Mono)
	n.local.SetOwner(c.session, ownerHere)
	c.local = true
	n.establish(c)
}

// renewLocal handles the return of a client whose session only this member knows. While nothing else can be known, a
// session that is not known is over, and one of the ensemble is for another server to go on with.
func (n *Node) renewLocal(c *client) (done bool) {
	switch _, global := n.tree.Session(c.session); {
	case n.local != nil && n.local.Known(c.session):
		c.local = true
		n.renewed(c, n.local.Renew(c.session, c.timeout, n.now.Mono))
	case !n.readOnly:
		return false
	case global:
		n.closeClient(c)
	default:
		n.refuse(c)
	}
	return true
}

// upgrade makes a local session one of the ensemble, so that it can own ephemeral nodes
// (UpgradeableSessionTracker.upgradeSession). A leader lets go of the local session only when it prepares the
// createSession, since requests before that can still wait for a sync.
func (n *Node) upgrade(c *client) {
	c.local = false
	if n.tracker == nil {
		n.local.Remove(c.session)
	}
	n.submit(zab.Request{Session: c.session, Op: wire.OpCreateSession, Body: wire.AppendInt32(nil, int32(c.timeout.Milliseconds()))})
}

// noEphemerals is the code with which a leader refuses ephemeral nodes to a session that is a local one, here or, for all
// that it can know, at the learner that forwards its request; wire.ErrOK if it is none
// (LeaderSessionTracker.checkSession). Only who knows the session can name the reason, and does where Apache ZooKeeper
// looks for one.
func (n *Node) noEphemerals(owner session.Owner, r zab.Request) wire.ErrCode {
	switch {
	case n.local == nil || n.tracker.Known(r.Session):
		return wire.ErrOK
	case n.local.Known(r.Session) && (r.Op == wire.OpCreate || r.Op == wire.OpCreate2 || r.Op == wire.OpMulti):
		return wire.ErrEphemeralOnLocalSession
	case n.local.Known(r.Session):
		return wire.ErrSessionExpired
	case owner == ownerHere || byte(r.Session>>56) == byte(n.cfg.Self):
		return wire.ErrOK // it was one of this member, and is over
	}
	return wire.ErrSessionExpired
}

// expireLocal ends the local sessions of which nothing was heard for their timeout.
func (n *Node) expireLocal() {
	if n.local == nil {
		return
	}
	for _, id := range n.local.Expire(n.now.Mono, 0) {
		n.local.Remove(id)
		if c := n.sessions[id]; c != nil {
			n.closeClient(c)
		}
	}
}
