package final

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// stage is a server with a tree and one client, who may not read /shut.
type stage struct {
	t      *testing.T
	tree   *tree.Tree
	server *Server
	client Client
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		t: t, tree: tree.New(tree.Options{ExtendedTypes: true}),
		server: &Server{Policy: auth.New(auth.Options{}), Watches: watch.New()},
		client: Client{Watcher: 1, Session: 7, Auth: []wire.ID{{Scheme: "ip", ID: "10.0.0.1"}}},
	}
	digest := wire.ID{Scheme: "digest", ID: "u:hash"}
	s.create("/open", []byte("data"), wire.OpenACL()...)
	s.create("/open/null", nil, wire.OpenACL()...)
	s.create("/open/empty", []byte{}, wire.OpenACL()...)
	s.create("/shut", nil, wire.ACL{Perms: wire.PermAll, ID: digest})
	s.create("/shut/kid", nil, wire.OpenACL()...)
	s.create("/mine", nil, wire.ACL{Perms: wire.PermRead, ID: wire.AnyoneID}, wire.ACL{Perms: wire.PermAdmin, ID: digest})
	s.apply(wire.OpCreate, &txn.Create{Path: "/eph", Ephemeral: true, ACL: wire.OpenACL(), ParentCversion: 4})
	s.apply(wire.OpCreate, &txn.Create{Path: "/open/eph", Ephemeral: true, ACL: wire.OpenACL(), ParentCversion: 3})
	return s
}

func (s *stage) apply(op wire.OpCode, r txn.Record) tree.Result {
	zxid := s.tree.LastZxid() + 1
	return s.tree.Apply(txn.Header{Session: 7, Cxid: 5, Zxid: zxid, Time: 1000, Type: op}, r, nil)
}

func (s *stage) create(path string, data []byte, acl ...wire.ACL) {
	parent, _ := s.tree.Lookup(tree.Parent(path))
	s.apply(wire.OpCreate, &txn.Create{Path: path, Data: data, ACL: acl, ParentCversion: parent.Persisted().Cversion + 1})
}

// ask returns the code, the body behind the header of the reply, and the events before it.
func (s *stage) ask(op wire.OpCode, body []byte) (code wire.ErrCode, reply []byte, events []string) {
	s.t.Helper()
	var frames [][]byte
	closes := s.server.Answer(s.tree, s.client, wire.RequestHeader{Xid: 3, Type: op}, body, func(f []byte) { frames = append(frames, f) })
	for i, f := range frames {
		d := wire.NewDecoder(f)
		xid, zxid, err := d.Int32(), wire.Zxid(d.Int64()), wire.ErrCode(d.Int32())
		last := i == len(frames)-1
		switch {
		case xid == wire.XidWatch && !last && zxid == -1 && err == 0:
			var e wire.WatcherEvent
			if e.Unmarshal(d.Rest()) != nil || e.State != wire.SyncConnected {
				s.t.Errorf("event %x", f)
			}
			events = append(events, fmt.Sprintf("%d %s", e.Type, e.Path))
		case !last:
			s.t.Errorf("%v: frame %d of %d: %x", op, i, len(frames), f)
		case xid != 3 && op != wire.OpPing:
			s.t.Errorf("%v: xid %d", op, xid)
		default:
			code, reply = err, d.Rest()
			if closes != (err == wire.ErrUnimplemented && zxid == -1) {
				s.t.Errorf("%v: closes %t with %d", op, closes, err)
			}
			if !closes && zxid != s.tree.LastZxid() {
				s.t.Errorf("%v: zxid %v", op, zxid)
			}
			if err != 0 && len(reply) > 0 {
				s.t.Errorf("%v: an error has a body", op)
			}
		}
	}
	if len(frames) == 0 {
		s.t.Errorf("%v: no answer", op)
	}
	return code, reply, events
}

func path(p string) []byte             { return wire.AppendString(nil, p) }
func read(p string, watch bool) []byte { return wire.ReadRequest{Path: p, Watch: watch}.Append(nil) }
func typed(p string, kind int32) []byte {
	return wire.WatchRequest{Path: p, Type: kind}.Append(nil)
}

