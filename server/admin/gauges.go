package admin

import (
	"maps"
	"slices"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/tree"
)

// gauge is one value of the moment, under the name that Apache ZooKeeper gives it.
type gauge struct {
	name, help string
	// key is the member of a set; "" for what is none.
	key   string
	value float64
	// fraction tells that it need not be a whole number.
	fraction bool
}

// gauges are all of a server. Those of an ensemble or of a leader are there only in that role, and none but what concerns
// clients before the server serves.
func gauges(src Source) []gauge {
	var all []gauge
	add := func(name string, value int64, help string) {
		all = append(all, gauge{name: name, help: help, value: float64(value)})
	}
	fraction := func(name string, value float64, help string) {
		all = append(all, gauge{name: name, help: help, value: value, fraction: true})
	}
	status, traffic := src.Status(), src.Traffic()
	fraction("avg_latency", avgMillis(traffic.Latency), "mean milliseconds from request to answer since the start or srst")
	add("max_latency", traffic.Latency.Max.Milliseconds(), "longest of them")
	add("min_latency", traffic.Latency.Min.Milliseconds(), "shortest of them")
	add("packets_received", traffic.Received, "packets from clients since the start or srst")
	add("packets_sent", traffic.Sent, "packets to clients since the start or srst")
	add("num_alive_connections", int64(traffic.Open), "open client connections")
	add("outstanding_requests", int64(status.Outstanding), "requests in process")
	add("uptime", servingMillis(src, status), "milliseconds since the server began to serve")
	add("znode_count", znodes(status), "znodes, and one for the second name of the root")
	add("watch_count", int64(status.Watches), "watches")
	add("ephemerals_count", int64(status.Ephemerals), "ephemeral znodes")
	add("approximate_data_size", status.DataBytes, "bytes of paths and data of all znodes")
	add("global_sessions", int64(status.Sessions), "sessions")
	add("local_sessions", int64(status.LocalSessions), "sessions that only this server knows")
	add("open_file_descriptor_count", openFiles(), "open files, -1 if unknown")
	add("max_file_descriptor_count", maxOpenFiles(), "limit of open files, -1 if unknown")
	fraction("connection_drop_probability", status.DropChance, "share of requests for a session that connection throttling drops")
	add("last_client_response_size", int64(traffic.Responses.last()), "bytes of the last answer, -1 before any")
	add("max_client_response_size", int64(traffic.Responses.max()), "bytes of the longest answer, -1 before any")
	add("min_client_response_size", int64(traffic.Responses.min()), "bytes of the shortest answer, -1 before any")
	add("outstanding_tls_handshake", int64(traffic.Handshakes), "TLS handshakes under way")
	add("auth_failed_count", traffic.AuthFailed, "refused auth requests and TLS handshakes")
	add("non_mtls_remote_conn_count", traffic.PlainRemote, "connections without TLS from other hosts, since the start")
	add("non_mtls_local_conn_count", traffic.PlainLocal, "connections without TLS from this host, since the start")
	all = append(all, quotas(src.Quotas())...)
	if !src.Config().Distributed {
		return all
	}
	members := src.Members()
	add("quorum_size", int64(len(members.Voters())), "voting members")
	if status.Role == node.Following {
		add("synced_observers", int64(status.SyncedObservers), "observers in sync with this server")
	}
	if status.Role != node.Leading {
		return all
	}
	nonVoting := 0
	for _, l := range status.Learners {
		if !l.Observer && l.Synced && !members.IsVoter(l.ID) {
			nonVoting++
		}
	}
	proposed := src.Proposed()
	add("learners", int64(len(status.Learners)), "connected followers and observers")
	add("synced_followers", int64(status.SyncedFollowers), "followers in sync")
	add("synced_non_voting_followers", int64(nonVoting), "followers in sync that are no participants")
	add("synced_observers", int64(status.SyncedObservers), "observers in sync")
	add("pending_syncs", int64(status.PendingSyncs), "sync requests in process")
	add("leader_uptime", servingMillis(src, status), "milliseconds since this leader began to serve")
	add("last_proposal_size", int64(proposed.last()), "bytes of the last proposal, -1 before any")
	add("max_proposal_size", int64(proposed.max()), "bytes of the longest proposal, -1 before any")
	add("min_proposal_size", int64(proposed.min()), "bytes of the shortest proposal, -1 before any")
	return all
}

// quotas are the limits and the use of each namespace that has any (QuotaMetricsUtils).
func quotas(byNamespace map[string]tree.NamespaceQuota) []gauge {
	var all []gauge
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		q := byNamespace[namespace]
		for _, g := range []gauge{
			{name: "quota_count_limit_per_namespace", help: "limits of the number of znodes", value: float64(q.CountLimit)},
			{name: "quota_bytes_limit_per_namespace", help: "limits of bytes", value: float64(q.BytesLimit)},
			{name: "quota_count_usage_per_namespace", help: "znodes that count for a limit", value: float64(q.CountUsage)},
			{name: "quota_bytes_usage_per_namespace", help: "bytes that count for a limit", value: float64(q.BytesUsage)},
		} {
			g.key = namespace
			all = append(all, g)
		}
	}
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
