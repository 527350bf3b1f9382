package sim

import (
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// memberCheck: one version stands for one membership; versions of a machine never go back while it runs; in the epoch of a
// reconfiguration its membership is active only if it is committed, while a leader of a later epoch completes whatever it
// finds proposed; whoever has a reconfiguration on disk has its membership there, too; and at rest everybody has the newest
// one.
type memberCheck struct {
	w     *World
	texts map[int64]string // by version, of those that were active anywhere
	// later are those that were active first in a later epoch than their own.
	later map[int64]bool
	last  *quorum.Config
}

// changed sees a machine with a membership.
func (c *memberCheck) changed(m *machine, e node.MembersChanged) {
	version := e.Members.Version()
	if version == 0 {
		return // what it was told by its operator
	}
	if text, ok := c.texts[version]; ok && text != e.Members.String() {
		c.w.fail("one membership per version", "%s has as %x\n%v\nanother server\n%s", m.name, version, e.Members, text)
	}
	if _, known := c.texts[version]; !known {
		c.later[version] = wire.Zxid(version).Epoch() < m.disk.currentEpoch
	}
	c.texts[version] = e.Members.String()
	if c.last == nil || version > c.last.Version() {
		c.last = e.Members
	}
	if version < m.members {
		c.w.fail("monotonic", "%s went back from membership %x to %x", m.name, m.members, version)
	}
	m.members = version
}

// logs sees a machine about to write a txn to its disk.
func (c *memberCheck) logs(m *machine, e node.Append) {
	if h := header(e.Txn); h.Type == wire.OpReconfig {
		c.holds(m, int64(h.Zxid))
	}
}

// snapshots sees a machine about to write a tree to its disk.
func (c *memberCheck) snapshots(m *machine, t *tree.Tree) {
	if n, ok := t.Lookup(tree.ConfigPath); ok {
		c.holds(m, int64(n.Stat().Mzxid))
	}
}

func (c *memberCheck) holds(m *machine, version int64) {
	if c.w.opts.Spares > 0 && version > m.filesKnow {
		c.w.fail("no reconfiguration without its membership", "%s writes %v, and its files know of %x", m.name, wire.Zxid(version), m.filesKnow)
	}
}

// saved sees a machine whose files say something else from now on.
func (c *memberCheck) saved(m *machine, e node.SaveMembers) {
	known := max(e.Members.Version(), e.LastSeen.Version())
	for _, t := range m.model.logged {
		if known < m.filesKnow && t.zxid == wire.Zxid(m.filesKnow) {
			c.w.fail("no reconfiguration without its membership", "%s has %v on disk, and its files forget it for %x", m.name, t.zxid, known)
		}
	}
	m.filesKnow = known
}

// newest is the newest membership that is active anywhere.
func (c *memberCheck) newest() *quorum.Config {
	if c.last == nil {
		return c.w.members()
	}
	return c.last
}

// finish checks a machine when everything is quiet.
func (c *memberCheck) finish(m *machine) {
	if c.w.opts.Spares == 0 {
		return
	}
	for version := range c.texts {
		zxid := wire.Zxid(version)
		if _, ok := c.w.checks.history.committed[zxid]; !ok && zxid.Counter() != 0 && !c.later[version] {
			c.w.fail("only committed memberships are active", "%v was not committed", zxid)
		}
	}
	if got := m.node.Members().String(); got != c.last.String() {
		c.w.fail("everybody learns of the membership", "%s has\n%s\nthe newest is\n%v", m.name, got, c.last)
	}
	n, ok := m.node.Tree().Lookup(tree.ConfigPath)
	if !ok || string(n.Data()) != c.last.String() {
		c.w.fail("everybody learns of the membership", "%s shows\n%s\nthe newest is\n%v", m.name, n.Data(), c.last)
	}
}
