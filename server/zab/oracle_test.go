package zab

import (
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// of2 is server 1 with a log up to 1/1, elected by whatever it took, in an ensemble of two.
func of2(t *testing.T, alone bool) (*scene, *Leader) {
	t.Helper()
	cfg := config(1)
	cfg.Members = members(1, 2)
	l := NewLeader(cfg, Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 1)}, NewHistory(HistoryLimit, z(1, 1), txns(z(1, 1))), 0)
	l.SetOracle(alone)
	return &scene{t: t, taker: l}, l
}

// With the word of the oracle one of two voters goes all the way by itself; without it it waits.
func TestOneOfTwoLeadsAlone(t *testing.T) {
	s, l := of2(t, false)
	l.Tick(tick)
	s.expect("without the oracle")
	l.SetOracle(true)
	l.Tick(tick)
	s.expect("with it", "save acceptedEpoch 2")
	l.EpochSaved(false, 2)
	s.expect("then", "save currentEpoch 2")
	l.EpochSaved(true, 2)
	s.expect("then", "serve 2")
	l.Propose(entry(z(2, 1)))
	l.Logged(z(2, 1))
	s.expect("its own log is enough", "append 2/1", "deliver 2/1")
	l.Request(0, Request{Op: wire.OpSync, Session: 7})
	s.expect("so it is for a sync", "zab.Synced")
	l.Tick(10 * tick)
	s.expect("it stays")
	l.SetOracle(false)
	l.Tick(20 * tick)
	s.expect("until the oracle says no", "give up")
}

// While the other voter follows, its acknowledgements are needed; once it is gone, what waited for them goes on.
func TestOracleCountsWithoutFollowers(t *testing.T) {
	s, l := of2(t, true)
	l.Tick(0)
	l.EpochSaved(false, 2)
	l.EpochSaved(true, 2)
	l.Take(nil)
	s.joins(l, 20, 2, false, z(1, 1))
	s.expect("the other voter comes", "20<-DIFF 1/1", "20<-NEWLEADER 2/0")
	l.Receive(20, packet(wire.PacketAck, z(2, 0)))
	s.expect("it is in sync", "20<-UPTODATE -")
	l.Propose(entry(z(2, 1)))
	l.Logged(z(2, 1))
	l.Tick(tick / 4)
	s.expect("its log is needed", "append 2/1", "20<-PROPOSAL 2/1")
	l.Closed(20)
	l.Tick(tick / 3)
	s.expect("it is gone", "deliver 2/1")
}

// An oracle does not make one of three a quorum.
func TestOracleDecidesBetweenTwo(t *testing.T) {
	l := NewLeader(config(1), Durable{AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: z(1, 1)}, NewHistory(HistoryLimit, z(1, 1), txns(z(1, 1))), 0)
	l.SetOracle(true)
	l.Tick(tick)
	(&scene{t: t, taker: l}).expect("of three")
}
