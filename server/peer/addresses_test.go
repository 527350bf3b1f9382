package peer

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// twoAddresses are members each of which has another address beside its first one.
func twoAddresses(t *testing.T, ids ...wire.ServerID) *quorum.Config {
	t.Helper()
	var list []quorum.Member
	for _, m := range newMembers(t, ids...).Members() {
		ip := net.ParseIP(m.Host).To4()
		further := net.IPv4(ip[0], ip[1], ip[2], ip[3]+2).String()
		line := fmt.Sprintf("%s:%d:%d|%s:%d:%d", m.Host, m.QuorumPort, m.ElectionPort, further, m.QuorumPort, m.ElectionPort)
		m, err := quorum.ParseMember(m.ID, line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	c, err := quorum.New(list, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryAddressListens: both ports are open at every address of this server.
func TestEveryAddressListens(t *testing.T) {
	t.Parallel()
	members := twoAddresses(t, 1, 2)
	s := start(t, members, 1)
	self := member(t, members, 1)
	for _, address := range self.ElectionAddresses() {
		dialRaw(t, address)
	}
	s.OpenQuorumPort()
	for _, address := range self.QuorumAddresses() {
		until(t, "quorum port "+address, func() bool {
			sock, err := net.Dial("tcp", address)
			if err == nil {
				sock.Close()
			}
			return err == nil
		})
	}
	s.CloseQuorumPort()
	for _, address := range self.QuorumAddresses() {
		until(t, "the end of quorum port "+address, func() bool {
			sock, err := net.Dial("tcp", address)
			if err == nil {
				sock.Close()
			}
			return err != nil
		})
	}
}

// TestOneAddressIsTaken: one of several addresses is enough, and the others are opened when they can be.
func TestOneAddressIsTaken(t *testing.T) {
	t.Parallel()
	members := twoAddresses(t, 1, 2)
	self := member(t, members, 1).ElectionAddresses()
	taken := listenRaw(t, self[0])
	start(t, members, 1)
	dialRaw(t, self[1])
	taken.Close()
	until(t, "the other address", func() bool {
		sock, err := net.Dial("tcp", self[0])
		if err == nil {
			sock.Close()
		}
		return err == nil
	})
}

// TestAnyAddressIsDialled: a server is reached at whichever of its addresses answers, and told all of ours.
func TestAnyAddressIsDialled(t *testing.T) {
	t.Parallel()
	for _, open := range []int{0, 1} {
		members := twoAddresses(t, 1, 3)
		other := member(t, members, 1)
		deaf(t, listenRaw(t, other.ElectionAddresses()[1-open]))
		ln := listenRaw(t, other.ElectionAddresses()[open])
		cfg := testConfig(members, 3)
		cfg.ConnectTimeout, cfg.MultiAddress = patience, true
		s := startWith(t, cfg)
		began := time.Now()
		s.vote(1, 5)
		sock, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		sock.SetReadDeadline(time.Now().Add(patience))
		g, err := readGreeting(sock)
		if want := member(t, members, 3).ElectionAddresses(); err != nil || g.id != 3 || !slices.Equal(g.addresses, want) {
			t.Errorf("greeting %+v, %v, want addresses %v", g, err, want)
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("took %v", took)
		}
		sock.Close()
		s.stop()
	}
}

// TestLeaderIsDialledAtAnyAddress: the same for the quorum port.
func TestLeaderIsDialledAtAnyAddress(t *testing.T) {
	t.Parallel()
	members := twoAddresses(t, 1, 2)
	ln := listenRaw(t, member(t, members, 1).QuorumAddresses()[1])
	s := start(t, members, 2)
	s.DialLeader(node.DialLeader{Conn: 1, Leader: 1, Timeout: patience})
	sock, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	s.await("the connection", func(in []node.Input) bool {
		return slices.ContainsFunc(in, func(in node.Input) bool { _, ok := in.(node.LeaderConnected); return ok })
	})
	s.CloseConn(node.CloseConn{Conn: 1})
	sock.SetReadDeadline(time.Now().Add(patience))
	if _, err := sock.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %v", err)
	}
}

// TestPatience: a server with another address is given up earlier.
func TestPatience(t *testing.T) {
	cfg := Config{ConnectTimeout: 5 * time.Second, ReachabilityTimeout: time.Second}
	m := &mesh{p: &Peer{cfg: cfg}}
	for n, want := range map[int]time.Duration{1: 5 * time.Second, 2: time.Second} {
		if got := (&link{m: m, configured: make([]string, n)}).patience(); got != want {
			t.Errorf("%d addresses: %v, want %v", n, got, want)
		}
	}
}
