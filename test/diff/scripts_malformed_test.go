//go:build diff

package diff

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/zkctl/zkctl/wire"
)

// sizes: data that is null, empty and large, and frames at the limit.
func sizes(s *script) {
	for _, data := range [][]byte{nil, {}, {0}, bytes.Repeat([]byte("x"), 1<<16), bytes.Repeat([]byte("y"), 1000000)} {
		s.ask(0, wire.OpCreate2, create("/size", data, open, 0))
		s.look(0, "/size")
		s.ask(0, wire.OpSetData, setData("/size", nil, -1))
		s.ask(0, wire.OpSetData, setData("/size", data, -1))
		s.look(0, "/size")
		s.clean("/size")
	}
	for _, extra := range []int{-1, 0, 1} {
		rest := 8 + len(create("/size", []byte{}, open, 0))
		st := step{slot: 0, request: &wire.RequestHeader{Xid: 1, Type: wire.OpCreate}, body: create("/size", make([]byte, 0xfffff-rest+extra), open, 0)}
		s.do(st)
		if s.ours.conns[0] == nil {
			s.open(0)
		}
		s.clean("/size")
	}
	for _, b := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}, []byte("ruok"), []byte("stat")} {
		s.do(step{slot: 0, bytes: b})
		s.open(0)
	}
}

// wholes are requests that can be read to their end.
func wholes() []step {
	var steps []step
	add := func(op wire.OpCode, b body) {
		steps = append(steps, step{request: &wire.RequestHeader{Xid: 5, Type: op}, body: b})
	}
	mixed := aclList{open[0], {1, "ip", "127.0.0.1"}}
	for _, op := range []wire.OpCode{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer} {
		add(op, create("/r/cut", []byte("abcd"), mixed, 1))
	}
	add(wire.OpCreateTTL, createTTL("/r/cut", []byte("abcd"), mixed, 5, 1<<30))
	add(wire.OpDelete, pathVersion("/r/cut", -1))
	for _, op := range []wire.OpCode{wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2} {
		add(op, read("/r/cut", false))
	}
	add(wire.OpSetData, setData("/r/cut", []byte("abcd"), -1))
	add(wire.OpSetACL, setACL("/r/cut", mixed, -1))
	for _, op := range []wire.OpCode{wire.OpGetACL, wire.OpSync, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber} {
		add(op, onlyPath("/r/cut"))
	}
	add(wire.OpMulti, body{}.part(wire.OpCreate, create("/r/cut2", []byte("x"), open, 1)).part(wire.OpCheck, pathVersion("/r", -1)).
		part(wire.OpSetData, setData("/r/cut2", nil, 0)).part(wire.OpDelete, pathVersion("/r/cut2", 1)).end())
	add(wire.OpMultiRead, body{}.part(wire.OpGetData, read("/r", false)).part(wire.OpGetChildren, read("/r/none", false)).end())
	add(wire.OpAddWatch, pathVersion("/r/cut", 0))
	add(wire.OpCheckWatches, pathVersion("/r/cut", 3))
	add(wire.OpRemoveWatches, pathVersion("/r/cut", 3))
	lists := body{}.long(0).strs([]string{"/r/cut"}).strs([]string{"/r/x", "/r/y"}).strs([]string{"/r/cut"})
	add(wire.OpSetWatches, lists)
	add(wire.OpSetWatches2, body(slices.Clone(lists)).strs([]string{"/r/p"}).strs([]string{}))
	add(wire.OpReconfig, body{}.str(null).str("1").str(null).long(-1))
	return steps
}

// cutRecords: every record cut at every byte, and with more behind it.
func cutRecords(s *script) {
	s.create(0, "/r", "")
	for _, st := range wholes() {
		if s.neverAnswered(st) {
			continue
		}
		for n := range len(st.body) {
			cut := st
			cut.body = st.body[:n]
			s.do(cut)
		}
		st.body = append(slices.Clone(st.body), "behind it"...)
		s.do(st)
		s.clean("/r/cut", "/r/cut2")
	}
	for _, op := range []wire.OpCode{wire.OpPing, wire.OpWhoAmI} {
		s.ask(0, op, body("behind it"))
	}
}

// neverAnswered tells that a learner of Apache ZooKeeper waits for ever for its leader's answer if the request cannot be read.
func (s *script) neverAnswered(st step) bool {
	return len(s.theirs.addrs) > 1 && isRequest(st, wire.OpReconfig)
}

// numbers: every four bytes of every record replaced by a number that lengths and counts rarely are.
func numbers(s *script) {
	for _, st := range wholes() {
		if isRequest(st, wire.OpAddWatch, wire.OpSetWatches, wire.OpSetWatches2) || s.neverAnswered(st) {
			continue // a null path in a watch, and Apache ZooKeeper can never close the connection
		}
		for at := range len(st.body) - 3 {
			for _, number := range []uint32{0xffffffff, 0xfffffffe, 0, 1, 0x7fffffff, 0x80000000, 0x00100000} {
				other := st
				other.body = slices.Clone(st.body)
				binary.BigEndian.PutUint32(other.body[at:], number)
				s.do(other)
			}
		}
		s.open(0, 1)
		s.clean("/r/cut", "/r/cut2")
	}
}

// unknown: types of no request, and those that are not for clients.
func unknown(s *script) {
	for _, op := range []wire.OpCode{math.MinInt32, -100, -12, -2, -1, 0, 10, 23, 42, 99, 102, 108, 1000, math.MaxInt32} {
		s.ask(0, op, onlyPath("/"))
		s.ask(0, op, nil)
	}
	// Nor may clients send a createSession or a check of its own, but Apache ZooKeeper takes them and is not well afterwards.
	s.ask(0, wire.OpDeleteContainer, onlyPath("/none"))
	s.look(0, "/")
}
