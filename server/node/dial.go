package node

import (
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// chooseMaster decides whom an observer connects to, and when: its leader after a random time, or one follower after the
// other, at their ports for observers, and a random time before it tries all of them again
// (QuorumPeer.findLearnerMaster).
//
// When no follower has answered, it is the leader's turn. Apache ZooKeeper tries its port for observers, which is never
// open; but while the leader waits for a quorum of a membership in which this observer is to vote, no follower serves.
func (n *Node) chooseMaster() {
	n.master = n.leaderID
	begins := true
	if n.cfg.ObserverMasters {
		begins = n.nextMaster()
	}
	wait := n.patience()
	if begins {
		wait = max(wait, n.upTo(n.cfg.ObserverReconnectDelay))
	}
	n.dialIn(wait)
}

// nextMaster takes the next server of a round: the other voters in random order, and last the leader. begins tells that it is
// the first one of a round after another.
func (n *Node) nextMaster() (begins bool) {
	isFollower := func(id wire.ServerID) bool { return id != n.leaderID && n.members.IsVoter(id) }
	if !n.mastersListed {
		begins, n.mastersListed = n.mastersTried, true
		n.masters = slices.DeleteFunc(slices.Clone(n.members.Voters()), func(id wire.ServerID) bool { return !isFollower(id) })
		n.cfg.Rand.Shuffle(len(n.masters), func(i, j int) { n.masters[i], n.masters[j] = n.masters[j], n.masters[i] })
	}
	for len(n.masters) > 0 {
		next := n.masters[0]
		n.masters = n.masters[1:]
		if isFollower(next) { // the ensemble may have changed
			n.master = next
			return begins
		}
	}
	n.mastersListed, n.mastersTried = false, true
	return begins
}

// patience is how long a learner waits before it connects again: no time at first, up to tickTime if connections have been
// opened in vain, as when a leader refuses it. Apache ZooKeeper does not wait.
func (n *Node) patience() time.Duration {
	if n.inVain < 2 {
		return 0
	}
	return n.cfg.TickTime >> max(6-n.inVain, 0)
}

func (n *Node) dialIn(wait time.Duration) {
	if wait > 0 {
		n.dialAt = n.now.Mono + wait
		return
	}
	n.dial()
}

// dial opens the connection of a learner.
func (n *Node) dial() {
	n.dialAt = 0
	n.note(DialLeader{
		Conn: n.leaderConn, Leader: n.master, ObserverPort: n.master != n.leaderID, Leads: n.master == n.leaderID && n.election.Told(),
		Timeout: n.cfg.ConnectTimeout,
	})
}

// tickLearner does what a learner has waited with.
func (n *Node) tickLearner() {
	if n.dialAt != 0 && n.learner != nil && n.now.Mono >= n.dialAt {
		n.dial()
	}
	if n.restUntil != 0 && n.now.Mono >= n.restUntil {
		n.restUntil = 0
		n.settle()
	}
}

// upTo draws a time below most.
func (n *Node) upTo(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(n.cfg.Rand.Int64N(int64(most)))
}
