package clientport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

const (
	// highWater is how much may wait to be written before nothing more is read from a connection; at tooMuch, which
	// only watch events lead to, it is closed; a request to set watches again can make eight times as many bytes of events
	// at once. So is every one above highWater that gets an event while more than tooMuchForAll waits for all of them.
	highWaterBytes     = 1 << 20
	tooMuchBytes       = 32 << 20
	tooMuchForAllBytes = 256 << 20
	// answerBytes is how much the answers to the requests in flight of one connection may come to, by the size of those
	// before; firstAnswerBytes is what is expected of the first one.
	answerBytes      = 16 << 20
	firstAnswerBytes = 1 << 20
	// viewReads is how many reads are answered in one view of the tree, unless they have taken viewTime: whatever changes
	// the tree waits for its end.
	viewReads = 64
	viewTime  = 2 * time.Millisecond
	// lingering is how long a connection that the server closes may stay half open, so that the client reads the last
	// reply even if it goes on sending.
	lingering = 500 * time.Millisecond
)

// conn is one connection.
type conn struct {
	port *Port
	// tcp is what is closed and has deadlines, sock what is written to: the same, or TLS over it.
	tcp         *net.TCPConn
	sock        socket
	secure      bool // TLS, from the accepting on or since it was found out
	id          node.ClientID
	remote      netip.AddrPort
	from        origin
	reader      *frameReader
	established time.Time
	connected   bool // the first frame has been seen
	over        bool // closeSession has been seen, and nothing after it matters
	// readsUntilMeasured are reads before the next one that is measured by itself.
	readsUntilMeasured int

	// inFlight is the number of requests delivered and not answered. Reads may pass the loop only while it is 0.
	inFlight atomic.Int32
	touched  atomic.Bool
	closing  atomic.Bool

	mu      sync.Mutex
	change  sync.Cond // out or waiting got shorter, or the connection was closed
	out     outQueue
	writing bool // somebody writes, or will
	closed  bool
	asks    bool      // a four-letter word
	waiting []arrival // of requests in flight, by arrival
	// waitingBytes is what they take of the room.
	waitingBytes int
	place        *place // in the line of long requests
	stats        connStats
	// large is the size of a large answer, of those of late.
	large int
	// counted is how much of out is in port.queued.
	counted int
}

// arrival is when a request came.
type arrival struct {
	at  time.Duration
	op  wire.OpCode
	xid int32
	// bytes is how much of the room the request takes.
	bytes int
	// large is the length of a large request that went to the node; see largeRequests.
	large int
}

// serve reads the connection to its end.
func (c *conn) serve() {
	defer c.end()
	for err := c.open(); ; err = c.reader.fill() {
		if err != nil {
			c.lost(err)
			if !c.connected && errors.Is(err, os.ErrDeadlineExceeded) {
				c.port.cfg.Metrics.SessionlessConnectionsExpired.Add(1)
			}
			return
		}
		if c.over || c.closing.Load() {
			c.reader.discard()
			continue
		}
		if !c.connected {
			if word, argument, whole := c.word(); whole {
				c.answerWord(c.port.cfg.Word(word, argument))
				return
			} else if word != "" {
				continue
			}
		}
		if err := c.take(); err != nil {
			c.lost(err)
			return
		}
	}
}

// lost notes why a connection ends.
func (c *conn) lost(err error) {
	var errno syscall.Errno
	var network net.Error
	switch {
	case err == io.EOF || errors.Is(err, net.ErrClosed) || c.closing.Load():
	case errors.Is(err, errHandshake): // TLS has told
	case errors.Is(err, errHandshakes) || errors.Is(err, errNotServing):
		c.port.often.Warn("client refused", "remote", c.remote, "error", err)
	case err == io.ErrUnexpectedEOF || errors.As(err, &network) || errors.As(err, &errno):
		c.port.cfg.Log.Debug("client connection lost", "remote", c.remote, "error", err)
	default:
		c.port.often.Warn("client connection closed: what it sent cannot be read", "remote", c.remote, "error", err)
	}
}

// end closes the connection and tells the node.
func (c *conn) end() {
	c.tcp.Close()
	c.reader.release()
	c.mu.Lock()
	c.closed = true
	c.port.forget(c)
	c.dropQueue()
	c.port.outstanding.Add(-int64(len(c.waiting)))
	for _, a := range c.waiting {
		c.port.large.giveBack(a.large)
	}
	if left := c.waiting; c.waitingBytes > 0 {
		time.AfterFunc(leftTime, func() {
			for _, a := range left {
				c.port.room.giveBack(a.bytes)
			}
		})
	}
	c.waiting, c.waitingBytes = nil, 0
	c.change.Broadcast()
	c.mu.Unlock()
	if c.connected {
		c.port.cfg.Deliver([]node.Input{node.ClientClosed{Client: c.id}})
	}
}

// word is the four-letter word that was sent in the place of a frame, "" if none was; whole tells that its argument was
// sent, too.
func (c *conn) word() (word, argument string, whole bool) {
	b := c.reader.buffered()
	if len(b) < 4 || b[0] == 0 {
		return "", "", false
	}
	word, b = string(b[:4]), b[4:]
	n, ok := admin.ArgumentBytes(word)
	if !ok {
		return "", "", false
	}
	if len(b) < n {
		return word, "", false
	}
	c.mu.Lock()
	c.asks = true
	c.stats.received()
	c.mu.Unlock()
	return word, string(b[:n]), true
}

