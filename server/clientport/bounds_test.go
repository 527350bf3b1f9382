package clientport

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// logText collects what is logged.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), message)
}

func event(size int) []byte {
	return append(wire.ReplyHeader{Xid: wire.XidWatch}.Append(nil), make([]byte, size)...)
}

// A client that does not read its events is told of once, whatever comes for it afterwards, and holds nothing any more.
func TestClientThatDoesNotReadEvents(t *testing.T) {
	var log logText
	s := newStand(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s.connect()
	c := s.find(node.ClientID(s.Connections()[0].ID))
	for range tooMuchBytes>>20 + 20 {
		if c.queueAnswer(event(1 << 20)) {
			go c.write()
		}
	}
	waitFor(t, "the end", func() bool { return len(s.Connections()) == 0 && s.queued.Load() == 0 })
	if n := log.count("does not read"); n != 1 {
		t.Errorf("it is told of %d times", n)
	}
}

// views counts how often somebody looks at the tree.
type views struct {
	sync.Locker
	taken atomic.Int32
}

func (v *views) Lock() {
	v.taken.Add(1)
	v.Locker.Lock()
}

// Reads that take long do not share a view, or nothing could change the tree until the last of them is answered.
func TestLongReadsHaveViewsOfTheirOwn(t *testing.T) {
	const reads = 10
	var v *views
	s := newStand(t, func(c *Config) {
		v = &views{Locker: c.View}
		c.View = v
		answer := c.Read
		c.Read = func(id node.ClientID, h wire.RequestHeader, body []byte) ([]byte, bool) {
			time.Sleep(2 * viewTime)
			return answer(id, h, body)
		}
	})
	p := s.connect()
	var all []byte
	for xid := range reads {
		all = append(all, framed(request(xid, opEcho, "x"))...)
	}
	p.Write(all)
	for xid := range reads {
		p.expect(xid, "x")
	}
	if n := v.taken.Load(); n != reads {
		t.Errorf("%d reads that took long had %d views", reads, n)
	}
}

// A request to set watches again can lead to several times as many bytes of events at once, however fast they are read.
func TestEventsOfSetWatchesFit(t *testing.T) {
	const frameBytes = 16 << 20
	s := newStand(t, func(c *Config) { c.MaxFrameBytes = frameBytes })
	p := s.connect()
	c := s.find(node.ClientID(s.Connections()[0].ID))
	c.mu.Lock()
	c.writing = true // by somebody who comes later
	c.mu.Unlock()
	const events = 7 * frameBytes >> 20
	for range events {
		c.queueAnswer(event(1 << 20))
	}
	go c.write()
	for range events {
		p.frame()
	}
}

// Many clients that do not read their events are cut off before each of them may hold much.
func TestManyClientsThatDoNotReadEvents(t *testing.T) {
	s := newStand(t, nil)
	const clients = 20
	for range clients {
		s.connect()
	}
	peak := int64(0)
	for range tooMuchBytes>>20 - 2 {
		for _, info := range s.Connections() {
			if c := s.find(node.ClientID(info.ID)); c != nil && c.queueAnswer(event(1<<20)) {
				go c.write()
			}
		}
		peak = max(peak, s.queued.Load())
	}
	waitFor(t, "the end of some", func() bool { return len(s.Connections()) < clients })
	if limit := int64(tooMuchForAllBytes + clients<<21); peak > limit {
		t.Errorf("%d bytes wait for all, more than %d", peak, limit)
	}
}

// Requests with large answers are not all taken at once, however many a client sends before it reads.
func TestLargeAnswersInFlight(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	const requests, size = 400, 200 << 10
	large := string(make([]byte, size))
	p.Write(framed(request(0, wire.OpSetData, large)))
	p.expect(0, large)
	release := s.holdBack()
	go func() {
		for xid := range requests {
			p.Write(framed(request(xid, wire.OpSetData, large)))
		}
	}()
	const limit = answerBytes/size + 1
	waitFor(t, "requests", func() bool { return s.outstanding.Load() >= 10 })
	time.Sleep(50 * time.Millisecond) // in which more could be read
	if got := s.outstanding.Load(); got > limit {
		t.Errorf("%d requests are in flight, more than %d", got, limit)
	}
	release()
	for xid := range requests {
		p.expect(xid, large)
	}
}

// A client that sends, does not read, and goes away leaves nothing behind, whoever found out that it is gone.
func TestClientGoesWhileAnswersWait(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	large := string(make([]byte, 500<<10))
	go func() {
		for xid := 0; ; xid++ {
			if _, err := p.Write(framed(request(xid, wire.OpSetData, large))); err != nil {
				return
			}
		}
	}()
	waitFor(t, "answers that wait for the client", func() bool {
		before := s.queued.Load()
		time.Sleep(50 * time.Millisecond)
		return before > highWaterBytes && s.queued.Load() == before
	})
	p.Close()
	waitFor(t, "the end", func() bool { return len(s.Connections()) == 0 && s.queued.Load() == 0 })
}

// What a client has asked for before it went away is not answered any more.
func TestNoAnswersForAClientThatIsGone(t *testing.T) {
	var reads atomic.Int64
	large := make([]byte, 500<<10)
	s := newStand(t, func(c *Config) {
		c.Read = func(_ node.ClientID, h wire.RequestHeader, _ []byte) ([]byte, bool) {
			reads.Add(1)
			return echo(h, large), true
		}
	})
	p := s.connect()
	const requests = 1000 // all of them fit into the buffer of the reader
	var all []byte
	for xid := range requests {
		all = append(all, framed(request(xid, opEcho, ""))...)
	}
	p.Write(all)
	waitFor(t, "the writer to block", func() bool {
		before := reads.Load()
		time.Sleep(50 * time.Millisecond)
		return before > 2 && reads.Load() == before
	})
	before := reads.Load()
	p.Close()
	waitFor(t, "the end", func() bool { return len(s.Connections()) == 0 })
	if n := reads.Load() - before; n > 2 {
		t.Errorf("%d requests were answered afterwards", n)
	}
}

// FuzzFrames: any bytes, in any pieces, are frames or the end of their connection, and no goroutine or memory stays behind.
func FuzzFrames(f *testing.F) {
	hello := framed(wire.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}.Append(nil))
	f.Add(append(bytes.Clone(hello), framed(request(1, opEcho, "x"))...), uint8(3))
	f.Add([]byte("ruok"), uint8(1))
	f.Add(append(bytes.Clone(hello), 0xff, 0xff, 0xff, 0xff), uint8(255))
	f.Add(append(bytes.Clone(hello), framed(request(1, wire.OpCloseSession, ""))...), uint8(9))
	s := newStand(f, func(c *Config) { c.MaxPerAddress = 0 })
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		c, err := net.Dial("tcp", s.Address().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			for n := int(piece) + 1; len(b) > 0; {
				cut := min(n, len(b))
				if _, err := c.Write(b[:cut]); err != nil {
					return
				}
				b = b[cut:]
			}
			c.(*net.TCPConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("the connection does not end")
		}
		waitFor(t, "the end", func() bool { return len(s.Connections()) == 0 && s.outstanding.Load() == 0 })
	})
}
