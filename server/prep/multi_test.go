package prep_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

type part struct {
	op   wire.OpCode
	body []byte
}

func multi(parts ...part) []byte {
	var b []byte
	for _, p := range parts {
		b = append(wire.MultiHeader{Type: p.op, Err: -1}.Append(b), p.body...)
	}
	return wire.MultiEnd.Append(b)
}

// asks prepares a request of the session that lives here, as the next one.
func (w *world) asks(op wire.OpCode, body []byte) txn.Entry {
	zxid := w.tree.LastZxid() + wire.Zxid(len(w.inFlight)) + 1
	return w.prepare(prep.Request{Session: here, Owner: 1, Type: op, Body: body}, zxid)
}

func (w *world) applyAll(t *testing.T) {
	t.Helper()
	for len(w.inFlight) > 0 {
		if err := w.apply(); err != nil {
			t.Fatal(err)
		}
	}
	if err := digestOf(w.prep, w.tree); err != nil {
		t.Fatal(err)
	}
}

// outline writes the parts of a multi as "create create error-103".
func outline(t *testing.T, e txn.Entry) string {
	t.Helper()
	m, ok := e.Record.(*txn.Multi)
	if !ok {
		t.Fatalf("%+v %+v is no multi", e.Header, e.Record)
	}
	s := ""
	for _, sub := range m.Txns {
		s += fmt.Sprint(" ", sub.Type)
		if r, ok := sub.Record.(*txn.Error); ok {
			s += fmt.Sprint(int32(r.Err))
		}
	}
	return s
}

// TestMultiSeesItself: each part sees what those before it did.
func TestMultiSeesItself(t *testing.T) {
	w := stage(t)
	e := w.asks(wire.OpMulti, multi(
		part{wire.OpCreate, create("/new", 0)}, part{wire.OpCreate2, create("/new/a", 0)},
		part{wire.OpSetData, setData("/new/a", 0)}, part{wire.OpCheck, version("/new/a", 1)},
		part{wire.OpDelete, version("/new/a", 1)}, part{wire.OpCreate, create("/new/-", wire.FlagSequential)},
		part{wire.OpCreate, create("/new/-", wire.FlagEphemeralSequential)},
		part{wire.OpCreate, create("/new/box", wire.FlagContainer)}, part{wire.OpCreateContainer, create("/new/box2", wire.FlagContainer)},
		part{wire.OpCreateTTL, ttl("/new/ttl", wire.FlagPersistentTTL, 9)},
	))
	want := " create create setData check delete create create createContainer createContainer createTTL"
	if got := outline(t, e); got != want {
		t.Errorf("parts are%s, want%s", got, want)
	}
	w.applyAll(t)
	for path, kind := range map[string]tree.Kind{
		"/new/-0000000001": tree.Persistent, "/new/-0000000002": tree.Ephemeral, "/new/box": tree.Container, "/new/ttl": tree.TTL,
	} {
		if n, ok := w.tree.Lookup(path); !ok || n.Kind() != kind {
			t.Errorf("%s is not there, or another kind", path)
		}
	}
}

// TestMultiFailsAsAWhole: what the parts before the failing one changed is as if it had never been, and what transactions
// in flight changed stays.
func TestMultiFailsAsAWhole(t *testing.T) {
	w := stage(t)
	w.asks(wire.OpSetData, setData("/open", 0))
	w.asks(wire.OpCreate, create("/open/flying", 0))
	e := w.asks(wire.OpMulti, multi(
		part{wire.OpSetData, setData("/open", 1)}, part{wire.OpDelete, version("/open/flying", 0)},
		part{wire.OpCreate, create("/open/x", 0)}, part{wire.OpDelete, version("/open/kid", 5)},
		part{wire.OpCreate, create("/open/y", 0)}, part{wire.OpCheck, version("/open", 99)},
		part{wire.OpCreateTTL, ttl("/t", wire.FlagPersistentTTL, 9)}, part{wire.OpSetData, setData("/open", 1)},
	))
	want := " setData delete create error-103 error-2 error-2 error-2 error-2"
	if got := outline(t, e); got != want {
		t.Errorf("parts are%s, want%s", got, want)
	}
	for _, r := range []struct {
		op   wire.OpCode
		body []byte
	}{
		{wire.OpSetData, setData("/open", 1)},
		{wire.OpDelete, version("/open/flying", 0)},
		{wire.OpCreate, create("/open/x", 0)},
	} {
		if e := w.asks(r.op, r.body); e.Header.Type == wire.OpError {
			t.Errorf("after the multi %v is refused: %+v", r.op, e.Record)
		}
	}
	w.applyAll(t)
}

