package zab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// observers are those that a follower serves, to take work off the leader (ObserverMaster): they get what is committed from
// the follower's history, and their clients' requests go on to the leader with the follower's own. To the leader they do not
// exist.
type observers struct {
	l        *Learner
	peers    []*peer // by arrival
	byConn   map[ConnID]*peer
	nextPing time.Duration
}

func newObservers(l *Learner) *observers {
	return &observers{l: l, byConn: make(map[ConnID]*peer), nextPing: l.now + l.cfg.TickTime/2}
}

// AcceptObserver tells that somebody connected to the port for observers. Before this role has reached broadcast, it is
// refused.
func (l *Learner) AcceptObserver(conn ConnID, remote string) {
	if l.observers == nil || l.state != following {
		l.note(Close{Conn: conn, Reason: "not following"})
		return
	}
	p := &peer{conn: conn, remote: remote, id: noServer, observer: true}
	p.deadline = l.now + l.cfg.initLimit() + l.cfg.syncLimit()
	l.observers.peers = append(l.observers.peers, p)
	l.observers.byConn[conn] = p
}

// ObserverClosed tells that the connection of an observer is gone.
func (l *Learner) ObserverClosed(conn ConnID) {
	if l.observers != nil {
		l.observers.remove(conn)
	}
}

// Observers describes the observers of this follower in the order in which they came.
func (l *Learner) Observers() []LearnerStatus {
	if l.observers == nil {
		return nil
	}
	return statusOf(l.observers.peers)
}

// SyncingObservers counts those that are being synchronised, as Leader.Syncing does.
func (l *Learner) SyncingObservers() (byTxns, bySnapshot int) {
	if l.observers == nil {
		return 0, 0
	}
	return syncing(l.observers.peers)
}

// ObserverSnapshotSent answers SendSnapshot; see Leader.SnapshotSent.
func (l *Learner) ObserverSnapshotSent(conn ConnID) {
	if l.observers == nil {
		return
	}
	if p := l.observers.byConn[conn]; p != nil && p.state == peerReads {
		p.state = peerSyncs
		l.observers.sendNewLeader(p)
	}
}

// ReceiveFromObserver handles a packet of an observer.
func (l *Learner) ReceiveFromObserver(conn ConnID, packet wire.QuorumPacket) {
	if l.observers == nil || l.state != following {
		return
	}
	o := l.observers
	p := o.byConn[conn]
	if p == nil {
		return
	}
	var err error
	switch p.state {
	case peerUnknown:
		err = o.handleInfo(p, packet)
	case peerPromises:
		err = o.handleAckEpoch(p, packet)
	case peerSyncs:
		err = o.handleSyncAck(p, packet)
	case peerServes:
		p.deadline = l.now + l.cfg.syncLimit()
		err = o.handleBroadcast(p, packet)
	default:
		err = fmt.Errorf("%v before its turn", packet.Type)
	}
	if err != nil {
		o.drop(p, err.Error())
	}
}

// epochStart is the zxid of this epoch before its first txn.
func (o *observers) epochStart() wire.Zxid { return wire.MakeZxid(o.l.epoch, 0) }

func (o *observers) handleInfo(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketObserverInfo {
		return fmt.Errorf("%v on the port for observers", packet.Type)
	}
	info, err := wire.ParseLearnerInfo(packet.Data)
	if err != nil {
		return err
	}
	version := o.l.members.committed.Version()
	switch {
	case info.ConfigVersion > version:
		return fmt.Errorf("its configuration %x is newer than %x", info.ConfigVersion, version)
	case packet.Zxid.Epoch() > o.l.epoch:
		return fmt.Errorf("it has accepted epoch %d, after %d", packet.Zxid.Epoch(), o.l.epoch)
	}
	for _, other := range o.peers {
		if other.id == info.ServerID && other != p {
			o.drop(other, "connected again")
		}
	}
	p.id, p.version, p.state = info.ServerID, info.ConfigVersion, peerPromises
	o.send(p, wire.QuorumPacket{Type: wire.PacketLeaderInfo, Zxid: o.epochStart(), Data: []byte{0, 1, 0, 0}})
	return nil
}

// handleAckEpoch brings an observer in line with what is committed here. Whoever has more of this epoch has it from
// somebody to whom more was committed, and goes there.
func (o *observers) handleAckEpoch(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketAckEpoch {
		return fmt.Errorf("%v instead of ACKEPOCH", packet.Type)
	}
	var err error
	if p.currentEpoch, err = wire.ParseEpoch(packet.Data); err != nil {
		return err
	}
	p.zxid = packet.Zxid
	processed := max(o.l.history.Last(), o.epochStart())
	if p.zxid > processed && p.zxid.Epoch() == o.l.epoch {
		return fmt.Errorf("it is at %v, this follower only at %v", p.zxid, processed)
	}
	plan := planSync(o.l.history, processed, p.zxid)
	if o.l.cfg.Sync.isBusy(o.peers, plan.op) {
		return errors.New("too many observers are being synchronised")
	}
	p.op = plan.op
	if plan.op == wire.PacketSnap {
		p.state = peerReads
		o.l.note(SendSnapshot{Conn: p.conn, Zxid: plan.zxid})
		return nil
	}
	p.state = peerSyncs
	o.send(p, wire.QuorumPacket{Type: plan.op, Zxid: plan.zxid})
	for _, e := range plan.txns {
		o.send(p, wire.QuorumPacket{Type: wire.PacketProposal, Zxid: e.Header.Zxid, Data: e.Bytes})
		o.send(p, wire.QuorumPacket{Type: wire.PacketCommit, Zxid: e.Header.Zxid})
	}
	o.sendNewLeader(p)
	return nil
}

