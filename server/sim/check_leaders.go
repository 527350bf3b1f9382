package sim

import (
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// leaderCheck: no epoch has two established leaders (Leadership2), and a leader has, when it is established, everything
// that was ever committed (PrimaryIntegrity).
type leaderCheck struct {
	w           *World
	established map[wire.Epoch]wire.ServerID
}

func (c *leaderCheck) roleChanged(m *machine, s node.Status) {
	switch {
	case !s.Serving:
	case s.Role == node.Leading:
		c.establish(m.name, s)
	case s.Role == node.Standalone:
		c.w.checks.history.established(s.Epoch, s.Zxid)
	}
}

// letsIn sees a leader that lets a learner into broadcast. With the first one its history is committed, even if the leader
// itself never serves because the membership that it activates has another leader.
func (c *leaderCheck) letsIn(m *machine, s node.Status) {
	if m.role == node.Leading && c.established[s.Epoch] != s.Self {
		c.establish(m.name, s)
	}
}

func (c *leaderCheck) establish(name string, s node.Status) {
	if other, ok := c.established[s.Epoch]; ok {
		c.w.fail("one leader per epoch", "%s and server %d lead epoch %d", name, other, s.Epoch)
	}
	c.established[s.Epoch] = s.Self
	// A leader that stalled may notice only now that it once had a quorum, while others lead later epochs already.
	if last := c.w.checks.history.lastBefore(s.Epoch); s.Zxid < last {
		c.w.fail("no committed txn lost", "%s leads epoch %d with %v, but %v was committed", name, s.Epoch, s.Zxid, last)
	}
	c.w.checks.history.established(s.Epoch, s.Zxid)
}
