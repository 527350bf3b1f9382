package zab

import (
	"testing"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// A follower that joins while a reconfiguration waits for its quorums gets NEWLEADER with the committed membership, and must
// not take its place in the files for that of the proposed one, which it acknowledges.
func TestFollowerThatRejoinsKeepsAProposedMembership(t *testing.T) {
	// What the leader sends.
	s1, l1 := serves(t)
	e, next := reconfig(z(5, 1), members(1, 4, 5))
	l1.Propose(e)
	s1.forget()
	l1.Accept(30, "")
	l1.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	l1.Receive(30, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	var sent []wire.QuorumPacket
	for _, f := range l1.Take(nil) {
		if f, ok := f.(Send); ok && f.Conn == 30 {
			sent = append(sent, f.Packet)
		}
	}
	// The learner that gets it.
	cfg := config(3)
	cfg.Reconfig, cfg.Leader = true, 1
	l := NewLearner(cfg, 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, NewHistory(HistoryLimit, z(1, 2), nil), 0)
	l.Connected(0)
	var lastSeen *quorum.Config
	acked := false
	drain := func() {
		for _, f := range l.Take(nil) {
			switch f := f.(type) {
			case SeeMembers:
				lastSeen = f.Members
			case Send:
				if f.Packet.Type == wire.PacketAck && f.Packet.Zxid == z(5, 1) {
					acked = true
				}
			}
		}
	}
	for _, p := range sent {
		l.Receive(p)
		if p.Type == wire.PacketLeaderInfo {
			l.EpochSaved(false, 5)
		}
	}
	drain()
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	drain()
	l.Logged(z(5, 1))
	drain()
	if acked && lastSeen.Version() != next.Version() {
		t.Errorf("5/1 is acknowledged, while the last seen membership (on disk) is %x, not %x", lastSeen.Version(), next.Version())
	}
}

// A follower that forgets a membership which it has acknowledged could elect another leader in the old one, while the new one
// goes on: two leaders, and both commit writes.
func TestNoTwoLeadersAfterAReconfiguration(t *testing.T) {
	s1, l1 := serves(t) // server 1 leads 1, 2, 3 in epoch 5; connected: 2 (conn 20)
	enter(l1, 40, 4, 0)
	enter(l1, 50, 5, 0)
	e, _ := reconfig(z(5, 1), members(1, 4, 5))
	l1.Propose(e)
	l1.Logged(z(5, 1))
	l1.Closed(20)
	s1.forget()
	// server 3 connects while the reconfiguration waits
	l1.Accept(30, "")
	l1.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	l1.Receive(30, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	var toThree []wire.QuorumPacket
	collect := func() {
		for _, f := range l1.Take(nil) {
			if f, ok := f.(Send); ok && f.Conn == 30 {
				toThree = append(toThree, f.Packet)
			}
		}
	}
	collect()
	cfg := config(3)
	cfg.Reconfig, cfg.Leader = true, 1
	h := NewHistory(HistoryLimit, z(1, 2), txns(z(1, 1), z(1, 2)))
	l3 := NewLearner(cfg, 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, h, 0)
	l3.Connected(0)
	disk := cfg // what the files of server 3 say
	pump := func() {
		for again := true; again; {
			again = false
			for _, f := range l3.Take(nil) {
				again = true
				switch f := f.(type) {
				case SeeMembers:
					disk.LastSeen = f.Members
				case Activate:
					disk.Members = f.Members
				case SaveEpoch:
					l3.EpochSaved(f.Current, f.Epoch)
				case Append:
					l3.Logged(f.Entry.Header.Zxid)
				case Send:
					if f.Packet.Type == wire.PacketAck {
						l1.Receive(30, f.Packet)
					}
				}
			}
		}
	}
	for len(toThree) > 0 {
		p := toThree[0]
		toThree = toThree[1:]
		l3.Receive(p)
		pump()
		if p.Type == wire.PacketUpToDate {
			break // its connection breaks here: it has acknowledged 5/1 and hears nothing more
		}
		collect()
	}
	acks(l1, z(5, 1), 40)
	l1.Closed(30)
	l1.Propose(entry(z(5, 2)))
	l1.Logged(z(5, 2))
	acks(l1, z(5, 2), 40)
	one := l1.LastCommitted()
	pump()
	// Server 3 ends its role: what it logged is history. It restarts, and finds server 2.
	h3 := NewHistory(HistoryLimit, z(5, 1), append(txns(z(1, 1), z(1, 2)), e))
	l := NewLeader(disk, Durable{AcceptedEpoch: 5, CurrentEpoch: 5, LastZxid: z(5, 1)}, h3, 0)
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(5, 0), infoData(2)...))
	l.EpochSaved(false, 6)
	l.Receive(20, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 5))
	l.EpochSaved(true, 6)
	acks(l, z(6, 0), 20)
	acks(l, z(6, 0), 20)
	if l.Serving() {
		l.Propose(entry(z(6, 1)))
		l.Logged(z(6, 1))
		acks(l, z(6, 1), 20)
	}
	if one >= z(5, 1) && l.Serving() {
		t.Errorf("1 serves %v and has committed %v; 3 serves %v and has committed %v", l1.Members(), one, l.Members(), l.LastCommitted())
	}
}

