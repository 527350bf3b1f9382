package tree_test

import (
	"fmt"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// builder applies transactions one after the other.
type builder struct {
	t    *testing.T
	tree *tree.Tree
}

func build(t *testing.T, opts tree.Options) *builder {
	t.Helper()
	return &builder{t, tree.New(opts)}
}

// apply applies a record as the next transaction, at time = 1000 * zxid.
func (b *builder) apply(session wire.SessionID, op wire.OpCode, r txn.Record) tree.Result {
	b.t.Helper()
	zxid := b.tree.LastZxid() + 1
	result := b.tree.Apply(txn.Header{Session: session, Zxid: zxid, Time: 1000 * int64(zxid), Type: op}, r, nil)
	if err := b.tree.Valid(); err != nil {
		b.t.Fatalf("after %+v: %v", r, err)
	}
	return result
}

func (b *builder) create(path string, acl []wire.ACL) tree.Result {
	b.t.Helper()
	parent, _ := b.tree.Lookup(tree.Parent(path))
	return b.apply(0, wire.OpCreate, &txn.Create{Path: path, ACL: acl, ParentCversion: parent.Persisted().Cversion + 1})
}

func (b *builder) delete(path string) {
	b.t.Helper()
	b.apply(0, wire.OpDelete, &txn.Delete{Path: path})
}

// TestListsAreCounted: a list is in the table as long as a node has it, and its number is not used again.
func TestListsAreCounted(t *testing.T) {
	b := build(t, tree.Options{})
	numbers := func() (ids []int64) {
		for _, e := range b.tree.ACLs() {
			ids = append(ids, e.ID)
		}
		return ids
	}
	expect := func(what, want string) {
		t.Helper()
		if got := fmt.Sprint(numbers()); got != want {
			t.Errorf("%s: numbers are %v, want %v", what, got, want)
		}
	}
	expect("new", "[1]") // of /zookeeper/config
	b.create("/a", lists[0])
	b.create("/b", lists[0])
	expect("two nodes", "[1 2]")
	b.create("/c", lists[1])
	expect("the list of the config node", "[1 2]")
	b.delete("/a")
	expect("one of two is deleted", "[1 2]")
	b.apply(0, wire.OpSetACL, &txn.SetACL{Path: "/b", ACL: lists[2], Version: 1})
	expect("the last one has another list", "[1 3]")
	b.apply(0, wire.OpSetACL, &txn.SetACL{Path: "/b", ACL: lists[2], Version: 2})
	expect("the same again", "[1 3]")
	b.create("/a", lists[0])
	expect("a list that was there before", "[1 3 4]")
	b.create("/d", nil)
	expect("no list", "[1 3 4]")
	if n, _ := b.tree.Lookup("/d"); len(n.ACL()) != 1 || n.ACL()[0] != wire.OpenACL()[0] {
		t.Errorf("a node without a list has %v", n.ACL())
	}
}

// TestListsAreTheTreesOwn: the buffer of a transaction may be used for something else.
func TestListsAreTheTreesOwn(t *testing.T) {
	b := build(t, tree.Options{})
	acl, data := wire.OpenACL(), []byte("data")
	b.apply(0, wire.OpCreate, &txn.Create{Path: "/a", ACL: acl, Data: data, ParentCversion: 1})
	b.apply(0, wire.OpSetData, &txn.SetData{Path: "/a", Data: data, Version: 1})
	acl[0].Perms, data[0] = 0, 'x'
	n, _ := b.tree.Lookup("/a")
	if n.ACL()[0].Perms != wire.PermAll || string(n.Data()) != "data" {
		t.Errorf("list %v, data %q", n.ACL(), n.Data())
	}
	if err := b.tree.Valid(); err != nil {
		t.Error(err)
	}
}

// TestListsThatLookAlike: no two lists share a number by the way in which they are compared.
func TestListsThatLookAlike(t *testing.T) {
	b := build(t, tree.Options{})
	id := func(scheme, id string) wire.ACL { return wire.ACL{Perms: 1, ID: wire.ID{Scheme: scheme, ID: id}} }
	for i, acl := range [][]wire.ACL{
		{id("a", "bc")}, {id("ab", "c")}, {id("", "abc")}, {id("a", "b"), id("c", "")}, {id("a", ""), id("b", "c")},
		{id("a", "b"), id("c", "d")}, {id("c", "d"), id("a", "b")}, {},
	} {
		b.create(fmt.Sprintf("/%d", i), acl)
		if got := len(b.tree.ACLs()); got != i+2 {
			t.Errorf("%v is taken for another list", acl)
		}
	}
}
