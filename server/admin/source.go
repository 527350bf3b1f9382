// Package admin renders what a server tells its operators: the answers to the four-letter words of the client port
// (org.apache.zookeeper.server.command), and metrics for Prometheus under the names that Apache ZooKeeper's exporter has
// used since 3.6.
//
// It has no goroutines and opens no port. Not here: the AdminServer, Apache ZooKeeper's third interface, which speaks
// JSON over HTTP.
package admin

import (
	"context"
	"io"
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// Source is the server that the answers are about. Its methods are safe for concurrent use.
type Source interface {
	Config() *config.Config
	// Version is that of the program, such as 1.0.0.
	Version() string
	// Started is when the process began to run the server.
	Started() time.Time
	// Mono is the clock of Status.Since and Status.ServingSince.
	Mono() time.Duration
	Status() node.Status
	Watches() *watch.Manager
	Traffic() Traffic
	Metrics() *metrics.Metrics
	// ResetTraffic does what srst asks for: traffic, metrics and sizes of proposals begin anew.
	ResetTraffic()
	// Connections are all open client connections, those without a session included. The caller owns the slice.
	Connections() []Connection
	// ResetConnections does what crst asks for: the counters and latencies of each connection begin anew.
	ResetConnections()
	// Proposed are the sizes of a leader's proposals since the start or the last ResetTraffic.
	Proposed() Sizes
	// Members is the present configuration of the ensemble.
	Members() *quorum.Config
	// Learners are the connections of a leader's learners, by id.
	Learners() []Learner
	// ResetObservers lets the counters of the connections of observers begin anew.
	ResetObservers()
	// TraceMask is the one that stmk set last, at first 306; SetTraceMask sets it.
	TraceMask() int64
	SetTraceMask(mask int64)
	// Digests are those of the tree after every 128th zxid, the oldest first.
	Digests() []tree.ZxidDigest
	Expiries() Expiries
	// LastSnapshot is the newest snapshot on disk and when it was written; ok is false if there is none.
	LastSnapshot() (zxid wire.Zxid, written time.Time, ok bool)
	// Authorize tells whether somebody may do everything with the root.
	Authorize(c Credentials) Access
	// TakeSnapshot writes a snapshot, while everything goes on, and returns its file.
	TakeSnapshot(ctx context.Context) (file string, zxid wire.Zxid, err error)
	// Restore puts a snapshot in the place of the state, and returns the zxid of that.
	Restore(ctx context.Context, from io.Reader) (wire.Zxid, error)
	// Shed closes client connections, each with the given probability in percent, and returns how many.
	Shed(percent int) int
	// Quotas are those of each namespace that has any.
	Quotas() map[string]tree.NamespaceQuota
	// Sessions are all sessions that this server knows of, by id.
	Sessions() []tree.Session
	// Ephemerals are the paths of the ephemeral nodes of each session that has any.
	Ephemerals() map[wire.SessionID][]string
}

// Summary is how long something took each time. Its zero value has seen nothing.
type Summary struct {
	Count    int64
	Total    time.Duration
	Min, Max time.Duration
}

// Add counts one more.
func (s *Summary) Add(d time.Duration) { s.Merge(Summary{1, d, d, d}) }

// Merge counts what other has counted.
func (s *Summary) Merge(other Summary) {
	if other.Count == 0 {
		return
	}
	if s.Count == 0 || other.Min < s.Min {
		s.Min = other.Min
	}
	s.Max = max(s.Max, other.Max)
	s.Count += other.Count
	s.Total += other.Total
}

// Traffic is what has passed the client port.
type Traffic struct {
	// Received and Sent are packets, Latency the times from the arrival of requests to their answers, and Responses the
	// lengths of frames sent to clients, since the start or the last ResetTraffic.
	Received, Sent int64
	Latency        Summary
	Responses      Sizes

	// Open are the connections of this moment, Handshakes those of TLS that are under way.
	Open, Handshakes int
	// AuthFailed are auth requests that were refused, and handshakes of TLS that failed, since the start.
	AuthFailed int64
	// PlainLocal and PlainRemote are connections to a port that is not for TLS alone, from this host and from others, since
	// the start.
	PlainLocal, PlainRemote int64
}

// Connection is one client connection.
type Connection struct {
	// ID is what watches know the connection by.
	ID watch.Watcher
	// Remote is the client's address as ip:port.
	Remote string
	// Secure tells that it is one of TLS.
	Secure bool
	// Session is 0 before the handshake, Timeout that of the session.
	Session wire.SessionID
	Timeout time.Duration
	// Queued are requests in process.
	Queued         int
	Received, Sent int64
	Established    time.Time
	// LastOp is the last request answered; a connection without any has LastXid -1 and LastZxid -1.
	LastOp   wire.OpCode
	LastXid  int32
	LastZxid wire.Zxid
	// LastResponse is when it was answered, LastLatency how long that took.
	LastResponse time.Time
	LastLatency  time.Duration
	Latency      Summary
	// Word says that the connection only asks a four-letter word.
	Word bool
}

// Expiries are the sessions of a server by the moment (Mono) at which they end if nothing is heard of them.
type Expiries struct {
	// Local are sessions that only this server knows.
	Local []session.Due
	// Global are those of the ensemble, if Decides says that this is the server that ends them.
	Global  []session.Due
	Decides bool
}

// Learner is the connection of a learner.
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

// Sizes are lengths in bytes. Its zero value has seen nothing.
type Sizes struct {
	Count          int64
	Last, Min, Max int
	// At is when the last one was, by a clock of the user.
	At time.Duration
}

// Add counts one more.
func (s *Sizes) Add(bytes int) {
	if s.Count == 0 || bytes < s.Min {
		s.Min = bytes
	}
	s.Max = max(s.Max, bytes)
	s.Last = bytes
	s.Count++
}

// last, min and max are -1 before any.
func (s Sizes) last() int { return s.orNone(s.Last) }
func (s Sizes) min() int  { return s.orNone(s.Min) }
func (s Sizes) max() int  { return s.orNone(s.Max) }

func (s Sizes) orNone(bytes int) int {
	if s.Count == 0 {
		return -1
	}
	return bytes
}

// Merge counts what other has counted.
func (s *Sizes) Merge(other Sizes) {
	if other.Count == 0 {
		return
	}
	if s.Count == 0 || other.Min < s.Min {
		s.Min = other.Min
	}
	s.Max = max(s.Max, other.Max)
	if s.Count == 0 || other.At >= s.At {
		s.Last, s.At = other.Last, other.At
	}
	s.Count += other.Count
}
