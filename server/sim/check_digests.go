package sim

import "github.com/zkctl/zkctl/wire"

// digestCheck: servers that serve at the same zxid have the same tree, and it is the one whose digest the leader put
// into the txn.
type digestCheck struct {
	w  *World
	at map[wire.Zxid]uint64
}

func (c *digestCheck) stepped(m *machine) {
	if !m.up() || !m.serving {
		return
	}
	t := m.node.Tree()
	zxid := t.LastZxid()
	if zxid == m.digestAt {
		return
	}
	m.digestAt = zxid
	if known, ok := c.at[zxid]; ok && known != t.Digest() {
		c.w.fail("equal state at equal zxid", "%s has digest %x at %v, another server %x", m.name, t.Digest(), zxid, known)
	}
	c.at[zxid] = t.Digest()
}
