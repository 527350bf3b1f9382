package zab

import (
	"slices"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// waitingSync is a sync that is answered when everything that was proposed when it came is committed, and a quorum has
// shown since that it follows no later leader. Apache ZooKeeper asks for the first only; its sync can be answered by a
// leader that has been deposed without knowing, behind whose back others have written.
type waitingSync struct {
	conn    ConnID
	session wire.SessionID
	after   wire.Zxid
	round   uint64
	// behind are later requests of the session. They wait, since learners count on SYNC and COMMITs to come in the
	// order of the requests.
	behind []Request
	// revalidate is set instead for a question that waits for the same.
	revalidate *Revalidate
}

// Request takes a request of a client of the learner behind conn, or of this server (conn 0): it comes back as Forwarded
// when it is its turn; a sync is answered by SYNC or Synced.
func (l *Leader) Request(conn ConnID, r Request) {
	if l.phase != broadcast {
		return
	}
	if r.Op != wire.OpSync {
		for i := len(l.syncs) - 1; i >= 0; i-- {
			if s := &l.syncs[i]; s.conn == conn && s.session == r.Session && s.revalidate == nil {
				s.behind = append(s.behind, r)
				return
			}
		}
		l.note(Forwarded{Conn: conn, Request: r})
		return
	}
	l.wait(waitingSync{conn: conn, session: r.Session, after: l.proposed})
}

// ConfirmRevalidate brings the question back when a quorum has shown that it follows no later leader.
func (l *Leader) ConfirmRevalidate(q Revalidate) {
	q.Confirmed = true
	l.wait(waitingSync{conn: q.Conn, after: l.proposed, revalidate: &q})
}

// SettleRevalidate brings the question back, and tells so, when what the session has been asking for elsewhere is committed, if
// there is anything. Some clients number the requests of each connection anew, and an observer, which does not see proposals,
// would take what then comes for the answer to another request.
func (l *Leader) SettleRevalidate(q Revalidate) bool {
	if !slices.ContainsFunc(l.outstanding[l.done:], func(e txn.Entry) bool { return e.Header.Session == q.Session }) {
		return false
	}
	q.Confirmed = true
	s := waitingSync{conn: q.Conn, after: l.proposed, round: l.roundDone, revalidate: &q}
	if n := len(l.syncs); n > 0 {
		s.round = l.syncs[n-1].round // they are answered in order
	}
	l.syncs = append(l.syncs, s)
	return true
}

func (l *Leader) wait(s waitingSync) {
	if l.phase != broadcast {
		return
	}
	// A round that is under way began before this sync, and its answers may have been given before, too.
	s.round = l.round + 1
	l.syncs = append(l.syncs, s)
	if l.round == l.roundDone {
		l.beginRound()
	}
}

// beginRound pings the followers. Whoever answers has not joined another leader before.
func (l *Leader) beginRound() {
	l.round++
	for _, p := range l.peers {
		p.target = 0
		if p.state == peerServes && !p.observer {
			l.sendPing(p)
		}
	}
	l.maybeEndRound()
}

// maybeEndRound ends the round of pings once a quorum has answered.
func (l *Leader) maybeEndRound() {
	confirmed := l.cfg.Unsafe.AnswerSyncsAlone ||
		l.hasQuorum(func(p *peer) bool { return p.target != 0 && p.pongs >= p.target })
	if l.round == l.roundDone || !confirmed {
		return
	}
	l.roundDone = l.round
	l.answerSyncs()
	if n := len(l.syncs); n > 0 && l.syncs[n-1].round > l.round {
		l.beginRound()
	}
}

// answerSyncs answers those that are complete, in order.
func (l *Leader) answerSyncs() {
	for len(l.syncs) > 0 && l.syncs[0].after <= l.committed && l.syncs[0].round <= l.roundDone {
		s := l.syncs[0]
		l.syncs[0] = waitingSync{}
		l.syncs = l.syncs[1:]
		if s.revalidate != nil {
			l.note(*s.revalidate)
		} else if s.conn == 0 {
			l.note(Synced{})
		} else if p := l.byConn[s.conn]; p != nil {
			l.send(p, wire.QuorumPacket{Type: wire.PacketSync})
		}
		for _, r := range s.behind {
			l.note(Forwarded{Conn: s.conn, Request: r})
		}
	}
}