func TestCodes(t *testing.T) {
	for _, test := range []struct {
		op   wire.OpCode
		body []byte
		want wire.ErrCode
	}{
		{wire.OpExists, read("/open", false), wire.ErrOK},
		{wire.OpExists, read("/none", false), wire.ErrNoNode},
		{wire.OpExists, read("/shut", false), wire.ErrNoAuth},
		{wire.OpExists, read("/shut/kid", false), wire.ErrOK},
		{wire.OpExists, read("/a\x00", false), wire.ErrBadArguments},
		{wire.OpExists, read("not a path", true), wire.ErrNoNode},
		{wire.OpGetData, read("/shut", true), wire.ErrNoAuth},
		{wire.OpGetData, read("/none", true), wire.ErrNoNode},
		{wire.OpGetData, read("/a\x00", false), wire.ErrNoNode},
		{wire.OpGetChildren, read("/shut", true), wire.ErrNoAuth},
		{wire.OpGetChildren, read("", true), wire.ErrOK},
		{wire.OpGetChildren2, read("/none", true), wire.ErrNoNode},
		{wire.OpGetACL, path("/shut"), wire.ErrNoAuth},
		{wire.OpGetACL, path("/none"), wire.ErrNoNode},
		{wire.OpGetACL, path("/mine"), wire.ErrOK},
		{wire.OpGetAllChildrenNumber, path("/none"), wire.ErrNoNode},
		{wire.OpGetAllChildrenNumber, path("/shut"), wire.ErrNoAuth},
		{wire.OpSync, path("/none"), wire.ErrOK},
		{wire.OpSync, wire.AppendInt32(nil, -1), wire.ErrOK},
		{wire.OpRemoveWatches, wire.AppendInt32(wire.AppendInt32(nil, -1), 3), wire.ErrNoWatcher},
		{wire.OpPing, nil, wire.ErrOK},
		{wire.OpWhoAmI, nil, wire.ErrOK},
		{wire.OpGetEphemerals, path("/"), wire.ErrOK},
		{wire.OpAddWatch, typed("/none", 0), wire.ErrOK},
		{wire.OpAddWatch, typed("/none", 1), wire.ErrOK},
		{wire.OpAddWatch, typed("/none", 2), wire.ErrMarshalling},
		{wire.OpAddWatch, typed("/none", -1), wire.ErrMarshalling},
		{wire.OpCheckWatches, typed("/open", 0), wire.ErrMarshalling},
		{wire.OpCheckWatches, typed("/open", 6), wire.ErrMarshalling},
		{wire.OpCheckWatches, typed("/open", 3), wire.ErrNoWatcher},
		{wire.OpRemoveWatches, typed("/open", 1), wire.ErrNoWatcher},
		{wire.OpMultiRead, wire.MultiEnd.Append(nil), wire.ErrOK},
		{wire.OpMultiRead, append(wire.MultiHeader{Type: wire.OpExists}.Append(nil), read("/", false)...), wire.ErrMarshalling},
		{wire.OpMultiRead, append(wire.MultiHeader{Type: wire.OpGetData}.Append(nil), read("/", false)...), wire.ErrMarshalling},
		{0, nil, wire.ErrUnimplemented},
		{10, nil, wire.ErrUnimplemented},
		{108, nil, wire.ErrUnimplemented},
		{wire.OpCheck, nil, wire.ErrUnimplemented},
		{wire.OpError, nil, wire.ErrUnimplemented},
		{wire.OpCreateSession, nil, wire.ErrUnimplemented},
		{wire.OpDeleteContainer, path("/open"), wire.ErrUnimplemented},
	} {
		s := newStage(t)
		if code, _, events := s.ask(test.op, test.body); code != test.want || len(events) > 0 {
			t.Errorf("%v %q: %d, want %d", test.op, test.body, code, test.want)
		}
	}
}

