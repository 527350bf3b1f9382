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

	// NeedSnapshot makes a learner present itself without a history, so that it is sent a snapshot. The old files stay
	// until the snapshot is durable: thrown away first, acknowledged txns might be lost to the ensemble.
	NeedSnapshot bool

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
	// AnswerSyncsAlone answers syncs without asking whether anybody follows any more.
	AnswerSyncsAlone bool
	// ReadPastWrites answers reads of a session before its writes.
	ReadPastWrites bool
	// KeepTainted keeps memory that does not match the disk when a synchronisation is interrupted.
	KeepTainted bool
}
