package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

func localSessions(c *node.Config)          { c.LocalSessions = true }
func localSessionsUpgrading(c *node.Config) { c.LocalSessions, c.LocalSessionsUpgrading = true, true }

func ephemeral(path string) []byte {
	return wire.CreateRequest{Path: path, ACL: wire.OpenACL(), Flags: wire.FlagEphemeral}.Append(nil)
}

// inMulti is a multi with one operation.
func inMulti(op wire.OpCode, body []byte) []byte {
	return wire.MultiEnd.Append(append(wire.MultiHeader{Type: op}.Append(nil), body...))
}

// everywhere runs a test at the leader and at a follower.
func everywhere(t *testing.T, test func(t *testing.T, e *fastEnsemble, id wire.ServerID), options ...func(*node.Config)) {
	for _, role := range []node.Role{node.Leading, node.Following} {
		t.Run(role.String(), func(t *testing.T) {
			e := newFastEnsemble(t, options...)
			e.form()
			test(t, e, e.with(role))
		})
	}
}

func (e *fastEnsemble) sessions() (global, local int) {
	for _, n := range e.nodes {
		global, local = n.Status().Sessions, local+n.Status().LocalSessions
	}
	return global, local
}

func TestLocalSessionsNeedNoTxn(t *testing.T) {
	everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
		before := e.nodes[id].Tree().LastZxid()
		e.connect(id, 1, wire.ConnectRequest{})
		e.expect("1:hello")
		if zxid := e.nodes[id].Tree().LastZxid(); zxid != before {
			t.Errorf("a txn %v was made", zxid)
		}
		if global, local := e.sessions(); global != 0 || local != 1 {
			t.Errorf("%d global sessions and %d local ones", global, local)
		}
		e.ask(id, 1, 1, wire.OpCreate, create("/a"))
		e.ask(id, 1, 2, wire.OpExists, read("/a", false))
		e.ask(id, 1, 3, wire.OpMulti, inMulti(wire.OpSetData, wire.SetDataRequest{Path: "/a", Version: -1}.Append(nil)))
		e.expect("1:1", "1:2", "1:3")

		back := wire.ConnectRequest{SessionID: e.sessionOf(id, 1), Passwd: passwordOf(e.sessionOf(id, 1))}
		e.connect(id, 2, back)
		e.expect("1:closed", "2:hello")
		e.step(id, node.ClientClosed{Client: 2})
		e.connect(id, 3, back)
		e.expect("3:hello")

		before = e.nodes[id].Tree().LastZxid()
		e.ask(id, 3, 1, wire.OpCloseSession, nil)
		e.expect("3:1", "3:closed")
		if zxid := e.nodes[id].Tree().LastZxid(); zxid != before {
			t.Errorf("the end of a local session made txn %v", zxid)
		}
		e.connect(id, 4, back)
		e.expect("4:over", "4:closed")
	}, localSessions)
}

func TestLocalSessionsAreUnknownElsewhere(t *testing.T) {
	everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
		e.connect(id, 1, wire.ConnectRequest{})
		session := e.sessionOf(id, 1)
		e.took()
		for other := range e.nodes {
			if other != id {
				client := node.ClientID(10 + other)
				e.connect(other, client, wire.ConnectRequest{SessionID: session, Passwd: passwordOf(session)})
				e.expect(fmt.Sprintf("%d:over", client), fmt.Sprintf("%d:closed", client))
			}
		}
		e.ask(id, 1, 1, wire.OpPing, nil)
		e.expect("1:-2")
	}, localSessions)
}

func TestLocalSessionsExpire(t *testing.T) {
	everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
		e.connect(id, 1, wire.ConnectRequest{})
		session := e.sessionOf(id, 1)
		e.took()
		before := e.nodes[id].Tree().LastZxid()
		e.tick(3 * time.Second)
		e.step(id, node.ClientsTouched{Clients: []node.ClientID{1}})
		e.tick(4900 * time.Millisecond)
		e.expect()
		if due := e.nodes[id].LocalSessions(); len(due) != 1 || len(due[0].IDs) != 1 || due[0].IDs[0] != session {
			t.Errorf("due are %v, want %v alone", due, session)
		}
		e.tick(1200 * time.Millisecond)
		e.expect("1:closed")
		e.connect(id, 2, wire.ConnectRequest{SessionID: session, Passwd: passwordOf(session)})
		e.expect("2:over", "2:closed")
		if zxid := e.nodes[id].Tree().LastZxid(); zxid != before {
			t.Errorf("the end of a local session made txn %v", zxid)
		}
	}, localSessions)
}

func TestLocalSessionsEndWithTheRole(t *testing.T) {
	e := newFastEnsemble(t, localSessions)
	e.form()
	id := e.with(node.Following)
	e.connect(id, 1, wire.ConnectRequest{})
	session := e.sessionOf(id, 1)
	e.isolate(id)
	if local := e.nodes[id].Status().LocalSessions; local != 0 {
		t.Errorf("%d local sessions without a leader", local)
	}
	delete(e.cut, id)
	e.form()
	e.took()
	e.connect(id, 2, wire.ConnectRequest{SessionID: session, Passwd: passwordOf(session)})
	e.expect("2:over", "2:closed")
}

