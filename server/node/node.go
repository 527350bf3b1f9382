// Package node is one server as a value: votes, discovery, synchronisation, broadcast, sessions, watches and the tree,
// without goroutines, clock, files or sockets. What happens goes in as inputs, what has to be done comes out as effects.
//
// A server has a role. It looks for a leader, then leads, follows or observes until that fails, and looks again; a
// standalone server has one role for good. Between two roles it waits until the disk has everything that the old one
// wanted written, and makes memory equal to the log; so no late write, ACK or commit of one role appears in another, and
// what the server says of its history when it votes is on its disk.
//
// Not here: files and sockets (package server), how txns are made (prep), applied (tree) and answered (final).
package node

import (
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/election"
	"github.com/zkctl/zkctl/server/final"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/throttle"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Node is one server. It is not safe for concurrent use, but for Read and Status, any number of which may run while
// nothing else does.
type Node struct {
	cfg    Config
	policy *auth.Policy
	now    Now
	begun  bool
	stop   bool

	effects []Effect

	// What the disk holds, and memory stands for.
	tree     *tree.Tree
	history  *zab.History
	accepted wire.Epoch
	current  wire.Epoch
	storage  storage
	// needSnapshot tells that the history on disk cannot be brought in line with a leader's.
	needSnapshot bool
	// blank tells that there was no data on disk, and that this says nothing about the history.
	blank bool
	// mayLeadAlone is what the oracle said last.
	mayLeadAlone bool
	sinceRoll    int
	rollAfter    int
	// The same in bytes; rollAfterBytes is 0 where they do not count.
	sinceRollBytes int64
	rollAfterBytes int64

	// The role, and what only one role has.
	role         Role
	members      *quorum.Config // last committed; nil when standalone
	lastSeen     *quorum.Config // last proposed
	guide        *quorum.Config // among whose members a leader is looked for instead; see beGuided
	gossip       *quorum.Config // last one read from a vote
	term         uint64         // number of the role, to tell its disk writes from those of others
	ended        uint64         // number of roles that have ended
	reason       string
	since        time.Duration
	lookingSince time.Duration
	servingSince time.Duration
	electionTime time.Duration
	serving      bool
	leaderID     wire.ServerID
	heir         wire.ServerID // who leads next, without an election; 0 for an election
	election     *election.Election
	leader       *zab.Leader
	conns        map[ConnID]struct{} // learners'
	learner      *zab.Learner
	leaderConn   ConnID
	// master is whom this learner has a connection with: the leader, or a follower that serves observers. masters are the
	// followers of a round that are still to be tried, if mastersListed; mastersTried tells that there has been a round. dialAt
	// is when the connection is to be opened, 0 when it has been.
	master                      wire.ServerID
	masters                     []wire.ServerID
	mastersListed, mastersTried bool
	dialAt                      time.Duration
	// inVain counts the connections to leaders that were opened since this server served.
	inVain int
	// restUntil is when an observer looks for a leader again.
	restUntil time.Duration
	// unlogged tells that the disk lacks txns that memory has; see Config.NoLog.
	unlogged    bool
	lastConn    ConnID
	roleEffects []zab.Effect
	draining    bool
	standalone  []txn.Entry // on their way to the disk
	proposed    wire.Zxid   // by a standalone server
	// What an ended role leaves behind, while Stopping.
	unapplied []txn.Entry
	tainted   bool
	reloading bool

	// Leader and standalone server.
	tracker             *session.Tracker
	preparer            *prep.Preparer
	nextContainerCheck  time.Duration
	nextContainerDelete time.Duration
	expendable          []string
	// local are the sessions that only this member knows; nil where there are none.
	local *session.Tracker
	// readOnly tells that this member, without a leader, serves clients that only read.
	readOnly bool

	// Clients.
	connections *throttle.Connections
	ids         session.IDs
	clients     map[ClientID]*client
	sessions    map[wire.SessionID]*client
	// orphans are the requests without a txn so far whose connections are gone, by session, in order.
	orphans  map[wire.SessionID][]int32
	watches  *watch.Manager
	watchers []watch.Watcher
	final    *final.Server
	renewals []renewal
	syncing  []ClientID
	inFlight int
	// Of them, those that wait for the ensemble; and the sessions that have any.
	writesInFlight, sessionsInFlight int
	// opening is the number of createSessions of clients here that are in process.
	opening int
	// held are requests that wait to be let in, in order; nextStall is when the first of them is looked at again.
	held      []held
	nextStall time.Duration
	// nextSilenceCheck is when to look for silent clients again.
	nextSilenceCheck time.Duration

	// What operators asked for.
	snapshotRequests []uint64
	restoring        *restoration
	diverges         bool // a learner's tree is not that of its leader

	lateEvents []SendFrame // of Unsafe.LateEvents

	// What is measured.
	digestMismatches int
	work             Work
	unavailableSince time.Duration // while not serving
	syncingSince     time.Duration // of a learner
}

// New returns a server with what its disk holds. It does nothing before the first Step. An error says that what was read
// cannot be.
func New(cfg Config, db *Database) (*Node, error) {
	n := &Node{
		cfg:      cfg.withDefaults(),
		policy:   auth.New(cfg.Auth),
		accepted: db.AcceptedEpoch,
		current:  db.CurrentEpoch,
		conns:    make(map[ConnID]struct{}),
		clients:  make(map[ClientID]*client),
		sessions: make(map[wire.SessionID]*client),
		orphans:  make(map[wire.SessionID][]int32),
		watches:  watch.New(),
		lastConn: 1,
	}
	if db.AcceptedEpoch < db.CurrentEpoch {
		return nil, fmt.Errorf("acceptedEpoch %d is below currentEpoch %d", db.AcceptedEpoch, db.CurrentEpoch)
	}
	if cfg.Members != nil && db.LastZxid.Epoch() > db.CurrentEpoch {
		return nil, fmt.Errorf("last zxid %v is of a later epoch than currentEpoch %d", db.LastZxid, db.CurrentEpoch)
	}
	n.connections = throttle.New(n.cfg.ConnectionThrottle, n.cfg.Rand, 0)
	n.final = &final.Server{Policy: n.policy, Watches: n.watches}
	if cfg.Members != nil {
		n.members, n.lastSeen = cfg.Members, cfg.Members
		if cfg.ReconfigEnabled && cfg.LastSeen != nil && cfg.LastSeen.Version() > cfg.Members.Version() {
			n.lastSeen = cfg.LastSeen
		}
		votes := election.Config{
			Self: cfg.Self, Members: n.members, LastSeen: n.lastSeen,
			MinInterval: cfg.MinNotificationInterval, MaxInterval: cfg.MaxNotificationInterval,
			Oracle: cfg.Oracle,
		}
		votes.Unsafe.ByID, votes.Unsafe.NoEpochs = cfg.Unsafe.VoteByID, cfg.Unsafe.IgnoreVoteEpoch
		n.election = election.New(votes)
	}
	n.install(db)
	n.proposed = db.LastZxid
	n.resetRoll()
	return n, nil
}

// Step takes an input. Times never go back. Effects collects what must be done about it.
func (n *Node) Step(now Now, in Input) {
	n.now = now
	if n.role == Stopped {
		return
	}
	if !n.begun {
		n.begin()
	}
	switch in := in.(type) {
	case Tick:
		n.tick()
	case NotificationReceived:
		n.handleNotification(in)
	case LearnerAccepted:
		n.handleLearnerAccepted(in)
	case LeaderConnected:
		n.handleLeaderConnected(in)
	case PacketReceived:
		n.handlePacket(in)
	case SnapshotReceived:
		n.handleSnapshotReceived(in)
	case SnapshotSent:
		n.handleSnapshotSent(in)
	case LogRead:
		n.handleLogRead(in)
	case ConnClosed:
		n.handleConnClosed(in)
	case OracleSaid:
		n.handleOracleSaid(in)
	case StorageDone:
		n.handleStorageDone(in)
	case ClientConnected:
		n.handleClientConnected(in)
	case ClientRequest:
		n.handleClientRequest(in)
	case ClientClosed:
		n.handleClientClosed(in)
	case ClientsTouched:
		n.handleClientsTouched(in)
	case SnapshotWanted:
		n.handleSnapshotWanted(in)
	case Restore:
		n.handleRestore(in)
	default:
		panic(fmt.Sprintf("node: input %T", in))
	}
	if len(n.held) > 0 {
		n.release()
	}
}

func (n *Node) tick() {
	if n.election != nil {
		n.election.Tick(n.now.Mono)
		n.afterElection()
	}
	switch {
	case n.leader != nil && !n.serving && n.election.Deserted(n.now.Mono):
		n.cfg.Metrics.QuitLeadingDueToDisloyalVoter.Add(1)
		n.endRole("elected, but the others vote for another server")
	case n.leader != nil:
		n.leader.Tick(n.now.Mono)
	case n.learner != nil:
		n.learner.Tick(n.now.Mono)
	}
	n.drain()
	for _, f := range n.lateEvents {
		n.note(f)
	}
	n.lateEvents = nil
	if n.serving && n.tracker != nil {
		n.tickDecider()
		n.drain()
	}
	n.tickLearner()
	n.maybeBecomeReadOnly()
	if n.serving || n.readOnly {
		n.expireLocal()
		n.closeSilent()
	}
}

// Effects appends to into what must be done about the inputs since the last call, in order, and forgets it.
func (n *Node) Effects(into []Effect) []Effect {
	into = append(into, n.effects...)
	clear(n.effects)
	n.effects = n.effects[:0]
	return into
}

func (n *Node) note(e Effect) { n.effects = append(n.effects, e) }

// StepDown ends the present role of a member of an ensemble, which then looks for a leader again.
func (n *Node) StepDown(now Now, reason string) {
	n.now = now
	if n.role != Looking && n.role != Standalone {
		n.endRole(reason)
	}
}

// Stop ends the server: clients and connections are closed; the last RoleChanged, to Stopped, comes when all is durable.
func (n *Node) Stop(now Now) {
	n.now = now
	n.stop = true
	if n.role == Stopping {
		n.settle()
		return
	}
	n.endRole("the server stops")
}
