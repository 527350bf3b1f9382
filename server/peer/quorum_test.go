package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// pair is a leader and a learner that is connected to it.
type pair struct {
	t               *testing.T
	members         *quorum.Config
	leader, learner *server
	out, in         node.ConnID // the learner's end, the leader's end
}

const dialTimeout = 5 * time.Second

func newPair(t *testing.T) *pair {
	t.Helper()
	members := newMembers(t, 1, 2)
	return connectPair(t, start(t, members, 1), start(t, members, 2), 1)
}

// connectPair lets server 2 follow server 1.
func connectPair(t *testing.T, learner, leader *server, out node.ConnID) *pair {
	t.Helper()
	p := &pair{t: t, members: leader.cfg.Members, leader: leader, learner: learner, out: out}
	before := count[node.LearnerAccepted](leader)
	leader.OpenQuorumPort()
	learner.dialLeader(out, leader.cfg.Self, dialTimeout)
	awaitInput(learner, "connection", func(in node.LeaderConnected) bool { return in.Conn == out })
	learner.send(out, numbered(0))
	leader.await("learner", func(inputs []node.Input) bool {
		n := 0
		for i, in := range inputs {
			if a, ok := in.(node.LearnerAccepted); ok {
				if n++; n > before {
					first, ok := inputs[i+1].(node.PacketReceived)
					if !ok || first.Conn != a.Conn || first.Packet.Zxid != 0 {
						t.Fatalf("first came %+v", inputs[i+1])
					}
					p.in = a.Conn
					return true
				}
			}
		}
		return false
	})
	if p.in%2 != 0 || p.in == 0 {
		t.Fatalf("accepted connection %d", p.in)
	}
	return p
}

// numbered is a packet that tests can tell by its zxid.
func numbered(n int) wire.QuorumPacket {
	p := wire.QuorumPacket{Type: wire.PacketProposal, Zxid: wire.Zxid(n)}
	switch n % 4 {
	case 1:
		p.Data = bytes.Repeat([]byte{byte(n)}, n%1500)
	case 2:
		p.Auth = []wire.ID{{Scheme: "digest", ID: fmt.Sprint(n)}, {Scheme: "ip", ID: "::1"}}
	}
	return p
}

func (s *server) dialLeader(conn node.ConnID, leader wire.ServerID, timeout time.Duration) {
	s.DialLeader(node.DialLeader{Conn: conn, Leader: leader, Timeout: timeout})
}

func (s *server) closeConn(conn node.ConnID) { s.CloseConn(node.CloseConn{Conn: conn}) }

func (s *server) send(conn node.ConnID, p wire.QuorumPacket) {
	s.SendPacket(node.SendPacket{Conn: conn, Packet: p})
}

// packets lists those of a connection; the lock of the server is held, or nothing goes on.
func packets(inputs []node.Input, conn node.ConnID) []wire.QuorumPacket {
	var list []wire.QuorumPacket
	for _, in := range inputs {
		if v, ok := in.(node.PacketReceived); ok && v.Conn == conn {
			list = append(list, v.Packet)
		}
	}
	return list
}

// awaitPackets waits for so many packets of a connection.
func (s *server) awaitPackets(conn node.ConnID, n int) []wire.QuorumPacket {
	s.t.Helper()
	seen, have := 0, 0
	s.await(fmt.Sprintf("%d packets", n), func(inputs []node.Input) bool {
		have += len(packets(inputs[seen:], conn))
		seen = len(inputs)
		return have >= n
	})
	return packets(s.seen(), conn)
}

func (s *server) awaitClosed(conn node.ConnID) error {
	s.t.Helper()
	return awaitInput(s, "end", func(in node.ConnClosed) bool { return in.Conn == conn }).Err
}

// closedOnce wants exactly one end of a connection among all that was delivered, and nothing behind it.
func (s *server) closedOnce(conn node.ConnID) {
	s.t.Helper()
	closed := 0
	for _, in := range s.seen() {
		switch in := in.(type) {
		case node.ConnClosed:
			if in.Conn == conn {
				closed++
			}
		case node.PacketReceived:
			if in.Conn == conn && closed > 0 {
				s.t.Errorf("server %d: connection %d goes on after its end", s.cfg.Self, conn)
			}
		}
	}
	if closed != 1 {
		s.t.Errorf("server %d: connection %d has ended %d times", s.cfg.Self, conn, closed)
	}
}

func checkNumbered(t *testing.T, got []wire.QuorumPacket, first int) {
	t.Helper()
	for i, p := range got {
		if want := numbered(first + i); !bytes.Equal(p.Append(nil), want.Append(nil)) {
			t.Fatalf("packet %d is %+v, not %+v", i, p, want)
		}
	}
}

