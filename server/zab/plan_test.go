package zab

import (
	"testing"

	"github.com/zkctl/zkctl/wire"
)

func TestPlanSync(t *testing.T) {
	var log []wire.Zxid
	for i := uint32(3); i <= 9; i++ {
		log = append(log, z(1, i))
	}
	log = append(log, z(2, 1), z(2, 2), z(4, 1))
	old := NewHistory(HistoryLimit, z(1, 9), txns(log[:7]...))
	all := NewHistory(HistoryLimit, z(4, 1), txns(log...))
	empty := NewHistory(HistoryLimit, 0, nil)
	fromSnapshot := NewHistory(HistoryLimit, z(3, 0), nil)

	for _, c := range []struct {
		name      string
		h         *History
		processed wire.Zxid
		peer      wire.Zxid
		op        wire.PacketType
		zxid      wire.Zxid
		txns      int
	}{
		{"all empty", empty, 0, 0, wire.PacketDiff, 0, 0},
		{"same history", all, z(4, 1), z(4, 1), wire.PacketDiff, z(4, 1), 0},
		{"same history, the epoch has begun", old, z(2, 0), z(1, 9), wire.PacketDiff, z(1, 9), 0},
		{"at the start of this epoch", old, z(2, 0), z(2, 0), wire.PacketDiff, z(2, 0), 0},
		{"missed a few", all, z(4, 1), z(2, 1), wire.PacketDiff, z(4, 1), 2},
		{"missed a few of several epochs", all, z(4, 1), z(1, 8), wire.PacketDiff, z(4, 1), 4},
		{"just before the oldest", all, z(4, 1), z(1, 2), wire.PacketDiff, z(4, 1), 10},
		{"before the oldest", all, z(4, 1), z(1, 1), wire.PacketSnap, z(4, 1), 0},
		{"nothing at all", all, z(4, 1), 0, wire.PacketSnap, z(4, 1), 0},
		{"no usable history", all, z(4, 1), -1, wire.PacketSnap, z(4, 1), 0},
		{"one too many of the same epoch", old, z(1, 9), z(1, 10), wire.PacketTrunc, z(1, 9), 0},
		{"one too many of a later epoch", old, z(3, 0), z(2, 5), wire.PacketTrunc, z(1, 9), 0},
		{"at the start of a later epoch", old, z(1, 9), z(3, 0), wire.PacketSnap, z(1, 9), 0},
		{"at the start of an epoch that went on", all, z(4, 1), z(2, 0), wire.PacketDiff, z(4, 1), 3},
		// Epoch 3 may have begun from a history that epoch 4 does not know.
		{"at the start of an epoch without txns", all, z(4, 1), z(3, 0), wire.PacketSnap, z(4, 1), 0},
		// 2/3 and 2/4 never happened for this leader; Apache ZooKeeper does not cut across epochs either.
		{"diverged in the middle", all, z(4, 1), z(2, 4), wire.PacketSnap, z(4, 1), 0},
		{"the leader only has a snapshot", fromSnapshot, z(3, 0), z(3, 2), wire.PacketSnap, z(3, 0), 0},
		{"the leader only has a snapshot, and so has the learner", fromSnapshot, z(3, 0), z(3, 0), wire.PacketDiff, z(3, 0), 0},
	} {
		got := planSync(c.h, c.processed, c.peer)
		if got.op != c.op || got.zxid != c.zxid || len(got.txns) != c.txns {
			t.Errorf("%s: %v %v with %d txns, want %v %v with %d",
				c.name, got.op, got.zxid, len(got.txns), c.op, c.zxid, c.txns)
		}
	}
}
