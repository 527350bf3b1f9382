package config

import "time"

// Quorum is how members find each other and are synchronised, beyond what most zoo.cfg set.
type Quorum struct {
	// MinNotificationInterval and MaxNotificationInterval bound the time between two sendings of the same vote.
	MinNotificationInterval, MaxNotificationInterval time.Duration
	// MaxTimeToWaitForEpoch is how long a leader that has no quorum yet puts up with voters that look for another; negative
	// for initLimit.
	MaxTimeToWaitForEpoch time.Duration
	// MaxSnapSyncs and MaxDiffSyncs bound the synchronisations that go on when an observer comes.
	MaxSnapSyncs, MaxDiffSyncs int
	// LeaderConnectDelay is the time between two attempts to connect to a leader.
	LeaderConnectDelay time.Duration
	// ElectionGreetingTimeout is how long a connection to the election port may say nothing; not positive for syncLimit.
	ElectionGreetingTimeout time.Duration
	// MultiAddress lets servers have several addresses. ReachabilityTimeout is how long one of them may not confirm what was
	// sent until another is tried; 0 where that is not checked.
	MultiAddress        bool
	ReachabilityTimeout time.Duration
	reachability        reachability
	// OraclePath is a file that begins with "1" while this server may lead without the other of two voters; "" for none.
	OraclePath string
	// FollowerDelay and LeaderDelay let TCP collect small packets between members (Nagle's algorithm).
	FollowerDelay, LeaderDelay bool
}

// Apache ZooKeeper lets the time between votes grow to a minute; members that come late would wait as long.
const defaultMaxNotificationInterval = 3200 * time.Millisecond

func defaultQuorum() Quorum {
	return Quorum{
		MinNotificationInterval: 200 * time.Millisecond, MaxNotificationInterval: defaultMaxNotificationInterval,
		MaxTimeToWaitForEpoch: -time.Millisecond, MaxSnapSyncs: 10, MaxDiffSyncs: 100,
		reachability:       reachability{enabled: true, timeout: time.Second},
		LeaderConnectDelay: 100 * time.Millisecond, ElectionGreetingTimeout: -time.Millisecond,
	}
}

// reachability are the keys of the check.
type reachability struct {
	enabled bool
	timeout time.Duration
}

var quorumKeys = []key{
	{"oraclePath", text(func(c *Config) *string { return &c.Quorum.OraclePath })},
	{"multiAddress.enabled", strictBool(func(c *Config) *bool { return &c.Quorum.MultiAddress })},
	{"multiAddress.reachabilityCheckEnabled", strictBool(func(c *Config) *bool { return &c.Quorum.reachability.enabled })},
	{"multiAddress.reachabilityCheckTimeoutMs", millis(1, func(c *Config) *time.Duration { return &c.Quorum.reachability.timeout })},
	{"fastleader.minNotificationInterval", millis(1, func(c *Config) *time.Duration { return &c.Quorum.MinNotificationInterval })},
	{"fastleader.maxNotificationInterval", millis(1, func(c *Config) *time.Duration { return &c.Quorum.MaxNotificationInterval })},
	{"leader.maxTimeToWaitForEpoch", millis(-1, func(c *Config) *time.Duration { return &c.Quorum.MaxTimeToWaitForEpoch })},
	{"leader.maxConcurrentSnapSyncs", number(1, "synchronisations", func(c *Config) *int { return &c.Quorum.MaxSnapSyncs })},
	{"leader.maxConcurrentDiffSyncs", number(1, "synchronisations", func(c *Config) *int { return &c.Quorum.MaxDiffSyncs })},
	{"leaderConnectDelayDuringRetryMs", millis(1, func(c *Config) *time.Duration { return &c.Quorum.LeaderConnectDelay })},
	{"quorumCnxnTimeoutMs", millis(-1, func(c *Config) *time.Duration { return &c.Quorum.ElectionGreetingTimeout })},
	{"follower.nodelay", unless(func(c *Config) *bool { return &c.Quorum.FollowerDelay })},
	{"leader.nodelay", unless(func(c *Config) *bool { return &c.Quorum.LeaderDelay })},
}

// complete fills in what depends on several keys.
func (q *Quorum) complete() {
	if q.reachability.enabled {
		q.ReachabilityTimeout = q.reachability.timeout
	}
}
