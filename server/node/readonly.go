package node

import (
	"time"

	"github.com/zkctl/zkctl/server/session"
)

// readOnlyGrace is the least time for which a member looks for a leader before it takes itself for cut off from the
// others (QuorumPeer.run).
const readOnlyGrace = 2 * time.Second

// admits tells whether clients are taken.
func (n *Node) admits() bool {
	if n.role == Leading && n.cfg.LeaderServesNot {
		return false
	}
	return n.serving || n.readOnly
}

// maybeBecomeReadOnly lets clients read from a member that cannot find a leader: what they see may be old, and their
// sessions are local ones (ReadOnlyZooKeeperServer).
//
// Apache ZooKeeper gives such clients a session only if local sessions are enabled, and otherwise answers their
// ConnectRequest with an error that no client can read.
func (n *Node) maybeBecomeReadOnly() {
	if !n.cfg.ReadOnlyMode || n.readOnly || n.role != Looking || n.now.Mono-n.since < max(readOnlyGrace, n.cfg.TickTime) {
		return
	}
	n.readOnly = true
	n.ids = session.NewIDs(n.cfg.Self, n.now.WallMillis)
	n.local = session.NewTracker(n.cfg.TickTime)
	n.note(RoleChanged{Status: n.Status()})
}

// endReadOnly sends the clients that only read away: their sessions end with this.
func (n *Node) endReadOnly() {
	if !n.readOnly {
		return
	}
	n.readOnly, n.local = false, nil
	n.closeAllClients()
}
