//go:build diff

package diff

import (
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// script plays steps by hand.
type script struct {
	t *testing.T
	*pair
	xid int32
}

// do plays a step, and returns what zkserver answered.
func (s *script) do(st step) []line {
	s.t.Helper()
	got, err := s.play(st)
	if err != nil {
		s.t.Error(err)
		if s.budget--; s.budget <= 0 {
			s.t.FailNow()
		}
	}
	return got[st.slot]
}

// open opens a session, after closing what the slot had.
func (s *script) open(slots ...int) {
	s.t.Helper()
	for _, slot := range slots {
		s.close(slot)
		s.do(step{slot: slot, connect: connection(), from: -1})
	}
}

func (s *script) close(slot int) {
	s.t.Helper()
	if s.ours.conns[slot] != nil {
		s.ask(slot, wire.OpCloseSession, nil)
	}
}

// ask sends a request. One that ends the connection is followed by a new session.
func (s *script) ask(slot int, op wire.OpCode, b body) []line {
	s.t.Helper()
	s.xid++
	got := s.do(step{slot: slot, request: &wire.RequestHeader{Xid: s.xid, Type: op}, body: b, ends: mayEnd(op)})
	if s.ours.conns[slot] == nil && op != wire.OpCloseSession {
		s.open(slot)
	}
	return got
}

func mayEnd(op wire.OpCode) bool {
	switch op {
	case wire.OpAuth, wire.OpSASL, wire.OpCloseSession, wire.OpDeleteContainer:
		return true
	}
	return op.String()[:2] == "op" || op == wire.OpError || op == wire.OpNotification
}

// auth authenticates with user:password.
func (s *script) auth(slot int, userPassword string) {
	s.t.Helper()
	s.ask(slot, wire.OpAuth, authPacket("digest", []byte(userPassword)))
}

func (s *script) create(slot int, path string, data string) {
	s.t.Helper()
	s.ask(slot, wire.OpCreate2, create(path, []byte(data), open, 0))
}

// clean deletes nodes, the deepest first in the argument.
func (s *script) clean(paths ...string) {
	s.t.Helper()
	for _, path := range paths {
		s.ask(0, wire.OpDelete, pathVersion(path, -1))
	}
}

// look reads everything about a node.
func (s *script) look(slot int, path string) {
	s.t.Helper()
	s.ask(slot, wire.OpExists, read(path, false))
	s.ask(slot, wire.OpGetData, read(path, false))
	s.ask(slot, wire.OpGetChildren2, read(path, false))
	s.ask(slot, wire.OpGetACL, onlyPath(path))
}
