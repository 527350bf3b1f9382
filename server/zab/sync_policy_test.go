package zab

import (
	"testing"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// servesWith is serves with a history that begins at 1/4, and with a policy.
func servesWith(t *testing.T, policy SyncPolicy) (*scene, *Leader) {
	t.Helper()
	cfg := config(1)
	cfg.Sync = policy
	list := append([]quorum.Member(nil), cfg.Members.Members()...)
	list = append(list, quorum.Member{ID: 7, Observer: true}, quorum.Member{ID: 8, Observer: true})
	var err error
	if cfg.Members, err = quorum.New(list, nil, 0); err != nil {
		t.Fatal(err)
	}
	h := NewHistory(2, z(1, 5), txns(z(1, 2), z(1, 3), z(1, 4), z(1, 5)))
	l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 5)}, h, 0)
	s := &scene{t: t, taker: l}
	s.joins(l, 20, 2, false, z(1, 5))
	l.EpochSaved(false, 2)
	l.Receive(20, packet(wire.PacketAckEpoch, z(1, 5), 0, 0, 0, 1))
	l.SnapshotSent(20)
	l.EpochSaved(true, 2)
	l.Receive(20, packet(wire.PacketAck, z(2, 0)))
	l.Take(nil)
	if !l.Serving() {
		t.Fatal("the leader does not serve")
	}
	return s, l
}

// joins lets a learner come up to its ACKEPOCH, or to LEADERINFO where the leader has no epoch yet.
func (s *scene) joins(l *Leader, conn ConnID, id wire.ServerID, observer bool, last wire.Zxid) {
	l.Accept(conn, "")
	kind := wire.PacketFollowerInfo
	if observer {
		kind = wire.PacketObserverInfo
	}
	l.Receive(conn, packet(kind, z(1, 0), infoData(id)...))
	if l.Serving() {
		l.Take(nil)
		l.Receive(conn, packet(wire.PacketAckEpoch, last, 0, 0, 0, 1))
	}
}

func TestWhatIsMissedIsReadFromTheLog(t *testing.T) {
	log := txns(z(1, 2), z(1, 3), z(1, 4), z(1, 5))
	diff := []string{"30<-DIFF 1/5", "30<-PROPOSAL 1/2", "30<-COMMIT 1/2", "30<-PROPOSAL 1/3", "30<-COMMIT 1/3",
		"30<-PROPOSAL 1/4", "30<-COMMIT 1/4", "30<-PROPOSAL 1/5", "30<-COMMIT 1/5", "30<-NEWLEADER 2/0"}
	long := txns(z(1, 2), z(1, 3), z(1, 4), z(1, 5))
	for i, bytes := 0, make([]byte, MaxSyncBytes/3); i < 3; i++ {
		long[i].Bytes = bytes
	}
	for _, c := range []struct {
		name string
		read []txn.Entry
		want []string
	}{
		{"all of it", log, diff},
		{"more than a connection takes at once", long, []string{"30<-snapshot 2/0"}},
		{"memory has the rest", log[:2], diff},
		{"nothing", nil, []string{"30<-snapshot 2/0"}},
		{"a hole at the beginning", log[1:], []string{"30<-snapshot 2/0"}},
		{"a hole before what memory has", log[:1], []string{"30<-snapshot 2/0"}},
		{"a hole in the middle", []txn.Entry{log[0], log[2]}, []string{"30<-snapshot 2/0"}},
	} {
		s, l := servesWith(t, SyncPolicy{FromLog: true})
		s.joins(l, 30, 3, false, z(1, 1))
		s.expect(c.name, "zab.ReadLog")
		l.Tick(10 * tick)
		l.Take(nil)
		l.LogRead(30, c.read)
		s.expect(c.name, c.want...)
		l.LogRead(30, c.read)
		s.expect(c.name + ", again")
	}

	s, l := servesWith(t, SyncPolicy{FromLog: true})
	s.joins(l, 30, 3, false, z(1, 3))
	s.expect("memory has it all", "30<-DIFF 1/5", "30<-PROPOSAL 1/4", "30<-COMMIT 1/4", "30<-PROPOSAL 1/5", "30<-COMMIT 1/5", "30<-NEWLEADER 2/0")
	s.joins(l, 40, 3, false, 0)
	s.expect("nothing in common", "40<-snapshot 2/0")
	s.joins(l, 50, 3, false, z(1, 1))
	s.expect("it goes away meanwhile", "zab.ReadLog")
	l.Closed(50)
	l.LogRead(50, log)
	s.expect("it went away meanwhile")
}