// TestCutRequests: every request that ends too early is refused, and the connection lives; what follows a whole one does
// not matter.
func TestCutRequests(t *testing.T) {
	lists := wire.SetWatchesRequest{RelativeZxid: 1, Data: []string{"/a"}, Exist: []string{"/b"}, Child: []string{"/c"},
		Persistent: []string{"/d"}, PersistentRecursive: []string{"/e"}}
	whole := map[wire.OpCode][]byte{
		wire.OpExists: read("/open", true), wire.OpGetData: read("/open", true), wire.OpGetChildren: read("/open", true),
		wire.OpGetChildren2: read("/open", true), wire.OpGetACL: path("/open"), wire.OpSync: path("/open"),
		wire.OpGetEphemerals: path("/"), wire.OpGetAllChildrenNumber: path("/open"), wire.OpAddWatch: typed("/open", 1),
		wire.OpSetWatches: lists.Append(nil, wire.OpSetWatches), wire.OpSetWatches2: lists.Append(nil, wire.OpSetWatches2),
		wire.OpMultiRead: wire.MultiEnd.Append(append(wire.MultiHeader{Type: wire.OpGetData}.Append(nil), read("/open", true)...)),
	}
	for op, body := range whole {
		for cut := range len(body) {
			s := newStage(t)
			if code, _, _ := s.ask(op, body[:cut]); code != wire.ErrMarshalling {
				t.Errorf("%v cut after %d of %d: %d", op, cut, len(body), code)
			}
			if s.server.Watches.Total() > 0 {
				t.Errorf("%v cut after %d registers a watch", op, cut)
			}
		}
		s := newStage(t)
		if code, _, _ := s.ask(op, append(bytes.Clone(body), 9, 9, 9)); code != wire.ErrOK {
			t.Errorf("%v with a tail: %d", op, code)
		}
	}
}

func TestData(t *testing.T) {
	s := newStage(t)
	for p, want := range map[string][]byte{"/open": []byte("data"), "/open/null": nil, "/open/empty": {}} {
		_, reply, _ := s.ask(wire.OpGetData, read(p, false))
		d := wire.NewDecoder(reply)
		if got := d.Buffer(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q (null %t), want %q", p, got, got == nil, want)
		}
		var stat wire.Stat
		stat.Decode(d)
		if n, _ := s.tree.Lookup(p); stat != n.Stat() || d.Err() != nil || len(d.Rest()) > 0 {
			t.Errorf("%s: stat %+v", p, stat)
		}
	}
}

func TestChildren(t *testing.T) {
	s := newStage(t)
	for p, want := range map[string][]string{
		"/": {"eph", "mine", "open", "shut", "zookeeper"}, "/open": {"empty", "eph", "null"}, "/eph": {},
	} {
		_, reply, _ := s.ask(wire.OpGetChildren, read(p, false))
		d := wire.NewDecoder(reply)
		names := d.Strings()
		slices.Sort(names)
		if !slices.Equal(names, want) || len(d.Rest()) > 0 {
			t.Errorf("%s: %q", p, names)
		}
		_, reply2, _ := s.ask(wire.OpGetChildren2, read(p, false))
		n, _ := s.tree.Lookup(p)
		if !bytes.Equal(reply2, n.Stat().Append(reply)) {
			t.Errorf("%s: %x, not %x and the stat", p, reply2, reply)
		}
	}
	for p, want := range map[string]int32{"/": 11, "/open": 3, "/eph": 0, "/zookeeper": 2} {
		_, reply, _ := s.ask(wire.OpGetAllChildrenNumber, path(p))
		if !bytes.Equal(reply, wire.AppendInt32(nil, want)) {
			t.Errorf("descendants of %s: %x, want %d", p, reply, want)
		}
	}
}

// TestACLIsMasked: only who may administer a node sees the hashes.
func TestACLIsMasked(t *testing.T) {
	s := newStage(t)
	seen := func() string {
		_, reply, _ := s.ask(wire.OpGetACL, path("/mine"))
		return wire.NewDecoder(reply).ACLs()[1].ID.ID
	}
	if got := seen(); got != "u:x" {
		t.Errorf("a stranger sees %q", got)
	}
	s.client.Auth = []wire.ID{{Scheme: "digest", ID: "u:hash"}}
	if got := seen(); got != "u:hash" {
		t.Errorf("the owner sees %q", got)
	}
	s.client.Auth = []wire.ID{{Scheme: "super"}}
	if got := seen(); got != "u:hash" {
		t.Errorf("the super user sees %q", got)
	}
	if code, _, _ := s.ask(wire.OpGetData, read("/shut", false)); code != wire.ErrOK {
		t.Errorf("the super user reads: %d", code)
	}
}

