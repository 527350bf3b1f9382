package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// vote is a notification that tests can tell by its number.
func vote(n int64) wire.Notification {
	return wire.Notification{
		State: wire.Looking, Leader: 1, Zxid: 7, ElectionEpoch: n, PeerEpoch: 2, Version: wire.NotificationVersion,
		Config: []byte("version=0"),
	}
}

func (s *server) vote(to wire.ServerID, n int64) {
	s.SendNotification(node.SendNotification{To: to, Notification: vote(n)})
}

// awaitVote waits for a numbered vote of a server.
func (s *server) awaitVote(from wire.ServerID, n int64) {
	s.t.Helper()
	got := awaitInput(s, fmt.Sprintf("vote %d of server %d", n, from), func(in node.NotificationReceived) bool {
		return in.From == from && in.Notification.ElectionEpoch == n
	})
	if want := vote(n); got.Notification.Zxid != want.Zxid || !bytes.Equal(got.Notification.Config, want.Config) {
		s.t.Fatalf("vote %+v instead of %+v", got.Notification, want)
	}
}

// votes lists the numbers of the votes of a server.
func (s *server) votes(from wire.ServerID) []int64 {
	var list []int64
	for _, in := range s.seen() {
		if v, ok := in.(node.NotificationReceived); ok && v.From == from {
			list = append(list, v.Notification.ElectionEpoch)
		}
	}
	return list
}

func frame(n wire.Notification) []byte {
	body := n.Append(nil)
	return append(wire.AppendInt32(nil, int32(len(body))), body...)
}

func readVote(t *testing.T, r io.Reader) int64 {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	var n wire.Notification
	if err := n.Unmarshal(body); err != nil {
		t.Fatal(err)
	}
	return n.ElectionEpoch
}

// awaitGreeting wants the greeting of a member, byte by byte.
func awaitGreeting(t *testing.T, sock net.Conn, id wire.ServerID, address string) {
	t.Helper()
	want := appendGreeting(nil, id, address)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(sock, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("greeting %x instead of %x: %v", got, want, err)
	}
}

func TestMesh(t *testing.T) {
	t.Parallel()
	ids := []wire.ServerID{1, 2, 3}
	members := newMembers(t, ids...)
	servers := make(map[wire.ServerID]*server)
	for _, id := range ids {
		servers[id] = start(t, members, id)
	}
	for round := int64(1); round <= 20; round++ {
		for _, from := range ids {
			for _, to := range ids {
				servers[from].vote(to, round)
			}
		}
		for _, from := range ids {
			for _, to := range ids {
				if from != to {
					servers[to].awaitVote(from, round)
				}
			}
		}
	}
	for _, id := range ids {
		until(t, "one connection for each pair", func() bool { return servers[id].Stats().ElectionConnections == 2 })
		for _, in := range servers[id].seen() {
			if in.(node.NotificationReceived).From == id {
				t.Fatalf("server %d hears itself", id)
			}
		}
	}

	// One after the other they are started anew. The first thing that a new one hears is what the others said to it last.
	last := make(map[[2]wire.ServerID]int64)
	say := func(from, to wire.ServerID, n int64) {
		servers[from].vote(to, n)
		servers[to].awaitVote(from, n)
		last[[2]wire.ServerID{from, to}] = n
	}
	for i, id := range ids {
		servers[id].stop()
		servers[id] = start(t, members, id)
		for _, other := range ids {
			if other == id {
				continue
			}
			round := int64(100 * (i + 1))
			say(id, other, round)
			said, ok := last[[2]wire.ServerID{other, id}]
			if !ok {
				said = 20
			}
			servers[id].awaitVote(other, said)
			say(other, id, round+1)
			if got := servers[id].votes(other); got[0] != said {
				t.Errorf("server %d first heard %v of server %d, not %d", id, got, other, said)
			}
		}
	}
}

