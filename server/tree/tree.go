// Package tree is the replicated state of a server: znodes, access control lists, sessions and the ephemeral nodes they
// own. Transactions that the ensemble agreed on are applied to it in order; requests are read from it.
//
// A Tree gives these guarantees:
//
//  1. The same transactions applied in the same order give the same tree on every server.
//  2. Apply is idempotent where it matters: the transactions from before the start of a fuzzy snapshot's walk up to any
//     later one, applied to what the walk recorded, give the tree as it was after the last of them. Logs of servers
//     before 3.6, whose sessions end without the list of their nodes, do not promise that: what replaced an ephemeral
//     node behind such an end can keep traces of it.
//  3. The zxid moves only after the whole transaction, with all parts of a multi, is applied.
//
// It decides nothing. Whether a request may become a transaction is the matter of package prep. Nothing here reads a
// clock: times come from transaction headers. A Tree is not safe for concurrent use, but any number of readers may
// share it while nothing is applied.
//
// The source of the semantics is org.apache.zookeeper.server.DataTree.
package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Paths of the nodes that every tree has.
const (
	RootPath   = "/"
	SystemPath = "/zookeeper"
	QuotaPath  = "/zookeeper/quota"
	ConfigPath = "/zookeeper/config"
)

// Tree is the state of a server as of one zxid. The zero Tree is not usable; see New and Restorer.
type Tree struct {
	opts  Options
	nodes map[string]*node // by path; "/" for the root
	root  *node
	acls  aclTable

	sessions   map[wire.SessionID]int32 // timeout in milliseconds
	ephemerals map[wire.SessionID]*nodeSet
	nEphemeral int
	containers map[*node]struct{}
	ttls       map[*node]struct{}
	quotas     quotas

	lastZxid  wire.Zxid
	digest    uint64
	dataBytes int64 // paths and data
	digester  Digester
	digests   []ZxidDigest
}

// New returns the tree of a server that has never seen a transaction.
func New(opts Options) *Tree {
	t := empty(opts)
	t.root = t.put(RootPath, nil, []byte{}, wire.StatPersisted{}, openACL)
	t.addBuiltin()
	return t
}

func empty(opts Options) *Tree {
	return &Tree{
		opts:       opts,
		nodes:      make(map[string]*node),
		acls:       newACLTable(),
		sessions:   make(map[wire.SessionID]int32),
		ephemerals: make(map[wire.SessionID]*nodeSet),
		containers: make(map[*node]struct{}),
		ttls:       make(map[*node]struct{}),
		quotas:     newQuotas(),
	}
}

// addBuiltin adds those of the nodes that every tree has that are missing; a snapshot of an old server may lack them.
func (t *Tree) addBuiltin() {
	for _, path := range []string{SystemPath, QuotaPath} {
		if t.nodes[path] == nil {
			t.put(path, t.nodes[Parent(path)], []byte{}, wire.StatPersisted{}, openACL)
		}
	}
	if t.nodes[ConfigPath] == nil {
		t.put(ConfigPath, t.nodes[SystemPath], []byte{}, wire.StatPersisted{Aversion: -1}, t.acls.intern(readList))
	}
}

// put adds a node with a list of which the caller counted the use. The parent's stat is the caller's matter.
func (t *Tree) put(path string, parent *node, data []byte, s wire.StatPersisted, acl aclID) *node {
	n := &node{
		path: path, data: data, pos: -1,
		czxid: s.Czxid, mzxid: s.Mzxid, pzxid: s.Pzxid, ctime: s.Ctime, mtime: s.Mtime, owner: s.EphemeralOwner,
		version: s.Version, cversion: s.Cversion, aversion: s.Aversion,
		acl: acl, content: t.contentCRC(path, data),
	}
	if parent != nil {
		parent.addChild(n)
	}
	t.nodes[path] = n
	t.digest += t.nodeDigest(n)
	t.dataBytes += int64(len(path) + len(data))
	switch t.opts.kind(n.owner) {
	case Ephemeral:
		id := wire.SessionID(n.owner)
		owned := t.ephemerals[id]
		if owned == nil {
			owned = &nodeSet{}
			t.ephemerals[id] = owned
		}
		owned.add(n)
		t.nEphemeral++
	case Container:
		t.containers[n] = struct{}{}
	case TTL:
		t.ttls[n] = struct{}{}
	}
	return n
}

// remove takes a node out, and with it whatever is below: only the replay over a fuzzy snapshot can delete a node that
// has children, which are then from its next life and will be created again.
func (t *Tree) remove(n *node) {
	for kids := n.children(); len(kids) > 0; kids = n.children() {
		t.remove(kids[len(kids)-1])
	}
	t.digest -= t.nodeDigest(n)
	t.dataBytes -= int64(len(n.path) + len(n.data))
	switch t.opts.kind(n.owner) {
	case Ephemeral:
		id := wire.SessionID(n.owner)
		owned := t.ephemerals[id]
		owned.remove(n)
		if owned.len() == 0 {
			delete(t.ephemerals, id)
		}
		t.nEphemeral--
	case Container:
		delete(t.containers, n)
	case TTL:
		delete(t.ttls, n)
	}
	t.acls.release(n.acl)
	delete(t.nodes, n.path)
	n.parent.removeChild(n)
	t.quotaDeleted(n.path, len(n.data))
}

