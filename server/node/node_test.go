package node_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// server is a standalone node whose disk is done when the test says so.
type server struct {
	t      *testing.T
	n      *node.Node
	now    node.Now
	logged uint64 // id of the newest append that is not done
}

func newServer(t *testing.T, options ...func(*node.Config)) *server {
	t.Helper()
	db := &node.Database{Tree: tree.New(tree.Options{})}
	cfg := node.Config{
		TickTime: time.Second, SnapCount: 1000, ContainerMaxPerMinute: 1, Rand: rand.New(rand.NewPCG(1, 1)),
	}
	for _, option := range options {
		option(&cfg)
	}
	n, err := node.New(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, n: n, now: node.Now{WallMillis: 1_700_000_000_000}}
	s.step(node.Tick{})
	return s
}

// step gives the node an input and tells what its clients see.
func (s *server) step(in node.Input) []string {
	s.n.Step(s.now, in)
	var seen []string
	for _, e := range s.n.Effects(nil) {
		if e, ok := e.(node.Append); ok {
			s.logged = e.ID
		}
		if what := glimpse(e); what != "" {
			seen = append(seen, what)
		}
	}
	return seen
}

// glimpse is what a client sees of an effect: "1:3" is a reply to xid 3 for client 1, "1:3(-101)" one with a code,
// "1:hello" a ConnectResponse, "1:hello(ro)" that of a read-only server, "1:over" one that ends the session, "1:event" an
// event, "1:closed" the end of the connection.
func glimpse(e node.Effect) string {
	switch e := e.(type) {
	case node.SendFrame:
		d := wire.NewDecoder(e.Frame)
		xid := d.Int32()
		switch {
		case len(e.Frame) >= 36 && xid == 0 && len(e.Frame) <= 37:
			what := "hello"
			if d.Int32() == 0 {
				what = "over"
			} else if len(e.Frame) == 37 && e.Frame[36] == 1 {
				what = "hello(ro)"
			}
			return fmt.Sprintf("%d:%s", e.Client, what)
		case xid == wire.XidWatch:
			return fmt.Sprintf("%d:event", e.Client)
		}
		d.Int64()
		if code := d.Int32(); code != 0 {
			return fmt.Sprintf("%d:%d(%d)", e.Client, xid, code)
		}
		return fmt.Sprintf("%d:%d", e.Client, xid)
	case node.CloseClient:
		return fmt.Sprintf("%d:closed", e.Client)
	}
	return ""
}

// sync lets the disk finish.
func (s *server) sync() []string {
	id := s.logged
	s.logged = 0
	return s.step(node.StorageDone{ID: id})
}

func (s *server) connect(client node.ClientID, r wire.ConnectRequest) []string {
	r.TimeOut = 5000
	return s.step(node.ClientConnected{Client: client, Request: r, Remote: netip.MustParseAddr("127.0.0.1")})
}

func (s *server) open(client node.ClientID) {
	s.t.Helper()
	s.connect(client, wire.ConnectRequest{})
	s.expect(s.sync(), fmt.Sprintf("%d:hello", client))
}

func (s *server) ask(client node.ClientID, xid int32, op wire.OpCode, body []byte) []string {
	return s.step(node.ClientRequest{Client: client, Header: wire.RequestHeader{Xid: xid, Type: op}, Body: body})
}

func (s *server) expect(got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Fatalf("clients see %q, want %q", got, want)
	}
}

func create(path string) []byte {
	return wire.CreateRequest{Path: path, ACL: wire.OpenACL()}.Append(nil)
}

func read(path string, watch bool) []byte {
	return wire.ReadRequest{Path: path, Watch: watch}.Append(nil)
}

func TestReadsWaitForWritesOfTheirOwnSessionOnly(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.open(2)
	s.expect(s.ask(1, 1, wire.OpCreate, create("/a")))
	s.expect(s.ask(1, 2, wire.OpExists, read("/a", false)))
	if _, ok := s.n.Read(1, wire.RequestHeader{Xid: 2, Type: wire.OpExists}, read("/a", false)); ok {
		t.Error("a read passed a write of its session")
	}
	s.expect(s.ask(1, 3, wire.OpPing, nil))
	s.expect(s.ask(2, 1, wire.OpExists, read("/a", false)), "2:1(-101)")
	s.expect(s.sync(), "1:1", "1:2", "1:-2")
	if _, ok := s.n.Read(1, wire.RequestHeader{Xid: 4, Type: wire.OpExists}, read("/a", false)); !ok {
		t.Error("nothing is in flight")
	}
}

