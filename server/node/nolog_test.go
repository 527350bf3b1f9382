package node_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// logless lets server 3, an observer without a log, be synchronised by server 1 in epoch 2 with one txn. next is the membership
// of NEWLEADER; nil for the same one.
func logless(t *testing.T, next *quorum.Config) *seeker {
	t.Helper()
	members := voters(0x100000000, 1, 2)
	list := append(members.Members()[:2:2], quorum.Member{ID: 3, Observer: true, Host: "h3", QuorumPort: 2888, ElectionPort: 3888})
	members, err := quorum.New(list, nil, members.Version())
	if err != nil {
		t.Fatal(err)
	}
	cfg := seekerConfig(members)
	cfg.NoLog = true
	n, err := node.New(cfg, &node.Database{Tree: tree.New(tree.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	s := &seeker{t: t, n: n}
	s.step(node.Tick{})
	for _, from := range []wire.ServerID{2, 1} {
		state := wire.Following
		if from == 1 {
			state = wire.Leading
		}
		s.hears(from, state, 1, members)
	}
	if next == nil {
		next = members
	}
	const conn = 3
	s.step(node.LeaderConnected{Conn: conn})
	e := txn.New(txn.Header{Zxid: 0x100000001, Type: wire.OpError}, &txn.Error{Err: wire.ErrNoNode}, nil)
	for _, p := range []wire.QuorumPacket{
		{Type: wire.PacketLeaderInfo, Zxid: 0x200000000, Data: []byte{0, 1, 0, 0}},
		{Type: wire.PacketDiff, Zxid: 0x100000001},
		{Type: wire.PacketProposal, Zxid: 0x100000001, Data: e.Bytes},
		{Type: wire.PacketCommit, Zxid: 0x100000001},
		{Type: wire.PacketNewLeader, Zxid: 0x200000000, Data: next.Text()},
	} {
		s.step(node.PacketReceived{Conn: conn, Packet: p})
	}
	return s
}

// saved tells what went to the disk.
func (s *seeker) saved() (epoch, txns bool) {
	for _, e := range s.did {
		switch e := e.(type) {
		case node.SaveEpoch:
			epoch = epoch || e.Current
		case node.Append:
			txns = true
		}
	}
	return epoch, txns
}

// TestNoEpochWithoutItsHistory: an observer without a log must not have on disk that it took over the history of an epoch.
// Started as a voter later, it would win elections with that.
func TestNoEpochWithoutItsHistory(t *testing.T) {
	s := logless(t, nil)
	if epoch, txns := s.saved(); epoch || txns {
		t.Errorf("saved: currentEpoch %t, txns %t", epoch, txns)
	}
	acked := false
	for _, e := range s.did {
		if send, ok := e.(node.SendPacket); ok && send.Packet.Type == wire.PacketAck {
			acked = true
		}
	}
	if !acked {
		t.Error("it does not acknowledge NEWLEADER")
	}
	s.step(node.PacketReceived{Conn: 3, Packet: wire.QuorumPacket{Type: wire.PacketUpToDate, Zxid: -1}})
	if status := s.n.Status(); !status.Serving || status.Epoch != 2 {
		t.Errorf("%+v", status)
	}
}

// TestWhoIsToVoteLogs: what an observer acknowledges counts for a membership in which it is to vote, so it has to be on disk.
func TestWhoIsToVoteLogs(t *testing.T) {
	s := logless(t, voters(0x100000005, 1, 2, 3))
	if epoch, txns := s.saved(); !epoch || !txns {
		t.Errorf("saved: currentEpoch %t, txns %t", epoch, txns)
	}

	// What it has in memory alone it has to get again.
	s = logless(t, nil)
	s.step(node.PacketReceived{Conn: 3, Packet: wire.QuorumPacket{Type: wire.PacketUpToDate, Zxid: -1}})
	next := voters(0x200000001, 1, 2, 3)
	e := txn.New(txn.Header{Zxid: 0x200000001, Type: wire.OpReconfig}, &txn.SetData{Path: tree.ConfigPath, Data: next.Text(), Version: -1}, nil)
	data := append([]byte{0, 0, 0, 0, 0, 0, 0, 1}, e.Bytes...)
	s.step(node.PacketReceived{Conn: 3, Packet: wire.QuorumPacket{Type: wire.PacketInformAndActivate, Zxid: 0x200000001, Data: data}})
	if status := s.n.Status(); status.Role == node.Observing && status.Serving {
		t.Errorf("it goes on: %+v", status)
	}
	if _, txns := s.saved(); txns {
		t.Error("it logs a txn behind others that it has not logged")
	}
}
