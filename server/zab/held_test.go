package zab

import (
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// TestHeldIsBounded: a learner that does not come to an end with its synchronisation costs its leader no more than so much.
func TestHeldIsBounded(t *testing.T) {
	s, l := serves(t)
	l.Accept(30, "")
	l.Receive(30, packet(wire.PacketFollowerInfo, z(1, 0), infoData(3)...))
	l.Receive(30, packet(wire.PacketAckEpoch, z(1, 2), 0, 0, 0, 1))
	p := l.byConn[30]
	if p.state != peerSyncs {
		t.Fatalf("state %d", p.state)
	}
	e := txn.Entry{Header: txn.Header{Type: wire.OpSetData}, Bytes: make([]byte, 1<<20-PacketBytes)}
	for n := 0; l.byConn[30] != nil; n++ {
		if n > MaxSyncBytes>>20 {
			t.Fatalf("%d MB are held", n)
		}
		zxid, ok := l.NextZxid()
		if !ok {
			t.Fatal("it does not lead any more")
		}
		e.Header.Zxid = zxid
		l.Propose(e)
		if closed := l.byConn[30] == nil; closed != (n == MaxSyncBytes>>20) {
			t.Fatalf("after %d MB: closed %v", n+1, closed)
		}
	}
	s.forget()
}
