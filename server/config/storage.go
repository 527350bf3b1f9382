package config

import (
	"math"
	"strconv"
	"time"
)

// Storage is how a server treats its disk, beyond what most zoo.cfg set.
type Storage struct {
	// LogSizeLimitBytes is the length of a log file after which the next one begins; not positive for no limit.
	LogSizeLimitBytes int64
	// SnapshotSizeFactor bounds the txns that a leader reads from its log for a learner, relative to its newest snapshot:
	// for more than that a snapshot is sent. Negative for none.
	SnapshotSizeFactor float64
	// FlushDelay is how long txns may wait for others to share their sync, WriteQueuePollTime for how long the next of
	// those is waited for. MaxBatchSize txns do not wait; 0 for no limit.
	FlushDelay, WriteQueuePollTime time.Duration
	MaxBatchSize                   int
	// LastZxidInSnapshots adds the field of Apache ZooKeeper 3.9 to snapshots.
	LastZxidInSnapshots bool
	// NoDigest does without digests of the tree, NoCloseSessionPaths without the ephemeral nodes in txns that end sessions.
	NoDigest, NoCloseSessionPaths bool
	// NoDirCreate refuses to start without the data directories. NoEmptyDB lets a server without any data vote only if
	// there is a file "initialize".
	NoDirCreate, NoEmptyDB bool
	// ForceSnapshotSync lets a leader send a snapshot to every learner.
	ForceSnapshotSync bool
}

func defaultStorage() Storage {
	return Storage{LogSizeLimitBytes: -1 << 10, SnapshotSizeFactor: 0.33, WriteQueuePollTime: -1, MaxBatchSize: 1000}
}

var storageKeys = []key{
	{"txnLogSizeLimitInKb", kibibytes(math.MinInt32, func(c *Config) *int64 { return &c.Storage.LogSizeLimitBytes })},
	{"snapshotSizeFactor", setSnapshotSizeFactor},
	{"flushDelay", millis(0, func(c *Config) *time.Duration { return &c.Storage.FlushDelay })},
	{"maxWriteQueuePollTime", millis(0, func(c *Config) *time.Duration { return &c.Storage.WriteQueuePollTime })},
	{"maxBatchSize", number(0, "txns, or 0 for no limit", func(c *Config) *int { return &c.Storage.MaxBatchSize })},
	{"serializeLastProcessedZxid.enabled", strictBool(func(c *Config) *bool { return &c.Storage.LastZxidInSnapshots })},
	{"digest.enabled", unless(func(c *Config) *bool { return &c.Storage.NoDigest })},
	{"closeSessionTxn.enabled", unless(func(c *Config) *bool { return &c.Storage.NoCloseSessionPaths })},
	{"datadir.autocreate", unless(func(c *Config) *bool { return &c.Storage.NoDirCreate })},
	{"db.autocreate", unless(func(c *Config) *bool { return &c.Storage.NoEmptyDB })},
	{"forceSnapshotSync", strictBool(func(c *Config) *bool { return &c.Storage.ForceSnapshotSync })},
}

// unless takes a boolean for a field that says the opposite.
func unless(field func(*Config) *bool) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		var enabled bool
		what, remedy := strictBool(func(*Config) *bool { return &enabled })(c, value)
		if what == "" {
			*field(c) = !enabled
		}
		return what, remedy
	}
}

func setSnapshotSizeFactor(c *Config, value string) (string, string) {
	factor, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(factor) || math.IsInf(factor, 0) {
		return "not a number", "give a part of the size of a snapshot, such as 0.33, or -1 for never"
	}
	c.Storage.SnapshotSizeFactor = factor
	return "", ""
}

// complete fills in what depends on other keys.
func (s *Storage) complete() {
	if s.WriteQueuePollTime < 0 {
		s.WriteQueuePollTime = s.FlushDelay / 3
	}
}
