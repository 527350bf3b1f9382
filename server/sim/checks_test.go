package sim

import (
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// TestRetiringLeaderEstablishesItsHistory: a leader that activates, with its NEWLEADER, a membership in which another
// server leads, does not serve; what its followers take over from it is committed all the same, from the first txn on.
func TestRetiringLeaderEstablishesItsHistory(t *testing.T) {
	w := newWorld(1, Options{Voters: 3})
	leader, follower := w.machines[0], w.machines[1]
	history := &w.checks.history
	for zxid := wire.Zxid(0x100000001); zxid <= 0x100000003; zxid++ {
		history.appended(leader, node.Append{Zxid: zxid, Txn: []byte{byte(zxid)}})
	}
	// The follower has the first two from before, and knows of no commit.
	follower.model.restart(0x100000002)
	history.appended(follower, node.Append{Zxid: 0x100000003, Txn: []byte{3}})

	leader.role = node.Leading
	w.checks.leaders.letsIn(leader, node.Status{Self: 1, Epoch: 2, Zxid: 0x100000003})
	history.deliver(follower, 0)
	for zxid := wire.Zxid(0x100000001); zxid <= 0x100000003; zxid++ {
		if _, ok := history.committed[zxid]; !ok {
			t.Errorf("%v does not count as committed", zxid)
		}
	}

	other := w.machines[2]
	other.role = node.Leading
	w.checks.leaders.letsIn(other, node.Status{Self: 3, Epoch: 2, Zxid: 0x100000003})
	if w.failure == nil {
		t.Error("two leaders of one epoch are not noticed")
	}
}