func TestEventComesBeforeTheReply(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpExists, read("/a", true)), "1:1(-101)")
	s.ask(1, 2, wire.OpCreate, create("/a"))
	s.expect(s.sync(), "1:event", "1:2")
}

func TestAuthIsAnsweredInOrderAndCountsAtOnce(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.ask(1, 1, wire.OpCreate, create("/a"))
	packet := wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "digest"), []byte("u:p"))
	s.expect(s.ask(1, wire.XidAuth, wire.OpAuth, packet))
	mine := wire.CreateRequest{Path: "/mine", ACL: []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}}}
	s.expect(s.ask(1, 2, wire.OpCreate, mine.Append(nil)))
	s.expect(s.sync(), "1:1", "1:-4", "1:2")

	bad := wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "nothing"), nil)
	s.expect(s.ask(1, 3, wire.OpAuth, bad), "1:3(-115)", "1:closed")
}

// All ids of a client travel with each of its writes: without a bound they could keep its server from following.
func TestClientsHaveABoundedNumberOfIDs(t *testing.T) {
	s := newServer(t)
	s.open(1)
	for i := range 100 {
		user := []byte(fmt.Sprintf("%s%d:p", strings.Repeat("u", 10<<10), i))
		got := s.ask(1, wire.XidAuth, wire.OpAuth, wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "digest"), user))
		if got[0] == "1:-4" {
			continue
		}
		s.expect(got, "1:-4(-115)", "1:closed")
		if i < 5 {
			t.Errorf("refused already after %d", i)
		}
		return
	}
	t.Error("a client may have a megabyte of ids")
}

func TestUnknownOperationEndsTheConnection(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.expect(s.ask(1, 1, wire.OpExists, nil), "1:1(-5)")
	for i, op := range []wire.OpCode{0, 99, wire.OpCheck, wire.OpDeleteContainer, wire.OpCreateSession, wire.OpError} {
		client := node.ClientID(10 + i)
		s.open(client)
		s.expect(s.ask(client, 1, op, nil), fmt.Sprintf("%d:1(-6)", client), fmt.Sprintf("%d:closed", client))
	}
}

func TestSessions(t *testing.T) {
	s := newServer(t)
	s.open(1)
	id := s.n.Tree().Sessions()[0].ID
	password := session.Password(id)

	s.expect(s.connect(2, wire.ConnectRequest{SessionID: id, Passwd: make([]byte, 16)}), "2:over", "2:closed")
	s.expect(s.connect(3, wire.ConnectRequest{SessionID: id, Passwd: password[:]}), "1:closed", "3:hello")
	s.expect(s.connect(4, wire.ConnectRequest{LastZxidSeen: 1000}), "4:closed")
	s.expect(s.connect(5, wire.ConnectRequest{SessionID: id + 1, Passwd: passwordOf(id + 1)}), "5:over", "5:closed")

	ephemeral := wire.CreateRequest{Path: "/e", ACL: wire.OpenACL(), Flags: wire.FlagEphemeral}.Append(nil)
	s.ask(3, 1, wire.OpCreate, ephemeral)
	s.expect(s.sync(), "3:1")
	s.expect(s.ask(3, 2, wire.OpCloseSession, nil))
	s.expect(s.ask(3, 3, wire.OpPing, nil))
	s.expect(s.sync(), "3:2", "3:closed")
	if _, ok := s.n.Tree().Lookup("/e"); ok {
		t.Error("the ephemeral node is still there")
	}
}

// Clients of some libraries begin to count anew with every connection (kazoo). What an earlier one has asked for must not be
// taken for the answer to the request with the same number.
func TestAnswersAreOfTheirOwnConnection(t *testing.T) {
	s := newServer(t)
	s.open(1)
	id := s.n.Tree().Sessions()[0].ID
	s.ask(1, 1, wire.OpCreate, create("/a"))
	before := s.logged
	s.expect(s.connect(2, wire.ConnectRequest{SessionID: id, Passwd: passwordOf(id)}), "1:closed", "2:hello")
	s.ask(2, 1, wire.OpCreate, create("/a"))
	s.expect(s.step(node.StorageDone{ID: before}))
	s.expect(s.sync(), "2:1(-110)")
}

