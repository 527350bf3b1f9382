package config

import "time"

// Observers is how observers find the ensemble and what they keep.
type Observers struct {
	// ObserverMasterPort is where followers serve observers, and observers look for followers; 0 for no such port.
	ObserverMasterPort int
	// ObserverReconnectDelay and ObserverElectionDelay bound the random times that an observer waits before it connects to
	// its leader, or begins to look for one, so that not all of them do so at once.
	ObserverReconnectDelay, ObserverElectionDelay time.Duration
	// SyncEnabled lets an observer write its log and snapshots.
	SyncEnabled bool
}

func defaultObservers() Observers {
	return Observers{ObserverElectionDelay: 200 * time.Millisecond, SyncEnabled: true}
}

var observerKeys = []key{
	{"observerMasterPort", setObserverMasterPort},
	{"observer.reconnectDelayMs", millis(0, func(c *Config) *time.Duration { return &c.ObserverReconnectDelay })},
	{"observer.election.DelayMs", millis(0, func(c *Config) *time.Duration { return &c.ObserverElectionDelay })},
	{"syncEnabled", strictBool(func(c *Config) *bool { return &c.SyncEnabled })},
	{"observer.syncEnabled", strictBool(func(c *Config) *bool { return &c.SyncEnabled })},
}

func setObserverMasterPort(c *Config, value string) (string, string) {
	if value == "0" {
		c.ObserverMasterPort = 0
		return "", ""
	}
	return port(func(c *Config) *int { return &c.ObserverMasterPort })(c, value)
}
