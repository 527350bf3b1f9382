package admin

import (
	"maps"
	"slices"
	"strconv"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// setConnections lists the connections of both ports.
func (c *call) setConnections(brief bool) {
	plain, secure := []object{}, []object{}
	for _, conn := range c.src.Connections() {
		if conn.Secure {
			secure = append(secure, connectionObject(c.src, conn, brief))
		} else {
			plain = append(plain, connectionObject(c.src, conn, brief))
		}
	}
	c.set("connections", plain)
	c.set("secure_connections", secure)
}

// connectionObject is a connection as ServerCnxn.getConnectionInfo describes it.
func connectionObject(src Source, c Connection, brief bool) object {
	o := object{
		{"remote_socket_address", javaAddress(c.Remote)}, {"interest_ops", interestOps(c)}, {"outstanding_requests", c.Queued},
		{"packets_received", c.Received}, {"packets_sent", c.Sent},
	}
	if brief {
		return o
	}
	return append(o, object{
		{"session_id", int64(c.Session)}, {"last_operation", shortName(c)}, {"established", c.Established.UnixMilli()},
		{"session_timeout", c.Timeout.Milliseconds()}, {"last_cxid", int64(c.LastXid)}, {"last_zxid", int64(c.LastZxid)},
		{"last_response_time", lastResponseMillis(src, c)}, {"last_latency", c.LastLatency.Milliseconds()},
		{"min_latency", c.Latency.Min.Milliseconds()}, {"avg_latency", int64(avgMillis(c.Latency))},
		{"max_latency", c.Latency.Max.Milliseconds()},
	}...)
}

func serverStatsCommand(c *call) {
	status, traffic := c.src.Status(), c.src.Traffic()
	cfg := c.src.Config()
	responses := sizesObject(traffic.Responses)
	c.set("version", versionLine(c.src))
	c.set("read_only", status.ReadOnly)
	c.set("server_stats", object{
		{"packets_sent", traffic.Sent}, {"packets_received", traffic.Received},
		{"fsync_threshold_exceed_count", c.src.Metrics().FsyncThresholdExceedCount.Total()}, {"client_response_stats", responses},
		{"provider_null", false}, {"server_state", status.Mode()}, {"outstanding_requests", status.Outstanding},
		{"min_latency", traffic.Latency.Min.Milliseconds()}, {"avg_latency", avgMillis(traffic.Latency)},
		{"max_latency", traffic.Latency.Max.Milliseconds()}, {"data_dir_size", dirBytes(cfg.SnapDir())},
		{"log_dir_size", dirBytes(cfg.LogDir())}, {"last_processed_zxid", int64(lastZxid(status))},
		{"num_alive_client_connections", traffic.Open}, {"uptime", servingMillis(c.src, status)},
		{"auth_failed_count", traffic.AuthFailed}, {"non_mtlsremote_conn_count", traffic.PlainRemote},
		{"non_mtlslocal_conn_count", traffic.PlainLocal},
	})
	c.set("client_response", responses)
	if status.Role == node.Leading {
		c.set("proposal_stats", sizesObject(c.src.Proposed()))
	}
	c.set("node_count", znodes(status))
}

func statsCommand(c *call) {
	serverStatsCommand(c)
	c.setConnections(true)
}

func sizesObject(s Sizes) object {
	return object{{"last_buffer_size", s.last()}, {"min_buffer_size", s.min()}, {"max_buffer_size", s.max()}}
}

func dumpCommand(c *call) {
	expiries := c.src.Expiries()
	ends := make(map[int64][]int64)
	for _, d := range append(expiries.Local, expiries.Global...) {
		ends[d.At.Milliseconds()] = append(ends[d.At.Milliseconds()], decimals(d.IDs)...)
	}
	byTime := object{}
	for _, at := range slices.Sorted(maps.Keys(ends)) {
		byTime = append(byTime, member{strconv.FormatInt(at, 10), ends[at]})
	}
	c.set("expiry_time_to_session_ids", byTime)
	owned := c.src.Ephemerals()
	paths := object{}
	for _, id := range sortedSessions(owned) {
		paths = append(paths, member{decimal(id), owned[id]})
	}
	c.set("session_id_to_ephemeral_paths", paths)
}

func watchSummaryCommand(c *call) {
	counts := c.src.Watches().Counts()
	c.set("num_connections", counts.DataWatchers)
	c.set("num_paths", counts.DataPaths)
	c.set("num_total_watches", counts.DataTotal)
}

func watchesCommand(c *call) {
	paths := watchedBySession(c.src)
	o := object{}
	for _, id := range sortedSessions(paths) {
		o = append(o, member{decimal(id), paths[id]})
	}
	c.set("session_id_to_watched_paths", o)
}

func watchesByPathCommand(c *call) {
	session := sessionsOf(c.src)
	o := object{}
	for _, e := range c.src.Watches().ByPath() {
		var ids []wire.SessionID
		for _, w := range e.Watchers {
			if id, ok := session[w]; ok {
				ids = append(ids, id)
			}
		}
		o = append(o, member{e.Path, decimals(ids)})
	}
	c.set("path_to_session_ids", o)
}

// decimal is a session id as JSON has it: a signed number.
func decimal(id wire.SessionID) string { return strconv.FormatInt(int64(id), 10) }

func decimals(ids []wire.SessionID) []int64 {
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		numbers[i] = int64(id)
	}
	return numbers
}