// setData replaces the content, of which the tree becomes the owner, but for the stat.
func (t *Tree) setData(n *node, data []byte) {
	t.dataBytes += int64(len(data) - len(n.data))
	n.data = data
	n.content = t.contentCRC(n.path, data)
}

// Lookup finds a znode.
func (t *Tree) Lookup(path string) (Node, bool) {
	n, ok := t.nodes[path]
	return Node{n, t}, ok
}

// LastZxid is the zxid of the last transaction applied.
func (t *Tree) LastZxid() wire.Zxid { return t.lastZxid }

// SetLastZxid makes the tree the state after another transaction, as an operator wants who restores a snapshot.
func (t *Tree) SetLastZxid(zxid wire.Zxid) { t.lastZxid, t.digests = zxid, nil }

// NewestChange is the highest zxid that a node names.
func (t *Tree) NewestChange() wire.Zxid {
	newest := wire.Zxid(0)
	for _, n := range t.nodes {
		newest = max(newest, n.czxid, n.mzxid, n.pzxid)
	}
	return newest
}

// Digest is the digest of the tree as it is (see Digester).
func (t *Tree) Digest() uint64 { return t.digest }

// ZxidDigest is the digest that the tree had after a transaction.
type ZxidDigest struct {
	Zxid   wire.Zxid
	Digest uint64
}

// Digests are those after the transactions whose zxid is a multiple of 128, the newest 1024, the oldest first
// (DataTree.logZxidDigest). They must not be changed.
func (t *Tree) Digests() []ZxidDigest { return t.digests }

const (
	digestInterval = 128
	digestLimit    = 1024
)

func (t *Tree) noteDigest(zxid wire.Zxid) {
	if zxid%digestInterval != 0 {
		return
	}
	if len(t.digests) == digestLimit {
		t.digests = append(make([]ZxidDigest, 0, digestLimit), t.digests[1:]...)
	}
	t.digests = append(t.digests, ZxidDigest{zxid, t.digest})
}

// NodeCount returns the number of znodes, the root and the built-in ones included.
func (t *Tree) NodeCount() int { return len(t.nodes) }

// EphemeralCount returns the number of ephemeral znodes.
func (t *Tree) EphemeralCount() int { return t.nEphemeral }

// DataSizeBytes returns the sum of the lengths of all paths and contents.
func (t *Tree) DataSizeBytes() int64 { return t.dataBytes }

// Options returns what the tree was made with.
func (t *Tree) Options() Options { return t.opts }

// Session is a live session and its timeout.
type Session struct {
	ID            wire.SessionID
	TimeoutMillis int32
}

// Timeout returns the session's timeout as a duration.
func (s Session) Timeout() time.Duration { return time.Duration(s.TimeoutMillis) * time.Millisecond }

