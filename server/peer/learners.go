package peer

import (
	"cmp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/wire"
)

// Learner describes the connection of a learner, for operators (LearnerHandler.getLearnerHandlerInfo).
type Learner struct {
	ID       wire.ServerID
	Observer bool
	// Remote is ip:port.
	Remote      string
	Established time.Time
	// QueuedPackets and QueuedBytes wait to be written.
	QueuedPackets, QueuedBytes int
	// Received and Sent are packets, Requests those of the former that carry a client's request, since the connection was
	// established or the last ResetObservers. LastZxid is that of the last packet sent with one, -1 before any.
	Received, Sent, Requests int64
	LastZxid                 wire.Zxid
}

// learner is what the connection of a learner counts.
type learner struct {
	id          wire.ServerID
	observer    bool
	established time.Time
	size, time  *metrics.Summary // of its queue; nil if there are too many learners

	received, sent, requests atomic.Int64
	lastZxid                 atomic.Int64
	// markedAt is when the packet was queued whose waiting is measured; guarded by the connection's mu.
	markedAt time.Time
}

// newLearner reads who a learner is from its first packet; nil if that does not say.
func newLearner(packet wire.QuorumPacket, m *metrics.Metrics) *learner {
	if packet.Type != wire.PacketFollowerInfo && packet.Type != wire.PacketObserverInfo {
		return nil
	}
	info, err := wire.ParseLearnerInfo(packet.Data)
	if err != nil {
		return nil
	}
	key := strconv.FormatInt(int64(info.ServerID), 10)
	l := &learner{
		id: info.ServerID, observer: packet.Type == wire.PacketObserverInfo, established: time.Now(),
		size: m.LearnerHandlerQpSize.Summary(key), time: m.LearnerHandlerQpTime.Summary(key),
	}
	l.lastZxid.Store(-1)
	return l
}

func (l *learner) receives(packet wire.QuorumPacket) {
	if l == nil {
		return
	}
	l.received.Add(1)
	if packet.Type == wire.PacketRequest {
		l.requests.Add(1)
	}
}

func (l *learner) sends(packet wire.QuorumPacket) {
	if l == nil {
		return
	}
	l.sent.Add(1)
	if packet.Zxid > 0 {
		l.lastZxid.Store(int64(packet.Zxid))
	}
}

// queued notes that a packet waits. The connection's mu is held.
func (l *learner) queued() {
	if l != nil && l.markedAt.IsZero() {
		l.markedAt = time.Now()
	}
}

// takes notes that so many packets wait no longer. The connection's mu is held.
func (l *learner) takes(packets int) {
	if l == nil || l.size == nil || l.time == nil {
		return
	}
	l.size.Add(int64(packets))
	if !l.markedAt.IsZero() {
		l.time.Took(time.Since(l.markedAt))
		l.markedAt = time.Time{}
	}
}

// Learners describes the connections of learners, by id.
func (p *Peer) Learners() []Learner {
	var list []Learner
	p.eachLearner(func(c *conn, l *learner) {
		c.mu.Lock()
		defer c.mu.Unlock()
		list = append(list, Learner{
			ID: l.id, Observer: l.observer, Remote: c.remote, Established: l.established,
			QueuedPackets: len(c.queue), QueuedBytes: c.queuedBytes,
			Received: l.received.Load(), Sent: l.sent.Load(), Requests: l.requests.Load(),
			LastZxid: wire.Zxid(l.lastZxid.Load()),
		})
	})
	slices.SortFunc(list, func(a, b Learner) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ResetObservers lets the counters of the connections of observers begin anew.
func (p *Peer) ResetObservers() {
	p.eachLearner(func(_ *conn, l *learner) {
		if l.observer {
			l.received.Store(0)
			l.sent.Store(0)
			l.requests.Store(0)
			l.lastZxid.Store(-1)
		}
	})
}

func (p *Peer) eachLearner(f func(*conn, *learner)) {
	p.mu.Lock()
	conns := make([]*conn, 0, len(p.conns))
	for _, c := range p.conns {
		if c.learner != nil {
			conns = append(conns, c)
		}
	}
	p.mu.Unlock()
	for _, c := range conns {
		f(c, c.learner)
	}
}
