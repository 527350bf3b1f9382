package node_test

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

func readOnlyMode(c *node.Config) { c.ReadOnlyMode = true }

// cutOff is an ensemble with a node /a, one of whose followers has lost the others.
func cutOff(t *testing.T) (*fastEnsemble, wire.ServerID) {
	t.Helper()
	e := newFastEnsemble(t, readOnlyMode)
	e.form()
	id := e.with(node.Following)
	e.connect(id, 1, wire.ConnectRequest{})
	e.ask(id, 1, 1, wire.OpCreate, create("/a"))
	e.expect("1:hello", "1:1")
	e.isolate(id)
	e.expect("1:closed")
	return e, id
}

func TestReadOnlyMode(t *testing.T) {
	e, id := cutOff(t)
	n := e.nodes[id]
	reader := wire.ConnectRequest{HasReadOnly: true, ReadOnly: true}

	e.tick(1900 * time.Millisecond)
	e.connect(id, 2, reader)
	e.expect("2:closed") // it may still find the others
	e.tick(200 * time.Millisecond)
	if s := n.Status(); !s.ReadOnly || !s.TakesClients || s.Serving || s.Mode() != "read-only" {
		t.Fatalf("it is %+v", s)
	}

	e.connect(id, 3, wire.ConnectRequest{HasReadOnly: true})
	e.connect(id, 4, wire.ConnectRequest{})
	e.expect("3:closed", "4:closed")
	e.connect(id, 5, reader)
	e.expect("5:hello(ro)")
	e.ask(id, 5, 1, wire.OpGetData, read("/a", true))
	if _, ok := n.Read(5, wire.RequestHeader{Xid: 2, Type: wire.OpExists}, read("/a", false)); !ok {
		t.Error("reads go through the loop")
	}
	e.ask(id, 5, 2, wire.OpCreate, create("/b"))
	e.ask(id, 5, 3, wire.OpSync, read("/", false))
	e.ask(id, 5, 4, wire.OpMulti, nil)
	e.ask(id, 5, 5, wire.OpReconfig, nil)
	e.ask(id, 5, 6, wire.OpPing, nil)
	e.expect("5:1", "5:2(-119)", "5:3(-119)", "5:4(-119)", "5:5(-119)", "5:-2")
	if local := n.Status().LocalSessions; local != 1 {
		t.Errorf("%d local sessions", local)
	}

	session := e.sessionOf(id, 5)
	back := reader
	back.SessionID, back.Passwd = session, passwordOf(session)
	e.connect(id, 6, back)
	e.expect("5:closed", "6:hello(ro)")
	e.ask(id, 6, 1, wire.OpCloseSession, nil)
	e.expect("6:1", "6:closed")
	e.connect(id, 7, back)
	e.expect("7:over", "7:closed")
	global := n.Tree().Sessions()[0].ID
	back.SessionID, back.Passwd = global, passwordOf(global)
	e.connect(id, 8, back)
	e.expect("8:closed") // another server knows whether it lives
	ahead := reader
	ahead.LastZxidSeen = 1 << 60
	e.connect(id, 9, ahead)
	e.expect("9:closed")

	e.connect(id, 10, reader)
	e.took()
	e.tick(7 * time.Second)
	e.expect("10:closed") // for want of a sign of life

	e.connect(id, 11, reader)
	e.took()
	delete(e.cut, id)
	e.form()
	if got := e.took(); len(got) == 0 || got[0] != "11:closed" {
		t.Errorf("clients see %q of the return", got)
	}
	if s := n.Status(); s.ReadOnly || !s.Serving || s.LocalSessions != 0 {
		t.Errorf("it is %+v", s)
	}
	e.connect(id, 12, reader)
	e.expect("12:hello")
}

func TestReadOnlyModeIsOff(t *testing.T) {
	e := newFastEnsemble(t)
	e.form()
	id := e.with(node.Following)
	e.isolate(id)
	e.tick(5 * time.Second)
	e.connect(id, 1, wire.ConnectRequest{HasReadOnly: true, ReadOnly: true})
	e.expect("1:closed")
}

func TestLeaderServesNot(t *testing.T) {
	e := newFastEnsemble(t, func(c *node.Config) { c.LeaderServesNot = true })
	e.form()
	leader, follower := e.with(node.Leading), e.with(node.Following)
	e.connect(leader, 1, wire.ConnectRequest{})
	e.connect(follower, 2, wire.ConnectRequest{})
	e.expect("1:closed", "2:hello")
	if s := e.nodes[leader].Status(); s.TakesClients || !s.Serving {
		t.Errorf("the leader is %+v", s)
	}
}
