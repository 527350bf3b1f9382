package clientport

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// Requests of many bytes that nobody waits for do not come to more than there is room for, and short ones pass them.
func TestBytesOfRequests(t *testing.T) {
	const limit, length, each = 3 << 20, 900_000, 5
	s := newStand(t, func(c *Config) { c.RequestBytes = limit })
	var clients []*peer
	for range 6 {
		clients = append(clients, s.connect())
	}
	small := s.connect()
	release := s.holdBack()
	body := strings.Repeat("x", length)
	var group sync.WaitGroup
	for _, p := range clients {
		group.Go(func() {
			for xid := range each {
				p.send(request(xid, wire.OpSetData, body))
			}
		})
	}
	waitFor(t, "a line", func() bool { return s.room.waits.Load() >= 3 && s.outstanding.Load() == 3 })
	if used := s.room.used.Load(); used > limit {
		t.Errorf("%d bytes are in process", used)
	}
	small.send(request(1, wire.OpSetData, "small"))
	waitFor(t, "the small one", func() bool { return s.outstanding.Load() == 4 })
	release()
	small.expect(1, "small")
	for _, p := range clients {
		for xid := range each {
			p.expect(xid, body)
		}
	}
	group.Wait()
	waitFor(t, "an empty room", func() bool { return s.room.used.Load() == 0 })
}

// One connection has a share of the room only.
func TestBytesOfRequestsOfOneConnection(t *testing.T) {
	const length, count = 900_000, 20
	s := newStand(t, func(c *Config) { c.RequestBytes = 64 << 20 })
	p := s.connect()
	release := s.holdBack()
	body := strings.Repeat("x", length)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for xid := range count {
			p.send(request(xid, wire.OpSetData, body))
		}
	}()
	waitFor(t, "enough", func() bool { return s.room.used.Load() > connRequestBytes })
	if used := s.room.used.Load(); used > connRequestBytes+length+100 {
		t.Errorf("%d bytes are in process", used)
	}
	release()
	for xid := range count {
		p.expect(xid, body)
	}
	<-sent
}

// Whoever announces a long request and does not send it keeps the others waiting for a moment only; what is in process of
// one that leaves is given back.
func TestSlowRequestsKeepNoRoom(t *testing.T) {
	const length = 900_000
	s := newStand(t, func(c *Config) { c.RequestBytes = length + 100 })
	slow, other := s.connect(), s.connect()
	body := strings.Repeat("x", length)
	whole := framed(request(1, wire.OpSetData, body))
	slow.Write(whole[:100])
	waitFor(t, "the slow one", func() bool { return s.room.used.Load() > length })
	other.send(request(1, wire.OpSetData, body))
	other.expect(1, body)
	slow.Write(whole[100:])
	slow.expect(1, body)

	slow.Write(whole[:100])
	waitFor(t, "the slow one", func() bool { return s.room.used.Load() > length })
	slow.Close()
	waitFor(t, "its end", func() bool { return s.room.used.Load() == 0 })
}

// What a client asked for is in process even if it has gone: to come again and again makes no more room.
func TestWhoHasGoneLeavesRequestsBehind(t *testing.T) {
	const length, limit = 900_000, 3 << 20
	s := newStand(t, func(c *Config) { c.RequestBytes = limit })
	var clients []*peer
	for range 12 {
		clients = append(clients, s.connect())
	}
	s.holdBack()
	body := strings.Repeat("x", length)
	for _, p := range clients[:3] {
		p.send(request(1, wire.OpSetData, body))
	}
	waitFor(t, "three requests", func() bool { return s.outstanding.Load() == 3 })
	began := time.Now()
	for _, p := range clients[:3] {
		p.Close()
	}
	for _, p := range clients[3:] {
		go p.Write(framed(request(1, wire.OpSetData, body)))
	}
	waitFor(t, "the next three", func() bool { return s.outstanding.Load() == 3 && s.room.waits.Load() == 6 })
	if took := time.Since(began); took < leftTime {
		t.Errorf("they came in after %v", took)
	}
}

// Who waits comes in in order, one alone always does, and nothing is lost on the way.
func TestRoom(t *testing.T) {
	r := room{limit: 1_000_000}
	enter := func(bytes int) bool {
		p := &place{bytes: int64(bytes), turn: make(chan bool, 1)}
		r.enter(p)
		return <-p.turn
	}
	if !enter(5_000_000) {
		t.Fatal("one alone has no room")
	}
	var order []int
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			enter(400_000)
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
		})
		waitFor(t, "its place", func() bool { return r.waits.Load() == int32(i+1) })
	}
	admitted := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(order)
	}
	r.giveBack(5_000_000)
	waitFor(t, "two", func() bool { return admitted() == 2 })
	for i := range 3 {
		if n := r.waits.Load(); int(n) != 3-i {
			t.Fatalf("%d wait", n)
		}
		r.giveBack(400_000)
		waitFor(t, "the next", func() bool { return admitted() == 3+i })
		if mu.Lock(); order[2+i] != 2+i {
			t.Errorf("they came in as %v", order)
		}
		mu.Unlock()
	}
	group.Wait()
	r.giveBack(400_000)
	r.giveBack(400_000)

	var most atomic.Int64
	for i := range 8 {
		group.Go(func() {
			rand := rand.New(rand.NewPCG(1, uint64(i)))
			for range 2000 {
				n := readBytes + rand.IntN(460_000)
				if enter(n); r.used.Load() > most.Load() {
					most.Store(r.used.Load())
				}
				r.giveBack(n)
			}
		})
	}
	group.Wait()
	if r.used.Load() != 0 || most.Load() > r.limit {
		t.Errorf("%d bytes are left, %d were in process", r.used.Load(), most.Load())
	}

	r.take(1_000_000)
	left := make(chan bool)
	go func() { left <- enter(readBytes) }()
	waitFor(t, "its place", func() bool { return r.waits.Load() == 1 })
	r.close()
	if <-left || enter(readBytes) {
		t.Error("a closed room was entered")
	}
}

// Short requests, which wait for nothing, do not keep a long one out that is alone of its kind, whatever they take.
func TestShortRequestsKeepNoLongOneOut(t *testing.T) {
	r := room{limit: 1_000_000}
	for range 1000 {
		r.take(1000)
	}
	p := &place{bytes: 900_000, turn: make(chan bool, 1)}
	r.enter(p)
	if !<-p.turn {
		t.Error("the room is closed")
	}
}

// Connections that are let go while they wait in the line, with requests of their own in process that nobody answers any more,
// leave the line and give back what they have: the room is open to others.
func TestWhoIsLetGoLeavesTheLine(t *testing.T) {
	const length = 900_000
	for _, end := range []string{"close", "abandon"} {
		s := newStand(t, func(c *Config) { c.RequestBytes = 3 << 20 })
		var clients []*peer
		for range 6 {
			clients = append(clients, s.connect())
		}
		release := s.holdBack()
		body := strings.Repeat("x", length)
		for _, p := range clients {
			go p.Write(append(framed(request(1, wire.OpSetData, body)), framed(request(2, wire.OpSetData, body))...))
		}
		waitFor(t, "a line", func() bool { return s.room.waits.Load() >= 5 && s.outstanding.Load() == 3 })
		for _, c := range s.everyConn() {
			if end == "close" {
				s.Close(c.id)
				continue
			}
			c.mu.Lock()
			c.abandon()
			c.mu.Unlock()
		}
		waitFor(t, "an empty line", func() bool { return s.room.waits.Load() == 0 })
		waitFor(t, "an empty room", func() bool { return s.room.used.Load() == 0 })
		release()
	}
}
