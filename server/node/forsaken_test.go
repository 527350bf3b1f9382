package node_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// A leader whose voters look for another one does not wait for a quorum longer than it was told to.
func TestForsakenLeader(t *testing.T) {
	members, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []time.Duration{-1, 2 * time.Second} {
		n, err := node.New(node.Config{
			Self: 5, Members: members, TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5, SnapCount: 1000,
			MaxTimeToWaitForEpoch: limit, Rand: rand.New(rand.NewPCG(1, 1)),
		}, &node.Database{Tree: tree.New(tree.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		now := node.Now{}
		pass := func(d time.Duration) {
			for end := now.Mono + d; now.Mono < end; now.Mono += node.TickInterval {
				n.Step(now, node.Tick{})
				n.Effects(nil)
			}
		}
		vote := func(from wire.ServerID) {
			n.Step(now, node.NotificationReceived{From: from, Notification: wire.Notification{
				State: wire.Looking, Leader: 5, ElectionEpoch: 1, Version: wire.NotificationVersion,
			}})
		}
		role := func(want node.Role) {
			t.Helper()
			if got := n.Status().Role; got != want {
				t.Fatalf("limit %v, at %v: %v, want %v", limit, now.Mono, got, want)
			}
		}
		pass(100 * time.Millisecond)
		vote(1)
		vote(2)
		pass(300 * time.Millisecond)
		role(node.Leading)
		vote(1)
		pass(time.Second)
		vote(1)
		role(node.Leading) // it may take them so long
		pass(2 * time.Second)
		role(node.Leading)
		vote(9)
		role(node.Leading) // no voter
		vote(1)
		if limit > 0 {
			role(node.Looking)
		} else {
			role(node.Leading)
		}
	}
}
