package node_test

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// throttled is a server that lets two requests in at a time, with three clients.
func throttled(t *testing.T, options ...func(*node.RequestThrottle)) *server {
	t.Helper()
	s := newServer(t, func(c *node.Config) {
		c.RequestThrottle = node.RequestThrottle{MaxRequests: 2, StallTime: 100 * time.Millisecond, DropStale: true, StaleConnection: true}
		for _, option := range options {
			option(&c.RequestThrottle)
		}
	})
	for client := range node.ClientID(3) {
		s.open(client + 1)
	}
	return s
}

func TestRequestsWaitWhileManyAreInProcess(t *testing.T) {
	s := throttled(t)
	s.ask(1, 1, wire.OpCreate, create("/a"))
	if _, ok := s.n.Read(2, wire.RequestHeader{Xid: 1, Type: wire.OpExists}, read("/a", false)); !ok {
		t.Error("a read does not pass the loop")
	}
	s.ask(1, 2, wire.OpCreate, create("/b"))
	if _, ok := s.n.Read(2, wire.RequestHeader{Xid: 1, Type: wire.OpExists}, read("/a", false)); ok {
		t.Error("a read passes the throttle")
	}
	s.expect(s.ask(2, 1, wire.OpExists, read("/a", false)))
	s.expect(s.ask(3, 1, wire.OpCreate, create("/c")))
	s.expect(s.ask(1, 3, wire.OpPing, nil))
	s.expect(s.ask(3, 2, wire.OpCreate, create("/d")))
	s.expect(s.ask(3, 3, wire.OpCreate, create("/e")))
	s.expect(s.connect(4, wire.ConnectRequest{}))
	s.expect(s.sync(), "1:1", "1:2", "2:1", "1:-2")
	s.expect(s.sync(), "3:1", "3:2")
	s.expect(s.sync(), "3:3", "4:hello")
	if n := s.n.Status().Outstanding; n != 0 {
		t.Errorf("%d requests are in process", n)
	}
	// Nothing is left that would let others wait.
	s.ask(1, 4, wire.OpCreate, create("/f"))
	s.ask(1, 5, wire.OpCreate, create("/g"))
	s.expect(s.sync(), "1:4", "1:5")
}

func TestRequestsOfClosedConnectionsAreDropped(t *testing.T) {
	for _, drops := range []bool{true, false} {
		s := throttled(t, func(c *node.RequestThrottle) { c.DropStale = drops })
		s.ask(1, 1, wire.OpCreate, create("/a"))
		s.ask(1, 2, wire.OpCreate, create("/b"))
		s.ask(2, 1, wire.OpCreate, create("/c"))
		s.ask(2, 2, wire.OpExists, read("/a", false))
		s.connect(4, wire.ConnectRequest{})
		s.ask(3, 1, wire.OpCloseSession, nil)
		for _, client := range []node.ClientID{2, 3, 4} {
			s.step(node.ClientClosed{Client: client})
		}
		s.sync()
		s.sync()
		if _, ok := s.n.Tree().Lookup("/c"); ok == drops {
			t.Errorf("drop stale requests %t: the node is there %t", drops, ok)
		}
		if n := s.n.Tree().SessionCount(); n != 2 {
			t.Errorf("%d sessions, want 2: a session was closed, and another was never begun", n)
		}
	}
}

func TestOldRequestsAreDropped(t *testing.T) {
	s := throttled(t, func(c *node.RequestThrottle) { c.StaleLatency = true })
	s.ask(1, 1, wire.OpCreate, create("/a"))
	s.ask(1, 2, wire.OpCreate, create("/b"))
	s.ask(2, 1, wire.OpCreate, create("/c"))
	s.ask(2, 2, wire.OpPing, nil)
	s.now.Mono += 4900 * time.Millisecond
	s.expect(s.step(node.ClientsTouched{Clients: []node.ClientID{1, 2, 3}}))
	s.now.Mono += 200 * time.Millisecond
	s.expect(s.step(node.Tick{}), "2:closed")
	s.expect(s.sync(), "1:1", "1:2")
}

func TestThrottledRequestsAreRefusedAfterATime(t *testing.T) {
	s := throttled(t, func(c *node.RequestThrottle) { c.OpWaitTime = 50 * time.Millisecond })
	s.ask(1, 1, wire.OpCreate, create("/a"))
	s.ask(1, 2, wire.OpCreate, create("/b"))
	s.ask(2, 1, wire.OpCreate, create("/c"))
	s.ask(2, 2, wire.OpExists, read("/a", false))
	s.ask(2, 3, wire.OpPing, nil)
	s.connect(4, wire.ConnectRequest{})
	s.ask(3, 1, wire.OpCloseSession, nil)
	s.now.Mono += 51 * time.Millisecond
	s.ask(3, 2, wire.OpCreate, create("/d"))
	s.expect(s.sync(), "1:1", "1:2", "2:1(-127)", "2:2(-127)", "2:-2")
	s.expect(s.sync(), "4:hello", "3:1", "3:closed")
	if _, ok := s.n.Tree().Lookup("/c"); ok {
		t.Error("a refused request was carried out")
	}
	s.ask(1, 3, wire.OpCreate, create("/e"))
	s.now.Mono += time.Second
	s.expect(s.sync(), "1:3") // in process is not waiting
}

// The ids of a request are those that its client had when it sent it, also if the reply to auth comes first.
func TestThrottledAuthIsAnsweredInOrder(t *testing.T) {
	s := throttled(t)
	s.ask(1, 1, wire.OpCreate, create("/a"))
	s.ask(1, 2, wire.OpCreate, create("/b"))
	packet := wire.AppendBuffer(wire.AppendString(wire.AppendInt32(nil, 0), "digest"), []byte("u:p"))
	s.ask(2, 1, wire.OpExists, read("/a", false))
	s.expect(s.ask(2, wire.XidAuth, wire.OpAuth, packet))
	s.expect(s.ask(2, 2, wire.OpWhoAmI, nil))
	s.expect(s.sync(), "1:1", "1:2", "2:1", "2:-4", "2:2")
}
