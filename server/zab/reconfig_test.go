package zab

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// reconfig is the txn that makes a membership the next one, which is returned with its version.
func reconfig(zxid wire.Zxid, next *quorum.Config) (txn.Entry, *quorum.Config) {
	next = next.WithVersion(int64(zxid))
	h := txn.Header{Session: 1, Cxid: 7, Zxid: zxid, Time: 1000, Type: wire.OpReconfig}
	return txn.New(h, &txn.SetData{Path: "/zookeeper/config", Data: next.Text(), Version: -1}, nil), next
}

// moved is a membership in which a server has another quorum port.
func moved(c *quorum.Config, id wire.ServerID) *quorum.Config {
	c, err := quorum.Parse([]byte(strings.Replace(c.String(), "h:"+"288"+"9", "h:1", 1)))
	if err != nil || id != 1 {
		panic(err)
	}
	return c
}

// enter brings a learner of server 1, which serves in epoch 5, to where it gets the broadcast.
func enter(l *Leader, conn ConnID, id wire.ServerID, version int64) {
	kind := wire.PacketFollowerInfo
	if m, _ := l.Members().Member(id); m.Observer {
		kind = wire.PacketObserverInfo
	}
	l.Accept(conn, "")
	l.Receive(conn, packet(kind, z(1, 0), infoWith(id, version)...))
	l.Receive(conn, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	l.Receive(conn, packet(wire.PacketAck, z(5, 0)))
	l.Receive(conn, packet(wire.PacketAck, z(5, 0)))
}

func (s *scene) forget() { s.taker.Take(nil) }

func acks(l *Leader, zxid wire.Zxid, conns ...ConnID) {
	for _, conn := range conns {
		l.Receive(conn, packet(wire.PacketAck, zxid))
	}
}

func TestReconfigurationNeedsBothQuorums(t *testing.T) {
	s, l := serves(t)
	for id := wire.ServerID(4); id <= 6; id++ {
		enter(l, ConnID(10*id), id, 0)
	}
	next := members(1, 4, 5, 6) // a quorum has three
	if l.HasSynced(members(1, 3, 7)) || !l.HasSynced(next) {
		t.Error("who has synced")
	}
	s.forget()
	e, next := reconfig(z(5, 1), next)
	l.Propose(e)
	s.expect("it is saved before it is logged", "see 500000001", "append 5/1",
		"20<-PROPOSAL 5/1", "40<-PROPOSAL 5/1", "50<-PROPOSAL 5/1", "60<-PROPOSAL 5/1")
	if l.LastSeen().Version() != next.Version() || l.Members().Version() == next.Version() {
		t.Error("proposed and committed are the same")
	}
	l.Propose(entry(z(5, 2)))
	s.forget()
	l.Logged(z(5, 2))
	acks(l, z(5, 2), 20)
	s.expect("a quorum of the old membership is not enough")
	acks(l, z(5, 1), 40)
	s.expect("nor are two of the new one's four")
	acks(l, z(5, 1), 50)
	s.expect("now both have it", "activate 500000001", "20<-COMMITANDACTIVATE 5/1 for 1", "40<-COMMITANDACTIVATE 5/1 for 1",
		"50<-COMMITANDACTIVATE 5/1 for 1", "60<-COMMITANDACTIVATE 5/1 for 1", "deliver 5/1")
	acks(l, z(5, 2), 40)
	s.expect("what was proposed before the commit needs both, too")
	l.Propose(entry(z(5, 3)))
	s.forget()
	l.Logged(z(5, 3))
	l.Closed(20)
	acks(l, z(5, 2), 50)
	s.expect("the old membership has no quorum any more")
	acks(l, z(5, 3), 40, 50)
	s.expect("those who have activated the new one commit for it", "40<-COMMIT 5/2", "50<-COMMIT 5/2", "60<-COMMIT 5/2", "deliver 5/2",
		"40<-COMMIT 5/3", "50<-COMMIT 5/3", "60<-COMMIT 5/3", "deliver 5/3")
}

// A quorum of the new membership alone is not enough: the old one could go on, under another leader, without knowing.
func TestReconfigurationNeedsTheOldQuorum(t *testing.T) {
	for _, unsafe := range []bool{false, true} {
		s, l := serves(t)
		l.cfg.Unsafe.CommitWithNewQuorum = unsafe
		enter(l, 40, 4, 0)
		enter(l, 50, 5, 0)
		e, _ := reconfig(z(5, 1), members(1, 4, 5))
		l.Propose(e)
		l.Logged(z(5, 1))
		s.forget()
		acks(l, z(5, 1), 40, 50)
		if committed := len(l.Take(nil)) > 0; committed != unsafe {
			t.Errorf("unsafe %t: committed %t", unsafe, committed)
		}
		if !unsafe {
			acks(l, z(5, 1), 20)
			if len(l.Take(nil)) == 0 {
				t.Error("with both quorums it is not committed")
			}
		}
	}
}

// Without the last step of the first scene, writes would wait until somebody writes again.
func TestWhatWaitsForTheOldMembershipIsFollowed(t *testing.T) {
	s, l := serves(t)
	e, _ := reconfig(z(5, 1), members(1))
	l.Propose(e)
	l.Propose(entry(z(5, 2)))
	l.Logged(z(5, 2))
	acks(l, z(5, 1), 20)
	l.Closed(20)
	s.forget()
	l.Tick(tick)
	s.expect("server 2 is gone", "ask for check")
	l.Propose(entry(z(5, 3)))
	l.Logged(z(5, 3))
	s.expect("one voter is enough", "append 5/3", "deliver 5/2", "deliver 5/3")
	l.Tick(2 * tick)
	s.expect("nothing waits")
}

// One who has not activated the membership could still help servers that do not know it; see the package comment.
func TestAcksCountOnceTheMembershipIsActivated(t *testing.T) {
	s, l := serves(t)
	e, next := reconfig(z(5, 1), members(1, 4, 5))
	enter(l, 40, 4, 0)
	enter(l, 50, 5, 0)
	l.Propose(e)
	l.Logged(z(5, 1))
	acks(l, z(5, 1), 20, 40)
	l.Closed(40)
	l.Closed(50)
	s.forget()
	enter(l, 41, 4, next.Version())
	enter(l, 51, 5, 0)
	s.forget()
	l.Propose(entry(z(5, 2)))
	l.Logged(z(5, 2))
	s.forget()
	acks(l, z(5, 2), 51)
	s.expect("who acknowledged UPTODATE has the membership", "20<-COMMIT 5/2", "41<-COMMIT 5/2", "51<-COMMIT 5/2", "deliver 5/2")

	l.Closed(51)
	l.Closed(41)
	l.Accept(52, "")
	l.Receive(52, packet(wire.PacketFollowerInfo, z(1, 0), infoData(5)...))
	l.Receive(52, packet(wire.PacketAckEpoch, z(5, 2), 0, 0, 0, 1))
	acks(l, z(5, 0), 52)
	l.Propose(entry(z(5, 3)))
	l.Logged(z(5, 3))
	s.forget()
	acks(l, z(5, 3), 52)
	s.expect("it has not")
	acks(l, z(5, 0), 52)
	s.expect("now it has", "20<-COMMIT 5/3", "52<-COMMIT 5/3", "deliver 5/3")
}

func TestNewLeaderCarriesWhatIsCommitted(t *testing.T) {
	s, l := serves(t)
	e, next := reconfig(z(5, 1), members(1, 2, 3, 4))
	l.Propose(e)
	s.forget()
	text := func(conn ConnID) string {
		for _, e := range l.Take(nil) {
			if send, ok := e.(Send); ok && send.Conn == conn && send.Packet.Type == wire.PacketNewLeader {
				return string(send.Packet.Data)
			}
		}
		return "no NEWLEADER"
	}
	enter(l, 40, 4, 0)
	if got := text(40); got != l.Members().String() || got == next.String() {
		t.Errorf("while it waits: %s", got)
	}
	l.Logged(z(5, 1))
	acks(l, z(5, 1), 20, 40)
	enter(l, 30, 3, 0)
	if got := text(30); got != next.String() {
		t.Errorf("after the commit: %s", got)
	}
	l.Accept(50, "")
	l.Receive(50, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(3, next.Version()+1)...))
	s.expect("a newer membership is refused", "close 50")
}

