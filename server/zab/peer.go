package zab

import (
	"time"

	"github.com/zkctl/zkctl/wire"
)

// noServer is the id of a connection that has not said yet who it is.
const noServer wire.ServerID = -1 << 63

type peerState int

const (
	peerUnknown       peerState = iota // connected
	peerWaitsForEpoch                  // sent FOLLOWERINFO or OBSERVERINFO
	peerPromises                       // got LEADERINFO
	peerWaitsForSync                   // sent ACKEPOCH
	peerReadsLog                       // what it lacks is being read from the log
	peerReads                          // its snapshot is being streamed
	peerSyncs                          // got NEWLEADER
	peerAcked                          // acknowledged it
	peerServes                         // got UPTODATE
)

// peer is one learner as its leader sees it.
type peer struct {
	conn     ConnID
	remote   string
	id       wire.ServerID
	observer bool
	state    peerState
	deadline time.Duration // until when it must send something

	version      int64 // of the membership that it had activated when it came
	currentEpoch wire.Epoch
	zxid         wire.Zxid // its last one when it came
	promised     bool      // to follow nobody of a lower epoch than this leader's
	counted      bool      // and has a history that this leader's continues
	op           wire.PacketType

	// acked is the last proposal it has on disk; it means nothing before the ACK of NEWLEADER.
	acked wire.Zxid
	// activates tells that NEWLEADER brought a membership that it does not have activated before it acknowledges UPTODATE.
	// Until then its ACKs do not count: only one who has activated a membership keeps those away who do not know it.
	activates bool
	// held are packets that wait for UPTODATE: Java followers before 3.9.3 fail when the COMMIT of a proposal
	// reaches them between NEWLEADER and UPTODATE.
	held      []wire.QuorumPacket
	heldBytes int
	// pings counts those sent since UPTODATE, pongs their answers; target is the ping that the current round of pings
	// sent, 0 for none.
	pings, pongs, target uint64
	// oldest and newest are proposals sent and not acknowledged: the one watched, and the one to watch next.
	oldest, newest sentProposal
}

type sentProposal struct {
	zxid wire.Zxid
	at   time.Duration
}

// hasAcked tells whether its ACK of a proposal counts.
func (p *peer) hasAcked(zxid wire.Zxid) bool {
	return !p.observer && p.state >= peerAcked && !p.activates && p.acked >= zxid
}

// MaxSyncBytes is how long the packets may be together that a learner is sent at once: the txns that it lacks, and later those
// that were held for it. Its connection must take them besides the proposals that wait for a quorum.
const MaxSyncBytes = 96 << 20

// PacketBytes is how long a packet of the broadcast is without its data.
const PacketBytes = 20

// hold keeps a packet until UPTODATE. It is false if that is too much by now.
func (p *peer) hold(packet wire.QuorumPacket) bool {
	p.held = append(p.held, packet)
	p.heldBytes += PacketBytes + len(packet.Data)
	return p.heldBytes <= MaxSyncBytes
}

// takeHeld returns what was held, which is no more.
func (p *peer) takeHeld() []wire.QuorumPacket {
	held := p.held
	p.held, p.heldBytes = nil, 0
	return held
}

// watchSent remembers a proposal that the peer is to acknowledge within syncLimit.
func (p *peer) watchSent(zxid wire.Zxid, at time.Duration) {
	if p.observer {
		return
	}
	p.newest = sentProposal{zxid, at}
	if p.oldest.zxid == 0 {
		p.oldest = p.newest
	}
}

// watchAcked notes that the peer acknowledged everything up to zxid.
func (p *peer) watchAcked(zxid wire.Zxid) {
	if p.oldest.zxid == 0 || zxid < p.oldest.zxid {
		return
	}
	p.oldest = sentProposal{}
	if zxid < p.newest.zxid {
		p.oldest = p.newest
	}
}

// LearnerStatus describes one learner, for operators.
type LearnerStatus struct {
	ID       wire.ServerID
	Remote   string
	Observer bool
	// Synced tells that the learner takes part in broadcast.
	Synced bool
	// Sync is how it was synchronised: DIFF, TRUNC or SNAP.
	Sync wire.PacketType
	// Acked is the last proposal that it has acknowledged.
	Acked wire.Zxid
}

// Learners describes the learners in the order in which they came.
func (l *Leader) Learners() []LearnerStatus { return statusOf(l.peers) }

func statusOf(peers []*peer) []LearnerStatus {
	var list []LearnerStatus
	for _, p := range peers {
		if p.state == peerUnknown {
			continue
		}
		list = append(list, LearnerStatus{
			ID: p.id, Remote: p.remote, Observer: p.observer, Synced: p.state == peerServes, Sync: p.op, Acked: p.acked,
		})
	}
	return list
}

// Accept tells that a learner connected.
func (l *Leader) Accept(conn ConnID, remote string) {
	if l.phase == over {
		l.note(Close{Conn: conn, Reason: "not leading"})
		return
	}
	p := &peer{conn: conn, remote: remote, id: noServer}
	p.deadline = l.now + l.cfg.initLimit() + l.cfg.syncLimit()
	l.peers = append(l.peers, p)
	l.byConn[conn] = p
}

// Closed tells that a learner's connection is gone.
func (l *Leader) Closed(conn ConnID) {
	p := l.byConn[conn]
	if p == nil {
		return
	}
	delete(l.byConn, conn)
	defer l.maybeEndRetirement()
	peers := make([]*peer, 0, len(l.peers))
	for _, other := range l.peers {
		if other != p {
			peers = append(peers, other)
		}
	}
	l.peers = peers
	syncs := l.syncs[:0]
	for _, s := range l.syncs {
		if s.conn != conn {
			syncs = append(syncs, s)
		}
	}
	l.syncs = syncs
}

// drop closes a learner's connection.
func (l *Leader) drop(p *peer, reason string) {
	l.note(Close{Conn: p.conn, Reason: reason})
	l.Closed(p.conn)
}

func (l *Leader) send(p *peer, packet wire.QuorumPacket) {
	l.note(Send{Conn: p.conn, Packet: packet})
}
