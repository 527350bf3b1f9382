package clientport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// connRequestBytes is how much of requests one connection may have in process before it is not read.
	connRequestBytes = 4 << 20
	// readingTime is how long the bytes of a request that is being read are kept for it. Who sends more slowly than that
	// keeps nothing from others.
	readingTime = time.Second
)

// room bounds the bytes of requests in process. Long requests wait for their turn before they are read, in the order in
// which they were announced; short ones never do, so that a flood of long ones does not stand before them. It is safe for
// concurrent use.
type room struct {
	limit int64 // not positive for none
	used  atomic.Int64

	waits  atomic.Int32 // of line
	mu     sync.Mutex
	line   []*place
	closed bool
}

// place is one in the line.
type place struct {
	bytes int64
	turn  chan bool // whether the room is open
}

// full tells that there is no room.
func (r *room) full() bool { return r.limit > 0 && r.used.Load() > r.limit }

// take counts bytes without a wait.
func (r *room) take(bytes int) { r.used.Add(int64(bytes)) }

// giveBack counts bytes no more.
func (r *room) giveBack(bytes int) {
	if bytes == 0 {
		return
	}
	r.used.Add(-int64(bytes))
	if r.waits.Load() > 0 {
		r.mu.Lock()
		r.admit()
		r.mu.Unlock()
	}
}

// enter counts bytes when their turn has come; false when the room has been closed.
func (r *room) enter(bytes int) bool {
	if r.limit <= 0 {
		r.take(bytes)
		return true
	}
	p := &place{bytes: int64(bytes), turn: make(chan bool, 1)}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return false
	}
	r.line = append(r.line, p)
	r.waits.Add(1) // before the look at what is used, which giveBack has changed before it looks at this
	r.admit()
	r.mu.Unlock()
	return <-p.turn
}

// admit lets in who is first, as long as there is room. One alone has it, whatever it takes. The lock is held.
func (r *room) admit() {
	for len(r.line) > 0 {
		p := r.line[0]
		if used := r.used.Load(); used > 0 && used+p.bytes > r.limit {
			return
		}
		r.used.Add(p.bytes)
		r.leave(true)
	}
	r.line = nil
}

// leave takes the first one out of the line. The lock is held.
func (r *room) leave(open bool) {
	p := r.line[0]
	r.line[0] = nil
	r.line = r.line[1:]
	r.waits.Add(-1)
	p.turn <- open
}

// close lets everybody go.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for len(r.line) > 0 {
		r.leave(false)
	}
}

// readLarge reads a long frame when there is room for it, and has counted it when it returns without an error.
func (c *conn) readLarge() ([]byte, error) {
	r, bytes := &c.port.room, c.reader.length()
	if !r.enter(bytes) {
		return nil, net.ErrClosed
	}
	slow := time.AfterFunc(readingTime, func() { r.giveBack(bytes) })
	frame, err := c.reader.large()
	kept := slow.Stop()
	switch {
	case err != nil && kept:
		r.giveBack(bytes)
	case err == nil && !kept:
		r.take(bytes)
	}
	return frame, err
}