// TestOnlyNewestVote: what waits for a server that is down is replaced.
func TestOnlyNewestVote(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	for _, up := range []wire.ServerID{1, 2} {
		down := 3 - up
		one := start(t, members, up)
		for n := int64(1); n <= 1000; n++ {
			one.vote(down, n)
		}
		other := start(t, members, down)
		other.awaitVote(up, 1000)
		if got := other.votes(up); got[0] != 1000 {
			t.Errorf("server %d heard %v", down, got)
		}
		one.stop()
		other.stop()
	}
}

// TestSmallerIDAsksToBeCalled: whoever has the smaller id greets, hangs up, and is called.
func TestSmallerIDAsksToBeCalled(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 3)
	ln := listenRaw(t, member(t, members, 3).ElectionAddress())
	s := start(t, members, 1)
	address := member(t, members, 1).ElectionAddress()
	s.vote(3, 5)
	knock := acceptRaw(t, ln)
	awaitGreeting(t, knock, 1, address)
	awaitEOF(t, knock)

	call := dialRaw(t, address)
	write(t, call, appendGreeting(nil, 3, member(t, members, 3).ElectionAddress()))
	if n := readVote(t, call); n != 5 {
		t.Fatalf("vote %d", n)
	}
	write(t, call, frame(vote(6)))
	s.awaitVote(3, 6)

	// A second call takes the place of the first, and begins with the last vote.
	again := dialRaw(t, address)
	write(t, again, wire.AppendInt64(nil, 3)) // as servers before 3.5 do
	if n := readVote(t, again); n != 5 {
		t.Fatalf("vote %d again", n)
	}
	awaitEOF(t, call)
	s.vote(3, 7)
	if n := readVote(t, again); n != 7 {
		t.Fatalf("vote %d", n)
	}

	// A connection that is lost is asked for again when there is something to say.
	again.Close()
	until(t, "loss noticed", func() bool { return s.Stats().ElectionConnections == 0 })
	s.vote(3, 8)
	awaitGreeting(t, acceptRaw(t, ln), 1, address)
}

// TestLargerIDCallsBack: a smaller one is told nothing on its own connection.
func TestLargerIDCallsBack(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 3)
	ln := listenRaw(t, member(t, members, 1).ElectionAddress())
	s := start(t, members, 3)
	address := member(t, members, 3).ElectionAddress()
	for range 3 {
		knock := dialRaw(t, address)
		write(t, knock, appendGreeting(nil, 1, member(t, members, 1).ElectionAddress()))
		awaitEOF(t, knock)
		call := acceptRaw(t, ln)
		awaitGreeting(t, call, 3, address)
		s.vote(1, 4)
		if n := readVote(t, call); n != 4 {
			t.Fatalf("vote %d", n)
		}
		write(t, call, frame(vote(9)))
		s.awaitVote(1, 9)
	}
}

// TestStrangers: servers that are no members, as while an ensemble grows, are heard and answered.
func TestStrangers(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, 4)
	s := start(t, members, 3)
	address := member(t, members, 3).ElectionAddress()

	larger := dialRaw(t, address)
	write(t, larger, append(appendGreeting(nil, 9, "nowhere.invalid:1"), frame(vote(1))...))
	s.awaitVote(9, 1)
	s.vote(9, 2)
	if n := readVote(t, larger); n != 2 {
		t.Fatalf("vote %d", n)
	}

	ln := listenRaw(t, member(t, members, 4).Host+":0")
	knock := dialRaw(t, address)
	write(t, knock, appendGreeting(nil, 2, ln.Addr().String()))
	awaitEOF(t, knock)
	call := acceptRaw(t, ln)
	awaitGreeting(t, call, 3, address)
	write(t, call, frame(vote(3)))
	s.awaitVote(2, 3)

	// They are forgotten when they leave.
	larger.Close()
	call.Close()
	until(t, "strangers forgotten", func() bool {
		s.mesh.mu.Lock()
		defer s.mesh.mu.Unlock()
		return len(s.mesh.links) == 0
	})
	s.vote(9, 3)
	s.vote(2, 3)

	// There is a limit to them, but not to members.
	for id := range wire.ServerID(maxStrangers + 1) {
		sock := dialRaw(t, address)
		write(t, sock, append(appendGreeting(nil, 100+id, "nowhere.invalid:1"), frame(vote(4))...))
		if id < maxStrangers {
			s.awaitVote(100+id, 4)
		} else {
			awaitEOF(t, sock)
		}
	}
	sock := dialRaw(t, address)
	write(t, sock, append(appendGreeting(nil, 4, "nowhere.invalid:1"), frame(vote(5))...))
	s.awaitVote(4, 5)
}

