package node_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// copied is a tree as a snapshot file brings it back.
func copied(t *testing.T, from *tree.Tree) *tree.Tree {
	t.Helper()
	var file bytes.Buffer
	enc, err := snap.NewFile(&file, from)
	for more := true; more && err == nil; {
		more, err = enc.Next(1000)
	}
	if err == nil {
		err = enc.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := snap.ReadFile(&file, from.LastZxid(), from.Options())
	if err != nil {
		t.Fatal(err)
	}
	return got.Tree
}

// effects gives the node an input and returns all effects of one type.
func effects[E node.Effect](s *server, in node.Input) []E {
	s.n.Step(s.now, in)
	var found []E
	for _, e := range s.n.Effects(nil) {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

func (s *server) create(xid int32, path string) {
	s.t.Helper()
	s.ask(1, xid, wire.OpCreate, create(path))
	s.sync()
	if _, ok := s.n.Tree().Lookup(path); !ok {
		s.t.Fatalf("no %s", path)
	}
}

func TestRestore(t *testing.T) {
	s := newServer(t)
	s.open(1)
	s.create(1, "/a")
	kept := copied(t, s.n.Tree())
	s.create(2, "/b")
	s.ask(1, 3, wire.OpCreate, create("/on-its-way"))
	before := s.n.Tree().LastZxid() // of /b; the next one is on its way to the disk

	writes := effects[node.TakeSnapshot](s, node.Restore{Request: 7, Tree: kept})
	if len(writes) != 1 || !writes[0].Supersede || writes[0].Zxid != before+2 || writes[0].Tree != kept {
		t.Fatalf("written: %+v, want one in the place of everything at %v", writes, before+2)
	}
	// Until it is written, what was on its way is done, and nothing else.
	s.ask(1, 4, wire.OpCreate, create("/too-late"))
	s.ask(1, 5, wire.OpExists, wire.AppendString(nil, "/a"))
	if frames := effects[node.SendFrame](s, node.StorageDone{ID: s.logged}); len(frames) != 1 {
		t.Errorf("%d answers, want that of the create", len(frames))
	}
	s.now.Mono += time.Minute
	if more := effects[node.Append](s, node.Tick{}); len(more) > 0 {
		t.Errorf("a txn is made: %+v", more)
	}
	if again := effects[node.Operated](s, node.Restore{Request: 8, Tree: kept}); len(again) != 1 || again[0].Err == nil {
		t.Errorf("two restorations: %+v", again)
	}
	if wanted := effects[node.Operated](s, node.SnapshotWanted{Request: 9}); len(wanted) != 1 || wanted[0].Err == nil {
		t.Errorf("a snapshot of the state that is replaced: %+v", wanted)
	}
	done := effects[node.Operated](s, node.StorageDone{ID: writes[0].ID})
	if len(done) != 1 || done[0] != (node.Operated{Request: 7, Zxid: before + 2}) || !s.n.Status().Serving {
		t.Fatalf("answered: %+v", done)
	}
	for path, want := range map[string]bool{"/a": true, "/b": false, "/on-its-way": false, "/too-late": false} {
		if _, ok := s.n.Tree().Lookup(path); ok != want {
			t.Errorf("%s is there: %v", path, ok)
		}
	}
	// The session of the client is in the snapshot; txns go on behind the zxid of the restoration.
	id := s.n.Tree().Sessions()[0].ID
	s.connect(1, wire.ConnectRequest{SessionID: id, Passwd: passwordOf(id)})
	s.create(6, "/c")
	if got := s.n.Tree().LastZxid(); got != before+3 {
		t.Errorf("the next txn is %v, want %v", got, before+3)
	}
}

// A snapshot of a server that was ahead lets this one go on behind it.
func TestRestoreOfTheFuture(t *testing.T) {
	s := newServer(t)
	s.open(1)
	future := tree.New(tree.Options{})
	future.SetLastZxid(0x500000007)
	writes := effects[node.TakeSnapshot](s, node.Restore{Request: 1, Tree: future})
	if len(writes) != 1 || writes[0].Zxid != 0x500000007 {
		t.Fatalf("written: %+v", writes)
	}
	s.expect(s.step(node.StorageDone{ID: writes[0].ID}), "1:closed")
	s.open(2)
	if got := s.n.Tree().LastZxid(); got != 0x500000008 {
		t.Errorf("the next txn is %v", got)
	}
}

// A snapshot that is asked for comes after the one under way, and one is enough for all who wait.
func TestWantedSnapshots(t *testing.T) {
	s := newServer(t)
	first := effects[node.TakeSnapshot](s, node.SnapshotWanted{Request: 1})
	if len(first) != 1 || !first[0].Background || !slices.Equal(first[0].Requests, []uint64{1}) {
		t.Fatalf("first: %+v", first)
	}
	if more := effects[node.TakeSnapshot](s, node.SnapshotWanted{Request: 2}); more != nil {
		t.Fatalf("two at a time: %+v", more)
	}
	s.step(node.SnapshotWanted{Request: 3})
	second := effects[node.TakeSnapshot](s, node.StorageDone{ID: first[0].ID})
	if len(second) != 1 || !slices.Equal(second[0].Requests, []uint64{2, 3}) {
		t.Fatalf("second: %+v", second)
	}
	s.step(node.SnapshotWanted{Request: 4})
	s.n.Stop(s.now)
	refused := 0
	for _, e := range s.n.Effects(nil) {
		if e, ok := e.(node.Operated); ok && e.Request == 4 && e.Err != nil {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("who waited at the end is told %d times", refused)
	}
}

// What a leader restores becomes the state of the ensemble.
func TestRestoreInAnEnsemble(t *testing.T) {
	for name, newest := range map[string]wire.Zxid{"the same epoch": 0, "an epoch to come": 0x900000005} {
		t.Run(name, func(t *testing.T) {
			e := newFastEnsemble(t)
			e.form()
			leader := e.with(node.Leading)
			e.connect(leader, 1, wire.ConnectRequest{})
			e.ask(leader, 1, 1, wire.OpCreate, create("/a"))
			kept := copied(t, e.nodes[leader].Tree())
			if newest != 0 {
				kept.SetLastZxid(newest)
			}
			e.ask(leader, 1, 2, wire.OpCreate, create("/b"))
			before := e.nodes[leader].Tree().LastZxid()
			e.step(leader, node.Restore{Request: 7, Tree: kept})
			e.form()
			if e.with(node.Leading) != leader {
				t.Fatalf("%d leads after the restoration, %d before", e.with(node.Leading), leader)
			}
			if want := []node.Operated{{Request: 7, Zxid: before + 1}}; !slices.Equal(e.operated, want) {
				t.Errorf("answered: %+v, want %+v", e.operated, want)
			}
			for id, n := range e.nodes {
				if _, ok := n.Tree().Lookup("/b"); ok || n.Tree().Digest() != e.nodes[leader].Tree().Digest() {
					t.Errorf("server %d does not have the restored state", id)
				}
				if epoch := n.Status().Epoch; epoch <= newest.Epoch() {
					t.Errorf("server %d goes on in epoch %d, with znodes of epoch %d", id, epoch, newest.Epoch())
				}
			}
			e.connect(leader, 2, wire.ConnectRequest{})
			e.ask(leader, 2, 1, wire.OpCreate, create("/c"))
			for id, n := range e.nodes {
				if _, ok := n.Tree().Lookup("/c"); !ok {
					t.Errorf("server %d has no new node", id)
				}
			}
		})
	}
}

// Cut off from the others, a leader restores nothing: they elect another one, and its state counts.
func TestRestoreWithoutAQuorum(t *testing.T) {
	e := newFastEnsemble(t)
	e.form()
	leader := e.with(node.Leading)
	e.connect(leader, 1, wire.ConnectRequest{})
	e.ask(leader, 1, 1, wire.OpCreate, create("/a"))
	e.cut[leader] = true
	e.step(leader, node.Restore{Request: 7, Tree: tree.New(tree.Options{})})
	e.tick(5 * time.Second)
	if len(e.operated) > 0 || len(e.serving) != 2 {
		t.Fatalf("answered: %+v; %d servers serve", e.operated, len(e.serving))
	}
	e.cut[leader] = false
	e.form()
	if len(e.operated) != 1 || e.operated[0].Err == nil {
		t.Errorf("answered: %+v, want an error", e.operated)
	}
	for id, n := range e.nodes {
		if _, ok := n.Tree().Lookup("/a"); !ok {
			t.Errorf("server %d has lost a write", id)
		}
	}
}

func TestRestoreAtALearner(t *testing.T) {
	e := newFastEnsemble(t)
	e.form()
	follower := e.with(node.Following)
	e.connect(follower, 1, wire.ConnectRequest{})
	e.ask(follower, 1, 1, wire.OpCreate, create("/a"))
	e.took()
	kept := tree.New(tree.Options{})
	e.step(follower, node.Restore{Request: 7, Tree: kept})
	e.expect("1:closed")
	last := e.nodes[e.with(node.Leading)].Tree().LastZxid()
	if want := []node.Operated{{Request: 7, Zxid: last}}; !slices.Equal(e.operated, want) {
		t.Errorf("answered: %+v, want %+v", e.operated, want)
	}
	if _, ok := e.nodes[follower].Tree().Lookup("/a"); ok {
		t.Error("it does not show the snapshot")
	}
	e.operated = nil
	e.step(follower, node.SnapshotWanted{Request: 8})
	if len(e.operated) != 1 || e.operated[0].Err == nil {
		t.Errorf("what it shows is written to the disk: %+v", e.operated)
	}
}
