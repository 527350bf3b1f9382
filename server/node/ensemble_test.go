package node_test

import (
	"math/rand/v2"
	"net/netip"
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
	frames  int
	serving map[wire.ServerID]node.Role
	nextID  node.ConnID
}

// end is the other end of a connection.
type end struct {
	server wire.ServerID
	conn   node.ConnID
}

func newFastEnsemble(t *testing.T) *fastEnsemble {
	t.Helper()
	members, err := quorum.New([]quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := &fastEnsemble{
		t: t, now: node.Now{WallMillis: 1_700_000_000_000}, nodes: make(map[wire.ServerID]*node.Node),
		conns: make(map[wire.ServerID]map[node.ConnID]end), serving: make(map[wire.ServerID]node.Role),
	}
	for id := range wire.ServerID(3) {
		id++
		n, err := node.New(node.Config{
			Self: id, Members: members, TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5,
			SnapCount: 1000, Rand: rand.New(rand.NewPCG(1, uint64(id))),
		}, &node.Database{Tree: tree.New(tree.Options{})})
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
		e.nodes[id].Step(e.now, in)
		for _, effect := range e.nodes[id].Effects(nil) {
			e.carryOut(id, effect)
		}
	})
}

func (e *fastEnsemble) carryOut(id wire.ServerID, effect node.Effect) {
	switch effect := effect.(type) {
	case node.SendNotification:
		e.later(effect.To, node.NotificationReceived{From: id, Notification: effect.Notification})
	case node.DialLeader:
		e.nextID += 2
		accepted := e.nextID
		e.conns[id][effect.Conn] = end{effect.Leader, accepted}
		e.conns[effect.Leader][accepted] = end{id, effect.Conn}
		e.later(effect.Leader, node.LearnerAccepted{Conn: accepted})
		e.later(id, node.LeaderConnected{Conn: effect.Conn})
	case node.SendPacket:
		if to, ok := e.conns[id][effect.Conn]; ok {
			e.later(to.server, node.PacketReceived{Conn: to.conn, Packet: effect.Packet})
		}
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
	case node.SendFrame:
		e.frames++
	case node.RoleChanged:
		delete(e.serving, id)
		if effect.Status.Serving {
			e.serving[id] = effect.Status.Role
		}
	}
}

// A write needs disks and messages, and no tick of the clock: waiting for one would cost each write half a tick.
func TestWritesDoNotWaitForTheClock(t *testing.T) {
	e := newFastEnsemble(t)
	for ticks := 0; len(e.serving) < 3; ticks++ {
		if ticks > 1000 {
			t.Fatal("no ensemble")
		}
		e.now.Mono += node.TickInterval
		for id := range e.nodes {
			e.step(id, node.Tick{})
		}
	}
	for id, role := range e.serving {
		client := node.ClientID(id)
		e.step(id, node.ClientConnected{Client: client, Request: wire.ConnectRequest{TimeOut: 5000}, Remote: netip.MustParseAddr("127.0.0.1")})
		if e.frames != 1 {
			t.Fatalf("a connection to the %v got %d answers, want 1", role, e.frames)
		}
		for xid, op := range []wire.OpCode{wire.OpCreate, wire.OpSync, wire.OpCloseSession} {
			e.frames = 0
			body := create("/" + role.String() + string(rune('a'+id)))
			e.step(id, node.ClientRequest{Client: client, Header: wire.RequestHeader{Xid: int32(xid), Type: op}, Body: body})
			if e.frames != 1 {
				t.Errorf("%v through the %v got %d answers, want 1", op, role, e.frames)
			}
		}
		e.frames = 0
	}
}
