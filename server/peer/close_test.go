package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

var large = wire.QuorumPacket{Type: wire.PacketProposal, Data: make([]byte, 1<<20)}

// TestCloseWritesFirst: what was sent before arrives, though the other side sends at the same time.
func TestCloseWritesFirst(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const n = 50
	for range n {
		p.leader.send(p.in, large)
	}
	for i := range 1000 {
		p.learner.send(p.out, numbered(i+1))
	}
	p.leader.closeConn(p.in)
	p.leader.send(p.in, numbered(1)) // too late
	if got := p.learner.awaitPackets(p.out, n); len(got) != n {
		t.Errorf("%d packets", len(got))
	}
	if err := p.learner.awaitClosed(p.out); err != nil {
		t.Errorf("learner: %v", err)
	}
	if err := p.leader.awaitClosed(p.in); err != nil {
		t.Errorf("leader: %v", err)
	}
	p.leader.closeConn(p.in)
	p.learner.closeConn(p.out)
	q := connectPair(t, p.learner, p.leader, 3)
	if q.in == p.in {
		t.Error("the id of a connection was used again")
	}
	p.leader.closedOnce(p.in)
	p.learner.closedOnce(p.out)
}

// TestCloseStuck: a side that reads nothing, and does not hang up, is waited for only so long.
func TestCloseStuck(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sock, conn := p.rawLearner()
	for range 100 {
		p.leader.send(conn, large)
	}
	begun := time.Now()
	p.leader.closeConn(conn)
	if err := p.leader.awaitClosed(conn); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < closeTimeout-time.Second || took > closeTimeout+2*time.Second {
		t.Errorf("took %v", took)
	}
	if n, _ := io.Copy(io.Discard, sock); n >= int64(100*len(large.Data)) {
		t.Errorf("%d bytes arrived: nothing was stuck", n)
	}
	p.leader.closedOnce(conn)
}

// rawLearner connects somebody who does nothing.
func (p *pair) rawLearner() (net.Conn, node.ConnID) {
	p.t.Helper()
	sock := dialRaw(p.t, member(p.t, p.members, 2).QuorumAddress())
	write(p.t, sock, wire.QuorumPacket{Type: wire.PacketObserverInfo}.Append(nil))
	in := awaitInput(p.leader, "raw learner", func(in node.PacketReceived) bool {
		return in.Packet.Type == wire.PacketObserverInfo
	})
	return sock, in.Conn
}

// TestStalled: a side that takes no byte for too long is given up.
func TestStalled(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	cfg := testConfig(members, 2)
	cfg.InitLimitTicks, cfg.SyncLimitTicks = 3, 2
	p := connectPair(t, start(t, members, 1), startWith(t, cfg), 1)
	_, conn := p.rawLearner()
	for range 100 {
		p.leader.send(conn, large)
	}
	if err := p.leader.awaitClosed(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("closed: %v", err)
	}
	// The others do not suffer.
	p.leader.send(p.in, numbered(0))
	p.learner.awaitPackets(p.out, 1)
}

// TestQueueIsBounded: more while a snapshot is on its way.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	tr := newTree(t, 50_000)
	for _, snapshot := range []bool{false, true} {
		sock, conn := p.rawLearner()
		limit := maxQueuedBytes
		if snapshot {
			p.leader.SendSnapshot(node.SendSnapshot{Conn: conn, Tree: tr})
			limit *= maxQueuedSnapshotFactor
		}
		sent := 0
		for ; sent < 2*limit && p.leader.conn(conn) != nil; sent += len(large.Data) {
			p.leader.send(conn, large)
			if snapshot && sent < limit-(1<<20) && p.leader.conn(conn).isClosing() {
				t.Fatalf("closed after %d bytes", sent)
			}
		}
		if err := p.leader.awaitClosed(conn); !errors.Is(err, ErrQueueFull) {
			t.Errorf("closed: %v", err)
		}
		sock.Close()
		p.leader.mu.Lock()
		p.leader.inputs = nil
		p.leader.mu.Unlock()
	}
	p.leader.send(p.in, numbered(0))
	p.learner.awaitPackets(p.out, 1)
}

// TestPeerCloses: the end of the stream is no error, a cut packet is.
func TestPeerCloses(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sock, conn := p.rawLearner()
	sock.Close()
	if err := p.leader.awaitClosed(conn); err != nil {
		t.Errorf("closed: %v", err)
	}
	p.leader.closedOnce(conn)

	cut := dialRaw(t, member(t, p.members, 2).QuorumAddress())
	b := numbered(1).Append(numbered(0).Append(nil))
	write(t, cut, b[:len(b)-1])
	if err := cut.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	closed := awaitInput(p.leader, "end", func(in node.ConnClosed) bool { return in.Conn != conn })
	if !errors.Is(closed.Err, io.ErrUnexpectedEOF) {
		t.Errorf("closed: %v", closed.Err)
	}
}