func passwordOf(id wire.SessionID) []byte {
	p := session.Password(id)
	return p[:]
}

func TestSilentSessionsExpire(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.now.Mono += 5 * time.Second
	s.step(node.Tick{})
	if s.logged != 0 {
		t.Fatal("the session expired before its timeout")
	}
	s.now.Mono += 2 * time.Second
	s.step(node.Tick{})
	s.expect(s.sync(), "1:closed")
	if n := s.n.Tree().SessionCount(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// A container on the list of those to delete may be something else when its turn comes.
func TestOnlyContainersAreDeletedAsContainers(t *testing.T) {
	s := newServer(t, func(c *node.Config) { c.ContainerMaxPerMinute = 100 })
	s.open(1)
	xid := int32(0)
	ask := func(op wire.OpCode, body []byte) {
		t.Helper()
		xid++
		s.ask(1, xid, op, body)
		s.expect(s.sync(), fmt.Sprintf("1:%d", xid))
	}
	paths := []string{"/a", "/b", "/c", "/d", "/e", "/f"}
	container := func(path string) []byte {
		return wire.CreateRequest{Path: path, ACL: wire.OpenACL(), Flags: wire.FlagContainer}.Append(nil)
	}
	for _, path := range paths {
		ask(wire.OpCreateContainer, container(path))
		ask(wire.OpCreate, create(path+"/kid"))
		ask(wire.OpDelete, wire.VersionRequest{Path: path + "/kid", Version: -1}.Append(nil))
	}
	for s.logged == 0 { // until the list is made, and some of it is being deleted
		s.now.Mono += time.Second
		s.step(node.ClientsTouched{Clients: []node.ClientID{1}})
		s.step(node.Tick{})
	}
	for _, path := range paths[4:] {
		xid++
		s.ask(1, xid, wire.OpDelete, wire.VersionRequest{Path: path, Version: -1}.Append(nil))
	}
	xid++
	s.ask(1, xid, wire.OpCreate, create("/e"))
	xid++
	s.ask(1, xid, wire.OpCreateContainer, container("/f"))
	s.sync()
	for range 10 {
		s.now.Mono += 600 * time.Millisecond
		s.step(node.Tick{})
	}
	s.sync()
	for i, path := range paths {
		_, ok := s.n.Tree().Lookup(path)
		if want := i >= 4; ok != want {
			t.Errorf("%s is there: %v", path, ok)
		}
	}
}

// At most znode.container.maxPerMinute containers are deleted in a minute, evenly.
func TestContainersAreDeletedEvenly(t *testing.T) {
	for perMinute, want := range map[int]int{1: 1, 60: 10, 6000: 500} {
		s := newServer(t, func(c *node.Config) { c.ContainerMaxPerMinute, c.ContainerMaxNeverUsed = perMinute, 1 })
		s.open(1)
		for i := range 500 {
			s.ask(1, int32(i), wire.OpCreateContainer, wire.CreateRequest{Path: fmt.Sprintf("/c%d", i), ACL: wire.OpenACL()}.Append(nil))
		}
		s.sync()
		nodes := s.n.Tree().NodeCount()
		s.now.WallMillis += 1000
		s.now.Mono = 59*time.Second + 500*time.Millisecond
		for s.now.Mono < 69900*time.Millisecond {
			s.step(node.Tick{})
			s.sync()
			s.now.Mono += node.TickInterval
		}
		if deleted := nodes - s.n.Tree().NodeCount(); deleted != want {
			t.Errorf("%d of 500 containers are deleted in 10 s, want %d", deleted, want)
		}
	}
}

func TestStopWaitsForTheDisk(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.ask(1, 1, wire.OpCreate, create("/a"))
	s.n.Stop(s.now)
	if role := s.n.Status().Role; role != node.Stopping {
		t.Fatalf("the server is %v", role)
	}
	s.expect(s.sync(), "1:closed")
	if role := s.n.Status().Role; role != node.Stopped {
		t.Errorf("the server is %v", role)
	}
}