// An ephemeral node must end with its session, which only a session of the ensemble tells everybody.
func TestEphemeralsOfLocalSessionsAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
		e.connect(id, 1, wire.ConnectRequest{})
		e.took()
		e.ask(id, 1, 1, wire.OpCreate, ephemeral("/a"))
		e.ask(id, 1, 2, wire.OpCreate2, ephemeral("/a"))
		e.expect("1:1(-120)", "1:2(-120)")
		e.ask(id, 1, 3, wire.OpMulti, inMulti(wire.OpCreate, ephemeral("/a")))
		e.expect("1:3")
		if _, ok := e.nodes[id].Tree().Lookup("/a"); ok {
			t.Error("the node is there")
		}
		e.ask(id, 1, 4, wire.OpCreate, create("/a"))
		e.ask(id, 1, 5, wire.OpCreate, create("/a"))
		e.expect("1:4", "1:5(-110)")
	}, localSessions)
}

func TestLocalSessionsAreUpgraded(t *testing.T) {
	for op, body := range map[wire.OpCode][]byte{
		wire.OpCreate: ephemeral("/e"), wire.OpCreate2: ephemeral("/e"), wire.OpMulti: inMulti(wire.OpCreate, ephemeral("/e")),
	} {
		everywhere(t, func(t *testing.T, e *fastEnsemble, id wire.ServerID) {
			e.connect(id, 1, wire.ConnectRequest{})
			session := e.sessionOf(id, 1)
			e.took()
			// All at once: the session stays one and the same while it is upgraded.
			for xid, r := range []struct {
				op   wire.OpCode
				body []byte
			}{{wire.OpSync, read("/", false)}, {wire.OpCreate, create("/a")}, {op, body}, {wire.OpCreate, ephemeral("/f")}, {wire.OpCreate, create("/b")}} {
				e.later(id, node.ClientRequest{Client: 1, Header: wire.RequestHeader{Xid: int32(xid), Type: r.op}, Body: r.body})
			}
			e.ask(id, 1, 5, wire.OpPing, nil)
			e.expect("1:0", "1:1", "1:2", "1:3", "1:4", "1:-2")
			if global, local := e.sessions(); global != 1 || local != 0 {
				t.Errorf("%d global sessions and %d local ones", global, local)
			}
			other := id%3 + 1
			e.connect(other, 2, wire.ConnectRequest{SessionID: session, Passwd: passwordOf(session)})
			if got := e.took(); len(got) == 0 || got[len(got)-1] != "2:hello" && got[0] != "2:hello" {
				t.Fatalf("the session does not move: %q", got)
			}
			e.ask(other, 2, 1, wire.OpCloseSession, nil)
			e.took()
			for _, path := range []string{"/e", "/f"} {
				if _, ok := e.nodes[id].Tree().Lookup(path); ok {
					t.Errorf("%s outlives its session", path)
				}
			}
		}, localSessionsUpgrading)
	}
}

// A request that waits for a sync at the leader when its session is upgraded is one of the session like any other.
func TestUpgradeBehindASync(t *testing.T) {
	e := newFastEnsemble(t, localSessionsUpgrading)
	e.form()
	id := e.with(node.Leading)
	e.connect(id, 1, wire.ConnectRequest{})
	e.took()
	n := e.nodes[id]
	// Without the answers of the others, the sync waits.
	requests := []struct {
		op   wire.OpCode
		body []byte
	}{{wire.OpSync, read("/", false)}, {wire.OpCreate, create("/a")}, {wire.OpCreate, ephemeral("/e")}, {wire.OpCreate, create("/b")}}
	for xid, r := range requests {
		n.Step(e.now, node.ClientRequest{Client: 1, Header: wire.RequestHeader{Xid: int32(xid), Type: r.op}, Body: r.body})
	}
	for _, effect := range n.Effects(nil) {
		e.carryOut(id, effect)
	}
	e.tick(node.TickInterval)
	e.expect("1:0", "1:1", "1:2", "1:3")
}

// A leader without local sessions knows of none, and refuses their writes.
func TestLocalSessionsNeedALeaderThatHasThem(t *testing.T) {
	e := newFastEnsemble(t, func(c *node.Config) { c.LocalSessions = c.Self != 3 })
	e.form()
	if e.with(node.Leading) != 3 {
		t.Skip("another server leads")
	}
	e.connect(1, 1, wire.ConnectRequest{})
	e.ask(1, 1, 1, wire.OpCreate, create("/a"))
	e.ask(1, 1, 2, wire.OpCreate, ephemeral("/a"))
	e.expect("1:hello", "1:1(-112)", "1:2(-120)")
}

func TestStandaloneServersHaveNoLocalSessions(t *testing.T) {
	s := newServer(t, localSessions)
	s.expect(s.connect(1, wire.ConnectRequest{}))
	s.expect(s.sync(), "1:hello")
}
