// Package session tracks which sessions are alive on the server that decides about it: the leader, or a standalone
// server.
//
// A Tracker gives these guarantees:
//
//  1. A session expires no earlier than its timeout after the last touch, and no later than one tick after that, unless more
//     than the caller wants do (org.apache.zookeeper.server.ExpiryQueue: expiry times are rounded up to the next tick).
//  2. A session is reported as expired once.
//  3. A session that is closing, because it expired or its close was proposed, is never touched or checked
//     successfully again.
//  4. A session has at most one owner; a request from elsewhere is SESSIONMOVED until the owner changes.
//
// The package has no clock. Every time is a reading of the caller's monotonic clock.
package session

import (
	"maps"
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Owner names where a session is connected: this server itself or one of its learners. The zero Owner is nobody.
type Owner uint64

// Tracker holds the live sessions. It is not safe for concurrent use.
type Tracker struct {
	tick     time.Duration
	sessions map[wire.SessionID]*state
	// buckets maps the number of a tick to the sessions registered to be looked at when it ends. A touch only
	// moves state.expires; the session goes on to its new bucket when the old one comes up.
	buckets map[int64][]wire.SessionID
	next    int64 // no bucket before this one
}

// state is one session.
type state struct {
	timeout time.Duration
	expires int64 // tick at whose start the session is over
	bucket  int64 // the bucket in which it is registered; entries in other buckets are stale
	owner   Owner
	closing bool
}

// NewTracker returns a tracker whose expiry times are multiples of tick.
func NewTracker(tick time.Duration) *Tracker {
	return &Tracker{
		tick:     max(tick, 1),
		sessions: make(map[wire.SessionID]*state),
		buckets:  make(map[int64][]wire.SessionID),
		next:     -1 << 62,
	}
}

// Add begins to track a session that has no owner yet, or touches it if it is tracked already, which also changes
// its timeout.
func (t *Tracker) Add(id wire.SessionID, timeout time.Duration, now time.Duration) {
	if _, ok := t.sessions[id]; !ok {
		s := &state{timeout: timeout, expires: t.expiry(timeout, now)}
		t.sessions[id] = s
		t.register(id, s)
		return
	}
	t.Renew(id, timeout, now)
}

// Touch says that the session was heard of, and reports whether it is alive.
func (t *Tracker) Touch(id wire.SessionID, now time.Duration) bool {
	s, ok := t.sessions[id]
	if !ok || s.closing {
		return false
	}
	t.move(id, s, t.expiry(s.timeout, now))
	return true
}

// Renew touches the session and gives it the timeout of its newest connection. It reports whether it is alive.
func (t *Tracker) Renew(id wire.SessionID, timeout time.Duration, now time.Duration) bool {
	s, ok := t.sessions[id]
	if !ok || s.closing {
		return false
	}
	s.timeout = timeout
	t.move(id, s, t.expiry(timeout, now))
	return true
}

// SetOwner makes the connection of a renewed session the owner, whoever it was before. It reports whether the
// session is alive.
func (t *Tracker) SetOwner(id wire.SessionID, owner Owner) bool {
	s, ok := t.sessions[id]
	if !ok || s.closing {
		return false
	}
	s.owner = owner
	return true
}

// Check says whether a request that came by way of owner may act for the session: wire.ErrOK,
// wire.ErrSessionExpired for an unknown or closing session, wire.ErrSessionMoved if it belongs to another owner. A
// session without an owner takes this one.
func (t *Tracker) Check(id wire.SessionID, owner Owner) wire.ErrCode {
	s, ok := t.sessions[id]
	switch {
	case !ok || s.closing:
		return wire.ErrSessionExpired
	case s.owner == 0:
		s.owner = owner
	case s.owner != owner:
		return wire.ErrSessionMoved
	}
	return wire.ErrOK
}

// SetClosing marks the session as closing: its closeSession is on the way. Unknown sessions are ignored.
func (t *Tracker) SetClosing(id wire.SessionID) {
	if s, ok := t.sessions[id]; ok {
		s.closing = true
	}
}

// Remove forgets a session after its closeSession was applied.
func (t *Tracker) Remove(id wire.SessionID) { delete(t.sessions, id) }

// Alive reports whether the session is known and not closing.
func (t *Tracker) Alive(id wire.SessionID) bool {
	s, ok := t.sessions[id]
	return ok && !s.closing
}

// Known reports whether the session is tracked, alive or closing.
func (t *Tracker) Known(id wire.SessionID) bool {
	_, ok := t.sessions[id]
	return ok
}

// Len returns the number of sessions, closing ones included.
func (t *Tracker) Len() int { return len(t.sessions) }

// Expire returns sessions whose time is over, in ascending order, and marks them closing: all, or as many as limit, if that is
// positive, and the others at the next calls. The caller proposes their closeSession.
func (t *Tracker) Expire(now time.Duration, limit int) []wire.SessionID {
	until := floorDiv(now, t.tick)
	if until < t.next {
		return nil
	}
	var due []int64
	for b := range t.buckets {
		if b <= until {
			due = append(due, b)
		}
	}
	slices.Sort(due)
	var expired []wire.SessionID
	for _, b := range due {
		ids := t.buckets[b]
		delete(t.buckets, b)
		for i, id := range ids {
			if limit > 0 && len(expired) == limit {
				t.buckets[b], t.next = ids[i:], b
				slices.Sort(expired)
				return expired
			}
			s, ok := t.sessions[id]
			switch {
			case !ok || s.closing || s.bucket != b:
			case s.expires > until:
				t.register(id, s)
			default:
				s.closing = true
				expired = append(expired, id)
			}
		}
	}
	t.next = until + 1
	slices.Sort(expired)
	return expired
}

// Due are the sessions that are over at one moment, unless they are heard of before.
type Due struct {
	// At is a reading of the caller's clock, a multiple of the tick.
	At  time.Duration
	IDs []wire.SessionID
}

// Due lists the sessions that are not closing, ids in ascending order, by the moment at which they would expire.
func (t *Tracker) Due() []Due {
	byTick := make(map[int64][]wire.SessionID)
	for id, s := range t.sessions {
		if !s.closing {
			byTick[s.expires] = append(byTick[s.expires], id)
		}
	}
	due := make([]Due, 0, len(byTick))
	for _, tick := range slices.Sorted(maps.Keys(byTick)) {
		slices.Sort(byTick[tick])
		due = append(due, Due{At: time.Duration(tick) * t.tick, IDs: byTick[tick]})
	}
	return due
}

// expiry rounds the end of a timeout that begins now up to the next tick.
func (t *Tracker) expiry(timeout, now time.Duration) int64 { return floorDiv(now+timeout, t.tick) + 1 }

// move sets a new expiry time. Only an earlier one needs a bucket of its own.
func (t *Tracker) move(id wire.SessionID, s *state, expires int64) {
	s.expires = expires
	if expires < s.bucket {
		t.register(id, s)
	}
}

func (t *Tracker) register(id wire.SessionID, s *state) {
	s.bucket = s.expires
	t.buckets[s.bucket] = append(t.buckets[s.bucket], id)
	t.next = min(t.next, s.bucket)
}

func floorDiv(d, by time.Duration) int64 {
	q := d / by
	if d%by < 0 {
		q--
	}
	return int64(q)
}
