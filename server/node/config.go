package node

import (
	"math/rand/v2"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/throttle"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// TickInterval is how often the caller of a Node should let time pass: fine enough for the 200 ms windows of an
// election and for half a tickTime.
const TickInterval = 25 * time.Millisecond

// Config is what a server is told at its start; the names are those of zoo.cfg where it has one.
type Config struct {
	// Self is the server's id. A standalone server without one is 1.
	Self wire.ServerID
	// Members is the last committed membership of the ensemble; nil for a standalone server. LastSeen is the last proposed
	// one, nil where no newer one is known.
	Members, LastSeen *quorum.Config
	// MultiAddress lets the membership give servers several addresses (multiAddress.enabled).
	MultiAddress bool
	// ReconfigEnabled lets clients change the membership.
	ReconfigEnabled bool
	// CheckMembers refuses memberships that the files of a server could not hold; nil for none.
	CheckMembers func(*quorum.Config) error
	// StandaloneEnabled keeps them from making an ensemble of a single voter.
	StandaloneEnabled bool

	TickTime       time.Duration
	InitLimitTicks int
	SyncLimitTicks int
	// ConnectTimeout bounds the connection to a leader (connectToLearnerMasterLimit); 0 for initLimit.
	ConnectTimeout time.Duration
	// MinSessionTimeout and MaxSessionTimeout bound what clients ask for; 0 for 2 and 20 times TickTime.
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration
	// Notifications are sent again after MinNotificationInterval, and up to MaxNotificationInterval
	// (zookeeper.fastleader.minNotificationInterval and maxNotificationInterval); 0 for the defaults of package election.
	MinNotificationInterval, MaxNotificationInterval time.Duration
	// Oracle tells that an oracle decides where one of two voters is missing (oraclePath): OracleSaid will say what.
	Oracle bool
	// MaxTimeToWaitForEpoch is how long a leader without a quorum puts up with voters that look for another
	// (zookeeper.leader.maxTimeToWaitForEpoch); not positive for as long as it takes.
	MaxTimeToWaitForEpoch time.Duration
	// Sync is how a leader synchronises its learners.
	Sync zab.SyncPolicy
	// SnapCount is the number of txns between snapshots: each comes after SnapCount/2 and up to as many more, at
	// random, so that members do not all write theirs at once. At least 2.
	SnapCount int
	// SnapSizeLimitBytes does the same for the bytes of the txns (snapSizeLimitInKb); not positive for no limit.
	SnapSizeLimitBytes int64

	// MaxTxnBytes is the longest txn that every member reads (jute.maxbuffer and its extrasize); 0 for their defaults.
	MaxTxnBytes int

	// CommitLogCount is how many txns are kept in memory for learners that missed a few (zookeeper.commitLogCount); 0 for
	// 500. Whoever misses more gets a snapshot.
	CommitLogCount int

	// ContainerCheckInterval is the time between searches for empty containers and old TTL nodes
	// (znode.container.checkIntervalMs), 0 for a minute; of those found, at most ContainerMaxPerMinute
	// (znode.container.maxPerMinute), 0 for 10000, are deleted.
	ContainerCheckInterval time.Duration
	ContainerMaxPerMinute  int
	// ContainerMaxNeverUsed deletes containers that never had a child after this time
	// (znode.container.maxNeverUsedIntervalMs); 0 for never.
	ContainerMaxNeverUsed time.Duration

	// ObserverMasters lets this server serve observers while it follows, and, if it is one, get by without the leader, at a
	// follower (observerMasterPort).
	ObserverMasters bool
	// ObserverElectionDelay and ObserverReconnectDelay bound the random times that an observer waits before it looks for a
	// leader again, and before it connects to one (zookeeper.observer.election.DelayMs, zookeeper.observer.reconnectDelayMs).
	ObserverElectionDelay, ObserverReconnectDelay time.Duration
	// NoLog lets an observer keep no log (syncEnabled=false): what it misses while it is down it gets from its leader.
	NoLog bool

	// EnforceQuota refuses what goes beyond a hard limit of a quota, and tells of what goes beyond a soft one
	// (zookeeper.enforceQuota).
	EnforceQuota bool

	// RequestThrottle keeps requests waiting while others are in process.
	RequestThrottle RequestThrottle
	// ConnectionThrottle limits how often sessions are begun and resumed; its zero value does not.
	ConnectionThrottle throttle.Config

	// LocalSessions lets a member of an ensemble keep new sessions to itself (localSessionsEnabled), LocalSessionsUpgrading
	// makes them sessions of the ensemble when they create their first ephemeral node (localSessionsUpgradingEnabled).
	LocalSessions          bool
	LocalSessionsUpgrading bool
	// ReadOnlyMode lets a member that finds no leader serve clients that are content with reading (readonlymode.enabled).
	ReadOnlyMode bool
	// LeaderServesNot keeps clients away while this server leads (leaderServes=no).
	LeaderServesNot bool

	// NoCloseSessionPaths leaves the ephemeral nodes out of txns that end sessions (zookeeper.closeSessionTxn.enabled=false).
	NoCloseSessionPaths bool

	// Auth is how clients are authenticated and authorized. Its zero value is Apache ZooKeeper's default.
	Auth auth.Options
	// Audit asks for the lines of the audit log (zookeeper.audit.enable).
	Audit bool
	// EagerACLCheck refuses writes that the access lists forbid before they go to the leader, in an ensemble; such a refusal
	// takes no zxid (zookeeper.enableEagerACLCheck).
	EagerACLCheck bool
	// Tree is how the tree reads its nodes; every Database given to the node must agree.
	Tree tree.Options

	// Metrics is where the server notes what happens; nil for nowhere.
	Metrics *metrics.Metrics
	// AckLoggingFrequency is of how many txns a leader measures one for the time that each server takes to acknowledge it
	// (zookeeper.leader.ackLoggingFrequency); 0 for none.
	AckLoggingFrequency int

	// Rand is the source of all that is random here. The node owns it.
	Rand *rand.Rand

	// Unsafe is for tests only.
	Unsafe zab.Unsafe
}

func (c *Config) withDefaults() Config {
	d := *c
	if d.Self == 0 && d.Members == nil {
		d.Self = 1
	}
	if d.ConnectTimeout == 0 {
		d.ConnectTimeout = time.Duration(d.InitLimitTicks) * d.TickTime
	}
	if d.MinSessionTimeout == 0 {
		d.MinSessionTimeout = 2 * d.TickTime
	}
	if d.MaxSessionTimeout == 0 {
		d.MaxSessionTimeout = 20 * d.TickTime
	}
	d.SnapCount = max(d.SnapCount, 2)
	if d.MaxTxnBytes == 0 {
		d.MaxTxnBytes = 2 * 0xfffff
	}
	if d.CommitLogCount == 0 {
		d.CommitLogCount = zab.HistoryLimit
	}
	if d.ContainerCheckInterval == 0 {
		d.ContainerCheckInterval = time.Minute
	}
	if d.ContainerMaxPerMinute == 0 {
		d.ContainerMaxPerMinute = 10000
	}
	if d.Metrics == nil {
		d.Metrics = metrics.New()
	}
	return d
}
