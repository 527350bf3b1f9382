package zab

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

const tick = 100 * time.Millisecond

// scene is a role and what it did.
type scene struct {
	t     *testing.T
	taker interface{ Take([]Effect) []Effect }
}

// expect compares what the role noted since the last call, one line for each effect.
func (s *scene) expect(step string, want ...string) {
	s.t.Helper()
	var got []string
	for _, e := range s.taker.Take(nil) {
		got = append(got, describe(e))
	}
	if !slices.Equal(got, want) {
		s.t.Fatalf("%s:\n got  %s\n want %s", step, strings.Join(got, " | "), strings.Join(want, " | "))
	}
}

func describe(e Effect) string {
	switch e := e.(type) {
	case Send:
		if e.Packet.Type == wire.PacketCommitAndActivate {
			return fmt.Sprintf("%d<-COMMITANDACTIVATE %s for %d", e.Conn, zx(e.Packet.Zxid), binary.BigEndian.Uint64(e.Packet.Data))
		}
		return fmt.Sprintf("%d<-%s %s", e.Conn, packetName(e.Packet.Type), zx(e.Packet.Zxid))
	case SendSnapshot:
		return fmt.Sprintf("%d<-snapshot %s", e.Conn, zx(e.Zxid))
	case Close:
		return fmt.Sprintf("close %d", e.Conn)
	case SaveEpoch:
		if e.Current {
			return fmt.Sprintf("save currentEpoch %d", e.Epoch)
		}
		return fmt.Sprintf("save acceptedEpoch %d", e.Epoch)
	case Append:
		return "append " + zx(e.Entry.Header.Zxid)
	case Deliver:
		return "deliver " + zx(e.Entry.Header.Zxid)
	case Truncate:
		return "truncate " + zx(e.Zxid)
	case Install:
		return "install " + zx(e.Zxid)
	case SaveSnapshot:
		return "save snapshot " + zx(e.Zxid)
	case Serve:
		return fmt.Sprintf("serve %d", e.Epoch)
	case SeeMembers:
		return fmt.Sprintf("see %x", e.Members.Version())
	case Activate:
		return fmt.Sprintf("activate %x", e.Members.Version())
	case Forwarded:
		return fmt.Sprintf("ask for %v", e.Request.Op)
	case GiveUp:
		if e.NeedSnapshot {
			return "give up, need a snapshot"
		}
		if e.Follow != 0 {
			return fmt.Sprintf("give up, follow %d", e.Follow)
		}
		return "give up"
	}
	return fmt.Sprintf("%T", e)
}

func zx(z wire.Zxid) string {
	if z < 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", z.Epoch(), z.Counter())
}

func packetName(t wire.PacketType) string {
	names := []string{"?", "REQUEST", "PROPOSAL", "ACK", "COMMIT", "PING", "REVALIDATE", "SYNC", "INFORM",
		"COMMITANDACTIVATE", "NEWLEADER", "FOLLOWERINFO", "UPTODATE", "DIFF", "TRUNC", "SNAP", "OBSERVERINFO",
		"LEADERINFO", "ACKEPOCH"}
	return names[t]
}

func config(self wire.ServerID) Config {
	return Config{Self: self, Members: members(1, 2, 3), TickTime: tick, InitLimitTicks: 10, SyncLimitTicks: 5}
}

func packet(t wire.PacketType, zxid wire.Zxid, data ...byte) wire.QuorumPacket {
	return wire.QuorumPacket{Type: t, Zxid: zxid, Data: data}
}

func proposal(zxid wire.Zxid) wire.QuorumPacket {
	return packet(wire.PacketProposal, zxid, entry(zxid).Bytes...)
}

func infoData(id wire.ServerID) []byte { return infoWith(id, 0) }

// infoWith is that of a server which has activated a membership.
func infoWith(id wire.ServerID, version int64) []byte {
	return wire.LearnerInfo{ServerID: id, ProtocolVersion: wire.LearnerProtocolVersion, ConfigVersion: version}.Marshal()
}

