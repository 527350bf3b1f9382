package prep_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// ensemble is a leader's with servers 1 to 3, of which the synced ones follow.
type ensemble struct {
	members, lastSeen *quorum.Config
	synced            []wire.ServerID
}

func (e *ensemble) Members() *quorum.Config  { return e.members }
func (e *ensemble) LastSeen() *quorum.Config { return e.lastSeen }
func (e *ensemble) HasSynced(c *quorum.Config) bool {
	return c.Quorum(func(id wire.ServerID) bool {
		for _, other := range e.synced {
			if id == other {
				return true
			}
		}
		return false
	})
}

const threeMembers = "server.1=10.0.0.1:2888:3888;2181\nserver.2=10.0.0.2:2888:3888;2181\nserver.3=10.0.0.3:2888:3888;2181\n"

func membership(t *testing.T, text string) *quorum.Config {
	t.Helper()
	c, err := quorum.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asked is a request; empty lists are null.
func asked(joining, leaving, whole string, version int64) wire.ReconfigRequest {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return wire.ReconfigRequest{Joining: text(joining), Leaving: text(leaving), NewMembers: text(whole), ConfigID: version}
}

// refuseMembers lets no membership be one to start with.
func refuseMembers(w *world, _ *ensemble) {
	w.prep.CheckMembers = func(*quorum.Config) error { return errors.New("no") }
}

var super = []wire.ID{{Scheme: "super"}}

func TestReconfig(t *testing.T) {
	const join4 = "server.4=10.0.0.4:2888:3888:observer;2181"
	commas := strings.ReplaceAll(strings.TrimSpace(threeMembers), "\n", ",")
	for _, test := range []struct {
		name    string
		request wire.ReconfigRequest
		set     func(w *world, e *ensemble)
		session wire.SessionID // 0 for here
		auth    []wire.ID      // nil for super
		want    wire.ErrCode
		lines   string // of the new membership
	}{
		{name: "disabled", request: asked("x", "", "", 9), session: unknown, want: wire.ErrReconfigDisabled,
			set: func(w *world, e *ensemble) { w.prep.ReconfigEnabled = false }},
		{name: "unknown session", request: asked("x", "", "", 9), session: unknown, want: wire.ErrSessionExpired,
			set: func(w *world, e *ensemble) { w.prep.Membership = nil }},
		{name: "standalone", request: asked("x", "", "", 9), want: wire.ErrUnimplemented,
			set: func(w *world, e *ensemble) { w.prep.Membership = nil }},
		{name: "in progress", request: asked("x", "", "", 9), want: wire.ErrReconfigInProgress,
			set: func(w *world, e *ensemble) { e.lastSeen = e.members.WithVersion(6) }},
		{name: "version", request: asked("x", "", "", 9), want: wire.ErrBadVersion},
		{name: "joining", request: asked("x", "", "", 5), want: wire.ErrBadArguments},
		{name: "leaving", request: asked("", "x", "", -1), want: wire.ErrMarshalling},
		{name: "whole", request: asked("", "", "server.1=x", -1), want: wire.ErrBadArguments},
		{name: "whole, port", request: asked("", "", "server.1=x:1:99999", -1), want: wire.ErrMarshalling},
		{name: "whole, nothing", request: asked("", "", ",", -1), want: wire.ErrBadArguments},
		{name: "whole, observers only", request: asked("", "", "server.1=x:1:2:observer", -1), want: wire.ErrMarshalling},
		{name: "whole, observer with one voter", request: asked("", "", "server.1=a:1:2;3,"+join4, -1), want: wire.ErrMarshalling},
		{name: "too few", request: asked("", "1,2", "", -1), want: wire.ErrBadArguments},
		{name: "nobody", request: asked("", "1,2,3", "", -1), want: wire.ErrBadArguments,
			set: func(w *world, e *ensemble) { w.prep.StandaloneEnabled = false }},
		{name: "nobody, whole", request: asked("", "", ",", -1), want: wire.ErrMarshalling,
			set: func(w *world, e *ensemble) { w.prep.StandaloneEnabled = false }},
		{name: "no quorum", request: asked("", "2", "", -1), auth: []wire.ID{}, want: wire.ErrNewConfigNoQuorum},
		{name: "not allowed", request: asked("", "3", "", -1), auth: []wire.ID{}, want: wire.ErrNoAuth},
		{name: "not to be started", request: asked(join4, "", "", -1), want: wire.ErrBadArguments, set: refuseMembers},
		{name: "not to be started, and no quorum", request: asked("", "2", "", -1), want: wire.ErrNewConfigNoQuorum, set: refuseMembers},
		{name: "not to be started, and not allowed", request: asked(join4, "", "", -1), auth: []wire.ID{}, want: wire.ErrNoAuth, set: refuseMembers},
		{name: "groups", request: asked(join4, "", "", -1), want: wire.ErrBadArguments,
			set: func(w *world, e *ensemble) {
				e.members = membership(t, threeMembers+"group.1=1:2:3\nversion=5")
				e.lastSeen = e.members
			}},

		{name: "nothing", request: asked("", "", "", -1), lines: threeMembers},
		{name: "join", request: asked(join4, "", "", 5), lines: threeMembers + "server.4=10.0.0.4:2888:3888:observer;2181\n"},
		{name: "leave", request: asked("", "3,77", "", -1), lines: threeMembers[:strings.Index(threeMembers, "server.3")]},
		{name: "one voter", request: asked("", "2,3", "", -1), lines: threeMembers[:strings.Index(threeMembers, "server.2")],
			set: func(w *world, e *ensemble) { w.prep.StandaloneEnabled = false }},
		{name: "whole", request: asked("ignored", "ignored", commas+",group.1=1:2:3,version=77", -1), lines: threeMembers + "group.1=1:2:3\n"},
	} {
		w := stage(t)
		e := &ensemble{members: membership(t, threeMembers+"version=5"), synced: []wire.ServerID{1, 2}}
		e.lastSeen = e.members
		w.prep.ReconfigEnabled, w.prep.StandaloneEnabled, w.prep.Membership = true, true, e
		if test.set != nil {
			test.set(w, e)
		}
		r := prep.Request{Session: here, Owner: 1, Type: wire.OpReconfig, Body: test.request.Append(nil), Auth: super}
		if test.session != 0 {
			r.Session = test.session
		}
		if test.auth != nil {
			r.Auth = test.auth
		}
		zxid := w.tree.LastZxid() + 1
		got := w.prepare(r, zxid)
		if code, refused := got.Record.(*txn.Error); refused || test.want != wire.ErrOK {
			if !refused || code.Err != test.want {
				t.Errorf("%s: %+v, want %v", test.name, got.Record, test.want)
			}
			continue
		}
		want := membership(t, test.lines).WithVersion(int64(zxid))
		record := got.Record.(*txn.SetData)
		if record.Path != tree.ConfigPath || string(record.Data) != want.String() || record.Version != -1 {
			t.Errorf("%s: %s %d\n%s\nwant\n%v", test.name, record.Path, record.Version, record.Data, want)
		}
		if err := w.apply(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if n, _ := w.tree.Lookup(tree.ConfigPath); string(n.Data()) != want.String() || n.Stat().Mzxid != zxid || n.Stat().Version != -1 {
			t.Errorf("%s: the node is %s, %+v", test.name, n.Data(), n.Stat())
		}
		if err := digestOf(w.prep, w.tree); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A reconfiguration on its way shows in what is checked after it.
func TestReconfigInFlight(t *testing.T) {
	w := stage(t)
	w.prep = prep.New(w.tree, w.sessions, auth.New(auth.Options{}))
	e := &ensemble{members: membership(t, threeMembers), synced: []wire.ServerID{1, 2}}
	e.lastSeen = e.members
	w.prep.ReconfigEnabled, w.prep.Membership = true, e
	zxid := w.tree.LastZxid()
	ask := func(op wire.OpCode, body []byte) txn.Entry {
		zxid++
		return w.prepare(prep.Request{Session: here, Owner: 1, Type: op, Body: body, Auth: super}, zxid)
	}
	ask(wire.OpSetData, setData(tree.ConfigPath, -1))
	if e := ask(wire.OpSetData, setData(tree.ConfigPath, 1)); e.Header.Type != wire.OpSetData {
		t.Fatalf("the version is not 1: %+v", e.Record)
	}
	ask(wire.OpReconfig, asked("", "3", "", -1).Append(nil))
	if e := ask(wire.OpSetData, setData(tree.ConfigPath, 2)); e.Header.Type != wire.OpError {
		t.Error("a reconfiguration sets the version back to -1")
	}
	for len(w.inFlight) > 0 {
		if err := w.apply(); err != nil {
			t.Fatal(err)
		}
	}
}