func TestEphemerals(t *testing.T) {
	s := newStage(t)
	null := wire.AppendInt32(nil, -1)
	for _, test := range []struct {
		body []byte
		want []string
	}{
		{path("/"), []string{"/eph", "/open/eph"}}, {path(""), []string{"/eph", "/open/eph"}}, {path("  "), []string{"/eph", "/open/eph"}},
		{null, []string{"/eph", "/open/eph"}}, {path("/op"), []string{"/open/eph"}}, {path("/none"), []string{}},
	} {
		_, reply, _ := s.ask(wire.OpGetEphemerals, test.body)
		if want := wire.AppendStrings(nil, test.want); !bytes.Equal(reply, want) {
			t.Errorf("%q: %x, want %x", test.body, reply, want)
		}
	}
	s.client.Session = 8
	if _, reply, _ := s.ask(wire.OpGetEphemerals, null); !bytes.Equal(reply, []byte{0, 0, 0, 0}) {
		t.Errorf("another session: %x", reply)
	}
}

// TestMultiReadIsBounded: a short request can ask for the same data again and again.
func TestMultiReadIsBounded(t *testing.T) {
	was := maxMultiReadBytes
	defer func() { maxMultiReadBytes = was }()
	maxMultiReadBytes = 100 << 10
	s := newStage(t)
	s.create("/open/large", make([]byte, 10<<10), wire.OpenACL()...)
	ask := func(parts int) (wire.ErrCode, int) {
		var body []byte
		for range parts {
			body = append(wire.MultiHeader{Type: wire.OpGetData}.Append(body), read("/open/large", false)...)
		}
		code, reply, _ := s.ask(wire.OpMultiRead, wire.MultiEnd.Append(body))
		return code, len(reply)
	}
	if code, n := ask(9); code != wire.ErrOK || n < 90<<10 {
		t.Errorf("9 parts: code %d, %d bytes", code, n)
	}
	if code, n := ask(50_000); code != wire.ErrMarshalling || n != 0 {
		t.Errorf("50,000 parts: code %d, %d bytes", code, n)
	}
}

func TestMultiRead(t *testing.T) {
	s := newStage(t)
	var body []byte
	for _, part := range []struct {
		op   wire.OpCode
		path string
	}{{wire.OpGetData, "/open/null"}, {wire.OpGetData, "/none"}, {wire.OpGetChildren, "/eph"}, {wire.OpGetChildren, "/shut"}} {
		body = append(wire.MultiHeader{Type: part.op, Err: -1}.Append(body), read(part.path, true)...)
	}
	_, reply, _ := s.ask(wire.OpMultiRead, wire.MultiEnd.Append(body))
	n, _ := s.tree.Lookup("/open/null")
	want := n.Stat().Append(wire.AppendBuffer(wire.MultiHeader{Type: wire.OpGetData}.Append(nil), nil))
	refused := func(code wire.ErrCode) {
		want = wire.AppendInt32(wire.MultiHeader{Type: wire.OpError, Err: code}.Append(want), int32(code))
	}
	refused(wire.ErrNoNode)
	want = wire.AppendStrings(wire.MultiHeader{Type: wire.OpGetChildren}.Append(want), nil)
	refused(wire.ErrNoAuth)
	if want = wire.MultiEnd.Append(want); !bytes.Equal(reply, want) {
		t.Errorf("\n got  %x\n want %x", reply, want)
	}
	if s.server.Watches.Total() != 0 {
		t.Error("a part of a multiRead registers a watch")
	}
}

// TestIsRead: what Answer may be called for without the loop sends one frame and no event.
func TestIsRead(t *testing.T) {
	for op := wire.OpCode(-20); op < 120; op++ {
		if !IsRead(op) {
			continue
		}
		s := newStage(t)
		frames := 0
		closes := s.server.Answer(s.tree, s.client, wire.RequestHeader{Type: op}, nil, func([]byte) { frames++ })
		if frames != 1 || closes {
			t.Errorf("%v sends %d frames, closes %t", op, frames, closes)
		}
	}
	for _, op := range []wire.OpCode{wire.OpSetWatches, wire.OpSetWatches2, wire.OpAuth, wire.OpCreate, wire.OpSync, wire.OpCloseSession} {
		if IsRead(op) {
			t.Errorf("%v is taken for a read", op)
		}
	}
}

