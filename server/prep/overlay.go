package prep

import (
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// node is a znode as it will be when the transactions on their way are applied.
type node struct {
	path     string
	stat     wire.StatPersisted
	acl      []wire.ACL
	kind     tree.Kind
	content  uint32 // see tree.ContentCRC
	children int
	dataLen  int
	gone     bool
	zxid     wire.Zxid // of the transaction that made it so
}

// overlay is the tree plus the transactions on their way.
type overlay struct {
	tree *tree.Tree
	// changed holds, for each path that a transaction on its way touches, the newest state.
	changed map[string]node
	// owned are the paths of ephemeral nodes in changed, by session.
	owned map[wire.SessionID]map[string]struct{}
	// order are the changes by zxid.
	order []change
	// digest is that of the tree after the newest transaction.
	digest   uint64
	digester tree.Digester

	// What the transaction in the making has replaced, newest last, and the digest before it.
	zxid   wire.Zxid
	undo   []undo
	before uint64
}

type change struct {
	zxid wire.Zxid
	path string
}

type undo struct {
	path  string
	was   node
	known bool
}

func newOverlay(t *tree.Tree) overlay {
	return overlay{tree: t, changed: make(map[string]node), owned: make(map[wire.SessionID]map[string]struct{}), digest: t.Digest()}
}

// set notes the newest state of a node.
func (o *overlay) set(n node) {
	o.forget(n.path)
	o.changed[n.path] = n
	if id, ok := n.owner(); ok {
		if o.owned[id] == nil {
			o.owned[id] = make(map[string]struct{})
		}
		o.owned[id][n.path] = struct{}{}
	}
}

// forget makes the state of a node that of the tree.
func (o *overlay) forget(path string) {
	n, ok := o.changed[path]
	if !ok {
		return
	}
	delete(o.changed, path)
	if id, ok := n.owner(); ok {
		if delete(o.owned[id], path); len(o.owned[id]) == 0 {
			delete(o.owned, id)
		}
	}
}

// owner is the session that a node ends with, if there is one.
func (n node) owner() (id wire.SessionID, ok bool) {
	return wire.SessionID(n.stat.EphemeralOwner), n.kind == tree.Ephemeral && !n.gone
}

// begin starts a transaction.
func (o *overlay) begin(h txn.Header) {
	o.zxid = h.Zxid
	o.undo = o.undo[:0]
	o.before = o.digest
}

// rollBack undoes the transaction in the making; what earlier ones changed stays.
func (o *overlay) rollBack() {
	for _, u := range slices.Backward(o.undo) {
		if u.known {
			o.set(u.was)
		} else {
			o.forget(u.path)
		}
	}
	for len(o.order) > 0 && o.order[len(o.order)-1].zxid == o.zxid {
		o.order = o.order[:len(o.order)-1]
	}
	o.undo = o.undo[:0]
	o.digest = o.before
}

// applied forgets what the tree has now, and tells how many changes that was.
func (o *overlay) applied(zxid wire.Zxid) int {
	n := 0
	for n < len(o.order) && o.order[n].zxid <= zxid {
		path := o.order[n].path
		if c, ok := o.changed[path]; ok && c.zxid <= zxid {
			o.forget(path)
		}
		n++
	}
	o.order = o.order[n:]
	if len(o.order) == 0 {
		o.order = nil
	}
	return n
}

// node finds a node.
func (o *overlay) node(path string) (node, bool) {
	if n, ok := o.changed[path]; ok {
		return n, !n.gone
	}
	found, ok := o.tree.Lookup(path)
	if !ok {
		return node{}, false
	}
	return node{
		path: found.Path(), stat: found.Persisted(), acl: found.ACL(), kind: found.Kind(), content: found.ContentCRC(),
		children: found.NumChildren(), dataLen: len(found.Data()),
	}, true
}

// put replaces or adds a node.
func (o *overlay) put(n node) {
	if !o.tree.Options().NoDigest {
		if old, ok := o.node(n.path); ok {
			o.digest -= o.digester.Node(old.path, old.content, old.stat)
		}
		if !n.gone {
			o.digest += o.digester.Node(n.path, n.content, n.stat)
		}
	}
	was, known := o.changed[n.path]
	o.undo = append(o.undo, undo{n.path, was, known})
	n.zxid = o.zxid
	o.set(n)
	o.order = append(o.order, change{o.zxid, n.path})
}

// remove deletes a node, which its parent remembers.
func (o *overlay) remove(n node) {
	n.gone = true
	o.put(n)
	if parent, ok := o.node(tree.Parent(n.path)); ok {
		parent.children--
		parent.stat.Pzxid = max(parent.stat.Pzxid, o.zxid)
		o.put(parent)
	}
}

// ephemerals lists the nodes that a session will own, sorted.
func (o *overlay) ephemerals(id wire.SessionID) []string {
	paths := []string{}
	for _, path := range o.tree.Ephemerals(id) {
		if n, ok := o.node(path); ok && n.stat.EphemeralOwner == int64(id) {
			paths = append(paths, path)
		}
	}
	for path := range o.owned[id] {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths) // a node of the tree may have changed
}

// valid checks that owned are the ephemeral nodes of changed.
func (o *overlay) valid() error {
	n := 0
	for path, c := range o.changed {
		id, ok := c.owner()
		if _, found := o.owned[id][path]; found != ok {
			return fmt.Errorf("session %v owns %s: %v, and is said to: %v", id, path, ok, found)
		}
		if ok {
			n++
		}
	}
	for id, paths := range o.owned {
		if n -= len(paths); len(paths) == 0 {
			return fmt.Errorf("session %v is kept without nodes", id)
		}
	}
	if n != 0 {
		return fmt.Errorf("%d too few are said to be owned", n)
	}
	return nil
}
