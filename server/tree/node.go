package tree

import (
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// node is one znode. There are as many of them as the server has znodes, so its size counts: 128 bytes, none of them
// a map. The names of its children are the ends of their paths; looking a child up goes through Tree.nodes.
type node struct {
	path   string // "/" for the root
	parent *node
	kids   *kids  // nil without children
	data   []byte // nil is null; never changed in place

	czxid, mzxid, pzxid wire.Zxid
	ctime, mtime        int64
	owner               int64 // ephemeralOwner as stored

	version, cversion, aversion int32

	acl aclID
	pos int32 // index in parent.kids

	// content is the CRC-32 of path and data, from which the digest goes on with the stat alone.
	content uint32
}

// kids are the children of a node, unordered, and the number of all nodes below it. Clients ask for that of large trees, and
// counting would keep the server from everything else.
type kids struct {
	list  []*node
	below int
}

func (n *node) children() []*node {
	if n.kids == nil {
		return nil
	}
	return n.kids.list
}

// below is the number of nodes below.
func (n *node) below() int {
	if n.kids == nil {
		return 0
	}
	return n.kids.below
}

// addChild adds a node that has no children yet.
func (n *node) addChild(c *node) {
	if n.kids == nil {
		n.kids = new(kids)
	}
	c.parent, c.pos = n, int32(len(n.kids.list))
	n.kids.list = append(n.kids.list, c)
	for ; n != nil; n = n.parent {
		n.kids.below++
	}
}

// removeChild takes away a node that has no children any more, and moves the last one into its place.
func (n *node) removeChild(c *node) {
	list := n.kids.list
	last := list[len(list)-1]
	list[c.pos], last.pos = last, c.pos
	list[len(list)-1] = nil
	list = list[:len(list)-1]
	if cap(list) > 64 && len(list) < cap(list)/4 {
		list = append(make([]*node, 0, 2*len(list)), list...)
	}
	n.kids.list = list
	c.parent, c.pos = nil, -1
	for above := n; above != nil; above = above.parent {
		above.kids.below--
	}
	if len(list) == 0 {
		n.kids = nil
	}
}

// persisted is the stat as snapshots and digests have it.
func (n *node) persisted() wire.StatPersisted {
	return wire.StatPersisted{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion,
		EphemeralOwner: n.owner, Pzxid: n.pzxid,
	}
}

// Parent returns the path of the parent; the parent of the root is the root.
func Parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// Name returns the last component of a path.
func Name(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// Namespace returns the first component of a path, "" for that of the root (PathUtils.getTopNamespace).
func Namespace(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// Node is a znode to read from. It is valid until the tree changes.
type Node struct {
	n *node
	t *Tree
}

// Path returns the full path. The string is the tree's own, which callers may keep at no cost.
func (n Node) Path() string { return n.n.path }

// Data returns the content, nil for null. It must not be changed, and never changes.
func (n Node) Data() []byte { return n.n.data }

// ACL returns the access control list. It must not be changed, and never changes.
func (n Node) ACL() []wire.ACL { return n.t.acls.list(n.n.acl) }

// NumChildren returns the number of children.
func (n Node) NumChildren() int { return len(n.n.children()) }

// EachChild calls f with the name of every child, in no particular order.
func (n Node) EachChild(f func(name string)) {
	for _, c := range n.n.children() {
		f(Name(c.path))
	}
}

// Persisted returns the stat as it is stored.
func (n Node) Persisted() wire.StatPersisted { return n.n.persisted() }

// Kind tells persistent, ephemeral, container and TTL nodes apart.
func (n Node) Kind() Kind { return n.t.opts.kind(n.n.owner) }

// ContentCRC is where the digest of the node begins: the result of ContentCRC for its path and data.
func (n Node) ContentCRC() uint32 { return n.n.content }

// Stat returns what clients see of the node's metadata.
func (n Node) Stat() wire.Stat { return n.t.opts.visible(n.n) }

// Descendants is the number of nodes below.
func (n Node) Descendants() int { return n.n.below() }
