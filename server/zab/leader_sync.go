package zab

import (
	"errors"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// lastEpoch is the largest epoch that a zxid has room for.
const lastEpoch wire.Epoch = 1<<31 - 1

// Receive handles a packet of a learner.
func (l *Leader) Receive(conn ConnID, packet wire.QuorumPacket) {
	p := l.byConn[conn]
	if p == nil || l.phase == over {
		return
	}
	var err error
	switch p.state {
	case peerUnknown:
		err = l.handleInfo(p, packet)
	case peerPromises:
		err = l.handleAckEpoch(p, packet)
	case peerSyncs:
		err = l.handleSyncAck(p, packet)
	case peerAcked, peerServes:
		p.deadline = l.now + l.cfg.syncLimit()
		err = l.handleBroadcast(p, packet)
	default:
		err = fmt.Errorf("%v before its turn", packet.Type)
	}
	if err != nil {
		l.drop(p, err.Error())
	}
}

// handleInfo handles FOLLOWERINFO and OBSERVERINFO.
func (l *Leader) handleInfo(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketFollowerInfo && packet.Type != wire.PacketObserverInfo {
		return fmt.Errorf("%v as the first packet", packet.Type)
	}
	info, err := wire.ParseLearnerInfo(packet.Data)
	if err != nil {
		return err
	}
	if version := l.members.committed.Version(); info.ConfigVersion > version {
		return fmt.Errorf("its configuration %x is newer than %x", info.ConfigVersion, version)
	}
	accepted := packet.Zxid.Epoch()
	if accepted >= lastEpoch {
		return fmt.Errorf("it has accepted epoch %d, after which there is none", accepted)
	}
	switch {
	case l.phase == retiring:
		return errors.New("another server is to lead")
	case l.phase < broadcast && l.members.joint() && !l.hasActivated(info.ConfigVersion):
		// It would take note of the next membership and know nothing of the one before that.
		return fmt.Errorf("its configuration %x is older than %x, and another one is about to follow",
			info.ConfigVersion, l.members.committed.Version())
	}
	for _, other := range l.peers {
		if other.id == info.ServerID && other != p {
			l.drop(other, "connected again")
		}
	}
	p.id = info.ServerID
	p.version = info.ConfigVersion
	p.observer = packet.Type == wire.PacketObserverInfo
	p.state = peerWaitsForEpoch
	switch {
	case l.phase == gatherEpochs:
		if !l.cfg.Unsafe.ReuseEpochs {
			l.epoch = max(l.epoch, accepted+1)
		}
		l.maybeEndDiscovery()
	case l.phase == broadcast && accepted > l.epoch && !p.observer && l.members.committed.IsVoter(p.id):
		// It took part in a discovery that failed and may not follow this epoch any more. A new election has it
		// back, and is the only thing that does.
		l.giveUp(fmt.Sprintf("voter %d has accepted epoch %d, after %d", p.id, accepted, l.epoch))
	case l.phase > saveAccepted:
		l.sendLeaderInfo(p)
	}
	return nil
}

func (l *Leader) sendLeaderInfo(p *peer) {
	p.state = peerPromises
	l.send(p, wire.QuorumPacket{
		Type: wire.PacketLeaderInfo, Zxid: wire.MakeZxid(l.epoch, 0), Data: []byte{0, 1, 0, 0},
	})
}

func (l *Leader) handleAckEpoch(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketAckEpoch {
		return fmt.Errorf("%v instead of ACKEPOCH", packet.Type)
	}
	current, err := wire.ParseEpoch(packet.Data)
	if err != nil {
		return err
	}
	p.currentEpoch, p.zxid = current, packet.Zxid
	if l.phase == gatherHistory && (current != -1 || l.cfg.Unsafe.ReuseEpochs) {
		ahead := !l.cfg.Unsafe.mayLead(l.own.CurrentEpoch, l.own.LastZxid, current, p.zxid)
		if ahead && !l.mayBeAhead(p) {
			return fmt.Errorf("its history (%d, %v) is ahead of ours (%d, %v)",
				current, p.zxid, l.own.CurrentEpoch, l.own.LastZxid)
		}
		p.promised = l.isUpToDate(p)
		p.counted = p.promised && p.zxid != -1 && !p.observer
	}
	p.state = peerWaitsForSync
	if l.phase >= synchronise {
		l.sync(p)
	}
	l.maybeEndHistory()
	return nil
}

// sync begins the synchronisation of a learner.
func (l *Leader) sync(p *peer) {
	plan := planSync(l.history, l.processed(), p.zxid)
	switch {
	case l.cfg.Unsafe.NoTrunc && plan.op == wire.PacketTrunc:
		plan.op = wire.PacketDiff
	case l.cfg.Unsafe.SkipInDiff && len(plan.txns) > 0:
		plan.txns = plan.txns[:len(plan.txns)-1]
	case l.cfg.Sync.ForceSnap:
		plan = l.snapshotPlan()
	case plan.op == wire.PacketSnap && l.cfg.Sync.FromLog && 0 < p.zxid && p.zxid < l.history.Last():
		p.state = peerReadsLog
		l.note(ReadLog{Conn: p.conn, After: p.zxid, UpTo: l.history.Last()})
		return
	}
	l.carryOut(p, plan)
}

// processed is the zxid that the own tree stands for.
func (l *Leader) processed() wire.Zxid { return max(l.history.Last(), l.committed) }

func (l *Leader) snapshotPlan() syncPlan { return syncPlan{op: wire.PacketSnap, zxid: l.processed()} }

// LogRead answers ReadLog with txns that continue the learner's history, each with the one behind it; none if the log does
// not have them, or too many. Up to where they come memory must go on.
func (l *Leader) LogRead(conn ConnID, txns []txn.Entry) {
	p := l.byConn[conn]
	if p == nil || p.state != peerReadsLog || l.phase == over {
		return
	}
	plan := l.snapshotPlan()
	if rest, ok := l.continues(p.zxid, txns); ok && syncBytes(txns)+syncBytes(rest) <= MaxSyncBytes {
		plan = syncPlan{op: wire.PacketDiff, zxid: l.history.Last(), txns: slices.Concat(txns, rest)}
	}
	l.carryOut(p, plan)
}

// syncBytes is how long the packets are together that bring txns to a learner.
func syncBytes(txns []txn.Entry) int {
	bytes := 0
	for _, e := range txns {
		bytes += len(e.Bytes) + 2*PacketBytes // PROPOSAL and COMMIT
	}
	return bytes
}

// continues returns what memory has behind txns, and whether there is no hole from a zxid through them to the end.
func (l *Leader) continues(last wire.Zxid, txns []txn.Entry) ([]txn.Entry, bool) {
	for _, e := range txns {
		if !Follows(last, e.Header.Zxid) {
			return nil, false
		}
		last = e.Header.Zxid
	}
	if len(txns) == 0 {
		return nil, false
	}
	return l.history.After(last)
}

// carryOut queues what the learner lacks of the committed history, then every proposal without a quorum, and from then on
// it gets all that is broadcast.
func (l *Leader) carryOut(p *peer, plan syncPlan) {
	if p.observer && l.cfg.Sync.isBusy(l.peers, plan.op) {
		l.drop(p, "too many learners are being synchronised")
		return
	}
	p.op = plan.op
	if plan.op == wire.PacketSnap {
		p.state = peerReads
		l.note(SendSnapshot{Conn: p.conn, Zxid: plan.zxid})
	} else {
		p.state = peerSyncs
		l.send(p, wire.QuorumPacket{Type: plan.op, Zxid: plan.zxid})
		for _, e := range plan.txns {
			l.send(p, wire.QuorumPacket{Type: wire.PacketProposal, Zxid: e.Header.Zxid, Data: e.Bytes})
			l.send(p, wire.QuorumPacket{Type: wire.PacketCommit, Zxid: e.Header.Zxid})
		}
	}
	if !p.observer {
		for _, e := range l.outstanding[l.done:] {
			packet := wire.QuorumPacket{Type: wire.PacketProposal, Zxid: e.Header.Zxid, Data: e.Bytes}
			if l.waitsForNewLeader(packet.Zxid) {
				p.hold(packet)
			} else {
				l.send(p, packet)
			}
		}
	}
	if plan.op != wire.PacketSnap {
		l.sendNewLeader(p)
	}
}

// waitsForNewLeader tells whether a packet of the broadcast must not reach a learner before NEWLEADER: that carries the
// committed membership, and a learner, of Apache ZooKeeper at least, forgets for it a newer one that it was proposed before,
// though its acknowledgement of that counts.
func (l *Leader) waitsForNewLeader(zxid wire.Zxid) bool {
	return l.phase >= broadcast && l.members.joint() && zxid >= wire.Zxid(l.members.lastSeen.Version())
}

// isBusy tells whether as many learners are being synchronised in this way as may be.
func (s *SyncPolicy) isBusy(peers []*peer, op wire.PacketType) bool {
	byTxns, bySnapshot := syncing(peers)
	if op == wire.PacketSnap {
		return s.MaxSnaps > 0 && bySnapshot >= s.MaxSnaps
	}
	return s.MaxDiffs > 0 && byTxns >= s.MaxDiffs
}

// SnapshotSent tells that the stream of SendSnapshot has been read from the tree; what was committed meanwhile is
// queued behind it, so that the learner's state is whole when NEWLEADER comes.
func (l *Leader) SnapshotSent(conn ConnID) {
	if p := l.byConn[conn]; p != nil && p.state == peerReads {
		p.state = peerSyncs
		l.release(p)
		l.sendNewLeader(p)
	}
}

// release sends what was held back while a snapshot was read and is committed by now, or comes before a reconfiguration that
// is not: the stream may have it.
func (l *Leader) release(p *peer) {
	for _, packet := range p.takeHeld() {
		if l.waitsForNewLeader(packet.Zxid) {
			p.hold(packet)
		} else {
			l.send(p, packet)
		}
	}
}

func (l *Leader) sendNewLeader(p *peer) {
	p.deadline = l.now + l.cfg.initLimit() + l.cfg.syncLimit()
	c := l.newLeaderText()
	p.activates = c.Version() > p.version
	l.send(p, wire.QuorumPacket{Type: wire.PacketNewLeader, Zxid: wire.MakeZxid(l.epoch, 0), Data: c.Text()})
}

// handleSyncAck waits for the ACK of NEWLEADER. Java followers from 3.5.9 to 3.9.1 may acknowledge proposals first.
func (l *Leader) handleSyncAck(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketAck {
		return fmt.Errorf("%v instead of the ACK of NEWLEADER", packet.Type)
	}
	if packet.Zxid != wire.MakeZxid(l.epoch, 0) {
		if !l.wasProposed(packet.Zxid) {
			return fmt.Errorf("ACK of %v, which was not proposed", packet.Zxid)
		}
		p.acked = max(p.acked, packet.Zxid)
		return nil
	}
	p.state = peerAcked
	p.deadline = l.now + l.cfg.syncLimit()
	if l.phase == broadcast {
		l.sendUpToDate(p)
		p.watchAcked(p.acked)
		l.maybeCommit()
		return nil
	}
	p.deadline = l.now + l.cfg.initLimit() + l.cfg.syncLimit()
	l.maybeServe()
	return nil
}

// sendUpToDate lets a learner into broadcast. Only from now on are its ACKs waited for: it acknowledges what was proposed
// during its synchronisation after UPTODATE, and what was committed before NEWLEADER not at all.
func (l *Leader) sendUpToDate(p *peer) {
	p.state = peerServes
	p.deadline = l.now + l.cfg.syncLimit()
	if l.done < len(l.outstanding) {
		p.watchSent(l.outstanding[l.done].Header.Zxid, l.now)
		p.watchSent(l.outstanding[len(l.outstanding)-1].Header.Zxid, l.now)
	}
	l.send(p, wire.QuorumPacket{Type: wire.PacketUpToDate, Zxid: -1})
	for _, packet := range p.takeHeld() {
		l.send(p, packet)
	}
}
