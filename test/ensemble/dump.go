package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

// Node is everything that a client can learn about a znode.
type Node struct {
	Data string
	Stat zk.Stat
	ACL  []zk.ACL
}

// Tree is a member's whole tree by path, without /zookeeper/config, whose data Apache ZooKeeper does not replicate as a
// transaction.
type Tree map[string]Node

// Dump reads the whole tree of the member at addr, after a sync, through a session of its own.
func Dump(addr string) (Tree, error) {
	conn, err := Dial(10*time.Second, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Sync("/"); err != nil {
		return nil, fmt.Errorf("sync at %s: %w", addr, err)
	}
	d := dump{conn: conn, addr: addr, tree: make(Tree)}
	d.group.SetLimit(dumpAtOnce)
	if err := errors.Join(d.visit("/"), d.group.Wait()); err != nil {
		return nil, err
	}
	return d.tree, nil
}

// dumpAtOnce is how many znodes are read at the same time.
const dumpAtOnce = 64

// dump is a tree that is being read.
type dump struct {
	conn  *zk.Conn
	addr  string
	group errgroup.Group
	mu    sync.Mutex
	tree  Tree
}

// visit reads what is at a path and below, or leaves that to another goroutine while there are not too many.
func (d *dump) visit(at string) error {
	if at == "/zookeeper/config" {
		return nil
	}
	do := func() error {
		node, children, err := read(d.conn, at)
		if err != nil {
			return fmt.Errorf("read %s at %s: %w", at, d.addr, err)
		}
		d.mu.Lock()
		d.tree[at] = node
		d.mu.Unlock()
		for _, child := range children {
			if err := d.visit(path.Join(at, child)); err != nil {
				return err
			}
		}
		return nil
	}
	if d.group.TryGo(do) {
		return nil
	}
	return do()
}

func read(conn *zk.Conn, at string) (Node, []string, error) {
	data, stat, err := conn.Get(at)
	if err != nil {
		return Node{}, nil, err
	}
	acl, _, err := conn.GetACL(at)
	if err != nil {
		return Node{}, nil, err
	}
	if stat.NumChildren == 0 {
		return Node{string(data), *stat, acl}, nil, nil
	}
	children, _, err := conn.Children(at)
	return Node{string(data), *stat, acl}, children, err
}

// Diff lists the differences between two trees, at most ten.
func (t Tree) Diff(other Tree) []string {
	var diffs []string
	for at, node := range t {
		theirs, ok := other[at]
		switch {
		case !ok:
			diffs = append(diffs, at+" is missing in the second")
		case node.Data != theirs.Data:
			diffs = append(diffs, fmt.Sprintf("%s: data %.60q and %.60q", at, node.Data, theirs.Data))
		case node.Stat != theirs.Stat:
			diffs = append(diffs, fmt.Sprintf("%s: stat %+v and %+v", at, node.Stat, theirs.Stat))
		case !slices.Equal(sorted(node.ACL), sorted(theirs.ACL)):
			diffs = append(diffs, fmt.Sprintf("%s: acl %v and %v", at, node.ACL, theirs.ACL))
		}
	}
	for at := range other {
		if _, ok := t[at]; !ok {
			diffs = append(diffs, at+" is missing in the first")
		}
	}
	slices.Sort(diffs)
	return diffs[:min(len(diffs), 10)]
}

func sorted(acl []zk.ACL) []zk.ACL {
	return slices.SortedFunc(slices.Values(acl), func(a, b zk.ACL) int {
		return cmp.Or(strings.Compare(a.Scheme, b.Scheme), strings.Compare(a.ID, b.ID), cmp.Compare(a.Perms, b.Perms))
	})
}

// SameTrees dumps every running member and returns an error with the differences, if any. The first tree is returned
// either way. No client may be writing; sessions that expire between two dumps make a difference that is gone in the next
// ones, so it looks again for some seconds.
func (e *Ensemble) SameTrees() (Tree, error) {
	var tree Tree
	var err error
	for deadline := time.Now().Add(8 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if tree, err = e.compareTrees(); err == nil || time.Now().After(deadline) {
			return tree, err
		}
	}
}

func (e *Ensemble) compareTrees() (Tree, error) {
	var first Tree
	var firstID int
	for _, m := range e.Members() {
		if !m.Running() {
			continue
		}
		tree, err := Dump(m.Addr())
		if err != nil {
			return first, err
		}
		if first == nil {
			first, firstID = tree, m.ID
			continue
		}
		if diffs := first.Diff(tree); len(diffs) > 0 {
			return first, fmt.Errorf("members %d and %d differ (%d and %d znodes):\n  %s",
				firstID, m.ID, len(first), len(tree), strings.Join(diffs, "\n  "))
		}
	}
	return first, nil
}
