package clientport

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// stand is a port whose node answers each request with the request itself.
type stand struct {
	*Port
	t testing.TB
	// loop stands for the goroutine that drives the node.
	loop chan []node.Input

	mu     sync.Mutex
	view   sync.RWMutex
	closed []node.ClientID
	// hold keeps the answers of the loop back.
	hold chan struct{}
}

// opEcho is answered by Read, any other operation by the loop.
const opEcho = wire.OpGetData

func newStand(t testing.TB, change func(*Config)) *stand {
	t.Helper()
	s := &stand{t: t, loop: make(chan []node.Input, 1024), hold: make(chan struct{})}
	close(s.hold)
	cfg := Config{
		Address: "127.0.0.1:0", MaxFrameBytes: 1 << 20, OutstandingLimit: 1000, SessionlessTimeout: 10 * time.Second,
		View: s.view.RLocker(), Log: slog.New(slog.DiscardHandler),
		Read: func(_ node.ClientID, h wire.RequestHeader, body []byte) ([]byte, bool) {
			if h.Type != opEcho {
				return nil, false
			}
			return echo(h, body), true
		},
		Deliver: func(inputs []node.Input) { s.loop <- inputs },
		Word:    func(word, argument string) string { return word + argument + "!" },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if s.Port, err = Listen(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go s.drive(ended)
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	go func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		close(s.loop)
	}()
	return s
}

// holdBack keeps the answers of the loop back until release is called, or the test ends.
func (s *stand) holdBack() (release func()) {
	hold := make(chan struct{})
	release = sync.OnceFunc(func() { close(hold) })
	s.t.Cleanup(release)
	s.mu.Lock()
	s.hold = hold
	s.mu.Unlock()
	return release
}

func (s *stand) drive(ended chan struct{}) {
	defer close(ended)
	for inputs := range s.loop {
		s.mu.Lock()
		hold := s.hold
		s.mu.Unlock()
		<-hold
		s.view.Lock()
		for _, in := range inputs {
			switch in := in.(type) {
			case node.ClientConnected:
				s.Send(in.Client, wire.ConnectResponse{SessionID: 1, TimeOut: in.Request.TimeOut}.Append(nil))
			case node.ClientRequest:
				s.Send(in.Client, echo(in.Header, in.Body))
				if in.Header.Type == wire.OpCloseSession {
					s.Close(in.Client)
				}
			case node.ClientClosed:
				s.closed = append(s.closed, in.Client)
			}
		}
		s.view.Unlock()
		s.Flush()
	}
}

func echo(h wire.RequestHeader, body []byte) []byte {
	return append(wire.ReplyHeader{Xid: h.Xid, Zxid: 1}.Append(nil), body...)
}

// peer is a client.
type peer struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (s *stand) dial() *peer {
	s.t.Helper()
	return s.dialTo(s.Address())
}

func (s *stand) dialTo(address net.Addr) *peer {
	s.t.Helper()
	c, err := net.Dial("tcp", address.String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &peer{c, s.t, bufio.NewReader(c)}
}

func (s *stand) connect() *peer {
	s.t.Helper()
	p := s.dial()
	p.send(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil))
	p.frame()
	return p
}

func framed(frame []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
}

func (p *peer) send(frame []byte) {
	p.t.Helper()
	if _, err := p.Write(framed(frame)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) frame() []byte {
	p.t.Helper()
	var length [4]byte
	if _, err := io.ReadFull(p.in, length[:]); err != nil {
		p.t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(p.in, frame); err != nil {
		p.t.Fatal(err)
	}
	return frame
}

func request(xid int, op wire.OpCode, body string) []byte {
	return append(wire.RequestHeader{Xid: int32(xid), Type: op}.Append(nil), body...)
}

// expect reads the echo of a request.
func (p *peer) expect(xid int, body string) {
	p.t.Helper()
	frame := p.frame()
	d := wire.NewDecoder(frame)
	if got := d.Int32(); got != int32(xid) {
		p.t.Fatalf("answer to %d, want %d", got, xid)
	}
	if got := string(frame[16:]); got != body {
		p.t.Fatalf("answer %d is of %d bytes, want %d", xid, len(got), len(body))
	}
}

// gone waits for the end of the stream.
func (p *peer) gone() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.t.Fatalf("%d more bytes, %v; want the end", len(rest), err)
	}
}

// Answers come in the order of the requests, whichever way those took, however the bytes were cut.
func TestOrder(t *testing.T) {
	s := newStand(t, nil)
	for _, piece := range []int{1, 3, 1000, 1 << 20} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			p := s.connect()
			var stream []byte
			var bodies []string
			for xid := range 300 {
				op := opEcho
				if xid%7 < 3 {
					op = wire.OpSetData
				}
				body := string(make([]byte, xid*xid%977))
				if xid == 150 {
					body = string(make([]byte, 300_000)) // longer than any buffer
				}
				if piece < 1000 && len(body) > 1000 {
					body = ""
				}
				bodies = append(bodies, body)
				stream = append(stream, framed(request(xid, op, body))...)
			}
			go func() {
				for len(stream) > 0 {
					n := min(piece, len(stream))
					if _, err := p.Write(stream[:n]); err != nil {
						t.Error(err)
						return
					}
					stream = stream[n:]
				}
			}()
			for xid, body := range bodies {
				p.expect(xid, body)
			}
		})
	}
}

