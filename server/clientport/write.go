package clientport

import (
	"errors"
	"os"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// queueRead queues the answer to a request that did not pass the node, and tells whether enough is queued.
func (c *conn) queueRead(frame []byte, a arrival, latency time.Duration) (full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.received()
	c.stats.answer(frame, a, latency)
	if c.closed {
		return true // who waits for room learns of it
	}
	c.out.addFrame(frame)
	return c.out.bytes > highWaterBytes
}

// queueAnswer queues a frame of the node, and tells whether somebody has to be found who writes it.
func (c *conn) queueAnswer(frame []byte) (idle bool) {
	event := len(frame) >= 4 && wire.NewDecoder(frame).Int32() == wire.XidWatch
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if len(c.waiting) > 0 && c.waiting[0].xid == wire.XidWatch {
		event = false // a client that numbers its requests so cannot tell the two apart either
	}
	if event {
		c.stats.event(len(frame), c.port.now())
		c.port.cfg.Metrics.WatchBytes.Add(int64(len(frame) + lengthBytes))
	} else if len(c.waiting) > 0 {
		a := c.waiting[0]
		if c.waiting = c.waiting[1:]; len(c.waiting) == 0 {
			c.waiting = nil
			c.change.Broadcast()
		}
		latency := c.port.now() - a.at
		c.stats.answer(frame, a, latency)
		measureAnswer(c.port.cfg.Metrics, a.op, latency, len(frame))
		c.large = max(len(frame), c.large-c.large/16)
		c.inFlight.Add(-1)
		c.port.outstanding.Add(-1)
		c.port.large.giveBack(a.large)
		c.port.room.giveBack(a.bytes)
		c.waitingBytes -= a.bytes
	}
	c.out.addFrame(frame)
	if c.out.bytes > highWaterBytes && c.tooMuch() {
		c.port.often.Warn("client does not read its watch events", "remote", c.remote)
		c.abandon()
		return false
	}
	return c.claim()
}

// tooMuch counts what waits, and tells whether the connection has to go for it.
func (c *conn) tooMuch() bool {
	all := c.port.queued.Add(int64(c.out.bytes - c.counted))
	c.counted = c.out.bytes
	return c.out.bytes > tooMuchBytes+8*c.port.cfg.MaxFrameBytes || all > tooMuchForAllBytes
}

// abandon ends the reader, and with it the connection. Nothing more is queued.
func (c *conn) abandon() {
	c.closed = true
	c.dropQueue()
	c.change.Broadcast()
	c.leaveLine()
	c.tcp.Close()
}

// dropQueue forgets what waits.
func (c *conn) dropQueue() {
	c.out.drop()
	c.port.queued.Add(-int64(c.counted))
	c.counted = 0
}

// hangUp lets the connection end after what is queued.
func (c *conn) hangUp() (idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing.Swap(true) {
		return false
	}
	c.change.Broadcast()
	c.leaveLine()
	c.tcp.SetDeadline(time.Now().Add(lingering))
	return c.claim()
}

// claim makes the caller responsible for writing, if nobody is.
func (c *conn) claim() bool {
	idle := !c.writing
	c.writing = true
	return idle
}

// flush writes what is queued, unless somebody else does.
func (c *conn) flush() {
	c.mu.Lock()
	mine := c.out.bytes > 0 && c.claim()
	c.mu.Unlock()
	if mine {
		c.write()
	}
}

// write writes until nothing is queued. Only who has claimed the connection may call it.
func (c *conn) write() {
	for {
		c.mu.Lock()
		if c.out.bytes == 0 {
			c.writing = false
			if c.closing.Load() {
				c.sock.CloseWrite()
			}
			c.mu.Unlock()
			return
		}
		batch, counted := c.out.take(), c.counted
		c.counted = 0
		c.mu.Unlock()
		err := batch.writeTo(c.sock)
		if counted > 0 {
			c.port.queued.Add(-int64(counted))
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.port.often.Warn("client did not read what was left for it", "remote", c.remote)
			}
			c.mu.Lock()
			c.abandon()
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		c.change.Broadcast()
		c.mu.Unlock()
	}
}