// Sessions lists the sessions by id.
func (t *Tree) Sessions() []Session {
	all := make([]Session, 0, len(t.sessions))
	for id, timeout := range t.sessions {
		all = append(all, Session{id, timeout})
	}
	slices.SortFunc(all, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Session finds a session.
func (t *Tree) Session(id wire.SessionID) (Session, bool) {
	timeout, ok := t.sessions[id]
	return Session{id, timeout}, ok
}

// SessionCount returns the number of sessions.
func (t *Tree) SessionCount() int { return len(t.sessions) }

// Ephemerals lists the paths that a session owns, sorted.
func (t *Tree) Ephemerals(id wire.SessionID) []string {
	owned := t.ephemerals[id]
	if owned == nil {
		return nil
	}
	paths := make([]string, 0, owned.len())
	owned.each(func(n *node) { paths = append(paths, n.path) })
	slices.Sort(paths)
	return paths
}

// EachEphemeral calls f with every path that a session owns, in no particular order.
func (t *Tree) EachEphemeral(id wire.SessionID, f func(path string)) {
	if owned := t.ephemerals[id]; owned != nil {
		owned.each(func(n *node) { f(n.path) })
	}
}

// EphemeralOwners lists the sessions that own ephemeral nodes, by id.
func (t *Tree) EphemeralOwners() []wire.SessionID {
	return slices.Sorted(maps.Keys(t.ephemerals))
}

// ACLs lists the table of access control lists by number.
func (t *Tree) ACLs() []ACLEntry { return t.acls.entries() }

// Expendable lists, sorted, the container and TTL nodes that the leader should now delete: containers without children
// that have had one, or that are older than neverUsed (0 = never), and TTL nodes without children whose time since the
// last change is over. wallMillis is milliseconds since the Unix epoch.
func (t *Tree) Expendable(wallMillis int64, neverUsed time.Duration) []string {
	var paths []string
	for n := range t.containers {
		unused := neverUsed > 0 && wallMillis-n.mtime > neverUsed.Milliseconds()
		if n.kids == nil && (n.cversion > 0 || unused) {
			paths = append(paths, n.path)
		}
	}
	for n := range t.ttls {
		if ttl := n.owner & MaxTTL; n.kids == nil && ttl > 0 && wallMillis-n.mtime > ttl {
			paths = append(paths, n.path)
		}
	}
	slices.Sort(paths)
	return paths
}

// valid checks what must hold of every tree:
//
//  1. Every node is filed under its path and is a child of its parent, which is there.
//  2. Each list in the table of access control lists is used, as often as it says.
//  3. The nodes of each session, the containers and the TTL nodes are those whose owner says so.
//  4. Digest, size and the numbers of nodes below others are what counting gives.
func (t *Tree) valid() error {
	uses := make(map[aclID]int)
	owned, kinds, bytes := make(map[wire.SessionID]int), make(map[Kind]int), int64(0)
	for path, n := range t.nodes {
		switch {
		case n.path != path:
			return fmt.Errorf("node %q is filed under %q", n.path, path)
		case n != t.root && (n.parent == nil || n.parent != t.nodes[Parent(path)]):
			return fmt.Errorf("node %q has the wrong parent", path)
		case n != t.root && n.parent.children()[n.pos] != n:
			return fmt.Errorf("node %q is not child %d of its parent", path, n.pos)
		case n.kids != nil && len(n.kids.list) == 0:
			return fmt.Errorf("node %q has an empty list of children", path)
		}
		below := 0
		for _, c := range n.children() {
			below += 1 + c.below()
		}
		if below != n.below() {
			return fmt.Errorf("node %q counts %d nodes below it, of which there are %d", path, n.below(), below)
		}
		uses[n.acl]++
		bytes += int64(len(path) + len(n.data))
		kind := t.opts.kind(n.owner)
		kinds[kind]++
		_, container := t.containers[n]
		_, ttl := t.ttls[n]
		if container != (kind == Container) || ttl != (kind == TTL) {
			return fmt.Errorf("node %q with owner %#x is filed as another kind", path, n.owner)
		}
		if kind == Ephemeral {
			owned[wire.SessionID(n.owner)]++
			if !slices.Contains(t.Ephemerals(wire.SessionID(n.owner)), path) {
				return fmt.Errorf("node %q is not among those of session %#x", path, n.owner)
			}
		}
	}
	for id, e := range t.acls.byID {
		if e.refs != uses[id] || e.refs == 0 {
			return fmt.Errorf("list %d counts %d uses, of which there are %d", id, e.refs, uses[id])
		}
	}
	for key, id := range t.acls.byKey {
		if e := t.acls.byID[id]; e == nil || e.key != key {
			return fmt.Errorf("list %d is not the one of its key", id)
		}
	}
	for id, set := range t.ephemerals {
		if set.len() != owned[id] || set.len() == 0 {
			return fmt.Errorf("session %v has %d nodes on its list, of which there are %d", id, set.len(), owned[id])
		}
	}
	switch digest := t.CheckedDigest(); {
	case t.nEphemeral != kinds[Ephemeral], len(t.containers) != kinds[Container], len(t.ttls) != kinds[TTL]:
		return fmt.Errorf("kinds are counted as %d, %d, %d but are %v", t.nEphemeral, len(t.containers), len(t.ttls), kinds)
	case digest != t.digest:
		return fmt.Errorf("digest is kept as %#x but is %#x", t.digest, digest)
	case bytes != t.dataBytes:
		return fmt.Errorf("size is kept as %d but is %d", t.dataBytes, bytes)
	}
	return nil
}

// nodeSet is a set of nodes that is a list while it is small.
type nodeSet struct {
	few  []*node
	many map[*node]struct{}
}

const manyNodes = 32

func (s *nodeSet) len() int { return len(s.few) + len(s.many) }

func (s *nodeSet) add(n *node) {
	if s.many == nil && len(s.few) < manyNodes {
		s.few = append(s.few, n)
		return
	}
	if s.many == nil {
		s.many = make(map[*node]struct{}, 2*manyNodes)
		for _, m := range s.few {
			s.many[m] = struct{}{}
		}
		s.few = nil
	}
	s.many[n] = struct{}{}
}

func (s *nodeSet) remove(n *node) {
	delete(s.many, n)
	if i := slices.Index(s.few, n); i >= 0 {
		s.few = slices.Delete(s.few, i, i+1)
	}
}

func (s *nodeSet) each(f func(*node)) {
	for _, n := range s.few {
		f(n)
	}
	for n := range s.many {
		f(n)
	}
}
