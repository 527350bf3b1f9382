package zab

import (
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// Config is what a role knows before its term begins.
type Config struct {
	Self wire.ServerID
	// Members is the last committed membership, LastSeen the last proposed one, nil where no newer one is known.
	Members, LastSeen *quorum.Config
	// Known is the version of a membership that others are known to have committed, of a server whose files have lost theirs.
	// A learner presents it if it is newer than that of Members.
	Known int64
	// Reconfig lets memberships change (reconfigEnabled); without it, what others say of them is ignored.
	Reconfig bool
	// Leader is whom a learner follows.
	Leader wire.ServerID

	// NeedSnapshot makes a learner present itself without a history, so that it is sent a snapshot. The old files stay
	// until the snapshot is durable: thrown away first, acknowledged txns might be lost to the ensemble.
	NeedSnapshot bool

	TickTime time.Duration
	// InitLimitTicks bounds connecting, discovery and synchronisation.
	InitLimitTicks int
	// SyncLimitTicks bounds silence and unanswered proposals afterwards.
	SyncLimitTicks int

	// ServeObservers lets a follower serve observers.
	ServeObservers bool
	// Sync is how a leader synchronises its learners.
	Sync SyncPolicy

	// Unsafe is for tests only.
	Unsafe Unsafe
}

// SyncPolicy is how a leader synchronises its learners.
type SyncPolicy struct {
	// MaxSnaps and MaxDiffs are how many synchronisations by snapshot, and by txns, may go on when an observer comes, which
	// has to come again otherwise; 0 for any number (zookeeper.leader.maxConcurrentSnapSyncs, maxConcurrentDiffSyncs).
	// Voters need not wait.
	MaxSnaps, MaxDiffs int
	// FromLog reads what a learner missed from the own log if it is too much for memory; otherwise it is sent a snapshot.
	FromLog bool
	// ForceSnap sends a snapshot to every learner (zookeeper.forceSnapshotSync).
	ForceSnap bool
}

// observer tells whether this server learns as an observer. One that is no member follows without a vote.
func (c *Config) observer() bool {
	m, _ := c.Members.Member(c.Self)
	return m.Observer
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
	// CommitWithOldQuorum commits a reconfiguration, and what follows it, without a quorum of the new membership.
	CommitWithOldQuorum bool
	// CommitWithNewQuorum commits them without a quorum of the old membership.
	CommitWithNewQuorum bool
	// BeginWithOldQuorum gives out an epoch and a history with the promises of the old membership alone.
	BeginWithOldQuorum bool
	// ForgetLastSeen does not save the membership that was proposed last.
	ForgetLastSeen bool
	// ForgetMembers does not save the membership that was committed last.
	ForgetMembers bool

	// VoteByID compares votes by the ids of the candidates alone, IgnoreVoteEpoch by the counters of their zxids;
	// a leader elected so does not compare histories in any other way either.
	VoteByID, IgnoreVoteEpoch bool
	// ReuseEpochs counts on from the own accepted epoch, whatever others have accepted, and lets them promise it twice.
	ReuseEpochs bool
	// NoTrunc sends DIFF to a learner that has txns of its own.
	NoTrunc bool
	// SkipInDiff leaves out the last txn of a DIFF.
	SkipInDiff bool
	// ServeEarly begins broadcast without a quorum that has acknowledged NEWLEADER.
	ServeEarly bool
	// DeliverProposals delivers proposals when they arrive.
	DeliverProposals bool

	// SyncAlone lets learners answer syncs by themselves, RevalidateAlone questions whether a session is alive.
	SyncAlone, RevalidateAlone bool
	// ServeAhead serves clients that have seen newer states.
	ServeAhead bool
	// LateEvents sends events after the answers that show their causes, EarlyEvents sends them before the commit.
	LateEvents, EarlyEvents bool
	// ExpireEarly ends sessions before their time is over.
	ExpireEarly bool
	// KeepEphemerals lets learners keep the nodes of sessions that are over.
	KeepEphemerals bool
	// CountChildren numbers sequential nodes by the children that their parent has.
	CountChildren bool
}

// mayLead tells whether a leader with one history, by its epoch and last zxid, may lead a server with another.
func (u *Unsafe) mayLead(epoch wire.Epoch, zxid wire.Zxid, follower wire.Epoch, last wire.Zxid) bool {
	switch {
	case u.VoteByID:
		return true
	case u.IgnoreVoteEpoch:
		return last.Counter() <= zxid.Counter()
	}
	return follower < epoch || follower == epoch && last <= zxid
}