func TestFourLetterWord(t *testing.T) {
	s := newStand(t, nil)
	for text, want := range map[string]string{
		"ruok": "ruok!", "ruok\n": "ruok!", "ruok\r\nand more": "ruok!", "stmk\x00\x00\x00\x00\x00\x00\x01\x32\n": "stmk\x00\x00\x00\x00\x00\x00\x01\x32!",
		"\xff\xf4\xff\xfd\x06": "\xff\xf4\xff\xfd!", "Ruok": "", "stmk!\n": "",
	} {
		p := s.dial()
		io.WriteString(p, text)
		p.Conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(p.in)
		if err != nil || string(answer) != want {
			t.Errorf("%q is answered %q, %v, want %q", text, answer, err, want)
		}
	}
}

// A word and its argument may come in pieces.
func TestWordInPieces(t *testing.T) {
	s := newStand(t, nil)
	p := s.dial()
	for _, b := range []byte("stmk12345678") {
		p.Write([]byte{b})
		time.Sleep(time.Millisecond)
	}
	if answer, err := io.ReadAll(p.in); err != nil || string(answer) != "stmk12345678!" {
		t.Errorf("answered %q, %v", answer, err)
	}
	if got := s.Traffic().Received; got != 1 {
		t.Errorf("%d packets were received", got)
	}
}

