package peer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// BenchmarkPackets sends proposals to a learner, so many at a time as a batch of the loop may have.
func BenchmarkPackets(b *testing.B) {
	for _, size := range []int{128, 1024} {
		for _, batch := range []int{1, 100} {
			b.Run(fmt.Sprintf("%dBytes/%dAtOnce", size, batch), func(b *testing.B) { benchmarkPackets(b, size, batch) })
		}
	}
}

func benchmarkPackets(b *testing.B, size, batch int) {
	members := newMembers(b, 1, 2)
	var arrived atomic.Int64
	tick := make(chan struct{}, 1)
	cfg := testConfig(members, 1)
	learner := startCounting(b, cfg, func(in []node.Input) {
		arrived.Add(int64(len(in)))
		select {
		case tick <- struct{}{}:
		default:
		}
	})
	leader := start(b, members, 2)
	leader.OpenQuorumPort()
	learner.DialLeader(node.DialLeader{Conn: 1, Leader: 2, Timeout: dialTimeout})
	learner.SendPacket(node.SendPacket{Conn: 1, Packet: wire.QuorumPacket{Type: wire.PacketFollowerInfo}})
	conn := awaitInput[node.LearnerAccepted](leader, "learner", nil).Conn
	packet := wire.QuorumPacket{Type: wire.PacketProposal, Data: make([]byte, size)}
	arrived.Store(0)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	begun := time.Now()
	sent := 0
	for b.Loop() {
		leader.send(conn, packet)
		sent++
		if sent%batch == 0 { // as many as may be on their way
			for int64(sent)-arrived.Load() > int64(10*batch) {
				<-tick
			}
		}
	}
	for arrived.Load() < int64(sent) {
		<-tick
	}
	b.ReportMetric(float64(sent)/time.Since(begun).Seconds(), "packets/s")
}

// startCounting starts a server whose inputs are not kept.
func startCounting(b *testing.B, cfg Config, deliver func([]node.Input)) *Peer {
	b.Helper()
	cfg.Deliver = deliver
	p := New(cfg)
	if err := p.Listen(); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(b.Context()) }()
	b.Cleanup(func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return p
}
