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

// TestRefusedLearnerIsPatient: a leader that hangs up on a learner is not called again at once for ever, nor does the
// learner wait longer than it would for a sign of life.
func TestRefusedLearnerIsPatient(t *testing.T) {
	members, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	const tickTime = 2 * time.Second
	n, err := node.New(node.Config{
		Self: 1, Members: members, TickTime: tickTime, InitLimitTicks: 10, SyncLimitTicks: 5, SnapCount: 1000,
		Rand: rand.New(rand.NewPCG(1, 1)),
	}, &node.Database{Tree: tree.New(tree.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	var now node.Now
	var dials []time.Duration
	var step func(node.Input)
	step = func(in node.Input) {
		n.Step(now, in)
		for _, e := range n.Effects(nil) {
			if dial, ok := e.(node.DialLeader); ok {
				dials = append(dials, now.Mono)
				step(node.LeaderConnected{Conn: dial.Conn})
				step(node.ConnClosed{Conn: dial.Conn})
			}
		}
	}
	for now.Mono < time.Minute {
		step(node.Tick{})
		if n.Status().Role == node.Looking {
			for from, state := range map[wire.ServerID]wire.ServerState{2: wire.Following, 3: wire.Leading} {
				step(node.NotificationReceived{From: from, Notification: wire.Notification{
					State: state, Leader: 3, ElectionEpoch: 7, PeerEpoch: 1, Version: wire.NotificationVersion,
				}})
			}
		}
		now.Mono += node.TickInterval
	}
	if first := dials[1] - dials[0]; first > 100*time.Millisecond {
		t.Errorf("after one refusal it waits for %v", first)
	}
	if n := len(dials); n < 30 || n > 40 {
		t.Errorf("it called %d times in a minute: %v", n, dials)
	}
	if last := dials[len(dials)-1] - dials[len(dials)-2]; last < tickTime || last > tickTime+100*time.Millisecond {
		t.Errorf("in the end it waits for %v", last)
	}
}