func TestRemovedLeaderNamesItsHeir(t *testing.T) {
	s, l := serves(t)
	enter(l, 30, 3, 0)
	enter(l, 40, 4, 0)
	l.cfg.Members = members(1, 2, 3, -4)
	e, _ := reconfig(z(5, 1), members(2, 3, -1))
	l.Propose(e)
	l.Propose(entry(z(5, 2)))
	l.Logged(z(5, 2))
	acks(l, z(5, 1), 20)
	s.forget()
	acks(l, z(5, 2), 30)
	s.expect("the one that has most", "activate 500000001", "20<-COMMITANDACTIVATE 5/1 for 3",
		"30<-COMMITANDACTIVATE 5/1 for 3", "40<-COMMITANDACTIVATE 5/1 for 3", "deliver 5/1")
	acks(l, z(5, 2), 20)
	s.expect("nothing is committed any more")
	if _, ok := l.NextZxid(); ok || l.Serving() {
		t.Error("it still leads")
	}
	l.Request(0, Request{Op: wire.OpSync})
	l.Accept(50, "")
	l.Receive(50, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	s.expect("nobody comes any more", "close 50")
	l.Closed(40)
	s.expect("a quorum is still to leave")
	l.Closed(20)
	s.expect("now it is known", "give up, follow 3")
}

// Followers that hang must not keep a leader that leads no more.
func TestRetirementEnds(t *testing.T) {
	s, l := serves(t)
	e, _ := reconfig(z(5, 1), moved(members(1, 2), 1))
	l.Propose(e)
	l.Logged(z(5, 1))
	acks(l, z(5, 1), 20)
	s.forget()
	l.Tick(5 * tick)
	s.expect("the follower stays")
	l.Tick(5*tick + 1)
	s.expect("too long", "close 20", "give up, follow 2")
}

// unfinished is server 1 with a history up to 1/2, the reconfiguration that makes a membership the next one of 1, 2 and 3. It
// has been elected, and server 2 follows.
func unfinished(t *testing.T, next *quorum.Config) (*scene, *Leader) {
	t.Helper()
	cfg := config(1)
	cfg.Reconfig = true
	cfg.Members, cfg.LastSeen = cfg.Members.WithVersion(7), next.WithVersion(int64(z(1, 2)))
	h := NewHistory(HistoryLimit, z(1, 2), txns(z(1, 1), z(1, 2)))
	l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, h, 0)
	s := &scene{t: t, taker: l}
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(4, 0), infoWith(2, 7)...))
	s.expect("the old membership has a quorum, the new one has not")
	return s, l
}

