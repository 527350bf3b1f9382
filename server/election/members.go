package election

import (
	"slices"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// SetMembers changes who votes, and who may. A server that looks for a leader has to begin anew, with Look.
func (e *Election) SetMembers(members, lastSeen *quorum.Config) {
	e.cfg.Members, e.cfg.LastSeen, e.own = members, lastSeen, nil
}

// BeGuided lets this server look for a leader among other members than those of its own files. Whatever they say, it does
// not vote. A server that looks already has to begin anew, with Look.
func (e *Election) BeGuided(by, own *quorum.Config) { e.cfg.Members, e.own = by, own }

// abstains tells that this server has no vote although it may be a voter.
func (e *Election) abstains() bool { return e.own != nil }

// votes tells whether this server votes, as far as it knows.
func (e *Election) votes() bool { return e.cfg.Members.IsVoter(e.cfg.Self) && !e.abstains() }

// asked are those who are told of the own vote: the voters, and those of the membership that may be the next one. Who
// abstains asks everybody whom it knows of: the membership that it looks among may be an old one, none of whose voters is
// left, and of the newest one anybody may be a voter.
func (e *Election) asked() []wire.ServerID {
	var ids []wire.ServerID
	if e.abstains() {
		for _, m := range slices.Concat(e.cfg.Members.Members(), e.own.Members()) {
			ids = append(ids, m.ID)
		}
	} else {
		ids = slices.Clone(e.cfg.Members.Voters())
		if e.cfg.LastSeen != nil {
			ids = append(ids, e.cfg.LastSeen.Voters()...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Designate ends the search for a leader without votes: the one before has named it. The own history ends with this zxid.
func (e *Election) Designate(leader wire.ServerID, last wire.Zxid) {
	e.decide(Vote{Leader: leader, Zxid: last, PeerEpoch: last.Epoch()}, e.round)
}

// quorum tells whether the servers that satisfy has elect.
func (e *Election) quorum(has func(wire.ServerID) bool) bool {
	return e.cfg.Members.Quorum(has) || e.asksOracle() && e.mayLeadAlone
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
	return e.cfg.Oracle && len(e.cfg.Members.Voters()) == 2
}

// observes tells that this server only wants to know who leads.
func (e *Election) observes() bool {
	m, _ := e.cfg.Members.Member(e.cfg.Self)
	return m.Observer
}

// late is the answer to a vote of an earlier round than this server's. A server that does not vote, as far as it knows,
// agrees if it can: servers of Apache ZooKeeper that have seen a membership proposed in which it does vote wait for that, in
// their own round.
func (e *Election) late(n wire.Notification) wire.Notification {
	answer := e.notification(e.round)
	if v := voteOf(n); !e.votes() && !e.abstains() && e.cfg.Members.IsVoter(v.Leader) && e.beats(v, e.initial) {
		answer.Leader, answer.Zxid, answer.PeerEpoch, answer.ElectionEpoch = v.Leader, v.Zxid, v.PeerEpoch, n.ElectionEpoch
	}
	return answer
}
