package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is one key of zoo.cfg that this server acts on. set reports what is wrong with a value, and the remedy; both
// empty where it was taken.
type key struct {
	name string
	set  func(c *Config, value string) (what, remedy string)
}

// keys are those read by name, apart from server.N, group.G, weight.N and dynamicConfigFile. The names under which
// Apache ZooKeeper knows the last block are system properties; in zoo.cfg they stand without "zookeeper.".
var keys = slices.Concat(
	basicKeys,
	sessionKeys,
	limitKeys,
	observerKeys,
	metricsKeys,
	adminKeys,
	storageKeys,
	quorumKeys,
	accessKeys,
	quorumSASLKeys,
	auditKeys,
	reconfigKeys,
	tlsKeys,
)

var basicKeys = []key{
	{"dataDir", text(func(c *Config) *string { return &c.DataDir })},
	{"dataLogDir", text(func(c *Config) *string { return &c.DataLogDir })},
	{"clientPort", port(func(c *Config) *int { return &c.ClientPort })},
	{"clientPortAddress", text(func(c *Config) *string { return &c.ClientHost })},
	{"clientPortListenBacklog", number(-1, "connections, or -1 for the limit of the system", func(c *Config) *int { return &c.ListenBacklog })},
	{"tickTime", millis(1, func(c *Config) *time.Duration { return &c.TickTime })},
	{"minSessionTimeout", millis(-1, func(c *Config) *time.Duration { return &c.MinSessionTimeout })},
	{"maxSessionTimeout", millis(-1, func(c *Config) *time.Duration { return &c.MaxSessionTimeout })},
	{"maxClientCnxns", number(0, "connections per client address, or 0 for no limit", func(c *Config) *int { return &c.MaxClientCnxns })},
	{"initLimit", number(1, "ticks, such as 10", func(c *Config) *int { return &c.InitLimit })},
	{"syncLimit", number(1, "ticks, such as 5", func(c *Config) *int { return &c.SyncLimit })},
	{"connectToLearnerMasterLimit", number(0, "ticks, or 0 for initLimit", func(c *Config) *int { return &c.ConnectLimit })},
	{"quorumListenOnAllIPs", strictBool(func(c *Config) *bool { return &c.ListenOnAllIPs })},
	{"autopurge.snapRetainCount", number(0, "a number of snapshots; fewer than 3 count as 3", func(c *Config) *int { return &c.SnapRetainCount })},
	{"autopurge.purgeInterval", setPurgeInterval},
	{"electionAlg", only("3", "fast leader election over TCP is the only algorithm left")},

	{"snapCount", number(2, "txns between snapshots, at least 2", func(c *Config) *int { return &c.SnapCount })},
	{"snapSizeLimitInKb", kibibytes(math.MinInt32, func(c *Config) *int64 { return &c.SnapSizeLimitBytes })},
	{"preAllocSize", kibibytes(1, func(c *Config) *int64 { return &c.PreAllocBytes })},
	{"commitLogCount", number(1, "a number of txns; fewer than 500 count as 500", func(c *Config) *int { return &c.CommitLogCount })},
	{"forceSync", yesNo(func(c *Config) *bool { return &c.ForceSync })},
	{"fsync.warningthresholdms", millis(0, func(c *Config) *time.Duration { return &c.FsyncWarning })},
	{"snapshot.compression.method", setCompression},
	{"snapshot.trust.empty", strictBool(func(c *Config) *bool { return &c.TrustEmptySnapshot })},
	{"jute.maxbuffer", number(1024, "bytes, at least 1024", func(c *Config) *int { return &c.MaxBufferBytes })},
	{"jute.maxbuffer.extrasize", number(0, "bytes", func(c *Config) *int { return &c.ExtraSizeBytes })},
	{"globalOutstandingLimit", number(1, "a number of requests", func(c *Config) *int { return &c.GlobalOutstandingLimit })},
	{"maxCnxns", number(0, "connections, or 0 for no limit", func(c *Config) *int { return &c.MaxCnxns })},
	{"nio.sessionlessCnxnTimeout", millis(1, func(c *Config) *time.Duration { return &c.SessionlessTimeout })},
	{"clientTcpKeepAlive", strictBool(func(c *Config) *bool { return &c.ClientKeepAlive })},
	{"tcpKeepAlive", strictBool(func(c *Config) *bool { return &c.ElectionKeepAlive })},
	{"leaderServes", yesNo(func(c *Config) *bool { return &c.LeaderServes })},
	{"extendedTypesEnabled", strictBool(func(c *Config) *bool { return &c.ExtendedTypes })},
	{"znode.container.checkIntervalMs", millis(1, func(c *Config) *time.Duration { return &c.ContainerCheckInterval })},
	{"znode.container.maxPerMinute", number(1, "deletions a minute", func(c *Config) *int { return &c.ContainerMaxPerMinute })},
	{"znode.container.maxNeverUsedIntervalMs", millis(0, func(c *Config) *time.Duration { return &c.ContainerMaxNeverUsed })},
	{"4lw.commands.whitelist", setWhitelist},
	{"cnxTimeout", millis(1, func(c *Config) *time.Duration { return &c.ElectionConnectTimeout })},
	{"electionPortBindRetry", number(0, "attempts, or 0 for ever", func(c *Config) *int { return &c.ElectionBindRetries })},
}

