package election

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// memberList is a membership of voters with these ids.
func memberList(t *testing.T, ids ...wire.ServerID) *quorum.Config {
	t.Helper()
	var members []quorum.Member
	for _, id := range ids {
		members = append(members, quorum.Member{ID: id})
	}
	c, err := quorum.New(members, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// guided is server 2, which looks among servers 2 and 5, with 1 to 3 in its own files.
func guided(t *testing.T) *scene {
	t.Helper()
	s := newScene(t, memberList(t, 1, 2, 3), 2)
	s.e.BeGuided(memberList(t, 2, 5), memberList(t, 1, 2, 3))
	s.e.Take()
	s.e.Look(s.now, ownLast, ownEpoch)
	return s
}

// TestGuidedAsksEverybody: those whom somebody named may be gone, while those in the own files know where the ensemble is.
func TestGuidedAsksEverybody(t *testing.T) {
	s := guided(t)
	s.says("1:nobody/2", "3:nobody/2", "5:nobody/2")
	s.passes(time.Second)
	if len(s.e.Take()) == 0 {
		t.Error("it asks once only")
	}
}

// TestGuidedIsNoCandidate: it does not vote for itself, whoever else does.
func TestGuidedIsNoCandidate(t *testing.T) {
	s := guided(t)
	s.e.Take()
	s.hears(5, vote(looking, 2, 2, ownEpoch, ownLast))
	s.passes(5 * time.Second)
	s.undecided()
	for _, m := range s.e.Take() {
		if m.Notification.Leader == 2 {
			t.Errorf("it votes for itself: %+v", m)
		}
	}
}

// TestGuidedHasNoVote, for others neither, while it takes part in finding out whom they elect.
func TestGuidedHasNoVote(t *testing.T) {
	s := newScene(t, memberList(t, 1, 2, 3), 2)
	s.e.BeGuided(memberList(t, 1, 2, 3), memberList(t, 1, 2, 3))
	s.e.Take()
	s.e.Look(s.now, ownLast, ownEpoch)
	s.hears(1, vote(looking, 1, 4, ownEpoch, ownLast))
	s.hears(3, vote(looking, 3, 4, ownEpoch, ownLast))
	s.passes(5 * time.Second)
	s.undecided()
	for _, m := range s.e.Take() {
		if m.Notification.Leader != none.Leader {
			t.Errorf("it votes: %+v", m)
		}
	}
	s.hears(1, vote(looking, 3, 4, ownEpoch, ownLast))
	s.passes(time.Second)
	s.decided(3, following)
}

// TestGuidedFollows those who have a leader, but never leads, although others may have voted for it before.
func TestGuidedFollows(t *testing.T) {
	s := guided(t)
	s.e.BeGuided(memberList(t, 2, 5, 6), memberList(t, 1, 2, 3))
	s.e.Look(s.now, ownLast, ownEpoch)
	s.hears(5, vote(following, 2, 3, ownEpoch, ownLast))
	s.hears(6, vote(following, 2, 3, ownEpoch, ownLast))
	s.undecided()
	s.hears(5, vote(leading, 5, 7, ownEpoch, ownLast))
	s.hears(6, vote(following, 5, 7, ownEpoch, ownLast))
	s.decided(5, following)
}

// TestVotingAgain: with a membership of its own it votes like others.
func TestVotingAgain(t *testing.T) {
	s := guided(t)
	s.e.SetMembers(memberList(t, 2), nil)
	s.e.Look(s.now, ownLast, ownEpoch)
	s.passes(time.Second)
	s.decided(2, leading)
}

// TestVotersToComeAreAsked: the membership that was proposed last may be in force already, with nobody of the old one left
// who knows.
func TestVotersToComeAreAsked(t *testing.T) {
	s := newScene(t, memberList(t, 1), 1)
	s.e.SetMembers(memberList(t, 1), memberList(t, 1, 2, 3))
	s.e.Take()
	s.e.Look(s.now, ownLast, ownEpoch)
	s.says("2:1/2", "3:1/2")
	s.passes(time.Second)
	s.decided(1, leading) // it needs their quorum to lead, not to try
}

// TestLateVoters: a vote of an earlier round is answered with the own one. Who does not vote agrees instead: a server of
// Apache ZooKeeper that has seen a membership proposed in which it does vote waits for it, in that round.
func TestLateVoters(t *testing.T) {
	s := newScene(t, voters(t, 3), 3)
	s.e.Look(s.now, ownLast, ownEpoch)
	s.e.Take()
	s.hears(1, vote(looking, 1, 1, ownEpoch, ownLast+1))
	s.says("1:3/2")

	s = newScene(t, voters(t, 3), 4)
	s.e.Look(s.now, ownLast, ownEpoch)
	s.e.Take()
	s.hears(1, vote(looking, 1, 1, ownEpoch, ownLast+1))
	s.says("1:1/1")
	s.hears(1, vote(looking, 7, 1, ownEpoch, ownLast+1))
	s.says("1:nobody/2") // server 7 cannot lead

	s = guided(t)
	s.e.Take()
	s.hears(5, vote(looking, 5, 1, ownEpoch, ownLast+1))
	s.says("5:nobody/2") // it may be a voter after all
}

// TestDesignatedLeader: whom the leader before has named leads without an election; those who look are told.
func TestDesignatedLeader(t *testing.T) {
	for self, state := range map[wire.ServerID]wire.ServerState{1: following, 2: leading, 9: wire.Observing} {
		s := newScene(t, voters(t, 3), self)
		s.e.Take()
		s.e.Designate(2, ownLast)
		s.decided(2, state)
		if v, _ := s.e.Decision(); v.Zxid != ownLast || v.PeerEpoch != ownLast.Epoch() {
			t.Errorf("%+v", v)
		}
		s.e.Established(7)
		s.hears(3, vote(looking, 3, 1, ownEpoch, ownLast))
		answers := s.e.Take()
		if len(answers) != 1 {
			t.Errorf("answers %+v", answers)
		}
		for _, m := range answers {
			if n := m.Notification; m.To != 3 || n.Leader != 2 || n.PeerEpoch != 7 || n.State != state {
				t.Errorf("%+v", m)
			}
		}
		s.passes(10 * time.Second)
		s.decided(2, state)
	}
}
