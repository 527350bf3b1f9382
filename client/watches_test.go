package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zkctl/zkctl/wire"
)

// TestFire: which watches an event uses up.
func TestFire(t *testing.T) {
	all := []wire.EventType{wire.NodeCreated, wire.NodeDeleted, wire.NodeDataChanged, wire.NodeChildrenChanged}
	for _, test := range []struct {
		set   func(watches) paths
		fires []wire.EventType
		once  bool
	}{
		{func(w watches) paths { return w.data }, []wire.EventType{wire.NodeCreated, wire.NodeDeleted, wire.NodeDataChanged}, true},
		{func(w watches) paths { return w.exist }, []wire.EventType{wire.NodeCreated, wire.NodeDeleted, wire.NodeDataChanged}, true},
		{func(w watches) paths { return w.child }, []wire.EventType{wire.NodeDeleted, wire.NodeChildrenChanged}, true},
		{func(w watches) paths { return w.persistent }, all, false},
		{func(w watches) paths { return w.recursive }, all, false},
	} {
		for _, kind := range all {
			w := newWatches()
			test.set(w).add("/a")
			want := slices.Contains(test.fires, kind)
			if w.fire(kind, "/b") || w.fire(kind, "/") || w.fire(kind, "/a") != want || w.fire(kind, "/a") != (want && !test.once) {
				t.Errorf("%v: %v", typeNames[kind], w)
			}
		}
	}
	w := newWatches()
	w.recursive.add("/a")
	for path, want := range map[string]bool{"/a/b/c": true, "/ab": false, "/": false, "/a": true} {
		if w.fire(wire.NodeCreated, path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	w.recursive.add("/")
	if !w.fire(wire.NodeCreated, "/x/y") || !w.fire(wire.NodeCreated, "/") {
		t.Error("a watch of the root does not fire")
	}
}

// TestRemoveWatches at a client with one watch of each kind on /a.
func TestRemoveWatches(t *testing.T) {
	for _, test := range []struct {
		kind   int32
		code   wire.ErrCode
		local  bool
		path   string
		want   wire.ErrCode
		events []string
	}{
		{wire.WatchesChildren, 0, false, "/a", 0, []string{"ChildWatchRemoved"}},
		{wire.WatchesData, 0, false, "/a", 0, []string{"DataWatchRemoved"}},
		{wire.WatchesPersistent, 0, false, "/a", 0, []string{"PersistentWatchRemoved"}},
		{wire.WatchesPersistentRecursive, 0, false, "/a", 0, []string{"PersistentWatchRemoved"}},
		{wire.WatchesAny, 0, false, "/a", 0, []string{"ChildWatchRemoved", "DataWatchRemoved", "PersistentWatchRemoved"}},
		{wire.WatchesAny, wire.ErrNoWatcher, false, "/a", wire.ErrNoWatcher, nil},
		{wire.WatchesAny, wire.ErrNoAuth, false, "/a", wire.ErrNoAuth, nil},
		{wire.WatchesChildren, wire.ErrNoAuth, true, "/a", 0, []string{"ChildWatchRemoved"}},
		{wire.WatchesAny, 0, false, "/b", wire.ErrNoWatcher, nil},
		{wire.WatchesData, 0, false, "/p", wire.ErrNoWatcher, nil}, // only a persistent one
		{wire.WatchesData, wire.ErrNoAuth, false, "/p", wire.ErrNoAuth, nil},
		{wire.WatchesPersistent, wire.ErrNoAuth, false, "/b", wire.ErrNoWatcher, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnsemble(t)
			c := e.connect("s", Options{})
			defer c.Disconnect()
			p := <-e.dialed
			p.accept(session)
			synctest.Wait()
			e.heard()
			c.mu.Lock()
			for _, set := range []paths{c.watches.data, c.watches.exist, c.watches.child, c.watches.persistent, c.watches.recursive} {
				set.add("/a")
			}
			c.watches.persistent.add("/p")
			c.mu.Unlock()
			done := background(func() error { return c.RemoveWatches(ctx, test.path, test.kind, test.local) })
			h, _ := p.next()
			p.answer(h.Xid, 1, test.code, nil)
			if err := <-done; Code(err) != test.want {
				t.Errorf("%+v: %v", test, err)
			}
			var want []string
			for _, event := range test.events {
				want = append(want, fmt.Sprintf("WatchedEvent state:SyncConnected type:%s path:/a", event))
			}
			if got := e.heard(); !slices.Equal(got, want) {
				t.Errorf("%+v: %v", test, got)
			}
		})
	}
}

// TestRemoveWatchesLocally, while no server is there.
func TestRemoveWatchesLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(t)
		e.setDown(true, "s:2181")
		c := e.connect("s", Options{})
		defer c.Disconnect()
		c.mu.Lock()
		c.watches.data.add("/a")
		c.mu.Unlock()
		if err := c.RemoveWatches(ctx, "/a", wire.WatchesAny, false); Code(err) != wire.ErrConnectionLoss {
			t.Error(err)
		}
		if err := c.RemoveWatches(ctx, "/a", wire.WatchesAny, true); err != nil {
			t.Error(err)
		}
		if got := e.heard(); len(got) != 1 || got[0] != "WatchedEvent state:Disconnected type:DataWatchRemoved path:/a" {
			t.Error(got)
		}
	})
}

// TestManyWatches are set again in several requests, none of them too long.
func TestManyWatches(t *testing.T) {
	w := newWatches()
	name := strings.Repeat("n", 200)
	for i := range 3000 {
		w.data.add(fmt.Sprintf("/%s%d", name, i))
		w.child.add(fmt.Sprintf("/%s%d", name, i))
	}
	count := 0
	requests := w.again(5, func(path string) string { return "/root" + path })
	for _, r := range requests {
		count += len(r.Data) + len(r.Child)
		if n := len(r.Append(nil, wire.OpSetWatches)); n > 150<<10 || r.RelativeZxid != 5 {
			t.Errorf("a request of %d bytes since %v", n, r.RelativeZxid)
		}
	}
	if count != 6000 || len(requests) < 9 {
		t.Errorf("%d watches in %d requests", count, len(requests))
	}
	if len(newWatches().again(0, nil)) > 0 {
		t.Error("no watches make a request")
	}
}
