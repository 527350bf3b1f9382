package clientport

import (
	"cmp"
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// lengthBytes is the length in front of each frame.
const lengthBytes = 4

// connStats are the counters of one connection, guarded by its mu, so that busy connections do not share any. traffic is
// what the port adds up, and own what the connection shows.
type connStats struct {
	traffic admin.Traffic
	own     struct {
		received, sent int64
		latency        admin.Summary
	}
	last        arrival
	lastAt      time.Duration
	lastLatency time.Duration
	lastZxid    wire.Zxid
	xids        int32 // one more than the last xid of the client's own requests, which pings and the like are not
}

// received counts a frame of the client.
func (s *connStats) received() {
	s.own.received++
	s.traffic.Received++
}

// event counts a watch event.
func (s *connStats) event(frameBytes int, at time.Duration) {
	s.own.sent++
	s.traffic.Sent++
	s.traffic.Responses.Add(frameBytes)
	s.traffic.Responses.At = at
}

// answer counts the answer to a request.
func (s *connStats) answer(frame []byte, a arrival, latency time.Duration) {
	s.own.sent++
	s.own.latency.Add(latency)
	t := &s.traffic
	t.Sent++
	t.Latency.Add(latency)
	s.last, s.lastAt, s.lastLatency = a, a.at+latency, latency
	if a.xid >= 0 {
		s.xids = a.xid + 1
	}
	if a.op == wire.OpCreateSession {
		return // its frame has no header
	}
	t.Responses.Add(len(frame))
	t.Responses.At = s.lastAt
	d := wire.NewDecoder(frame)
	d.Int32()
	if zxid := wire.Zxid(d.Int64()); zxid > 0 {
		s.lastZxid = zxid
	}
	if wire.ErrCode(d.Int32()) != wire.ErrOK && a.op == wire.OpAuth {
		t.AuthFailed++
	}
}

// add adds the counters of a connection to those of its port.
func add(t *admin.Traffic, c admin.Traffic) {
	t.Received += c.Received
	t.Sent += c.Sent
	t.AuthFailed += c.AuthFailed
	t.Latency.Merge(c.Latency)
	t.Responses.Merge(c.Responses)
}

// Traffic reports what has passed the port.
func (p *Port) Traffic() admin.Traffic {
	conns := p.everyConn()
	p.mu.Lock()
	sum := p.past
	sum.Open = len(p.all)
	sum.Handshakes = int(p.handshakes.Load())
	p.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		if !c.closed { // else it is in the past
			add(&sum, c.stats.traffic)
		}
		c.mu.Unlock()
	}
	return sum
}

// ResetTraffic lets packets, latencies and sizes of responses begin anew (srst).
func (p *Port) ResetTraffic() {
	reset := func(t *admin.Traffic) {
		t.Received, t.Sent, t.Latency, t.Responses = 0, 0, admin.Summary{}, admin.Sizes{}
	}
	for _, c := range p.everyConn() {
		c.mu.Lock()
		reset(&c.stats.traffic)
		c.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	reset(&p.past)
}

// Connections describes every connection, the oldest first. Of sessions it knows nothing.
func (p *Port) Connections() []admin.Connection {
	var list []admin.Connection
	for _, c := range p.everyConn() {
		c.mu.Lock()
		s := &c.stats
		d := admin.Connection{
			ID: watch.Watcher(c.id), Remote: c.remote.String(), Secure: c.secure, Word: c.asks,
			Queued: len(c.waiting), Received: s.own.received, Sent: s.own.sent, Established: c.established,
			LastOp: s.last.op, LastXid: s.xids - 1, LastZxid: s.lastZxid,
			LastLatency: s.lastLatency, Latency: s.own.latency,
		}
		if s.lastAt == 0 {
			d.LastZxid = -1
		} else {
			d.LastResponse = p.began.Add(s.lastAt)
		}
		c.mu.Unlock()
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b admin.Connection) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ResetConnections lets the counters and latencies of each connection begin anew (crst).
func (p *Port) ResetConnections() {
	for _, c := range p.everyConn() {
		c.mu.Lock()
		traffic := c.stats.traffic
		c.stats = connStats{traffic: traffic}
		c.mu.Unlock()
	}
}

func (p *Port) everyConn() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*conn, 0, len(p.all))
	for c := range p.all {
		list = append(list, c)
	}
	return list
}

// now is the time since the port was opened.
func (p *Port) now() time.Duration { return time.Since(p.began) }
