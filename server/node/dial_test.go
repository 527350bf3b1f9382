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
				if !dial.Leads {
					t.Errorf("it has said that it leads: %+v", dial)
				}
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

// TestWhoStopsAnswersNobody: the followers of a leader that stops look for another one at once, and must not hear from it, while
// its disk has still something to do, that it leads.
func TestWhoStopsAnswersNobody(t *testing.T) {
	members, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{
		Self: 3, Members: members, TickTime: 2 * time.Second, InitLimitTicks: 10, SyncLimitTicks: 5, SnapCount: 1000,
		Rand: rand.New(rand.NewPCG(1, 1)),
	}, &node.Database{Tree: tree.New(tree.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	var now node.Now
	answers := func() (votes int) {
		for _, e := range n.Effects(nil) {
			if e, ok := e.(node.SendNotification); ok && e.Notification.State == wire.Leading {
				votes++
			}
		}
		return votes
	}
	looks := func(round int64, leader wire.ServerID) int {
		n.Step(now, node.NotificationReceived{From: 1, Notification: wire.Notification{
			State: wire.Looking, Leader: leader, ElectionEpoch: round, Version: wire.NotificationVersion,
		}})
		return answers()
	}
	looks(1, 3)
	for ; n.Status().Role != node.Leading && now.Mono < 10*time.Second; now.Mono += node.TickInterval {
		n.Step(now, node.Tick{})
	}
	if looks(1, 3) != 1 {
		t.Fatal("it does not lead")
	}
	n.Step(now, node.LearnerAccepted{Conn: 2})
	info := wire.LearnerInfo{ServerID: 1, ProtocolVersion: wire.LearnerProtocolVersion}
	n.Step(now, node.PacketReceived{Conn: 2, Packet: wire.QuorumPacket{Type: wire.PacketFollowerInfo, Data: info.Marshal()}})
	answers() // acceptedEpoch is on its way to the disk
	n.Stop(now)
	if role := n.Status().Role; role != node.Stopping {
		t.Fatalf("it is %v", role)
	}
	if looks(2, 1) != 0 {
		t.Error("it says that it leads")
	}
}
