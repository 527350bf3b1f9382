package node_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// voters is a membership of a version.
func voters(version int64, ids ...wire.ServerID) *quorum.Config {
	var list []quorum.Member
	for _, id := range ids {
		list = append(list, quorum.Member{ID: id, Host: fmt.Sprintf("h%d", id), QuorumPort: 2888, ElectionPort: 3888})
	}
	c, err := quorum.New(list, nil, version)
	if err != nil {
		panic(err)
	}
	return c
}

// seeker is server 3, which looks for a leader, and what it did.
type seeker struct {
	t   *testing.T
	n   *node.Node
	now node.Now
	did []node.Effect
}

func seekerConfig(members *quorum.Config) node.Config {
	return node.Config{
		Self: 3, Members: members, ReconfigEnabled: true,
		TickTime: time.Second, InitLimitTicks: 10, SyncLimitTicks: 5, SnapCount: 1000, Rand: rand.New(rand.NewPCG(1, 1)),
	}
}

// newSeeker has a history that ends with the reconfigurations to these memberships, and lastSeen in its files.
func newSeeker(t *testing.T, members, lastSeen *quorum.Config, logged ...*quorum.Config) *seeker {
	t.Helper()
	db := &node.Database{Tree: tree.New(tree.Options{})}
	for _, c := range logged {
		zxid := wire.Zxid(c.Version())
		db.Tree.Apply(txn.Header{Zxid: zxid, Type: wire.OpReconfig}, &txn.SetData{Path: tree.ConfigPath, Data: c.Text(), Version: -1}, nil)
		db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch = zxid, zxid.Epoch(), zxid.Epoch()
	}
	cfg := seekerConfig(members)
	cfg.LastSeen = lastSeen
	n, err := node.New(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	s := &seeker{t: t, n: n}
	s.step(node.Tick{})
	return s
}

func (s *seeker) step(in node.Input) {
	s.n.Step(s.now, in)
	for effects := s.n.Effects(nil); len(effects) > 0; effects = s.n.Effects(nil) {
		s.did = append(s.did, effects...)
		for _, e := range effects {
			switch e := e.(type) {
			case node.SaveMembers:
				s.n.Step(s.now, node.StorageDone{ID: e.ID})
			case node.SaveEpoch:
				s.n.Step(s.now, node.StorageDone{ID: e.ID})
			case node.Append:
				s.n.Step(s.now, node.StorageDone{ID: e.ID})
			}
		}
	}
}

func (s *seeker) pass(d time.Duration) {
	for end := s.now.Mono + d; s.now.Mono < end; s.now.Mono += node.TickInterval {
		s.step(node.Tick{})
	}
}

// hears lets a server say whom it follows, and which membership it has.
func (s *seeker) hears(from wire.ServerID, state wire.ServerState, leader wire.ServerID, c *quorum.Config) {
	s.step(node.NotificationReceived{From: from, Notification: wire.Notification{
		State: state, Leader: leader, Zxid: 1, ElectionEpoch: 7, PeerEpoch: 1, Version: wire.NotificationVersion, Config: c.Text(),
	}})
}

// takes the effects since the last call, as text.
func (s *seeker) takes() string {
	var lines []string
	asked := make(map[wire.ServerID]bool)
	for _, e := range s.did {
		switch e := e.(type) {
		case node.SaveMembers:
			lines = append(lines, fmt.Sprintf("save %x %x", e.Members.Version(), e.LastSeen.Version()))
		case node.MembersChanged:
			lines = append(lines, fmt.Sprintf("connect %x %x", e.Members.Version(), e.LastSeen.Version()))
		case node.DialLeader:
			lines = append(lines, fmt.Sprintf("dial %d", e.Leader))
		case node.SendNotification:
			if vote := e.Notification; !asked[e.To] && vote.State == wire.Looking {
				asked[e.To] = true
				who := fmt.Sprint(vote.Leader)
				if vote.Leader < 0 {
					who = "nobody"
				}
				lines = append(lines, fmt.Sprintf("ask %d for %s", e.To, who))
			}
		case node.SendPacket:
			if info, err := wire.ParseLearnerInfo(e.Packet.Data); err == nil && e.Packet.Type == wire.PacketFollowerInfo {
				lines = append(lines, fmt.Sprintf("follow with %x", info.ConfigVersion))
			}
		}
	}
	s.did = nil
	return strings.Join(lines, ", ")
}

func (s *seeker) expect(what, want string) {
	s.t.Helper()
	if got := s.takes(); got != want {
		s.t.Errorf("%s:\n got  %s\n want %s", what, got, want)
	}
}

// TestGossipIsAdopted: who looks for a leader takes over a newer membership from the votes of others, durably, and looks
// among its members; an older one, and one that cannot be read, mean nothing.
func TestGossipIsAdopted(t *testing.T) {
	s := newSeeker(t, voters(0, 1, 2, 3), nil)
	s.expect("at first", "ask 1 for 3, ask 2 for 3")
	s.hears(1, wire.Following, 4, voters(0x200000005, 1, 4, 3))
	s.expect("a newer one", "save 200000005 200000005, connect 200000005 200000005, ask 1 for 3, ask 4 for 3")
	s.hears(1, wire.Following, 4, voters(0x100000005, 1, 2, 3))
	s.step(node.NotificationReceived{From: 1, Notification: wire.Notification{
		State: wire.Following, Leader: 4, Version: wire.NotificationVersion, Config: []byte("server.1=nonsense"),
	}})
	s.expect("nothing new", "")
	if got := s.n.Members().Version(); got != 0x200000005 {
		t.Errorf("membership %x", got)
	}
	s.hears(1, wire.Following, 4, voters(0x200000005, 1, 4, 3))
	s.hears(4, wire.Leading, 4, voters(0x200000005, 1, 4, 3))
	s.hears(4, wire.Leading, 4, voters(0x300000005, 1, 4)) // it has a leader, who will tell
	s.expect("a leader", "dial 4")
}

// TestGossipWithoutReconfig: with reconfigEnabled=false memberships come from zoo.cfg alone.
func TestGossipWithoutReconfig(t *testing.T) {
	cfg := seekerConfig(voters(0, 1, 2, 3))
	cfg.ReconfigEnabled = false
	n, err := node.New(cfg, &node.Database{Tree: tree.New(tree.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	s := &seeker{t: t, n: n}
	s.step(node.Tick{})
	s.takes()
	s.hears(1, wire.Following, 4, voters(0x200000005, 1, 4, 3))
	s.expect("gossip", "")
}

// TestGossipDoesNotMakeAVoter: a server that has lost its data says so in its votes, in whichever membership.
func TestGossipDoesNotMakeAVoter(t *testing.T) {
	n, err := node.New(seekerConfig(voters(0, 1, 2, 3)), &node.Database{Tree: tree.New(tree.Options{}), Blank: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &seeker{t: t, n: n}
	s.step(node.Tick{})
	s.hears(1, wire.Looking, 1, voters(0x200000005, 1, 4, 3))
	s.pass(time.Second)
	votes := 0
	for _, e := range s.did {
		if e, ok := e.(node.SendNotification); ok {
			votes++
			if e.Notification.Zxid != -1 {
				t.Fatalf("vote %+v", e.Notification)
			}
		}
	}
	if s.n.Members().Version() != 0x200000005 || votes == 0 {
		t.Errorf("membership %x, %d votes", s.n.Members().Version(), votes)
	}
}

// TestGuided: a server with a newer membership in its history than in its files is no candidate. It asks those whom others
// name, and all whom its files name, and follows as one that knows what the others know.
func TestGuided(t *testing.T) {
	removed := voters(0x200000009, 1, 4, 5)
	s := newSeeker(t, voters(0, 1, 2, 3), nil, voters(0x200000005, 1, 2, 3), removed)
	s.expect("it knows no better", "ask 1 for 3, ask 2 for 3")
	s.hears(2, wire.Looking, 2, voters(0x200000005, 2, 3, 6))
	s.expect("an older one than in the history is not taken over",
		"connect 0 200000005, ask 1 for nobody, ask 2 for nobody, ask 6 for nobody")
	s.pass(10 * time.Second)
	if role := s.n.Status().Role; role != node.Looking {
		t.Errorf("without a vote it is %v", role)
	}
	s.takes()
	s.hears(2, wire.Following, 6, voters(0x200000005, 2, 3, 6))
	s.hears(6, wire.Leading, 6, voters(0x200000005, 2, 3, 6))
	s.expect("it follows", "dial 6")
	s.step(node.LeaderConnected{Conn: 3})
	s.expect("the leader is to count it among those who know", "follow with 200000005")
	s.step(node.ConnClosed{Conn: 3})
	s.takes()
	s.hears(1, wire.Following, 4, removed)
	s.expect("the one in the history is committed", "save 200000009 200000009, connect 200000009 200000009, ask 1 for nobody, ask 4 for nobody, ask 5 for nobody")
	s.hears(4, wire.Leading, 4, removed)
	s.hears(1, wire.Following, 4, removed)
	s.expect("it follows without a vote", "dial 4")
}

// TestHistoryAndFilesAgree: a membership that the files know as proposed guides nobody.
func TestHistoryAndFilesAgree(t *testing.T) {
	next := voters(0x200000009, 1, 3, 4)
	s := newSeeker(t, voters(0x200000005, 1, 2, 3), next, voters(0x200000005, 1, 2, 3), next)
	s.expect("it votes, and asks those who may be voters", "ask 1 for 3, ask 2 for 3, ask 4 for 3")
	s.hears(4, wire.Following, 1, next)
	s.expect("it was committed", "save 200000009 200000009, connect 200000009 200000009, ask 1 for 3, ask 4 for 3")
}
