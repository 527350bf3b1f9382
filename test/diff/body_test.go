//go:build diff

package diff

import (
	"github.com/zkctl/zkctl/wire"
)

// body builds the record of a request field by field, so that it can be wrong in every way.
type body []byte

// null is a string that is sent as null.
const null = "\x00null"

func (b body) str(s string) body {
	if s == null {
		return wire.AppendInt32(b, -1)
	}
	return wire.AppendString(b, s)
}

func (b body) buf(v []byte) body { return wire.AppendBuffer(b, v) }
func (b body) int(v int32) body  { return wire.AppendInt32(b, v) }
func (b body) long(v int64) body { return wire.AppendInt64(b, v) }
func (b body) bool(v bool) body  { return wire.AppendBool(b, v) }
func (b body) acl(list aclList) body {
	if list == nil {
		return b.int(-1)
	}
	b = b.int(int32(len(list)))
	for _, a := range list {
		b = b.int(a.perms).str(a.scheme).str(a.id)
	}
	return b
}

func (b body) strs(list []string) body {
	if list == nil {
		return b.int(-1)
	}
	b = b.int(int32(len(list)))
	for _, s := range list {
		b = b.str(s)
	}
	return b
}

// part appends a part of a multi.
func (b body) part(op wire.OpCode, record body) body {
	return append(wire.MultiHeader{Type: op, Err: -1}.Append(b), record...)
}

func (b body) end() body { return wire.MultiEnd.Append(b) }

type acl struct {
	perms      int32
	scheme, id string
}

// aclList is nil for null.
type aclList []acl

var open = aclList{{31, "world", "anyone"}}

func create(path string, data []byte, list aclList, flags int32) body {
	return body{}.str(path).buf(data).acl(list).int(flags)
}

func createTTL(path string, data []byte, list aclList, flags int32, ttl int64) body {
	return create(path, data, list, flags).long(ttl)
}

func pathVersion(path string, version int32) body { return body{}.str(path).int(version) }
func read(path string, watch bool) body           { return body{}.str(path).bool(watch) }
func setData(path string, data []byte, version int32) body {
	return body{}.str(path).buf(data).int(version)
}
func setACL(path string, list aclList, version int32) body {
	return body{}.str(path).acl(list).int(version)
}
func onlyPath(path string) body { return body{}.str(path) }
func authPacket(scheme string, auth []byte) body {
	return body{}.int(0).str(scheme).buf(auth)
}

// connection is the first frame of a client that asks for a session without end.
func connection() *wire.ConnectRequest {
	return &wire.ConnectRequest{TimeOut: 86400000, Passwd: make([]byte, 16), HasReadOnly: true}
}
