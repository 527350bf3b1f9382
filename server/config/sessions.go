package config

// Sessions is how a member treats sessions and clients that the others know nothing of, and nodes of old.
type Sessions struct {
	// LocalSessions lets new sessions be known to this member alone, LocalSessionsUpgrading makes them sessions of the
	// ensemble when they create an ephemeral node.
	LocalSessions, LocalSessionsUpgrading bool
	// ReadOnlyMode lets this member serve clients that only read while it has no leader.
	ReadOnlyMode bool
	// Emulate353TTL recognises the TTL nodes that ZooKeeper 3.5.3 wrote.
	Emulate353TTL bool
}

var sessionKeys = []key{
	{"localSessionsEnabled", strictBool(func(c *Config) *bool { return &c.LocalSessions })},
	{"localSessionsUpgradingEnabled", strictBool(func(c *Config) *bool { return &c.LocalSessionsUpgrading })},
	{"readonlymode.enabled", strictBool(func(c *Config) *bool { return &c.ReadOnlyMode })},
	{"emulate353TTLNodes", strictBool(func(c *Config) *bool { return &c.Emulate353TTL })},
}
