package zab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// What happens in reconfig-observer.txt: server 3 leads 1 and 2 in epoch 3. Observer 4 joins, server 1 is removed, which it
// survives as a follower without a vote, and comes back, and the observer is removed.
const (
	reconfigFile             = "reconfig-observer.txt"
	reconfigBegin  wire.Zxid = 0x300000004
	observerJoins  wire.Zxid = 0x300000006
	memberLeaves   wire.Zxid = 0x30000000d
	memberReturns  wire.Zxid = 0x30000000f
	observerLeaves wire.Zxid = 0x300000011
)

// reconfigMembers is the membership with which the recording begins.
func reconfigMembers(t *testing.T) *quorum.Config {
	t.Helper()
	var lines []string
	for id := 1; id <= 3; id++ {
		lines = append(lines, fmt.Sprintf("server.%d=127.0.0.1:2288%d:2388%d:participant;127.0.0.1:2181%d", id, id, id, id))
	}
	c, err := quorum.Parse([]byte(strings.Join(append(lines, "version=300000000"), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// without drops the packets of some types.
func without(list []message, types ...wire.PacketType) []message {
	return slices.DeleteFunc(list, func(m message) bool { return slices.Contains(types, m.packet.Type) })
}

// TestLeaderReconfiguresAsRecorded proposes what Apache ZooKeeper's leader proposed, and compares what goes to a follower
// and to the observer.
func TestLeaderReconfiguresAsRecorded(t *testing.T) {
	cfg := Config{Self: 3, Members: reconfigMembers(t), Reconfig: true, TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5}
	own := Durable{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: 0x200000004}
	l := NewLeader(cfg, own, NewHistory(HistoryLimit, own.LastZxid, nil), 0)
	for id := wire.ServerID(1); id <= 2; id++ {
		l.Accept(ConnID(id), "")
		info := wire.LearnerInfo{ServerID: id, ProtocolVersion: wire.LearnerProtocolVersion, ConfigVersion: cfg.Members.Version()}
		l.Receive(ConnID(id), packet(wire.PacketFollowerInfo, z(2, 0), info.Marshal()...))
	}
	l.EpochSaved(false, 3)
	l.EpochSaved(true, 3)
	for conn := ConnID(1); conn <= 2; conn++ {
		l.Receive(conn, packet(wire.PacketAckEpoch, own.LastZxid, wire.AppendEpoch(nil, 2)...))
	}
	l.EpochSaved(true, 3)
	for conn := ConnID(1); conn <= 2; conn++ {
		l.Receive(conn, packet(wire.PacketAck, z(3, 0)))
	}
	l.proposed, l.committed, l.durable = reconfigBegin, reconfigBegin, reconfigBegin
	l.history.Reset(reconfigBegin)
	l.Take(nil)

	got := make(map[ConnID][][]byte)
	act := func() {
		for effects := l.Take(nil); len(effects) > 0; effects = l.Take(nil) {
			for _, e := range effects {
				switch e := e.(type) {
				case Send:
					got[e.Conn] = append(got[e.Conn], e.Packet.Append(nil))
				case SendSnapshot:
					snap := packet(wire.PacketSnap, e.Zxid)
					got[e.Conn] = append(got[e.Conn], snap.Append(nil))
					l.SnapshotSent(e.Conn)
				case Append:
					l.Logged(e.Entry.Header.Zxid)
					acks(l, e.Entry.Header.Zxid, 2)
				case Close, GiveUp:
					t.Fatalf("%+v", e)
				}
			}
		}
	}
	follower := without(recorded(t, reconfigFile, 1), wire.PacketPing)
	observer := without(recorded(t, reconfigFile, 3), wire.PacketPing, wire.PacketRequest)
	propose := func(upTo wire.Zxid) {
		for ; len(follower) > 0 && follower[0].packet.Zxid <= upTo; follower = follower[1:] {
			if m := follower[0]; m.fromLeader && m.packet.Type == wire.PacketProposal {
				e, err := txn.Decode(m.packet.Data)
				if err != nil {
					t.Fatal(err)
				}
				l.Propose(e)
				act()
			}
		}
	}
	want := make(map[ConnID][][]byte)
	for conn, list := range map[ConnID][]message{1: follower, 4: observer} {
		for _, m := range list {
			if m.fromLeader {
				want[conn] = append(want[conn], m.raw)
			}
		}
	}
	propose(observerJoins)
	l.Accept(4, "")
	for _, m := range observer {
		if !m.fromLeader {
			l.Receive(4, m.packet)
			act()
		}
	}
	propose(1 << 62)
	compare(t, got[1], want[1])
	compare(t, got[4], want[4])
}

// TestLearnersReconfigureAsRecorded gives a follower and an observer what Apache ZooKeeper's leader sent, and compares their
// answers; activated are the memberships that they must have gone through.
func TestLearnersReconfigureAsRecorded(t *testing.T) {
	for _, c := range []struct {
		name      string
		self      wire.ServerID
		conn      int
		activated []wire.Zxid
		follows   wire.ServerID // in the end, after another role
	}{
		{"follower", 1, 1, []wire.Zxid{observerJoins, memberLeaves, memberReturns, observerLeaves}, 0},
		{"observer", 4, 3, []wire.Zxid{observerJoins, memberLeaves, memberReturns, observerLeaves}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := without(recorded(t, reconfigFile, c.conn), wire.PacketPing, wire.PacketRequest)
			cfg := Config{
				Self: c.self, Leader: 3, Members: reconfigMembers(t), Reconfig: true,
				TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5,
			}
			own := Durable{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: reconfigBegin}
			if c.conn == 3 {
				// It starts with the membership that it has learned of.
				own = Durable{}
				cfg.Members = nextMembers(t, recorded(t, reconfigFile, 1), observerJoins)
			}
			l := NewLearner(cfg, 9, own, NewHistory(HistoryLimit, own.LastZxid, nil), 0)
			var got, want [][]byte
			var activated []wire.Zxid
			follows := wire.ServerID(0)
			act := func() {
				for effects := l.Take(nil); len(effects) > 0; effects = l.Take(nil) {
					for _, e := range effects {
						switch e := e.(type) {
						case Send:
							got = append(got, e.Packet.Append(nil))
						case SaveEpoch:
							l.EpochSaved(e.Current, e.Epoch)
						case Append:
							l.Logged(e.Entry.Header.Zxid)
						case Activate:
							activated = append(activated, wire.Zxid(e.Members.Version()))
						case GiveUp:
							follows = e.Follow
							if follows == 0 {
								t.Fatal(e.Reason)
							}
						}
					}
				}
			}
			l.Connected(0)
			act()
			if c.conn == 1 { // whose recording begins in the middle
				for _, p := range []wire.QuorumPacket{
					packet(wire.PacketLeaderInfo, z(3, 0), 0, 1, 0, 0), packet(wire.PacketDiff, reconfigBegin),
					packet(wire.PacketNewLeader, z(3, 0)), packet(wire.PacketUpToDate, -1),
				} {
					l.Receive(p)
					act()
				}
				got = nil
			}
			for _, m := range list {
				if !m.fromLeader {
					want = append(want, m.raw)
					continue
				}
				if l.state == left {
					break
				}
				l.Receive(m.packet)
				if m.packet.Type == wire.PacketSnap {
					l.SnapshotReceived(tree.New(tree.Options{}))
				}
				act()
			}
			compare(t, got, want)
			if !slices.Equal(activated, c.activated) || follows != c.follows {
				t.Errorf("activated %v, follows %d", activated, follows)
			}
		})
	}
}

// nextMembers is the membership of a recorded proposal.
func nextMembers(t *testing.T, list []message, zxid wire.Zxid) *quorum.Config {
	t.Helper()
	for _, m := range list {
		if m.packet.Type == wire.PacketProposal && m.packet.Zxid == zxid {
			e, err := txn.Decode(m.packet.Data)
			if err != nil {
				t.Fatal(err)
			}
			c, err := membershipOf(e)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatalf("%v was not recorded", zxid)
	return nil
}
