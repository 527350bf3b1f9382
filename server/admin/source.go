// Package admin renders what a server tells its operators: the answers to the four-letter words of the client port
// (org.apache.zookeeper.server.command), and metrics for Prometheus under the names that Apache ZooKeeper's exporter has
// used since 3.6.
//
// It has no goroutines and opens no port. Not here: the AdminServer, Apache ZooKeeper's third interface, which speaks
// JSON over HTTP.
package admin

import (
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/node"
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
	// ResetTraffic does what srst asks for: Received, Sent and the latencies begin anew.
	ResetTraffic()
	// Connections are all open client connections, those without a session included. The caller owns the slice.
	Connections() []Connection
	// ResetConnections does what crst asks for: the counters and latencies of each connection begin anew.
	ResetConnections()
	Storage() Storage
	Ensemble() Ensemble
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
	// Received and Sent are packets, and Latency the times from the arrival of requests to their answers, since the start
	// or the last ResetTraffic.
	Received, Sent int64
	Latency        Summary

	// What follows counts from the start.

	// Reads and Writes are the latencies of requests of either kind.
	Reads, Writes Summary
	// BytesReceived and BytesSent are those of frames with their lengths; WatchBytes are those of watch events among the
	// latter.
	BytesReceived, BytesSent, WatchBytes int64
	// Open are the connections of this moment.
	Open int
	// Accepted are connections that were accepted, Rejected those that were refused for a limit, Dropped those that
	// ended in any way but by the client's closing the session.
	Accepted, Rejected, Dropped int64
	// AuthFailed are auth requests that were refused, and handshakes of TLS that failed.
	AuthFailed int64
	Handshakes Handshakes
	// LastResponse, MinResponse and MaxResponse are lengths of frames sent to clients; 0 before any.
	LastResponse, MinResponse, MaxResponse int
}

// Handshakes are those of TLS with clients.
type Handshakes struct {
	// Open are those of this moment.
	Open int64
	// Failed are those that did not succeed, Exceeded connections that were closed because too many were open
	// (netty.server.outstandingHandshake.limit).
	Failed, Exceeded int64
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

// Storage is what the disk has been asked to do since the start.
type Storage struct {
	// Fsync are those of txn logs; SlowFsyncs counts those that took longer than fsync.warningthresholdms.
	Fsync      Summary
	SlowFsyncs int64
	// Snapshot are those written.
	Snapshot Summary
	// Load is how long it took to read the disk at the start.
	Load time.Duration
}

// Ensemble is what a member has done with the others since the start.
type Ensemble struct {
	// Looking counts how often it began to look for a leader; Election is the time from there to serving.
	Looking  int64
	Election Summary
	// Proposals and Commits are those that it made as leader.
	Proposals, Commits int64
	// Proposed are the sizes of the proposals in bytes since the start or the last ResetTraffic.
	Proposed Sizes
	// Diffs and Snapshots count the learners that it synchronised as leader, without and with a snapshot.
	Diffs, Snapshots int64
}

// Sizes are lengths in bytes. Its zero value has seen nothing.
type Sizes struct {
	Count          int64
	Last, Min, Max int
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