// A leader completes what its history has of reconfigurations, and that with both quorums.
func TestNewTermCompletesAReconfiguration(t *testing.T) {
	begin := func(next *quorum.Config) (*scene, *Leader) {
		s, l := unfinished(t, next)
		l.Accept(40, "")
		l.Receive(40, packet(wire.PacketObserverInfo, z(1, 0), infoWith(4, 7)...)) // which knows only that it observes
		s.expect("now it has", "save acceptedEpoch 5")
		l.EpochSaved(false, 5)
		s.expect("discovery", "20<-LEADERINFO 5/0", "40<-LEADERINFO 5/0")
		l.Receive(20, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
		s.expect("a promise of the new one is missing")
		l.Receive(40, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
		s.expect("there it is", "save currentEpoch 5", "20<-DIFF 1/2", "20<-NEWLEADER 5/0", "40<-DIFF 1/2", "40<-NEWLEADER 5/0")
		l.EpochSaved(true, 5)
		acks(l, z(5, 0), 20)
		s.expect("the new one has to have the history, too")
		acks(l, z(5, 0), 40)
		return s, l
	}
	s, _ := begin(members(1, 4, 5))
	s.expect("now it has", "activate 100000002", "serve 5", "20<-UPTODATE -", "40<-UPTODATE -")

	s, l := begin(members(2, 4, 5))
	s.expect("another one has to lead", "activate 100000002", "20<-UPTODATE -", "40<-UPTODATE -")
	l.Receive(20, packet(wire.PacketRevalidate, -1, make([]byte, 12)...))
	l.Closed(20)
	s.expect("the followers elect, and so does it", "give up")
}

// While it does, only a voter of the old membership shows that the leader lacks something. One of the new membership alone
// may have more, of a leader that never came to commit it: it could not lead itself, and its promise may be needed.
func TestWhoMayBeAheadOfALeaderThatCompletesAReconfiguration(t *testing.T) {
	for _, c := range []struct {
		what    string
		id      wire.ServerID
		last    wire.Zxid
		current wire.Epoch
		want    []string
	}{
		{"more txns of the old leader", 5, z(1, 3), 1, []string{"save currentEpoch 7", "20<-DIFF 1/2", "20<-NEWLEADER 7/0", "50<-TRUNC 1/2", "50<-NEWLEADER 7/0"}},
		{"the history of a later one", 5, z(1, 3), 6, []string{"save currentEpoch 7", "20<-DIFF 1/2", "20<-NEWLEADER 7/0", "50<-TRUNC 1/2", "50<-NEWLEADER 7/0"}},
		{"none that is of use", 5, -1, 1, []string{"save currentEpoch 7", "20<-DIFF 1/2", "20<-NEWLEADER 7/0", "50<-snapshot 1/2"}},
		{"a promise that is an old one", 5, z(1, 2), -1, nil},
		{"a voter of both with more txns", 3, z(1, 3), 1, []string{"close 50"}},
		{"a voter of both with the history of a later leader", 3, z(1, 2), 6, []string{"close 50"}},
		{"a voter of neither", 9, z(1, 3), 1, []string{"close 50"}},
	} {
		s, l := unfinished(t, members(1, 3, 5))
		if c.id == 9 {
			l.Accept(30, "") // for the quorum
			l.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(3, 7)...))
		}
		l.Accept(50, "")
		l.Receive(50, packet(wire.PacketFollowerInfo, z(6, 0), infoWith(c.id, 7)...))
		l.EpochSaved(false, 7)
		s.forget()
		l.Receive(20, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
		s.expect("the old membership has promised")
		l.Receive(50, packet(wire.PacketAckEpoch, c.last, wire.AppendEpoch(nil, c.current)...))
		s.expect(c.what, c.want...)
	}
}

// A leader does not let in learners that have missed the committed membership while the one after it waits: from NEWLEADER
// they would know that one as the next, and go on from the one before.
func TestMembershipsAreNotSkipped(t *testing.T) {
	cfg := config(1)
	cfg.Reconfig = true
	cfg.Members, cfg.LastSeen = cfg.Members.WithVersion(int64(z(1, 1))), members(1, 4, 5).WithVersion(int64(z(1, 2)))
	l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, NewHistory(HistoryLimit, z(1, 2), nil), 0)
	s := &scene{t: t, taker: l}
	l.Accept(20, "")
	l.Receive(20, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(2, 7)...))
	s.expect("it has to hear of the membership first", "close 20")
	l.Accept(21, "")
	l.Receive(21, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(2, int64(z(1, 1)))...))
	l.Accept(40, "")
	l.Receive(40, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(4, int64(z(1, 1)))...))
	s.expect("now they have", "save acceptedEpoch 2")
}