// aliases are other names under which Apache ZooKeeper finds the same value.
var aliases = map[string]string{"fsyncWarningThresholdMS": "fsync.warningthresholdms"}

// knownNames are all names that a misspelt key can have meant, sorted.
var knownNames = func() []string {
	names := []string{
		"server.N", "group.G", "weight.N", "dynamicConfigFile", "peerType",
	}
	for _, u := range unneeded {
		names = append(names, u.names...)
	}
	for _, k := range keys {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return names
}()

// Keys are the names of all keys that this server knows, sorted: N and G stand for numbers, and what ends in "." or "_"
// for all keys that begin with it.
func Keys() []string {
	names := slices.Concat(knownNames, familyNames())
	slices.Sort(names)
	return slices.Compact(names)
}

func text(field func(*Config) *string) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		if value == "" {
			return "empty", "give a value or remove the key"
		}
		*field(c) = value
		return "", ""
	}
}

// parseInt takes what Java's Integer.parseInt takes, in a range.
func parseInt(value string, min int64, unit string) (n int64, what, remedy string) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, "not a whole number", "give " + unit
	}
	if n < min {
		return 0, fmt.Sprintf("less than %d", min), "give " + unit
	}
	return n, "", ""
}

func number(min int64, unit string, field func(*Config) *int) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		n, what, remedy := parseInt(value, min, unit)
		if what == "" {
			*field(c) = int(n)
		}
		return what, remedy
	}
}

func port(field func(*Config) *int) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		n, what, remedy := parseInt(value, 1, "a port, such as 2181")
		if what == "" && n > 65535 {
			what, remedy = "not a port", "give a number from 1 to 65535"
		}
		if what == "" {
			*field(c) = int(n)
		}
		return what, remedy
	}
}

func millis(min int64, field func(*Config) *time.Duration) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		n, what, remedy := parseInt(value, min, "milliseconds, such as 2000")
		if what == "" {
			*field(c) = time.Duration(n) * time.Millisecond
		}
		return what, remedy
	}
}

func kibibytes(min int64, field func(*Config) *int64) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		n, what, remedy := parseInt(value, min, "KiB, such as 65536")
		if what == "" {
			*field(c) = n << 10
		}
		return what, remedy
	}
}

// strictBool takes true and false in any case. Java does the same for the keys that QuorumPeerConfig parses itself; for
// system properties it takes everything but true as false, which hides misspellings.
func strictBool(field func(*Config) *bool) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		switch strings.ToLower(value) {
		case "true":
			*field(c) = true
		case "false":
			*field(c) = false
		default:
			return "not a boolean", "give true or false"
		}
		return "", ""
	}
}

func yesNo(field func(*Config) *bool) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		switch value {
		case "yes":
			*field(c) = true
		case "no":
			*field(c) = false
		default:
			return "neither yes nor no", "give yes or no"
		}
		return "", ""
	}
}

// only accepts one value.
func only(accepted, why string) func(*Config, string) (string, string) {
	return func(_ *Config, value string) (string, string) {
		if value != accepted {
			return why, "give " + accepted + " or remove the key"
		}
		return "", ""
	}
}

// onlyFalse refuses a feature whose absence would go unnoticed.
func onlyFalse(why string) func(*Config, string) (string, string) {
	return func(_ *Config, value string) (string, string) {
		switch strings.ToLower(value) {
		case "false":
			return "", ""
		case "true":
			return why, "give false or remove the key"
		}
		return "not a boolean", "give false or remove the key"
	}
}

func refused(why, remedy string) func(*Config, string) (string, string) {
	return func(*Config, string) (string, string) { return why, remedy }
}

// setPurgeInterval takes hours, or a number with one of the units of Apache ZooKeeper 3.10.
func setPurgeInterval(c *Config, value string) (string, string) {
	digits, unit := value, time.Hour
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}} {
		if rest, ok := strings.CutSuffix(value, u.suffix); ok {
			digits, unit = rest, u.unit
			break
		}
	}
	n, what, remedy := parseInt(digits, 0, "hours, such as 24, or a number with ms, s, m, h or d; 0 is never")
	if what == "" && time.Duration(n) > math.MaxInt64/unit {
		what, remedy = "too long", "give hours, such as 24"
	}
	if what == "" {
		c.PurgeInterval = time.Duration(n) * unit
	}
	return what, remedy
}

func setCompression(c *Config, value string) (string, string) {
	switch value {
	case "", "gz", "snappy":
		c.SnapshotCompression = value
		return "", ""
	}
	return "unknown method", "give gz or snappy, or remove the key"
}

func setWhitelist(c *Config, value string) (string, string) {
	c.FourLetterWords = []string{"srvr"}
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(c.FourLetterWords, word) {
			c.FourLetterWords = append(c.FourLetterWords, word)
		}
	}
	return "", ""
}
