//go:build diff

package diff

import (
	"math"

	"github.com/zkctl/zkctl/wire"
)

// connections: first frames of every kind.
func connections(s *script) {
	end := func(slot int) {
		s.t.Helper()
		if s.ours.conns[slot] != nil {
			s.ask(slot, wire.OpPing, nil)
			s.ask(slot, wire.OpCloseSession, nil)
		}
	}
	dial := func(change func(*step)) {
		s.t.Helper()
		st := step{slot: 3, connect: connection(), from: -1}
		change(&st)
		s.do(st)
		end(3)
	}
	for _, timeout := range []int32{math.MinInt32, -1, 0, 1, 59999, 60000, 60001, 86400000, 86400001, math.MaxInt32} {
		dial(func(st *step) { st.connect.TimeOut = timeout })
	}
	for _, passwd := range [][]byte{nil, {}, make([]byte, 1), make([]byte, 15), make([]byte, 17), make([]byte, 1000)} {
		dial(func(st *step) { st.connect.Passwd = passwd })
		dial(func(st *step) { st.connect.Passwd, st.connect.SessionID = passwd, 0x1234 })
	}
	for _, version := range []int32{-1, 1, 7, math.MaxInt32} {
		dial(func(st *step) { st.connect.ProtocolVersion = version })
	}
	for _, id := range []wire.SessionID{1, -1, math.MinInt64, 0x100000000000000} {
		dial(func(st *step) { st.connect.SessionID = id })
	}
	// The right password of a session that never was.
	never := []byte{0x05, 0x4c, 0xc7, 0x4a, 0x37, 0x32, 0x7d, 0xb2, 0x15, 0xe7, 0x02, 0xe2, 0x0c, 0x73, 0xf0, 0x05}
	dial(func(st *step) { st.connect.SessionID, st.connect.Passwd = 1, never })
	for _, zxid := range []wire.Zxid{-1, math.MinInt64, 0, 1} {
		dial(func(st *step) { st.connect.LastZxidSeen = zxid })
	}
	dial(func(st *step) { st.ahead = true })
	dial(func(st *step) { st.connect.LastZxidSeen = math.MaxInt64 })
	dial(func(st *step) { st.connect.HasReadOnly = false })
	dial(func(st *step) { st.connect.ReadOnly = true })
	dial(func(st *step) { st.tail = []byte("behind it") })
	for n := 1; n <= 45; n++ {
		dial(func(st *step) { st.cut = n })
	}
	for _, b := range [][]byte{{}, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 2, 1, 2}} {
		s.open(3)
		if len(b) > 0 {
			s.do(step{slot: 3, bytes: b})
		} else {
			s.do(step{slot: 3})
		}
	}
}

// sessions: lost, resumed, moved, closed, and their ephemeral nodes.
func sessions(s *script) {
	resume := func(slot, from int, spoil bool) {
		s.t.Helper()
		s.do(step{slot: slot, connect: connection(), from: from, spoil: spoil})
	}
	s.ask(1, wire.OpAddWatch, pathVersion("/", 1))
	s.ask(0, wire.OpCreate2, create("/e", []byte("x"), open, 1))
	s.ask(0, wire.OpCreate2, create("/e2", nil, open, 3))
	s.ask(0, wire.OpCreate2, create("/e/x", nil, open, 0))
	s.ask(0, wire.OpGetEphemerals, onlyPath("/"))
	s.ask(0, wire.OpGetEphemerals, onlyPath("/e2"))
	s.ask(1, wire.OpGetEphemerals, onlyPath("/"))
	s.auth(0, "alice:a")
	s.ask(0, wire.OpGetData, read("/e", true))
	s.do(step{slot: 0}) // hangs up
	s.look(1, "/e")
	resume(0, 0, true)
	resume(0, 0, false)
	s.ask(0, wire.OpWhoAmI, nil) // ids are of connections
	s.ask(1, wire.OpSetData, setData("/e", nil, -1))
	resume(2, 0, false) // moves
	s.ask(2, wire.OpGetEphemerals, onlyPath("/"))
	resume(3, 2, true) // a wrong password, while the session is connected
	s.open(2)
	resume(2, 0, false)
	s.ask(2, wire.OpCloseSession, nil)
	resume(2, 2, false) // is over
	s.look(1, "/e")
	s.open(2)
	s.ask(2, wire.OpCreate, create("/e", nil, open, 1))
	s.ask(1, wire.OpMulti, body{}.part(wire.OpDelete, pathVersion("/e", -1)).part(wire.OpCreate, create("/e", nil, open, 1)).end())
	s.close(2)
	s.look(0, "/e")
	s.close(1)
	s.open(0)
	s.look(0, "/e")
}

