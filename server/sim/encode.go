package sim

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// The client writes and reads its records by itself, so that the servers' codec is checked too.

const (
	flagEphemeral  = 1
	flagSequential = 2
	flagContainer  = 4
	flagTTL        = 5
)

var errShort = errors.New("short record")

type body []byte

func (b body) int(v int32) body { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func (b body) bool(v bool) body {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
func (b body) str(v string) body { return append(b.int(int32(len(v))), v...) }
func (b body) buf(v []byte) body {
	if v == nil {
		return b.int(-1)
	}
	return append(b.int(int32(len(v))), v...)
}

func createBody(path string, data []byte, flags int32) body {
	return body(nil).str(path).buf(data).int(1).int(31).str("world").str("anyone").int(flags)
}

func deleteBody(path string, version int32) body { return body(nil).str(path).int(version) }

func setDataBody(path string, data []byte, version int32) body {
	return body(nil).str(path).buf(data).int(version)
}

func addWatchBody(path string, mode int32) body { return body(nil).str(path).int(mode) }

func pathBody(path string) body { return body(nil).str(path) }

func readBody(path string, watch bool) body { return body(nil).str(path).bool(watch) }

// multiBody sets both nodes, after a check that the first exists.
func multiBody(own, shared string, value []byte) body {
	part := func(b body, op wire.OpCode) body { return b.int(int32(op)).bool(false).int(-1) }
	b := part(nil, wire.OpCheck)
	b = append(b, deleteBody(own, -1)...)
	b = part(b, wire.OpSetData)
	b = append(b, setDataBody(own, value, -1)...)
	b = part(b, wire.OpSetData)
	b = append(b, setDataBody(shared, value, -1)...)
	return b.int(-1).bool(true).int(-1)
}

// reader takes fields off a record.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err = errShort
		r.b = nil
		return make([]byte, 8)
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) int() int32      { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *reader) long() int64     { return int64(binary.BigEndian.Uint64(r.take(8))) }
func (r *reader) zxid() wire.Zxid { return wire.Zxid(r.long()) }
func (r *reader) buf() []byte {
	n := r.int()
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(int(n))
}

func (r *reader) stat() (s wire.Stat) {
	s.Czxid, s.Mzxid = r.zxid(), r.zxid()
	s.Ctime, s.Mtime = r.long(), r.long()
	s.Version, s.Cversion, s.Aversion = r.int(), r.int(), r.int()
	s.EphemeralOwner = r.long()
	s.DataLength, s.NumChildren = r.int(), r.int()
	s.Pzxid = r.zxid()
	return s
}

func splitReply(frame []byte) (wire.ReplyHeader, []byte, error) {
	r := reader{b: frame}
	h := wire.ReplyHeader{Xid: r.int(), Zxid: r.zxid(), Err: wire.ErrCode(r.int())}
	return h, r.b, r.err
}

// decodeAnswer reads what follows the header; nothing may be left.
func decodeAnswer(op *operation, h wire.ReplyHeader, b []byte) (*answer, error) {
	a := &answer{header: h}
	r := reader{b: b}
	if h.Err == wire.ErrOK {
		switch op.op {
		case wire.OpCreate, wire.OpSync:
			a.path = string(r.buf())
		case wire.OpAddWatch:
			if code := r.int(); code != 0 {
				return a, fmt.Errorf("addWatch answers with %d", code)
			}
		case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
			a.path = string(r.buf())
			a.stat = r.stat()
		case wire.OpSetData, wire.OpExists:
			a.stat = r.stat()
		case wire.OpGetData, wire.OpReconfig:
			a.data = r.buf()
			a.stat = r.stat()
		case wire.OpGetChildren2:
			for n := r.int(); n > 0 && r.err == nil; n-- {
				a.children = append(a.children, string(r.buf()))
			}
			a.stat = r.stat()
		case wire.OpMulti:
			decodeMulti(a, &r)
		}
	}
	if r.err == nil && len(r.b) > 0 {
		return nil, errors.New("bytes after the record")
	}
	return a, r.err
}

func decodeMulti(a *answer, r *reader) {
	for r.err == nil {
		op := wire.OpCode(r.int())
		done := r.take(1)[0] != 0
		r.int()
		switch {
		case done:
			return
		case op == wire.OpError:
			if code := wire.ErrCode(r.int()); code != wire.ErrOK && a.failed == wire.ErrOK {
				a.failed = code
			}
		case op == wire.OpSetData:
			r.stat()
		}
	}
}

func isWrite(op wire.OpCode) bool {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpMulti, wire.OpReconfig, wire.OpCloseSession:
		return true
	}
	return false
}
