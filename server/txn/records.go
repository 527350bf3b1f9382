package txn

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// Record is what a transaction does. The types of this package are the only ones.
type Record interface {
	append(b []byte) []byte
	size() int // about how many bytes
}

type (
	// Create makes a node: create and create2.
	Create struct {
		Path      string
		Data      []byte
		ACL       []wire.ACL
		Ephemeral bool
		// ParentCversion is the parent's number of creations after this one; -1 in logs of old servers.
		ParentCversion int32
	}
	// CreateContainer makes a node that the server deletes after its last child.
	CreateContainer struct {
		Path           string
		Data           []byte
		ACL            []wire.ACL
		ParentCversion int32
	}
	// CreateTTL makes a node that the server deletes when it was not changed for TTL milliseconds.
	CreateTTL struct {
		Path           string
		Data           []byte
		ACL            []wire.ACL
		ParentCversion int32
		TTL            int64
	}
	// Delete removes a node: delete and deleteContainer.
	Delete struct{ Path string }
	// SetData replaces the data of a node; Version is the new version. Also reconfig.
	SetData struct {
		Path    string
		Data    []byte
		Version int32
	}
	// SetACL replaces the access control list of a node; Version is the new version of the list.
	SetACL struct {
		Path    string
		ACL     []wire.ACL
		Version int32
	}
	// CheckVersion does nothing; it is a part of a multi.
	CheckVersion struct {
		Path    string
		Version int32
	}
	// CreateSession begins the session of the header.
	CreateSession struct{ TimeoutMillis int32 }
	// CloseSession ends the session of the header, and its ephemeral nodes.
	CloseSession struct {
		Paths []string
		// NoList tells that the transaction has no list, as before 3.6.
		NoList bool
	}
	// Error is a request that failed.
	Error struct{ Err wire.ErrCode }
	// Multi is several transactions at once.
	Multi struct{ Txns []Sub }
	// Sub is one of them.
	Sub struct {
		Type   wire.OpCode
		Record Record
	}
)

func appendCreate(b []byte, path string, data []byte, acl []wire.ACL) []byte {
	return wire.AppendNullableACLs(wire.AppendBuffer(wire.AppendString(b, path), data), acl)
}

func (r *Create) append(b []byte) []byte {
	return wire.AppendInt32(wire.AppendBool(appendCreate(b, r.Path, r.Data, r.ACL), r.Ephemeral), r.ParentCversion)
}

func (r *CreateContainer) append(b []byte) []byte {
	return wire.AppendInt32(appendCreate(b, r.Path, r.Data, r.ACL), r.ParentCversion)
}

func (r *CreateTTL) append(b []byte) []byte {
	return wire.AppendInt64(wire.AppendInt32(appendCreate(b, r.Path, r.Data, r.ACL), r.ParentCversion), r.TTL)
}

func (r *Delete) append(b []byte) []byte { return wire.AppendString(b, r.Path) }

func (r *SetData) append(b []byte) []byte {
	return wire.AppendInt32(wire.AppendBuffer(wire.AppendString(b, r.Path), r.Data), r.Version)
}

func (r *SetACL) append(b []byte) []byte {
	return wire.AppendInt32(wire.AppendNullableACLs(wire.AppendString(b, r.Path), r.ACL), r.Version)
}

func (r *CheckVersion) append(b []byte) []byte {
	return wire.AppendInt32(wire.AppendString(b, r.Path), r.Version)
}

func (r *CreateSession) append(b []byte) []byte { return wire.AppendInt32(b, r.TimeoutMillis) }

func (r *CloseSession) append(b []byte) []byte {
	if r.NoList {
		return b
	}
	return wire.AppendStrings(b, r.Paths)
}

func (r *Error) append(b []byte) []byte { return wire.AppendInt32(b, int32(r.Err)) }

