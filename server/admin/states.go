package admin

import (
	"github.com/zkctl/zkctl/server/node"
)

// peerState is the state of a member as Apache ZooKeeper's QuorumPeer.getDetailedPeerState tells it.
func peerState(s node.Status) string {
	state := "looking"
	switch s.Role {
	case node.Leading:
		state = "leading"
	case node.Following:
		state = "following"
	case node.Observing:
		state = "observing"
	}
	if phase := zabState(s); phase != "election" {
		state += " - " + phase
	}
	return state
}

// zabState is the phase of the protocol: election, discovery, synchronization or broadcast.
func zabState(s node.Status) string {
	switch s.Role {
	case node.Leading, node.Following, node.Observing:
		if s.Serving {
			return "broadcast"
		}
		return "synchronization"
	}
	return "election"
}

// observerMaster is the server on which an observer hangs.
func observerMaster(s node.Status) (id int64, ok bool) {
	return int64(s.LearnerMaster), s.Role == node.Observing && s.LearnerMaster != 0
}
