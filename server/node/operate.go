package node

import (
	"errors"
	"math"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Why an operator does not get what he asked for.
var (
	errNotServing   = errors.New("the server does not serve")
	errDiverges     = errors.New("this learner shows a restored snapshot, which must not become durable here")
	errBusy         = errors.New("another snapshot is being restored")
	errNotElected   = errors.New("another server was elected, and its state counts")
	errNoZxidIsLeft = errors.New("no zxid is left in this epoch")
)

// restoration is a snapshot that takes the place of the state.
type restoration struct {
	request uint64
	tree    *tree.Tree
	// zxid is that of the restored state: beyond everything that this server has logged.
	zxid wire.Zxid
	// file is the id of the effect that writes it.
	file uint64
	// installed tells that memory has it, too.
	installed bool
}

// handleSnapshotWanted writes a snapshot in the background, after the one that is being written.
func (n *Node) handleSnapshotWanted(in SnapshotWanted) {
	switch {
	case !n.serving:
		n.note(Operated{Request: in.Request, Err: errNotServing})
	case n.restoring != nil:
		n.note(Operated{Request: in.Request, Err: errBusy})
	case n.diverges:
		n.note(Operated{Request: in.Request, Err: errDiverges})
	default:
		n.snapshotRequests = append(n.snapshotRequests, in.Request)
		n.maybeTakeWantedSnapshot()
	}
}

func (n *Node) maybeTakeWantedSnapshot() {
	if len(n.snapshotRequests) == 0 || n.storage.background != 0 || !n.serving || n.restoring != nil {
		return
	}
	id := n.storage.nextID()
	n.storage.background = id
	n.note(TakeSnapshot{ID: id, Zxid: n.tree.LastZxid(), Tree: n.tree, Background: true, Requests: n.snapshotRequests})
	n.snapshotRequests = nil
}

// handleRestore puts a snapshot in the place of the state.
//
// Who decides about txns makes no more of them, writes the snapshot to its disk as the state after one more zxid, and then
// ends its role. In an ensemble that zxid is like a proposal that only this server has: it wins the election that follows,
// and the others are sent the state, or another server is elected without it, and then nothing is restored. In Apache
// ZooKeeper, each server replaces its own memory, and the operator sees to it that all do
// (ZooKeeperServer.restoreFromSnapshot).
//
// A learner cannot do that: a zxid that its leader did not give could be given to something else. It does what Apache
// ZooKeeper's does, shows the snapshot until its role ends, and then has what the leader has again.
func (n *Node) handleRestore(in Restore) {
	switch {
	case !n.serving:
		n.note(Operated{Request: in.Request, Err: errNotServing})
	case n.restoring != nil:
		n.note(Operated{Request: in.Request, Err: errBusy})
	case n.learner != nil:
		in.Tree.SetLastZxid(n.tree.LastZxid())
		n.tree = in.Tree
		n.learner.Taint()
		n.diverges = true
		n.closeAllClients()
		n.showMembers()
		n.note(Operated{Request: in.Request, Zxid: n.tree.LastZxid()})
	default:
		n.restoreAsDecider(in)
	}
}

func (n *Node) restoreAsDecider(in Restore) {
	zxid, ok := n.nextZxid()
	newest := in.Tree.LastZxid()
	if ok && (n.members == nil || newest.Epoch() == zxid.Epoch()) {
		zxid = max(zxid, newest)
		ok = zxid.Counter() < math.MaxUint32-1
	}
	if !ok {
		n.note(Operated{Request: in.Request, Err: errNoZxidIsLeft})
		return
	}
	in.Tree.SetLastZxid(zxid)
	if n.members != nil && newest.Epoch() > n.accepted {
		// No zxid of the snapshot's nodes may lie ahead of those to come. To have promised more costs nothing.
		id := n.storage.nextID()
		n.write(id, SaveEpoch{ID: id, Epoch: newest.Epoch()})
	}
	r := &restoration{request: in.Request, tree: in.Tree, zxid: zxid, file: n.storage.nextID()}
	n.write(r.file, TakeSnapshot{ID: r.file, Zxid: r.zxid, Tree: r.tree, Supersede: true})
	n.restoring = r
}

// settleRestoration takes over the restored state, which is on the disk in the place of everything else.
func (n *Node) settleRestoration() {
	r := n.restoring
	if r == nil || r.installed {
		return
	}
	r.installed = true
	n.tree = r.tree
	n.history = zab.NewHistory(n.cfg.CommitLogCount, r.zxid, nil)
	n.proposed = r.zxid
}

// answerRestoration tells the operator what came of the restoration, once the server serves again.
func (n *Node) answerRestoration() {
	r := n.restoring
	if r == nil {
		return
	}
	n.restoring = nil
	if n.learner != nil {
		n.note(Operated{Request: r.request, Err: errNotElected})
		return
	}
	n.note(Operated{Request: r.request, Zxid: r.zxid})
}

// refuseSnapshots tells those who wait for a snapshot that the role has ended.
func (n *Node) refuseSnapshots() {
	for _, request := range n.snapshotRequests {
		n.note(Operated{Request: request, Err: errNotServing})
	}
	n.snapshotRequests = nil
}

// Administers tells whether a client with these ids may do everything with the root, each permission by itself
// (admin.Commands.handleAuthorization). Like Status, it must not coincide with Step.
func (n *Node) Administers(ids []wire.ID) bool {
	root, ok := n.tree.Lookup(tree.RootPath)
	for _, perm := range []wire.Perms{wire.PermRead, wire.PermWrite, wire.PermCreate, wire.PermDelete, wire.PermAdmin} {
		ok = ok && n.policy.Allowed(root.ACL(), perm, ids)
	}
	return ok
}
