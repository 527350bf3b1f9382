package zab

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// heirBytes is the id of the server that is to lead, at the front of COMMITANDACTIVATE and INFORMANDACTIVATE.
const heirBytes = 8

// checkProposal refuses a reconfiguration that cannot be read.
func (l *Learner) checkProposal(e txn.Entry) error {
	if e.Header.Type != wire.OpReconfig || !l.cfg.Reconfig {
		return nil
	}
	_, err := membershipOf(e)
	return err
}

// seeProposal takes note of the membership of a reconfiguration that is about to be logged.
func (l *Learner) seeProposal(e txn.Entry) {
	if e.Header.Type != wire.OpReconfig || !l.cfg.Reconfig {
		return
	}
	if c, err := membershipOf(e); err == nil && c.Version() > l.members.lastSeen.Version() {
		l.see(c)
	}
}

func (l *Learner) see(c *quorum.Config) {
	l.members.lastSeen = c
	l.note(SeeMembers{Members: c})
}

// readNewLeader takes note of the membership that NEWLEADER brought. It goes with the leader's history, and so takes the
// place of a newer one that was proposed in another history. A leader that has forgotten what its own history says is left:
// others may have activated that.
func (l *Learner) readNewLeader(text []byte) error {
	if !l.cfg.Reconfig || len(text) <= 1 { // servers before 3.5 send none
		return nil
	}
	c, err := quorum.Parse(text)
	if err != nil {
		return fmt.Errorf("NEWLEADER: %w", err)
	}
	if c.Version() < l.members.committed.Version() {
		return fmt.Errorf("NEWLEADER brings membership %x, older than %x", c.Version(), l.members.committed.Version())
	}
	if last := l.members.lastSeen.Version(); c.Version() < last && l.hasCommitted(wire.Zxid(last)) {
		return fmt.Errorf("NEWLEADER brings membership %x, but its history has %x", c.Version(), last)
	}
	l.leaderMembers = c
	return nil
}

// hasCommitted tells whether a txn is part of the leader's committed history, as far as it has arrived.
func (l *Learner) hasCommitted(zxid wire.Zxid) bool {
	return l.history.Has(zxid) ||
		slices.ContainsFunc(l.pending[:l.committed], func(e txn.Entry) bool { return e.Header.Zxid == zxid })
}

// receiveInform takes the txn of INFORMANDACTIVATE into pending.
func (l *Learner) receiveInform(packet wire.QuorumPacket) error {
	if len(packet.Data) < heirBytes {
		return fmt.Errorf("%v of %d bytes", packet.Type, len(packet.Data))
	}
	packet.Data = packet.Data[heirBytes:]
	return l.receive(packet)
}

// handleActivate handles what the commit of a reconfiguration, which has been noted, means besides that of a txn.
func (l *Learner) handleActivate(packet wire.QuorumPacket) error {
	if l.isInSnapshot(packet.Zxid) {
		return nil // NEWLEADER brings the membership
	}
	if !l.cfg.Reconfig {
		// To go on with the old membership could split the ensemble.
		return fmt.Errorf("%v %v: reconfigEnabled is not true here as it is at the leader", packet.Type, packet.Zxid)
	}
	e := l.pending[l.committed-1]
	if e.Header.Type != wire.OpReconfig || len(packet.Data) < heirBytes {
		return fmt.Errorf("%v %v of %d bytes for a %v", packet.Type, packet.Zxid, len(packet.Data), e.Header.Type)
	}
	c, err := membershipOf(e)
	if err != nil {
		return err
	}
	heir := wire.ServerID(binary.BigEndian.Uint64(packet.Data))
	moves := l.moves(c, heir)
	l.activate(c)
	if l.state == following {
		l.deliver(informAndActivate(e, heir))
	}
	if moves {
		l.leaveFor(heir)
	}
	return nil
}

// activateLeaderMembers activates the membership of NEWLEADER, and tells whether this role is over with that. One that
// belongs to a reconfiguration of this epoch which is not committed yet waits for its commit: Apache ZooKeeper sends it all
// the same.
func (l *Learner) activateLeaderMembers() (over bool) {
	c := l.leaderMembers
	if c == nil {
		return false
	}
	committed := l.history.Last()
	if l.committed > 0 {
		committed = l.pending[l.committed-1].Header.Zxid
	}
	if v := wire.Zxid(c.Version()); v.Epoch() == l.epoch && v.Counter() != 0 && v > committed {
		return false
	}
	over = l.moves(c, noServer)
	l.activate(c)
	if over {
		l.leaveFor(0)
	}
	return over
}

func (l *Learner) activate(c *quorum.Config) {
	if c.Version() > l.members.committed.Version() {
		l.members.committed = c
	}
	if c.Version() > l.members.lastSeen.Version() {
		l.members.lastSeen = c
	}
	l.note(Activate{Members: c})
}

// moves tells whether a membership gives this server another role or another leader (QuorumPeer.processReconfig). Without
// an heir, the leader must vote as before, at the same address.
func (l *Learner) moves(next *quorum.Config, heir wire.ServerID) bool {
	prev := l.members.committed
	if next.Version() <= prev.Version() || prev.Equal(next) {
		return false
	}
	if self, _ := next.Member(l.cfg.Self); self.Observer != l.observer {
		return true
	}
	if heir != noServer {
		return heir != l.cfg.Leader
	}
	before, _ := prev.Member(l.cfg.Leader)
	after, _ := next.Member(l.cfg.Leader)
	return !prev.IsVoter(l.cfg.Leader) || !next.IsVoter(l.cfg.Leader) || before.QuorumAddress() != after.QuorumAddress()
}

// leaveFor ends the role because another one begins, under this leader, or with an election for 0.
func (l *Learner) leaveFor(leader wire.ServerID) {
	if l.state == left {
		return
	}
	l.state = left
	l.note(GiveUp{Reason: "the membership has changed", Follow: leader})
}