// watches: every kind of watch and every change, one at a time.
func watches(s *script) {
	type registration func(slot int, path string)
	request := func(op wire.OpCode, b func(path string) body) registration {
		return func(slot int, path string) { s.ask(slot, op, b(path)) }
	}
	watched := func(path string) body { return read(path, true) }
	far := func(list int) func(string) body { // setWatches from the future: nothing has happened since
		return func(path string) body {
			b := body{}.long(math.MaxInt64)
			for i := range 5 {
				if i == list {
					b = b.strs([]string{path})
				} else {
					b = b.strs([]string{})
				}
			}
			return b
		}
	}
	kinds := []registration{
		request(wire.OpExists, watched), request(wire.OpGetData, watched), request(wire.OpGetChildren, watched),
		request(wire.OpGetChildren2, watched),
		request(wire.OpAddWatch, func(path string) body { return pathVersion(path, 0) }),
		request(wire.OpAddWatch, func(path string) body { return pathVersion(path, 1) }),
	}
	for list := range 5 {
		kinds = append(kinds, request(wire.OpSetWatches2, far(list)))
	}
	multi := body{}.part(wire.OpCreate, create("/w/p/m", nil, open, 0)).part(wire.OpSetData, setData("/w/p/m", nil, -1)).
		part(wire.OpSetData, setData("/w/p", nil, -1)).part(wire.OpDelete, pathVersion("/w/p/m", -1)).end()
	changes := []struct {
		op wire.OpCode
		b  body
	}{
		{wire.OpCreate, create("/w/p", nil, open, 0)},
		{wire.OpSetData, setData("/w/p", []byte("x"), -1)},
		{wire.OpSetACL, setACL("/w/p", open, -1)},
		{wire.OpCreate2, create("/w/p/c", nil, open, 1)},
		{wire.OpSetData, setData("/w/p/c", nil, -1)},
		{wire.OpMulti, multi},
		{wire.OpMulti, append(append(body{}, multi[:len(multi)-9]...), body{}.part(wire.OpCheck, pathVersion("/none", 0)).end()...)},
		{wire.OpDelete, pathVersion("/w/p/c", -1)},
		{wire.OpDelete, pathVersion("/w/p", 77)},
		{wire.OpDelete, pathVersion("/w/p", -1)},
	}
	s.create(0, "/w", "")
	for _, register := range kinds {
		for _, path := range []string{"/w/p", "/w", "/", "/w/p/c"} {
			register(1, path) // once for the whole life of the node
			for _, c := range changes {
				register(2, path) // anew for each change
				s.ask(0, c.op, c.b)
				s.ask(2, wire.OpRemoveWatches, pathVersion(path, 3))
			}
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
		}
	}
	// Data and child watches side by side; the end of a session; a watch that is lost with its connection.
	for round := range 3 {
		s.create(0, "/w/p", "")
		kinds[0](1, "/w/p")
		kinds[2](1, "/w/p")
		kinds[2](1, "/w")
		kinds[5](2, "/")
		switch round {
		case 1:
			s.ask(1, wire.OpRemoveWatches, pathVersion("/w/p", 1))
		case 2:
			s.ask(1, wire.OpRemoveWatches, pathVersion("/w/p", 2))
		}
		s.open(3)
		s.ask(3, wire.OpCreate, create("/w/p/e", nil, open, 1))
		s.ask(3, wire.OpCreate, create("/w/e", nil, open, 1))
		s.close(3)
		s.clean("/w/p")
	}
	s.ask(1, wire.OpGetChildren, read("/w", true))
	s.do(step{slot: 1})
	s.do(step{slot: 1, connect: connection(), from: 1})
	s.create(0, "/w/x", "")
	s.clean("/w/x", "/w")
	for _, mode := range []int32{-1, 2, 3, 4, math.MaxInt32} {
		s.ask(1, wire.OpAddWatch, pathVersion("/w", mode))
	}
	s.ask(1, wire.OpExists, read("/w", true))
	for _, kind := range []int32{-1, 0, 4, 5, 6, math.MaxInt32, 1, 2, 2} {
		s.ask(1, wire.OpCheckWatches, pathVersion("/w", kind))
		s.ask(1, wire.OpRemoveWatches, pathVersion("/w", kind))
	}
}

// setWatches: what has happened since a zxid, at it and around it.
func setWatches(s *script) {
	s.create(0, "/s", "")
	s.create(0, "/s/c", "")
	s.ask(0, wire.OpSetData, setData("/s", nil, -1))
	ours, theirs := s.ours.last, s.theirs.last
	s.clean("/s/c")
	s.create(0, "/s/d", "")
	zxids := [][2]wire.Zxid{{math.MinInt64, math.MinInt64}, {-1, -1}, {0, 0}, {math.MaxInt64, math.MaxInt64}}
	for near := wire.Zxid(-3); near <= 3; near++ {
		zxids = append(zxids, [2]wire.Zxid{ours + near, theirs + near})
	}
	for n, zxid := range zxids {
		for _, path := range []string{"/s", "/s/c", "/s/d", "/", "/zookeeper/config", "/none"} {
			for list := range 5 {
				b := body{}.long(0)
				for i := range 5 {
					if i == list {
						b = b.strs([]string{path, path})
					} else {
						b = b.strs([]string{})
					}
				}
				op := wire.OpSetWatches2
				if list < 3 && n%2 == 0 {
					op = wire.OpSetWatches
				}
				s.do(step{slot: 1, request: &wire.RequestHeader{Xid: wire.XidSetWatches, Type: op}, body: b, zxids: &zxid})
			}
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
		}
	}
	s.ask(1, wire.OpSetWatches2, body{}.long(0).strs(nil).strs(nil).strs(nil).strs(nil).strs(nil))
	s.ask(1, wire.OpSetWatches, body{}.long(0).strs(nil).strs(nil).strs(nil))
	s.clean("/s/d", "/s")
}
