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
	if !s.Serving || s.Role != node.Leading && s.Role != node.Standalone {
		return
	}
	if s.Role == node.Standalone {
		c.w.checks.history.established(s.Epoch, s.Zxid)
		return
	}
	if other, ok := c.established[s.Epoch]; ok {
		c.w.fail("one leader per epoch", "%s and server %d lead epoch %d", m.name, other, s.Epoch)
	}
	c.established[s.Epoch] = s.Self
	// A leader that stalled may notice only now that it once had a quorum, while others lead later epochs already.
	if last := c.w.checks.history.lastBefore(s.Epoch); s.Zxid < last {
		c.w.fail("no committed txn lost", "%s leads epoch %d with %v, but %v was committed", m.name, s.Epoch, s.Zxid, last)
	}
	c.w.checks.history.established(s.Epoch, s.Zxid)
}
