package node

import (
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Role is what a server does in its ensemble.
type Role int

const (
	Looking Role = iota
	Following
	Leading
	Observing
	Standalone
	// Stopping is the time in which a role's disk writes come to their end; Looking or the end follows.
	Stopping
	// Stopped is the end: everything is durable and nothing will happen any more.
	Stopped
)

// String is the word that srvr and mntr use where they have one.
func (r Role) String() string {
	switch r {
	case Looking:
		return "looking"
	case Following:
		return "follower"
	case Leading:
		return "leader"
	case Observing:
		return "observer"
	case Standalone:
		return "standalone"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

// Status describes a node at one moment.
type Status struct {
	Self wire.ServerID
	Role Role
	// Serving tells that the server is in sync and takes part. TakesClients tells that clients are served, by a read-only
	// server, too, but not by a leader that does not serve; ReadOnly tells that they can only read.
	Serving      bool
	TakesClients bool
	ReadOnly     bool
	// Leader is the server that leads as far as this one knows; 0 if none.
	Leader wire.ServerID
	// LearnerMaster is the server that a learner is connected to: its leader, or a follower that serves observers.
	LearnerMaster wire.ServerID
	// Epoch is currentEpoch, AcceptedEpoch the highest promised.
	Epoch         wire.Epoch
	AcceptedEpoch wire.Epoch
	// Zxid is that of the last txn applied.
	Zxid wire.Zxid
	// LastProposed is that of the last proposal of a leader; otherwise Zxid.
	LastProposed wire.Zxid
	// Reason tells why the last role ended; empty before.
	Reason string
	// Since is when (Now.Mono) the role began, ServingSince when it began to serve.
	Since        time.Duration
	ServingSince time.Duration
	// ElectionTime is how long the last search for a leader took, from its start to the first served request.
	ElectionTime time.Duration

	// Clients is the number of client connections with a session, Outstanding that of their requests in flight.
	Clients     int
	Outstanding int
	// Sessions is the number of sessions of the ensemble, LocalSessions that of those that only this server knows.
	Sessions      int
	LocalSessions int
	Nodes         int
	Ephemerals    int
	DataBytes     int64
	// Watches counts pairs of connection and path, as mntr does.
	Watches int

	// DropChance is the probability with which connection throttling refuses a client whatever else.
	DropChance float64

	// Learners are a leader's; Followers, SyncedFollowers and SyncedObservers count them.
	Learners        []zab.LearnerStatus
	Followers       int
	SyncedFollowers int
	SyncedObservers int
	// PendingSyncs is the number of syncs that a leader has not answered, Proposals that of proposals without a quorum.
	PendingSyncs int
	Proposals    int
	// DigestMismatches counts txns whose digest was not that of the tree after them.
	DigestMismatches int
}

// Status describes the server as it is. It may run while Reads run, but not while Step does.
func (n *Node) Status() Status {
	s := Status{
		Self: n.cfg.Self, Role: n.role, Serving: n.serving, Leader: n.leaderID,
		Epoch: n.current, AcceptedEpoch: n.accepted, Zxid: n.tree.LastZxid(), LastProposed: n.tree.LastZxid(),
		Reason: n.reason, Since: n.since, ServingSince: n.servingSince, ElectionTime: n.electionTime,
		Clients: len(n.sessions), Outstanding: n.inFlight,
		Sessions: n.tree.SessionCount(), Nodes: n.tree.NodeCount(), Ephemerals: n.tree.EphemeralCount(),
		DataBytes:        n.tree.DataSizeBytes(),
		Watches:          n.watches.Total(),
		DigestMismatches: n.digestMismatches,
		TakesClients:     n.admits(), ReadOnly: n.readOnly,
		DropChance: n.connections.DropChance(),
	}
	if n.local != nil {
		s.LocalSessions = n.local.Len()
	}
	if n.learner != nil {
		s.LearnerMaster, s.Learners = n.master, n.learner.Observers()
		for _, l := range s.Learners {
			if l.Synced {
				s.SyncedObservers++
			}
		}
	}
	if n.leader == nil {
		return s
	}
	s.Learners = n.leader.Learners()
	s.PendingSyncs = n.leader.PendingSyncs()
	s.Proposals = n.leader.Outstanding()
	if n.serving {
		s.LastProposed = n.leader.LastProposed()
	}
	for _, l := range s.Learners {
		switch {
		case l.Observer && l.Synced:
			s.SyncedObservers++
		case l.Observer:
		case l.Synced:
			s.SyncedFollowers++
			s.Followers++
		default:
			s.Followers++
		}
	}
	return s
}

// Mode is the server's role as srvr and mntr show it.
func (s Status) Mode() string {
	if s.ReadOnly {
		return "read-only"
	}
	return s.Role.String()
}

// LocalSessions lists the sessions that only this server knows, by the moment (Now.Mono) at which they expire unless they
// are heard of before; ExpiringSessions does the same for those of the ensemble on the server that decides about them. Like
// Status, neither must coincide with Step.
func (n *Node) LocalSessions() []session.Due { return due(n.local) }

// ExpiringSessions is nil on servers that decide about no session of the ensemble. See LocalSessions.
func (n *Node) ExpiringSessions() []session.Due { return due(n.tracker) }

func due(t *session.Tracker) []session.Due {
	if t == nil {
		return nil
	}
	return t.Due()
}

// Tree is the state of the server; it may be replaced when a role begins or ends. Like Read, reading it must not
// coincide with Step.
func (n *Node) Tree() *tree.Tree { return n.tree }

// Members is the last committed membership, nil when standalone. Like Status, it must not coincide with Step.
func (n *Node) Members() *quorum.Config { return n.members }

// Watches is the table of watches. It is safe for concurrent use.
func (n *Node) Watches() *watch.Manager { return n.watches }

// SessionOf is the session of a client connection and its timeout; ok is false before there is one. Like Status, it must
// not coincide with Step.
func (n *Node) SessionOf(id ClientID) (session wire.SessionID, timeout time.Duration, ok bool) {
	c := n.clients[id]
	if c == nil || !c.established {
		return 0, 0, false
	}
	return c.session, c.timeout, true
}