// TestCheck: the version of a node is told only to those who may read it.
func TestCheck(t *testing.T) {
	w := stage(t)
	for i, want := range []string{" check", " check", " error-103", " error-101", " error-102", " error-8"} {
		body := [][]byte{
			version("/open", 0), version("/open", -1), version("/open", 1), version("/none", 9), version("/shut", 9), version("/none/", 9),
		}[i]
		if got := outline(t, w.asks(wire.OpMulti, multi(part{wire.OpCheck, body}))); got != want {
			t.Errorf("check %q:%s, want%s", body, got, want)
		}
	}
	w.applyAll(t)
}

// TestMultiOfADyingSession: every part is refused.
func TestMultiOfADyingSession(t *testing.T) {
	w := stage(t)
	e := w.prepare(prep.Request{Session: closing, Owner: 1, Type: wire.OpMulti, Body: multi(
		part{wire.OpDelete, version("/box", -1)}, part{wire.OpCreate, create("/x", 0)},
	)}, w.tree.LastZxid()+1)
	if got, want := outline(t, e), " error-112 error-2"; got != want {
		t.Errorf("parts are%s, want%s", got, want)
	}
	w.applyAll(t)
}

// TestNumbers: sequential nodes are numbered by the creations under their parent, those in flight included.
func TestNumbers(t *testing.T) {
	w := stage(t)
	path := func(e txn.Entry) string {
		t.Helper()
		r, ok := e.Record.(*txn.Create)
		if !ok {
			t.Fatalf("%+v", e.Record)
		}
		return r.Path
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	sequential := create("/box/n-", wire.FlagSequential)
	expect(path(w.asks(wire.OpCreate, sequential)), "/box/n-0000000000")
	expect(path(w.asks(wire.OpCreate, create("/box/plain", 0))), "/box/plain")
	expect(path(w.asks(wire.OpCreate2, create("/box/m-", wire.FlagEphemeralSequential))), "/box/m-0000000002")
	expect(path(w.asks(wire.OpCreate, create("/box/", wire.FlagSequential))), "/box/0000000003")
	w.asks(wire.OpCreate, create("/box/plain", 0)) // refused: takes no number
	w.asks(wire.OpDelete, version("/box/plain", -1))
	expect(path(w.asks(wire.OpCreate, sequential)), "/box/n-0000000004")
	w.applyAll(t)
	expect(path(w.asks(wire.OpCreate, sequential)), "/box/n-0000000005")
	w.applyAll(t)
	e := w.asks(wire.OpCreateTTL, ttl("/box/t-", wire.FlagPersistentSequentialTTL, 5))
	if r, ok := e.Record.(*txn.CreateTTL); !ok || r.Path != "/box/t-0000000006" || r.TTL != 5 || r.ParentCversion != 7 {
		t.Errorf("%+v", e.Record)
	}
	w.applyAll(t)
}

// TestNumbersAfterTheLast: the number is signed and goes on below zero.
func TestNumbersAfterTheLast(t *testing.T) {
	for cversion, want := range map[int32]string{
		1<<31 - 1: "/p/n2147483647", -1 << 31: "/p/n-2147483648", -5: "/p/n-000000005", 0: "/p/n0000000000",
	} {
		r := tree.NewRestorer(tree.Options{})
		for _, rec := range []tree.Record{
			{Path: "", ACL: -1}, {Path: "/p", ACL: -1, Stat: wire.StatPersisted{Cversion: cversion}},
		} {
			if err := r.Node(rec); err != nil {
				t.Fatal(err)
			}
		}
		data, err := r.Tree(1)
		if err != nil {
			t.Fatal(err)
		}
		w := worldOf(data)
		w.sessions.Add(here, 1<<40, 0)
		e := w.asks(wire.OpCreate, create("/p/n", wire.FlagSequential))
		if got := e.Record.(*txn.Create); got.Path != want || got.ParentCversion != cversion+1 {
			t.Errorf("%s behind %d, want %s", got.Path, got.ParentCversion, want)
		}
		w.applyAll(t)
	}
}

// TestVersions: a version is one more than the last, but never -1.
func TestVersions(t *testing.T) {
	for was, want := range map[int32]int32{0: 1, 1<<31 - 1: -1 << 31, -3: -2, -2: 0, -1: 0} {
		r := tree.NewRestorer(tree.Options{})
		for _, rec := range []tree.Record{
			{Path: "", ACL: -1}, {Path: "/p", ACL: -1, Stat: wire.StatPersisted{Version: was, Aversion: was}},
		} {
			if err := r.Node(rec); err != nil {
				t.Fatal(err)
			}
		}
		data, err := r.Tree(1)
		if err != nil {
			t.Fatal(err)
		}
		w := worldOf(data)
		w.sessions.Add(here, 1<<40, 0)
		if r, ok := w.asks(wire.OpSetData, setData("/p", was)).Record.(*txn.SetData); !ok || r.Version != want {
			t.Errorf("version %d becomes %+v, want %d", was, r, want)
		}
		if r, ok := w.asks(wire.OpSetACL, setACL("/p", wire.OpenACL(), was)).Record.(*txn.SetACL); !ok || r.Version != want {
			t.Errorf("aversion %d becomes %+v, want %d", was, r, want)
		}
		w.applyAll(t)
	}
}

// TestSessionEnds: its nodes go with it, also those in flight, and nothing of it comes later.
func TestSessionEnds(t *testing.T) {
	w := stage(t)
	w.asks(wire.OpCreate, create("/open/flying", wire.FlagEphemeral))
	w.asks(wire.OpCreate, create("/open/short", wire.FlagEphemeral))
	w.asks(wire.OpDelete, version("/open/short", -1))
	w.asks(wire.OpCreate, create("/stays", 0))
	// A node that will be another session's when the end comes.
	w.asks(wire.OpCreate, create("/heir", wire.FlagEphemeral))
	w.applyAll(t)
	w.asks(wire.OpDelete, version("/heir", -1))
	w.sessions.Add(here+100, 1<<40, 0)
	w.prepare(prep.Request{Session: here + 100, Owner: 1, Type: wire.OpCreate, Body: create("/heir", wire.FlagEphemeral)}, w.tree.LastZxid()+2)
	w.asks(wire.OpCreate, create("/open/flying2", wire.FlagEphemeral))
	e := w.asks(wire.OpCloseSession, nil)
	if got, want := fmt.Sprint(e.Record.(*txn.CloseSession).Paths), "[/eph /open/flying /open/flying2]"; got != want {
		t.Errorf("ends with %s, want %s", got, want)
	}
	if r, ok := w.asks(wire.OpCreate, create("/open/late", wire.FlagEphemeral)).Record.(*txn.Error); !ok || r.Err != wire.ErrSessionExpired {
		t.Error("a session that is over creates a node")
	}
	if got := w.asks(wire.OpCloseSession, nil).Record.(*txn.CloseSession); len(got.Paths) != 0 || got.NoList {
		t.Errorf("the second end: %+v", got)
	}
	w.applyAll(t)
	if n := w.tree.EphemeralCount(); n != 1 {
		t.Errorf("%d nodes are left, not the one of the heir", n)
	}
}

// TestDeleteContainer: what the server deletes on its own account must still be expendable then.
func TestDeleteContainer(t *testing.T) {
	for path, want := range map[string]wire.ErrCode{
		"/box": wire.ErrOK, "/new": wire.ErrBadVersion, "/ttl": wire.ErrOK, "/open/ttl": wire.ErrBadVersion,
		"/full": wire.ErrNotEmpty, "/none": wire.ErrNoNode, "/eph": wire.ErrBadVersion, "/open/kid": wire.ErrBadVersion,
	} {
		w := stage(t)
		w.asks(wire.OpCreate, create("/box/x", 0))
		w.asks(wire.OpDelete, wire.VersionRequest{Path: "/box/x", Version: -1}.Append(nil))
		w.asks(wire.OpCreateContainer, create("/new", wire.FlagContainer))
		w.asks(wire.OpCreateTTL, ttl("/open/ttl", wire.FlagPersistentTTL, 1000))
		w.applyAll(t)
		zxid := w.tree.LastZxid() + 1
		e := w.prepare(prep.Request{Type: wire.OpDeleteContainer, Body: wire.AppendString(nil, path)}, zxid)
		got := wire.ErrOK
		if r, ok := e.Record.(*txn.Error); ok {
			got = r.Err
		}
		if got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
		w.applyAll(t)
	}
	w := stage(t)
	w.prep.MaxNeverUsed = time.Nanosecond
	w.asks(wire.OpCreate, create("/box/x", 0))
	zxid := w.tree.LastZxid() + 2
	e := w.prepare(prep.Request{Type: wire.OpDeleteContainer, Body: wire.AppendString(nil, "/box")}, zxid)
	if e.Header.Type != wire.OpError {
		t.Error("a container is deleted that is about to have a child")
	}
}
