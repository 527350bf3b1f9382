package peer

import (
	"sync"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// members are those with whom connections are wanted: of the committed membership, and of the one that may follow it.
type members struct {
	mu                  sync.Mutex
	committed, lastSeen *quorum.Config
	// self is this server as it is, or was last, listed.
	self quorum.Member
}

func (m *members) set(id wire.ServerID, committed, lastSeen *quorum.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committed, m.lastSeen = committed, lastSeen
	if self, ok := committed.Member(id); ok {
		m.self = self
	} else if self, ok := lastSeen.Member(id); ok {
		m.self = self
	}
}

func (m *members) find(id wire.ServerID) (quorum.Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if member, ok := m.committed.Member(id); ok {
		return member, true
	}
	return m.lastSeen.Member(id)
}

// listed is this server with its addresses.
func (p *Peer) listed() quorum.Member {
	p.members.mu.Lock()
	defer p.members.mu.Unlock()
	return p.members.self
}

// MembersChanged has connections with other servers from now on. The ports move if this server has other addresses.
func (p *Peer) MembersChanged(e node.MembersChanged) {
	before := p.listed()
	p.members.set(p.cfg.Self, e.Members, e.LastSeen)
	p.mesh.membersChanged()
	after := p.listed()
	if before.String() != after.String() {
		p.mesh.move()
		p.port.notify()
		p.observerPort.notify()
	}
}

// membersChanged hangs up on servers that are no members any more: they have to come again, as the strangers that they are
// now.
func (m *mesh) membersChanged() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.links {
		listed, member := m.p.members.find(id)
		if l.member && !member {
			l.drop()
			l.waiting, l.last = nil, nil
		}
		l.member, l.configured = member, nil
		if member {
			l.configured = listed.ElectionAddresses()
		}
		l.notify()
	}
}
