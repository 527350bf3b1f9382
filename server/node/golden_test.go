package node_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// The recording is of one server and has five parts. In each, connections are numbered from 1; those that were there
// before have other numbers in the whole.
var conversation = []struct {
	file string
	conn map[int]node.ClientID
	base node.ClientID // of the others
}{
	{file: "client-session.txt", conn: map[int]node.ClientID{1: 1}},
	{file: "client-errors.txt", conn: map[int]node.ClientID{1: 1}},
	{file: "client-watches.txt", conn: map[int]node.ClientID{1: 1}, base: 10},
	{file: "client-sessions.txt", conn: map[int]node.ClientID{1: 1, 2: 13}, base: 20},
	{file: "client-java.txt", base: 40},
}

// Where this server answers otherwise on purpose:
//
//   - check outside a multi, and deleteContainer, are no requests of clients: they are refused as unknown. Apache
//     ZooKeeper let both into the log. Here a request that fails takes the zxid.
//   - reconfig is never enabled (ErrReconfigDisabled); the recorded server had it, but stood alone (ErrUnimplemented).
//   - events carry the zxid of their transaction, as since 3.9; until then -1.
//   - a wrong password does not close the session's living connection.
const (
	otherwiseCheck  = "request:check"
	otherwiseDelete = "request:deleteContainer"
	otherwiseConfig = "request:reconfig"
)

// replay is a server that is asked what the recorded one was asked, at the same times.
type replay struct {
	t      *testing.T
	n      *node.Node
	log    []txn.Entry
	frames map[node.ClientID][][]byte
	closed map[node.ClientID]bool
	logged []txn.Entry
}

func newReplay(t *testing.T, log []txn.Entry) *replay {
	t.Helper()
	opts := tree.Options{ExtendedTypes: true}
	n, err := node.New(node.Config{
		TickTime: 2 * time.Second, MaxSessionTimeout: 2 * time.Minute, SnapCount: 1000, Rand: rand.New(rand.NewPCG(1, 1)), Tree: opts,
	}, &node.Database{Tree: tree.New(opts)})
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{t: t, n: n, log: log, frames: make(map[node.ClientID][][]byte), closed: make(map[node.ClientID]bool)}
	// The clock from which the recorded server's session ids begin.
	r.n.Step(node.Now{WallMillis: int64(log[0].Header.Session) >> 16 & (1<<40 - 1)}, node.Tick{})
	return r
}

// step gives an input, at the time of the next recorded transaction, and lets the disk finish.
func (r *replay) step(in node.Input) {
	now := node.Now{}
	if i := len(r.logged); i < len(r.log) {
		now.WallMillis = r.log[i].Header.Time
	}
	r.n.Step(now, in)
	for {
		done := uint64(0)
		for _, e := range r.n.Effects(nil) {
			switch e := e.(type) {
			case node.Append:
				entry, err := txn.Decode(e.Txn)
				if err != nil {
					r.t.Fatal(err)
				}
				r.logged = append(r.logged, entry)
				done = e.ID
			case node.SendFrame:
				r.frames[e.Client] = append(r.frames[e.Client], e.Frame)
			case node.CloseClient:
				r.closed[e.Client] = true
			}
		}
		if done == 0 {
			return
		}
		r.n.Step(now, node.StorageDone{ID: done})
	}
}

// connect passes the first frame of a connection.
func (r *replay) connect(id node.ClientID, frame []byte) {
	var q wire.ConnectRequest
	if err := q.Unmarshal(frame); err != nil {
		r.t.Fatal(err)
	}
	r.step(node.ClientConnected{Client: id, Request: q, Remote: netip.MustParseAddr("127.0.0.1")})
}

func (r *replay) request(id node.ClientID, kind string, frame []byte) {
	h := wire.RequestHeader{
		Xid: int32(binary.BigEndian.Uint32(frame)), Type: wire.OpCode(binary.BigEndian.Uint32(frame[4:])),
	}
	body := frame[8:]
	if kind == otherwiseCheck || kind == otherwiseDelete {
		h.Type, body = wire.OpDelete, wire.VersionRequest{}.Append(nil)
	}
	r.step(node.ClientRequest{Client: id, Header: h, Body: body})
}

