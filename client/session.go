package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// serve is the life of a connection: handshake, authentication, then replies and events until it breaks.
func (c *Client) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	helpers.Go(func() {
		<-ctx.Done()
		conn.Close()
	})
	in := bufio.NewReader(conn)
	if c.handshake(conn, in) != nil {
		return
	}
	if c.options.SASL != nil && c.authenticate(conn, in) != nil {
		return
	}
	if b := c.prime(); len(b) > 0 {
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
	_ = conn.SetWriteDeadline(time.Time{})
	helpers.Go(func() {
		defer conn.Close()
		c.write(ctx, conn)
	})
	if c.State() == ConnectedReadOnly {
		helpers.Go(func() {
			if c.seekQuorum(ctx) {
				conn.Close()
			}
		})
	}
	for c.receive(conn, in) == nil {
	}
}

// handshake opens the session, or moves it here.
func (c *Client) handshake(conn net.Conn, in io.Reader) error {
	q := wire.ConnectRequest{
		LastZxidSeen: c.lastSeen(), TimeOut: int32(c.options.SessionTimeout.Milliseconds()), Passwd: c.passwd,
		ReadOnly: c.options.ReadOnly, HasReadOnly: true,
	}
	if c.real {
		q.SessionID = c.id
	}
	if _, err := conn.Write(frame(q.Append(nil))); err != nil {
		return err
	}
	b, err := readFrame(in, c.options.MaxReplyBytes)
	if err != nil {
		return err
	}
	var p wire.ConnectResponse
	if err := p.Unmarshal(b); err != nil {
		return err
	}
	if p.TimeOut <= 0 {
		c.become(Closed)
		c.tell(Event{State: StateExpired})
		return &Error{Code: wire.ErrSessionExpired}
	}
	c.id, c.passwd, c.real = p.SessionID, p.Passwd, c.real || !p.ReadOnly
	c.timeout = time.Duration(p.TimeOut) * time.Millisecond
	c.attempts, c.round = 0, c.at
	if p.ReadOnly {
		c.become(ConnectedReadOnly)
		c.tell(Event{State: StateConnectedReadOnly})
	} else {
		c.become(Connected)
		c.tell(Event{State: StateSyncConnected})
	}
	return nil
}

func (c *Client) lastSeen() wire.Zxid {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastZxid
}

// become changes the state, unless the session is over.
func (c *Client) become(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Alive() {
		c.state = s
	}
}

// prime returns what goes before any request: credentials, and the watches.
func (c *Client) prime() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b []byte
	for _, a := range c.auth {
		b = append(b, frame(a.Append(wire.RequestHeader{Xid: wire.XidAuth, Type: wire.OpAuth}.Append(nil)))...)
	}
	waiting := c.queue[:0]
	for _, r := range c.queue {
		if r.op != wire.OpAuth { // is among the credentials
			waiting = append(waiting, r)
		}
	}
	c.queue = waiting
	for _, r := range c.watches.again(c.lastZxid, c.serverPath) {
		op := wire.OpSetWatches // which servers before 3.6 know as well
		if len(r.Persistent)+len(r.PersistentRecursive) > 0 {
			op = wire.OpSetWatches2
		}
		b = append(b, frame(r.Append(wire.RequestHeader{Xid: wire.XidSetWatches, Type: op}.Append(nil), op))...)
	}
	return b
}

// write sends what is queued, and a ping when nothing was sent for a while.
func (c *Client) write(ctx context.Context, conn net.Conn) {
	interval := min(c.readTimeout()/2, 10*time.Second)
	ping := time.NewTimer(interval)
	defer ping.Stop()
	for {
		b := c.dequeue()
		if len(b) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-c.wake:
				continue
			case <-ping.C:
				b = frame(wire.RequestHeader{Xid: wire.XidPing, Type: wire.OpPing}.Append(nil))
			}
		}
		ping.Reset(interval)
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// dequeue takes the queued requests in their order, notes that their replies are awaited, and encodes them.
func (c *Client) dequeue() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b []byte
	for _, r := range c.queue {
		if r.op == wire.OpAuth {
			r.xid = wire.XidAuth
		} else {
			r.xid = c.nextXid()
			c.pending = append(c.pending, r)
		}
		b = append(b, frame(append(wire.RequestHeader{Xid: r.xid, Type: r.op}.Append(nil), r.body...))...)
	}
	c.queue = nil
	return b
}

// nextXid numbers requests from 1. Negative numbers have other uses.
func (c *Client) nextXid() int32 {
	c.xid = max(c.xid+1, 1)
	return c.xid
}

// readTimeout is how long a server may say nothing: it answers pings.
func (c *Client) readTimeout() time.Duration { return c.timeout * 2 / 3 }

// errProtocol says that the server sent what it should not have.
var errProtocol = errors.New("protocol error")

// receive reads a reply or an event and deals with it.
func (c *Client) receive(conn net.Conn, in io.Reader) error {
	_ = conn.SetReadDeadline(time.Now().Add(c.readTimeout()))
	b, err := readFrame(in, c.options.MaxReplyBytes)
	if err != nil {
		return err
	}
	d := wire.NewDecoder(b)
	var h wire.ReplyHeader
	if h.Decode(d); d.Err() != nil {
		return d.Err()
	}
	if h.Xid < 0 {
		return c.receiveSpecial(h, d.Rest())
	}
	c.mu.Lock()
	if len(c.pending) == 0 || c.pending[0].xid != h.Xid {
		c.mu.Unlock()
		return fmt.Errorf("reply to xid %d: %w", h.Xid, errProtocol)
	}
	r := c.pending[0]
	c.pending[0] = nil
	c.pending = c.pending[1:]
	if h.Zxid > 0 {
		c.lastZxid = h.Zxid
	}
	c.mu.Unlock()
	c.finish(r, h.Err, d.Rest())
	return nil
}

// receiveSpecial deals with what is not a reply to a request.
func (c *Client) receiveSpecial(h wire.ReplyHeader, b []byte) error {
	switch h.Xid {
	case wire.XidAuth:
		if h.Err == wire.ErrAuthFailed {
			c.become(AuthFailed)
			c.tell(Event{State: StateAuthFailed})
			return &Error{Code: h.Err}
		}
	case wire.XidWatch:
		var e wire.WatcherEvent
		if err := e.Unmarshal(b); err != nil {
			return err
		}
		if e.Type < wire.NodeCreated || e.Type > wire.NodeChildrenChanged {
			return fmt.Errorf("event of type %d: %w", e.Type, errProtocol)
		}
		path := c.clientPath(e.Path)
		c.mu.Lock()
		fired := c.watches.fire(e.Type, path)
		c.mu.Unlock()
		if fired {
			c.tell(Event{EventState(e.State), e.Type, path})
		}
	}
	return nil // pings and setWatches need no answer
}

// frame puts the length in front.
func frame(b []byte) []byte { return append(wire.AppendInt32(nil, int32(len(b))), b...) }

// frameStepBytes is how much is allocated for a frame before any of it has come.
const frameStepBytes = 64 << 10

// readFrame reads a frame without its length, which may be at most maxBytes.
func readFrame(in io.Reader, maxBytes int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > maxBytes {
		return nil, fmt.Errorf("frame of %d bytes: %w", n, errProtocol)
	}
	b := make([]byte, min(n, frameStepBytes))
	for from := 0; ; {
		if _, err := io.ReadFull(in, b[from:]); err != nil {
			return nil, err
		}
		if from = len(b); from == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-from, 3*from))...)
	}
}