// leads brings server 1 with a log up to 1/2 to synchronisation with server 2, which lacks 1/2.
func leads(t *testing.T) (*scene, *Leader) {
	h := NewHistory(HistoryLimit, z(1, 2), txns(z(1, 1), z(1, 2)))
	l := NewLeader(config(1), Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, h, 0)
	s := &scene{t: t, taker: l}
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(4, 0), infoData(2)...))
	s.expect("the epoch is above all accepted ones, first on disk", "save acceptedEpoch 5")
	l.EpochSaved(false, 5)
	s.expect("then it is offered", "20<-LEADERINFO 5/0")
	l.Receive(20, packet(wire.PacketAckEpoch, z(1, 1), 0, 0, 0, 1))
	s.expect("the follower gets what it lacks", "save currentEpoch 5",
		"20<-DIFF 1/2", "20<-PROPOSAL 1/2", "20<-COMMIT 1/2", "20<-NEWLEADER 5/0")
	return s, l
}

// serves brings server 1 to broadcast in epoch 5 with server 2.
func serves(t *testing.T) (*scene, *Leader) {
	s, l := leads(t)
	l.Receive(20, packet(wire.PacketAck, z(5, 0)))
	s.expect("the leader's own currentEpoch is not on disk")
	l.EpochSaved(true, 5)
	s.expect("a quorum has the history", "serve 5", "20<-UPTODATE -")
	return s, l
}

func TestLeaderCommitsWithAQuorumOfLogs(t *testing.T) {
	s, l := serves(t)
	l.Propose(entry(z(5, 1)))
	l.Propose(entry(z(5, 2)))
	s.expect("proposals", "append 5/1", "20<-PROPOSAL 5/1", "append 5/2", "20<-PROPOSAL 5/2")
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	s.expect("the own log is not durable")
	l.Logged(z(5, 2))
	s.expect("the first has a quorum", "20<-COMMIT 5/1", "deliver 5/1")
	l.Receive(20, packet(wire.PacketAck, z(5, 2)))
	s.expect("and the second", "20<-COMMIT 5/2", "deliver 5/2")
	l.Receive(20, packet(wire.PacketAck, z(5, 9)))
	s.expect("an ACK of what was never proposed", "close 20")
}

// Java followers before 3.9.3 fail when a COMMIT reaches them between NEWLEADER and UPTODATE.
func TestBroadcastIsHeldBetweenNewLeaderAndUpToDate(t *testing.T) {
	s, l := serves(t)
	l.Propose(entry(z(5, 1)))
	s.expect("proposal", "append 5/1", "20<-PROPOSAL 5/1")
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	l.Receive(30, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	s.expect("it gets what has no quorum too", "30<-LEADERINFO 5/0",
		"30<-DIFF 1/2", "30<-PROPOSAL 5/1", "30<-NEWLEADER 5/0")
	l.Logged(z(5, 1))
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	l.Propose(entry(z(5, 2)))
	s.expect("only server 2 hears of it", "20<-COMMIT 5/1", "deliver 5/1", "append 5/2", "20<-PROPOSAL 5/2")
	// Java followers from 3.5.9 to 3.9.1 may acknowledge a proposal first.
	l.Receive(30, packet(wire.PacketAck, z(5, 1)))
	s.expect("does not count yet")
	l.Receive(30, packet(wire.PacketAck, z(5, 0)))
	s.expect("now it is in", "30<-UPTODATE -", "30<-COMMIT 5/1", "30<-PROPOSAL 5/2")
}

func TestSnapshotIsFollowedByWhatWasCommittedMeanwhile(t *testing.T) {
	s, l := serves(t)
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, 0, infoData(3)...))
	l.Receive(30, packet(wire.PacketAckEpoch, 0, 0, 0, 0, 0))
	s.expect("nothing in common", "30<-LEADERINFO 5/0", "30<-snapshot 5/0")
	l.Propose(entry(z(5, 1)))
	l.Logged(z(5, 1))
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	s.expect("broadcast follows the stream", "append 5/1", "20<-PROPOSAL 5/1", "30<-PROPOSAL 5/1",
		"20<-COMMIT 5/1", "30<-COMMIT 5/1", "deliver 5/1")
	l.SnapshotSent(30)
	s.expect("then", "30<-NEWLEADER 5/0")
}

