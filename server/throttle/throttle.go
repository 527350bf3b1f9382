// Package throttle limits how often clients begin and resume sessions: a bucket of tokens, and in front of it, if wanted,
// a coin that refuses the more often the longer the bucket has been empty (BLUE, after "BLUE: A New Class of Active Queue
// Management Algorithms"; org.apache.zookeeper.server.BlueThrottle).
//
// A Connections guarantees: in any span of time, sessions are admitted at most for the tokens of a full bucket and those
// that the span fills in.
//
// It has no clock and no source of randomness of its own.
package throttle

import (
	"math/rand/v2"
	"time"
)

// Config is how sessions are throttled; the comments name the properties of Apache ZooKeeper, all of which begin with
// connection_throttle_.
type Config struct {
	// Tokens is the size of the bucket (tokens); 0 for no limit. FillCount (fill_count) of them are added each FillTime
	// (fill_time).
	Tokens    int
	FillTime  time.Duration
	FillCount int
	// FreezeTime is how often the probability of a refusal changes at most (freeze_time); negative for no such refusals. It
	// grows by DropIncrease (drop_increase) while the bucket is empty, and falls by DropDecrease (drop_decrease) while no
	// more than the share DecreaseRatio (decrease_ratio) of the tokens is gone.
	FreezeTime                                time.Duration
	DropIncrease, DropDecrease, DecreaseRatio float64
	// Weighted (weight_enabled) takes different numbers of tokens for new sessions, for those that only one member knows,
	// and for those that are resumed (global_session_weight, local_session_weight, renew_session_weight); the bucket then
	// holds and gets GlobalWeight times as many.
	Weighted                               bool
	GlobalWeight, LocalWeight, RenewWeight int
}

// Default is without a limit, and otherwise as in Apache ZooKeeper.
var Default = Config{
	FillTime: time.Millisecond, FillCount: 1, FreezeTime: -time.Millisecond,
	DropIncrease: 0.02, DropDecrease: 0.002,
	GlobalWeight: 3, LocalWeight: 1, RenewWeight: 2,
}

// Kind is what a client wants.
type Kind int

const (
	// Global is a new session of the ensemble, Local one of a single member, Renew one that the client had before.
	Global Kind = iota
	Local
	Renew
)

// Connections admits sessions. It is not safe for concurrent use.
type Connections struct {
	cfg        Config
	rand       *rand.Rand
	max        int64
	fill       int64
	tokens     int64
	filled     time.Duration
	drop       float64
	lastFreeze time.Duration
}

// New returns a full bucket. now is a reading of the caller's monotonic clock.
func New(cfg Config, r *rand.Rand, now time.Duration) *Connections {
	// A session of the ensemble costs no less than one of a member.
	cfg.GlobalWeight, cfg.RenewWeight = max(cfg.GlobalWeight, cfg.LocalWeight), max(cfg.RenewWeight, cfg.LocalWeight)
	c := &Connections{cfg: cfg, rand: r, max: int64(cfg.Tokens), fill: int64(cfg.FillCount), filled: now, lastFreeze: now}
	if cfg.Weighted {
		c.max, c.fill = c.max*int64(cfg.GlobalWeight), c.fill*int64(cfg.GlobalWeight)
	}
	c.tokens = c.max
	return c
}

// Admit tells whether a session may begin or go on, and takes its tokens.
func (c *Connections) Admit(k Kind, now time.Duration) bool {
	if c.max == 0 {
		return true
	}
	if passed := now - c.filled; passed > c.cfg.FillTime {
		more := min(float64(passed)/float64(c.cfg.FillTime)*float64(c.fill), float64(c.max))
		c.tokens = min(c.tokens+int64(more), c.max)
		c.filled = now
	}
	if c.cfg.FreezeTime >= 0 {
		c.adjust(now)
		if c.rand.Float64() < c.drop {
			return false
		}
	}
	need := c.need(k)
	if c.tokens < need {
		return false
	}
	c.tokens -= need
	return true
}

func (c *Connections) need(k Kind) int64 {
	switch {
	case !c.cfg.Weighted:
		return 1
	case k == Local:
		return int64(c.cfg.LocalWeight)
	case k == Renew:
		return int64(c.cfg.RenewWeight)
	}
	return int64(c.cfg.GlobalWeight)
}

// adjust changes the probability of a refusal.
func (c *Connections) adjust(now time.Duration) {
	if now-c.lastFreeze <= c.cfg.FreezeTime {
		return
	}
	c.lastFreeze = now
	switch gone := c.Deficit(); {
	case gone == c.max && c.drop < 1:
		c.drop = min(c.drop+c.cfg.DropIncrease, 1)
	case float64(gone) <= float64(c.max)*c.cfg.DecreaseRatio && c.drop > 0:
		c.drop = max(c.drop-c.cfg.DropDecrease, 0)
	}
}

// Deficit is the number of tokens that are gone from the bucket.
func (c *Connections) Deficit() int64 { return c.max - c.tokens }

// DropChance is the probability with which a session is refused whatever the bucket holds.
func (c *Connections) DropChance() float64 { return c.drop }
