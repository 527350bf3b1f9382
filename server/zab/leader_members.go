package zab

import (
	"encoding/binary"
	"fmt"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Members is the last committed membership.
func (l *Leader) Members() *quorum.Config { return l.members.committed }

// LastSeen is the last proposed membership.
func (l *Leader) LastSeen() *quorum.Config { return l.members.lastSeen }

// HasSynced tells whether a quorum of a membership follows, in sync.
func (l *Leader) HasSynced(c *quorum.Config) bool {
	return l.phase == broadcast && c.Quorum(l.among(func(p *peer) bool { return p.state == peerServes && !p.observer }))
}

// hasActivated tells whether a learner with this version has activated the committed membership, or has the same servers in
// its own: where nothing can change, or some leader has only raised the version.
func (l *Leader) hasActivated(version int64) bool {
	committed := l.members.committed.Version()
	return version >= committed || wire.Zxid(committed).Counter() == 0 || !l.cfg.Reconfig
}

// isUpToDate tells whether a learner counts before this leader serves, which in Apache ZooKeeper all do. One that has not
// activated the committed membership could do the same for a leader that does not know it to be committed, and completes the
// reconfiguration without what is committed since; learners usually have it from the votes with which they found this leader.
func (l *Leader) isUpToDate(p *peer) bool { return l.hasActivated(p.version) }

// mayBeAhead tells whether what a learner has that this leader lacks cannot be committed, since it is a voter of the membership
// that waits, has not activated that, and has no vote in the committed one: whatever it acknowledged needed others who do.
func (l *Leader) mayBeAhead(p *peer) bool {
	return l.members.joint() && l.members.lastSeen.IsVoter(p.id) && !l.members.committed.IsVoter(p.id)
}

// maybeRaiseVersion gives a membership that nobody has established yet the version of this epoch, so that it takes
// precedence over those that other servers begin with. It is committed with the NEWLEADER that carries it.
func (l *Leader) maybeRaiseVersion() {
	if l.cfg.Reconfig && l.members.committed.Version() == 0 && !l.members.joint() {
		l.see(l.members.committed.WithVersion(int64(wire.MakeZxid(l.epoch, 0))))
	}
}

// see takes note of a membership that is proposed. From now on its quorum is needed, too.
func (l *Leader) see(c *quorum.Config) {
	l.members.lastSeen = c
	l.note(SeeMembers{Members: c})
}

// seeReconfig does that for a reconfig txn.
func (l *Leader) seeReconfig(e txn.Entry) {
	c, err := membershipOf(e)
	if err != nil {
		panic(fmt.Sprintf("zab: proposal: %v", err))
	}
	l.see(c)
}

// newLeaderText is the membership that NEWLEADER carries to a learner: the one that this term begins with, or the one that
// was committed last. Apache ZooKeeper always sends the one that was proposed last, and a learner that joins while a
// reconfiguration waits for its quorums takes it for committed.
func (l *Leader) newLeaderText() *quorum.Config {
	if l.phase < broadcast {
		return l.members.lastSeen
	}
	return l.members.committed
}

// activate makes the membership that was proposed last the committed one.
func (l *Leader) activate() {
	l.members.activate(l.proposed)
	l.note(Activate{Members: l.members.committed})
}

// commitReconfig does what the commit of a reconfiguration means besides that of a txn, and returns the packets that tell
// followers and observers of it.
func (l *Leader) commitReconfig(e txn.Entry) (commit, inform wire.QuorumPacket, heir wire.ServerID) {
	zxid := e.Header.Zxid
	heir = l.heir(func(p *peer) bool { return p.hasAcked(zxid) })
	l.activate()
	data := binary.BigEndian.AppendUint64(nil, uint64(heir))
	commit = wire.QuorumPacket{Type: wire.PacketCommitAndActivate, Zxid: zxid, Data: data}
	return commit, informAndActivate(e, heir), heir
}

// maybeProposeNothing asks for a txn, whichever it is, if those that wait for a quorum were all proposed before the last
// change of the membership was committed: they need the old membership, unless something comes after them, and that may
// have no quorum any more.
func (l *Leader) maybeProposeNothing() {
	if l.phase == broadcast && l.Outstanding() > 0 && l.proposed <= l.members.until {
		l.note(Forwarded{Request: Request{Op: wire.OpCheck}})
	}
}

// heir is who leads in the membership that was proposed last: this server, if it votes there at the same address, or
// otherwise, of the voters that have what is to be committed, the one that has most of what follows it
// (Leader.getDesignatedLeader).
func (l *Leader) heir(has func(*peer) bool) wire.ServerID {
	next := l.members.lastSeen
	now, _ := l.members.committed.Member(l.cfg.Self)
	then, _ := next.Member(l.cfg.Self)
	if next.MayLead(l.cfg.Self) && now.QuorumAddress() == then.QuorumAddress() {
		return l.cfg.Self
	}
	var best *peer
	for _, p := range l.peers {
		if !p.observer && p.id != l.cfg.Self && next.MayLead(p.id) && has(p) && (best == nil || p.acked > best.acked) {
			best = p
		}
	}
	if best == nil {
		return l.cfg.Self // it is the only one, and has another address from now on
	}
	return best.id
}

// retire ends the work of a leader that the committed membership does not have as its leader. It goes on until the
// followers, who have been told so, have left: that so many of them know is certain only then.
func (l *Leader) retire(follow wire.ServerID) {
	l.phase, l.deadline = retiring, l.now+l.cfg.syncLimit()
	l.follow = follow
	l.maybeEndRetirement()
}

func (l *Leader) maybeEndRetirement() {
	if l.phase == retiring && !l.hasQuorum(func(p *peer) bool { return p.state >= peerReads }) {
		l.endRetirement()
	}
}

func (l *Leader) endRetirement() {
	l.phase = over
	l.note(GiveUp{Reason: "another server is to lead", Follow: l.follow})
}
