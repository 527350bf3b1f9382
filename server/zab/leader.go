package zab

import (
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// leaderPhase is how far a term of leadership has come.
type leaderPhase int

const (
	gatherEpochs  leaderPhase = iota // FOLLOWERINFO of a quorum
	saveAccepted                     // acceptedEpoch on its way to disk
	gatherHistory                    // ACKEPOCH of a quorum
	synchronise                      // ACK of NEWLEADER of a quorum, currentEpoch on disk
	broadcast
	retiring // committed a membership in which another server leads
	over
)

// Leader is the leading role of one server for one term.
type Leader struct {
	effects
	cfg     Config
	history *History
	now     time.Duration

	phase    leaderPhase
	deadline time.Duration // of the phase before broadcast
	own      Durable
	epoch    wire.Epoch
	saved    bool // currentEpoch is durable
	members  memberships
	follow   wire.ServerID // who leads after the retirement
	// mayLeadAlone is what the oracle says, if there is one.
	mayLeadAlone bool

	peers  []*peer // learners by arrival
	byConn map[ConnID]*peer

	proposed  wire.Zxid // last one given to a proposal
	committed wire.Zxid
	durable   wire.Zxid // last one in the own log
	// outstanding are the proposals without a quorum, in order, from outstanding[done] on.
	outstanding []txn.Entry
	done        int
	// syncs wait for commits, and for rounds of pings; the rounds up to roundDone are complete.
	syncs            []waitingSync
	round, roundDone uint64

	nextPing time.Duration
}

// NewLeader begins a term. The history must be that of the server's log, whole; it is shared with the server and
// grows with what is delivered.
func NewLeader(cfg Config, own Durable, history *History, now time.Duration) *Leader {
	l := &Leader{
		cfg:      cfg,
		history:  history,
		now:      now,
		deadline: now + cfg.initLimit(),
		own:      own,
		epoch:    own.AcceptedEpoch + 1,
		members:  newMemberships(cfg),
		byConn:   make(map[ConnID]*peer),
	}
	l.maybeEndDiscovery()
	return l
}

// Epoch is the epoch of this term; it may rise until a quorum has been heard.
func (l *Leader) Epoch() wire.Epoch { return l.epoch }

// Serving tells whether the term has reached broadcast.
func (l *Leader) Serving() bool { return l.phase == broadcast }

// WaitsForEpochs tells whether the term still lacks a quorum that has told what epochs it accepted.
func (l *Leader) WaitsForEpochs() bool { return l.phase == gatherEpochs }

// LastProposed is the zxid of the newest proposal, or the start of the epoch.
func (l *Leader) LastProposed() wire.Zxid { return l.proposed }

// LastCommitted is the zxid of the newest committed txn, or the start of the epoch.
func (l *Leader) LastCommitted() wire.Zxid { return l.committed }

// Outstanding is the number of proposals that wait for a quorum.
func (l *Leader) Outstanding() int { return len(l.outstanding) - l.done }

// LoggedPending returns the proposals that are in the own log and not delivered. When the role ends they are history
// like any other.
func (l *Leader) LoggedPending() []txn.Entry { return l.outstanding[l.done:] }

// Syncing is the number of learners that are being synchronised by txns alone, and by a snapshot.
func (l *Leader) Syncing() (byTxns, bySnapshot int) { return syncing(l.peers) }

func syncing(peers []*peer) (byTxns, bySnapshot int) {
	for _, p := range peers {
		switch {
		case p.state != peerReads && p.state != peerSyncs:
		case p.op == wire.PacketSnap:
			bySnapshot++
		default:
			byTxns++
		}
	}
	return byTxns, bySnapshot
}

// Proposed is a proposal that waits for a quorum; ok is false if there is none with this zxid.
func (l *Leader) Proposed(zxid wire.Zxid) (e txn.Entry, ok bool) {
	waiting := l.outstanding[l.done:]
	if len(waiting) == 0 {
		return e, false
	}
	i := int64(zxid - waiting[0].Header.Zxid)
	if i < 0 || i >= int64(len(waiting)) {
		return e, false
	}
	return waiting[i], true
}

// LearnerID is the server at the other end of a connection; ok is false if it has not said who it is.
func (l *Leader) LearnerID(conn ConnID) (id wire.ServerID, ok bool) {
	p := l.byConn[conn]
	if p == nil || p.id == noServer {
		return 0, false
	}
	return p.id, true
}

// PendingSyncs is the number of syncs that wait for a commit.
func (l *Leader) PendingSyncs() int { return len(l.syncs) }

// Tick lets time pass: pings, timeouts, the check that a quorum still follows.
func (l *Leader) Tick(now time.Duration) {
	l.now = now
	if l.phase == over {
		return
	}
	for _, p := range l.peers {
		// From a learner that is sent a snapshot, or for which the log is read, nothing is expected. A stream that stops is
		// noticed by who sends it.
		if p.state != peerReads && p.state != peerReadsLog && now > p.deadline {
			l.drop(p, "nothing received in time")
		}
	}
	l.goOnAlone()
	switch {
	case l.phase == retiring:
		if now > l.deadline {
			l.endRetirement()
		}
		return
	case l.phase != broadcast:
		if now > l.deadline {
			l.giveUp(fmt.Sprintf("no quorum in time while %v", l.phase))
		}
		return
	}
	if now < l.nextPing {
		return
	}
	l.nextPing = now + l.cfg.TickTime/2
	l.ping()
	l.maybeProposeNothing()
	// An observer that is to become a voter acknowledges nothing yet, so that a reconfiguration could wait for it for ever.
	if !l.hasQuorum(func(p *peer) bool { return p.id != noServer && !p.observer }) {
		l.giveUp("lost the quorum of followers")
	}
}

// EpochSaved tells that an epoch file is durable.
func (l *Leader) EpochSaved(current bool, epoch wire.Epoch) {
	switch {
	case !current && l.phase == saveAccepted:
		l.own.AcceptedEpoch = epoch
		l.phase, l.deadline = gatherHistory, l.now+l.cfg.initLimit()
		l.maybeRaiseVersion()
		for _, p := range l.peers {
			if p.state == peerWaitsForEpoch {
				l.sendLeaderInfo(p)
			}
		}
		l.maybeEndHistory()
	case current && l.phase == synchronise:
		l.own.CurrentEpoch = epoch
		l.saved = true
		l.maybeServe()
	}
}

// maybeEndDiscovery fixes the epoch once a quorum, this server included, has told what it accepted. While a reconfiguration
// waits, both memberships need one, unlike in Apache ZooKeeper. Others may have activated the next membership and committed
// txns in it, of which the old one knows nothing; with an epoch after theirs, and the history of this leader, those who
// follow it would outrank them.
func (l *Leader) maybeEndDiscovery() {
	came := l.among(func(p *peer) bool { return p.state >= peerWaitsForEpoch && l.isUpToDate(p) })
	if l.phase != gatherEpochs || !l.mayBegin(came, came) {
		return
	}
	l.phase = saveAccepted
	if l.cfg.Unsafe.ForgetAcceptedEpoch {
		l.EpochSaved(false, l.epoch)
		return
	}
	l.note(SaveEpoch{Epoch: l.epoch})
}

// maybeEndHistory begins the synchronisation once a quorum has promised to follow nobody of a lower epoch.
func (l *Leader) maybeEndHistory() {
	counted := l.among(func(p *peer) bool { return p.counted })
	promised := l.among(func(p *peer) bool { return p.promised })
	if l.phase != gatherHistory || !l.mayBegin(counted, promised) {
		return
	}
	l.phase, l.deadline = synchronise, l.now+l.cfg.initLimit()
	if l.cfg.Unsafe.ForgetCurrentEpoch {
		l.saved = true
	} else {
		l.note(SaveEpoch{Current: true, Epoch: l.epoch})
	}
	for _, p := range l.peers {
		if p.state == peerWaitsForSync {
			l.sync(p)
		}
	}
	l.maybeServe()
}

// mayBegin tells whether the servers that satisfy old and next are a quorum of the committed membership, and of the one that is
// to follow it.
func (l *Leader) mayBegin(old, next func(wire.ServerID) bool) bool {
	joint := l.members.joint() && !l.cfg.Unsafe.BeginWithOldQuorum
	return l.members.committed.Quorum(old) && (!joint || l.members.lastSeen.Quorum(next)) || l.leadsAlone()
}

// maybeServe begins broadcast once a quorum, this server included, has the history and the epoch on disk.
func (l *Leader) maybeServe() {
	if l.phase != synchronise || !l.saved || !l.cfg.Unsafe.ServeEarly && !l.hasQuorum(func(p *peer) bool { return p.state == peerAcked && l.isUpToDate(p) }) {
		return
	}
	l.phase = broadcast
	l.proposed = wire.MakeZxid(l.epoch, 0)
	l.committed, l.durable = l.proposed, l.proposed
	l.nextPing = l.now + l.cfg.TickTime/2
	heir := l.cfg.Self
	if l.members.joint() {
		heir = l.heir(func(p *peer) bool { return p.state == peerAcked })
		l.activate()
	}
	if heir == l.cfg.Self {
		l.note(Serve{Epoch: l.epoch})
	}
	for _, p := range l.peers {
		if p.state == peerAcked {
			l.sendUpToDate(p)
		}
	}
	if heir != l.cfg.Self {
		l.retire(0) // the followers, who are not told of the heir, elect
	}
}

// hasQuorum tells whether this server and the learners that satisfy has form a quorum of the committed membership, and of
// the one that is to follow it.
func (l *Leader) hasQuorum(has func(*peer) bool) bool {
	return l.members.quorum(l.among(has)) || l.leadsAlone()
}

// among finds servers among this one and the learners that satisfy has.
func (l *Leader) among(has func(*peer) bool) func(wire.ServerID) bool {
	return func(id wire.ServerID) bool {
		if id == l.cfg.Self {
			return true
		}
		for _, p := range l.peers {
			if p.id == id && has(p) {
				return true
			}
		}
		return false
	}
}

func (l *Leader) giveUp(reason string) {
	if l.phase == over {
		return
	}
	l.phase = over
	l.note(GiveUp{Reason: reason})
}

// String names the phase for logs.
func (p leaderPhase) String() string {
	switch p {
	case gatherEpochs:
		return "waiting for accepted epochs"
	case saveAccepted:
		return "saving the accepted epoch"
	case gatherHistory:
		return "waiting for epoch acknowledgements"
	case synchronise:
		return "synchronising"
	case broadcast:
		return "broadcasting"
	case retiring:
		return "retiring"
	}
	return "over"
}