func (r *Multi) append(b []byte) []byte {
	b = wire.AppendInt32(b, int32(len(r.Txns)))
	for _, sub := range r.Txns {
		b = wire.AppendInt32(b, int32(sub.Type))
		at := len(b)
		b = sub.Record.append(wire.AppendInt32(b, 0))
		wire.AppendInt32(b[:at], int32(len(b)-at-4))
	}
	return b
}

const aclBytes = 40 // a usual list

func (r *Create) size() int          { return len(r.Path) + len(r.Data) + aclBytes*(1+len(r.ACL)) }
func (r *CreateContainer) size() int { return len(r.Path) + len(r.Data) + aclBytes*(1+len(r.ACL)) }
func (r *CreateTTL) size() int       { return len(r.Path) + len(r.Data) + aclBytes*(1+len(r.ACL)) }
func (r *Delete) size() int          { return 4 + len(r.Path) }
func (r *SetData) size() int         { return 12 + len(r.Path) + len(r.Data) }
func (r *SetACL) size() int          { return 12 + len(r.Path) + aclBytes*len(r.ACL) }
func (r *CheckVersion) size() int    { return 8 + len(r.Path) }
func (r *CreateSession) size() int   { return 4 }
func (r *CloseSession) size() int    { return 4 + 32*len(r.Paths) }
func (r *Error) size() int           { return 4 }
func (r *Multi) size() int {
	n := 4
	for _, sub := range r.Txns {
		n += 8 + sub.Record.size()
	}
	return n
}

func decodeRecord(op wire.OpCode, d *wire.Decoder) (Record, error) {
	var r Record
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		c := &Create{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), Ephemeral: d.Bool(), ParentCversion: -1}
		if len(d.Rest()) > 0 { // servers before 3.4 end here
			c.ParentCversion = d.Int32()
		}
		r = c
	case wire.OpCreateContainer:
		r = &CreateContainer{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), ParentCversion: d.Int32()}
	case wire.OpCreateTTL:
		r = &CreateTTL{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), ParentCversion: d.Int32(), TTL: d.Int64()}
	case wire.OpDelete, wire.OpDeleteContainer:
		r = &Delete{Path: d.String()}
	case wire.OpSetData, wire.OpReconfig:
		r = &SetData{Path: d.String(), Data: d.Buffer(), Version: d.Int32()}
	case wire.OpSetACL:
		r = &SetACL{Path: d.String(), ACL: d.ACLs(), Version: d.Int32()}
	case wire.OpCheck:
		r = &CheckVersion{Path: d.String(), Version: d.Int32()}
	case wire.OpCreateSession:
		r = &CreateSession{TimeoutMillis: d.Int32()}
	case wire.OpCloseSession:
		r = &CloseSession{Paths: d.Strings()}
	case wire.OpError:
		r = &Error{Err: wire.ErrCode(d.Int32())}
	case wire.OpMulti:
		return decodeMulti(d)
	default:
		return nil, fmt.Errorf("unknown type %v", op)
	}
	return r, d.Err()
}

// multiParts are the types that the parts of a multi can have (org.apache.zookeeper.server.DataTree.processTxn).
var multiParts = map[wire.OpCode]bool{
	wire.OpCreate: true, wire.OpCreate2: true, wire.OpCreateContainer: true, wire.OpCreateTTL: true, wire.OpDelete: true,
	wire.OpDeleteContainer: true, wire.OpSetData: true, wire.OpCheck: true, wire.OpError: true,
}

func decodeMulti(d *wire.Decoder) (Record, error) {
	n, _ := d.Count(8)
	m := &Multi{Txns: make([]Sub, 0, n)}
	for range n {
		op := wire.OpCode(d.Int32())
		part := wire.NewDecoder(d.Buffer())
		if d.Err() != nil {
			return nil, d.Err()
		}
		if !multiParts[op] {
			return nil, fmt.Errorf("%v in a multi", op)
		}
		r, err := decodeRecord(op, part)
		if err != nil {
			return nil, fmt.Errorf("%v in a multi: %w", op, err)
		}
		m.Txns = append(m.Txns, Sub{Type: op, Record: r})
	}
	return m, d.Err()
}
