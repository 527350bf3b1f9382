package final

import (
	"slices"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// watches lists the modes in which the client watches a path.
func (s *stage) watches(path string) watch.Mode {
	var modes watch.Mode
	for _, m := range []watch.Mode{watch.Data, watch.Child, watch.Persistent, watch.Recursive} {
		if s.server.Watches.Has(path, s.client.Watcher, m) {
			modes |= m
		}
	}
	return modes
}

// TestReadsRegister: only exists watches what is not there, and who may not read watches nothing.
func TestReadsRegister(t *testing.T) {
	for _, test := range []struct {
		op   wire.OpCode
		path string
		want watch.Mode
	}{
		{wire.OpGetData, "/open", watch.Data}, {wire.OpExists, "/open", watch.Data}, {wire.OpExists, "/none", watch.Data},
		{wire.OpGetChildren, "/open", watch.Child}, {wire.OpGetChildren2, "/open", watch.Child},
		{wire.OpGetData, "/none", 0}, {wire.OpGetChildren, "/none", 0}, {wire.OpGetChildren2, "/none", 0},
		{wire.OpGetData, "/shut", 0}, {wire.OpExists, "/shut", 0}, {wire.OpGetChildren, "/shut", 0},
	} {
		s := newStage(t)
		s.ask(test.op, read(test.path, false))
		if got := s.watches(test.path); got != 0 {
			t.Errorf("%v of %s without a watch registers %b", test.op, test.path, got)
		}
		s.ask(test.op, read(test.path, true))
		if got := s.watches(test.path); got != test.want {
			t.Errorf("%v of %s registers %b, want %b", test.op, test.path, got, test.want)
		}
	}
}

// TestAddCheckRemove are the combinations of modes and types.
func TestAddCheckRemove(t *testing.T) {
	modes := []watch.Mode{watch.Child, watch.Data, watch.All, watch.Persistent, watch.Recursive}
	for i, removed := range modes {
		kind := int32(i + 1)
		for set := watch.Mode(0); set <= watch.All; set++ {
			s := newStage(t)
			s.server.Watches.Add("/open", s.client.Watcher, set)
			want := wire.ErrNoWatcher
			if set&removed != 0 {
				want = wire.ErrOK
			}
			if code, reply, _ := s.ask(wire.OpCheckWatches, typed("/open", kind)); code != want || len(reply) > 0 || s.watches("/open") != set {
				t.Errorf("check of type %d with %b: %d, left %b", kind, set, code, s.watches("/open"))
			}
			if code, reply, _ := s.ask(wire.OpRemoveWatches, typed("/open", kind)); code != want || len(reply) > 0 || s.watches("/open") != set&^removed {
				t.Errorf("removal of type %d with %b: %d, left %b", kind, set, code, s.watches("/open"))
			}
		}
	}
	s := newStage(t)
	for mode, want := range []watch.Mode{watch.Persistent, watch.Persistent | watch.Recursive} {
		if code, reply, _ := s.ask(wire.OpAddWatch, typed("/none", int32(mode))); code != 0 || len(reply) != 4 || s.watches("/none") != want {
			t.Errorf("addWatch %d: %d, %x, now %b", mode, code, reply, s.watches("/none"))
		}
	}
	s.server.Watches.Add("/open", 2, watch.All)
	if code, _, _ := s.ask(wire.OpRemoveWatches, typed("/open", 3)); code != wire.ErrNoWatcher {
		t.Errorf("removal of another's watches: %d", code)
	}
}

// TestSetWatches is the table of what a client missed, one row per case. Nodes change at zxid 20.
func TestSetWatches(t *testing.T) {
	const since = 20
	s := newStage(t)
	for s.tree.LastZxid() < since {
		s.apply(wire.OpError, &txn.Error{Err: wire.ErrNoNode})
	}
	s.create("/new", nil, wire.OpenACL()...)
	s.create("/shut2", nil, wire.ACL{Perms: wire.PermWrite, ID: wire.AnyoneID})
	s.apply(wire.OpSetData, &txn.SetData{Path: "/open/null", Version: 1})
	s.apply(wire.OpSetData, &txn.SetData{Path: "/shut", Version: 1})
	s.create("/open/kid", nil, wire.OpenACL()...)
	s.create("/shut/kid2", nil, wire.OpenACL()...)
	for _, test := range []struct {
		name  string
		lists wire.SetWatchesRequest
		event string
		path  string
		want  watch.Mode
	}{
		{"data: gone", wire.SetWatchesRequest{Data: []string{"/none"}}, "2 /none", "/none", 0},
		{"data: changed", wire.SetWatchesRequest{Data: []string{"/open/null"}}, "3 /open/null", "/open/null", 0},
		{"data: created anew", wire.SetWatchesRequest{Data: []string{"/new"}}, "3 /new", "/new", 0},
		{"data: only its children changed", wire.SetWatchesRequest{Data: []string{"/open"}}, "", "/open", watch.Data},
		{"data: forbidden", wire.SetWatchesRequest{Data: []string{"/shut"}}, "", "/shut", 0},
		{"exist: not yet", wire.SetWatchesRequest{Exist: []string{"/none"}}, "", "/none", watch.Data},
		{"exist: created", wire.SetWatchesRequest{Exist: []string{"/new"}}, "1 /new", "/new", 0},
		{"exist: was there", wire.SetWatchesRequest{Exist: []string{"/mine"}}, "1 /mine", "/mine", 0},
		{"exist: forbidden", wire.SetWatchesRequest{Exist: []string{"/shut2"}}, "", "/shut2", 0},
		{"child: gone", wire.SetWatchesRequest{Child: []string{"/none"}}, "2 /none", "/none", 0},
		{"child: changed", wire.SetWatchesRequest{Child: []string{"/open"}}, "4 /open", "/open", 0},
		{"child: only its data changed", wire.SetWatchesRequest{Child: []string{"/open/null"}}, "", "/open/null", watch.Child},
		{"child: forbidden", wire.SetWatchesRequest{Child: []string{"/shut"}}, "", "/shut", 0},
		{"persistent", wire.SetWatchesRequest{Persistent: []string{"/open"}}, "", "/open", watch.Persistent},
		{"recursive", wire.SetWatchesRequest{PersistentRecursive: []string{"/none"}}, "", "/none", watch.Recursive},
	} {
		s.server.Watches.Drop(s.client.Watcher)
		test.lists.RelativeZxid = since
		op := wire.OpSetWatches2
		if test.lists.Persistent == nil && test.lists.PersistentRecursive == nil {
			op = wire.OpSetWatches
		}
		var want []string
		if test.event != "" {
			want = []string{test.event}
		}
		code, reply, events := s.ask(op, test.lists.Append(nil, op))
		if code != wire.ErrOK || len(reply) > 0 || !slices.Equal(events, want) || s.watches(test.path) != test.want {
			t.Errorf("%s: %d, events %q, watches %b", test.name, code, events, s.watches(test.path))
		}
	}

	// What happened at the client's zxid it has seen.
	for r, want := range map[wire.Zxid]int{since: 1, since + 1: 0} {
		lists := wire.SetWatchesRequest{RelativeZxid: r, Data: []string{"/new"}}
		if _, _, events := s.ask(wire.OpSetWatches, lists.Append(nil, wire.OpSetWatches)); len(events) != want {
			t.Errorf("created at %d, seen up to %d: %q", since+1, r, events)
		}
	}
}

// TestManySetWatches: a null list is an empty one, and all lists of a request are handled, events before the reply.
func TestManySetWatches(t *testing.T) {
	s := newStage(t)
	null := []byte{0xff, 0xff, 0xff, 0xff}
	body := append(wire.AppendInt64(nil, 99), null...)
	body = append(append(body, null...), null...)
	if code, _, events := s.ask(wire.OpSetWatches, body); code != wire.ErrOK || len(events) > 0 {
		t.Errorf("null lists: %d, %q", code, events)
	}
	lists := wire.SetWatchesRequest{
		RelativeZxid: 99, Data: []string{"/none", "/open"}, Exist: []string{"/open", "/x"}, Child: []string{"/gone", "/"},
	}
	_, _, events := s.ask(wire.OpSetWatches, lists.Append(nil, wire.OpSetWatches))
	if want := []string{"2 /none", "1 /open", "2 /gone"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if s.watches("/open") != watch.Data || s.watches("/x") != watch.Data || s.watches(tree.RootPath) != watch.Child {
		t.Error("watches are missing")
	}
}
