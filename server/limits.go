package server

import (
	"math"
	"runtime/debug"
	"syscall"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/tree"
)

// setLimits tells the node what clients may take, and how their sessions are kept.
func setLimits(c *node.Config, cfg *config.Config) {
	c.EnforceQuota = cfg.EnforceQuota
	c.ConnectionThrottle = cfg.ConnectionThrottle
	c.RequestThrottle = node.RequestThrottle(cfg.RequestThrottle)
	c.LocalSessions, c.LocalSessionsUpgrading = cfg.LocalSessions, cfg.LocalSessionsUpgrading
	c.ObserverMasters = cfg.ObserverMasterPort > 0
	c.ObserverReconnectDelay, c.ObserverElectionDelay = cfg.ObserverReconnectDelay, cfg.ObserverElectionDelay
	c.NoLog = cfg.Observer && !cfg.SyncEnabled
	c.ReadOnlyMode, c.LeaderServesNot = cfg.ReadOnlyMode, !cfg.LeaderServes
}

// outstandingLimit is globalOutstandingLimit, which the participants of an ensemble share: their leader gets the requests of
// all of them (LeaderZooKeeperServer.getGlobalOutstandingLimit).
func outstandingLimit(cfg *config.Config) int {
	return cfg.GlobalOutstandingLimit / sharers(cfg)
}

// sharers is how many servers fill what their leader has room for: all but one, as Apache ZooKeeper has it.
func sharers(cfg *config.Config) int {
	if !cfg.Distributed || cfg.Observer {
		return 1
	}
	return max(len(cfg.Members.Voters())-1, 1)
}

// requestBytes is how many bytes of requests of clients may be in process. Each takes several times its length on its way: as
// a request, as a txn, in the queues to the disk and to the others. An operator who says how many bytes of large requests
// may be in process means as many.
func requestBytes(cfg *config.Config, memoryLimit int64) int {
	const most, ofMemory = 24 << 20, 16
	bytes := int(min(most, memoryLimit/ofMemory)) / sharers(cfg)
	if cfg.LargeRequestThreshold > 0 {
		bytes = max(bytes, cfg.LargeRequestMaxBytes)
	}
	return max(bytes, cfg.MaxBufferBytes)
}

// maxConnections is maxCnxns, or fewer where more would take the descriptors that the log, the other members and the
// operator need: a server that cannot begin a log stops. openFiles is the limit of this process.
func maxConnections(cfg *config.Config, openFiles uint64) int {
	// Besides files: 128 strangers at the election port, 100 at the AdminServer's and at each port for metrics.
	const own, perMember = 500, 8
	limit := int(min(openFiles, 1<<30))
	room := max(limit-own-perMember*len(cfg.Members.Members()), limit/2)
	if cfg.MaxCnxns > 0 {
		return min(cfg.MaxCnxns, room)
	}
	return room
}

// memoryLimit is what the runtime has been told to stay below (GOMEMLIMIT).
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// openFilesLimit is how many descriptors this process may have.
func openFilesLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return limit.Cur
}

// quotaExceeded logs a request beyond a quota.
func (s *Server) quotaExceeded(e node.QuotaExceeded) {
	unit, kind := "count", "soft"
	if e.Bytes {
		unit = "bytes"
	}
	if e.Hard {
		kind = "hard"
		s.metrics.QuotaExceededErrorPerNamespace.Add(tree.Namespace(e.Path), 1)
	}
	s.often.Warn("quota exceeded", "path", e.Path, unit, e.Use, "limit", e.Limit, "kind", kind)
}
