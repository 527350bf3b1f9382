package tree_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// snapshot is what a walk wrote while transactions were applied.
type snapshot struct {
	cursor  *tree.Cursor
	records []tree.Record
	end     wire.Zxid
	digest  uint64
}

func (s *snapshot) restore(opts tree.Options) (*tree.Tree, error) {
	r := tree.NewRestorer(opts)
	for _, one := range s.cursor.Sessions {
		r.Session(one)
	}
	for _, e := range s.cursor.ACLs {
		if err := r.ACL(e); err != nil {
			return nil, err
		}
	}
	for _, rec := range s.records {
		if err := r.Node(rec); err != nil {
			return nil, err
		}
	}
	return r.Tree(s.cursor.Zxid)
}

// whole checks that no node refers to a list that the snapshot lacks, which Apache ZooKeeper would not load.
func (s *snapshot) whole() error {
	known := map[int64]bool{-1: true}
	for _, e := range s.cursor.ACLs {
		known[e.ID] = true
	}
	for _, rec := range s.records {
		if !known[rec.ACL] {
			return fmt.Errorf("%s refers to list %d", rec.Path, rec.ACL)
		}
	}
	return nil
}

// TestFuzzySnapshotBecomesExact walks a tree in small pieces while it changes, and replays on what the walk saw every
// transaction since its beginning.
func TestFuzzySnapshotBecomesExact(t *testing.T) {
	opts := tree.Options{ExtendedTypes: true}
	seeds(t, 400, func(r *rand.Rand) error {
		m := newMaker(r)
		live := tree.New(opts)
		var log []txn.Entry
		advance := func(n int) {
			for range n {
				e, _ := m.next()
				live.Apply(e.Header, e.Record, nil)
				log = append(log, e)
			}
		}
		advance(r.IntN(100))
		s := snapshot{cursor: tree.NewCursor(live)}
		for {
			before := len(s.records)
			s.records = s.cursor.Next(s.records, 1+r.IntN(3))
			if len(s.records) == before {
				break
			}
			advance(r.IntN(8))
		}
		s.end, s.digest = s.cursor.End()
		if s.end != live.LastZxid() || s.digest != live.Digest() {
			return fmt.Errorf("the walk ended at %v with digest %#x", s.end, s.digest)
		}
		advance(r.IntN(20))

		if err := s.whole(); err != nil {
			return err
		}
		got, err := s.restore(opts)
		if err != nil {
			return err
		}
		if err := got.Valid(); err != nil {
			return fmt.Errorf("restored: %w", err)
		}
		for _, e := range log[s.cursor.Zxid:] {
			got.Apply(e.Header, e.Record, nil)
			if e.Header.Zxid == s.end && got.Digest() != s.digest {
				return fmt.Errorf("replayed up to %v the digest is %#x, not %#x", s.end, got.Digest(), s.digest)
			}
		}
		return m.twin.compare(got)
	})
}

// TestReplayOverLaterState applies the end of the log a second time, to the tree that has it all: the worst that a fuzzy
// snapshot can hold.
func TestReplayOverLaterState(t *testing.T) {
	seeds(t, 400, func(r *rand.Rand) error {
		m := newMaker(r)
		got := tree.New(tree.Options{ExtendedTypes: true})
		var log []txn.Entry
		for range 1 + r.IntN(100) {
			e, _ := m.next()
			got.Apply(e.Header, e.Record, nil)
			log = append(log, e)
		}
		from := r.IntN(len(log))
		for _, e := range log[from:] {
			got.Apply(e.Header, e.Record, nil)
			if got.LastZxid() != m.twin.zxid {
				return fmt.Errorf("replaying %v moved the zxid to %v", e.Header.Zxid, got.LastZxid())
			}
		}
		if err := m.twin.compare(got); err != nil {
			return fmt.Errorf("from %v on applied twice: %w", log[from].Header.Zxid, err)
		}
		return nil
	})
}

