package prep

import (
	"fmt"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// opInMulti is the operation that a part of a multi stands for: there the flags decide (org.apache.zookeeper.Op.Create). A
// create2 becomes a create, since members before 3.9 cannot apply a multi with one.
func opInMulti(op wire.OpCode, flags int32) wire.OpCode {
	switch flags {
	case wire.FlagContainer:
		return wire.OpCreateContainer
	case wire.FlagPersistentTTL, wire.FlagPersistentSequentialTTL:
		return op
	}
	return wire.OpCreate
}

// kindOf decides what is created. The operation says it, but for ephemeral nodes.
func (p *Preparer) kindOf(op wire.OpCode, c *creation) wire.ErrCode {
	ttl := c.Flags == wire.FlagPersistentTTL || c.Flags == wire.FlagPersistentSequentialTTL
	switch {
	case !isKnown(c.Flags):
		return wire.ErrBadArguments
	case ttl && !p.tree.Options().ExtendedTypes:
		return wire.ErrUnimplemented
	case ttl != (op == wire.OpCreateTTL), ttl && (c.TTL < 1 || c.TTL > tree.MaxTTL):
		return wire.ErrBadArguments
	}
	c.sequential = c.Flags == wire.FlagSequential || c.Flags == wire.FlagEphemeralSequential ||
		c.Flags == wire.FlagPersistentSequentialTTL
	switch {
	case ttl:
		c.kind = tree.TTL
	case op == wire.OpCreateContainer:
		c.kind = tree.Container
	case isEphemeral(c.Flags):
		c.kind = tree.Ephemeral
	}
	return wire.ErrOK
}

func (p *Preparer) create(r Request, h txn.Header, op wire.OpCode, d *wire.Decoder, inMulti bool) (txn.Sub, wire.ErrCode) {
	var c creation
	if op == wire.OpCreateTTL {
		c.CreateTTLRequest.Decode(d)
	} else {
		c.CreateRequest.Decode(d)
	}
	if inMulti {
		op = opInMulti(op, c.Flags)
	}
	sub := txn.Sub{Type: op}
	err := wire.ErrMarshalling
	if d.Err() == nil {
		err = p.kindOf(op, &c)
	}
	if err != wire.ErrOK {
		return sub, err
	}
	err = p.checked(r, d, isEphemeral(c.Flags), func() (err wire.ErrCode) {
		sub, err = p.createNode(r, h, op, c)
		return err
	})
	return sub, err
}

func (p *Preparer) createNode(r Request, h txn.Header, op wire.OpCode, c creation) (txn.Sub, wire.ErrCode) {
	sub := txn.Sub{Type: op}
	if !isPathLike(c.Path) {
		return sub, wire.ErrBadArguments
	}
	acl, code := p.fixUp(c.ACL, r.Auth)
	if code != wire.ErrOK {
		return sub, code
	}
	parent, ok := p.overlay.node(tree.Parent(c.Path))
	if !ok {
		return sub, wire.ErrNoNode
	}
	if !p.policy.Allowed(parent.acl, wire.PermCreate, r.Auth) {
		return sub, wire.ErrNoAuth
	}
	path := c.Path
	if c.sequential {
		number := parent.stat.Cversion
		if p.CountChildren {
			number = int32(parent.children)
		}
		path += fmt.Sprintf("%010d", number)
	}
	if !validPath(path) {
		return sub, wire.ErrBadArguments
	}
	if _, exists := p.overlay.node(path); exists {
		return sub, wire.ErrNodeExists
	}
	if parent.kind == tree.Ephemeral {
		return sub, wire.ErrNoChildrenForEphemerals
	}
	if p.exceedsQuota(path, 1, len(c.Data)) {
		return sub, wire.ErrQuotaExceeded
	}
	cversion := parent.stat.Cversion + 1
	owner := int64(0)
	switch c.kind {
	case tree.Ephemeral:
		owner = int64(r.Session)
		sub.Record = &txn.Create{Path: path, Data: c.Data, ACL: acl, Ephemeral: true, ParentCversion: cversion}
	case tree.Container:
		owner = tree.ContainerOwner
		sub.Record = &txn.CreateContainer{Path: path, Data: c.Data, ACL: acl, ParentCversion: cversion}
	case tree.TTL:
		owner = tree.TTLOwner(c.TTL)
		sub.Record = &txn.CreateTTL{Path: path, Data: c.Data, ACL: acl, ParentCversion: cversion, TTL: c.TTL}
	default:
		sub.Record = &txn.Create{Path: path, Data: c.Data, ACL: acl, ParentCversion: cversion}
	}
	parent.stat.Cversion, parent.stat.Pzxid = cversion, h.Zxid
	parent.children++
	p.overlay.put(parent)
	p.overlay.put(node{
		path: path, kind: c.kind, acl: acl, content: tree.ContentCRC(path, c.Data), dataLen: len(c.Data),
		stat: wire.StatPersisted{
			Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time, EphemeralOwner: owner,
		},
	})
	return sub, wire.ErrOK
}