// TestElectionPortGarbage: whatever comes, it is hung up on, and the mesh goes on.
func TestElectionPortGarbage(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2, 3)
	one, two := start(t, members, 1), start(t, members, 2)
	address := member(t, members, 1).ElectionAddress()
	two.vote(1, 1)
	one.awaitVote(2, 1)

	greet := appendGreeting(nil, 3, "127.0.0.1:3888")
	for name, b := range map[string][]byte{
		"HTTP":         []byte("GET / HTTP/1.1\r\nHost: zk1:3888\r\n\r\n"),
		"TLS":          append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 512)...),
		"own id":       appendGreeting(nil, 1, "127.0.0.1:3888"),
		"version":      append(wire.AppendInt64(nil, -1), greet[8:]...),
		"long address": wire.AppendInt32(append([]byte(nil), greet[:16]...), 2049),
		"length 0":     append(slices.Clone(greet), 0, 0, 0, 0),
		"length -1":    append(slices.Clone(greet), 255, 255, 255, 255),
		"length":       append(slices.Clone(greet), 0, 8, 0, 1),
		"cut off":      append(slices.Clone(greet), 0, 0, 0, 50, 1, 2, 3),
	} {
		sock := dialRaw(t, address)
		if _, err := sock.Write(b); err != nil && name != "HTTP" && name != "TLS" {
			t.Errorf("%s: %v", name, err)
		}
		if name == "cut off" {
			if err := sock.(*net.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		awaitEOF(t, sock)
	}

	// A silent one is given up in time, and a vote that cannot be read is skipped.
	silent := dialRaw(t, address)
	awaitEOF(t, silent)
	sock := dialRaw(t, address)
	bad := vote(1)
	bad.State = 77
	write(t, sock, slices.Concat(greet, []byte{0, 0, 0, 3, 1, 2, 3}, frame(bad), frame(vote(2))))
	one.awaitVote(3, 2)

	two.vote(1, 3)
	one.awaitVote(2, 3)
	if got := one.votes(2); !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("votes %v: the connection was disturbed", got)
	}
	if got := one.votes(3); !slices.Equal(got, []int64{2}) {
		t.Errorf("votes %v of server 3", got)
	}
}

// TestListenTwice: the error says where and what to do.
func TestListenTwice(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	start(t, members, 1)
	cfg := testConfig(members, 1)
	cfg.Deliver = func([]node.Input) {}
	err := New(cfg).Listen()
	if err == nil || !strings.Contains(err.Error(), member(t, members, 1).ElectionAddress()) ||
		!strings.Contains(err.Error(), "stop the program") {
		t.Errorf("error %v", err)
	}
}

// TestListenForEver: with 0 retries the server starts all the same and goes on trying.
func TestListenForEver(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	ln := listenRaw(t, member(t, members, 1).ElectionAddress())
	cfg := testConfig(members, 1)
	cfg.BindRetries = 0
	one, two := startWith(t, cfg), start(t, members, 2)
	two.vote(1, 1)
	acceptRaw(t, ln).Close()
	ln.Close()
	until(t, "loss noticed", func() bool { return two.Stats().ElectionConnections == 0 })
	two.vote(1, 2)
	one.awaitVote(2, 2)
}

