package prep_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Sessions of the tables: one that lives here, one that moved elsewhere, one that is closing, one that nobody knows.
const (
	here    wire.SessionID = 1
	moved   wire.SessionID = 2
	closing wire.SessionID = 3
	unknown wire.SessionID = 4
)

// stage is a world with nodes of all kinds:
//
//	/open       everything for everyone, with the child /open/kid
//	/shut       nothing for anyone, with the child /shut/kid, which is open
//	/eph        ephemeral
//	/box, /ttl  container and TTL, empty; /full is a container with a child
func stage(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	zxid := wire.Zxid(0)
	do := func(r prep.Request) {
		t.Helper()
		zxid++
		if e := w.prepare(r, zxid); e.Header.Type == wire.OpError {
			t.Fatalf("%v %q: %v", r.Type, r.Body, e.Record)
		}
		if err := w.apply(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []wire.SessionID{here, moved, closing} {
		do(prep.Request{Session: id, Type: wire.OpCreateSession, Body: wire.AppendInt32(nil, 5000)})
	}
	w.sessions.SetOwner(moved, 2)
	w.sessions.SetClosing(closing)
	for _, c := range []struct {
		op    wire.OpCode
		path  string
		flags int32
	}{
		{wire.OpCreate, "/open", 0}, {wire.OpCreate, "/open/kid", 0}, {wire.OpCreate, "/shut", 0}, {wire.OpCreate, "/shut/kid", 0},
		{wire.OpCreate, "/eph", wire.FlagEphemeral}, {wire.OpCreateContainer, "/box", wire.FlagContainer},
		{wire.OpCreateContainer, "/full", wire.FlagContainer}, {wire.OpCreate, "/full/kid", 0},
	} {
		do(prep.Request{Session: here, Owner: 1, Type: c.op, Body: wire.CreateRequest{
			Path: c.path, ACL: wire.OpenACL(), Flags: c.flags,
		}.Append(nil)})
	}
	do(prep.Request{Session: here, Owner: 1, Type: wire.OpCreateTTL, Body: ttl("/ttl", wire.FlagPersistentTTL, 5)})
	do(prep.Request{Session: here, Owner: 1, Type: wire.OpSetACL, Body: wire.SetACLRequest{
		Path: "/shut", ACL: []wire.ACL{{ID: wire.AnyoneID}}, Version: -1,
	}.Append(nil)})
	return w
}

func create(path string, flags int32) []byte {
	return wire.CreateRequest{Path: path, ACL: wire.OpenACL(), Flags: flags}.Append(nil)
}

func createWith(path string, acl []wire.ACL) []byte {
	return wire.CreateRequest{Path: path, ACL: acl}.Append(nil)
}

func ttl(path string, flags int32, millis int64) []byte {
	q := wire.CreateRequest{Path: path, ACL: wire.OpenACL(), Flags: flags}
	return wire.CreateTTLRequest{CreateRequest: q, TTL: millis}.Append(nil)
}

func version(path string, v int32) []byte {
	return wire.VersionRequest{Path: path, Version: v}.Append(nil)
}

func setData(path string, v int32) []byte {
	return wire.SetDataRequest{Path: path, Data: []byte("x"), Version: v}.Append(nil)
}

func setACL(path string, acl []wire.ACL, v int32) []byte {
	return wire.SetACLRequest{Path: path, ACL: acl, Version: v}.Append(nil)
}

var (
	nullACL = append(wire.AppendBuffer(wire.AppendString(nil, "/new"), nil), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	badACL  = []wire.ACL{{Perms: 31, ID: wire.ID{Scheme: "world", ID: "someone"}}}
)

// TestRefusals is the order of the checks of each operation: every case breaks the rule that it is about and, where it
// can, those that come later.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		op      wire.OpCode
		body    []byte
		session wire.SessionID // 0 for here
		want    wire.ErrCode
	}{
		{"create: cut", wire.OpCreate, create("/new", 0)[:10], 0, wire.ErrMarshalling},
		{"create: empty body", wire.OpCreate, nil, 0, wire.ErrMarshalling},
		{"create: tail", wire.OpCreate, append(create("/new", 0), 1, 2, 3), 0, wire.ErrOK},
		{"create: cut before the session is looked at", wire.OpCreate, nil, unknown, wire.ErrMarshalling},
		{"create: flags", wire.OpCreate, create("/new", 7), moved, wire.ErrBadArguments},
		{"create: negative flags", wire.OpCreate, create("/new", -1), 0, wire.ErrBadArguments},
		{"create: TTL flags", wire.OpCreate, create("/new", wire.FlagPersistentTTL), 0, wire.ErrBadArguments},
		{"createTTL: other flags", wire.OpCreateTTL, ttl("/new", 0, -1), 0, wire.ErrBadArguments},
		{"createTTL: other flags and a time", wire.OpCreateTTL, ttl("/new", 0, 5), 0, wire.ErrBadArguments},
		{"createTTL: 0", wire.OpCreateTTL, ttl("/new", wire.FlagPersistentTTL, 0), 0, wire.ErrBadArguments},
		{"createTTL: negative", wire.OpCreateTTL, ttl("/new", wire.FlagPersistentTTL, -1), 0, wire.ErrBadArguments},
		{"createTTL: too long", wire.OpCreateTTL, ttl("/new", wire.FlagPersistentTTL, 1<<40), moved, wire.ErrBadArguments},
		{"createTTL: longest", wire.OpCreateTTL, ttl("/new", wire.FlagPersistentTTL, 1<<40-1), 0, wire.ErrOK},
		{"create: moved", wire.OpCreate, create("none", 0), moved, wire.ErrSessionMoved},
		{"create: closing", wire.OpCreate, create("none", 0), closing, wire.ErrSessionExpired},
		{"create: unknown", wire.OpCreate, create("none", wire.FlagEphemeral), unknown, wire.ErrSessionExpired},
		{"create: no slash", wire.OpCreate, createWith("none", nil), 0, wire.ErrBadArguments},
		{"create: no path", wire.OpCreate, createWith("", nil), 0, wire.ErrBadArguments},
		{"create: NUL", wire.OpCreate, createWith("/none/\x00", nil), 0, wire.ErrBadArguments},
		{"create: null list", wire.OpCreate, nullACL, 0, wire.ErrInvalidACL},
		{"create: empty list", wire.OpCreate, createWith("/none/x", nil), 0, wire.ErrInvalidACL},
		{"create: bad list", wire.OpCreate, createWith("/none/x", badACL), 0, wire.ErrInvalidACL},
		{"create: no parent", wire.OpCreate, create("/none/.", 0), 0, wire.ErrNoNode},
		{"create: relative", wire.OpCreate, create("open/x", 0), 0, wire.ErrNoNode},
		{"create: slash at the end, no parent", wire.OpCreate, create("/none/", 0), 0, wire.ErrNoNode},
		{"create: forbidden", wire.OpCreate, create("/shut/.", 0), 0, wire.ErrNoAuth},
		{"create: forbidden and there", wire.OpCreate, create("/shut/kid", 0), 0, wire.ErrNoAuth},
		{"create: path", wire.OpCreate, create("/eph/.", 0), 0, wire.ErrBadArguments},
		{"create: slash at the end", wire.OpCreate, create("/open/", 0), 0, wire.ErrBadArguments},
		{"create: two slashes", wire.OpCreate, create("//x", 0), 0, wire.ErrBadArguments},
		{"create: there", wire.OpCreate, create("/open/kid", 0), 0, wire.ErrNodeExists},
		{"create: the root", wire.OpCreate, create("/", 0), 0, wire.ErrNodeExists},
		{"create: under an ephemeral", wire.OpCreate, create("/eph/x", 0), 0, wire.ErrNoChildrenForEphemerals},
		{"create: under a container", wire.OpCreate, create("/box/x", 0), 0, wire.ErrOK},
		{"create: under a TTL", wire.OpCreate, create("/ttl/x", wire.FlagEphemeral), 0, wire.ErrOK},
		{"create: a number in the root", wire.OpCreate, create("/", wire.FlagSequential), 0, wire.ErrOK},

		{"delete: cut", wire.OpDelete, version("/open", -1)[:6], unknown, wire.ErrMarshalling},
		{"delete: moved", wire.OpDelete, version("none", 9), moved, wire.ErrSessionMoved},
		{"delete: no slash", wire.OpDelete, version("none", 9), 0, wire.ErrBadArguments},
		{"delete: NUL", wire.OpDelete, version("/none\x00/x", 9), 0, wire.ErrBadArguments},
		{"delete: /", wire.OpDelete, version("/", 9), 0, wire.ErrBadArguments},
		{"delete: /zookeeper", wire.OpDelete, version("/zookeeper", 9), 0, wire.ErrBadArguments},
		{"delete: /zookeeper/quota", wire.OpDelete, version("/zookeeper/quota", 9), 0, wire.ErrBadArguments},
		{"delete: /zookeeper/config", wire.OpDelete, version("/zookeeper/config", 9), 0, wire.ErrBadArguments},
		{"delete: no parent", wire.OpDelete, version("/none/x", 9), 0, wire.ErrNoNode},
		{"delete: forbidden", wire.OpDelete, version("/shut/none", 9), 0, wire.ErrNoAuth},
		{"delete: missing", wire.OpDelete, version("/open/none", 9), 0, wire.ErrNoNode},
		{"delete: slash at the end", wire.OpDelete, version("/open/", -1), 0, wire.ErrNoNode},
		{"delete: version", wire.OpDelete, version("/open", 9), 0, wire.ErrBadVersion},
		{"delete: children", wire.OpDelete, version("/open", 0), 0, wire.ErrNotEmpty},
		{"delete: what forbids everything itself", wire.OpDelete, version("/shut/kid", -1), 0, wire.ErrNoAuth},
		{"delete: a container", wire.OpDelete, version("/box", 0), 0, wire.ErrOK},

		{"setData: cut", wire.OpSetData, setData("/open", -1)[:8], unknown, wire.ErrMarshalling},
		{"setData: closing", wire.OpSetData, setData("none", 9), closing, wire.ErrSessionExpired},
		{"setData: path", wire.OpSetData, setData("/none/", 9), 0, wire.ErrBadArguments},
		{"setData: missing", wire.OpSetData, setData("/none", 9), 0, wire.ErrNoNode},
		{"setData: forbidden", wire.OpSetData, setData("/shut", 9), 0, wire.ErrNoAuth},
		{"setData: version", wire.OpSetData, setData("/open", 9), 0, wire.ErrBadVersion},
		{"setData: -2 is a version", wire.OpSetData, setData("/open", -2), 0, wire.ErrBadVersion},
		{"setData: the config node", wire.OpSetData, setData("/zookeeper/config", -1), 0, wire.ErrNoAuth},
		{"setData: the root", wire.OpSetData, setData("/", 0), 0, wire.ErrOK},

		{"setACL: cut", wire.OpSetACL, setACL("/open", wire.OpenACL(), -1)[:8], unknown, wire.ErrMarshalling},
		{"setACL: unknown", wire.OpSetACL, setACL("none", nil, 9), unknown, wire.ErrSessionExpired},
		{"setACL: path", wire.OpSetACL, setACL("/none/.", nil, 9), 0, wire.ErrBadArguments},
		{"setACL: list", wire.OpSetACL, setACL("/none", badACL, 9), 0, wire.ErrInvalidACL},
		{"setACL: empty list", wire.OpSetACL, setACL("/none", nil, 9), 0, wire.ErrInvalidACL},
		{"setACL: missing", wire.OpSetACL, setACL("/none", wire.OpenACL(), 9), 0, wire.ErrNoNode},
		{"setACL: forbidden", wire.OpSetACL, setACL("/shut", wire.OpenACL(), 9), 0, wire.ErrNoAuth},
		{"setACL: version", wire.OpSetACL, setACL("/open", wire.OpenACL(), 9), 0, wire.ErrBadVersion},
		{"setACL: the root", wire.OpSetACL, setACL("/", wire.OpenACL(), 0), 0, wire.ErrOK},

		{"check alone", wire.OpCheck, version("/open", -1), 0, wire.ErrUnimplemented},
		{"deleteContainer of a client", wire.OpDeleteContainer, wire.AppendString(nil, "/box"), 0, wire.ErrUnimplemented},
		{"reconfig", wire.OpReconfig, append(bytes.Repeat([]byte{0xff}, 12), make([]byte, 8)...), 0, wire.ErrReconfigDisabled},
		{"reconfig: cut", wire.OpReconfig, bytes.Repeat([]byte{0xff}, 19), 0, wire.ErrMarshalling},
		{"createSession: cut", wire.OpCreateSession, nil, 0, wire.ErrMarshalling},
		{"a read", wire.OpExists, nil, 0, wire.ErrUnimplemented},

		{"multi: cut", wire.OpMulti, multi(part{wire.OpCreate, create("/new", 0)})[:20], 0, wire.ErrMarshalling},
		{"multi: no end", wire.OpMulti, wire.MultiHeader{Type: wire.OpDelete}.Append(nil), 0, wire.ErrMarshalling},
		{"multi: nothing at all", wire.OpMulti, nil, 0, wire.ErrMarshalling},
		{"multi: empty", wire.OpMulti, multi(), 0, wire.ErrOK},
		{"multi: a read", wire.OpMulti, multi(part{wire.OpGetData, nil}), 0, wire.ErrMarshalling},
		{"multi: setACL", wire.OpMulti, multi(part{wire.OpSetACL, setACL("/open", wire.OpenACL(), -1)}), 0, wire.ErrMarshalling},
		{"multi: deleteContainer", wire.OpMulti, multi(part{wire.OpDeleteContainer, wire.AppendString(nil, "/box")}), 0, wire.ErrMarshalling},
		{"multi: multi", wire.OpMulti, multi(part{wire.OpMulti, multi()}), 0, wire.ErrMarshalling},
		{"multi: closeSession", wire.OpMulti, multi(part{wire.OpCloseSession, nil}), 0, wire.ErrMarshalling},
		{"multi: unknown behind a failure", wire.OpMulti,
			multi(part{wire.OpDelete, version("/none", -1)}, part{wire.OpGetData, nil}), 0, wire.ErrMarshalling},
		{"multi: unknown behind what is right", wire.OpMulti,
			multi(part{wire.OpCreate, create("/new", 0)}, part{wire.OpGetData, nil}), 0, wire.ErrMarshalling},
		{"multi: cut behind what is right", wire.OpMulti,
			multi(part{wire.OpCreate, create("/new", 0)}, part{wire.OpDelete, nil}), 0, wire.ErrMarshalling},
		{"multi: cut behind a failure", wire.OpMulti,
			append(multi(part{wire.OpDelete, version("/none", -1)})[:22], 0, 0), 0, wire.ErrMarshalling},
		{"multi: moved", wire.OpMulti, multi(part{wire.OpDelete, version("/none", -1)}), moved, wire.ErrSessionMoved},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := stage(t)
			if test.session == 0 {
				test.session = here
			}
			zxid := w.tree.LastZxid() + 1
			before := w.tree.Digest()
			e := w.prepare(prep.Request{Session: test.session, Cxid: 77, Owner: 1, Type: test.op, Body: test.body}, zxid)
			got := wire.ErrOK
			if refused, ok := e.Record.(*txn.Error); ok {
				got = refused.Err
				if e.Header.Type != wire.OpError || e.Digest != nil {
					t.Errorf("%+v with digest %v", e.Header, e.Digest)
				}
			}
			if got != test.want {
				t.Errorf("code %d, want %d", got, test.want)
			}
			if e.Header.Session != test.session || e.Header.Cxid != 77 || e.Header.Zxid != zxid || e.Header.Time != 10*int64(zxid) {
				t.Errorf("header %+v", e.Header)
			}
			if err := w.apply(); err != nil {
				t.Error(err)
			}
			if got != wire.ErrOK && w.tree.Digest() != before {
				t.Error("a refused request changed the tree")
			}
			if err := digestOf(w.prep, w.tree); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTTLNeedsExtendedTypes(t *testing.T) {
	data := tree.New(tree.Options{})
	sessions := session.NewTracker(1)
	sessions.Add(here, 1<<40, 0)
	p := prep.New(data, sessions, auth.New(auth.Options{}))
	for i, body := range [][]byte{ttl("/x", wire.FlagPersistentTTL, 5), ttl("/x", wire.FlagPersistentSequentialTTL, -7)} {
		e := p.Prepare(prep.Request{Session: here, Type: wire.OpCreateTTL, Body: body}, wire.Zxid(i+1), 0)
		if r, ok := e.Record.(*txn.Error); !ok || r.Err != wire.ErrUnimplemented {
			t.Errorf("%+v", e.Record)
		}
	}
}

// TestPaths are the rules for paths of nodes.
func TestPaths(t *testing.T) {
	good := []string{
		"/x", "/x.y", "/...", "/.x", "/x.", "/ ", "/ü", "/日本", "/\u00a0", "/\ud7ff", "/\uf900", "/\uffef", "/" + strings.Repeat("n", 5000),
	}
	bad := []string{
		"/.", "/..", "/open/./x", "/open/../x", "/open//x", "/open/x/", "/\x01", "/a\x1f", "/\x7f", "/\u0080", "/\u009f",
		"/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/\U0001f600", "/\U00010000", "/\xff", "/\xed\xa0\x80",
	}
	w := stage(t)
	zxid := w.tree.LastZxid()
	for i, path := range append(good, bad...) {
		zxid++
		want := wire.ErrOK
		if i >= len(good) {
			want = wire.ErrBadArguments
		}
		// Where the parent of a bad path is missing, that is said first.
		e := w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpCreate, Body: create(path, 0)}, zxid)
		got := wire.ErrOK
		if r, ok := e.Record.(*txn.Error); ok {
			got = r.Err
		}
		if _, ok := w.tree.Lookup(tree.Parent(path)); !ok {
			want = wire.ErrNoNode
		}
		if got != want {
			t.Errorf("create %q: %d, want %d", path, got, want)
		}
		if i < len(good) {
			continue
		}
		zxid++
		e = w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpSetData, Body: setData(path, -1)}, zxid)
		if r, ok := e.Record.(*txn.Error); !ok || r.Err != wire.ErrBadArguments {
			t.Errorf("setData %q: %+v", path, e.Record)
		}
	}
}
