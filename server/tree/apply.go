package tree

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// Event is a change that watches may wait for.
type Event struct {
	Type wire.EventType
	Path string
	// ACL decides who may hear of it: the list of the node, the one that a deleted node had, or the parent's when its
	// children changed. It must not be changed.
	ACL []wire.ACL
	// Zxid is that of the transaction.
	Zxid wire.Zxid
}

// Result is what became of a transaction, or of one part of a multi.
type Result struct {
	// Type is the transaction's. A part of a multi that failed has wire.OpError.
	Type wire.OpCode
	// Err is wire.ErrOK, the code of an error transaction, or what replaying over a fuzzy snapshot met
	// (wire.ErrNoNode, wire.ErrNodeExists).
	Err  wire.ErrCode
	Zxid wire.Zxid
	// Path is the node created, deleted or changed.
	Path string
	// Stat is that of the node created or changed, as clients see it.
	Stat wire.Stat
	// Data is the new text of a reconfig.
	Data []byte
	// Multi are the results of the parts of a multi.
	Multi []Result
}

// Apply carries out a transaction and tells notify, which may be nil, what changed, in the order in which watches have to
// hear of it. Nothing of the record is kept but its strings. A record that the type of the header does not allow is a
// broken invariant and panics.
func (t *Tree) Apply(h txn.Header, record txn.Record, notify func(Event)) Result {
	if notify == nil {
		notify = func(Event) {}
	}
	a := applying{Tree: t, h: h, notify: notify}
	var r Result
	if multi, ok := record.(*txn.Multi); ok {
		r = a.multi(multi)
	} else {
		r = a.one(h.Type, record)
	}
	t.lastZxid = max(t.lastZxid, h.Zxid)
	t.noteDigest(h.Zxid)
	return r
}

// applying is one transaction on its way into the tree.
type applying struct {
	*Tree
	h      txn.Header
	notify func(Event)
}

func (a *applying) event(kind wire.EventType, path string, acl []wire.ACL) {
	a.notify(Event{Type: kind, Path: path, ACL: acl, Zxid: a.h.Zxid})
}

func (a *applying) one(op wire.OpCode, record txn.Record) Result {
	r := Result{Type: op, Zxid: a.h.Zxid}
	switch rec := record.(type) {
	case *txn.Create:
		owner := int64(0)
		if rec.Ephemeral {
			owner = int64(a.h.Session)
		}
		a.create(&r, rec.Path, rec.Data, rec.ACL, owner, rec.ParentCversion)
	case *txn.CreateContainer:
		a.create(&r, rec.Path, rec.Data, rec.ACL, ContainerOwner, rec.ParentCversion)
	case *txn.CreateTTL:
		a.create(&r, rec.Path, rec.Data, rec.ACL, TTLOwner(rec.TTL), rec.ParentCversion)
	case *txn.Delete:
		r.Path = rec.Path
		r.Err = a.delete(rec.Path)
	case *txn.SetData:
		a.write(&r, rec)
	case *txn.SetACL:
		a.setACL(&r, rec)
	case *txn.CheckVersion:
		r.Path = rec.Path
	case *txn.Error:
		r.Err = rec.Err
	case *txn.CreateSession:
		a.sessions[a.h.Session] = rec.TimeoutMillis
	case *txn.CloseSession:
		a.closeSession(rec)
	default:
		panic(fmt.Sprintf("tree: transaction %v of type %v has record %T", a.h.Zxid, op, record))
	}
	return r
}

// multi applies all parts, or none if one of them is an error.
func (a *applying) multi(m *txn.Multi) Result {
	r := Result{Type: a.h.Type, Zxid: a.h.Zxid, Multi: make([]Result, len(m.Txns))}
	failed := slices.IndexFunc(m.Txns, func(sub txn.Sub) bool { return sub.Type == wire.OpError })
	for i, sub := range m.Txns {
		switch {
		case failed < 0:
			r.Multi[i] = a.one(sub.Type, sub.Record)
			continue
		case i == failed:
			r.Multi[i].Err = sub.Record.(*txn.Error).Err
		case i > failed:
			r.Multi[i].Err = wire.ErrRuntimeInconsistency
		}
		r.Multi[i].Type = wire.OpError
	}
	return r
}