// The members of a new membership that have not activated it do not count for its leader. They could count, in the same
// epoch even, for one that knows it as a proposal only, and completes it without what this one commits.
func TestWhoHasNotActivatedTheMembershipDoesNotCount(t *testing.T) {
	version := int64(z(1, 2))
	cfg := config(4)
	cfg.Reconfig, cfg.Members = true, members(3, 4, 5).WithVersion(version)
	l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 3)}, NewHistory(HistoryLimit, z(1, 3), nil), 0)
	s := &scene{t: t, taker: l}
	l.Accept(50, "")
	l.Receive(50, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(5, 7)...))
	s.expect("it may follow, and is not counted")
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(3, version)...))
	s.expect("server 3 is", "save acceptedEpoch 2")
	l.EpochSaved(false, 2)
	s.expect("discovery", "50<-LEADERINFO 2/0", "30<-LEADERINFO 2/0")
	l.Receive(50, packet(wire.PacketAckEpoch, z(1, 3), 0, 0, 0, 1))
	s.expect("its promise could serve another leader")
	l.Receive(30, packet(wire.PacketAckEpoch, z(1, 3), 0, 0, 0, 1))
	s.expect("that of server 3 not", "save currentEpoch 2", "50<-DIFF 1/3", "50<-NEWLEADER 2/0", "30<-DIFF 1/3", "30<-NEWLEADER 2/0")
	l.EpochSaved(true, 2)
	acks(l, z(2, 0), 50)
	s.expect("nor is what it has on disk enough")
	acks(l, z(2, 0), 30)
	s.expect("a quorum", "serve 2", "50<-UPTODATE -", "30<-UPTODATE -")

	// Where memberships cannot change, versions are what somebody has written into the files.
	cfg.Reconfig = false
	l = NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 3)}, NewHistory(HistoryLimit, z(1, 3), nil), 0)
	s.taker = l
	l.Accept(50, "")
	l.Receive(50, packet(wire.PacketFollowerInfo, z(1, 0), infoWith(5, 0)...))
	s.expect("it counts", "save acceptedEpoch 2")

	// The other leader, of the membership before: nobody who has activated the new one helps it.
	cfg = config(1)
	cfg.Reconfig, cfg.Members, cfg.LastSeen = true, cfg.Members.WithVersion(7), cfg.Members
	l = NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 2)}, NewHistory(HistoryLimit, z(1, 2), nil), 0)
	s.taker = l
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(2, 0), infoWith(3, version)...))
	s.expect("it knows better", "close 30")
}