// A large tree takes longer than any limit; whoever sends it notices if the stream stops.
func TestLearnerMayReadASnapshotForLong(t *testing.T) {
	s, l := serves(t)
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, 0, infoData(3)...))
	l.Receive(30, packet(wire.PacketAckEpoch, 0, 0, 0, 0, 0))
	s.expect("nothing in common", "30<-LEADERINFO 5/0", "30<-snapshot 5/0")
	l.Propose(entry(z(5, 1)))
	l.Logged(z(5, 1))
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	s.expect("broadcast follows the stream", "append 5/1", "20<-PROPOSAL 5/1", "30<-PROPOSAL 5/1",
		"20<-COMMIT 5/1", "30<-COMMIT 5/1", "deliver 5/1")
	now := time.Duration(0)
	pass := func(step string, until time.Duration, pings ...string) {
		for now < until {
			now += tick
			l.Tick(now)
			s.expect(step, pings...)
			for _, p := range l.peers {
				if p.state == peerServes {
					l.Receive(p.conn, packet(wire.PacketPing, z(5, 1)))
				}
			}
		}
	}
	pass("the stream goes on", 40*tick, "20<-PING 5/1")
	l.SnapshotSent(30)
	l.Receive(30, packet(wire.PacketAck, z(5, 0)))
	s.expect("it is in", "30<-NEWLEADER 5/0", "30<-UPTODATE -")
	pass("it never acknowledges what came with the snapshot", 60*tick, "20<-PING 5/1", "30<-PING 5/1")
	l.Propose(entry(z(5, 2)))
	s.expect("proposal", "append 5/2", "20<-PROPOSAL 5/2", "30<-PROPOSAL 5/2")
	l.Receive(20, packet(wire.PacketAck, z(5, 2)))
	pass("what comes now it has to", 65*tick, "20<-PING 5/2", "30<-PING 5/2")
	l.Tick(66 * tick)
	s.expect("in time", "20<-PING 5/2", "close 30")
}

// What was proposed before UPTODATE is acknowledged after it.
func TestLearnerIsGivenTimeToAcknowledgeWhatItMissed(t *testing.T) {
	s, l := serves(t)
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	l.Propose(entry(z(5, 1)))
	l.Receive(30, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	s.expect("it is in sync but for UPTODATE", "30<-LEADERINFO 5/0", "append 5/1", "20<-PROPOSAL 5/1",
		"30<-DIFF 1/2", "30<-PROPOSAL 5/1", "30<-NEWLEADER 5/0")
	for now := tick; now <= 5*tick; now += tick {
		l.Tick(now)
		s.expect("its disk is slow", "20<-PING 5/1", "30<-PING 5/1")
		l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	}
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	l.Receive(30, packet(wire.PacketAck, z(5, 0)))
	s.expect("it is in", "30<-UPTODATE -")
	l.Tick(6 * tick)
	s.expect("it has not had the time", "20<-PING 5/1", "30<-PING 5/1")
	for now := 7 * tick; now <= 10*tick; now += tick {
		l.Receive(20, packet(wire.PacketPing, z(5, 1)))
		l.Receive(30, packet(wire.PacketPing, z(5, 1)))
		l.Tick(now)
		s.expect("it still may", "20<-PING 5/1", "30<-PING 5/1")
	}
	l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	l.Receive(30, packet(wire.PacketPing, z(5, 1)))
	l.Tick(11 * tick)
	s.expect("now it is late", "20<-PING 5/1", "close 30")
}

func TestLeaderLeavesWithoutItsQuorum(t *testing.T) {
	s, l := serves(t)
	l.Closed(20)
	l.Tick(tick)
	s.expect("alone", "give up")

	s, l = leads(t)
	l.Tick(10*tick + 1)
	s.expect("no ACK of NEWLEADER within initLimit", "give up")
}

func TestLeaderDropsWhoDoesNotAcknowledge(t *testing.T) {
	s, l := serves(t)
	l.Propose(entry(z(5, 1)))
	s.expect("proposal", "append 5/1", "20<-PROPOSAL 5/1")
	for now := tick; now <= 5*tick; now += tick {
		l.Receive(20, packet(wire.PacketPing, z(5, 0)))
		l.Tick(now)
		s.expect("pings", "20<-PING 5/1")
		l.Receive(20, packet(wire.PacketPing, z(5, 0)))
	}
	l.Tick(5*tick + 60*time.Millisecond)
	s.expect("a learner that only answers pings is no use", "close 20", "give up")
}

// Whoever claims to have accepted the last epoch would leave none for anybody.
func TestLeaderRefusesTheLastEpoch(t *testing.T) {
	l := NewLeader(config(1), Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, NewHistory(HistoryLimit, z(1, 2), nil), 0)
	s := &scene{t: t, taker: l}
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(lastEpoch, 0), infoData(2)...))
	s.expect("after it there is none", "close 20")
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(lastEpoch-1, 0), infoData(3)...))
	s.expect("the last one", fmt.Sprintf("save acceptedEpoch %d", lastEpoch))
}