// TestDial: the caller tries until the port opens, or its time is over, or it is told to stop.
func TestDial(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	learner, leader := start(t, members, 1), start(t, members, 2)
	dial := func(conn node.ConnID, timeout time.Duration) {
		learner.dialLeader(conn, 2, timeout)
	}

	begun := time.Now()
	dial(1, 300*time.Millisecond)
	if err := learner.awaitClosed(1); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begun); took < 300*time.Millisecond || took > 2*time.Second {
		t.Errorf("took %v", took)
	}

	dial(3, time.Hour)
	learner.closeConn(3)
	if err := learner.awaitClosed(3); err != nil {
		t.Errorf("closed while dialling: %v", err)
	}

	learner.dialLeader(5, 99, time.Hour)
	if err := learner.awaitClosed(5); err == nil {
		t.Error("there is no server 99")
	}

	dial(7, time.Hour)
	learner.send(7, numbered(0)) // waits for the connection
	leader.OpenQuorumPort()
	awaitInput(learner, "connection", func(in node.LeaderConnected) bool { return in.Conn == 7 })
	accepted := awaitInput[node.LearnerAccepted](leader, "learner", nil)
	checkNumbered(t, leader.awaitPackets(accepted.Conn, 1), 0)
	for _, conn := range []node.ConnID{1, 3, 5} {
		learner.closedOnce(conn)
	}
	if n := count[node.LeaderConnected](learner); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestDialWhoLeadsNoMore: a leader of long standing that refuses connections has closed its port; one that was just elected may
// be about to open it.
func TestDialWhoLeadsNoMore(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	learner := start(t, members, 1)
	start(t, members, 2)
	learner.dialLeader(1, 2, time.Hour)
	learner.DialLeader(node.DialLeader{Conn: 3, Leader: 2, Leads: true, Timeout: time.Hour})
	for _, conn := range []node.ConnID{3, 1} {
		if err := learner.awaitClosed(conn); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connection %d: %v", conn, err)
		}
	}
	var ended []node.ConnID
	for _, in := range learner.seen() {
		if in, ok := in.(node.ConnClosed); ok {
			ended = append(ended, in.Conn)
		}
	}
	if !slices.Equal(ended, []node.ConnID{3, 1}) {
		t.Errorf("the attempts ended in this order: %v", ended)
	}
}

// TestQuorumPortReopens: at once, and time and again; connections that are there stay.
func TestQuorumPortReopens(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	address := member(t, p.members, 2).QuorumAddress()
	for range 50 {
		p.leader.CloseQuorumPort()
		until(t, "port closed", func() bool {
			sock, err := net.Dial("tcp", address)
			if err == nil {
				sock.Close()
			}
			return err != nil
		})
		p.leader.OpenQuorumPort()
		p.leader.CloseQuorumPort()
		p.leader.OpenQuorumPort()
		dialRaw(t, address)
	}
	// Who has not introduced himself goes with the port.
	waiting := dialRaw(t, address)
	write(t, waiting, []byte{0})
	until(t, "introduction begun", func() bool {
		p.leader.port.mu.Lock()
		defer p.leader.port.mu.Unlock()
		return len(p.leader.port.introducing) > 0
	})
	p.leader.CloseQuorumPort()
	awaitEOF(t, waiting)

	p.learner.send(p.out, numbered(1))
	checkNumbered(t, p.leader.awaitPackets(p.in, 2), 0)
}

// TestQuorumPortTaken: the port is opened as soon as it is free.
func TestQuorumPortTaken(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	address := member(t, members, 2).QuorumAddress()
	ln := listenRaw(t, address)
	s := start(t, members, 2)
	s.OpenQuorumPort()
	ln.Close()
	write(t, dialRaw(t, address), numbered(0).Append(nil))
	awaitInput[node.LearnerAccepted](s, "learner", nil)
}

// TestRunEnds at once, whatever is going on, and leaves nothing behind. It runs alone.
func TestRunEnds(t *testing.T) {
	p := newPair(t)
	members := p.members
	p.leader.vote(1, 1)
	p.learner.awaitVote(2, 1)
	p.leader.vote(1, 2)
	silent := dialRaw(t, member(t, members, 2).QuorumAddress())
	dialRaw(t, member(t, members, 2).ElectionAddress())
	_, stuck := p.rawLearner()
	for range 100 {
		p.leader.send(stuck, large)
	}
	p.leader.SendSnapshot(node.SendSnapshot{Conn: stuck, Tree: newTree(t, 10)})
	p.leader.closeConn(stuck)
	p.learner.dialLeader(3, 1, time.Hour) // nobody listens
	p.learner.block(true)
	for i := range 1000 {
		p.leader.send(p.in, numbered(i))
	}
	p.leader.stop()
	p.learner.stop()
	awaitEOF(t, silent)
	checkGoroutines(t)

	// Effects that come too late do nothing.
	before := len(p.leader.seen())
	p.leader.vote(1, 3)
	p.leader.OpenQuorumPort()
	p.leader.dialLeader(9, 1, time.Hour)
	p.leader.send(p.in, numbered(0))
	p.leader.closeConn(p.in)
	checkGoroutines(t)
	if n := len(p.leader.seen()); n != before {
		t.Errorf("%d inputs after the end", n-before)
	}
	for _, address := range []string{member(t, members, 2).QuorumAddress(), member(t, members, 2).ElectionAddress()} {
		if _, err := net.Dial("tcp", address); err == nil {
			t.Errorf("%s is open", address)
		}
	}
}
