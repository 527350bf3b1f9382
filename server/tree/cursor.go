package tree

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// Record is one znode as a snapshot has it.
type Record struct {
	// Path is "" for the root, as in snapshots.
	Path string
	// Data is nil for null. It is shared with the tree and never changes.
	Data []byte
	// ACL is a number from the table of lists, or -1 for the open list of the built-in nodes.
	ACL  int64
	Stat wire.StatPersisted
}

// Cursor walks a tree in pre-order, parents before children, in pieces between which transactions may be applied. What
// it sees is fuzzy: some nodes from before a transaction, others from after it. It becomes exact by applying every
// transaction above Zxid again.
//
// Nodes that exist during the whole walk are seen once each. Methods need the tree not to change while they run.
type Cursor struct {
	// Zxid, Sessions and ACLs are as of the moment the walk began.
	Zxid     wire.Zxid
	Sessions []Session
	ACLs     []ACLEntry

	t     *Tree
	known map[aclID]struct{}
	stack []level
}

// level is the list of siblings that the walk has come to, and how many of them it has seen.
type level struct {
	nodes []*node
	seen  int
}

// NewCursor begins a walk. The sessions and access control lists are copied at once.
func NewCursor(t *Tree) *Cursor {
	c := &Cursor{Zxid: t.lastZxid, Sessions: t.Sessions(), ACLs: t.acls.entries(), t: t}
	c.known = make(map[aclID]struct{}, len(c.ACLs))
	for _, e := range c.ACLs {
		c.known[aclID(e.ID)] = struct{}{}
	}
	c.stack = []level{{nodes: []*node{t.root}}}
	return c
}

// Next appends up to max nodes to dst. No node appended means that the walk is complete.
func (c *Cursor) Next(dst []Record, max int) []Record {
	for max > 0 && len(c.stack) > 0 {
		top := &c.stack[len(c.stack)-1]
		if top.seen == len(top.nodes) {
			c.stack = c.stack[:len(c.stack)-1]
			continue
		}
		n := top.nodes[top.seen]
		top.nodes[top.seen] = nil
		top.seen++
		if n.parent == nil && n != c.t.root {
			continue // deleted since its siblings were listed
		}
		dst = append(dst, c.record(n))
		max--
		if kids := n.children(); len(kids) > 0 {
			c.stack = append(c.stack, level{nodes: append([]*node(nil), kids...)})
		}
	}
	return dst
}

func (c *Cursor) record(n *node) Record {
	r := Record{Path: n.path, Data: n.data, ACL: int64(n.acl), Stat: n.persisted()}
	if n == c.t.root {
		r.Path = ""
	}
	// A list that is newer than the table of the snapshot would be a dangling number there, which Apache ZooKeeper
	// refuses to load. Replaying the transaction that set it names the list again.
	if _, ok := c.known[n.acl]; !ok {
		r.ACL = int64(openACL)
	}
	return r
}

// End returns the zxid and digest of the tree now. At the end of the walk they go into the snapshot: replaying up to
// that zxid must lead to that digest.
func (c *Cursor) End() (wire.Zxid, uint64) { return c.t.lastZxid, c.t.digest }

// Restorer builds a tree from what a snapshot holds: sessions, then lists, then nodes with parents before children.
type Restorer struct{ t *Tree }

// NewRestorer begins an empty tree.
func NewRestorer(opts Options) *Restorer { return &Restorer{empty(opts)} }

// Session adds a live session.
func (r *Restorer) Session(s Session) { r.t.sessions[s.ID] = s.TimeoutMillis }

// ACL adds a list under its number. A number twice or outside 1 to 2^31-1 is an error. The list is copied.
func (r *Restorer) ACL(e ACLEntry) error { return r.t.acls.restore(e.ID, e.ACL) }

// Node adds a znode. The tree keeps Data. A node without parent, or one that came before, is an error.
func (r *Restorer) Node(rec Record) error {
	t, path := r.t, rec.Path
	if path == "" || path == RootPath {
		if t.root != nil {
			return fmt.Errorf("the root occurs twice")
		}
		t.root = t.put(RootPath, nil, rec.Data, rec.Stat, t.acls.use(rec.ACL))
		return nil
	}
	if path[0] != '/' || path[len(path)-1] == '/' {
		return fmt.Errorf("%q is not the path of a node", path)
	}
	if t.nodes[path] != nil {
		return fmt.Errorf("node %q occurs twice", path)
	}
	parent := t.nodes[Parent(path)]
	if parent == nil {
		return fmt.Errorf("node %q comes before its parent", path)
	}
	t.put(path, parent, rec.Data, rec.Stat, t.acls.use(rec.ACL))
	return nil
}

// Tree ends the restoration; zxid is the last transaction that the snapshot holds for certain. Quota statistics are
// counted anew. A snapshot without a root is an error.
func (r *Restorer) Tree(zxid wire.Zxid) (*Tree, error) {
	t := r.t
	if t.root == nil {
		return nil, fmt.Errorf("there is no root node")
	}
	t.addBuiltin()
	t.acls.purge()
	t.recountQuotas()
	t.lastZxid = zxid
	return t, nil
}