// An ACK that comes before that of NEWLEADER counts later; it must not count for what is proposed later, too.
func TestEarlyAckOfWhatWasNotProposed(t *testing.T) {
	s, l := leads(t)
	l.Receive(20, packet(wire.PacketAck, z(5, 9)))
	s.expect("nobody has proposed it", "close 20")
}

func TestLeaderRefusesWhoIsAhead(t *testing.T) {
	l := NewLeader(config(1), Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, NewHistory(HistoryLimit, z(1, 2), nil), 0)
	s := &scene{t: t, taker: l}
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(1, 0), infoData(2)...))
	l.EpochSaved(false, 2)
	s.expect("discovery", "save acceptedEpoch 2", "20<-LEADERINFO 2/0")
	l.Receive(20, packet(wire.PacketAckEpoch, z(1, 3), 0, 0, 0, 1))
	s.expect("it has what this leader lacks", "close 20")
}

// A voter that has promised a later epoch can follow this leader never again; a new election has it back.
func TestLeaderStepsDownForAVoterOfALaterEpoch(t *testing.T) {
	s, l := serves(t)
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(7, 0), infoData(3)...))
	s.expect("step down", "give up")
}

// A sync is answered only by a leader that still leads, and by which all that came before is committed.
func TestSyncIsConfirmedByAQuorum(t *testing.T) {
	s, l := serves(t)
	l.Propose(entry(z(5, 1)))
	s.expect("proposal", "append 5/1", "20<-PROPOSAL 5/1")
	l.Request(0, Request{Session: 7, Op: wire.OpSync})
	s.expect("does server 2 still follow?", "20<-PING 5/1")
	l.Request(20, Request{Session: 8, Op: wire.OpSync})
	l.Request(0, Request{Session: 7, Op: wire.OpCreate})
	l.Request(0, Request{Session: 9, Op: wire.OpCreate})
	s.expect("its answer may be older than the second sync; what session 7 asked for later waits", "ask for create")
	l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	s.expect("it does; the second sync asks again", "20<-PING 5/1")
	l.Logged(z(5, 1))
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	s.expect("and what was in flight is committed", "20<-COMMIT 5/1", "deliver 5/1", "zab.Synced", "ask for create")
	l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	s.expect("the second", "20<-SYNC 0/0")
}

func TestTheLastCounterIsNotUsed(t *testing.T) {
	s, l := serves(t)
	l.proposed = z(5, lastCounter-1)
	if _, ok := l.NextZxid(); ok {
		t.Error("a zxid was given out")
	}
	s.expect("a new epoch must begin", "give up")
}

// follows brings server 2, which has 1/1 and maybe more, to the point where its leader sends the first packet.
func follows(t *testing.T, zxids ...wire.Zxid) (*scene, *Learner) {
	last := zxids[len(zxids)-1]
	l := NewLearner(config(2), 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: last}, NewHistory(HistoryLimit, last, txns(zxids...)), 0)
	s := &scene{t: t, taker: l}
	l.Connected(0)
	s.expect("hello", "9<-FOLLOWERINFO 1/0")
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	s.expect("the promise goes to the disk first", "save acceptedEpoch 5")
	l.EpochSaved(false, 5)
	s.expect("then to the leader", "9<-ACKEPOCH "+zx(last))
	return s, l
}

func TestFollowerAcknowledgesNewLeaderWhenAllIsDurable(t *testing.T) {
	s, l := follows(t, z(1, 1))
	l.Receive(packet(wire.PacketDiff, z(1, 2)))
	l.Receive(proposal(z(1, 2)))
	l.Receive(packet(wire.PacketCommit, z(1, 2)))
	l.Receive(proposal(z(5, 1)))
	s.expect("nothing is logged before NEWLEADER")
	l.Receive(packet(wire.PacketNewLeader, z(5, 0)))
	s.expect("history, then epoch", "append 1/2", "deliver 1/2", "save currentEpoch 5")
	l.Logged(z(1, 2))
	s.expect("no ACK yet")
	l.EpochSaved(true, 5)
	s.expect("the first ACK of all", "9<-ACK 5/0")
	l.Receive(packet(wire.PacketCommit, z(5, 1)))
	l.Receive(proposal(z(5, 2)))
	s.expect("kept until UPTODATE")
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("what was in flight", "9<-ACK 5/0", "serve 5", "append 5/1", "append 5/2", "deliver 5/1")
	l.Logged(z(5, 2))
	s.expect("ACKs in order", "9<-ACK 5/1", "9<-ACK 5/2")
	l.Receive(packet(wire.PacketCommit, z(5, 2)))
	s.expect("commit", "deliver 5/2")
}

