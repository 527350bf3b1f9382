package zab

import (
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// Config is what a role knows before its term begins.
type Config struct {
	Self    wire.ServerID
	Members *quorum.Config
	// ConfigText is the membership as NEWLEADER carries it.
	ConfigText []byte
	// Observer makes a learner an observer.
	Observer bool

	TickTime time.Duration
	// InitLimitTicks bounds connecting, discovery and synchronisation.
	InitLimitTicks int
	// SyncLimitTicks bounds silence and unanswered proposals afterwards.
	SyncLimitTicks int

	// Unsafe is for tests only.
	Unsafe Unsafe
}

func (c *Config) initLimit() time.Duration { return time.Duration(c.InitLimitTicks) * c.TickTime }
func (c *Config) syncLimit() time.Duration { return time.Duration(c.SyncLimitTicks) * c.TickTime }

// Durable is what a server has on disk when a term begins.
type Durable struct {
	AcceptedEpoch wire.Epoch
	CurrentEpoch  wire.Epoch
	// LastZxid is the last txn of the history, logged by some leader but maybe never committed.
	LastZxid wire.Zxid
}

// Unsafe switches off one guarantee each, so that the simulator can show that it would notice. Nothing but tests may
// set any of these.
type Unsafe struct {
	// AckBeforeSync acknowledges proposals when they arrive.
	AckBeforeSync bool
	// AckNewLeaderBeforeSync acknowledges NEWLEADER before the history is durable.
	AckNewLeaderBeforeSync bool
	// CommitAlone commits with the leader's own acknowledgement only.
	CommitAlone bool
	// ForgetCurrentEpoch does not save currentEpoch.
	ForgetCurrentEpoch bool
	// ForgetAcceptedEpoch does not save acceptedEpoch.
	ForgetAcceptedEpoch bool
	// IgnoreTruncate keeps txns that the leader wants cut off.
	IgnoreTruncate bool
}
