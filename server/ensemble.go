package server

import (
	"sync"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// ensemble counts what the effects of the node tell of elections, proposals and learners.
type ensemble struct {
	mu      sync.Mutex
	figures admin.Ensemble
	role    node.Role
	epoch   wire.Epoch
	// commits are those of earlier times as leader.
	commits int64
}

func (n *ensemble) saw(e node.Effect) {
	switch e := e.(type) {
	case node.RoleChanged:
		n.mu.Lock()
		n.changed(e.Status)
		n.mu.Unlock()
	case node.Append:
		n.whenLeading(func(f *admin.Ensemble) { f.Proposals++; f.Proposed.Add(len(e.Txn)) })
	case node.SendSnapshot:
		n.whenLeading(func(f *admin.Ensemble) { f.Snapshots++ })
	case node.SendPacket:
		if e.Packet.Type == wire.PacketDiff || e.Packet.Type == wire.PacketTrunc {
			n.whenLeading(func(f *admin.Ensemble) { f.Diffs++ })
		}
	}
}

func (n *ensemble) whenLeading(count func(*admin.Ensemble)) {
	n.mu.Lock()
	if n.role == node.Leading {
		count(&n.figures)
	}
	n.mu.Unlock()
}

func (n *ensemble) changed(status node.Status) {
	switch {
	case status.Serving:
		n.figures.Election.Add(status.ElectionTime)
	case status.Role == node.Looking:
		n.figures.Looking++
	}
	if n.role == node.Leading && status.Role != node.Leading {
		n.commits += commits(status.Zxid, n.epoch)
	}
	n.role, n.epoch = status.Role, status.Epoch
}

// commits is how many txns of an epoch its leader has applied, the last of them with zxid: they are numbered from 1.
func commits(zxid wire.Zxid, epoch wire.Epoch) int64 {
	if zxid.Epoch() != epoch {
		return 0
	}
	return int64(zxid) & 0xffffffff
}

// report is what was counted until now; zxid is that of the last txn applied.
func (n *ensemble) report(zxid wire.Zxid) admin.Ensemble {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.figures
	f.Commits = n.commits
	if n.role == node.Leading {
		f.Commits += commits(zxid, n.epoch)
	}
	return f
}

// resetSizes lets the sizes of proposals begin anew.
func (n *ensemble) resetSizes() {
	n.mu.Lock()
	n.figures.Proposed = admin.Sizes{}
	n.mu.Unlock()
}