func TestFirstTermRaisesTheVersion(t *testing.T) {
	cfg := config(1)
	cfg.Members, cfg.Reconfig = members(1), true
	l := NewLeader(cfg, Durable{}, NewHistory(HistoryLimit, 0, nil), 0)
	s := &scene{t: t, taker: l}
	l.EpochSaved(false, 1)
	l.EpochSaved(true, 1)
	s.expect("version 0 is nobody's", "save acceptedEpoch 1", "see 100000000", "save currentEpoch 1", "activate 100000000", "serve 1")

	cfg.Reconfig = false
	l = NewLeader(cfg, Durable{}, NewHistory(HistoryLimit, 0, nil), 0)
	s.taker = l
	l.EpochSaved(false, 1)
	l.EpochSaved(true, 1)
	s.expect("without reconfigEnabled it stays", "save acceptedEpoch 1", "save currentEpoch 1", "serve 1")
}

// learns brings a learner of server 1 to broadcast in epoch 5 with a membership of version 7.
func learns(t *testing.T, self wire.ServerID, c *quorum.Config) (*scene, *Learner) {
	t.Helper()
	cfg := config(self)
	cfg.Members, cfg.Reconfig, cfg.Leader = c.WithVersion(7), true, 1
	l := NewLearner(cfg, 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 1)}, NewHistory(HistoryLimit, z(1, 1), nil), 0)
	s := &scene{t: t, taker: l}
	l.Connected(0)
	l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
	l.EpochSaved(false, 5)
	l.Receive(packet(wire.PacketDiff, z(1, 1)))
	l.Receive(packet(wire.PacketNewLeader, z(5, 0), cfg.Members.Text()...))
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.forget()
	return s, l
}

