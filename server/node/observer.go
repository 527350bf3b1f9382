package node

import (
	"slices"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// chooseMaster decides whom an observer connects to, and when: its leader after a random time, or one of the other voters
// after the other, at their ports for observers, and a random time before it tries all of them again
// (QuorumPeer.findLearnerMaster). Apache ZooKeeper tries the leader, too, which does not have this port open.
func (n *Node) chooseMaster() {
	wait := time.Duration(0)
	switch {
	case !n.cfg.ObserverMasters:
		wait = n.upTo(n.cfg.ObserverReconnectDelay)
	case len(n.masters) == 0 && n.triedMasters:
		wait = n.upTo(n.cfg.ObserverReconnectDelay)
		n.nextMaster()
	default:
		n.nextMaster()
	}
	if wait > 0 {
		n.dialAt = n.now.Mono + wait
		return
	}
	n.dial()
}

// nextMaster takes the next voter of the list, which begins anew, in random order, when all have been tried. Without another
// voter than the leader, it is the leader.
func (n *Node) nextMaster() {
	isFollower := func(id wire.ServerID) bool { return id != n.leaderID && n.members.IsVoter(id) }
	n.masters = slices.DeleteFunc(n.masters, func(id wire.ServerID) bool { return !isFollower(id) })
	if len(n.masters) == 0 {
		for _, id := range n.members.Voters() {
			if isFollower(id) {
				n.masters = append(n.masters, id)
			}
		}
		n.cfg.Rand.Shuffle(len(n.masters), func(i, j int) { n.masters[i], n.masters[j] = n.masters[j], n.masters[i] })
		n.triedMasters = true
	}
	if len(n.masters) > 0 {
		n.master, n.masters = n.masters[0], n.masters[1:]
	}
}

// dial opens the connection of a learner.
func (n *Node) dial() {
	n.dialAt = 0
	n.note(DialLeader{Conn: n.leaderConn, Leader: n.master, ObserverPort: n.master != n.leaderID, Timeout: n.cfg.ConnectTimeout})
}

// tickObserver does what an observer has waited with.
func (n *Node) tickObserver() {
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
