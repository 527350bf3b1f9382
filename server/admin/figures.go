package admin

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

// figure is one measured value, under the name that Apache ZooKeeper gives it.
type figure struct {
	name, help string
	kind       kind
	value      float64
	summary    Summary
}

type kind int

const (
	gauge    kind = iota
	fraction      // a gauge that need not be a whole number
	counter
	times // summary, in milliseconds
)

// figures are all that this server measures. Those of an ensemble or of a leader are there only in that role.
func figures(src Source) []figure {
	var all []figure
	add := func(kind kind, name string, value int64, help string) {
		all = append(all, figure{name: name, help: help, kind: kind, value: float64(value)})
	}
	addTimes := func(name string, s Summary, help string) {
		all = append(all, figure{name: name, help: help, kind: times, summary: s})
	}
	status, traffic, storage := src.Status(), src.Traffic(), src.Storage()

	all = append(all, figure{"avg_latency", "mean milliseconds from request to answer since the start or srst", fraction, avgMillis(traffic.Latency), Summary{}})
	add(gauge, "max_latency", traffic.Latency.Max.Milliseconds(), "longest of them")
	add(gauge, "min_latency", traffic.Latency.Min.Milliseconds(), "shortest of them")
	add(gauge, "packets_received", traffic.Received, "packets from clients since the start or srst")
	add(gauge, "packets_sent", traffic.Sent, "packets to clients since the start or srst")
	add(gauge, "num_alive_connections", int64(traffic.Open), "open client connections")
	add(gauge, "outstanding_requests", int64(status.Outstanding), "requests in process")
	add(gauge, "uptime", servingMillis(src, status), "milliseconds since the server began to serve")
	add(gauge, "znode_count", znodes(status), "znodes, and one for the second name of the root")
	add(gauge, "watch_count", int64(status.Watches), "watches")
	add(gauge, "ephemerals_count", int64(status.Ephemerals), "ephemeral znodes")
	add(gauge, "approximate_data_size", status.DataBytes, "bytes of paths and data of all znodes")
	add(gauge, "global_sessions", int64(status.Sessions), "sessions")
	add(gauge, "local_sessions", int64(status.LocalSessions), "sessions that only this server knows")
	add(gauge, "open_file_descriptor_count", openFiles(), "open files, -1 if unknown")
	add(gauge, "max_file_descriptor_count", maxOpenFiles(), "limit of open files, -1 if unknown")
	add(gauge, "last_client_response_size", orNone(traffic.LastResponse), "bytes of the last answer, -1 before any")
	add(gauge, "max_client_response_size", orNone(traffic.MaxResponse), "bytes of the longest answer, -1 before any")
	add(gauge, "min_client_response_size", orNone(traffic.MinResponse), "bytes of the shortest answer, -1 before any")
	add(gauge, "auth_failed_count", traffic.AuthFailed, "refused auth requests")

	add(counter, "bytes_received_count", traffic.BytesReceived, "bytes from clients")
	add(counter, "response_bytes", traffic.BytesSent, "bytes to clients")
	add(counter, "watch_bytes", traffic.WatchBytes, "bytes of watch events")
	add(counter, "connection_rejected", traffic.Rejected, "client connections refused for a limit")
	add(counter, "connection_drop_count", traffic.Dropped, "client connections that ended without the end of their session")
	add(counter, "digest_mismatches_count", int64(status.DigestMismatches), "txns whose digest was not that of the tree after them")
	add(counter, "fsync_threshold_exceed_count", storage.SlowFsyncs, "fsyncs that took longer than fsync.warningthresholdms")
	addTimes("readlatency", traffic.Reads, "milliseconds from request to answer, reads")
	addTimes("updatelatency", traffic.Writes, "milliseconds from request to answer, writes")
	addTimes("fsynctime", storage.Fsync, "milliseconds of txn log fsyncs")
	addTimes("snapshottime", storage.Snapshot, "milliseconds to write a snapshot")
	addTimes("dbinittime", Summary{1, storage.Load, storage.Load, storage.Load}, "milliseconds to read the disk at the start")
	if !src.Config().Distributed {
		return all
	}

	e := src.Ensemble()
	members := &src.Config().Members
	add(gauge, "quorum_size", int64(len(members.Voters())), "voting members")
	add(counter, "looking_count", e.Looking, "times that the server began to look for a leader")
	addTimes("election_time", e.Election, "milliseconds from looking to serving")
	add(counter, "proposal_count", e.Proposals, "proposals of this server as leader")
	add(counter, "commit_count", e.Commits, "commits of this server as leader")
	add(counter, "diff_count", e.Diffs, "learners that this leader synchronised by txns alone")
	add(counter, "snap_count", e.Snapshots, "learners that this leader sent a snapshot")
	if status.Role != node.Leading {
		return all
	}
	nonVoting := 0
	for _, l := range status.Learners {
		if !l.Observer && l.Synced && !members.IsVoter(l.ID) {
			nonVoting++
		}
	}
	add(gauge, "learners", int64(len(status.Learners)), "connected followers and observers")
	add(gauge, "synced_followers", int64(status.SyncedFollowers), "followers in sync")
	add(gauge, "synced_non_voting_followers", int64(nonVoting), "followers in sync that are no participants")
	add(gauge, "synced_observers", int64(status.SyncedObservers), "observers in sync")
	add(gauge, "pending_syncs", int64(status.PendingSyncs), "sync requests in process")
	add(gauge, "leader_uptime", servingMillis(src, status), "milliseconds since this leader began to serve")
	add(gauge, "last_proposal_size", int64(e.Proposed.last()), "bytes of the last proposal, -1 before any")
	add(gauge, "max_proposal_size", int64(e.Proposed.max()), "bytes of the longest proposal, -1 before any")
	add(gauge, "min_proposal_size", int64(e.Proposed.min()), "bytes of the shortest proposal, -1 before any")
	return all
}