func (a *applying) create(r *Result, path string, data []byte, acl []wire.ACL, owner int64, parentCversion int32) {
	r.Path = path
	parent := a.nodes[Parent(path)]
	if parent == nil {
		r.Err = wire.ErrNoNode
		return
	}
	before := a.nodeDigest(parent)
	if parentCversion == -1 {
		parentCversion = parent.cversion + 1
	}
	// Compared by serial number: after 2^31 creations the count goes on at -2^31.
	if parentCversion-parent.cversion > 0 {
		parent.cversion = parentCversion
		parent.pzxid = max(parent.pzxid, a.h.Zxid)
	}
	a.digest += a.nodeDigest(parent) - before

	id := a.acls.intern(acl)
	if n := a.nodes[path]; n != nil {
		// Only when replaying over a fuzzy snapshot. The list may be one that the snapshot lacks.
		a.acls.release(n.acl)
		n.acl = id
		r.Err = wire.ErrNodeExists
		return
	}
	n := a.put(path, parent, keep(data), wire.StatPersisted{
		Czxid: a.h.Zxid, Mzxid: a.h.Zxid, Pzxid: a.h.Zxid, Ctime: a.h.Time, Mtime: a.h.Time, EphemeralOwner: owner,
	}, id)
	a.quotaCreated(n)
	r.Stat = a.opts.visible(n)
	a.event(wire.NodeCreated, path, a.acls.list(n.acl))
	a.event(wire.NodeChildrenChanged, parent.path, a.acls.list(parent.acl))
}

func (a *applying) delete(path string) wire.ErrCode {
	parent := a.nodes[Parent(path)]
	if parent == nil || path == RootPath {
		return wire.ErrNoNode
	}
	// The parent remembers the deletion even if the snapshot was taken after it.
	before := a.nodeDigest(parent)
	parent.pzxid = max(parent.pzxid, a.h.Zxid)
	a.digest += a.nodeDigest(parent) - before
	n := a.nodes[path]
	if n == nil {
		return wire.ErrNoNode
	}
	acl := a.acls.list(n.acl)
	a.remove(n)
	a.event(wire.NodeDeleted, path, acl)
	a.event(wire.NodeChildrenChanged, parent.path, a.acls.list(parent.acl))
	return wire.ErrOK
}

// write is setData and reconfig.
func (a *applying) write(r *Result, rec *txn.SetData) {
	r.Path = rec.Path
	n := a.nodes[rec.Path]
	if n == nil {
		r.Err = wire.ErrNoNode
		return
	}
	before, length := a.nodeDigest(n), len(n.data)
	a.setData(n, keep(rec.Data))
	n.version, n.mzxid, n.mtime = rec.Version, a.h.Zxid, a.h.Time
	a.digest += a.nodeDigest(n) - before
	if grown := len(n.data) - length; grown != 0 {
		a.countUse(n.path, 0, int64(grown))
	}
	r.Stat = a.opts.visible(n)
	if r.Type == wire.OpReconfig {
		r.Data = n.data
	}
	a.event(wire.NodeDataChanged, rec.Path, a.acls.list(n.acl))
}

func (a *applying) setACL(r *Result, rec *txn.SetACL) {
	r.Path = rec.Path
	n := a.nodes[rec.Path]
	if n == nil {
		r.Err = wire.ErrNoNode
		return
	}
	id := a.acls.intern(rec.ACL)
	a.acls.release(n.acl)
	before := a.nodeDigest(n)
	n.acl, n.aversion = id, rec.Version
	a.digest += a.nodeDigest(n) - before
	r.Stat = a.opts.visible(n)
}

// closeSession deletes the listed ephemeral nodes, then any others of the session, which there should not be: old
// servers send no list.
func (a *applying) closeSession(rec *txn.CloseSession) {
	for _, path := range rec.Paths {
		a.delete(path)
	}
	for _, path := range a.Ephemerals(a.h.Session) {
		a.delete(path)
	}
	delete(a.sessions, a.h.Session)
}

// SetConfig installs the text of the membership, as every server does on its own when it starts or learns of a new
// configuration. The version of the configuration becomes the mzxid; wallMillis is this server's clock.
func (t *Tree) SetConfig(text string, version wire.Zxid, wallMillis int64, notify func(Event)) {
	n := t.nodes[ConfigPath]
	t.setData(n, []byte(text))
	n.version, n.mzxid, n.mtime = -1, version, wallMillis
	if notify != nil {
		notify(Event{Type: wire.NodeDataChanged, Path: ConfigPath, ACL: t.acls.list(n.acl), Zxid: version})
	}
}

// keep copies data out of the buffer of its transaction. Null and empty stay apart.
func keep(data []byte) []byte {
	if data == nil {
		return nil
	}
	if len(data) == 0 {
		return noBytes
	}
	return bytes.Clone(data)
}

var noBytes = []byte{}
