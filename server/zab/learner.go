package zab

import (
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// learnerState is how far a learner has come with its leader.
type learnerState int

const (
	connecting    learnerState = iota
	awaitEpoch                 // sent FOLLOWERINFO
	savingPromise              // acceptedEpoch on its way to disk
	awaitSync                  // sent ACKEPOCH
	truncating                 // the log is being cut
	awaitSnapshot              // got SNAP, the stream is being read
	receiving                  // PROPOSAL, COMMIT, up to NEWLEADER
	savingHistory              // history and currentEpoch on their way to disk
	awaitUpToDate              // acknowledged NEWLEADER
	following                  // broadcast
	left
)

// Learner is the following or observing role of one server for one leader.
type Learner struct {
	effects
	cfg     Config
	conn    ConnID
	history *History
	now     time.Duration

	state    learnerState
	waiting  []wire.QuorumPacket // arrived while the disk or the snapshot was waited for
	lastRead time.Duration
	own      Durable
	epoch    wire.Epoch
	members  memberships
	observer bool
	// leaderMembers is the membership that NEWLEADER brought, to be activated with UPTODATE; nil without one.
	leaderMembers *quorum.Config

	snapshot bool      // synchronised by SNAP
	tainted  bool      // memory is not what the disk holds
	received wire.Zxid // last txn that arrived
	// pending are the txns that arrived and are not delivered; the first committed of them are known to be
	// committed, which before UPTODATE is not the same as delivered.
	pending   []txn.Entry
	committed int
	// logged are the txns among pending that were appended, from the front. They are history, committed or not.
	logged int
	// unacked are the txns since UPTODATE that are on their way to the disk.
	unacked []wire.Zxid

	touched map[wire.SessionID]time.Duration

	// observers are those that this server serves; nil if it serves none. What they and this server ask of the leader is
	// in revalidations and syncs, in the order in which it was asked.
	observers     *observers
	revalidations []asked
	syncs         []ConnID // with 0 for this server
}

// NewLearner begins a term as a follower or observer over a connection that is still being opened. The history must be
// that of the server's log, whole; it is shared with the server and grows with what is delivered.
func NewLearner(cfg Config, conn ConnID, own Durable, history *History, now time.Duration) *Learner {
	return &Learner{
		cfg: cfg, conn: conn, own: own, history: history, now: now, lastRead: now,
		received: own.LastZxid,
		members:  newMemberships(cfg),
		observer: cfg.observer(),
		touched:  make(map[wire.SessionID]time.Duration),
	}
}

// Serving tells whether the term has reached broadcast.
func (l *Learner) Serving() bool { return l.state == following }

// Tainted tells that memory does not match the disk and must be read again if the role ends now.
func (l *Learner) Tainted() bool { return l.tainted }

// Taint tells that memory was changed, and does not match the disk any more.
func (l *Learner) Taint() { l.tainted = true }

// Received is the last txn that arrived, committed or not.
func (l *Learner) Received() wire.Zxid { return l.received }

// LoggedPending returns the txns that are in the log and not delivered. When the role ends they are history like any other.
func (l *Learner) LoggedPending() []txn.Entry { return l.pending[:l.logged] }

// Connected tells that the connection to the leader is open.
func (l *Learner) Connected(now time.Duration) {
	if l.state != connecting {
		return
	}
	l.now, l.lastRead = now, now
	l.state = awaitEpoch
	kind := wire.PacketFollowerInfo
	if l.observer {
		kind = wire.PacketObserverInfo
	}
	info := wire.LearnerInfo{
		ServerID: l.cfg.Self, ProtocolVersion: wire.LearnerProtocolVersion,
		ConfigVersion: max(l.members.committed.Version(), l.cfg.Known),
	}
	l.send(wire.QuorumPacket{Type: kind, Zxid: wire.MakeZxid(l.own.AcceptedEpoch, 0), Data: info.Marshal()})
}

// Tick lets time pass. A silent leader is left.
func (l *Learner) Tick(now time.Duration) {
	l.now = now
	limit := l.cfg.initLimit()
	switch l.state {
	case connecting, left:
		return // the connection attempt has its own limit
	case truncating, awaitSnapshot, savingHistory, savingPromise:
		l.lastRead = now
		return
	case awaitUpToDate, following:
		limit = l.cfg.syncLimit()
	}
	if now-l.lastRead > limit {
		l.leave("the leader is silent")
	} else if l.observers != nil {
		l.observers.tick()
	}
}

// Closed tells that the connection to the leader is gone.
func (l *Learner) Closed(err error) {
	if err != nil {
		l.leave("connection to the leader: " + err.Error())
		return
	}
	l.leave("the leader closed the connection")
}

// Receive handles a packet of the leader.
func (l *Learner) Receive(packet wire.QuorumPacket) {
	l.lastRead = l.now
	switch l.state {
	case savingPromise, truncating, awaitSnapshot, savingHistory:
		l.waiting = append(l.waiting, packet)
	default:
		l.handle(packet)
	}
}

// handle handles a packet in its turn.
func (l *Learner) handle(packet wire.QuorumPacket) {
	var err error
	switch l.state {
	case awaitEpoch:
		err = l.handleLeaderInfo(packet)
	case awaitSync:
		err = l.handleFirstSync(packet)
	case receiving, awaitUpToDate:
		err = l.handleSync(packet)
	case following:
		err = l.handleBroadcast(packet)
	case left:
	default:
		err = fmt.Errorf("%v before its turn", packet.Type)
	}
	if err != nil {
		l.leave(err.Error())
	}
}

// proceed moves to a state in which packets are handled, and handles those that waited.
func (l *Learner) proceed(state learnerState) {
	l.state = state
	l.lastRead = l.now
	for len(l.waiting) > 0 {
		switch l.state {
		case savingPromise, truncating, awaitSnapshot, savingHistory:
			return
		}
		packet := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.handle(packet)
	}
}

// handleLeaderInfo promises to follow nobody of a lower epoch, first to the disk, then to the leader.
func (l *Learner) handleLeaderInfo(packet wire.QuorumPacket) error {
	if packet.Type != wire.PacketLeaderInfo {
		return fmt.Errorf("%v instead of LEADERINFO", packet.Type)
	}
	l.epoch = packet.Zxid.Epoch()
	switch {
	case l.epoch < l.own.AcceptedEpoch && !l.cfg.Unsafe.ReuseEpochs:
		return fmt.Errorf("the leader's epoch %d is below the accepted one %d", l.epoch, l.own.AcceptedEpoch)
	case l.epoch <= l.own.AcceptedEpoch:
		l.sendAckEpoch(-1) // promised before, does not count again
	case l.cfg.Unsafe.ForgetAcceptedEpoch:
		l.own.AcceptedEpoch = l.epoch
		l.sendAckEpoch(l.own.CurrentEpoch)
	default:
		l.state = savingPromise
		l.note(SaveEpoch{Epoch: l.epoch})
	}
	return nil
}

func (l *Learner) sendAckEpoch(current wire.Epoch) {
	l.state = awaitSync
	last := l.own.LastZxid
	if l.cfg.NeedSnapshot {
		last = -1
	}
	l.send(wire.QuorumPacket{Type: wire.PacketAckEpoch, Zxid: last, Data: wire.AppendEpoch(nil, current)})
}

// EpochSaved tells that an epoch file is durable, and every append before it.
func (l *Learner) EpochSaved(current bool, epoch wire.Epoch) {
	switch {
	case !current && l.state == savingPromise:
		l.own.AcceptedEpoch = epoch
		l.sendAckEpoch(l.own.CurrentEpoch)
		l.proceed(awaitSync)
	case current && l.state == savingHistory:
		l.ackNewLeader()
	}
}

// Logged tells that the log is durable up to zxid. Every txn since UPTODATE is acknowledged by itself, as Apache
// ZooKeeper counts them.
func (l *Learner) Logged(zxid wire.Zxid) {
	if l.state != following || l.observer || l.cfg.Unsafe.AckBeforeSync {
		return
	}
	for len(l.unacked) > 0 && l.unacked[0] <= zxid {
		l.ack(l.unacked[0])
		l.unacked = l.unacked[1:]
	}
}

func (l *Learner) ack(zxid wire.Zxid) { l.send(wire.QuorumPacket{Type: wire.PacketAck, Zxid: zxid}) }

// Truncated answers Truncate: the history is the one that the server has read back and shares with this role from now
// on. If it could not be cut, or does not end with the wanted txn, the learner needs a snapshot.
func (l *Learner) Truncated(history *History, err error) {
	if l.state != truncating {
		return
	}
	switch {
	case err != nil:
		l.needSnapshot(fmt.Errorf("truncate: %w", err))
	case history.Last() != l.received:
		l.needSnapshot(fmt.Errorf("truncate: the history ends at %v, not at %v", history.Last(), l.received))
	default:
		l.tainted = false
		l.history = history
		l.proceed(receiving)
	}
}

// SnapshotReceived hands over the tree of the stream that followed SNAP.
func (l *Learner) SnapshotReceived(t *tree.Tree) {
	if l.state != awaitSnapshot {
		return
	}
	l.tainted = true
	l.history.Reset(l.received)
	l.note(Install{Tree: t, Zxid: l.received})
	l.proceed(receiving)
}

// Touch notes a sign of life of a session, for the answer to the next PING.
func (l *Learner) Touch(session wire.SessionID, timeout time.Duration) { l.touched[session] = timeout }

// Request forwards a request of a client to the leader. One with OpSync is answered by Synced, in order.
func (l *Learner) Request(r Request) { l.forward(0, r) }

// Revalidate asks the leader whether a session is alive; answered by Revalidated.
func (l *Learner) Revalidate(session wire.SessionID, timeout time.Duration) {
	l.askFor(0, session, timeout)
}

func (l *Learner) send(packet wire.QuorumPacket) { l.note(Send{Conn: l.conn, Packet: packet}) }

func (l *Learner) leave(reason string) {
	if l.state == left {
		return
	}
	l.state = left
	l.note(GiveUp{Reason: reason})
}

// needSnapshot leaves with the wish to come back without a history, which makes a leader send a snapshot.
func (l *Learner) needSnapshot(err error) {
	if l.state == left {
		return
	}
	l.state = left
	l.note(GiveUp{Reason: err.Error(), NeedSnapshot: true})
}