func TestBadFirstFrames(t *testing.T) {
	s := newStand(t, nil)
	for name, bytes := range map[string][]byte{
		"http":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"tls":              {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"negative length":  {0xff, 0xff, 0xff, 0xff},
		"too long":         {0, 0x20, 0, 0, 0},
		"short connection": framed([]byte("abc")),
		"empty":            framed(nil),
	} {
		p := s.dial()
		p.Write(bytes)
		if rest, _ := io.ReadAll(p.in); len(rest) > 0 {
			t.Errorf("%s: answered with %q", name, rest)
		}
	}
}

func TestFrameTooLongForAClient(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	p.send(request(1, wire.OpSetData, "a"))
	p.expect(1, "a")
	p.Write([]byte{0, 0x10, 0, 1})
	p.gone()
}

// The last reply arrives although the client goes on sending.
func TestCloseSession(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	p.send(request(1, wire.OpCloseSession, ""))
	for range 10 {
		p.send(request(2, opEcho, string(make([]byte, 10000))))
	}
	p.expect(1, "")
	for {
		if _, err := p.in.ReadByte(); err != nil {
			break
		}
	}
	waitFor(t, "the node to be told", func() bool {
		s.view.RLock()
		defer s.view.RUnlock()
		return len(s.closed) == 1
	})
	waitFor(t, "the connection to be forgotten", func() bool { return len(s.Connections()) == 0 })
}

// What follows closeSession is not looked at, so that nothing keeps the answer from the client.
func TestNonsenseBehindCloseSession(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	release := s.holdBack()
	if _, err := p.Write(append(framed(request(1, wire.OpCloseSession, "")), make([]byte, 1000)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("ruok")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the request", func() bool { return s.outstanding.Load() > 0 })
	release()
	p.expect(1, "")
	if _, err := p.in.ReadByte(); err != io.EOF {
		t.Errorf("then comes %v", err)
	}
}

func TestLimits(t *testing.T) {
	s := newStand(t, func(c *Config) { c.MaxPerAddress = 2 })
	first, second := s.connect(), s.connect()
	s.dial().gone()
	if got := s.cfg.Metrics.ConnectionRejected.Value(); got != 1 {
		t.Errorf("%d rejected, want 1", got)
	}
	second.Close()
	waitFor(t, "room", func() bool { return len(s.Connections()) == 1 })
	s.connect()
	first.send(request(1, opEcho, ""))
	first.expect(1, "")
}

func TestShed(t *testing.T) {
	s := newStand(t, nil)
	first, second := s.connect(), s.connect()
	if n := s.Shed(0); n != 0 {
		t.Errorf("%d of none", n)
	}
	first.send(request(1, opEcho, "x"))
	first.expect(1, "x")
	if n := s.Shed(100); n != 2 {
		t.Errorf("%d of two", n)
	}
	first.gone()
	second.gone()
	waitFor(t, "the connections to be forgotten", func() bool { return len(s.Connections()) == 0 })
}

func TestSessionless(t *testing.T) {
	s := newStand(t, func(c *Config) { c.SessionlessTimeout = 50 * time.Millisecond })
	s.dial().gone()
	waitFor(t, "the count", func() bool { return s.cfg.Metrics.SessionlessConnectionsExpired.Value() == 1 })
}

// Above the limit of outstanding requests, a connection that has some is not read, and all is well once they are answered.
// The xid of watch events does not hide that a request was answered.
func TestRequestsWithTheXidOfEvents(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	for range 3 {
		p.send(wire.RequestHeader{Xid: wire.XidWatch, Type: wire.OpCreate}.Append(nil))
		p.frame()
	}
	if n := s.outstanding.Load(); n != 0 {
		t.Errorf("%d requests are taken for unanswered", n)
	}
}

func TestOutstandingLimit(t *testing.T) {
	s := newStand(t, func(c *Config) { c.OutstandingLimit = 10 })
	p := s.connect()
	release := s.holdBack()
	const requests = 1000
	go func() {
		for xid := range requests {
			p.Write(framed(request(xid, wire.OpSetData, "")))
		}
	}()
	waitFor(t, "requests", func() bool { return s.outstanding.Load() > 10 })
	if got := s.outstanding.Load(); got > 20 {
		t.Errorf("%d requests were read above a limit of 10", got)
	}
	release()
	for xid := range requests {
		p.expect(xid, "")
	}
	if got := s.outstanding.Load(); got != 0 {
		t.Errorf("%d requests are outstanding at the end", got)
	}
}

// A client that does not read its answers is not read either, and costs no more than a bound.
func TestSlowReader(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	big := string(make([]byte, 100_000))
	const requests = 300
	go func() {
		for xid := range requests {
			if _, err := p.Write(framed(request(xid, opEcho, big))); err != nil {
				return
			}
		}
	}()
	waitFor(t, "the writer to block", func() bool {
		before := s.Traffic().Received
		time.Sleep(50 * time.Millisecond)
		return before > 2 && s.Traffic().Received == before
	})
	if got := s.Traffic().Received; got > 200 {
		t.Errorf("%d requests were read from a client that reads nothing", got)
	}
	for xid := range requests {
		p.expect(xid, big)
	}
}

func TestStats(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	p.send(request(1, opEcho, ""))
	p.expect(1, "")
	p.send(request(2, wire.OpSetData, ""))
	p.expect(2, "")
	got := s.Traffic()
	if got.Received != 3 || got.Sent != 3 || got.Latency.Count != 3 || got.Responses.Count != 2 {
		t.Errorf("traffic is %+v", got)
	}
	c := s.Connections()[0]
	if c.LastXid != 2 || c.LastOp != wire.OpSetData || c.LastZxid != 1 || c.Received != 3 {
		t.Errorf("connection is %+v", c)
	}
	m := s.cfg.Metrics
	counts := []int64{m.OpCountTotal.Value(), m.OpCountGetData.Value(), m.OpCountSetData.Value(), m.OpCountCreateSession.Value(),
		m.ReadLatency.Figures().Count, m.UpdateLatency.Figures().Count, m.ReadFinalProcTime.Figures().Count}
	if want := []int64{3, 1, 1, 1, 1, 2, 1}; !slices.Equal(counts, want) {
		t.Errorf("metrics count %v, want %v", counts, want)
	}
	if m.BytesReceivedCount.Value() < 3*12 || m.ResponseBytes.Value() != 2*int64(lengthBytes+len(request(1, opEcho, ""))+8) {
		t.Errorf("%d bytes received, %d answered", m.BytesReceivedCount.Value(), m.ResponseBytes.Value())
	}
	if ids := s.Touched(); len(ids) != 1 || len(s.Touched()) != 0 {
		t.Errorf("touched: %v", ids)
	}
	s.ResetTraffic()
	if got := s.Traffic(); got.Received != 0 || got.Latency.Count != 0 || got.Responses.Count != 0 || got.Open != 1 {
		t.Errorf("after the reset traffic is %+v", got)
	}
	p.Close()
	waitFor(t, "the end", func() bool { return s.cfg.Metrics.ConnectionDropCount.Value() == 1 })
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkRead(b *testing.B) {
	s := newStand(b, nil)
	p := s.connect()
	frame := framed(request(1, opEcho, "0123456789"))
	b.ResetTimer()
	go func() {
		for range b.N {
			p.Write(frame)
		}
	}()
	for range b.N {
		p.frame()
	}
}
