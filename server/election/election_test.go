package election

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// voters is a membership of servers 1 to n, and of an observer 9.
func voters(t *testing.T, n int) *quorum.Config {
	t.Helper()
	members := []quorum.Member{{ID: 9, Observer: true}}
	for id := range n {
		members = append(members, quorum.Member{ID: wire.ServerID(id + 1)})
	}
	c, err := quorum.New(members, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scene is one server that votes and the others played by the test.
type scene struct {
	t   *testing.T
	e   *Election
	now time.Duration
}

// newScene lets server self look, with last zxid 0x100000005 and epoch 1.
func newScene(t *testing.T, c *quorum.Config, self wire.ServerID) *scene {
	t.Helper()
	s := &scene{t: t, e: New(Config{Self: self, Members: c})}
	s.e.Look(s.now, ownLast, ownEpoch)
	return s
}

const (
	ownLast  wire.Zxid  = 0x100000005
	ownEpoch wire.Epoch = 1
)

// vote is a notification of version 2.
func vote(state wire.ServerState, leader wire.ServerID, round int64, epoch wire.Epoch, zxid wire.Zxid) wire.Notification {
	return wire.Notification{
		State: state, Leader: leader, Zxid: zxid, ElectionEpoch: round, PeerEpoch: epoch, Version: wire.NotificationVersion,
	}
}

func (s *scene) hears(from wire.ServerID, n wire.Notification) { s.e.Step(s.now, from, n) }

func (s *scene) passes(d time.Duration) {
	const step = 25 * time.Millisecond
	for end := s.now + d; s.now < end; {
		s.now = min(s.now+step, end)
		s.e.Tick(s.now)
	}
}

// says compares what was sent since the last call: "1:3/2" is a vote for server 3 in round 2, to server 1.
func (s *scene) says(want ...string) {
	s.t.Helper()
	var got []string
	for _, m := range s.e.Take() {
		state := [...]string{"", "following ", "leading ", "observing "}[m.Notification.State]
		got = append(got, fmt.Sprintf("%d:%s%s/%d", m.To, state, name(m.Notification.Leader), m.Notification.ElectionEpoch))
		if string(m.Notification.Config) != string(s.e.cfg.Members.Text()) || m.Notification.Version != 2 {
			s.t.Errorf("%+v", m.Notification)
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("sent %q, want %q", got, want)
	}
}

func name(id wire.ServerID) string {
	if id == math.MinInt64 {
		return "nobody"
	}
	return fmt.Sprint(id)
}

func (s *scene) decided(leader wire.ServerID, state wire.ServerState) {
	s.t.Helper()
	if v, ok := s.e.Decision(); !ok || v.Leader != leader || s.e.state != state {
		s.t.Errorf("decided %t on %v in state %v, want %v in state %v", ok, name(v.Leader), s.e.state, leader, state)
	}
}

func (s *scene) undecided() {
	s.t.Helper()
	if v, ok := s.e.Decision(); ok {
		s.t.Errorf("decided on %v", v.Leader)
	}
}

const (
	looking   = wire.Looking
	following = wire.Following
	leading   = wire.Leading
)

func TestOrderOfVotes(t *testing.T) {
	e := New(Config{Self: 1, Members: voters(t, 5)})
	ascending := []Vote{
		none, {1, 0, 0}, {2, 0, 0}, {1, 1, 0}, {5, 1, 0}, {2, 1 << 32, 0}, {1, 0, 1}, {1, 0x100000007, 1}, {1, 0x7fffffff00000000, 1}, {3, -5, 2},
	}
	for i, v := range ascending {
		for j, other := range ascending {
			if got := e.beats(v, other); got != (i > j) {
				t.Errorf("%+v beats %+v: %t", v, other, got)
			}
		}
	}
}

func TestServersWithoutWeightNeverWin(t *testing.T) {
	members := []quorum.Member{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}}
	c, err := quorum.New(members, []quorum.Group{
		{Voters: []quorum.Weighted{{ID: 1, Weight: 1}, {ID: 2, Weight: 1}, {ID: 3, Weight: 1}}},
		{Voters: []quorum.Weighted{{ID: 4, Weight: 0}}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, c, 1)
	s.says("2:1/1", "3:1/1", "4:1/1")
	s.hears(4, vote(looking, 4, 1, 7, 0x700000000))
	s.says()
	s.hears(4, vote(looking, 4, 2, 7, 0x700000000))
	s.says("2:1/2", "3:1/2", "4:1/2") // the round, not the vote
	s.hears(2, vote(looking, 2, 2, 1, ownLast))
	s.hears(4, vote(looking, 2, 2, 1, ownLast))
	s.passes(time.Second)
	s.decided(2, following)
}

func TestGroupsNeedAMajorityOfMajorities(t *testing.T) {
	var members []quorum.Member
	var groups []quorum.Group
	for g := range 3 {
		var group quorum.Group
		for i := range 3 {
			id := wire.ServerID(3*g + i + 1)
			members = append(members, quorum.Member{ID: id})
			group.Voters = append(group.Voters, quorum.Weighted{ID: id, Weight: 1})
		}
		groups = append(groups, group)
	}
	c, err := quorum.New(members, groups, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, c, 9)
	for _, from := range []wire.ServerID{1, 4, 7, 8} { // five of nine, but only one group
		s.hears(from, vote(looking, 9, 1, 1, ownLast))
	}
	s.passes(time.Second)
	s.undecided()
	s.hears(2, vote(looking, 9, 1, 1, ownLast))
	s.passes(time.Second)
	s.decided(9, leading)
}

func TestBetterVoteIsTakenOver(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.says("1:2/1", "3:2/1")
	s.hears(1, vote(looking, 1, 1, 1, ownLast))
	s.says("1:2/1") // worse: it has to know of the better one, which it may have missed
	s.hears(1, vote(looking, 2, 1, 1, ownLast))
	s.says()
	s.hears(3, vote(looking, 3, 1, 1, ownLast))
	s.says("1:3/1", "3:3/1")
	s.hears(3, vote(looking, 3, 1, 1, ownLast))
	s.says()
	s.passes(200 * time.Millisecond)
	s.decided(3, following)
}

func TestLaterRoundIsTakenOver(t *testing.T) {
	s := newScene(t, voters(t, 5), 4)
	s.hears(3, vote(looking, 4, 1, 1, ownLast))
	s.e.Take()
	s.hears(1, vote(looking, 1, 7, 1, ownLast)) // worse, but later
	s.says("1:4/7", "2:4/7", "3:4/7", "5:4/7")
	s.hears(2, vote(looking, 4, 7, 1, ownLast))
	s.passes(time.Second)
	s.undecided() // the vote of server 3 was of an earlier round
	s.hears(3, vote(looking, 4, 7, 1, ownLast))
	s.passes(time.Second)
	s.decided(4, leading)
	if s.e.voteRound != 7 {
		t.Errorf("round %d", s.e.voteRound)
	}
}

// TestLaterRoundForgetsOutcomes: within a round the epoch of an outcome is not compared, so those of an earlier round must
// not count.
func TestLaterRoundForgetsOutcomes(t *testing.T) {
	s := newScene(t, voters(t, 5), 1)
	s.hears(2, vote(following, 5, 1, 3, ownLast))
	s.hears(3, vote(following, 5, 1, 3, ownLast))
	s.hears(4, vote(looking, 4, 7, 1, ownLast))
	s.hears(5, vote(leading, 5, 7, 4, ownLast))
	s.undecided()
}

func TestLaterRoundIsComparedWithTheOwnHistory(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(3, vote(looking, 3, 1, 9, 0x900000000))
	s.e.Take()
	s.hears(2, vote(looking, 2, 2, 1, ownLast)) // the proposal of round 1 counts no longer
	s.says("2:2/2", "3:2/2")
}

func TestEarlierRoundIsAnsweredAndIgnored(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.hears(1, vote(looking, 1, 5, 1, ownLast))
	s.e.Take()
	s.hears(3, vote(looking, 3, 4, 9, 0x900000000))
	s.says("3:2/5")
	s.hears(3, vote(looking, math.MinInt64, 4, 0, 0)) // whatever it votes for
	s.says("3:2/5")
	s.passes(time.Second)
	s.undecided()
}

func TestFinalizeWaitBeginsAgainWithEachVote(t *testing.T) {
	s := newScene(t, voters(t, 5), 5)
	s.hears(1, vote(looking, 5, 1, 1, ownLast))
	s.hears(2, vote(looking, 5, 1, 1, ownLast))
	s.passes(175 * time.Millisecond)
	s.hears(3, vote(looking, 3, 1, 1, ownLast))
	s.passes(175 * time.Millisecond)
	s.undecided()
	s.passes(25 * time.Millisecond)
	s.decided(5, leading)
}

func TestBetterVoteEndsTheFinalizeWait(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.hears(1, vote(looking, 2, 1, 1, ownLast))
	s.passes(175 * time.Millisecond)
	s.hears(3, vote(looking, 3, 1, 1, ownLast+1))
	s.passes(175 * time.Millisecond)
	s.undecided()
	s.passes(25 * time.Millisecond)
	s.decided(3, following)
}

func TestVotesAreSentAgainAndMoreRarely(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.says("2:1/1", "3:1/1")
	var gaps []time.Duration
	last := s.now
	for range 8 {
		for {
			s.passes(25 * time.Millisecond)
			if m := s.e.Take(); len(m) == 2 {
				break
			}
		}
		gaps, last = append(gaps, s.now-last), s.now
	}
	want := "[200ms 400ms 800ms 1.6s 3.2s 3.2s 3.2s 3.2s]"
	if got := fmt.Sprint(gaps); got != want {
		t.Errorf("gaps are %s, want %s", got, want)
	}
	s.e.Look(s.now, ownLast, ownEpoch)
	s.says("2:1/2", "3:1/2")
	s.passes(200 * time.Millisecond)
	s.says("2:1/2", "3:1/2")
}

func TestSingleServerElectsItself(t *testing.T) {
	s := newScene(t, voters(t, 1), 1)
	s.passes(200 * time.Millisecond)
	s.decided(1, leading)
	s.says()
}

func TestEmptyServersNeitherVoteNorCount(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.hears(1, vote(looking, 1, 1, 0, -1))
	s.hears(3, vote(looking, 3, 9, 0, -1))
	s.passes(time.Second)
	s.undecided()
	if s.e.round != 1 {
		t.Errorf("round %d", s.e.round)
	}

	s = newScene(t, voters(t, 1), 1)
	s.e.Look(s.now, -1, 0)
	s.passes(time.Second)
	s.undecided()

	s = newScene(t, voters(t, 3), 2)
	s.e.Look(s.now, -1, 0)
	s.hears(1, vote(looking, 2, 2, 0, 0))
	s.hears(3, vote(looking, 2, 2, 0, 0))
	s.passes(time.Second)
	s.undecided()
	s.hears(1, vote(following, 3, 2, 1, 0))
	s.hears(3, vote(leading, 3, 2, 1, 0))
	s.decided(3, following)
}

func TestVotesForOrOfStrangersDoNotCount(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.e.Take()
	s.hears(1, vote(looking, 9, 1, 9, 0x900000000)) // an observer
	s.hears(3, vote(looking, 77, 5, 9, 0x900000000))
	s.hears(3, vote(leading, 77, 1, 9, 0x900000000))
	s.says()
	s.hears(77, vote(looking, 77, 5, 9, 0x900000000))
	s.says("77:2/1")
	s.passes(100 * time.Millisecond)
	s.undecided()
	if s.e.round != 1 {
		t.Errorf("round %d", s.e.round)
	}
}

// TestWhoIsAnswered: a server with a leader answers all who look: voters with the round of its vote, others with its own
// clock. A voter that looks answers those, too.
func TestWhoIsAnswered(t *testing.T) {
	s := newScene(t, voters(t, 3), 3)
	s.e.Take()
	s.hears(9, vote(looking, math.MinInt64, 3, 0, 0))
	s.says("9:3/1")
	s.hears(1, vote(looking, 3, 1, 1, ownLast))
	s.hears(2, vote(looking, 3, 1, 1, ownLast))
	s.passes(200 * time.Millisecond)
	s.decided(3, leading)
	s.e.Take()
	s.hears(1, vote(following, 3, 1, 1, ownLast))
	s.hears(1, vote(leading, 1, 1, 1, ownLast))
	s.says()
	s.hears(1, vote(looking, 1, 8, 9, ownLast))
	s.says("1:leading 3/1")
	s.hears(9, vote(looking, math.MinInt64, 3, 0, 0))
	s.says("9:leading 3/1")
	s.hears(9, vote(wire.Observing, 3, 1, 1, ownLast))
	s.says() // that was an answer
	s.passes(time.Minute)
	s.says() // nothing without being asked
}

// TestQuestionsDoNotGoToAndFro: two servers that take each other for no voters, as when a membership has just changed, do
// not ask each other for ever.
func TestQuestionsDoNotGoToAndFro(t *testing.T) {
	s := newScene(t, voters(t, 3), 9)
	s.e.Take()
	s.hears(8, vote(looking, math.MinInt64, 1, 0, 0))
	s.says()
}

// TestEstablishedEpochIsTold: what a joiner is told is the vote with the epoch that the leader leads in.
func TestEstablishedEpochIsTold(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(3, vote(looking, 3, 1, 1, ownLast))
	s.passes(200 * time.Millisecond)
	s.decided(3, following)
	for _, epoch := range []wire.Epoch{1, 2} {
		s.e.Take()
		s.hears(2, vote(looking, 2, 1, 1, ownLast))
		n := s.e.Take()[0].Notification
		if n.State != following || n.Leader != 3 || n.Zxid != ownLast || n.PeerEpoch != epoch || n.ElectionEpoch != 1 {
			t.Errorf("%+v", n)
		}
		s.e.Established(2)
	}
}

// TestJoining: whoever finds an ensemble with a leader needs a quorum of its members, and the leader's own word.
func TestJoining(t *testing.T) {
	s := newScene(t, voters(t, 5), 5)
	s.hears(1, vote(following, 2, 9, 3, 0x200000001))
	s.hears(3, vote(following, 2, 9, 3, 0x200000001))
	s.hears(4, vote(following, 2, 9, 3, 0x200000001))
	s.undecided()
	s.hears(2, vote(leading, 2, 9, 3, 0x200000001))
	s.decided(2, following)
	if s.e.round != 9 || s.e.voteRound != 9 {
		t.Errorf("round %d, of the vote %d", s.e.round, s.e.voteRound)
	}
	v, _ := s.e.Decision()
	if v != (Vote{2, 0x200000001, 3}) {
		t.Errorf("%+v", v)
	}

	s = newScene(t, voters(t, 5), 5)
	s.hears(2, vote(leading, 2, 9, 3, 0x200000001))
	s.hears(1, vote(following, 2, 9, 3, 0x200000001))
	s.undecided() // no quorum
	s.hears(3, vote(following, 2, 9, 3, 0x200000001))
	s.decided(2, following)
}

// TestJoiningAnotherRound: outside the own round leader and epoch must agree.
func TestJoiningAnotherRound(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(3, vote(leading, 3, 9, 4, 0x200000001))
	s.hears(2, vote(following, 3, 9, 3, 0x200000001))
	s.undecided()
	s.hears(2, vote(following, 3, 8, 4, 0x100000001)) // neither round nor zxid matter
	s.decided(3, following)
}

// TestJoiningTheSameRound: within the own round the leader alone counts; its members learn of the new epoch one after the
// other.
func TestJoiningTheSameRound(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(3, vote(leading, 3, 1, 4, 0x200000001))
	s.hears(2, vote(following, 3, 1, 3, 0x200000001))
	s.decided(3, following)
}

// TestVotesOfSeekersCountForALeader: of the own round, if they are equal in everything.
func TestVotesOfSeekersCountForALeader(t *testing.T) {
	s := newScene(t, voters(t, 5), 1)
	s.hears(2, vote(looking, 5, 1, 1, ownLast))
	s.hears(3, vote(looking, 5, 1, 1, ownLast))
	s.hears(5, vote(leading, 5, 1, 1, ownLast+1)) // not equal to theirs
	s.undecided()
	s.hears(5, vote(leading, 5, 1, 1, ownLast))
	s.decided(5, following)
}

// TestPeersWithoutVersion: with those before 3.5 only the leader is compared.
func TestPeersWithoutVersion(t *testing.T) {
	old := vote(leading, 3, 9, 4, 0x200000001)
	old.Version = 0
	s := newScene(t, voters(t, 3), 1)
	s.hears(2, vote(following, 3, 9, 2, 0x200000001))
	s.hears(3, old)
	s.decided(3, following)

	other := vote(following, 3, 9, 2, 0x200000001)
	other.Version = 0
	s = newScene(t, voters(t, 3), 1)
	s.hears(2, other)
	s.hears(3, old)
	s.undecided() // two of the old kind compare their epochs again
}

// TestOthersChoseMe: who is said to lead leads only if they say so in its own round; otherwise they mean its past.
func TestOthersChoseMe(t *testing.T) {
	s := newScene(t, voters(t, 3), 3)
	s.hears(1, vote(following, 3, 5, 1, ownLast))
	s.hears(2, vote(following, 3, 5, 1, ownLast))
	s.undecided()
	s = newScene(t, voters(t, 3), 3)
	s.hears(1, vote(following, 3, 1, 1, ownLast))
	s.decided(3, leading) // with the own vote that is a quorum
}

func TestDeadLeaderIsNotJoined(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(2, vote(following, 3, 1, 1, ownLast))
	s.hears(3, vote(looking, 3, 1, 0, 0)) // it is back, and leads no more
	s.passes(100 * time.Millisecond)
	s.undecided()
}

func TestObserver(t *testing.T) {
	s := newScene(t, voters(t, 3), 9)
	s.says("1:nobody/1", "2:nobody/1", "3:nobody/1")
	s.hears(1, vote(following, 2, 4, 3, 0))
	s.undecided()
	s.hears(2, vote(leading, 2, 4, 3, 0))
	s.decided(2, wire.Observing)
	s.hears(1, vote(looking, 1, 9, 0, 0))
	s.e.Take()

	// It may as well watch an election.
	s = newScene(t, voters(t, 3), 9)
	for _, from := range []wire.ServerID{1, 2} {
		s.hears(from, vote(looking, 2, 1, 1, ownLast))
	}
	s.passes(200 * time.Millisecond)
	s.decided(2, wire.Observing)
	s.e.Look(s.now, 0, 0)
	s.passes(time.Second)
	s.undecided()
}

// TestJoiner is a participant that the members do not know yet.
func TestJoiner(t *testing.T) {
	s := newScene(t, voters(t, 3), 7)
	s.says("1:nobody/1", "2:nobody/1", "3:nobody/1")
	s.hears(1, vote(following, 2, 4, 3, 0))
	s.hears(2, vote(leading, 2, 4, 3, 0))
	s.decided(2, following)
}

func TestNothingHappensBeforeTheFirstLook(t *testing.T) {
	e := New(Config{Self: 1, Members: voters(t, 3)})
	e.Tick(time.Hour)
	e.Step(time.Hour, 2, vote(looking, 2, 1, 1, 1))
	e.Step(time.Hour, 2, vote(leading, 2, 1, 1, 1))
	if _, ok := e.Decision(); ok || len(e.Take()) > 0 {
		t.Error("it votes")
	}
}

func TestLookingAgainForgetsTheOutcome(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.hears(3, vote(looking, 3, 1, 1, ownLast))
	s.passes(200 * time.Millisecond)
	s.decided(3, following)
	s.e.Look(s.now, ownLast, ownEpoch)
	s.undecided()
	s.passes(time.Second)
	s.undecided()
	if s.e.round != 2 {
		t.Errorf("round %d", s.e.round)
	}
}

// A better candidate that comes in the moment of the decision wins the others; who was elected before must not wait for
// them until initLimit is over.
func TestLeaderWithoutVotersIsDeserted(t *testing.T) {
	s := newScene(t, voters(t, 3), 2)
	s.hears(1, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	s.passes(300 * time.Millisecond)
	s.decided(2, wire.Leading)

	deserted := func(want bool) {
		t.Helper()
		if got := s.e.Deserted(s.now); got != want {
			t.Errorf("deserted at %v: %v, want %v", s.now, got, want)
		}
	}
	s.hears(3, vote(wire.Looking, 3, 1, ownEpoch, ownLast))
	s.passes(time.Second)
	deserted(false) // 1 is still for it
	s.hears(1, vote(wire.Looking, 3, 1, ownEpoch, ownLast))
	deserted(false) // perhaps it comes back
	s.passes(time.Second)
	deserted(true)
	s.hears(1, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	deserted(false)
	s.hears(1, vote(wire.Looking, 1, 0, ownEpoch, ownLast)) // of an earlier round
	s.passes(time.Second)
	deserted(false)
	s.hears(1, vote(wire.Following, 3, 2, ownEpoch, ownLast))
	s.passes(time.Second)
	deserted(true)
	s.e.Look(s.now, ownLast, ownEpoch)
	deserted(false)
}

func TestIntervalsOfNotifications(t *testing.T) {
	s := &scene{t: t, e: New(Config{
		Self: 1, Members: voters(t, 3), MinInterval: 50 * time.Millisecond, MaxInterval: 150 * time.Millisecond,
	})}
	s.e.Look(s.now, ownLast, ownEpoch)
	s.says("2:1/1", "3:1/1")
	for _, gap := range []time.Duration{50, 100, 150, 150} {
		s.passes((gap - 25) * time.Millisecond)
		s.says()
		s.passes(25 * time.Millisecond)
		s.says("2:1/1", "3:1/1")
	}
}

// TestLeave: who has left its leader, and does not look yet, answers nobody; and who was told by the leader itself knows.
func TestLeave(t *testing.T) {
	s := newScene(t, voters(t, 3), 1)
	s.e.Take()
	if s.e.Told() {
		t.Error("nobody has told it anything")
	}
	s.hears(2, vote(wire.Following, 3, 7, 1, ownLast))
	s.hears(3, vote(wire.Leading, 3, 7, 1, ownLast))
	s.decided(3, wire.Following)
	if !s.e.Told() {
		t.Error("the leader has told it")
	}
	s.hears(2, vote(wire.Looking, 2, 8, 1, ownLast))
	s.says("2:following 3/7")
	s.e.Leave()
	s.hears(2, vote(wire.Looking, 2, 8, 1, ownLast))
	s.hears(9, vote(wire.Looking, 9, 8, 1, ownLast))
	s.says()
	s.e.Look(s.now, ownLast, ownEpoch)
	s.hears(2, vote(wire.Looking, 1, 8, 1, ownLast))
	s.passes(time.Second)
	s.decided(1, wire.Leading)
	if s.e.Told() {
		t.Error("it was elected")
	}
}

// A vote that is repeated does not prolong the wait for a better one; a new one does.
func TestRepeatedVotes(t *testing.T) {
	const almost, rest = finalizeWait - 50*time.Millisecond, 75 * time.Millisecond
	s := newScene(t, voters(t, 3), 1)
	s.hears(2, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	s.passes(almost)
	s.hears(2, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	s.passes(rest)
	if s.e.state != wire.Following {
		t.Errorf("after a repeated vote: %v", s.e.state)
	}
	s = newScene(t, voters(t, 3), 1)
	s.hears(2, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	s.passes(almost)
	s.hears(3, vote(wire.Looking, 2, 1, ownEpoch, ownLast))
	s.passes(rest)
	if s.e.state != wire.Looking {
		t.Errorf("after a new vote: %v", s.e.state)
	}
}