// TestPacketsBothWays: all arrive, in order, in large batches.
func TestPacketsBothWays(t *testing.T) {
	t.Parallel()
	const n = 100_000
	p := newPair(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			p.leader.send(p.in, numbered(i))
		}
	})
	for i := 1; i < n; i++ {
		p.learner.send(p.out, numbered(i))
	}
	wg.Wait()
	checkNumbered(t, p.leader.awaitPackets(p.in, n), 0)
	checkNumbered(t, p.learner.awaitPackets(p.out, n), 0)
	until(t, "nothing waits", func() bool {
		return p.leader.Stats().QueuedBytes == 0 && p.learner.Stats().QueuedBytes == 0
	})
	stats := p.leader.Stats()
	if stats.PacketsSent != n || stats.PacketsRead != n || stats.QuorumConnections != 1 {
		t.Errorf("%+v", stats)
	}
}

// TestSendNeverBlocks, even while nobody takes what arrives, at both ends.
func TestSendNeverBlocks(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := newPair(t)
	p.leader.block(true)
	p.learner.block(true)
	for i := range n {
		p.leader.send(p.in, numbered(i))
		if i > 0 {
			p.learner.send(p.out, numbered(i))
		}
		p.leader.vote(1, int64(i))
	}
	p.leader.block(false)
	p.learner.block(false)
	checkNumbered(t, p.leader.awaitPackets(p.in, n), 0)
	checkNumbered(t, p.learner.awaitPackets(p.out, n), 0)
}

// newTree is a tree with nodes of which some are large.
func newTree(t *testing.T, nodes int) *tree.Tree {
	t.Helper()
	tr := tree.New(tree.Options{})
	for i := range nodes {
		grow(tr, i)
	}
	return tr
}

func grow(tr *tree.Tree, i int) {
	size := i % 300
	if i%1000 == 999 {
		size = 300 << 10
	}
	tr.Apply(txn.Header{Zxid: wire.MakeZxid(1, uint32(i+1)), Type: wire.OpCreate}, &txn.Create{
		Path: fmt.Sprintf("/n%08d", i), Data: bytes.Repeat([]byte{byte(i)}, size),
		ACL: []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "world", ID: "anyone"}}}, ParentCversion: int32(i + 1),
	}, nil)
}

// TestSnapshot: the stream comes between the packets sent before it and those sent after, and is the tree.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	const n = 5000
	tr := newTree(t, n)
	zxid := tr.LastZxid()
	p := newPair(t)
	for i := range 100 {
		p.leader.send(p.in, numbered(i))
	}
	p.leader.SendSnapshot(node.SendSnapshot{Conn: p.in, Zxid: zxid, Tree: tr})
	for i := range 100 {
		p.leader.send(p.in, numbered(100+i))
	}
	awaitInput(p.leader, "end of the snapshot", func(in node.SnapshotSent) bool { return in.Conn == p.in })
	p.learner.awaitPackets(p.out, 201)
	var order []wire.QuorumPacket
	for i, in := range p.learner.seen() {
		switch in := in.(type) {
		case node.PacketReceived:
			if in.Packet.Type != wire.PacketSnap {
				order = append(order, in.Packet)
				continue
			}
			if in.Packet.Zxid != zxid || in.Packet.Data != nil || len(order) != 100 {
				t.Errorf("%+v after %d packets", in.Packet, len(order))
			}
		case node.SnapshotReceived:
			last, ok := p.learner.seen()[i-1].(node.PacketReceived)
			if !ok || last.Packet.Type != wire.PacketSnap {
				t.Errorf("a snapshot after %+v", last)
			}
			got := in.Database
			if got.LastZxid != zxid || got.Tree.LastZxid() != zxid || got.Tree.Digest() != tr.Digest() ||
				got.Tree.NodeCount() != tr.NodeCount() {
				t.Errorf("tree at %v with %d nodes instead of %v with %d", got.LastZxid, got.Tree.NodeCount(), zxid, tr.NodeCount())
			}
		}
	}
	checkNumbered(t, order, 0)
	if count[node.SnapshotReceived](p.learner) != 1 || count[node.SnapshotSent](p.leader) != 1 {
		t.Error("not one snapshot")
	}
}

// TestFuzzySnapshot: the tree changes while it is sent; applying everything again makes the copy equal.
func TestFuzzySnapshot(t *testing.T) {
	t.Parallel()
	const before, after = 20_000, 2000
	members := newMembers(t, 1, 2)
	cfg := testConfig(members, 2)
	var view sync.RWMutex
	cfg.View = view.RLocker()
	p := connectPair(t, start(t, members, 1), startWith(t, cfg), 1)
	tr := newTree(t, before)
	zxid := tr.LastZxid()
	p.leader.SendSnapshot(node.SendSnapshot{Conn: p.in, Zxid: zxid, Tree: tr})
	for i := range after {
		view.Lock()
		grow(tr, before+i)
		view.Unlock()
	}
	got := awaitInput[node.SnapshotReceived](p.learner, "snapshot", nil).Database.Tree
	if got.LastZxid() != zxid || got.NodeCount() < before {
		t.Fatalf("tree at %v with %d nodes", got.LastZxid(), got.NodeCount())
	}
	for i := range after {
		grow(got, before+i)
	}
	if got.Digest() != tr.Digest() || got.NodeCount() != tr.NodeCount() {
		t.Errorf("%d nodes, digest %x instead of %d, %x", got.NodeCount(), got.Digest(), tr.NodeCount(), tr.Digest())
	}
}

