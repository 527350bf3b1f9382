package clientport

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// Traffic counts what happened at the port since its start or the last Reset.
type Traffic struct {
	// Received and Sent count frames.
	Received, Sent int64
	// Rejected counts connections refused for a limit, since the start.
	Rejected int64
	// Connections is the number of open ones, Outstanding that of requests that wait for their answer.
	Connections int
	Outstanding int64
	Latency     Latency
}

// Latency is the time from a request's arrival to its answer.
type Latency struct {
	Count           int64
	Total, Min, Max time.Duration
}

func (l *Latency) add(d time.Duration) {
	if l.Count == 0 || d < l.Min {
		l.Min = d
	}
	l.Count++
	l.Total += d
	l.Max = max(l.Max, d)
}

// Average is 0 where nothing was measured.
func (l Latency) Average() time.Duration {
	if l.Count == 0 {
		return 0
	}
	return l.Total / time.Duration(l.Count)
}

// traffic is what Traffic reports, kept without locks.
type traffic struct {
	received, sent, rejected atomic.Int64
	count, total, max        atomic.Int64
	min                      atomic.Int64 // plus one, 0 for none
}

func (t *traffic) add(d time.Duration) {
	t.count.Add(1)
	t.total.Add(int64(d))
	for old := t.max.Load(); int64(d) > old && !t.max.CompareAndSwap(old, int64(d)); old = t.max.Load() {
	}
	for old := t.min.Load(); (old == 0 || int64(d) < old-1) && !t.min.CompareAndSwap(old, int64(d)+1); old = t.min.Load() {
	}
}

// Traffic reports the counters.
func (p *Port) Traffic() Traffic {
	t := &p.traffic
	p.mu.Lock()
	connections := len(p.all)
	p.mu.Unlock()
	return Traffic{
		Received: t.received.Load(), Sent: t.sent.Load(), Rejected: t.rejected.Load(),
		Connections: connections, Outstanding: p.outstanding.Load(),
		Latency: Latency{
			Count: t.count.Load(), Total: time.Duration(t.total.Load()),
			Min: time.Duration(max(t.min.Load()-1, 0)), Max: time.Duration(t.max.Load()),
		},
	}
}

// ResetTraffic sets the counters of frames and latency to zero (srst).
func (p *Port) ResetTraffic() {
	t := &p.traffic
	for _, n := range []*atomic.Int64{&t.received, &t.sent, &t.count, &t.total, &t.max, &t.min} {
		n.Store(0)
	}
}

// connStats are the counters of one connection, guarded by its mu.
type connStats struct {
	received, sent int64
	latency        Latency
	last           arrival
	lastAnswered   time.Duration
	lastLatency    time.Duration
	lastZxid       wire.Zxid
}

// answered counts an answer. The caller holds c.mu.
func (c *conn) answered(frame []byte, a arrival, latency time.Duration) {
	c.port.traffic.sent.Add(1)
	c.port.traffic.add(latency)
	s := &c.stats
	s.sent++
	s.latency.add(latency)
	s.last, s.lastAnswered, s.lastLatency = a, a.at+latency, latency
	if a.op == wire.OpCreateSession {
		return
	}
	d := wire.NewDecoder(frame)
	d.Int32()
	if zxid := wire.Zxid(d.Int64()); zxid > 0 && d.Err() == nil {
		s.lastZxid = zxid
	}
}

// Connection describes one connection.
type Connection struct {
	ID            node.ClientID
	Remote, Local string
	// Connected tells that it has sent its first frame.
	Connected      bool
	Queued         int
	Received, Sent int64
	Established    time.Time
	// LastOp, LastXid and LastZxid are those of the last answer, which left at LastResponse.
	LastOp       wire.OpCode
	LastXid      int32
	LastZxid     wire.Zxid
	LastResponse time.Time
	LastLatency  time.Duration
	Latency      Latency
}

// Connections describes every connection, the oldest first.
func (p *Port) Connections() []Connection {
	var list []Connection
	for _, c := range p.everyConn() {
		c.mu.Lock()
		s := c.stats
		list = append(list, Connection{
			ID: c.id, Remote: c.remote.String(), Local: c.tcp.LocalAddr().String(),
			Queued: len(c.waiting), Received: s.received, Sent: s.sent, Established: c.established,
			LastOp: s.last.op, LastXid: s.last.xid, LastZxid: s.lastZxid, LastResponse: p.began.Add(s.lastAnswered),
			LastLatency: s.lastLatency, Latency: s.latency,
		})
		c.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ResetConnections sets the counters of every connection to zero (crst).
func (p *Port) ResetConnections() {
	for _, c := range p.everyConn() {
		c.mu.Lock()
		c.stats = connStats{}
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
