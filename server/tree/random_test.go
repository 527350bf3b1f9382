package tree_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

var onlySeed = flag.Uint64("tree.seed", 0, "run random tests with this seed only")

// seeds runs a test with many seeds; a failure names its seed.
func seeds(t *testing.T, n uint64, run func(r *rand.Rand) error) {
	t.Helper()
	for seed := uint64(1); seed <= n; seed++ {
		if *onlySeed != 0 && seed != *onlySeed {
			continue
		}
		if err := run(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatalf("%v\nagain: go test ./server/tree -run %s -tree.seed=%d", err, t.Name(), seed)
		}
	}
}

// maker makes random transactions that come right where they come.
type maker struct {
	*rand.Rand
	twin    *twin
	lastID  wire.SessionID
	maxTime int64
	old     bool // sessions end without a list, as before 3.6
}

func newMaker(r *rand.Rand) *maker { return &maker{Rand: r, twin: newTwin(), maxTime: 4000} }

var paths = []string{
	"/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/a/b", "/b/a/a", "/b/b", "/c",
}

var lists = [][]wire.ACL{
	wire.OpenACL(),
	{{Perms: wire.PermRead, ID: wire.AnyoneID}},
	{{Perms: wire.PermAll, ID: wire.ID{Scheme: "digest", ID: "a:b"}}, {Perms: wire.PermRead, ID: wire.AnyoneID}},
	{{Perms: wire.PermWrite, ID: wire.ID{Scheme: "ip", ID: "10.0.0.0/8"}}},
}

func (m *maker) data() []byte {
	switch m.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return make([]byte, m.IntN(5))
}

func (m *maker) session() (wire.SessionID, bool) {
	ids := slices.Sorted(maps.Keys(m.twin.sessions))
	if len(ids) == 0 {
		return 0, false
	}
	return ids[m.IntN(len(ids))], true
}

// next makes a transaction, and applies it to the twin, whose events it returns.
func (m *maker) next() (txn.Entry, []tree.Event) {
	h := txn.Header{Zxid: m.twin.zxid + 1, Time: m.Int64N(m.maxTime), Cxid: m.Int32()}
	session, ok := m.session()
	h.Session = session
	var record txn.Record
	switch p := m.IntN(100); {
	case !ok || p < 4:
		m.lastID++
		h.Type, h.Session, record = wire.OpCreateSession, m.lastID, &txn.CreateSession{TimeoutMillis: m.Int32()}
	case p < 7:
		closing := &txn.CloseSession{Paths: m.twin.owned(session)}
		if m.old && m.IntN(3) == 0 {
			closing = &txn.CloseSession{NoList: true}
		}
		h.Type, record = wire.OpCloseSession, closing
	case p < 10:
		h.Type, record = wire.OpError, &txn.Error{Err: wire.ErrNoNode}
	case p < 14:
		h.Type, record = wire.OpMulti, m.quota()
	case p < 30:
		h.Type, record = wire.OpMulti, m.multi(h)
	default:
		sub := m.one(m.twin, h)
		h.Type, record = sub.Type, sub.Record
	}
	e := txn.New(h, record, nil)
	return e, m.twin.apply(h, record)
}

// one makes a simple transaction that is right for a twin.
func (m *maker) one(w *twin, h txn.Header) txn.Sub {
	for {
		path := paths[m.IntN(len(paths))]
		n, there := w.nodes[path]
		parent, ok := w.nodes[up(path)]
		switch p := m.IntN(10); {
		case !there && ok && parent.stat.EphemeralOwner <= 0:
			return m.create(path, parent.stat.Cversion+1)
		case !there:
		case p < 4 && len(w.children(path)) == 0:
			return txn.Sub{Type: wire.OpDelete, Record: &txn.Delete{Path: path}}
		case p < 7:
			return txn.Sub{Type: wire.OpSetData, Record: &txn.SetData{Path: path, Data: m.data(), Version: n.stat.Version + 1}}
		case p < 9:
			return txn.Sub{Type: wire.OpSetACL, Record: &txn.SetACL{
				Path: path, ACL: lists[m.IntN(len(lists))], Version: n.stat.Aversion + 1,
			}}
		default:
			return txn.Sub{Type: wire.OpCheck, Record: &txn.CheckVersion{Path: path}}
		}
	}
}

func (m *maker) create(path string, cversion int32) txn.Sub {
	acl := lists[m.IntN(len(lists))]
	switch m.IntN(6) {
	case 0, 1:
		return txn.Sub{Type: wire.OpCreate, Record: &txn.Create{
			Path: path, Data: m.data(), ACL: acl, Ephemeral: true, ParentCversion: cversion,
		}}
	case 2:
		return txn.Sub{Type: wire.OpCreateContainer, Record: &txn.CreateContainer{
			Path: path, Data: m.data(), ACL: acl, ParentCversion: cversion,
		}}
	case 3:
		return txn.Sub{Type: wire.OpCreateTTL, Record: &txn.CreateTTL{
			Path: path, Data: m.data(), ACL: acl, ParentCversion: cversion, TTL: 1 + m.Int64N(5000),
		}}
	}
	return txn.Sub{Type: wire.OpCreate2, Record: &txn.Create{Path: path, Data: m.data(), ACL: acl, ParentCversion: cversion}}
}

