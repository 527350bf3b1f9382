package sim

import (
	"encoding/binary"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/wire"
)

// durableCheck: an ACK covers only what is on the server's disk; votes and ACKEPOCH never claim more than that; an epoch
// is promised only when the promise is on disk.
type durableCheck struct{ w *World }

func (c *durableCheck) ack(m *machine, zxid wire.Zxid) {
	d := m.disk
	if zxid&0xffffffff != 0 {
		if d.durableZxid < zxid {
			c.w.fail("ACK only for what is durable", "%s acknowledges %v with %v on disk", m.name, zxid, d.durableZxid)
		}
		return
	}
	epoch := zxid.Epoch()
	if d.currentEpoch != epoch {
		c.w.fail("ACK only for what is durable", "%s acknowledges NEWLEADER of epoch %d with currentEpoch %d on disk", m.name, epoch, d.currentEpoch)
	}
	if applied := m.node.Tree().LastZxid(); d.durableZxid < applied && !m.serving {
		c.w.fail("ACK only for what is durable", "%s acknowledges NEWLEADER at %v with %v on disk", m.name, applied, d.durableZxid)
	}
}

func (c *durableCheck) ackEpoch(m *machine, p wire.QuorumPacket) {
	d := m.disk
	current := wire.Epoch(int32(binary.BigEndian.Uint32(p.Data)))
	if current != -1 && current > d.currentEpoch || p.Zxid > d.durableZxid {
		c.w.fail("votes never exceed the disk", "%s claims (%d, %v) in ACKEPOCH with (%d, %v) on disk", m.name, current, p.Zxid, d.currentEpoch, d.durableZxid)
	}
}

func (c *durableCheck) leaderInfo(m *machine, p wire.QuorumPacket) {
	if m.disk.acceptedEpoch < p.Zxid.Epoch() {
		c.w.fail("votes never exceed the disk", "%s offers epoch %d with acceptedEpoch %d on disk", m.name, p.Zxid.Epoch(), m.disk.acceptedEpoch)
	}
}

// recovered sees what a server finds on its disk: nothing less than what was durable.
func (c *durableCheck) recovered(m *machine, before disk, db *node.Database) {
	if db.LastZxid < before.durableZxid || db.CurrentEpoch < before.currentEpoch || db.AcceptedEpoch < before.acceptedEpoch {
		c.w.fail("what was durable is recovered", "%s finds %v, epochs %d %d, with %v, epochs %d %d on disk before", m.name,
			db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch, before.durableZxid, before.acceptedEpoch, before.currentEpoch)
	}
}

// looking sees what a server will say of itself when it votes. (Votes for it that come back from others may be older.)
func (c *durableCheck) looking(m *machine, s node.Status) {
	d := m.disk
	if s.Epoch > d.currentEpoch || s.Zxid > d.durableZxid {
		c.w.fail("votes never exceed the disk", "%s votes with (%d, %v) with (%d, %v) on disk", m.name, s.Epoch, s.Zxid, d.currentEpoch, d.durableZxid)
	}
}
