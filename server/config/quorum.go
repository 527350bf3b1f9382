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
	// FollowerDelay and LeaderDelay let TCP collect small packets between members (Nagle's algorithm).
	FollowerDelay, LeaderDelay bool
}

// Apache ZooKeeper lets the time between votes grow to a minute; members that come late would wait as long.
const defaultMaxNotificationInterval = 3200 * time.Millisecond

func defaultQuorum() Quorum {
	return Quorum{
		MinNotificationInterval: 200 * time.Millisecond, MaxNotificationInterval: defaultMaxNotificationInterval,
		MaxTimeToWaitForEpoch: -time.Millisecond, MaxSnapSyncs: 10, MaxDiffSyncs: 100,
		LeaderConnectDelay: 100 * time.Millisecond, ElectionGreetingTimeout: -time.Millisecond,
	}
}

var quorumKeys = []key{
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
