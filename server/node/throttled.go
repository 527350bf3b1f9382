package node

import (
	"time"

	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// RequestThrottle keeps requests waiting, in the order in which they came, while others are in process
// (org.apache.zookeeper.server.RequestThrottler). Its zero value does not.
type RequestThrottle struct {
	// MaxRequests is the number of requests in process from which on others wait (request_throttle_max_requests); 0 for no
	// such number.
	MaxRequests int
	// StallTime is how often the first of those that wait is looked at (request_throttle_stall_time).
	StallTime time.Duration
	// DropStale drops requests that have become stale while they waited, and closes their connections
	// (request_throttle_drop_stale): those whose connection has ended (StaleConnection, request_stale_connection_check), and
	// those that are older than the timeout of their session (StaleLatency, request_stale_latency_check).
	DropStale, StaleConnection, StaleLatency bool
	// OpWaitTime is how long a request may have waited if it is not to be refused (throttled_op_wait_time); 0 for any time.
	OpWaitTime time.Duration
}

// held is a request that waits to be let in. Without a body, of type createSession, it is that of the session itself.
type held struct {
	client *client
	in     ClientRequest
	auth   []wire.ID // those of the client when it came
	since  time.Duration
}

// inProcess is the number of requests that have been let in and not answered.
func (n *Node) inProcess() int { return n.inFlight + n.opening }

// throttles tells whether requests have to wait.
func (n *Node) throttles() bool {
	most := n.cfg.RequestThrottle.MaxRequests
	return most > 0 && (len(n.held) > 0 || n.inProcess() >= most)
}

// hold lets a request wait.
func (n *Node) hold(c *client, in ClientRequest) {
	if len(n.held) == 0 {
		n.nextStall = n.now.Mono + n.cfg.RequestThrottle.StallTime
	}
	n.held = append(n.held, held{client: c, in: in, auth: c.auth, since: n.now.Mono})
	n.cfg.Metrics.RequestThrottleWaitCount.Add(1)
}

// release lets in what need not wait any more. While nothing can be let in, stale requests are looked for now and then.
func (n *Node) release() {
	for len(n.held) > 0 {
		full := n.inProcess() >= n.cfg.RequestThrottle.MaxRequests
		if full && n.now.Mono < n.nextStall {
			return
		}
		h := n.held[0]
		if n.isStale(h) {
			n.cfg.Metrics.StaleRequests.Add(1)
			if n.cfg.RequestThrottle.DropStale {
				n.cfg.Metrics.StaleRequestsDropped.Add(1)
				n.next()
				if n.clients[h.client.id] == h.client {
					n.closeClient(h.client)
				}
				continue
			}
		}
		if full {
			n.nextStall = n.now.Mono + n.cfg.RequestThrottle.StallTime
			return
		}
		n.next()
		n.letIn(h)
	}
	n.held = nil
}

// next takes the first request out of the line.
func (n *Node) next() {
	n.held[0] = held{}
	n.held = n.held[1:]
}

// isStale tells whether nobody waits for the answer to a request any more. The end of a session outlives its connection.
func (n *Node) isStale(h held) bool {
	t := &n.cfg.RequestThrottle
	switch {
	case h.in.Header.Type == wire.OpCloseSession:
		return false
	case t.StaleConnection && n.clients[h.client.id] != h.client:
		return true
	}
	return t.StaleLatency && n.now.Mono-h.since > h.client.timeout
}

// letIn handles a request that has waited.
func (n *Node) letIn(h held) {
	waited := n.now.Mono - h.since
	n.cfg.Metrics.RequestThrottleQueueTime.Took(waited)
	c, op := h.client, h.in.Header.Type
	gone := n.clients[c.id] != c
	switch {
	case !gone && op == wire.OpCreateSession && c.creating:
		n.createSession(c)
	case !gone && n.mayWait(op, waited):
		n.take(c, h.in, wire.ErrOK)
	case !gone:
		n.cfg.Metrics.ThrottledOps.Add(1)
		n.take(c, h.in, wire.ErrThrottledOp)
	case c.local && op == wire.OpCloseSession:
		n.local.Remove(c.session)
	case isWrite(op) && n.serving && !c.local:
		n.orphan(c.session, h.in.Header.Xid)
		n.submit(zab.Request{Session: c.session, Cxid: h.in.Header.Xid, Op: op, Body: h.in.Body, Auth: h.auth})
	}
}

// mayWait tells whether a request of this kind is still handled after so long a time.
func (n *Node) mayWait(op wire.OpCode, waited time.Duration) bool {
	limit := n.cfg.RequestThrottle.OpWaitTime
	return limit <= 0 || waited <= limit || op == wire.OpPing || op == wire.OpCloseSession
}
