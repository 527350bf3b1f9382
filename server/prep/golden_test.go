package prep_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

type key struct {
	session wire.SessionID
	cxid    int32
}

// recordedRequests collects what clients asked, with the ids that their connections had then.
func recordedRequests(t *testing.T, policy *auth.Policy) map[key]prep.Request {
	t.Helper()
	conn := auth.Conn{Remote: netip.MustParseAddr("127.0.0.1")}
	type client struct {
		session wire.SessionID
		ids     []wire.ID
	}
	clients := make(map[int]*client)
	requests := make(map[key]prep.Request)
	for _, m := range recorded.Conversation(t, "client-ensemble.txt") {
		c := clients[m.Conn]
		switch {
		case m.Kind == "ConnectRequest":
			clients[m.Conn] = &client{ids: policy.Initial(conn)}
		case m.Kind == "ConnectResponse":
			var r wire.ConnectResponse
			if err := r.Unmarshal(m.Frame); err != nil {
				t.Fatal(err)
			}
			c.session = r.SessionID
		case m.FromServer || m.Kind == "FIN" || m.Kind == "RST":
		case m.Kind == "request:auth":
			var p wire.AuthPacket
			if err := p.Unmarshal(m.Frame[8:]); err != nil {
				t.Fatal(err)
			}
			c.ids, _ = policy.Add(c.ids, conn, p.Scheme, p.Auth)
		default:
			xid := int32(binary.BigEndian.Uint32(m.Frame))
			requests[key{c.session, xid}] = prep.Request{
				Session: c.session, Cxid: xid, Type: wire.OpCode(binary.BigEndian.Uint32(m.Frame[4:])), Body: m.Frame[8:],
				Auth: c.ids, Owner: 1,
			}
		}
	}
	return requests
}

// TestTransactionsAsRecorded gives a preparer what clients asked an ensemble of Apache ZooKeeper 3.8.0, in the order in
// which its leader proposed it, and compares the transactions byte by byte.
func TestTransactionsAsRecorded(t *testing.T) {
	const last = 0x10000009b // what came later was not recorded on the side of the clients
	policy := auth.New(auth.Options{})
	requests := recordedRequests(t, policy)
	data := tree.New(tree.Options{ExtendedTypes: true})
	sessions := session.NewTracker(2 * time.Second)
	p := prep.New(data, sessions, policy)
	kinds := make(map[wire.OpCode]int)
	lag := 0
	var inFlight []txn.Entry
	apply := func() {
		e := inFlight[0]
		inFlight = inFlight[1:]
		data.Apply(e.Header, e.Record, nil)
		p.Applied(e.Header.Zxid)
		if e.Header.Type == wire.OpCloseSession {
			sessions.Remove(e.Header.Session)
		}
	}
	for _, want := range recorded.Log(t, "ensemble.log") {
		h := want.Header
		if h.Zxid > last {
			break
		}
		kinds[h.Type]++
		r, asked := requests[key{h.Session, h.Cxid}]
		switch record := want.Record.(type) {
		case *txn.CreateSession:
			sessions.Add(h.Session, time.Hour, 0)
			r = prep.Request{Session: h.Session, Type: h.Type, Body: wire.AppendInt32(nil, record.TimeoutMillis)}
		case *txn.CloseSession:
			r = prep.Request{Session: h.Session, Cxid: h.Cxid, Type: h.Type}
			slices.Sort(record.Paths)
			want = txn.New(h, record, want.Digest)
		case *txn.Delete:
			if h.Type == wire.OpDeleteContainer {
				r = prep.Request{Type: h.Type, Body: wire.AppendString(nil, record.Path)}
			}
		default:
			if !asked {
				t.Fatalf("%+v was not asked for", h)
			}
		}
		got := p.Prepare(r, h.Zxid, h.Time)
		if !bytes.Equal(got.Bytes, want.Bytes) {
			t.Errorf("%+v of %v:\n got  %+v %x\n want %+v %x", h, r.Type, got.Record, got.Bytes, want.Record, want.Bytes)
		}
		inFlight = append(inFlight, want)
		// Between none and a few transactions are on their way.
		for lag = (lag + 1) % 7; len(inFlight) > lag; {
			apply()
		}
	}
	for len(inFlight) > 0 {
		apply()
	}
	if err := digestOf(p, data); err != nil {
		t.Error(err)
	}
	t.Logf("%v", kinds)
}
