package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// ensemble stands in for servers: connections come out of a channel, and the test answers.
type ensemble struct {
	t      *testing.T
	dialed chan *peer
	mu     sync.Mutex
	down   map[string]bool
	events []string
}

// peer is the server's end of a connection.
type peer struct {
	t       *testing.T
	address string
	conn    net.Conn
}

func newEnsemble(t *testing.T) *ensemble {
	return &ensemble{t: t, dialed: make(chan *peer), down: make(map[string]bool)}
}

func (e *ensemble) dial(ctx context.Context, address string) (net.Conn, error) {
	e.mu.Lock()
	down := e.down[address]
	e.mu.Unlock()
	if down {
		return nil, errors.New("refused")
	}
	near, far := net.Pipe()
	select {
	case e.dialed <- &peer{e.t, address, far}:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *ensemble) setDown(down bool, addresses ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range addresses {
		e.down[a] = down
	}
}

// connect begins a session whose events are noted.
func (e *ensemble) connect(servers string, o Options) *Client {
	e.t.Helper()
	o.Dial = e.dial
	o.OnEvent = func(event Event) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.events = append(e.events, event.String())
	}
	c, err := Connect(servers, o)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// heard takes the events since the last call.
func (e *ensemble) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	events := e.events
	e.events = nil
	return events
}

func (p *peer) frame() []byte {
	p.t.Helper()
	b, err := readFrame(p.conn, 1<<20)
	if err != nil {
		p.t.Fatalf("no frame: %v", err)
	}
	return b
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(frame(b)); err != nil {
		p.t.Fatal(err)
	}
}

// accept answers the first frame and returns it.
func (p *peer) accept(answer wire.ConnectResponse) wire.ConnectRequest {
	p.t.Helper()
	var q wire.ConnectRequest
	if err := q.Unmarshal(p.frame()); err != nil {
		p.t.Fatal(err)
	}
	answer.HasReadOnly = true
	p.send(answer.Append(nil))
	return q
}

// next reads a request that is not a ping.
func (p *peer) next() (wire.RequestHeader, *wire.Decoder) {
	p.t.Helper()
	for {
		d := wire.NewDecoder(p.frame())
		h := wire.RequestHeader{Xid: d.Int32(), Type: wire.OpCode(d.Int32())}
		if h.Type != wire.OpPing {
			return h, d
		}
		p.answer(wire.XidPing, 0, 0, nil)
	}
}

func (p *peer) answer(xid int32, zxid wire.Zxid, code wire.ErrCode, body []byte) {
	p.t.Helper()
	p.send(append(wire.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}.Append(nil), body...))
}

func (p *peer) event(kind wire.EventType, path string) {
	p.t.Helper()
	p.answer(wire.XidWatch, -1, 0, wire.WatcherEvent{Type: kind, State: wire.SyncConnected, Path: path}.Append(nil))
}

// session is how a server greets a client.
var session = wire.ConnectResponse{TimeOut: 9000, SessionID: 0x100, Passwd: []byte("0123456789abcdef")}

// background starts a call and returns the channel of its error.
func background(call func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

var ctx = context.Background()

const second = time.Second
