package zab

import (
	"fmt"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// lastCounter is the largest counter of an epoch. It is never used: before it a new epoch must begin.
const lastCounter = 0xffffffff

// NextZxid returns the zxid for the next proposal, or false if this leader cannot propose: it does not lead yet or no
// longer, or the counter of its epoch is used up, which ends the term.
func (l *Leader) NextZxid() (wire.Zxid, bool) {
	if l.phase != broadcast {
		return 0, false
	}
	if l.proposed.Counter() >= lastCounter-1 {
		l.giveUp("the counter of the epoch is used up")
		return 0, false
	}
	return l.proposed + 1, true
}

// Propose broadcasts a txn with the zxid that NextZxid returned.
func (l *Leader) Propose(e txn.Entry) {
	zxid := e.Header.Zxid
	if l.phase != broadcast || zxid != l.proposed+1 {
		panic(fmt.Sprintf("zab: proposal %v after %v while %v", zxid, l.proposed, l.phase))
	}
	l.proposed = zxid
	if e.Header.Type == wire.OpReconfig {
		l.seeReconfig(e)
	}
	if l.done > 0 && l.done == len(l.outstanding) {
		l.outstanding, l.done = l.outstanding[:0], 0
	}
	l.outstanding = append(l.outstanding, e)
	l.note(Append{Entry: e})
	packet := wire.QuorumPacket{Type: wire.PacketProposal, Zxid: zxid, Data: e.Bytes}
	for _, p := range l.peers {
		if p.observer || p.state < peerReads {
			continue
		}
		l.forward(p, packet)
		if p.state == peerServes {
			p.watchSent(zxid, l.now)
		}
	}
	if l.cfg.Unsafe.AckBeforeSync {
		l.Logged(zxid)
	}
}

// forward sends a packet of the broadcast to a learner, after UPTODATE if NEWLEADER has been sent.
func (l *Leader) forward(p *peer, packet wire.QuorumPacket) {
	switch {
	case p.state == peerSyncs, p.state == peerAcked, p.state == peerReads && l.waitsForNewLeader(packet.Zxid):
		if !p.hold(packet) {
			l.drop(p, "too much is proposed while it is synchronised")
		}
		return
	case p.state == peerReads && len(p.held) > 0:
		l.release(p) // a COMMIT comes after its PROPOSAL
	}
	l.send(p, packet)
}

// Logged tells that the own log is durable up to zxid.
func (l *Leader) Logged(zxid wire.Zxid) {
	if l.phase == broadcast && zxid > l.durable {
		l.durable = zxid
		l.maybeCommit()
	}
}

// maybeCommit commits the proposals, in order, that a quorum has on disk.
func (l *Leader) maybeCommit() {
	if l.phase != broadcast {
		return
	}
	for l.done < len(l.outstanding) {
		e := l.outstanding[l.done]
		zxid := e.Header.Zxid
		if !l.isAcked(zxid) {
			return
		}
		l.outstanding[l.done] = txn.Entry{}
		l.done++
		l.committed = zxid
		commit := wire.QuorumPacket{Type: wire.PacketCommit, Zxid: zxid}
		inform := inform(e)
		heir := l.cfg.Self
		if e.Header.Type == wire.OpReconfig {
			commit, inform, heir = l.commitReconfig(e)
		}
		for _, p := range l.peers {
			switch {
			case p.state < peerReads:
			case p.observer:
				l.forward(p, inform)
			default:
				l.forward(p, commit)
			}
		}
		l.history.Add(e)
		l.note(Deliver{Entry: e})
		l.answerSyncs()
		if heir != l.cfg.Self {
			l.retire(heir)
			return
		}
	}
}

func (l *Leader) isAcked(zxid wire.Zxid) bool {
	if l.cfg.Unsafe.CommitAlone {
		return l.durable >= zxid
	}
	if l.leadsAlone() && l.hasLogged(l.cfg.Self, zxid) {
		return true
	}
	if l.members.commits(zxid, l.cfg.Unsafe, func(id wire.ServerID) bool { return l.hasLogged(id, zxid) }) {
		return true
	}
	// Whoever acknowledged what was proposed after the change of the membership has it activated, and so commits what came
	// before by that alone. The old membership may have no quorum any more.
	next := l.members.until + 1
	return zxid < next && l.members.committed.Quorum(func(id wire.ServerID) bool { return l.hasLogged(id, next) })
}

// hasLogged tells whether a server has a proposal, and all before it, on disk, and whether that counts.
func (l *Leader) hasLogged(id wire.ServerID, zxid wire.Zxid) bool {
	if id == l.cfg.Self {
		return l.durable >= zxid
	}
	for _, p := range l.peers {
		if p.id == id && p.hasAcked(zxid) {
			return true
		}
	}
	return false
}

func (l *Leader) handleBroadcast(p *peer, packet wire.QuorumPacket) error {
	if l.phase != broadcast && packet.Type != wire.PacketAck {
		return nil // it is too early, or too late: the learner will ask the next leader
	}
	switch packet.Type {
	case wire.PacketAck:
		return l.handleAck(p, packet.Zxid)
	case wire.PacketPing:
		touches, err := parseTouches(packet.Data)
		if err != nil {
			return err
		}
		if len(touches) > 0 {
			l.note(Touched{Sessions: touches})
		}
		p.pongs++
		l.maybeEndRound()
	case wire.PacketRevalidate:
		t, err := parseRevalidate(packet.Data)
		if err != nil {
			return err
		}
		l.note(Revalidate{Conn: p.conn, Session: t.Session, Timeout: t.Timeout})
	case wire.PacketRequest:
		request, err := parseRequest(packet)
		if err != nil {
			return err
		}
		l.Request(p.conn, request)
	}
	return nil
}

func (l *Leader) handleAck(p *peer, zxid wire.Zxid) error {
	switch {
	case zxid == wire.MakeZxid(l.epoch, 0) && p.activates:
		p.activates = false
		l.maybeCommit()
		return nil
	case zxid.Counter() == 0 || zxid <= p.acked:
		return nil
	case !l.wasProposed(zxid):
		return fmt.Errorf("ACK of %v, which was not proposed", zxid)
	}
	p.acked = zxid
	p.watchAcked(zxid)
	if !p.observer {
		l.maybeCommit()
	}
	return nil
}

func (l *Leader) wasProposed(zxid wire.Zxid) bool { return zxid <= max(l.proposed, l.history.Last()) }

// AnswerRevalidate answers Revalidate.
func (l *Leader) AnswerRevalidate(conn ConnID, session wire.SessionID, valid bool) {
	if p := l.byConn[conn]; p != nil {
		l.send(p, wire.QuorumPacket{Type: wire.PacketRevalidate, Zxid: -1, Data: revalidateAnswer(session, valid)})
	}
}

func (l *Leader) ping() {
	for _, p := range l.peers {
		if p.state < peerSyncs {
			continue
		}
		if p.oldest.zxid != 0 && p.state == peerServes && l.now-p.oldest.at > l.cfg.syncLimit() {
			l.drop(p, fmt.Sprintf("proposal %v is not acknowledged in time", p.oldest.zxid))
			continue
		}
		l.sendPing(p)
	}
}

func (l *Leader) sendPing(p *peer) {
	if p.state == peerServes {
		p.pings++
		if p.target == 0 {
			p.target = p.pings // it came while a round was under way; this ping is as good
		}
	}
	l.send(p, wire.QuorumPacket{Type: wire.PacketPing, Zxid: l.proposed})
}