// multi makes a few transactions that build on each other, or fail together.
func (m *maker) multi(h txn.Header) *txn.Multi {
	w := m.twin.clone()
	multi := &txn.Multi{}
	for range m.IntN(4) {
		sub := m.one(w, h)
		w.one(h, sub.Record)
		multi.Txns = append(multi.Txns, sub)
	}
	if m.IntN(3) == 0 {
		multi.Txns = append(multi.Txns, txn.Sub{Type: wire.OpError, Record: &txn.Error{Err: wire.ErrBadVersion}})
	}
	return multi
}

// quota limits a path, or ends the limit.
func (m *maker) quota() *txn.Multi {
	subject := []string{"/a", "/b/a"}[m.IntN(2)]
	multi := &txn.Multi{}
	have := func(path string) bool { _, ok := m.twin.nodes[path]; return ok }
	dir := "/zookeeper/quota"
	if have(dir + subject + "/zookeeper_limits") {
		for _, name := range []string{"/zookeeper_limits", "/zookeeper_stats"} {
			multi.Txns = append(multi.Txns, txn.Sub{Type: wire.OpDelete, Record: &txn.Delete{Path: dir + subject + name}})
		}
		return multi
	}
	made := make(map[string]int32)
	add := func(path string, data string) {
		made[up(path)]++
		multi.Txns = append(multi.Txns, txn.Sub{Type: wire.OpCreate, Record: &txn.Create{
			Path: path, Data: []byte(data), ACL: wire.OpenACL(), ParentCversion: m.twin.nodes[up(path)].stat.Cversion + made[up(path)],
		}})
	}
	for i := 1; i <= len(subject); i++ {
		if i < len(subject) && subject[i] != '/' || have(dir+subject[:i]) {
			continue
		}
		add(dir+subject[:i], "")
	}
	add(dir+subject+"/zookeeper_limits", "count=5,bytes=-1")
	add(dir+subject+"/zookeeper_stats", "count=0,bytes=0")
	return multi
}

// sameEvents compares events.
func sameEvents(got, want []tree.Event) error {
	text := func(list []tree.Event) []string {
		var lines []string
		for _, e := range list {
			lines = append(lines, fmt.Sprint(e))
		}
		return lines
	}
	if g, w := text(got), text(want); !slices.Equal(g, w) {
		return fmt.Errorf("events\n got  %v\n want %v", g, w)
	}
	return nil
}

// TestTreeIsItsTwin applies random transactions to a tree and to its naive twin.
func TestTreeIsItsTwin(t *testing.T) {
	seeds(t, 60, func(r *rand.Rand) error {
		m := newMaker(r)
		m.old = r.IntN(2) == 0
		got := tree.New(tree.Options{ExtendedTypes: true})
		for range 300 {
			e, want := m.next()
			var events []tree.Event
			result := got.Apply(e.Header, e.Record, func(event tree.Event) { events = append(events, event) })
			if err := m.twin.compare(got); err != nil {
				return fmt.Errorf("after %+v %+v: %w", e.Header, e.Record, err)
			}
			if err := sameEvents(events, want); err != nil {
				return fmt.Errorf("after %+v %+v: %w", e.Header, e.Record, err)
			}
			if err := m.checkResult(e, result); err != nil {
				return fmt.Errorf("after %+v %+v: %w", e.Header, e.Record, err)
			}
		}
		return nil
	})
}

// checkResult compares what Apply returned with the twin, which has applied the transaction.
func (m *maker) checkResult(e txn.Entry, got tree.Result) error {
	if got.Type != e.Header.Type || got.Zxid != e.Header.Zxid {
		return fmt.Errorf("result %+v", got)
	}
	multi, ok := e.Record.(*txn.Multi)
	if !ok {
		return m.checkOne(e.Header.Type, e.Record, got, true)
	}
	if len(got.Multi) != len(multi.Txns) {
		return fmt.Errorf("%d results of %d parts", len(got.Multi), len(multi.Txns))
	}
	failed := slices.IndexFunc(multi.Txns, func(s txn.Sub) bool { return s.Type == wire.OpError })
	for i, sub := range multi.Txns {
		if failed < 0 {
			if err := m.checkOne(sub.Type, sub.Record, got.Multi[i], false); err != nil {
				return err
			}
			continue
		}
		want := tree.Result{Type: wire.OpError}
		if i == failed {
			want.Err = wire.ErrBadVersion
		}
		if !reflect.DeepEqual(got.Multi[i], want) {
			return fmt.Errorf("part %d: %+v", i, got.Multi[i])
		}
	}
	return nil
}

func (m *maker) checkOne(op wire.OpCode, record txn.Record, got tree.Result, alone bool) error {
	var path string
	hasStat, code := false, wire.ErrOK
	switch r := record.(type) {
	case *txn.Create:
		path, hasStat = r.Path, true
	case *txn.CreateContainer:
		path, hasStat = r.Path, true
	case *txn.CreateTTL:
		path, hasStat = r.Path, true
	case *txn.SetData:
		path, hasStat = r.Path, true
	case *txn.SetACL:
		path, hasStat = r.Path, true
	case *txn.Delete:
		path = r.Path
	case *txn.CheckVersion:
		path = r.Path
	case *txn.Error:
		code = r.Err
	}
	switch {
	case got.Type != op || got.Path != path || got.Err != code:
		return fmt.Errorf("result %+v", got)
	case hasStat && alone && got.Stat != m.twin.stat(path), !hasStat && got.Stat != wire.Stat{}:
		return fmt.Errorf("stat in result %+v, not %+v", got.Stat, m.twin.stat(path))
	}
	return nil
}
