package zab

import (
	"fmt"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// handleFirstSync handles the packet that says how the history is brought in line.
func (l *Learner) handleFirstSync(packet wire.QuorumPacket) error {
	switch packet.Type {
	case wire.PacketDiff:
		if l.cfg.NeedSnapshot {
			return fmt.Errorf("DIFF for a server that needs a snapshot")
		}
		l.state = receiving
	case wire.PacketTrunc:
		l.state, l.tainted = truncating, true
		l.received = packet.Zxid
		l.note(Truncate{Zxid: packet.Zxid})
	case wire.PacketSnap:
		l.state = awaitSnapshot
		l.snapshot = true
		l.received = packet.Zxid
	default:
		return fmt.Errorf("%v instead of DIFF, TRUNC or SNAP", packet.Type)
	}
	return nil
}

// handleSync handles what comes between the first packet and UPTODATE.
func (l *Learner) handleSync(packet wire.QuorumPacket) error {
	switch packet.Type {
	case wire.PacketProposal:
		return l.receive(packet)
	case wire.PacketCommit:
		return l.noteCommit(packet.Zxid)
	case wire.PacketInform:
		if err := l.receive(packet); err != nil {
			return err
		}
		return l.noteCommit(packet.Zxid)
	case wire.PacketCommitAndActivate:
		if err := l.noteCommit(packet.Zxid); err != nil {
			return err
		}
		return l.handleActivate(packet)
	case wire.PacketInformAndActivate:
		if err := l.receiveInform(packet); err != nil {
			return err
		}
		if err := l.noteCommit(packet.Zxid); err != nil {
			return err
		}
		return l.handleActivate(packet)
	case wire.PacketNewLeader:
		return l.handleNewLeader(packet)
	case wire.PacketUpToDate:
		return l.handleUpToDate()
	}
	return nil
}

// isInSnapshot tells whether a txn is to be passed over because the leader's snapshot has it. In broadcast none is.
func (l *Learner) isInSnapshot(zxid wire.Zxid) bool {
	return l.snapshot && l.state != following && zxid <= l.history.Last()
}

// receive takes a txn into pending, if it is the next one.
func (l *Learner) receive(packet wire.QuorumPacket) error {
	if l.isInSnapshot(packet.Zxid) {
		return nil
	}
	e, err := txn.Decode(packet.Data)
	if err != nil {
		return fmt.Errorf("%v %v: %w", packet.Type, packet.Zxid, err)
	}
	if e.Header.Zxid != packet.Zxid {
		return fmt.Errorf("%v %v carries txn %v", packet.Type, packet.Zxid, e.Header.Zxid)
	}
	if !Follows(l.received, packet.Zxid) {
		err := fmt.Errorf("%v %v does not follow %v", packet.Type, packet.Zxid, l.received)
		if l.state == receiving {
			l.needSnapshot(err)
		}
		return err
	}
	if err := l.checkProposal(e); err != nil {
		return err
	}
	l.received = packet.Zxid
	l.pending = append(l.pending, e)
	return nil
}

// noteCommit notes that the next of the pending txns is committed.
func (l *Learner) noteCommit(zxid wire.Zxid) error {
	if l.isInSnapshot(zxid) {
		return nil
	}
	if l.committed == len(l.pending) {
		return fmt.Errorf("COMMIT %v, but nothing is pending", zxid)
	}
	if next := l.pending[l.committed].Header.Zxid; zxid != next {
		return fmt.Errorf("COMMIT %v, but %v is next", zxid, next)
	}
	l.committed++
	return nil
}

// handleNewLeader makes the committed history durable, then currentEpoch, then acknowledges. In any other order a
// crash could leave a server that outranks others by its epoch and lacks what they have, or one whose ACK the leader
// counted and whose history is gone.
func (l *Learner) handleNewLeader(packet wire.QuorumPacket) error {
	if l.state != receiving {
		return fmt.Errorf("NEWLEADER twice")
	}
	if epoch := packet.Zxid.Epoch(); epoch != l.epoch || packet.Zxid.Counter() != 0 {
		return fmt.Errorf("NEWLEADER %v in epoch %d", packet.Zxid, l.epoch)
	}
	if err := l.readNewLeader(packet.Data); err != nil {
		return err
	}
	if c := l.leaderMembers; c != nil && c.Version() > l.members.lastSeen.Version() {
		l.see(c) // before there is a history on disk that reaches beyond it
	}
	for l.committed > 0 {
		e := l.pending[0]
		if !l.snapshot {
			l.note(Append{Entry: e})
			l.logged = 1
		}
		l.deliverNext()
	}
	if l.snapshot {
		l.note(SaveSnapshot{Zxid: l.history.Last()})
	}
	if c := l.leaderMembers; c != nil && c.Version() != l.members.lastSeen.Version() {
		l.see(c) // which goes with the leader's history
	}
	l.state = savingHistory
	switch {
	case l.cfg.Unsafe.ForgetCurrentEpoch:
		l.ackNewLeader()
	default:
		l.note(SaveEpoch{Current: true, Epoch: l.epoch})
		if l.cfg.Unsafe.AckNewLeaderBeforeSync {
			l.ackNewLeader()
		}
	}
	return nil
}

func (l *Learner) ackNewLeader() {
	l.own.CurrentEpoch = l.epoch
	l.tainted = false
	l.ack(wire.MakeZxid(l.epoch, 0))
	l.proceed(awaitUpToDate)
}

// deliverNext delivers the first of the pending txns, which is committed.
func (l *Learner) deliverNext() { l.deliver(inform(l.pending[0])) }

// deliver does so with the packet that tells observers of it.
func (l *Learner) deliver(packet wire.QuorumPacket) {
	e := l.pending[0]
	l.pending[0] = txn.Entry{}
	l.pending = l.pending[1:]
	l.committed--
	if l.logged > 0 {
		l.logged--
	}
	l.history.Add(e)
	l.note(Deliver{Entry: e})
	if l.observers != nil {
		l.observers.commit(packet)
	}
}

// handleUpToDate begins broadcast. What arrived since NEWLEADER, or without its COMMIT before it, is logged only now,
// so that its ACKs follow that of NEWLEADER.
func (l *Learner) handleUpToDate() error {
	if l.state != awaitUpToDate {
		return fmt.Errorf("UPTODATE before the ACK of NEWLEADER")
	}
	if l.activateLeaderMembers() {
		return nil
	}
	l.ack(wire.MakeZxid(l.epoch, 0))
	l.state = following
	if l.cfg.ServeObservers && !l.observer {
		l.observers = newObservers(l)
	}
	l.note(Serve{Epoch: l.epoch})
	for _, e := range l.pending {
		l.log(e)
	}
	for l.committed > 0 {
		l.deliverNext()
	}
	return nil
}

// log appends a pending txn.
func (l *Learner) log(e txn.Entry) {
	l.logged++
	l.seeProposal(e)
	l.note(Append{Entry: e})
	switch {
	case l.observer:
	case l.cfg.Unsafe.AckBeforeSync:
		l.ack(e.Header.Zxid)
	default:
		l.unacked = append(l.unacked, e.Header.Zxid)
	}
}