func TestFollowerCutsItsLog(t *testing.T) {
	s, l := follows(t, z(1, 1), z(1, 2))
	l.Receive(packet(wire.PacketTrunc, z(1, 1)))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0)))
	s.expect("the rest waits for the disk", "truncate 1/1")
	if !l.Tainted() {
		t.Error("memory still holds what is being cut")
	}
	l.Truncated(NewHistory(HistoryLimit, z(1, 1), txns(z(1, 1))), nil)
	s.expect("it goes on", "save currentEpoch 5")

	s, l = follows(t, z(1, 1), z(1, 3))
	l.Receive(packet(wire.PacketTrunc, z(1, 2)))
	s.expect("cut", "truncate 1/2")
	l.Truncated(NewHistory(HistoryLimit, z(1, 1), txns(z(1, 1))), nil)
	s.expect("the wanted txn was not there", "give up, need a snapshot")
}

func TestFollowerTakesASnapshot(t *testing.T) {
	s, l := follows(t, z(1, 1))
	l.Receive(packet(wire.PacketSnap, z(4, 7)))
	l.Receive(proposal(z(4, 7)))
	l.Receive(packet(wire.PacketCommit, z(4, 7)))
	l.Receive(proposal(z(4, 8)))
	l.Receive(packet(wire.PacketCommit, z(4, 8)))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0)))
	s.expect("the stream is still being read")
	l.SnapshotReceived(tree.New(tree.Options{}))
	s.expect("the state is whole only now", "install 4/7", "deliver 4/8", "save snapshot 4/8", "save currentEpoch 5")
	if !l.Tainted() {
		t.Error("memory is not on disk yet")
	}
	l.EpochSaved(true, 5)
	s.expect("durable", "9<-ACK 5/0")
	if l.Tainted() {
		t.Error("memory is on disk")
	}
}

func TestFollowerRefusesHoles(t *testing.T) {
	s, l := follows(t, z(1, 1))
	l.Receive(packet(wire.PacketDiff, z(1, 3)))
	l.Receive(proposal(z(1, 3)))
	s.expect("in a diff", "give up, need a snapshot")

	s, l = follows(t, z(1, 1))
	l.Receive(packet(wire.PacketDiff, z(1, 1)))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0)))
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("in sync", "save currentEpoch 5", "9<-ACK 5/0", "9<-ACK 5/0", "serve 5")
	l.Receive(proposal(z(5, 2)))
	s.expect("in broadcast", "give up")
}

func TestFollowerRefusesAnEarlierEpoch(t *testing.T) {
	l := NewLearner(config(2), 9, Durable{AcceptedEpoch: 6, CurrentEpoch: 4, LastZxid: z(4, 1)}, NewHistory(HistoryLimit, z(4, 1), nil), 0)
	s := &scene{t: t, taker: l}
	l.Connected(0)
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	s.expect("promised not to", "9<-FOLLOWERINFO 6/0", "give up")
}

func TestFollowerLeavesASilentLeader(t *testing.T) {
	s, l := follows(t, z(1, 1))
	l.Tick(10 * tick)
	s.expect("initLimit is not over")
	l.Tick(10*tick + 1)
	s.expect("now it is", "give up")
}

func TestObserverLogsAndNeverAcknowledges(t *testing.T) {
	cfg := config(9)
	cfg.Members = members(1, 2, 3, -9)
	l := NewLearner(cfg, 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 1)}, NewHistory(HistoryLimit, z(1, 1), nil), 0)
	s := &scene{t: t, taker: l}
	l.Connected(0)
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	l.EpochSaved(false, 5)
	l.Receive(packet(wire.PacketDiff, z(1, 2)))
	l.Receive(proposal(z(1, 2)))
	l.Receive(packet(wire.PacketCommit, z(1, 2)))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0)))
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("synchronisation", "9<-OBSERVERINFO 1/0", "save acceptedEpoch 5", "9<-ACKEPOCH 1/1",
		"append 1/2", "deliver 1/2", "save currentEpoch 5", "9<-ACK 5/0", "9<-ACK 5/0", "serve 5")
	l.Receive(packet(wire.PacketInform, z(5, 1), entry(z(5, 1)).Bytes...))
	l.Logged(z(5, 1))
	s.expect("broadcast", "append 5/1", "deliver 5/1")
}
