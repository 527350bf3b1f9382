package node

import (
	"fmt"
	"maps"
	"slices"

	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// drain carries out what the role has noted down, until nothing is left.
func (n *Node) drain() {
	if n.draining {
		return // the loop below sees it
	}
	n.draining = true
	defer func() { n.draining = false }()
	for {
		n.roleEffects = n.roleEffects[:0]
		switch {
		case n.leader != nil:
			n.roleEffects = n.leader.Take(n.roleEffects)
		case n.learner != nil:
			n.roleEffects = n.learner.Take(n.roleEffects)
		}
		if len(n.roleEffects) == 0 {
			return
		}
		ended := n.ended
		for _, e := range n.roleEffects {
			if n.ended != ended {
				break // the rest is of a role that is over
			}
			n.carryOut(e)
		}
		clear(n.roleEffects)
	}
}

func (n *Node) carryOut(e zab.Effect) {
	n.measureRole(e)
	switch e := e.(type) {
	case zab.Send:
		n.note(SendPacket{Conn: ConnID(e.Conn), Packet: e.Packet})
	case zab.SendSnapshot:
		n.note(SendSnapshot{Conn: ConnID(e.Conn), Zxid: e.Zxid, Tree: n.tree})
	case zab.ReadLog:
		n.note(ReadLog{Conn: ConnID(e.Conn), After: e.After, UpTo: e.UpTo})
	case zab.Close:
		delete(n.conns, ConnID(e.Conn))
		n.note(CloseConn{Conn: ConnID(e.Conn)})
	case zab.Append:
		n.append(e.Entry)
	case zab.SaveEpoch:
		if e.Current && n.unlogged {
			// On disk it would stand for a history that is not there: the votes of such a server beat those that have it.
			n.learner.EpochSaved(true, e.Epoch)
			return
		}
		id := n.storage.nextID()
		n.write(id, SaveEpoch{ID: id, Current: e.Current, Epoch: e.Epoch})
	case zab.Truncate:
		id := n.storage.nextID()
		n.write(id, Truncate{ID: id, Zxid: e.Zxid})
	case zab.Install:
		n.tree = e.Tree
	case zab.SaveSnapshot:
		id := n.storage.nextID()
		n.write(id, TakeSnapshot{ID: id, Zxid: e.Zxid, Tree: n.tree, Supersede: true})
		n.unlogged = false
	case zab.SeeMembers:
		n.see(e.Members)
		if n.unlogged && n.isToVote() {
			n.needSnapshot = true
			n.endRole("this observer is to vote, and has no log")
		}
	case zab.Activate:
		n.activate(e.Members)
	case zab.Deliver:
		n.deliver(e.Entry)
	case zab.Serve:
		n.current = e.Epoch // durable before the role came so far
		n.election.Established(e.Epoch)
		n.serve()
	case zab.GiveUp:
		n.needSnapshot = n.needSnapshot || e.NeedSnapshot
		n.heir = e.Follow
		n.endRole(e.Reason)
	case zab.Forwarded:
		n.prepare(ownerOf(e.Conn), e.Request)
	case zab.Revalidate:
		n.revalidate(e)
	case zab.Touched:
		for _, t := range e.Sessions {
			n.tracker.Renew(t.Session, t.Timeout, n.now.Mono)
		}
	case zab.Moved:
		if c := n.sessions[e.Session]; c != nil {
			n.closeClient(c)
		}
	case zab.Synced:
		n.handleSynced()
	case zab.Revalidated:
		n.handleRevalidated(e.Session, e.Valid)
	default:
		panic(fmt.Sprintf("node: effect %T", e))
	}
}

// revalidate answers a leader's learner, or its own client, whose session moved.
func (n *Node) revalidate(q zab.Revalidate) {
	owner := ownerOf(q.Conn)
	if owner != ownerHere && !q.Confirmed {
		n.cfg.Metrics.RevalidateCount.Add(1)
	}
	valid := n.tracker.Renew(q.Session, q.Timeout, n.now.Mono) && n.tracker.SetOwner(q.Session, owner)
	switch {
	case !valid && !q.Confirmed:
		n.leader.ConfirmRevalidate(q)
	case owner != ownerHere && !q.Confirmed && n.leader.SettleRevalidate(q):
	case owner == ownerHere:
		n.handleRevalidated(q.Session, valid)
	default:
		n.leader.AnswerRevalidate(q.Conn, q.Session, valid)
		if c := n.sessions[q.Session]; c != nil && valid {
			n.closeClient(c) // its client has gone to the learner
		}
	}
}

// ownerOf is the owner of the sessions at a learner, or here, for connection 0.
func ownerOf(conn zab.ConnID) session.Owner {
	if conn == 0 {
		return ownerHere
	}
	return session.Owner(conn)
}

// learnerConns lists the open connections of learners.
func (n *Node) learnerConns() []ConnID { return slices.Sorted(maps.Keys(n.conns)) }

func (n *Node) handleNotification(in NotificationReceived) {
	if n.adopt(in.Notification.Config) {
		return
	}
	n.election.Step(n.now.Mono, in.From, in.Notification)
	if n.isForsaken(in) {
		n.cfg.Metrics.QuitLeadingDueToDisloyalVoter.Add(1)
		n.endRole("elected, but a voter looks for another leader")
		return
	}
	n.afterElection()
}

// isForsaken tells that a voter looks for a leader again while this one has waited long for a quorum
// (Leader.reportLookingSid).
func (n *Node) isForsaken(in NotificationReceived) bool {
	limit := n.cfg.MaxTimeToWaitForEpoch
	return limit > 0 && n.leader != nil && n.leader.WaitsForEpochs() && n.now.Mono-n.since > limit &&
		in.Notification.State == wire.Looking && n.members.IsVoter(in.From)
}

func (n *Node) handleLearnerAccepted(in LearnerAccepted) {
	switch {
	case n.leader != nil:
		n.conns[in.Conn] = struct{}{}
		n.leader.Accept(zab.ConnID(in.Conn), in.Remote)
	case n.learner != nil:
		n.conns[in.Conn] = struct{}{}
		n.learner.AcceptObserver(zab.ConnID(in.Conn), in.Remote)
	default:
		n.note(CloseConn{Conn: in.Conn})
	}
	n.drain()
}

func (n *Node) handleLeaderConnected(in LeaderConnected) {
	if n.learner == nil || in.Conn != n.leaderConn {
		n.note(CloseConn(in))
		return
	}
	n.inVain++
	n.learner.Connected(n.now.Mono)
	n.drain()
}

func (n *Node) handlePacket(in PacketReceived) {
	switch {
	case n.leader != nil:
		n.measurePacket(in.Conn, in.Packet, func() { n.leader.Receive(zab.ConnID(in.Conn), in.Packet) })
	case n.learner != nil && in.Conn == n.leaderConn:
		if in.Packet.Type == wire.PacketLeaderInfo {
			n.syncingSince = n.now.Mono
		}
		n.learner.Receive(in.Packet)
	case n.learner != nil:
		n.learner.ReceiveFromObserver(zab.ConnID(in.Conn), in.Packet)
	}
	n.drain()
}

func (n *Node) handleConnClosed(in ConnClosed) {
	switch {
	case n.leader != nil:
		delete(n.conns, in.Conn)
		n.leader.Closed(zab.ConnID(in.Conn))
	case n.learner != nil && in.Conn == n.leaderConn:
		n.learner.Closed(in.Err)
	case n.learner != nil:
		delete(n.conns, in.Conn)
		n.learner.ObserverClosed(zab.ConnID(in.Conn))
	}
	n.drain()
}

func (n *Node) handleSnapshotReceived(in SnapshotReceived) {
	if n.learner == nil || in.Conn != n.leaderConn {
		return
	}
	n.learner.SnapshotReceived(in.Database.Tree)
	n.drain()
}

func (n *Node) handleSnapshotSent(in SnapshotSent) {
	switch {
	case n.leader != nil:
		n.leader.SnapshotSent(zab.ConnID(in.Conn))
	case n.learner != nil:
		n.learner.ObserverSnapshotSent(zab.ConnID(in.Conn))
	}
	n.drain()
}

func (n *Node) handleOracleSaid(in OracleSaid) {
	n.mayLeadAlone = in.Alone
	if n.election != nil {
		n.election.SetOracle(n.now.Mono, in.Alone)
	}
	if n.leader != nil {
		n.leader.SetOracle(in.Alone)
	}
}

func (n *Node) handleLogRead(in LogRead) {
	if n.leader != nil {
		n.leader.LogRead(zab.ConnID(in.Conn), in.Txns)
		n.drain()
	}
}

// seen is the newest zxid that a client served here can have seen elsewhere without being ahead of this server: the last
// txn, or the start of the epoch in which this server is in sync.
func (n *Node) seen() wire.Zxid {
	if n.role == Standalone {
		return n.tree.LastZxid()
	}
	return max(n.tree.LastZxid(), wire.MakeZxid(n.current, 0))
}