// TestAnswersAsRecorded gives a standalone server everything that clients sent to Apache ZooKeeper 3.8.0, and compares,
// byte by byte, its answers, its log and its tree in the end.
func TestAnswersAsRecorded(t *testing.T) {
	log := recorded.Log(t, "standalone.log")
	r := newReplay(t, log)
	for _, part := range conversation {
		asked := make(map[node.ClientID]string)
		left := make(map[node.ClientID]bool)
		for _, m := range recorded.Conversation(t, part.file) {
			id, ok := part.conn[m.Conn]
			if !ok {
				id = part.base + node.ClientID(m.Conn)
			}
			switch {
			case m.FromServer && m.Kind == "FIN":
				r.expectEnd(m, id, left[id] || id == 13 || id == 12 || id == 34)
			case m.FromServer:
				r.expect(m, id, asked[id])
			case m.Kind == "FIN":
				left[id] = true
				r.step(node.ClientClosed{Client: id})
			case m.Kind == "ConnectRequest":
				r.connect(id, m.Frame)
			case id == 13 && m.Kind == "request:closeSession" || id == 34 && m.Kind == "request:create":
				// Sent on a connection that the recorded server had closed; too long for any server.
				r.step(node.ClientClosed{Client: id})
			default:
				asked[id] = m.Kind
				r.request(id, m.Kind, m.Frame)
			}
		}
	}
	for id, frames := range r.frames {
		if len(frames) > 0 {
			t.Errorf("client %d was sent what was not recorded: %x", id, frames)
		}
	}
	compareLogs(t, r.logged, log[:len(log)-1]) // the last is of the client that read the tree
	recorded.CompareTree(t, r.n.Tree(), "standalone-tree.json")
}

func (r *replay) expectEnd(m recorded.Message, id node.ClientID, otherwise bool) {
	if !otherwise && !r.closed[id] {
		r.t.Errorf("%s: the connection is still open", m.Where)
	}
}

// expect compares the next frame of a client with the recorded one.
func (r *replay) expect(m recorded.Message, id node.ClientID, asked string) {
	r.t.Helper()
	if len(r.frames[id]) == 0 {
		r.t.Fatalf("%s: no %s came", m.Where, m.Kind)
	}
	got := bytes.Clone(r.frames[id][0])
	r.frames[id] = r.frames[id][1:]
	want := bytes.Clone(m.Frame)
	switch {
	case m.Kind == "WatcherEvent":
		copy(got[4:12], want[4:12]) // zxid
	case asked == otherwiseCheck || asked == otherwiseDelete || asked == otherwiseConfig:
		copy(got[12:16], want[12:16]) // code
	case asked == "request:getChildren" || asked == "request:getChildren2" || asked == "request:getEphemerals":
		sortNames(got, 16)
		sortNames(want, 16)
	case asked == "request:multiRead":
		const before = 16 + 9 + 4 + 3 + 68 + 9 // one result of getData, with three bytes of data
		sortNames(got, before)
		sortNames(want, before)
	}
	if !bytes.Equal(got, want) {
		r.t.Errorf("%s: %s:\n got  %x\n want %x", m.Where, m.Kind, got, want)
	}
}

// sortNames sorts a vector of strings, whose order says nothing, in place.
func sortNames(frame []byte, at int) {
	if len(frame) <= at {
		return
	}
	d := wire.NewDecoder(frame[at:])
	names := d.Strings()
	slices.Sort(names)
	copy(frame[at:], wire.AppendStrings(nil, names))
}

func compareLogs(t *testing.T, got, want []txn.Entry) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("transaction %v is missing", want[i].Header)
		case i >= len(want):
			t.Fatalf("transaction %v was not recorded", got[i].Header)
		}
		if code, ok := want[i].Record.(*txn.Error); ok && want[i].Header.Cxid >= 57 && want[i].Header.Cxid <= 62 {
			// Of a request that is refused otherwise.
			if own, ok := got[i].Record.(*txn.Error); ok {
				own.Err = code.Err
				got[i] = txn.New(got[i].Header, own, got[i].Digest)
			}
		}
		if list, ok := want[i].Record.(*txn.CloseSession); ok {
			slices.Sort(list.Paths)
			want[i] = txn.New(want[i].Header, list, want[i].Digest)
		}
		if !bytes.Equal(got[i].Bytes, want[i].Bytes) {
			t.Errorf("transaction %+v:\n got  %x\n want %x", want[i].Header, got[i].Bytes, want[i].Bytes)
		}
	}
}