// A learner that has acknowledged R5 (maybe committed) connects while a later one waits: R5 is forgotten before its outcome
// is known here.
func TestEarlierProposedMembershipIsKeptUntilItIsDecided(t *testing.T) {
	_, r5 := reconfig(z(5, 1), members(1, 4, 5))
	e6, _ := reconfig(z(5, 9), members(1, 2, 3))
	cfg := config(2)
	cfg.Reconfig, cfg.Leader, cfg.LastSeen = true, 1, r5
	l := NewLearner(cfg, 9, Durable{AcceptedEpoch: 5, CurrentEpoch: 5, LastZxid: z(5, 1)}, NewHistory(HistoryLimit, z(5, 1), nil), 0)
	l.Connected(0)
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	l.Receive(packet(wire.PacketDiff, z(5, 8)))
	for c := uint32(2); c < 9; c++ {
		l.Receive(proposal(z(5, c)))
		l.Receive(packet(wire.PacketCommit, z(5, c)))
	}
	l.Receive(packet(wire.PacketProposal, z(5, 9), e6.Bytes...))
	for _, f := range l.Take(nil) {
		if f, ok := f.(SeeMembers); ok && f.Members.Version() != r5.Version() {
			t.Errorf("on disk now: committed %x, proposed %x; %x, which may be committed, is forgotten", cfg.Members.Version(), f.Members.Version(), r5.Version())
		}
	}
}

// A history that reaches beyond a reconfiguration must not be on disk before that is known: whoever has such a history may
// lead, and then the others believe it that there is no reconfiguration. (Apache ZooKeeper: setLastSeenQuorumVerifier, then
// takeSnapshot.)
func TestMembershipIsKnownBeforeASnapshotThatNeedsIt(t *testing.T) {
	_, r := reconfig(z(4, 3), members(1, 4, 5))
	cfg := config(3) // knows nothing of it
	cfg.Reconfig, cfg.Leader = true, 2
	l := NewLearner(cfg, 9, Durable{}, NewHistory(HistoryLimit, 0, nil), 0)
	l.Connected(0)
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	l.EpochSaved(false, 5)
	l.Receive(packet(wire.PacketSnap, z(4, 3)))
	l.SnapshotReceived(tree.New(tree.Options{}))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0), r.Text()...))
	known := cfg.Members.Version()
	for _, f := range l.Take(nil) {
		switch f := f.(type) {
		case SeeMembers:
			known = f.Members.Version()
		case SaveSnapshot:
			if known < r.Version() {
				t.Errorf("crash here: history at %v on disk, and of membership %x nothing", f.Zxid, r.Version())
			}
		}
	}
}
