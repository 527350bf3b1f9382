package election

import (
	"time"

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
	return e.cfg.Members.Quorum(has) && (e.cfg.LastSeen == nil || e.cfg.LastSeen.Quorum(has)) || e.asksOracle() && e.mayLeadAlone
}

// SetOracle tells whether the oracle lets this server lead without the other of two voters.
func (e *Election) SetOracle(now time.Duration, alone bool) {
	e.mayLeadAlone = alone
	if e.state == wire.Looking && e.received != nil {
		e.maybeFinalize(now)
	}
}

// asksOracle tells whether there is an oracle that decides where one of two voters is missing
// (org.apache.zookeeper.server.quorum.flexible.QuorumOracleMaj).
func (e *Election) asksOracle() bool {
	return e.cfg.Oracle && len(e.cfg.Members.Voters()) == 2 && e.cfg.LastSeen == nil
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

// late is the answer to the vote of an earlier round than this server's. A server that does not know yet that it votes
// agrees if it can, so that its round, which may be far ahead, does not keep those waiting who do know and need its vote.
func (e *Election) late(n wire.Notification) wire.Notification {
	answer := e.notification(e.round)
	if v := voteOf(n); !e.cfg.Members.IsVoter(e.cfg.Self) && e.isVoter(v.Leader) && e.beats(v, e.initial) {
		answer.Leader, answer.Zxid, answer.PeerEpoch, answer.ElectionEpoch = v.Leader, v.Zxid, v.PeerEpoch, n.ElectionEpoch
	}
	return answer
}

// maybeJoin joins the round of a voter that does not know yet that it votes, and so votes for nobody: in an earlier round
// it would not hear of this server's candidate.
func (e *Election) maybeJoin(now time.Duration, n wire.Notification) {
	if n.Leader == none.Leader && n.State == wire.Looking && n.ElectionEpoch > e.round && e.initial.Zxid != -1 {
		e.round = n.ElectionEpoch
		clear(e.received)
		e.propose(now, e.initial)
	}
}
