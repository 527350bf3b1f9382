package node_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// bystander asks for the root over and over, beside clients that send anything.
const bystander node.ClientID = 99

// hostile is a standalone server among clients that send anything.
type hostile struct {
	t    *testing.T
	n    *node.Node
	now  node.Now
	last uint64
	// waiting are the xids that each client has sent and not seen answered.
	waiting map[node.ClientID][]int32
	open    map[node.ClientID]bool
	got     int // answers for the bystander
}

func newHostile(t *testing.T) *hostile {
	n, err := node.New(node.Config{
		TickTime: time.Second, SnapCount: 1000, ContainerMaxPerMinute: 1000, Rand: rand.New(rand.NewPCG(1, 1)),
		Tree: tree.Options{ExtendedTypes: true},
	}, &node.Database{Tree: tree.New(tree.Options{ExtendedTypes: true})})
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{
		t: t, n: n, now: node.Now{WallMillis: 1_700_000_000_000},
		waiting: make(map[node.ClientID][]int32), open: make(map[node.ClientID]bool),
	}
	h.step(node.Tick{})
	h.connect(bystander, wire.ConnectRequest{TimeOut: 5000})
	return h
}

// step gives an input to the node, and lets the disk be done at once.
func (h *hostile) step(in node.Input) {
	h.n.Step(h.now, in)
	for effects := h.n.Effects(nil); len(effects) > 0; effects = h.n.Effects(nil) {
		for _, e := range effects {
			h.carryOut(e)
		}
		if h.last > 0 {
			id := h.last
			h.last = 0
			h.n.Step(h.now, node.StorageDone{ID: id})
		}
	}
}

func (h *hostile) carryOut(e node.Effect) {
	switch e := e.(type) {
	case node.Append:
		h.last = e.ID
	case node.Halt:
		h.t.Fatalf("the server ends: %v", e.Err)
	case node.CloseClient:
		if e.Client == bystander {
			h.t.Fatal("the connection of a bystander is closed")
		}
		delete(h.open, e.Client)
	case node.SendFrame:
		if !h.open[e.Client] {
			h.t.Fatalf("a frame for client %d, which is gone", e.Client)
		}
		h.answered(e.Client, wire.NewDecoder(e.Frame).Int32())
	}
}

// answered checks that answers come in the order of the requests.
func (h *hostile) answered(client node.ClientID, xid int32) {
	queue := h.waiting[client]
	if len(queue) > 0 && queue[0] == xid {
		h.waiting[client] = queue[1:]
		if client == bystander {
			h.got++
		}
		return
	}
	if xid != wire.XidWatch {
		h.t.Fatalf("client %d gets an answer to %d while %v wait", client, xid, queue)
	}
}

func (h *hostile) connect(client node.ClientID, r wire.ConnectRequest) {
	h.open[client], h.waiting[client] = true, []int32{0} // a ConnectResponse begins with version 0
	h.step(node.ClientConnected{Client: client, Request: r, Remote: netip.MustParseAddr("10.0.0.1")})
}

func (h *hostile) request(client node.ClientID, xid int32, op wire.OpCode, body []byte) {
	if !h.open[client] {
		return
	}
	if op == wire.OpPing {
		xid = wire.XidPing // the answer has it whatever the client says
	}
	h.waiting[client] = append(h.waiting[client], xid)
	h.step(node.ClientRequest{Client: client, Header: wire.RequestHeader{Xid: xid, Type: op}, Body: body})
}

// FuzzClients: whatever clients send, each gets its answers in order or is disconnected, and another one is served on.
func FuzzClients(f *testing.F) {
	step := func(what, client, op byte, body []byte) []byte {
		return append([]byte{what, client, op, byte(len(body))}, body...)
	}
	for _, name := range []string{"client-session.txt", "client-errors.txt", "client-watches.txt", "client-ensemble.txt"} {
		var b []byte
		for _, m := range recorded.Conversation(f, name) {
			if !m.FromServer && len(m.Frame) >= 8 && len(m.Frame) < 200 && len(b) < 2000 {
				b = append(b, step(0, 1+byte(len(b)%2), m.Frame[7], m.Frame[8:])...)
			}
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := newHostile(t)
		h.connect(1, wire.ConnectRequest{TimeOut: 5000})
		h.connect(2, wire.ConnectRequest{TimeOut: 5000, HasReadOnly: true, ReadOnly: true})
		asked := 0
		for xid := int32(1); len(b) >= 4; xid++ {
			what, client, op, length := b[0], node.ClientID(b[1]&3), int8(b[2]), int(b[3])
			b = b[4:]
			length = min(length, len(b))
			body := b[:length:length]
			b = b[length:]
			switch what & 7 {
			case 4:
				h.now.Mono += time.Duration(length) * 10 * time.Millisecond
				h.now.WallMillis += int64(length) * 10
				h.step(node.Tick{})
			case 5:
				if h.open[client] {
					delete(h.open, client)
					h.step(node.ClientClosed{Client: client})
				}
			case 6:
				if !h.open[client] {
					var r wire.ConnectRequest
					if r.Unmarshal(body) == nil {
						h.connect(client, r)
					}
				}
			default:
				h.request(client, xid, wire.OpCode(op), body)
			}
			if what&8 != 0 {
				asked++
				h.request(bystander, xid, wire.OpExists, read("/", false))
			}
			h.step(node.ClientsTouched{Clients: []node.ClientID{bystander}})
		}
		if h.got != asked+1 {
			t.Fatalf("a bystander has %d answers, want %d", h.got, asked+1)
		}
	})
}
