package prep

import (
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// multi makes one transaction of all its parts, or, if one of them fails, one that says which.
func (p *Preparer) multi(r Request, h txn.Header, d *wire.Decoder) (txn.Record, wire.ErrCode) {
	m := &txn.Multi{Txns: []txn.Sub{}}
	failed := wire.ErrOK
	for {
		var part wire.MultiHeader
		part.Decode(d)
		if d.Err() != nil {
			return nil, wire.ErrMarshalling
		}
		if part.Done {
			break
		}
		if failed != wire.ErrOK {
			if !skip(part.Type, d) {
				return nil, wire.ErrMarshalling
			}
			m.Txns = append(m.Txns, errorSub(wire.ErrRuntimeInconsistency))
			continue
		}
		if part.Type == wire.OpSetACL {
			return nil, wire.ErrMarshalling
		}
		sub, err := p.one(r, h, part.Type, d, true)
		switch {
		case d.Err() != nil, sub.Record == nil && err == wire.ErrUnimplemented && sub.Type == 0:
			return nil, wire.ErrMarshalling
		case err != wire.ErrOK:
			failed = err
			p.overlay.rollBack()
			m.Txns = append(m.Txns, errorSub(err))
		default:
			m.Txns = append(m.Txns, sub)
		}
	}
	if failed == wire.ErrSessionMoved {
		return nil, failed
	}
	return m, wire.ErrOK
}

func errorSub(err wire.ErrCode) txn.Sub {
	return txn.Sub{Type: wire.OpError, Record: &txn.Error{Err: err}}
}

// skip reads a part of a multi behind one that failed.
func skip(op wire.OpCode, d *wire.Decoder) bool {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer:
		new(wire.CreateRequest).Decode(d)
	case wire.OpCreateTTL:
		new(wire.CreateTTLRequest).Decode(d)
	case wire.OpDelete, wire.OpCheck:
		new(wire.VersionRequest).Decode(d)
	case wire.OpSetData:
		new(wire.SetDataRequest).Decode(d)
	default:
		return false
	}
	return d.Err() == nil
}