func (c *conn) answerWord(text string) {
	c.tcp.SetDeadline(time.Now().Add(lingering + 5*time.Second))
	if _, err := io.WriteString(c.sock, text); err != nil {
		return
	}
	c.sock.CloseWrite()
	c.tcp.SetReadDeadline(time.Now().Add(lingering))
	for c.reader.discard(); c.reader.fill() == nil; c.reader.discard() {
	}
}

// take handles every whole frame that has been read.
func (c *conn) take() error {
	var inputs []node.Input
	view := 0 // reads answered since the view was taken; 0 without a view
	var viewed time.Duration
	release := func() {
		if view > 0 {
			c.port.cfg.View.Unlock()
			view = 0
		}
	}
	noted := reads{m: c.port.cfg.Metrics}
	handOver := func() {
		release()
		noted.flush()
		c.flush()
		if len(inputs) > 0 {
			c.port.cfg.Deliver(inputs)
			inputs = nil
		}
	}
	defer handOver()
	held := 0 // of the room, by a frame that nothing else answers for yet
	defer func() { c.port.room.giveBack(held) }()
	now := c.port.now()
	for {
		c.port.room.giveBack(held)
		held = 0
		frame, whole, large, err := c.reader.next()
		if err != nil {
			return err
		}
		if large {
			handOver()
			if frame, err = c.readLarge(); err != nil {
				return err
			}
			held = len(frame)
			now = c.port.now()
		} else if !whole {
			return nil
		}
		if !c.connected {
			in, err := c.connect(frame, now)
			if err != nil {
				return err
			}
			inputs = append(inputs, in)
			continue
		}
		d := wire.NewDecoder(frame)
		header := wire.RequestHeader{Xid: d.Int32(), Type: wire.OpCode(d.Int32())}
		if err := d.Err(); err != nil {
			return err
		}
		if c.inFlight.Load() == 0 {
			if view == 0 {
				c.port.cfg.View.Lock()
				viewed = c.port.now()
			}
			view++
			reply, ok := c.read(header, d.Rest())
			if ok {
				c.port.touch(c)
				answered := c.port.now()
				latency := answered - now
				noted.note(header.Type, latency, len(frame), len(reply))
				if full := c.queueRead(reply, arrival{at: now, op: header.Type, xid: header.Xid}, latency); full {
					handOver()
					if err := c.waitForRoom(); err != nil {
						return err
					}
					now = c.port.now()
				} else if view == viewReads || answered-viewed > viewTime {
					release()
				}
				continue
			}
			release()
		}
		body := d.Rest()
		if !large {
			body = slices.Clone(body)
		}
		a := arrival{at: now, op: header.Type, xid: header.Xid, bytes: len(frame)}
		if a.large, err = c.port.large.take(len(body)); err != nil {
			return err
		}
		if !large {
			c.port.room.take(len(frame))
		}
		held = 0
		inputs = append(inputs, node.ClientRequest{Client: c.id, Header: header, Body: body})
		c.begin(len(frame), a)
		if header.Type == wire.OpCloseSession {
			c.over = true
			c.reader.discard()
			return nil
		}
		if c.crowded() {
			handOver()
			if err := c.waitForRoom(); err != nil {
				return err
			}
			now = c.port.now()
		}
	}
}

// read answers a request from the tree.
func (c *conn) read(header wire.RequestHeader, body []byte) (reply []byte, ok bool) {
	if c.readsUntilMeasured--; c.readsUntilMeasured >= 0 {
		return c.port.cfg.Read(c.id, header, body)
	}
	c.readsUntilMeasured = measureOneIn - 1
	began := c.port.now()
	reply, ok = c.port.cfg.Read(c.id, header, body)
	if ok {
		c.port.cfg.Metrics.ReadFinalProcTime.Took(c.port.now() - began)
	}
	return reply, ok
}

// connect handles the first frame.
func (c *conn) connect(frame []byte, now time.Duration) (node.Input, error) {
	in := node.ClientConnected{Client: c.id, Remote: c.remote.Addr().Unmap(), Secure: c.secure, Certificates: c.certificates()}
	if err := in.Request.Unmarshal(slices.Clone(frame)); err != nil {
		return nil, err
	}
	c.tcp.SetReadDeadline(time.Time{})
	c.connected = true
	c.begin(len(frame), arrival{at: now, op: wire.OpCreateSession})
	return in, nil
}

// begin notes a request that goes to the node.
func (c *conn) begin(frameBytes int, a arrival) {
	c.inFlight.Add(1)
	c.port.outstanding.Add(1)
	c.mu.Lock()
	c.waiting = append(c.waiting, a)
	c.waitingBytes += a.bytes
	c.stats.received()
	c.mu.Unlock()
	c.port.cfg.Metrics.BytesReceivedCount.Add(int64(frameBytes + lengthBytes))
}

// crowded tells that nothing more should be read at present.
func (c *conn) crowded() bool {
	if c.port.outstanding.Load() > int64(c.port.cfg.OutstandingLimit) || c.port.room.full() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.out.bytes > highWaterBytes || len(c.waiting)*c.large > answerBytes || c.waitingBytes > connRequestBytes
}

// waitForRoom waits until the requests of this connection are answered and the answers are on their way. An error says that
// they cannot be.
func (c *conn) waitForRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && !c.closing.Load() && (len(c.waiting) > 0 || c.out.bytes > highWaterBytes) {
		c.change.Wait()
	}
	if c.closed {
		return net.ErrClosed
	}
	return nil
}
