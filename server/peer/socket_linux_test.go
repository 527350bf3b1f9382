package peer

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// deaf makes a listener take no more connections: whoever dials it waits.
func deaf(t *testing.T, ln *net.TCPListener) {
	t.Helper()
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	for range 10 {
		sock, err := net.DialTimeout("tcp", ln.Addr().String(), 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { sock.Close() })
	}
	t.Fatal("the listener is not full")
}

// TestCallEndsDialling: an attempt that gets no answer does not delay the vote when the other side calls.
func TestCallEndsDialling(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 3)
	deaf(t, listenRaw(t, member(t, members, 3).ElectionAddress()))
	cfg := testConfig(members, 1)
	cfg.ConnectTimeout = patience
	s := startWith(t, cfg)
	s.vote(3, 5)
	until(t, "dialling", func() bool {
		s.mesh.mu.Lock()
		defer s.mesh.mu.Unlock()
		return s.mesh.links[3].cancel != nil
	})
	call := dialRaw(t, member(t, members, 1).ElectionAddress())
	write(t, call, appendGreeting(nil, 3, member(t, members, 3).ElectionAddress()))
	begun := time.Now()
	if n := readVote(t, call); n != 5 {
		t.Errorf("vote %d", n)
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("took %v", took)
	}
}

// TestDialDeaf: a leader whose host does not answer is given up in time, and at once when told to.
func TestDialDeaf(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ln := listenRaw(t, member(t, p.members, 1).QuorumAddress())
	deaf(t, ln)
	p.leader.dialLeader(3, 1, 300*time.Millisecond)
	p.leader.dialLeader(5, 1, time.Hour)
	if err := p.leader.awaitClosed(3); err == nil {
		t.Error("no error")
	}
	p.leader.closeConn(5)
	if err := p.leader.awaitClosed(5); err != nil {
		t.Errorf("closed while dialling: %v", err)
	}
}

// noDelay tells whether a socket sends small packets at once.
func noDelay(t *testing.T, sock net.Conn) bool {
	t.Helper()
	raw, err := sock.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	value := 0
	var failed error
	if err := raw.Control(func(fd uintptr) {
		value, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return value != 0
}

// TestDelays: packets between leader and learner are collected where the settings say so.
func TestDelays(t *testing.T) {
	t.Parallel()
	for _, collect := range []bool{false, true} {
		members := newMembers(t, 1, 2)
		cfg := testConfig(members, 1)
		cfg.LeaderDelay = collect
		leader := startWith(t, cfg)
		cfg = testConfig(members, 2)
		cfg.FollowerDelay = collect
		follower := startWith(t, cfg)
		leader.OpenQuorumPort()
		follower.DialLeader(node.DialLeader{Conn: 1, Leader: 1, Timeout: patience})
		follower.await("the connection", func(in []node.Input) bool { return len(in) > 0 })
		follower.SendPacket(node.SendPacket{Conn: 1, Packet: wire.QuorumPacket{Type: wire.PacketFollowerInfo}})
		leader.await("the first packet", func(in []node.Input) bool { return len(in) > 0 })
		for _, s := range []*server{leader, follower} {
			s.Peer.mu.Lock()
			for _, c := range s.conns {
				if got := noDelay(t, c.sock); got == collect {
					t.Errorf("collect %v: TCP_NODELAY is %v", collect, got)
				}
			}
			if len(s.conns) != 1 {
				t.Errorf("%d connections", len(s.conns))
			}
			s.Peer.mu.Unlock()
		}
	}
}
