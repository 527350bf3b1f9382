package election

import (
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// SetMembers changes who votes. A server that looks for a leader has to begin anew, with Look.
func (e *Election) SetMembers(members, lastSeen *quorum.Config) {
	e.cfg.Members, e.cfg.LastSeen = members, nil
	if lastSeen.Version() > members.Version() {
		e.cfg.LastSeen = lastSeen
	}
}

// Designate ends the search for a leader without votes: the one before has named it. Its history ends with this zxid.
func (e *Election) Designate(leader wire.ServerID, last wire.Zxid) {
	e.decide(Vote{Leader: leader, Zxid: last, PeerEpoch: last.Epoch()}, e.round)
}

// quorum tells whether the servers that satisfy has are a quorum of every membership that has to elect.
func (e *Election) quorum(has func(wire.ServerID) bool) bool {
	return e.cfg.Members.Quorum(has) && (e.cfg.LastSeen == nil || e.cfg.LastSeen.Quorum(has))
}

// isVoter tells whether a server votes in any membership.
func (e *Election) isVoter(id wire.ServerID) bool {
	return e.cfg.Members.IsVoter(id) || e.cfg.LastSeen != nil && e.cfg.LastSeen.IsVoter(id)
}

// mayLead tells whether a server votes with a weight.
func (e *Election) mayLead(id wire.ServerID) bool {
	return e.cfg.Members.MayLead(id) ||
		!e.cfg.Members.IsVoter(id) && e.cfg.LastSeen != nil && e.cfg.LastSeen.MayLead(id)
}

// observes tells that this server only wants to know who leads.
func (e *Election) observes() bool {
	m, _ := e.cfg.Members.Member(e.cfg.Self)
	return m.Observer
}
