package sim

import (
	"maps"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// checks sees everything that the servers do and what the clients are told. Each part is one claim, in its own file.
type checks struct {
	w       *World
	leaders leaderCheck
	history historyCheck
	durable durableCheck
	digests digestCheck
	clients clientCheck
	owners  ephemeralCheck
	members memberCheck
	reads   readCheck
}

func newChecks(w *World) checks {
	return checks{
		w:       w,
		leaders: leaderCheck{w: w, established: make(map[wire.Epoch]wire.ServerID)},
		history: historyCheck{w: w, content: make(map[wire.Zxid]knownTxn), committed: make(map[wire.Zxid]knownTxn), starts: make(map[wire.Epoch]wire.Zxid)},
		durable: durableCheck{w: w},
		digests: digestCheck{w: w, at: make(map[wire.Zxid]uint64)},
		clients: clientCheck{w: w},
		reads:   readCheck{w: w, shown: make(map[wire.Zxid][]shownNode), numbers: make(map[wire.Zxid]string)},
		members: memberCheck{w: w, texts: make(map[int64]string), later: make(map[int64]bool)},
		owners:  ephemeralCheck{w: w, heard: make(map[wire.SessionID]heard), closed: make(map[wire.SessionID]wire.Zxid)},
	}
}

// effect sees an effect of a node before it is carried out.
func (c *checks) effect(m *machine, e node.Effect) {
	switch e := e.(type) {
	case node.Append:
		c.history.appended(m, e)
		c.owners.proposed(m, e.Zxid, e.Txn)
	case node.SendPacket:
		switch e.Packet.Type {
		case wire.PacketCommit, wire.PacketCommitAndActivate:
			c.history.commit(m, e.Packet.Zxid)
		case wire.PacketAck:
			c.durable.ack(m, e.Packet.Zxid)
		case wire.PacketAckEpoch:
			c.durable.ackEpoch(m, e.Packet)
		case wire.PacketLeaderInfo:
			c.durable.leaderInfo(m, e.Packet)
		case wire.PacketUpToDate:
			c.leaders.letsIn(m, m.node.Status())
		}
	case node.MembersChanged:
		c.members.changed(m, e)
	case node.RoleChanged:
		c.leaders.roleChanged(m, e.Status)
		if e.Status.Role == node.Looking {
			c.durable.looking(m, e.Status)
		}
	}
}

// stepped sees a node between two steps.
func (c *checks) stepped(m *machine) {
	c.history.stepped(m)
	c.digests.stepped(m)
}

// started sees what a node begins with.
func (c *checks) started(m *machine, db *node.Database) {
	m.model.restart(db.LastZxid)
	if len(c.w.machines) == 1 {
		// Nobody else has what this server lost with its power; without epochs, the zxids are given again.
		maps.DeleteFunc(c.history.content, func(z wire.Zxid, _ knownTxn) bool { return z > db.LastZxid })
	}
}

// follows is the claim "no holes": of zxids in a log, each is the next.
func follows(last, next wire.Zxid) bool { return zab.Follows(last, next) }