// TestSnapshotKeepsNumbersOfLists: what is restored and walked again is the same, with the same numbers.
func TestSnapshotKeepsNumbersOfLists(t *testing.T) {
	opts := tree.Options{ExtendedTypes: true}
	seeds(t, 50, func(r *rand.Rand) error {
		m := newMaker(r)
		live := tree.New(opts)
		for range 100 {
			e, _ := m.next()
			live.Apply(e.Header, e.Record, nil)
		}
		s := snapshot{cursor: tree.NewCursor(live)}
		s.records = s.cursor.Next(nil, 1<<20)
		got, err := s.restore(opts)
		if err != nil {
			return err
		}
		if err := m.twin.compare(got); err != nil {
			return err
		}
		if want := fmt.Sprint(live.ACLs()); fmt.Sprint(got.ACLs()) != want {
			return fmt.Errorf("lists are %v, not %v", got.ACLs(), want)
		}
		// A list that is new gets a number that none has.
		used := make(map[int64]bool)
		for _, e := range got.ACLs() {
			used[e.ID] = true
		}
		h := txn.Header{Zxid: m.twin.zxid + 1, Type: wire.OpSetACL}
		got.Apply(h, &txn.SetACL{Path: "/", ACL: []wire.ACL{{Perms: 1, ID: wire.ID{Scheme: "ip", ID: "9.9.9.9"}}}}, nil)
		if n := len(got.ACLs()); n != len(used)+1 {
			return fmt.Errorf("%d lists, not %d", n, len(used)+1)
		}
		return got.Valid()
	})
}

func TestRestorerRefuses(t *testing.T) {
	root := tree.Record{Path: "", ACL: -1}
	a := tree.Record{Path: "/a", ACL: -1}
	for _, test := range []struct {
		name    string
		records []tree.Record
	}{
		{"no root", nil},
		{"two roots", []tree.Record{root, {Path: "/", ACL: -1}}},
		{"child before its parent", []tree.Record{root, {Path: "/a/b", ACL: -1}}},
		{"node before the root", []tree.Record{a, root}},
		{"the same twice", []tree.Record{root, a, a}},
		{"no path", []tree.Record{root, {Path: "a", ACL: -1}}},
		{"slash at the end", []tree.Record{root, a, {Path: "/a/", ACL: -1}}},
	} {
		s := snapshot{cursor: &tree.Cursor{}, records: test.records}
		if _, err := s.restore(tree.Options{}); err == nil {
			t.Errorf("%s is restored", test.name)
		}
	}
	for _, ids := range [][]int64{{0}, {-1}, {1 << 31}, {7, 7}} {
		s := snapshot{cursor: &tree.Cursor{}, records: []tree.Record{root}}
		for _, id := range ids {
			s.cursor.ACLs = append(s.cursor.ACLs, tree.ACLEntry{ID: id, ACL: wire.OpenACL()})
		}
		if _, err := s.restore(tree.Options{}); err == nil {
			t.Errorf("lists %v are restored", ids)
		}
	}
}

// TestRestoreOfAnOldSnapshot: nodes that servers of old did not have are added, lists that nobody uses go, and who refers
// to a list that is not there may be accessed by nobody until the log says whose it is.
func TestRestoreOfAnOldSnapshot(t *testing.T) {
	s := snapshot{
		cursor: &tree.Cursor{Zxid: 5, ACLs: []tree.ACLEntry{{ID: 3, ACL: wire.OpenACL()}, {ID: 9, ACL: lists[1]}}},
		records: []tree.Record{
			{Path: "", Data: []byte{}, ACL: -1}, {Path: "/a", ACL: 3, Stat: wire.StatPersisted{Czxid: 6}}, {Path: "/b", ACL: 4},
		},
	}
	got, err := s.restore(tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Valid(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		if _, ok := got.Lookup(path); !ok {
			t.Errorf("there is no %s", path)
		}
	}
	if n := len(got.ACLs()); n != 2 { // that of /a, and the one of the config node, which was in the snapshot by chance
		t.Errorf("lists: %v", got.ACLs())
	}
	b, _ := got.Lookup("/b")
	if acl := b.ACL(); len(acl) != 1 || acl[0].Perms != 0 {
		t.Errorf("/b is open to %v", acl)
	}
	result := got.Apply(txn.Header{Zxid: 6, Type: wire.OpCreate}, &txn.Create{Path: "/b", ACL: lists[2], ParentCversion: 1}, nil)
	if b, _ = got.Lookup("/b"); result.Err != wire.ErrNodeExists || len(b.ACL()) != 2 {
		t.Errorf("after the replay: %v, %v", result.Err, b.ACL())
	}
	if err := got.Valid(); err != nil {
		t.Error(err)
	}
}