func servingMillis(src Source, status node.Status) int64 {
	if !status.Serving {
		return 0
	}
	return (src.Mono() - status.ServingSince).Milliseconds()
}

// znodes counts as Apache ZooKeeper does, whose tree has the root twice, as "" and as "/".
func znodes(status node.Status) int64 { return int64(status.Nodes) + 1 }

// orNone is -1 for a size of which there was none.
func orNone(size int) int64 {
	if size == 0 {
		return -1
	}
	return int64(size)
}

// mntr shows all figures as Apache ZooKeeper's DefaultMetricsProvider does.
func mntr(src Source) string {
	var b strings.Builder
	line := func(key, value string) { b.WriteString("zk_" + key + "\t" + value + "\n") }
	number := func(key string, n int64) { line(key, strconv.FormatInt(n, 10)) }
	status := src.Status()
	line("version", versionLine(src))
	line("server_state", status.Mode())
	switch status.Role {
	case node.Leading:
		line("peer_state", "leading - broadcast")
	case node.Following:
		line("peer_state", "following - broadcast")
	case node.Observing:
		line("peer_state", "observing - broadcast")
		number("observer_master_id", int64(status.Leader))
	}
	for _, f := range figures(src) {
		switch f.kind {
		case fraction:
			line(f.name, decimal(f.value))
		case times:
			line("avg_"+f.name, decimal(avgMillis(f.summary)))
			number("min_"+f.name, f.summary.Min.Milliseconds())
			number("max_"+f.name, f.summary.Max.Milliseconds())
			number("cnt_"+f.name, f.summary.Count)
			number("sum_"+f.name, f.summary.Total.Milliseconds())
		default:
			number(f.name, int64(f.value))
		}
	}
	return b.String()
}

// avgMillis is the mean in milliseconds, with four decimals as in AvgMinMaxCounter; 0 of nothing.
func avgMillis(s Summary) float64 {
	if s.Count == 0 {
		return 0
	}
	return math.Round(float64(s.Total)/float64(s.Count)/float64(time.Millisecond)*1e4) / 1e4
}

// decimal always has a point, as a double of Java.
func decimal(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