// What is committed while the log is read follows from memory, and what is proposed comes with it.
func TestCommitsWhileTheLogIsRead(t *testing.T) {
	s, l := servesWith(t, SyncPolicy{FromLog: true})
	s.joins(l, 30, 3, false, z(1, 1))
	s.expect("the log is read", "zab.ReadLog")
	l.Propose(entry(z(2, 1)))
	l.Logged(z(2, 1))
	l.Receive(20, packet(wire.PacketAck, z(2, 1)))
	l.Propose(entry(z(2, 2)))
	s.expect("only server 2 hears of it", "append 2/1", "20<-PROPOSAL 2/1", "20<-COMMIT 2/1", "deliver 2/1", "append 2/2", "20<-PROPOSAL 2/2")
	l.LogRead(30, txns(z(1, 2), z(1, 3), z(1, 4)))
	s.expect("then all comes", "30<-DIFF 2/1", "30<-PROPOSAL 1/2", "30<-COMMIT 1/2", "30<-PROPOSAL 1/3", "30<-COMMIT 1/3",
		"30<-PROPOSAL 1/4", "30<-COMMIT 1/4", "30<-PROPOSAL 1/5", "30<-COMMIT 1/5", "30<-PROPOSAL 2/1", "30<-COMMIT 2/1",
		"30<-PROPOSAL 2/2", "30<-NEWLEADER 2/0")
}

func TestForcedSnapshots(t *testing.T) {
	s, l := servesWith(t, SyncPolicy{ForceSnap: true, FromLog: true})
	s.joins(l, 30, 3, false, z(1, 5))
	s.expect("a learner that lacks nothing", "30<-snapshot 2/0")
}

// Observers have to come again while many learners are being synchronised; voters need not.
func TestObserversWaitForTheirTurn(t *testing.T) {
	s, l := servesWith(t, SyncPolicy{MaxSnaps: 1, MaxDiffs: 1})
	s.joins(l, 70, 7, true, 0)
	s.expect("the first", "70<-snapshot 2/0")
	s.joins(l, 80, 8, true, 0)
	s.expect("the second", "close 80")
	s.joins(l, 30, 3, false, 0)
	s.expect("a voter", "30<-snapshot 2/0")
	s.joins(l, 80, 8, true, z(1, 4))
	s.expect("another kind", "80<-DIFF 1/5", "80<-PROPOSAL 1/5", "80<-COMMIT 1/5", "80<-NEWLEADER 2/0")
	l.Closed(30)
	l.SnapshotSent(70)
	s.expect("the first has read it", "70<-NEWLEADER 2/0")
	l.Closed(80)
	s.joins(l, 80, 8, true, 0)
	s.expect("it is not in sync yet", "close 80")
	l.Receive(70, packet(wire.PacketAck, z(2, 0)))
	s.expect("now it is", "70<-UPTODATE -")
	s.joins(l, 80, 8, true, 0)
	s.expect("and the second has its turn", "80<-snapshot 2/0")
}

// A learner may take over a session when it has heard what became of all that the session asked for elsewhere.
func TestSessionsMoveBehindTheirWrites(t *testing.T) {
	s, l := serves(t)
	e := entry(z(5, 1))
	e.Header.Session = 7
	l.Propose(e)
	l.Logged(z(5, 1))
	s.expect("a write of session 7", "append 5/1", "20<-PROPOSAL 5/1")
	if l.SettleRevalidate(Revalidate{Conn: 20, Session: 8}) {
		t.Error("session 8 waits for nothing")
	}
	if !l.SettleRevalidate(Revalidate{Conn: 20, Session: 7}) {
		t.Fatal("session 7 has a write on its way")
	}
	l.Request(20, Request{Session: 9, Op: wire.OpSync})
	s.expect("a sync behind it", "20<-PING 5/1")
	l.Receive(20, packet(wire.PacketAck, z(5, 1)))
	s.expect("the write is committed", "20<-COMMIT 5/1", "deliver 5/1", "zab.Revalidate")
	l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	s.expect("and the leader confirmed", "20<-SYNC 0/0")

	l.Propose(entry(z(5, 2)))
	l.Logged(z(5, 2))
	l.Request(20, Request{Session: 9, Op: wire.OpSync})
	e = entry(z(5, 3))
	e.Header.Session = 7
	l.Propose(e)
	l.Logged(z(5, 3))
	l.SettleRevalidate(Revalidate{Conn: 20, Session: 7})
	l.Take(nil)
	l.Receive(20, packet(wire.PacketAck, z(5, 3)))
	s.expect("what waits for a round comes first", "20<-COMMIT 5/2", "deliver 5/2", "20<-COMMIT 5/3", "deliver 5/3")
	l.Receive(20, packet(wire.PacketPing, z(5, 1)))
	s.expect("then all", "20<-SYNC 0/0", "zab.Revalidate")
}