// TestReplies are the answers to writes.
func TestReplies(t *testing.T) {
	s := newStage(t)
	h := func(op wire.OpCode) txn.Header { return txn.Header{Cxid: 5, Zxid: 0x50, Type: op} }
	header := func(code wire.ErrCode) []byte { return wire.ReplyHeader{Xid: 5, Zxid: 0x50, Err: code}.Append(nil) }
	n, _ := s.tree.Lookup("/open")
	stat := n.Stat()
	created := tree.Result{Path: "/open", Stat: stat}
	with := func(r tree.Result, op wire.OpCode) tree.Result { r.Type = op; return r }
	part := func(b []byte, op wire.OpCode, code wire.ErrCode) []byte {
		return wire.MultiHeader{Type: op, Err: code}.Append(b)
	}
	failed := func(b []byte, code wire.ErrCode) []byte {
		return wire.AppendInt32(part(b, wire.OpError, code), int32(code))
	}
	for _, test := range []struct {
		name   string
		h      txn.Header
		result tree.Result
		want   []byte
	}{
		{"create", h(wire.OpCreate), with(created, wire.OpCreate), wire.AppendString(header(0), "/open")},
		{"create2", h(wire.OpCreate2), with(created, wire.OpCreate2), stat.Append(wire.AppendString(header(0), "/open"))},
		{"createContainer", h(wire.OpCreateContainer), with(created, wire.OpCreateContainer), stat.Append(wire.AppendString(header(0), "/open"))},
		{"createTTL", h(wire.OpCreateTTL), with(created, wire.OpCreateTTL), stat.Append(wire.AppendString(header(0), "/open"))},
		{"delete", h(wire.OpDelete), with(created, wire.OpDelete), header(0)},
		{"setData", h(wire.OpSetData), with(created, wire.OpSetData), stat.Append(header(0))},
		{"setACL", h(wire.OpSetACL), with(created, wire.OpSetACL), stat.Append(header(0))},
		{"refused", h(wire.OpError), tree.Result{Type: wire.OpError, Err: wire.ErrNotEmpty}, header(wire.ErrNotEmpty)},
		{"empty multi", h(wire.OpMulti), tree.Result{Type: wire.OpMulti, Multi: []tree.Result{}}, wire.MultiEnd.Append(header(0))},
		{"multi", h(wire.OpMulti), tree.Result{Type: wire.OpMulti, Multi: []tree.Result{
			with(created, wire.OpCreate), with(created, wire.OpCreateTTL), {Type: wire.OpCheck}, with(created, wire.OpSetData), {Type: wire.OpDelete},
		}}, wire.MultiEnd.Append(part(stat.Append(part(part(stat.Append(wire.AppendString(part(wire.AppendString(
			part(header(0), wire.OpCreate, 0), "/open"), wire.OpCreate2, 0), "/open")), wire.OpCheck, 0), wire.OpSetData, 0)), wire.OpDelete, 0))},
		{"failed multi", h(wire.OpMulti), tree.Result{Type: wire.OpMulti, Multi: []tree.Result{
			{Type: wire.OpError}, {Type: wire.OpError, Err: wire.ErrBadVersion}, {Type: wire.OpError, Err: wire.ErrRuntimeInconsistency},
		}}, wire.MultiEnd.Append(failed(failed(failed(header(0), 0), wire.ErrBadVersion), wire.ErrRuntimeInconsistency))},
	} {
		if got := Reply(test.h, test.result); !bytes.Equal(got, test.want) {
			t.Errorf("%s:\n got  %x\n want %x", test.name, got, test.want)
		}
	}
}

func TestEvent(t *testing.T) {
	got := Event(tree.Event{Type: wire.NodeDataChanged, Path: "/a", Zxid: 7})
	want := []byte("\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00\x02/a")
	if !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}
}
