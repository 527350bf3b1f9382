package node

import (
	"github.com/zkctl/zkctl/server/session"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// begin takes up the first role.
func (n *Node) begin() {
	n.begun = true
	n.unavailableSince = n.now.Mono
	if n.members == nil {
		n.becomeStandalone()
		return
	}
	n.becomeLooking()
}

func (n *Node) setRole(r Role) {
	n.role = r
	n.since = n.now.Mono
	n.note(RoleChanged{Status: n.Status()})
}

func (n *Node) becomeLooking() {
	n.leaderID = 0
	n.lookingSince = n.now.Mono
	n.cfg.Metrics.LookingCount.Add(1)
	n.setRole(Looking)
	n.look()
}

// look begins an election.
func (n *Node) look() {
	last := n.history.Last()
	if n.blank || n.unlogged && !n.observes() {
		last = -1 // which neither votes nor is voted for
	}
	n.election.Look(n.now.Mono, last, n.current)
	n.afterElection()
}

// afterElection sends what the election has to say and takes up the role that it decided on.
func (n *Node) afterElection() {
	for _, m := range n.election.Take() {
		n.note(SendNotification{To: m.To, Notification: m.Notification})
	}
	if n.role != Looking {
		return
	}
	if vote, decided := n.election.Decision(); decided {
		n.becomeElected(vote.Leader)
	}
}

// becomeElected takes up the role that goes with a leader.
func (n *Node) becomeElected(leader wire.ServerID) {
	n.endReadOnly()
	n.leaderID = leader
	n.term++
	if !n.observes() {
		n.cfg.Metrics.ElectionTime.Took(n.now.Mono - n.lookingSince)
	}
	if leader == n.cfg.Self {
		n.becomeLeading()
	} else {
		n.becomeLearning()
	}
}

// becomeDesignated takes up the next role without an election.
func (n *Node) becomeDesignated(leader wire.ServerID) {
	n.lookingSince = n.now.Mono
	n.election.Designate(leader, n.history.Last())
	n.becomeElected(leader)
}

func (n *Node) durable() zab.Durable {
	return zab.Durable{AcceptedEpoch: n.accepted, CurrentEpoch: n.current, LastZxid: n.history.Last()}
}

func (n *Node) zabConfig() zab.Config {
	return zab.Config{
		Self: n.cfg.Self, Members: n.members, LastSeen: n.lastSeen, Known: n.guidedBy(), Reconfig: n.cfg.ReconfigEnabled, Leader: n.leaderID,
		NeedSnapshot: n.needSnapshot || n.unlogged && !n.observes(),
		TickTime:     n.cfg.TickTime, InitLimitTicks: n.cfg.InitLimitTicks, SyncLimitTicks: n.cfg.SyncLimitTicks,
		Sync: n.cfg.Sync, ServeObservers: n.cfg.ObserverMasters,
		Unsafe: n.cfg.Unsafe,
	}
}

func (n *Node) becomeLeading() {
	n.setRole(Leading)
	n.note(OpenQuorumPort{})
	n.leader = zab.NewLeader(n.zabConfig(), n.durable(), n.history, n.now.Mono)
	n.leader.SetOracle(n.mayLeadAlone)
	n.drain()
}

// becomeLearning follows or observes the elected leader.
func (n *Node) becomeLearning() {
	role := Following
	if n.observes() {
		role = Observing
	}
	n.setRole(role)
	n.leaderConn = n.lastConn + 2
	n.lastConn = n.leaderConn
	n.learner = zab.NewLearner(n.zabConfig(), zab.ConnID(n.leaderConn), n.durable(), n.history, n.now.Mono)
	if role == Observing {
		n.chooseMaster()
		return
	}
	n.master = n.leaderID
	n.dialIn(n.patience())
}

func (n *Node) becomeStandalone() {
	n.term++
	n.lookingSince = n.now.Mono
	n.setRole(Standalone)
	n.leaderID = n.cfg.Self
	n.serve()
}

// serve opens the server to clients.
func (n *Node) serve() {
	n.serving = true
	n.inVain = 0
	n.servingSince = n.now.Mono
	n.electionTime = n.now.Mono - n.lookingSince
	if n.members != nil {
		n.measureServing()
	}
	n.ids = session.NewIDs(n.cfg.Self, n.now.WallMillis)
	if n.cfg.LocalSessions && n.members != nil {
		n.local = session.NewTracker(n.cfg.TickTime)
	}
	n.showMembers()
	if n.decides() {
		n.becomeDecider()
	}
	if n.role == Following && n.cfg.ObserverMasters {
		n.note(OpenObserverPort{})
	}
	n.note(RoleChanged{Status: n.Status()})
	n.answerRestoration()
}

// decides tells whether this server prepares txns and expires sessions.
func (n *Node) decides() bool { return n.leader != nil || n.role == Standalone }

// endRole ends a role: clients and peers are let go at once, but a new role begins only when nothing of the old one is
// on its way to the disk, and memory has been made equal to the log.
func (n *Node) endRole(reason string) {
	if n.role == Stopping || n.role == Stopped {
		return
	}
	n.ended++
	n.reason = reason
	switch {
	case n.leader != nil:
		n.unapplied = n.leader.LoggedPending()
		for _, conn := range n.learnerConns() {
			n.note(CloseConn{Conn: conn})
		}
		n.note(CloseQuorumPort{})
	case n.learner != nil:
		n.unapplied = n.learner.LoggedPending()
		n.tainted = n.learner.Tainted()
		n.note(CloseConn{Conn: n.leaderConn})
		for _, conn := range n.learnerConns() {
			n.note(CloseConn{Conn: conn})
		}
		if n.serving && n.role == Following && n.cfg.ObserverMasters {
			n.note(CloseObserverPort{})
		}
		if n.role == Observing {
			n.restUntil = n.now.Mono + n.upTo(n.cfg.ObserverElectionDelay)
		}
	case n.role == Standalone:
		n.unapplied = n.standalone
	}
	n.leader, n.learner, n.standalone, n.dialAt = nil, nil, nil, 0
	if n.election != nil {
		n.election.Leave()
	}
	clear(n.conns)
	if n.serving {
		n.unavailableSince = n.now.Mono
	}
	n.serving, n.readOnly, n.local = false, false, nil
	n.diverges = false
	n.endDeciding()
	n.closeAllClients()
	clear(n.orphans)
	n.refuseSnapshots()
	n.setRole(Stopping)
	n.settle()
}

// settle begins the next role once the disk has caught up with the old one.
func (n *Node) settle() {
	if n.role != Stopping || len(n.storage.queue) > 0 || n.reloading {
		return
	}
	if n.tainted {
		n.tainted = false
		n.unapplied = nil
		if !n.cfg.Unsafe.KeepTainted {
			n.reloading = true
			id := n.storage.nextID()
			n.write(id, Reload{ID: id})
			return
		}
	}
	// What was logged and not committed is history like the rest: whether it stays is for the next leader to say.
	for _, e := range n.unapplied {
		n.tree.Apply(e.Header, e.Record, nil)
		n.history.Add(e)
	}
	n.unapplied = nil
	n.settleRestoration()
	if n.stop {
		n.setRole(Stopped)
		return
	}
	if leader := n.heir; leader != 0 {
		n.heir = 0
		n.becomeDesignated(leader)
		return
	}
	if n.members == nil {
		n.becomeStandalone()
		return
	}
	if n.now.Mono >= n.restUntil {
		n.becomeLooking()
	}
}
