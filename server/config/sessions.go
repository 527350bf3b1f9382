package config

// Sessions is how a member treats sessions and clients that the others know nothing of.
type Sessions struct {
	// LocalSessions lets new sessions be known to this member alone, LocalSessionsUpgrading makes them sessions of the
	// ensemble when they create an ephemeral node.
	LocalSessions, LocalSessionsUpgrading bool
	// ReadOnlyMode lets this member serve clients that only read while it has no leader.
	ReadOnlyMode bool
}

var sessionKeys = []key{
	{"localSessionsEnabled", strictBool(func(c *Config) *bool { return &c.LocalSessions })},
	{"localSessionsUpgradingEnabled", strictBool(func(c *Config) *bool { return &c.LocalSessionsUpgrading })},
	{"readonlymode.enabled", strictBool(func(c *Config) *bool { return &c.ReadOnlyMode })},
}
