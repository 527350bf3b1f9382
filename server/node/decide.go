package node

import (
	"encoding/binary"
	"time"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// becomeDecider begins to make txns and to expire sessions, each of which gets its full timeout again.
func (n *Node) becomeDecider() {
	n.tracker = session.NewTracker(n.cfg.TickTime)
	for _, s := range n.tree.Sessions() {
		n.tracker.Add(s.ID, s.Timeout(), n.now.Mono)
	}
	n.preparer = prep.New(n.tree, n.tracker, n.policy)
	n.preparer.Metrics = n.cfg.Metrics
	n.preparer.MaxTxnBytes, n.preparer.MaxNeverUsed = n.cfg.MaxTxnBytes, n.cfg.ContainerMaxNeverUsed
	n.preparer.NoCloseSessionPaths = n.cfg.NoCloseSessionPaths
	n.preparer.CountChildren = n.cfg.Unsafe.CountChildren
	if n.cfg.EnforceQuota {
		n.preparer.QuotaExceeded = func(e tree.QuotaExcess) { n.note(QuotaExceeded{e}) }
	}
	n.preparer.MultiAddress, n.preparer.CheckMembers = n.cfg.MultiAddress, n.cfg.CheckMembers
	n.preparer.ReconfigEnabled, n.preparer.StandaloneEnabled = n.cfg.ReconfigEnabled, n.cfg.StandaloneEnabled
	if n.leader != nil {
		n.preparer.Membership = n.leader
	}
	n.nextContainerCheck = n.now.Mono + n.cfg.ContainerCheckInterval
	// Ephemeral nodes without a session can come from a leader of old that failed to list them.
	for _, id := range n.tree.EphemeralOwners() {
		if _, ok := n.tree.Session(id); !ok {
			n.prepare(ownerHere, zab.Request{Session: id, Op: wire.OpCloseSession})
		}
	}
}

func (n *Node) endDeciding() {
	n.tracker, n.preparer = nil, nil
	n.expendable = nil
}

// prepare makes a txn of a request and proposes it.
func (n *Node) prepare(owner session.Owner, r zab.Request) {
	n.cfg.Metrics.PrepProcessorRequestQueued.Add(1)
	zxid, ok := n.nextZxid()
	if !ok {
		return
	}
	n.work.Made++
	if r.Op == wire.OpCloseSession {
		n.work.Closed++
	}
	if r.Op == wire.OpCreateSession && len(r.Body) >= 4 {
		timeout := time.Duration(int32(binary.BigEndian.Uint32(r.Body))) * time.Millisecond
		n.tracker.Add(r.Session, timeout, n.now.Mono)
		n.tracker.SetOwner(r.Session, owner)
		if n.local != nil {
			n.local.Remove(r.Session)
		}
	} else {
		n.tracker.Touch(r.Session, n.now.Mono)
	}
	e := n.preparer.Prepare(prep.Request{
		Session: r.Session, Cxid: r.Cxid, Type: r.Op, Body: r.Body, Auth: r.Auth, Owner: owner,
		NoEphemerals: n.noEphemerals(owner, r),
	}, zxid, n.now.WallMillis)
	if n.leader != nil {
		if set, ok := e.Record.(*txn.SetData); ok && n.cfg.Unsafe.EarlyEvents {
			n.notify(tree.Event{Type: wire.NodeDataChanged, Path: set.Path, ACL: wire.OpenACL(), Zxid: zxid})
		}
		n.leader.Propose(e)
		return
	}
	n.standalone = append(n.standalone, e)
	n.proposed = zxid
	n.append(e)
}

// nextZxid is that of the next txn. ok is false if this role makes no more of them.
func (n *Node) nextZxid() (zxid wire.Zxid, ok bool) {
	if n.restoring != nil && !n.restoring.installed {
		return 0, false
	}
	if n.leader != nil {
		return n.leader.NextZxid()
	}
	return n.proposed + 1, n.role == Standalone
}

// commitStandalone delivers what the only log there is holds.
func (n *Node) commitStandalone(upTo wire.Zxid) {
	for len(n.standalone) > 0 && n.standalone[0].Header.Zxid <= upTo {
		e := n.standalone[0]
		n.standalone = n.standalone[1:]
		n.history.Add(e)
		n.deliver(e)
	}
}

// expiriesPerTick bounds how many sessions expire at one tick. When the clients of a whole site go, the ends of their sessions
// must not keep the leader from its followers.
const expiriesPerTick = 1000

// tickDecider expires sessions and removes what nobody needs any more.
func (n *Node) tickDecider() {
	now := n.now.Mono
	if n.cfg.Unsafe.ExpireEarly {
		now += n.cfg.MinSessionTimeout * 2
	}
	for _, id := range n.tracker.Expire(now, expiriesPerTick) {
		n.cfg.Metrics.StaleSessionsExpired.Add(1)
		n.prepare(ownerHere, zab.Request{Session: id, Op: wire.OpCloseSession})
	}
	if n.now.Mono >= n.nextContainerCheck {
		n.nextContainerCheck = n.now.Mono + n.cfg.ContainerCheckInterval
		n.expendable = n.tree.Expendable(n.now.WallMillis, n.cfg.ContainerMaxNeverUsed)
	}
	n.deleteExpendable()
}

// deleteExpendable deletes a few of the containers and TTL nodes that are to go: evenly over the minute, so that other
// requests are not held up.
func (n *Node) deleteExpendable() {
	each := time.Minute / time.Duration(n.cfg.ContainerMaxPerMinute)
	n.nextContainerDelete = max(n.nextContainerDelete, n.now.Mono-2*TickInterval) // what was not used up is lost
	for ; len(n.expendable) > 0 && n.now.Mono >= n.nextContainerDelete; n.nextContainerDelete += each {
		path := n.expendable[0]
		n.expendable = n.expendable[1:]
		n.prepare(ownerHere, zab.Request{Op: wire.OpDeleteContainer, Body: wire.AppendString(nil, path)})
	}
}
