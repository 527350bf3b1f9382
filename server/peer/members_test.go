package peer

import (
	"net"
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// only is a membership of some of the servers of another one.
func only(t *testing.T, members *quorum.Config, version int64, ids ...wire.ServerID) *quorum.Config {
	t.Helper()
	var list []quorum.Member
	for _, id := range ids {
		list = append(list, member(t, members, id))
	}
	c, err := quorum.New(list, nil, version)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refuses(t *testing.T, address string) {
	t.Helper()
	until(t, address+" is closed", func() bool {
		sock, err := net.Dial("tcp", address)
		if err == nil {
			sock.Close()
		}
		return err != nil
	})
}

// TestMembersChange: votes reach a server that is about to become a member, and no server that is none any more.
func TestMembersChange(t *testing.T) {
	t.Parallel()
	all := newMembers(t, 1, 2, 3)
	two := only(t, all, 0, 1, 2)
	a, b, c := start(t, two, 1), start(t, two, 2), start(t, all, 3)
	b.vote(1, 1)
	a.awaitVote(2, 1)
	c.vote(1, 1)
	a.awaitVote(3, 1) // a stranger that calls is heard
	b.vote(3, 1)      // but not called

	for _, s := range []*server{a, b} {
		s.MembersChanged(node.MembersChanged{Members: two, LastSeen: all.WithVersion(1)})
	}
	b.vote(3, 2)
	c.awaitVote(2, 2)
	if got := c.votes(2); len(got) != 1 {
		t.Errorf("votes %v of server 2, which did not know this one at first", got)
	}

	next := only(t, all, 1, 1, 3)
	for _, s := range []*server{a, c} {
		s.MembersChanged(node.MembersChanged{Members: next, LastSeen: next})
	}
	until(t, "connections to server 2 are closed", func() bool {
		return a.Stats().ElectionConnections == 1 && b.Stats().ElectionConnections == 0
	})
	a.vote(2, 3)
	a.vote(3, 3)
	c.awaitVote(1, 3)
	b.vote(1, 4) // it may ask
	a.awaitVote(2, 4)
	a.vote(2, 5)
	b.awaitVote(1, 5)
	if got := b.votes(1); len(got) != 1 {
		t.Errorf("votes %v of server 1, which were not asked for", got)
	}
}

// TestKnownProposalAtTheStart: a server that starts with a membership that is only proposed calls its members.
func TestKnownProposalAtTheStart(t *testing.T) {
	t.Parallel()
	all := newMembers(t, 1, 2, 3)
	cfg := testConfig(only(t, all, 0, 1, 3), 3)
	cfg.LastSeen = all.WithVersion(1)
	a, b := startWith(t, cfg), start(t, all, 2)
	a.vote(2, 1)
	b.awaitVote(3, 1)
}

// TestPortsMove: a membership with other addresses of this server moves its ports; learners that are connected stay.
func TestPortsMove(t *testing.T) {
	t.Parallel()
	before, after := newMembers(t, 1, 2), newMembers(t, 1, 2).WithVersion(1)
	s := start(t, before, 1)
	s.OpenQuorumPort()
	learner := dialRaw(t, member(t, before, 1).QuorumAddress())
	hello := wire.QuorumPacket{Type: wire.PacketFollowerInfo}
	write(t, learner, hello.Append(nil))
	conn := awaitInput[node.LearnerAccepted](s, "learner", nil).Conn

	s.MembersChanged(node.MembersChanged{Members: before, LastSeen: after})
	dialRaw(t, member(t, before, 1).ElectionAddress()) // it is only proposed
	s.MembersChanged(node.MembersChanged{Members: after, LastSeen: after})
	for _, address := range []string{member(t, before, 1).ElectionAddress(), member(t, before, 1).QuorumAddress()} {
		refuses(t, address)
	}
	dialRaw(t, member(t, after, 1).ElectionAddress())
	dialRaw(t, member(t, after, 1).QuorumAddress())
	ping := wire.QuorumPacket{Type: wire.PacketPing, Zxid: 7}
	write(t, learner, ping.Append(nil))
	awaitInput(s, "PING of the learner", func(in node.PacketReceived) bool {
		return in.Conn == conn && in.Packet.Type == wire.PacketPing
	})

	// One who has been removed keeps the addresses that it had.
	without := only(t, after, 2, 2)
	s.MembersChanged(node.MembersChanged{Members: without, LastSeen: without})
	dialRaw(t, member(t, after, 1).ElectionAddress())
}
