package clientport

import (
	"net"
	"slices"
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
	// leftTime is how long the requests of a connection that has ended count as in process, of which nobody tells when they are
	// not any more.
	leftTime = time.Second
)

// room bounds the bytes of requests in process. Long requests, which do not fit into the buffer of a reader, wait for their
// turn before they are read, in the order in which they were announced; short ones never do, so that a flood of long ones
// does not stand before them. It is safe for concurrent use.
type room struct {
	limit int64 // not positive for none
	used  atomic.Int64
	long  atomic.Int64 // of used, by long requests

	waits  atomic.Int32 // of line
	mu     sync.Mutex
	line   []*place
	closed bool
}

// place is one in the line.
type place struct {
	bytes int64
	turn  chan bool // whether the room is open
	gone  bool      // under the room's lock: whoever had it does not want it any more
}

func isLong(bytes int) bool { return bytes > readBytes-lengthBytes }

// full tells that there is no room.
func (r *room) full() bool { return r.limit > 0 && r.used.Load() > r.limit }

// take counts bytes without a wait.
func (r *room) take(bytes int) {
	r.used.Add(int64(bytes))
	if isLong(bytes) {
		r.long.Add(int64(bytes))
	}
}

// giveBack counts bytes no more.
func (r *room) giveBack(bytes int) {
	if bytes == 0 {
		return
	}
	r.used.Add(-int64(bytes))
	if isLong(bytes) {
		r.long.Add(-int64(bytes))
	}
	if r.waits.Load() > 0 {
		r.mu.Lock()
		r.admit()
		r.mu.Unlock()
	}
}

// enter puts a place at the end of the line, whose turn says when its bytes are counted; false when the room has been
// closed, or the place given up.
func (r *room) enter(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || p.gone {
		p.turn <- false
		return
	}
	r.line = append(r.line, p)
	r.waits.Add(1) // before the look at what is used, which giveBack has changed before it looks at this
	r.admit()
}

// giveUp takes a place out of the line, where it may not be yet, or not any more.
func (r *room) giveUp(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.gone = true
	if i := slices.Index(r.line, p); i >= 0 {
		r.line = slices.Delete(r.line, i, i+1)
		r.waits.Add(-1)
		p.turn <- false
		r.admit()
	}
}

// admit lets in who is first, as long as there is room. One alone among the long ones has it, whatever it takes. The lock is
// held.
func (r *room) admit() {
	for len(r.line) > 0 {
		p := r.line[0]
		if r.limit > 0 && r.long.Load() > 0 && r.used.Load()+p.bytes > r.limit {
			return
		}
		r.take(int(p.bytes))
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
	if !c.awaitTurn(bytes) {
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

// awaitTurn waits until so many bytes may be read, and has counted them if it returns true. Meanwhile the session stays
// alive: its pings stand behind the request. A connection that is let go waits for nothing.
func (c *conn) awaitTurn(bytes int) bool {
	p := &place{bytes: int64(bytes), turn: make(chan bool, 1)}
	c.mu.Lock()
	if c.closed || c.closing.Load() {
		c.mu.Unlock()
		return false
	}
	c.place = p
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.place = nil
		c.mu.Unlock()
	}()
	c.port.room.enter(p)
	for {
		select {
		case open := <-p.turn:
			return open
		case <-time.After(time.Second):
			if c.connected {
				c.port.touch(c)
			}
		}
	}
}

// leaveLine gives up the place in the line of long requests. The lock is held.
func (c *conn) leaveLine() {
	if c.place != nil {
		c.port.room.giveUp(c.place)
	}
}
