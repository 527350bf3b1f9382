package sim

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// heard is when a session last reached a leader.
type heard struct {
	leader int
	at     time.Duration
}

// ephemeralCheck: a session ends when it is closed or after its whole timeout without a sign of life, not earlier, and its
// ephemeral nodes end with it.
type ephemeralCheck struct {
	w      *World
	heard  map[wire.SessionID]heard
	closed map[wire.SessionID]wire.Zxid
}

// proposed sees a txn on its way to a log.
func (c *ephemeralCheck) proposed(m *machine, zxid wire.Zxid, bytes []byte) {
	h := header(bytes)
	if m.leading() {
		switch last, ok := c.heard[h.Session]; {
		case h.Type != wire.OpCloseSession:
			c.heard[h.Session] = heard{leader: m.index, at: c.w.now}
		case h.Cxid == 0 && ok && last.leader == m.index && c.w.now-last.at < clientTimeout:
			c.w.fail("sessions", "%s expires session %v %v after its last request", m.name, h.Session, c.w.now-last.at)
		}
	}
	if h.Type == wire.OpCloseSession {
		c.closed[h.Session] = zxid
	}
	if h.Type == wire.OpCreateSession && binary.BigEndian.Uint32(bytes[32:]) == 0 {
		c.w.fail("sessions", "session %v has no timeout", h.Session)
	}
}

// ended is the txn that ended a session, if that is committed. A server without an ensemble gives zxids again that it lost with
// the power.
func (c *ephemeralCheck) ended(session wire.SessionID) (zxid wire.Zxid, ok bool) {
	zxid = c.closed[session]
	t, ok := c.w.checks.history.committed[zxid]
	if !ok {
		return 0, false
	}
	h := header(t.bytes)
	return zxid, h.Type == wire.OpCloseSession && h.Session == session
}

// finish checks a machine's tree when everything is quiet.
func (c *ephemeralCheck) finish(m *machine) {
	t := m.node.Tree()
	for _, owner := range t.EphemeralOwners() {
		if _, ok := t.Session(owner); !ok {
			c.w.fail("ephemerals live as long as their sessions", "%s has %v of session %v, which is over", m.name, t.Ephemerals(owner), owner)
		}
	}
}

// same checks that machines agree on what is outside the digest.
func (c *ephemeralCheck) same(a, b *machine) {
	if !slices.Equal(a.node.Tree().Sessions(), b.node.Tree().Sessions()) {
		c.w.fail("equal state at equal zxid", "%s and %s differ in their sessions", a.name, b.name)
	}
	if !slices.Equal(a.node.Tree().EphemeralOwners(), b.node.Tree().EphemeralOwners()) {
		c.w.fail("equal state at equal zxid", "%s and %s differ in the owners of ephemerals", a.name, b.name)
	}
}