// TestSnapshotRecorded is a learner of an Apache ZooKeeper leader.
func TestSnapshotRecorded(t *testing.T) {
	t.Parallel()
	var info []byte
	var stream []byte
	for _, m := range recorded(t, "sync-snap.txt") {
		switch {
		case m.kind == "FOLLOWERINFO":
			info = m.raw
		case m.way == "leader3->learner1":
			stream = append(stream, m.raw...)
		}
	}
	members := newMembers(t, 1, 3)
	ln := listenRaw(t, member(t, members, 3).QuorumAddress())
	s := start(t, members, 1)
	s.dialLeader(7, 3, dialTimeout)
	leader := acceptRaw(t, ln)
	s.send(7, wire.QuorumPacket{
		Type: wire.PacketFollowerInfo,
		Data: wire.LearnerInfo{ServerID: 1, ProtocolVersion: wire.LearnerProtocolVersion, ConfigVersion: 1 << 32}.Marshal(),
	})
	got := make([]byte, len(info))
	if _, err := io.ReadFull(leader, got); err != nil || !bytes.Equal(got, info) {
		t.Fatalf("first came %x instead of %x: %v", got, info, err)
	}
	for len(stream) > 0 { // in pieces that fit to nothing
		n := min(len(stream), 37)
		write(t, leader, stream[:n])
		stream = stream[n:]
	}
	leader.Close()
	if err := s.awaitClosed(7); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, in := range s.seen() {
		switch in := in.(type) {
		case node.PacketReceived:
			kinds = append(kinds, in.Packet.Type.String())
		case node.SnapshotReceived:
			kinds = append(kinds, fmt.Sprintf("%v with %d nodes", in.Database.LastZxid, len(in.Database.Tree.Sessions())))
		}
	}
	want := []string{
		"LEADERINFO", "SNAP", "0x1000001c3 with 3 nodes", "NEWLEADER", "UPTODATE", "PING", "PING", "PING",
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("%v instead of\n%v", kinds, want)
	}
}

// TestQuorumPortGarbage: whoever is no learner is hung up on, and the node does not hear of it.
func TestQuorumPortGarbage(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	address := member(t, p.members, 2).QuorumAddress()
	long := wire.QuorumPacket{Type: wire.PacketFollowerInfo, Data: make([]byte, maxFirstPacketBytes+1)}
	for _, b := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: zk1:2888\r\n\r\n"),
		long.Append(nil),
		wire.AppendInt32(make([]byte, 12), -2),
		wire.AppendInt32(wire.AppendInt32(make([]byte, 12), -1), -2),
		{0, 0, 0, 11},
	} {
		sock := dialRaw(t, address)
		write(t, sock, b)
		_ = sock.(interface{ CloseWrite() error }).CloseWrite() // fails if the other side was faster
		awaitEOF(t, sock)
	}
	silent := dialRaw(t, address)
	awaitEOF(t, silent)
	p.learner.send(p.out, numbered(1))
	checkNumbered(t, p.leader.awaitPackets(p.in, 2), 0)
	if n := len(p.leader.seen()); n != 3 {
		t.Errorf("%d inputs: %+v", n, p.leader.seen())
	}

	// Garbage of somebody who has begun well ends the connection, after what came before it.
	sock := dialRaw(t, address)
	b := numbered(1).Append(numbered(0).Append(nil))
	b = binary.BigEndian.AppendUint32(append(b, make([]byte, 12)...), 0x7fffffff)
	write(t, sock, b)
	closed := awaitInput[node.ConnClosed](p.leader, "end", nil)
	if !errors.Is(closed.Err, wire.ErrPacketTooLong) {
		t.Errorf("closed: %v", closed.Err)
	}
	checkNumbered(t, packets(p.leader.seen(), closed.Conn), 0)
	if n := len(packets(p.leader.seen(), closed.Conn)); n != 2 {
		t.Errorf("%d packets", n)
	}
}

// TestSnapshotStops: a stream that does not go on ends the connection.
func TestSnapshotStops(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 3)
	ln := listenRaw(t, member(t, members, 3).QuorumAddress())
	cfg := testConfig(members, 1)
	cfg.InitLimitTicks, cfg.SyncLimitTicks = 2, 1
	s := startWith(t, cfg)
	s.dialLeader(7, 3, dialTimeout)
	leader := acceptRaw(t, ln)
	b := wire.QuorumPacket{Type: wire.PacketSnap, Zxid: 5}.Append(nil)
	write(t, leader, append(b, 0, 0, 0, 1, 2))
	if err := s.awaitClosed(7); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("closed: %v", err)
	}
	awaitEOF(t, leader)
}