func (o *observers) sendNewLeader(p *peer) {
	p.deadline = o.l.now + o.l.cfg.initLimit() + o.l.cfg.syncLimit()
	o.send(p, wire.QuorumPacket{Type: wire.PacketNewLeader, Zxid: o.epochStart(), Data: o.l.members.committed.Text()})
}

func (o *observers) handleSyncAck(p *peer, packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketAck || packet.Zxid != o.epochStart() {
		return fmt.Errorf("%v %v instead of the ACK of NEWLEADER", packet.Type, packet.Zxid)
	}
	p.state = peerServes
	p.deadline = o.l.now + o.l.cfg.syncLimit()
	o.send(p, wire.QuorumPacket{Type: wire.PacketUpToDate, Zxid: -1})
	for _, packet := range p.takeHeld() {
		o.send(p, packet)
	}
	return nil
}

// handleBroadcast passes on what an observer has for the leader.
func (o *observers) handleBroadcast(p *peer, packet wire.QuorumPacket) error {
	switch packet.Type {
	case wire.PacketPing:
		touches, err := parseTouches(packet.Data)
		if err != nil {
			return err
		}
		for _, t := range touches {
			o.l.Touch(t.Session, t.Timeout)
		}
	case wire.PacketRevalidate:
		t, err := parseRevalidate(packet.Data)
		if err != nil {
			return err
		}
		o.l.askFor(p.conn, t.Session, t.Timeout)
	case wire.PacketRequest:
		r, err := parseRequest(packet)
		if err != nil {
			return err
		}
		o.l.forward(p.conn, r)
	}
	return nil
}

// commit passes a committed txn on.
func (o *observers) commit(packet wire.QuorumPacket) {
	for _, p := range o.peers {
		switch {
		case p.state < peerReads:
		case p.state == peerSyncs:
			if !p.hold(packet) {
				o.drop(p, "too much is committed while it is synchronised")
			}
		default:
			o.send(p, packet)
		}
	}
}

func inform(e txn.Entry) wire.QuorumPacket {
	return wire.QuorumPacket{Type: wire.PacketInform, Zxid: e.Header.Zxid, Data: e.Bytes}
}

// informAndActivate is the packet that tells observers of a committed reconfiguration and of who leads from then on.
func informAndActivate(e txn.Entry, heir wire.ServerID) wire.QuorumPacket {
	data := binary.BigEndian.AppendUint64(make([]byte, 0, heirBytes+len(e.Bytes)), uint64(heir))
	return wire.QuorumPacket{Type: wire.PacketInformAndActivate, Zxid: e.Header.Zxid, Data: append(data, e.Bytes...)}
}

// tick pings the observers, and drops the silent ones.
func (o *observers) tick() {
	for _, p := range o.peers {
		if p.state != peerReads && o.l.now > p.deadline {
			o.drop(p, "nothing received in time")
		}
	}
	if o.l.now < o.nextPing {
		return
	}
	o.nextPing = o.l.now + o.l.cfg.TickTime/2
	for _, p := range o.peers {
		if p.state >= peerSyncs {
			o.send(p, wire.QuorumPacket{Type: wire.PacketPing, Zxid: o.l.history.Last()})
		}
	}
}

func (o *observers) send(p *peer, packet wire.QuorumPacket) {
	o.l.note(Send{Conn: p.conn, Packet: packet})
}

func (o *observers) drop(p *peer, reason string) {
	o.l.note(Close{Conn: p.conn, Reason: reason})
	o.remove(p.conn)
}

// remove forgets an observer. The slice is a new one: somebody may be going through the old one.
func (o *observers) remove(conn ConnID) {
	delete(o.byConn, conn)
	peers := make([]*peer, 0, len(o.peers))
	for _, p := range o.peers {
		if p.conn != conn {
			peers = append(peers, p)
		}
	}
	o.peers = peers
}

// asked is a question or a sync on its way to the leader, of an observer or, with connection 0, of this server.
type asked struct {
	conn    ConnID
	session wire.SessionID
	timeout time.Duration
}

// askFor asks the leader whether a session is alive.
func (l *Learner) askFor(conn ConnID, session wire.SessionID, timeout time.Duration) {
	if l.observers != nil {
		l.revalidations = append(l.revalidations, asked{conn, session, timeout})
	}
	l.send(wire.QuorumPacket{Type: wire.PacketRevalidate, Zxid: -1, Data: revalidateRequest(session, timeout)})
}

// revalidated gives the leader's answer to who has waited longest for one about this session.
func (l *Learner) revalidated(session wire.SessionID, valid bool, packet wire.QuorumPacket) {
	for i, a := range l.revalidations {
		if a.session != session {
			continue
		}
		l.revalidations = append(l.revalidations[:i:i], l.revalidations[i+1:]...)
		if a.conn == 0 {
			break
		}
		if p := l.observers.byConn[a.conn]; p != nil {
			l.observers.send(p, packet)
			if valid {
				l.Touch(session, a.timeout)
				l.note(Moved{Session: session})
			}
		}
		return
	}
	l.note(Revalidated{Session: session, Valid: valid})
}

// forward sends a request to the leader.
func (l *Learner) forward(conn ConnID, r Request) {
	if r.Op == wire.OpSync && l.observers != nil {
		l.syncs = append(l.syncs, conn)
	}
	l.send(requestPacket(r))
}

// synced answers the oldest sync.
func (l *Learner) synced(packet wire.QuorumPacket) {
	conn := ConnID(0)
	if len(l.syncs) > 0 {
		conn, l.syncs = l.syncs[0], l.syncs[1:]
	}
	if conn == 0 {
		l.note(Synced{})
		return
	}
	if p := l.observers.byConn[conn]; p != nil {
		l.observers.send(p, packet)
	}
}
