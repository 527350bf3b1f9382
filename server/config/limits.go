package config

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/server/throttle"
)

// Limits are what keeps clients from taking too much.
type Limits struct {
	// EnforceQuota refuses writes beyond the hard limits of quotas.
	EnforceQuota bool
	// ListenBacklog is how many connections may wait to be accepted; -1 for what the system gives.
	ListenBacklog int
	// RequestThrottle keeps requests waiting while many are in process.
	RequestThrottle RequestThrottle
	// ConnectionThrottle limits how often sessions are begun or resumed.
	ConnectionThrottle throttle.Config
	// LargeRequestThreshold is the length in bytes above which a request counts as large, -1 for none;
	// LargeRequestMaxBytes is how long all large requests in process may be together.
	LargeRequestThreshold, LargeRequestMaxBytes int
	// EagerACLCheck lets members refuse what the access lists they know do not allow, without asking the leader.
	EagerACLCheck bool
}

// RequestThrottle is how requests wait while others are in process.
type RequestThrottle struct {
	// MaxRequests is the number of requests in process from which on others wait; 0 for no limit.
	MaxRequests int
	// StallTime is how often those that wait are looked at.
	StallTime time.Duration
	// DropStale ends the connections of requests that have become stale while they waited. StaleConnection counts those as
	// stale whose connection is closed, StaleLatency those that are older than their session's timeout.
	DropStale, StaleConnection, StaleLatency bool
	// OpWaitTime is how long a request may wait before it is refused; 0 for any time.
	OpWaitTime time.Duration
}

func defaultLimits() Limits {
	return Limits{
		ListenBacklog:         -1,
		RequestThrottle:       RequestThrottle{StallTime: 100 * time.Millisecond, DropStale: true, StaleConnection: true},
		ConnectionThrottle:    throttle.Default,
		LargeRequestThreshold: -1,
		LargeRequestMaxBytes:  100 << 20,
	}
}

var limitKeys = []key{
	{"enforceQuota", strictBool(func(c *Config) *bool { return &c.EnforceQuota })},
	{"clientPortListenBacklog", number(-1, "connections, or -1 for the system's limit", func(c *Config) *int { return &c.ListenBacklog })},
	{"request_throttle_max_requests", number(0, "requests, or 0 for no limit", func(c *Config) *int { return &c.RequestThrottle.MaxRequests })},
	{"request_throttle_stall_time", millis(1, func(c *Config) *time.Duration { return &c.RequestThrottle.StallTime })},
	{"request_throttle_drop_stale", strictBool(func(c *Config) *bool { return &c.RequestThrottle.DropStale })},
	{"request_stale_connection_check", strictBool(func(c *Config) *bool { return &c.RequestThrottle.StaleConnection })},
	{"request_stale_latency_check", strictBool(func(c *Config) *bool { return &c.RequestThrottle.StaleLatency })},
	{"throttled_op_wait_time", millis(0, func(c *Config) *time.Duration { return &c.RequestThrottle.OpWaitTime })},
	{"largeRequestThreshold", setLargeRequestThreshold},
	{"largeRequestMaxBytes", number(1, "bytes, at least 1", func(c *Config) *int { return &c.LargeRequestMaxBytes })},
	{"enableEagerACLCheck", strictBool(func(c *Config) *bool { return &c.EagerACLCheck })},

	{"connection_throttle_tokens", number(0, "sessions, or 0 for no limit", func(c *Config) *int { return &c.ConnectionThrottle.Tokens })},
	{"connection_throttle_fill_time", millis(1, func(c *Config) *time.Duration { return &c.ConnectionThrottle.FillTime })},
	{"connection_throttle_fill_count", number(0, "sessions", func(c *Config) *int { return &c.ConnectionThrottle.FillCount })},
	{"connection_throttle_freeze_time", millis(-1, func(c *Config) *time.Duration { return &c.ConnectionThrottle.FreezeTime })},
	{"connection_throttle_drop_increase", probability(func(c *Config) *float64 { return &c.ConnectionThrottle.DropIncrease })},
	{"connection_throttle_drop_decrease", probability(func(c *Config) *float64 { return &c.ConnectionThrottle.DropDecrease })},
	{"connection_throttle_decrease_ratio", probability(func(c *Config) *float64 { return &c.ConnectionThrottle.DecreaseRatio })},
	{"connection_throttle_weight_enabled", strictBool(func(c *Config) *bool { return &c.ConnectionThrottle.Weighted })},
	{"connection_throttle_global_session_weight", number(1, "tokens, at least 1", func(c *Config) *int { return &c.ConnectionThrottle.GlobalWeight })},
	{"connection_throttle_local_session_weight", number(1, "tokens, at least 1", func(c *Config) *int { return &c.ConnectionThrottle.LocalWeight })},
	{"connection_throttle_renew_session_weight", number(1, "tokens, at least 1", func(c *Config) *int { return &c.ConnectionThrottle.RenewWeight })},
}

func setLargeRequestThreshold(c *Config, value string) (string, string) {
	n, what, remedy := parseInt(value, -1, "bytes, or -1 for no limit")
	if what == "" && n == 0 {
		what, remedy = "every request would be a large one", "give bytes, or -1 for no limit"
	}
	if what == "" {
		c.LargeRequestThreshold = int(n)
	}
	return what, remedy
}

// probability takes a number from 0 to 1.
func probability(field func(*Config) *float64) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		x, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
			return "not a number", "give a number from 0 to 1"
		case !(x >= 0 && x <= 1):
			return fmt.Sprintf("%v is not from 0 to 1", x), "give a number from 0 to 1"
		}
		*field(c) = x
		return "", ""
	}
}