func TestBindError(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EADDRINUSE: "stop the program", syscall.EADDRNOTAVAIL: "quorumListenOnAllIPs", syscall.EACCES: "1024",
		io.EOF: "zoo.cfg",
	} {
		text := bindError("election", "zk1:3888", err).Error()
		if !strings.Contains(text, want) || !strings.Contains(text, "election port zk1:3888") {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// TestListenOnAllIPs reaches a server by an address that is not its own.
func TestListenOnAllIPs(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	cfg := testConfig(members, 1)
	cfg.ListenOnAllIPs = true
	s := startWith(t, cfg)
	s.OpenQuorumPort()
	_, election, _ := net.SplitHostPort(member(t, members, 1).ElectionAddress())
	_, quorum, _ := net.SplitHostPort(member(t, members, 1).QuorumAddress())
	dialRaw(t, "127.0.0.1:"+election)
	dialRaw(t, "127.0.0.1:"+quorum)
}

// TestGreetingTimeout: whoever does not say who it is is let go after the time that is set.
func TestGreetingTimeout(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	cfg := testConfig(members, 1)
	cfg.GreetingTimeout = 200 * time.Millisecond
	s := startWith(t, cfg)
	sock := dialRaw(t, member(t, members, 1).ElectionAddress())
	began := time.Now()
	sock.SetReadDeadline(began.Add(patience))
	if _, err := sock.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 100*time.Millisecond || took > 900*time.Millisecond {
		t.Errorf("let go after %v", took)
	}
	s.stop()
}

// TestWhoIsNoServer: whoever came to the election port by mistake is let go at once, also a client whose first message reads
// like the id of a server and a short vote; and so is a stranger that has no vote.
func TestWhoIsNoServer(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, 2)
	cfg := testConfig(members, 1)
	cfg.GreetingTimeout = time.Hour
	s := startWith(t, cfg)
	address := member(t, members, 1).ElectionAddress()
	client := func(seen wire.Zxid) []byte {
		request := wire.ConnectRequest{LastZxidSeen: seen, TimeOut: 30000, Passwd: make([]byte, 16), HasReadOnly: true}.Append(nil)
		return append(wire.AppendInt32(nil, int32(len(request))), request...)
	}
	unreadable := []byte{0, 0, 0, 3, 1, 2, 3}
	for name, b := range map[string][]byte{
		"new client": client(0), "client": client(0x100000005), "browser": []byte("GET / HTTP/1.1\r\nHost: zk\r\n\r\n"),
		"handshake":       append([]byte{22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}, make([]byte, 190)...),
		"stranger":        append(appendGreeting(nil, 77, "zk77:3888"), unreadable...),
		"stranger of 3.4": append(wire.AppendInt64(nil, 77), unreadable...),
		"large id":        wire.AppendInt64(nil, 1<<32),
	} {
		t.Run(name, func(t *testing.T) {
			sock := dialRaw(t, address)
			write(t, sock, b)
			awaitEOF(t, sock)
		})
	}
	until(t, "they are forgotten", func() bool {
		s.mesh.mu.Lock()
		defer s.mesh.mu.Unlock()
		return s.mesh.links[77] == nil
	})

	impatient := testConfig(members, 2)
	impatient.GreetingTimeout = time.Second
	two := startWith(t, impatient)
	voter := dialRaw(t, member(t, members, 2).ElectionAddress())
	write(t, voter, slices.Concat(appendGreeting(nil, 78, "zk78:3888"), frame(vote(1))))
	two.awaitVote(78, 1)
	silent := dialRaw(t, member(t, members, 2).ElectionAddress())
	write(t, silent, appendGreeting(nil, 77, "zk77:3888"))
	awaitEOF(t, silent)
	write(t, voter, frame(vote(2)))
	two.awaitVote(78, 2)
}
