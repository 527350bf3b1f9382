//go:build diff

package diff

import (
	"math"

	"github.com/zkctl/zkctl/wire"
)

// together asks for several things without waiting.
func (s *script) together(slot int, requests ...asked) []line {
	s.t.Helper()
	for i := range requests {
		s.xid++
		requests[i].Xid = s.xid
	}
	bye := requests[len(requests)-1].Type == wire.OpCloseSession
	return s.do(step{slot: slot, request: &requests[0].RequestHeader, body: requests[0].body, more: requests[1:], bye: bye})
}

func request(op wire.OpCode, b body) asked { return asked{wire.RequestHeader{Type: op}, b} }

// xids: every request under numbers that mean something else elsewhere.
func xids(s *script) {
	fences := [2]wire.RequestHeader{s.ours.fence, s.theirs.fence}
	defer func() { s.ours.fence, s.theirs.fence = fences[0], fences[1] }()
	for _, side := range []*side{s.ours, s.theirs} {
		side.fence = wire.RequestHeader{Xid: fenceXid, Type: wire.OpSync} // the answer to a ping would look like one to these
	}
	s.create(0, "/xid", "")
	for _, xid := range []int32{0, -1, -2, -4, -8, -100, math.MinInt32, math.MaxInt32, 7, 7} {
		for _, r := range []asked{
			request(wire.OpExists, read("/xid", true)), request(wire.OpGetData, read("/none", true)), request(wire.OpGetChildren, read("/xid", true)),
			request(wire.OpSetData, setData("/xid", nil, -1)), request(wire.OpCreate, create("/xid/a", nil, open, 0)),
			request(wire.OpDelete, pathVersion("/xid/a", -1)), request(wire.OpMulti, body{}.part(wire.OpCheck, pathVersion("/xid", 77)).end()),
			request(wire.OpMultiRead, body{}.part(wire.OpGetData, read("/xid", false)).end()), request(wire.OpSync, onlyPath("/")),
			request(wire.OpSetWatches, body{}.long(0).strs([]string{"/xid"}).strs([]string{"/xid"}).strs([]string{"/none"})),
			request(wire.OpAddWatch, pathVersion("/xid", 0)), request(wire.OpRemoveWatches, pathVersion("/xid", 3)),
			request(wire.OpAuth, authPacket("digest", []byte("a:b"))), request(wire.OpSASL, body{}.buf(nil)), request(wire.OpWhoAmI, nil),
			request(wire.OpPing, nil), request(wire.OpPing, body("more")), request(wire.OpCreate, body{1}), request(opUnknown, nil),
		} {
			r.Xid = xid
			s.do(step{slot: 0, request: &r.RequestHeader, body: r.body, ends: mayEnd(r.Type)})
			if s.ours.conns[0] == nil {
				s.open(0)
			}
		}
		r := wire.RequestHeader{Xid: xid, Type: wire.OpCloseSession}
		s.do(step{slot: 0, request: &r, ends: true})
		s.open(0)
	}
	s.clean("/xid")
}

// order: what is asked for at once is answered in turn. (What comes behind a closeSession may get SESSIONEXPIRED from Apache
// ZooKeeper, if it is read in time.)
func order(s *script) {
	s.ask(1, wire.OpAddWatch, pathVersion("/", 1))
	s.together(0, request(wire.OpCreate, create("/o", nil, open, 0)), request(wire.OpGetChildren, read("/o", true)),
		request(wire.OpCreate2, create("/o/a", nil, open, 0)), request(wire.OpExists, read("/o/a", true)),
		request(wire.OpSetData, setData("/o/a", []byte("1"), 0)), request(wire.OpGetData, read("/o/a", false)),
		request(wire.OpSetData, setData("/o/a", []byte("2"), 0)), request(wire.OpSetData, setData("/o/a", []byte("3"), 1)),
		request(wire.OpDelete, pathVersion("/o", -1)), request(wire.OpDelete, pathVersion("/o/a", 1)), request(wire.OpDelete, pathVersion("/o/a", 2)),
		request(wire.OpGetData, read("/o/a", true)), request(wire.OpGetChildren2, read("/o", false)))
	// A multi that fails leaves to the requests around it what they have changed, not yet applied.
	s.together(0, request(wire.OpCreate, create("/o/b", nil, open, 0)), request(wire.OpSetData, setData("/o/b", []byte("1"), 0)),
		request(wire.OpMulti, body{}.part(wire.OpSetData, setData("/o/b", nil, 1)).part(wire.OpCreate, create("/o/b/c", nil, open, 0)).
			part(wire.OpDelete, pathVersion("/o/b/c", 0)).part(wire.OpCreate, create("/o/s-", nil, open, 2)).part(wire.OpCheck, pathVersion("/none", 0)).end()),
		request(wire.OpSetData, setData("/o/b", nil, 1)), request(wire.OpCreate, create("/o/s-", nil, open, 2)),
		request(wire.OpMulti, body{}.part(wire.OpCreate, create("/o/s-", nil, open, 2)).part(wire.OpCreate, create("/o/s-", nil, open, 3)).
			part(wire.OpCreate2, create("/o/", nil, open, 2)).end()),
		request(wire.OpGetChildren2, read("/o", false)), request(wire.OpExists, read("/o/b", false)))
	s.together(0, request(wire.OpCreate, create("/o/e", nil, open, 1)), request(wire.OpGetEphemerals, onlyPath("/")),
		request(wire.OpCloseSession, nil))
	s.open(0)
	s.look(1, "/o")
	s.together(0, request(wire.OpCreate, create("/o/f", nil, open, 1)), request(wire.OpDelete, pathVersion("/o/f", 0)),
		request(wire.OpCreate, create("/o/f", nil, open, 1)), request(wire.OpMulti, body{}.part(wire.OpDelete, pathVersion("/o/f", 0)).
			part(wire.OpCreate, create("/o/f", nil, open, 0)).end()), request(wire.OpCloseSession, nil))
	s.open(0)
	s.look(0, "/o/f")
	// A frame that looks like a second ConnectRequest is a request; what is sent behind the first one waits.
	s.do(step{slot: 0, bytes: connectFrame(connection().Append(nil))})
	s.do(step{slot: 0, connect: connection(), from: -1, more: []asked{
		{wire.RequestHeader{Xid: 1, Type: wire.OpCreate}, create("/o/g", nil, open, 1)}, {wire.RequestHeader{Xid: 2, Type: wire.OpGetChildren}, read("/o", false)},
	}})
	s.do(step{slot: 0})
	s.do(step{slot: 0, connect: connection(), from: 0, more: []asked{
		{wire.RequestHeader{Xid: 1, Type: wire.OpGetEphemerals}, onlyPath("/o")}, {wire.RequestHeader{Xid: 2, Type: wire.OpCloseSession}, nil},
	}, bye: true})
	s.open(0)
	for _, path := range []string{"/o/b", "/o/f", "/o/0000000007", "/o/s-0000000003", "/o/s-0000000004", "/o/s-0000000005", "/o/0000000006"} {
		s.ask(0, wire.OpDelete, pathVersion(path, -1))
	}
	s.ask(0, wire.OpGetChildren2, read("/o", false))
}
