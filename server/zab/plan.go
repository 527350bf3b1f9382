package zab

import (
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// syncPlan says how a learner gets the leader's history: an operation, its zxid, and the committed txns that follow.
type syncPlan struct {
	op   wire.PacketType // DIFF, TRUNC or SNAP
	zxid wire.Zxid
	txns []txn.Entry
}

// planSync decides as LearnerHandler.syncFollower does, with one more condition: a DIFF or TRUNC goes only to a learner
// whose last txn is provably one of the leader's; in all doubt the learner gets a snapshot. processed is the zxid that
// the leader's tree stands for: the last txn of h, or the start of the leader's epoch.
func planSync(h *History, processed, peer wire.Zxid) syncPlan {
	snap := syncPlan{op: wire.PacketSnap, zxid: processed}
	switch {
	case peer == processed:
		return syncPlan{op: wire.PacketDiff, zxid: peer}
	case peer < 0:
		return snap
	case peer > h.Last():
		// The start of an epoch is no txn that could be cut off, and one that began with a snapshot is in no log.
		if peer.Counter() == 0 || h.Last().Counter() == 0 && h.Last() != 0 {
			return snap
		}
		return syncPlan{op: wire.PacketTrunc, zxid: h.Last()}
	}
	if txns, ok := h.After(peer); ok {
		return syncPlan{op: wire.PacketDiff, zxid: h.Last(), txns: txns}
	}
	return snap
}
