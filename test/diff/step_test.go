//go:build diff

package diff

import (
	"fmt"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// slots is how many connections a run has at most; a step names one of them.
const slots = 5

// step is one thing that a client does.
type step struct {
	slot int
	// Exactly one of these is set, or none: then the client hangs up.
	request *wire.RequestHeader // with body
	connect *wire.ConnectRequest
	bytes   []byte // as they are

	body []byte
	// more are requests that are sent together with request or connect, before anything is answered.
	more []asked
	// bye tells that the last of more is closeSession, so that the connection ends without a fence.
	bye bool
	// since puts the zxid that the slot's last connection saw into the front of body, as clients do in setWatches; zxids, if
	// not nil, are what is put there for zkserver and for Apache ZooKeeper.
	since bool
	zxids *[2]wire.Zxid
	// ends tells that the server may close the connection.
	ends bool
	// from is the slot whose session, password and last zxid connect carries, -1 for those it has itself; spoil makes the
	// password wrong, ahead the zxid one that the server has not reached.
	from  int
	spoil bool
	ahead bool
	// tail follows the ConnectRequest in its frame; cut takes bytes off its end.
	tail []byte
	cut  int
}

// asked is one of several requests.
type asked struct {
	wire.RequestHeader
	body []byte
}

// ops are the types of the requests.
func (s step) ops() []wire.OpCode {
	var ops []wire.OpCode
	if s.request != nil {
		ops = append(ops, s.request.Type)
	}
	for _, r := range s.more {
		ops = append(ops, r.Type)
	}
	return ops
}

// writes tells whether other connections may hear of the step.
func (s step) writes() bool {
	if s.request == nil || len(s.more) > 0 {
		return s.connect != nil || len(s.more) > 0
	}
	switch s.request.Type {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData,
		wire.OpSetACL, wire.OpMulti, wire.OpReconfig, wire.OpCloseSession, wire.OpCheck, wire.OpDeleteContainer:
		return true
	}
	return s.ends
}

func (s step) String() string {
	switch {
	case s.request != nil:
		text := fmt.Sprintf("connection %d: %v xid=%d %s", s.slot, s.request.Type, s.request.Xid, describe(s.request.Type, s.body))
		for _, r := range s.more {
			text += fmt.Sprintf("\n      and %v xid=%d %s", r.Type, r.Xid, describe(r.Type, r.body))
		}
		if s.since {
			text += " with the zxid seen last"
		}
		return text
	case s.connect != nil:
		c := *s.connect
		return fmt.Sprintf("connection %d: connect timeout=%d session of %d (-1: %v) wrong password=%v zxid ahead=%v readOnly=%v/%v tail=%d cut=%d",
			s.slot, c.TimeOut, s.from, c.SessionID, s.spoil, s.ahead, c.HasReadOnly, c.ReadOnly, len(s.tail), s.cut)
	case s.bytes != nil:
		return fmt.Sprintf("connection %d: bytes % x", s.slot, s.bytes)
	}
	return fmt.Sprintf("connection %d: hang up", s.slot)
}

// describe is the body of a request for the reader of a report.
func describe(op wire.OpCode, body []byte) string {
	d := wire.NewDecoder(body)
	var v any
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer:
		var r wire.CreateRequest
		r.Decode(d)
		v = r
	case wire.OpCreateTTL:
		var r wire.CreateTTLRequest
		r.Decode(d)
		v = r
	case wire.OpDelete, wire.OpCheck:
		var r wire.VersionRequest
		r.Decode(d)
		v = r
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2:
		var r wire.ReadRequest
		r.Decode(d)
		v = r
	case wire.OpSetData:
		var r wire.SetDataRequest
		r.Decode(d)
		v = r
	case wire.OpSetACL:
		var r wire.SetACLRequest
		r.Decode(d)
		v = r
	case wire.OpSync, wire.OpGetACL, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber:
		v = wire.PathRequest{Path: d.String()}
	case wire.OpAddWatch, wire.OpCheckWatches, wire.OpRemoveWatches:
		var r wire.WatchRequest
		r.Decode(d)
		v = r
	case wire.OpSetWatches, wire.OpSetWatches2:
		var r wire.SetWatchesRequest
		r.Decode(d, op)
		v = r
	case wire.OpMulti, wire.OpMultiRead:
		return describeMulti(d, body)
	default:
		return hex(body)
	}
	text := fmt.Sprintf("%+v", v)
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	if d.Err() != nil || len(d.Rest()) > 0 {
		return fmt.Sprintf("%+q and then %d bytes, %v: %s", text, len(d.Rest()), d.Err(), hex(body))
	}
	return fmt.Sprintf("%+q", text)
}

func describeMulti(d *wire.Decoder, body []byte) string {
	var b strings.Builder
	for d.Err() == nil {
		var h wire.MultiHeader
		h.Decode(d)
		if h.Done {
			return b.String() + "end"
		}
		before := d.Rest()
		switch h.Type {
		case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer:
			new(wire.CreateRequest).Decode(d)
		case wire.OpCreateTTL:
			new(wire.CreateTTLRequest).Decode(d)
		case wire.OpDelete, wire.OpCheck:
			new(wire.VersionRequest).Decode(d)
		case wire.OpSetData:
			new(wire.SetDataRequest).Decode(d)
		case wire.OpGetData, wire.OpGetChildren:
			new(wire.ReadRequest).Decode(d)
		default:
			return b.String() + fmt.Sprintf("%v and then %s", h.Type, hex(d.Rest()))
		}
		fmt.Fprintf(&b, "%v %s; ", h.Type, describe(h.Type, before[:len(before)-len(d.Rest())]))
	}
	return b.String() + hex(body)
}

func hex(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%d bytes % x…", len(b), b[:200])
	}
	return fmt.Sprintf("% x", b)
}
