package node

import (
	"github.com/zkctl/zkctl/server/final"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// append writes a txn to the log, and begins a snapshot when enough of them have been.
func (n *Node) append(e txn.Entry) {
	if n.cfg.NoLog && n.role == Observing && !n.isToVote() {
		n.unlogged = true
		return
	}
	id := n.storage.nextID()
	n.write(id, Append{ID: id, Zxid: e.Header.Zxid, Txn: e.Bytes})
	n.sinceRoll++
	n.sinceRollBytes += int64(len(e.Bytes))
	if n.sinceRoll <= n.rollAfter && (n.rollAfterBytes == 0 || n.sinceRollBytes <= n.rollAfterBytes) {
		return
	}
	n.resetRoll()
	id = n.storage.nextID()
	n.write(id, RollLog{ID: id})
	if n.storage.background != 0 || !n.serving || n.diverges {
		return
	}
	id = n.storage.nextID()
	n.storage.background = id
	n.note(TakeSnapshot{ID: id, Zxid: n.tree.LastZxid(), Tree: n.tree, Background: true})
}

// resetRoll draws anew after how many txns, and bytes of them, the log is rolled.
func (n *Node) resetRoll() {
	n.sinceRoll, n.sinceRollBytes = 0, 0
	n.rollAfter = n.cfg.SnapCount/2 + n.cfg.Rand.IntN(n.cfg.SnapCount/2)
	if half := n.cfg.SnapSizeLimitBytes / 2; half > 0 {
		n.rollAfterBytes = half + n.cfg.Rand.Int64N(half)
	}
}

// deliver applies a committed txn, tells the watchers and answers the client, if it is here. Events come before the
// answer, and before any later answer that could show their cause.
func (n *Node) deliver(e txn.Entry) {
	var result tree.Result
	if end, ok := e.Record.(*txn.CloseSession); ok && n.cfg.Unsafe.KeepEphemerals && n.learner != nil {
		result = n.tree.Apply(txn.Header{Zxid: e.Header.Zxid, Type: wire.OpError}, &txn.Error{}, nil)
	} else if ok {
		result = n.applyClose(e, end)
	} else {
		result = n.tree.Apply(e.Header, e.Record, n.notify)
	}
	// During a synchronisation the tree may still hold effects of txns that come only now.
	if n.serving && !n.cfg.Tree.NoDigest && e.Digest != nil && e.Digest.Version == txn.DigestVersion && e.Digest.Tree != n.tree.Digest() {
		n.digestMismatches++
		n.cfg.Metrics.DigestMismatchesCount.Add(1)
	}
	if n.serving {
		n.measureDelivered(e)
	}
	read := n.work.Read
	if n.preparer != nil {
		n.preparer.Applied(e.Header.Zxid)
	}
	c := n.sessions[e.Header.Session]
	defer func() { n.measureDrained(c, n.work.Read-read) }()
	switch e.Header.Type {
	case wire.OpCreateSession:
		if c != nil && c.creating {
			n.establish(c)
		}
		return
	case wire.OpCloseSession:
		n.sessionClosed(e, c, result)
		return
	}
	if n.isOrphan(e.Header) || c == nil {
		return
	}
	n.complete(c, e.Header, result)
}

// sessionClosed ends the connection of a session that is over, after the answer if its client asked for it.
func (n *Node) sessionClosed(e txn.Entry, c *client, result tree.Result) {
	defer delete(n.orphans, e.Header.Session)
	if n.tracker != nil {
		n.tracker.Remove(e.Header.Session)
	}
	if c == nil {
		return
	}
	if c.closing {
		n.complete(c, e.Header, result)
		return
	}
	n.closeClient(c)
}

// notify sends an event to the watchers that may see it.
func (n *Node) notify(event tree.Event) {
	n.watchers = n.watches.Trigger(event.Type, event.Path, n.watchers[:0])
	if len(n.watchers) == 0 {
		return
	}
	n.measureEvent(event.Type, n.watchers)
	var frame []byte
	for _, w := range n.watchers {
		c := n.clients[ClientID(w)]
		if c == nil || !n.policy.Allowed(event.ACL, wire.PermRead, c.auth) {
			continue
		}
		if frame == nil {
			frame = final.Event(event)
		}
		if n.cfg.Unsafe.LateEvents {
			n.lateEvents = append(n.lateEvents, SendFrame{Client: c.id, Frame: frame})
			continue
		}
		n.note(SendFrame{Client: c.id, Frame: frame})
	}
}
