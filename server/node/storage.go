package node

import (
	"fmt"

	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// storageOp is a storage effect that has not been reported as done. Its role learns of the end only if it is still the
// same role.
type storageOp struct {
	id     uint64
	effect Effect
	term   uint64
}

// storage is what is on its way to the disk. Storage effects are done in the order in which they were noted, but for
// snapshots in the background, of which there is at most one.
type storage struct {
	lastID uint64
	queue  []storageOp
	// background is the id of the snapshot that is being written, 0 for none. A tree that has been replaced must not
	// appear on disk after the one that replaced it, so what replaces trees waits for it, and what follows that.
	background uint64
	held       []Effect
}

func (s *storage) nextID() uint64 {
	s.lastID++
	return s.lastID
}

// write notes a storage effect.
func (n *Node) write(id uint64, e Effect) {
	n.storage.queue = append(n.storage.queue, storageOp{id: id, effect: e, term: n.term})
	exclusive := false
	switch e := e.(type) {
	case Truncate:
		exclusive = true
	case TakeSnapshot:
		exclusive = e.Supersede
	}
	if len(n.storage.held) > 0 || exclusive && n.storage.background != 0 {
		n.storage.held = append(n.storage.held, e)
		return
	}
	n.note(e)
}

// handleStorageDone moves every effect up to the reported one from the queue and tells the role.
func (n *Node) handleStorageDone(in StorageDone) {
	if in.ID == n.storage.background {
		n.storage.background = 0
		for _, e := range n.storage.held {
			n.note(e)
		}
		n.storage.held = nil
		n.maybeTakeWantedSnapshot()
		return
	}
	for len(n.storage.queue) > 0 && n.storage.queue[0].id <= in.ID {
		op := n.storage.queue[0]
		n.storage.queue = n.storage.queue[1:]
		next := op.id == in.ID || len(n.storage.queue) == 0 || n.storage.queue[0].id > in.ID
		n.finish(op, next, in)
	}
	n.drain()
	n.settle()
}

// finish takes note of one durable effect. last tells that it is the newest of those reported together.
func (n *Node) finish(op storageOp, last bool, in StorageDone) {
	current := op.term == n.term && n.role != Stopping
	switch e := op.effect.(type) {
	case Append:
		if current {
			n.measureLogged(e)
		}
		if current && (last || !isAppend(n.storage.queue[0].effect)) {
			n.logged(e.Zxid)
		}
	case SaveEpoch:
		if e.Current {
			n.current = e.Epoch
		} else {
			n.accepted = e.Epoch
		}
		switch {
		case !current:
		case n.leader != nil:
			n.leader.EpochSaved(e.Current, e.Epoch)
		case n.learner != nil:
			n.learner.EpochSaved(e.Current, e.Epoch)
		}
	case TakeSnapshot:
		if e.Supersede {
			n.needSnapshot, n.blank = false, false
		}
		if n.restoring != nil && n.restoring.file == e.ID && n.role != Stopping {
			n.endRole("a snapshot is restored")
		}
	case Truncate:
		if in.Err == nil {
			n.install(in.Database)
		}
		if current && n.learner != nil {
			n.learner.Truncated(n.history, in.Err)
		}
	case Reload:
		n.install(in.Database)
		n.reloading = false
	}
}

func isAppend(e Effect) bool {
	_, ok := e.(Append)
	return ok
}

// logged tells the role how far the log is durable.
func (n *Node) logged(zxid wire.Zxid) {
	switch {
	case n.leader != nil:
		n.leader.Logged(zxid)
	case n.learner != nil:
		n.learner.Logged(zxid)
	case n.role == Standalone:
		n.commitStandalone(zxid)
	}
}

// install takes over a database that was read back from disk.
func (n *Node) install(db *Database) {
	if db == nil {
		panic("node: storage was read back without a database")
	}
	if db.LastZxid != db.Tree.LastZxid() {
		panic(fmt.Sprintf("node: database at %v has a tree at %v", db.LastZxid, db.Tree.LastZxid()))
	}
	n.tree = db.Tree
	n.blank = db.Blank
	n.needSnapshot = n.needSnapshot || n.blank
	n.unlogged = false
	n.history = zab.NewHistory(n.cfg.CommitLogCount, db.LastZxid, db.Recent)
}
