package node_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// fastEnsemble is three nodes between which everything arrives at once, and whose disks are done at once.
type fastEnsemble struct {
	t       *testing.T
	now     node.Now
	nodes   map[wire.ServerID]*node.Node
	conns   map[wire.ServerID]map[node.ConnID]end
	queue   []func()
	seen    []string // what clients saw, see glimpse
	serving map[wire.ServerID]node.Role
	// operated are the answers to operators.
	operated []node.Operated
	nextID   node.ConnID
	cut      map[wire.ServerID]bool // servers whose votes go nowhere, and that hear none
	open     map[wire.ServerID]bool // quorum ports
	dials    []func()               // to try again
}

// end is the other end of a connection.
type end struct {
	server wire.ServerID
	conn   node.ConnID
}

func newFastEnsemble(t *testing.T, options ...func(*node.Config)) *fastEnsemble {
	t.Helper()
	members, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := &fastEnsemble{
		t: t, now: node.Now{WallMillis: 1_700_000_000_000}, nodes: make(map[wire.ServerID]*node.Node),
		conns: make(map[wire.ServerID]map[node.ConnID]end), serving: make(map[wire.ServerID]node.Role),
		cut: make(map[wire.ServerID]bool), open: make(map[wire.ServerID]bool),
	}
	for id := range wire.ServerID(3) {
		id++
		cfg := node.Config{
			Self: id, Members: members, TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5,
			SnapCount: 1000, Rand: rand.New(rand.NewPCG(1, uint64(id))),
		}
		for _, option := range options {
			option(&cfg)
		}
		n, err := node.New(cfg, &node.Database{Tree: tree.New(tree.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		e.nodes[id], e.conns[id] = n, make(map[node.ConnID]end)
	}
	return e
}

// step gives an input to a server and lets everything happen that follows without time passing.
func (e *fastEnsemble) step(id wire.ServerID, in node.Input) {
	e.later(id, in)
	for len(e.queue) > 0 {
		next := e.queue[0]
		e.queue = e.queue[1:]
		next()
	}
}

func (e *fastEnsemble) later(id wire.ServerID, in node.Input) {
	e.queue = append(e.queue, func() {
		if vote, ok := in.(node.NotificationReceived); ok && (e.cut[id] || e.cut[vote.From]) {
			return
		}
		e.nodes[id].Step(e.now, in)
		for _, effect := range e.nodes[id].Effects(nil) {
			e.carryOut(id, effect)
		}
	})
}

func (e *fastEnsemble) carryOut(id wire.ServerID, effect node.Effect) {
	if what := glimpse(effect); what != "" {
		e.seen = append(e.seen, what)
	}
	switch effect := effect.(type) {
	case node.SendNotification:
		e.later(effect.To, node.NotificationReceived{From: id, Notification: effect.Notification})
	case node.OpenQuorumPort:
		e.open[id] = true
	case node.CloseQuorumPort:
		delete(e.open, id)
	case node.DialLeader:
		e.dial(id, effect)
	case node.SendPacket:
		if to, ok := e.conns[id][effect.Conn]; ok {
			e.later(to.server, node.PacketReceived{Conn: to.conn, Packet: effect.Packet})
		}
	case node.SendSnapshot:
		if to, ok := e.conns[id][effect.Conn]; ok {
			e.later(to.server, node.PacketReceived{Conn: to.conn, Packet: wire.QuorumPacket{Type: wire.PacketSnap, Zxid: effect.Zxid}})
			e.later(to.server, node.SnapshotReceived{Conn: to.conn, Database: &node.Database{Tree: copied(e.t, effect.Tree), LastZxid: effect.Zxid}})
			e.later(id, node.SnapshotSent{Conn: effect.Conn})
		}
	case node.Truncate:
		e.later(id, node.StorageDone{ID: effect.ID, Err: errors.New("no log to cut")})
	case node.Reload:
		t := copied(e.t, e.nodes[id].Tree())
		e.later(id, node.StorageDone{ID: effect.ID, Database: &node.Database{Tree: t, LastZxid: t.LastZxid()}})
	case node.Operated:
		e.operated = append(e.operated, effect)
	case node.CloseConn:
		if to, ok := e.conns[id][effect.Conn]; ok {
			delete(e.conns[id], effect.Conn)
			delete(e.conns[to.server], to.conn)
			e.later(to.server, node.ConnClosed{Conn: to.conn})
		}
	case node.Append:
		e.later(id, node.StorageDone{ID: effect.ID})
	case node.SaveEpoch:
		e.later(id, node.StorageDone{ID: effect.ID})
	case node.TakeSnapshot:
		e.later(id, node.StorageDone{ID: effect.ID})
	case node.RoleChanged:
		delete(e.serving, id)
		if effect.Status.Serving {
			e.serving[id] = effect.Status.Role
		}
	}
}

// dial connects a learner as soon as the leader lets it.
func (e *fastEnsemble) dial(id wire.ServerID, d node.DialLeader) {
	if !e.open[d.Leader] {
		e.dials = append(e.dials, func() { e.dial(id, d) })
		return
	}
	e.nextID += 2
	accepted := e.nextID
	e.conns[id][d.Conn] = end{d.Leader, accepted}
	e.conns[d.Leader][accepted] = end{id, d.Conn}
	e.later(d.Leader, node.LearnerAccepted{Conn: accepted})
	e.later(id, node.LeaderConnected{Conn: d.Conn})
}

// tick lets time pass.
func (e *fastEnsemble) tick(d time.Duration) {
	for until := e.now.Mono + d; e.now.Mono < until; {
		e.now.Mono += node.TickInterval
		dials := e.dials
		e.dials = nil
		for _, dial := range dials {
			dial()
		}
		for _, id := range slices.Sorted(maps.Keys(e.nodes)) {
			e.step(id, node.Tick{})
		}
	}
}

// form lets the ensemble find its leader.
func (e *fastEnsemble) form() {
	e.t.Helper()
	for ticks := 0; len(e.serving) < 3; ticks++ {
		if ticks > 1000 {
			e.t.Fatal("no ensemble")
		}
		e.tick(node.TickInterval)
	}
}

// with is a server of this role.
func (e *fastEnsemble) with(role node.Role) wire.ServerID {
	e.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(e.serving)) {
		if e.serving[id] == role {
			return id
		}
	}
	e.t.Fatalf("nobody is %v", role)
	return 0
}

// isolate takes a server from the others.
func (e *fastEnsemble) isolate(id wire.ServerID) {
	e.cut[id] = true
	for conn := range e.conns[id] {
		e.carryOut(id, node.CloseConn{Conn: conn})
		e.step(id, node.ConnClosed{Conn: conn})
	}
}

// took returns what clients have seen since it was called last.
func (e *fastEnsemble) took() []string {
	seen := e.seen
	e.seen = nil
	return seen
}

func (e *fastEnsemble) expect(want ...string) {
	e.t.Helper()
	if got := e.took(); !slices.Equal(got, want) {
		e.t.Fatalf("clients see %q, want %q", got, want)
	}
}

func (e *fastEnsemble) connect(id wire.ServerID, client node.ClientID, r wire.ConnectRequest) {
	r.TimeOut = 5000
	e.step(id, node.ClientConnected{Client: client, Request: r, Remote: netip.MustParseAddr("127.0.0.1")})
}

func (e *fastEnsemble) ask(id wire.ServerID, client node.ClientID, xid int32, op wire.OpCode, body []byte) {
	e.step(id, node.ClientRequest{Client: client, Header: wire.RequestHeader{Xid: xid, Type: op}, Body: body})
}

// sessionOf is the session of a client at a server.
func (e *fastEnsemble) sessionOf(id wire.ServerID, client node.ClientID) wire.SessionID {
	e.t.Helper()
	session, _, ok := e.nodes[id].SessionOf(client)
	if !ok {
		e.t.Fatalf("client %d has no session at %d", client, id)
	}
	return session
}

// A write needs disks and messages, and no tick of the clock: waiting for one would cost each write half a tick.
func TestWritesDoNotWaitForTheClock(t *testing.T) {
	e := newFastEnsemble(t)
	e.form()
	for id, role := range e.serving {
		client := node.ClientID(id)
		e.connect(id, client, wire.ConnectRequest{})
		if len(e.took()) != 1 {
			t.Fatalf("a connection to the %v got no answer", role)
		}
		for xid, op := range []wire.OpCode{wire.OpCreate, wire.OpSync, wire.OpCloseSession} {
			e.ask(id, client, int32(xid), op, create("/"+role.String()+string(rune('a'+id))))
			if got := e.took(); got[0] != fmt.Sprintf("%d:%d", client, xid) {
				t.Errorf("%v through the %v got %q", op, role, got)
			}
		}
	}
}
