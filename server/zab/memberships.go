package zab

import (
	"fmt"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// memberships are the last committed membership and the last proposed one. While the latter is newer, every decision needs
// a quorum of both.
type memberships struct {
	committed, lastSeen *quorum.Config
	// before is the membership before the committed one, whose quorum is needed, too, for txns up to until: they were
	// proposed, and may have been acknowledged, before the change was committed.
	before *quorum.Config
	until  wire.Zxid
}

func newMemberships(c Config) memberships {
	m := memberships{committed: c.Members, lastSeen: c.Members}
	if c.Reconfig && c.LastSeen != nil && c.LastSeen.Version() > c.Members.Version() {
		m.lastSeen = c.LastSeen
	}
	return m
}

// joint tells whether a membership waits for its commit.
func (m *memberships) joint() bool { return m.lastSeen.Version() > m.committed.Version() }

// quorum tells whether the servers that satisfy has are a quorum of every membership that counts now.
func (m *memberships) quorum(has func(wire.ServerID) bool) bool {
	return m.committed.Quorum(has) && (!m.joint() || m.lastSeen.Quorum(has))
}

// commits tells whether the servers that satisfy has are all the quorums that a txn needs.
func (m *memberships) commits(zxid wire.Zxid, unsafe Unsafe, has func(wire.ServerID) bool) bool {
	changes := m.joint() && int64(zxid) >= m.lastSeen.Version()
	switch {
	case unsafe.CommitWithNewQuorum && changes:
		return m.lastSeen.Quorum(has)
	case unsafe.CommitWithNewQuorum:
		return m.committed.Quorum(has)
	case unsafe.CommitWithOldQuorum && zxid <= m.until:
		return m.before.Quorum(has)
	}
	return m.committed.Quorum(has) &&
		(!changes || unsafe.CommitWithOldQuorum || m.lastSeen.Quorum(has)) &&
		(zxid > m.until || m.before.Quorum(has))
}

// activate makes the last proposed membership the committed one; proposed is the last proposal.
func (m *memberships) activate(proposed wire.Zxid) {
	m.before, m.until = m.committed, proposed
	m.committed = m.lastSeen
}

// membershipOf reads the membership that a reconfig txn brings.
func membershipOf(e txn.Entry) (*quorum.Config, error) {
	record, ok := e.Record.(*txn.SetData)
	if !ok {
		return nil, fmt.Errorf("reconfig %v has a record %T", e.Header.Zxid, e.Record)
	}
	c, err := quorum.Parse(record.Data)
	if err != nil {
		return nil, fmt.Errorf("reconfig %v: %w", e.Header.Zxid, err)
	}
	if c.Version() != int64(e.Header.Zxid) {
		return nil, fmt.Errorf("reconfig %v brings version %x", e.Header.Zxid, c.Version())
	}
	return c, nil
}
