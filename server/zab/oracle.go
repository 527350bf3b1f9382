package zab

import "slices"

// SetOracle tells whether the oracle lets this server lead without the other of two voters. It counts while no follower is
// in sync, or about to be (org.apache.zookeeper.server.quorum.flexible.QuorumOracleMaj).
func (l *Leader) SetOracle(alone bool) { l.mayLeadAlone = alone }

// leadsAlone tells whether this server is a quorum by itself.
func (l *Leader) leadsAlone() bool {
	c := l.members.committed
	return l.mayLeadAlone && l.members.lastSeen.Equal(c) && len(c.Voters()) == 2 && c.IsVoter(l.cfg.Self) &&
		!slices.ContainsFunc(l.peers, func(p *peer) bool { return p.state >= peerReads && c.IsVoter(p.id) })
}

// goOnAlone takes the steps that waited for the other voter.
func (l *Leader) goOnAlone() {
	if l.leadsAlone() {
		l.maybeEndDiscovery()
		l.maybeEndHistory()
		l.maybeServe()
		l.maybeCommit()
		l.maybeEndRound()
	}
}
