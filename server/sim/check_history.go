package sim

import (
	"bytes"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// historyCheck: a zxid stands for one txn on all servers and for all time; servers deliver the same txns in the same
// order, without holes (Agreement, TotalOrder, LocalPrimaryOrder); what was committed once stays committed.
type historyCheck struct {
	w *World
	// content maps each zxid that was logged anywhere to its txn.
	content map[wire.Zxid]knownTxn
	// committed are the txns that some server delivered, last the newest of them.
	committed map[wire.Zxid]knownTxn
	last      wire.Zxid
	// starts are the histories, by their last txns, with which epochs were established.
	starts map[wire.Epoch]wire.Zxid
}

// knownTxn is a txn and the one before it.
type knownTxn struct {
	before wire.Zxid
	bytes  []byte
}

// model is what a machine is known to have done.
type model struct {
	logged  []loggedTxn // handed to the disk, by zxid
	base    wire.Zxid   // what came before the first of them
	applied wire.Zxid
}

type loggedTxn struct {
	zxid  wire.Zxid
	bytes []byte
}

func (mo *model) last() wire.Zxid {
	if n := len(mo.logged); n > 0 {
		return mo.logged[n-1].zxid
	}
	return mo.base
}

// restart begins with what recovery found.
func (mo *model) restart(last wire.Zxid) {
	for len(mo.logged) > 0 && mo.logged[len(mo.logged)-1].zxid > last {
		mo.logged = mo.logged[:len(mo.logged)-1]
	}
	if mo.last() != last {
		mo.logged, mo.base = nil, last
	}
	mo.applied = last
}

func (c *historyCheck) appended(m *machine, e node.Append) {
	mo := &m.model
	if !follows(mo.last(), e.Zxid) {
		c.w.fail("no holes", "%s logs %v after %v", m.name, e.Zxid, mo.last())
	}
	before := mo.last()
	mo.logged = append(mo.logged, loggedTxn{e.Zxid, e.Txn})
	known, ok := c.content[e.Zxid]
	if ok && !bytes.Equal(known.bytes, e.Txn) {
		c.w.fail("one txn per zxid", "%s logs another txn as %v", m.name, e.Zxid)
	}
	if !ok && m.role != node.Leading && m.role != node.Standalone {
		c.w.fail("integrity", "%s logs %v, which no leader has proposed", m.name, e.Zxid)
	}
	if !ok || known.before.Counter() == 0 {
		c.content[e.Zxid] = knownTxn{before, e.Txn}
	}
}

// commit sees a COMMIT of a leader; it can come before the leader's own delivery shows.
func (c *historyCheck) commit(m *machine, zxid wire.Zxid) {
	if !m.serving {
		return // to a learner that is being synchronised, of what may not be committed yet
	}
	for i := len(m.model.logged) - 1; i >= 0; i-- {
		if m.model.logged[i].zxid == zxid {
			c.deliver(m, i)
			return
		}
	}
}

// established sees a leader with which a quorum is in sync: its whole history is committed by that.
func (c *historyCheck) established(epoch wire.Epoch, last wire.Zxid) {
	c.starts[epoch] = last
	if _, ok := c.committed[last]; !ok && last < c.last && last.Counter() != 0 {
		c.w.fail("no committed txn lost", "epoch %d was established with %v, which is not part of what was committed", epoch, last)
	}
	c.commitUpTo(last)
}

// commitUpTo notes that a txn is committed, and so all that came before it: a leader that is to retire at once, and servers
// that log what they are sent only now, do not show them one by one.
func (c *historyCheck) commitUpTo(last wire.Zxid) {
	for z := last; z > c.last; {
		if z.Counter() == 0 {
			z = c.starts[z.Epoch()]
			continue
		}
		c.committed[z] = c.content[z]
		z = c.content[z].before
	}
	c.last = max(c.last, last)
}

// lastBefore is the newest txn committed in epochs before this one.
func (c *historyCheck) lastBefore(epoch wire.Epoch) wire.Zxid {
	if c.last.Epoch() < epoch {
		return c.last
	}
	var last wire.Zxid
	for z := range c.committed {
		if z.Epoch() < epoch {
			last = max(last, z)
		}
	}
	return last
}

// stepped sees how far a serving node has applied the history.
func (c *historyCheck) stepped(m *machine) {
	if !m.up() || !m.serving {
		return
	}
	mo := &m.model
	applied := m.node.Tree().LastZxid()
	if applied == mo.applied {
		return
	}
	if applied < mo.applied {
		c.w.fail("monotonic", "%s went back from %v to %v", m.name, mo.applied, applied)
		return
	}
	for i := range mo.logged {
		if z := mo.logged[i].zxid; z > mo.applied && z <= applied {
			c.deliver(m, i)
		}
	}
	mo.applied = applied
}

// deliver notes the delivery of a logged txn.
func (c *historyCheck) deliver(m *machine, i int) {
	mo := &m.model
	t := mo.logged[i]
	before := mo.base
	if i > 0 {
		before = mo.logged[i-1].zxid
	}
	if known, ok := c.committed[t.zxid]; ok {
		if !bytes.Equal(known.bytes, t.bytes) {
			c.w.fail("committed prefixes agree", "%s delivers another txn as %v", m.name, t.zxid)
		}
		if known.before != before && before.Counter() != 0 && known.before.Counter() != 0 {
			c.w.fail("committed prefixes agree", "%s delivers %v after %v, another server after %v", m.name, t.zxid, before, known.before)
		}
		return
	}
	if t.zxid < c.last {
		c.w.fail("committed prefixes agree", "%s delivers %v, which was not committed when %v was", m.name, t.zxid, c.last)
	}
	c.commitUpTo(before)
	c.committed[t.zxid] = knownTxn{before, t.bytes}
	c.last = max(c.last, t.zxid)
}

// header decodes the header of a logged txn.
func header(b []byte) txn.Header {
	e, err := txn.Decode(b)
	if err != nil {
		panic(err)
	}
	return e.Header
}