// commitAndActivate is the packet that tells followers of a committed reconfiguration.
func commitAndActivate(zxid wire.Zxid, heir wire.ServerID) wire.QuorumPacket {
	return packet(wire.PacketCommitAndActivate, zxid, binary.BigEndian.AppendUint64(nil, uint64(heir))...)
}

func TestFollowerActivatesAMembership(t *testing.T) {
	for what, c := range map[string]struct {
		next *quorum.Config
		heir wire.ServerID
		ends string
	}{
		"a server joins":           {members(1, 2, 3, 4), 1, ""},
		"another server leaves":    {members(1, 2), 1, ""},
		"it leaves itself":         {members(1, 3), 1, ""},
		"it observes from now on":  {members(1, 3, -2), 1, "give up, follow 1"},
		"another server leads":     {members(2, 3), 3, "give up, follow 3"},
		"it leads itself":          {members(2, 3), 2, "give up, follow 2"},
		"nothing but its own port": {moved(members(1, 2, 3), 1), 1, ""},
	} {
		s, l := learns(t, 2, members(1, 2, 3))
		e, _ := reconfig(z(5, 1), c.next)
		l.Receive(packet(wire.PacketProposal, z(5, 1), e.Bytes...))
		s.expect(what, "see 500000001", "append 5/1")
		l.Logged(z(5, 1))
		l.Receive(commitAndActivate(z(5, 1), c.heir))
		want := []string{"9<-ACK 5/1", "activate 500000001", "deliver 5/1"}
		if c.ends != "" {
			want = append(want, c.ends)
		}
		s.expect(what, want...)
	}
}

func TestObserverActivatesAMembership(t *testing.T) {
	for what, c := range map[string]struct {
		next *quorum.Config
		ends string
	}{
		"a server joins": {members(1, 2, -3, 4), ""},
		"it votes":       {members(1, 2, 3), "give up, follow 1"},
		"it leaves":      {members(1, 2), "give up, follow 1"}, // and follows without a vote
	} {
		s, l := learns(t, 3, members(1, 2, -3))
		e, _ := reconfig(z(5, 1), c.next)
		l.Receive(informAndActivate(e, 1))
		want := []string{"see 500000001", "append 5/1", "activate 500000001", "deliver 5/1"}
		if c.ends != "" {
			want = append(want, c.ends)
		}
		s.expect(what, want...)
	}
}

func TestPacketsOfReconfigurationsThatAreWrong(t *testing.T) {
	e, _ := reconfig(z(5, 1), members(1, 2, 3, 4))
	broken := txn.New(e.Header, &txn.SetData{Path: "/zookeeper/config", Data: []byte("server.1=x")}, nil)
	foreign := txn.New(e.Header, &txn.SetData{Path: "/zookeeper/config", Data: members(1, 2).Text()}, nil)
	for what, packets := range map[string][]wire.QuorumPacket{
		"no membership":      {packet(wire.PacketProposal, z(5, 1), broken.Bytes...)},
		"another version":    {packet(wire.PacketProposal, z(5, 1), foreign.Bytes...)},
		"no heir":            {packet(wire.PacketProposal, z(5, 1), e.Bytes...), packet(wire.PacketCommitAndActivate, z(5, 1))},
		"no reconfiguration": {proposal(z(5, 1)), commitAndActivate(z(5, 1), 1)},
		"nothing proposed":   {commitAndActivate(z(5, 1), 1)},
		"cut":                {packet(wire.PacketInformAndActivate, z(5, 1), 1, 2, 3)},
	} {
		s, l := learns(t, 2, members(1, 2, 3))
		for _, p := range packets {
			l.Receive(p)
		}
		effects := l.Take(nil)
		if len(effects) == 0 {
			t.Fatalf("%s: nothing happened", what)
		}
		if last := describe(effects[len(effects)-1]); last != "give up" {
			t.Errorf("%s: %s", what, last)
		}
		s.forget()
	}
	// Without reconfigEnabled here the two servers would have different ideas of the ensemble.
	s, l := learns(t, 2, members(1, 2, 3))
	l.cfg.Reconfig = false
	l.Receive(packet(wire.PacketProposal, z(5, 1), e.Bytes...))
	l.Receive(commitAndActivate(z(5, 1), 1))
	s.expect("reconfigEnabled differs", "append 5/1", "give up")
}

