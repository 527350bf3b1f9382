// Package election is ZooKeeper's fast leader election as a value: it is told of votes and of time, and says which votes
// to send and when a leader is found. It decides only who tries to lead; that no two succeed is the business of the epoch
// handshake (package zab), so a wrong decision costs nothing but time.
//
// The rules are those of org.apache.zookeeper.server.quorum.FastLeaderElection (lookForLeader and WorkerReceiver), so
// that both kinds of servers elect together. The connections between the election ports are not here.
package election

import (
	"cmp"
	"math"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

const (
	// finalizeWait is how long the winner's voters wait for a better vote.
	finalizeWait = 200 * time.Millisecond
	minInterval  = 200 * time.Millisecond
	maxInterval  = 3200 * time.Millisecond
	// desertedWait is how long a leader that others have voted past hopes that they come back.
	desertedWait = 500 * time.Millisecond
)

// Vote is a candidate and how good its history is.
type Vote struct {
	Leader    wire.ServerID
	Zxid      wire.Zxid
	PeerEpoch wire.Epoch
}

// none is the vote of those who do not vote.
var none = Vote{Leader: math.MinInt64, Zxid: math.MinInt64, PeerEpoch: math.MinInt64}

// Message is a vote to send.
type Message struct {
	To           wire.ServerID
	Notification wire.Notification
}

// Config is who votes.
type Config struct {
	Self wire.ServerID
	// Members is the last committed membership. One that is proposed has no say here, unlike in Apache ZooKeeper: whoever is
	// elected needs its quorum to lead, but a quorum that does not know of it, or of a proposal that came to nothing, could
	// keep everybody from trying. LastSeen is that one, nil where there is none: its voters are asked, since it may have been
	// committed behind the back of this server.
	Members, LastSeen *quorum.Config
	// Oracle tells that there is an oracle; see SetOracle.
	Oracle bool
	// The time between two sendings of the same vote doubles from MinInterval to MaxInterval; 0 for 200 ms and 3.2 s.
	MinInterval, MaxInterval time.Duration

	// Unsafe is for tests only: ByID compares votes by the ids of the candidates alone, NoEpochs by the counter of the
	// zxid and by id.
	Unsafe struct{ ByID, NoEpochs bool }
}

// Election is the part of a server that votes. It lives as long as the server: who has found a leader goes on answering
// those who look.
type Election struct {
	cfg Config
	// own is the membership of this server's files while it looks among other members, without a vote; nil otherwise.
	own   *quorum.Config
	state wire.ServerState
	round int64 // logical clock: the number of the election
	// initial is the own vote; vote is what is proposed, or the outcome, whose round was voteRound.
	initial   Vote
	vote      Vote
	voteRound int64
	decided   bool
	// told tells that the leader itself said that it leads, and that the outcome is no count of votes of this server's.
	told bool
	// left tells that the outcome is over, and the next election has not begun.
	left bool

	// received are the votes of this round, outside those of servers that have a leader already.
	received map[wire.ServerID]wire.Notification
	outside  map[wire.ServerID]wire.Notification
	// finalize is when the proposal, which has a quorum, is the outcome; 0 without a quorum.
	finalize time.Duration
	resend   time.Duration
	interval time.Duration

	// against are those who since this server was elected have voted for another, and deserted is when they became so
	// many that the rest is no quorum; 0 before.
	against  map[wire.ServerID]struct{}
	deserted time.Duration

	// mayLeadAlone is what the oracle says.
	mayLeadAlone bool

	messages []Message
}

// New returns the election of a server that has not looked for a leader yet.
func New(cfg Config) *Election {
	cfg.MinInterval, cfg.MaxInterval = cmp.Or(cfg.MinInterval, minInterval), cmp.Or(cfg.MaxInterval, maxInterval)
	return &Election{cfg: cfg, state: wire.Looking, initial: none, vote: none}
}

// Look begins a new election, with the last zxid and currentEpoch of this server.
func (e *Election) Look(now time.Duration, last wire.Zxid, current wire.Epoch) {
	e.state = wire.Looking
	e.decided, e.left = false, false
	e.round++
	e.initial = Vote{Leader: e.cfg.Self, Zxid: last, PeerEpoch: current}
	switch {
	case e.observes(), e.abstains():
		e.initial = none
	case !e.votes():
		e.initial.Leader = none.Leader
	}
	e.received = make(map[wire.ServerID]wire.Notification)
	e.outside = make(map[wire.ServerID]wire.Notification)
	e.interval = e.cfg.MinInterval
	e.propose(now, e.initial)
	e.schedule(now)
}

// Tick lets time pass.
func (e *Election) Tick(now time.Duration) {
	switch {
	case e.state != wire.Looking || e.received == nil:
	case e.finalize != 0 && now >= e.finalize:
		e.decide(e.vote, e.round)
	case now >= e.resend:
		e.sendToAll()
		e.interval = min(2*e.interval, e.cfg.MaxInterval)
		e.schedule(now)
	}
}

// Step handles a vote.
func (e *Election) Step(now time.Duration, from wire.ServerID, n wire.Notification) {
	switch {
	case e.left:
	case !e.cfg.Members.IsVoter(from):
		e.stepQuestion(from, n)
	case e.state != wire.Looking:
		if n.State == wire.Looking {
			e.send(from, e.notification(e.voteRound))
		}
		e.stepSupport(now, from, n)
	case e.received == nil:
	default:
		if n.State == wire.Looking && n.ElectionEpoch < e.round {
			e.send(from, e.late(n))
		}
		e.stepVote(now, from, n)
	}
}

// stepQuestion answers a server that does not vote: it only asks. Two that ask each other, or answers, would go to and fro
// for ever.
func (e *Election) stepQuestion(from wire.ServerID, n wire.Notification) {
	if n.State == wire.Looking && (e.state != wire.Looking || e.votes()) {
		e.send(from, e.notification(e.round))
	}
}

// stepVote handles the vote of a voter while this server looks.
func (e *Election) stepVote(now time.Duration, from wire.ServerID, n wire.Notification) {
	switch {
	case !e.cfg.Members.IsVoter(n.Leader), e.abstains() && n.Leader == e.cfg.Self:
	case n.State == wire.Looking:
		e.stepLooking(now, from, n)
	case n.State == wire.Following || n.State == wire.Leading:
		e.stepDecided(from, n)
	}
}

// stepLooking handles the vote of a server that looks, too.
func (e *Election) stepLooking(now time.Duration, from wire.ServerID, n wire.Notification) {
	if e.initial.Zxid == -1 || n.Zxid == -1 || n.ElectionEpoch < e.round {
		return
	}
	v := voteOf(n)
	switch {
	case n.ElectionEpoch > e.round:
		e.round = n.ElectionEpoch
		clear(e.received)
		better := e.initial
		if e.beats(v, better) {
			better = v
		}
		e.propose(now, better)
	case e.beats(v, e.vote):
		e.propose(now, v)
	case e.beats(e.vote, v):
		// It may have missed this vote, sent before it looked, and has to know it before it decides.
		e.send(from, e.notification(e.round))
	}
	before, known := e.received[from]
	e.received[from] = n
	// What somebody says again is no news, and votes are repeated about as often as the wait lasts.
	if e.finalize == 0 || !known || before.ElectionEpoch != n.ElectionEpoch || voteOf(before) != v {
		e.maybeFinalize(now)
	}
}

// maybeFinalize begins, or prolongs, the wait for a better vote.
func (e *Election) maybeFinalize(now time.Duration) {
	e.finalize = 0
	if e.quorum(func(id wire.ServerID) bool {
		n, ok := e.received[id]
		return ok && n.ElectionEpoch == e.round && voteOf(n) == e.vote
	}) {
		e.finalize = now + finalizeWait
	}
}

// stepDecided handles the vote of a server that has a leader.
func (e *Election) stepDecided(from wire.ServerID, n wire.Notification) {
	if n.ElectionEpoch == e.round {
		e.received[from] = unversioned(n)
		if e.agree(e.received, n) && e.leads(e.received, n) {
			e.decide(voteOf(n), e.round) // and it may just be opening its port
			return
		}
	}
	e.outside[from] = n
	// Where an oracle decides, one of two voters may lead without the vote of the other, who follows it.
	if e.agree(e.outside, n) && e.leads(e.outside, n) || e.asksOracle() && n.State == wire.Leading && n.Leader == from {
		e.round = n.ElectionEpoch
		e.decide(voteOf(n), e.round)
		e.told = true
	}
}

// unversioned is a vote as those of the same round are kept. Compared with one of version 0 only the leader counts; Apache
// ZooKeeper does the same, perhaps by accident.
func unversioned(n wire.Notification) wire.Notification {
	n.Version = 0
	return n
}

// agree tells whether a quorum of votes is for the leader of n. Among servers that have a leader only the leader and its
// epoch are compared; and if one of two votes has version 0, only the leader.
func (e *Election) agree(votes map[wire.ServerID]wire.Notification, n wire.Notification) bool {
	return e.cfg.Members.Quorum(func(id wire.ServerID) bool {
		other, ok := votes[id]
		switch {
		case !ok:
			return false
		case other.State == wire.Looking:
			return voteOf(other) == voteOf(n) && other.ElectionEpoch == n.ElectionEpoch
		case (other.Version == 0) != (n.Version == 0):
			return other.Leader == n.Leader
		}
		return other.Leader == n.Leader && other.PeerEpoch == n.PeerEpoch
	})
}

// leads tells whether the leader of n itself says that it leads; others may not know yet that it is gone.
func (e *Election) leads(votes map[wire.ServerID]wire.Notification, n wire.Notification) bool {
	if n.Leader == e.cfg.Self {
		return n.ElectionEpoch == e.round
	}
	leader, ok := votes[n.Leader]
	return ok && leader.State == wire.Leading
}

// beats tells whether one vote is better than another: by epoch, then zxid, then id.
func (e *Election) beats(v, other Vote) bool {
	if !e.cfg.Members.MayLead(v.Leader) {
		return false
	}
	if e.cfg.Unsafe.ByID {
		v.Zxid, other.Zxid = 0, 0
	}
	if e.cfg.Unsafe.NoEpochs {
		v.Zxid, other.Zxid = v.Zxid&0xffffffff, other.Zxid&0xffffffff
	}
	if e.cfg.Unsafe.ByID || e.cfg.Unsafe.NoEpochs {
		v.PeerEpoch, other.PeerEpoch = 0, 0
	}
	return cmp.Or(
		cmp.Compare(v.PeerEpoch, other.PeerEpoch), cmp.Compare(v.Zxid, other.Zxid), cmp.Compare(v.Leader, other.Leader),
	) > 0
}

// propose takes over a vote and tells everybody, this server included.
func (e *Election) propose(now time.Duration, v Vote) {
	e.vote = v
	e.finalize = 0
	e.sendToAll()
	if e.votes() && e.initial.Zxid != -1 {
		e.received[e.cfg.Self] = e.notification(e.round)
		e.maybeFinalize(now)
	}
}

// stepSupport counts who votes for another although this server was elected: a better candidate may have come at the very
// moment of the decision, to the others first.
func (e *Election) stepSupport(now time.Duration, from wire.ServerID, n wire.Notification) {
	if e.state != wire.Leading || n.ElectionEpoch < e.voteRound {
		return
	}
	if n.Leader == e.cfg.Self {
		delete(e.against, from)
	} else {
		e.against[from] = struct{}{}
	}
	switch supported := e.quorum(func(id wire.ServerID) bool { _, against := e.against[id]; return !against }); {
	case supported:
		e.deserted = 0
	case e.deserted == 0:
		e.deserted = now
	}
}

// Deserted tells that this server was elected, but that by now so many vote for others that it will find no quorum. To
// wait for one until initLimit is over would keep it, and perhaps the ensemble, out of service.
func (e *Election) Deserted(now time.Duration) bool {
	return e.state == wire.Leading && e.deserted != 0 && now-e.deserted >= desertedWait
}

func (e *Election) decide(v Vote, round int64) {
	e.against, e.deserted = make(map[wire.ServerID]struct{}), 0
	e.decided, e.told, e.left = true, false, false
	e.vote, e.voteRound = v, round
	switch {
	case v.Leader == e.cfg.Self:
		e.state = wire.Leading
	case e.observes():
		e.state = wire.Observing
	default:
		e.state = wire.Following
	}
	e.received, e.outside = nil, nil
}

// Decision is the outcome of the election; ok is false while there is none.
func (e *Election) Decision() (v Vote, ok bool) { return e.vote, e.decided }

// Told tells that the elected leader itself has said that it leads.
func (e *Election) Told() bool { return e.decided && e.told }

// Leave says that this server follows nobody any more, or leads no more, though it does not look for a leader yet, or never
// will. It answers nobody until then: those who look would follow one who is gone.
func (e *Election) Leave() { e.left = true }

// Established tells that the elected leader leads in this epoch, which is what those who look have to be told.
func (e *Election) Established(epoch wire.Epoch) { e.vote.PeerEpoch = epoch }

// Take returns the votes to send since the last call, by receiver, and forgets them.
func (e *Election) Take() []Message {
	m := e.messages
	e.messages = nil
	return m
}

func (e *Election) sendToAll() {
	for _, id := range e.asked() {
		if id != e.cfg.Self {
			e.send(id, e.notification(e.round))
		}
	}
}

func (e *Election) send(to wire.ServerID, n wire.Notification) {
	e.messages = append(e.messages, Message{To: to, Notification: n})
}

func (e *Election) schedule(now time.Duration) { e.resend = now + e.interval }

func (e *Election) notification(round int64) wire.Notification {
	v := e.vote
	if e.state == wire.Looking && e.abstains() {
		v = none // whom the others vote for is no vote of this server, but they would count it
	}
	return wire.Notification{
		State: e.state, Leader: v.Leader, Zxid: v.Zxid, ElectionEpoch: round, PeerEpoch: v.PeerEpoch,
		Version: wire.NotificationVersion, Config: e.cfg.Members.Text(),
	}
}

func voteOf(n wire.Notification) Vote {
	return Vote{Leader: n.Leader, Zxid: n.Zxid, PeerEpoch: n.PeerEpoch}
}