// A learner that is being synchronised learns of a membership with UPTODATE, or with the commit of its txn.
func TestMembershipOfNewLeader(t *testing.T) {
	begin := func(version int64, sync ...wire.QuorumPacket) (*scene, *Learner) {
		cfg := config(2)
		cfg.Members, cfg.Reconfig, cfg.Leader = members(1, 2, 3).WithVersion(version), true, 1
		cfg.LastSeen = members(1, 2).WithVersion(int64(z(1, 2)))
		l := NewLearner(cfg, 9, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 1)}, NewHistory(HistoryLimit, z(1, 1), nil), 0)
		s := &scene{t: t, taker: l}
		l.Connected(0)
		l.Receive(packet(wire.PacketLeaderInfo, z(5, 0), 0, 1, 0, 0))
		l.EpochSaved(false, 5)
		l.Receive(packet(wire.PacketDiff, z(1, 1)))
		for _, p := range sync {
			l.Receive(p)
		}
		s.forget()
		return s, l
	}
	newLeader := func(c *quorum.Config) wire.QuorumPacket {
		return packet(wire.PacketNewLeader, z(5, 0), c.Text()...)
	}
	s, l := begin(7)
	l.Receive(newLeader(members(1, 2, 3, 4).WithVersion(8)))
	s.expect("even an older one than that proposed takes its place", "see 8", "save currentEpoch 5")
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("and becomes the committed one", "9<-ACK 5/0", "activate 8", "9<-ACK 5/0", "serve 5")

	s, l = begin(7)
	l.Receive(newLeader(members(2, 3).WithVersion(8)))
	l.EpochSaved(true, 5)
	s.forget()
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("one without the leader", "activate 8", "give up")

	s, l = begin(9)
	l.Receive(newLeader(members(1, 2, 3).WithVersion(8)))
	s.expect("the leader does not know what is committed", "give up")

	s, l = begin(7, proposal(z(1, 2)), packet(wire.PacketCommit, z(1, 2)))
	l.Receive(newLeader(members(1, 2, 3, 4).WithVersion(8)))
	s.expect("its history has what was proposed", "give up")

	s, l = begin(7)
	l.history.Add(entry(z(1, 2)))
	l.Receive(newLeader(members(1, 2, 3, 4).WithVersion(8)))
	s.expect("both have it", "give up")

	// Apache ZooKeeper sends the proposed membership although it is not committed.
	e, next := reconfig(z(5, 1), members(1, 2, 3, 4))
	s, l = begin(7, packet(wire.PacketProposal, z(5, 1), e.Bytes...))
	l.Receive(newLeader(next))
	l.EpochSaved(true, 5)
	l.Receive(packet(wire.PacketUpToDate, -1))
	s.expect("it waits for its commit", "see 500000001", "save currentEpoch 5", "9<-ACK 5/0", "9<-ACK 5/0", "serve 5", "append 5/1")
	l.Receive(commitAndActivate(z(5, 1), 1))
	s.expect("which comes", "activate 500000001", "deliver 5/1")

	s, l = begin(7, packet(wire.PacketProposal, z(5, 1), e.Bytes...), commitAndActivate(z(5, 1), 1))
	l.Receive(newLeader(next))
	s.expect("it came before", "append 5/1", "deliver 5/1", "save currentEpoch 5")

	s, l = begin(7, packet(wire.PacketProposal, z(5, 1), e.Bytes...), commitAndActivate(z(5, 1), 2))
	if l.state != left {
		t.Error("the membership has another leader, and the learner goes on")
	}
	s.forget()
}
