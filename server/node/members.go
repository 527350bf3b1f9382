package node

import (
	"bytes"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// see takes note of the membership that was proposed last.
func (n *Node) see(c *quorum.Config) {
	if c.Version() == n.lastSeen.Version() {
		return
	}
	n.lastSeen = c
	if !n.cfg.Unsafe.ForgetLastSeen {
		n.saveMembers()
	}
	n.membersChanged()
}

// activate makes a membership the committed one, if it is newer (QuorumPeer.processReconfig). What it means for the role is
// the role's matter.
func (n *Node) activate(c *quorum.Config) {
	if c.Version() > n.members.Version() {
		n.members = c
		if n.lastSeen.Version() < c.Version() {
			n.lastSeen = c
		}
		if !n.cfg.Unsafe.ForgetMembers {
			n.saveMembers()
		}
		n.membersChanged()
	}
	n.showMembers()
}

// observes tells whether the committed membership has this server as an observer.
func (n *Node) observes() bool {
	self, _ := n.members.Member(n.cfg.Self)
	return self.Observer
}

// isToVote tells whether the membership that was proposed last has this server as a voter.
func (n *Node) isToVote() bool { return n.lastSeen.IsVoter(n.cfg.Self) }

func (n *Node) saveMembers() {
	id := n.storage.nextID()
	n.write(id, SaveMembers{ID: id, Members: n.members, LastSeen: n.lastSeen})
}

func (n *Node) membersChanged() {
	n.guide = nil
	n.election.SetMembers(n.members, n.lastSeen)
	n.note(MembersChanged{Members: n.members, LastSeen: n.lastSeen})
}

// showMembers writes the committed membership into the tree, as every server does on its own.
func (n *Node) showMembers() {
	if n.members != nil {
		n.tree.SetConfig(string(n.members.Text()), wire.Zxid(n.members.Version()), n.now.WallMillis, n.notify)
	}
}

// adopt takes over the membership of a vote if it is newer than the own one, and a committed one like that. A server that
// looks for a leader must look among its members; whoever has a leader learns of changes from that. It tells whether the
// search has begun anew, and the vote is void.
func (n *Node) adopt(text []byte) bool {
	if n.role != Looking || !n.cfg.ReconfigEnabled || len(text) == 0 || bytes.Equal(text, n.members.Text()) {
		return false
	}
	c, err := n.parseGossip(text)
	switch {
	case err != nil || c.Version() <= n.members.Version() || n.guide != nil && c.Version() <= n.guide.Version():
		return false
	case c.Version() < n.loggedVersion():
		n.beGuided(c)
	default:
		before := n.members
		n.activate(c)
		if before.Equal(c) {
			return false
		}
	}
	n.look()
	return true
}

// parseGossip reads the membership of a vote. Votes come in numbers, and with the same text.
func (n *Node) parseGossip(text []byte) (*quorum.Config, error) {
	if n.gossip != nil && bytes.Equal(text, n.gossip.Text()) {
		return n.gossip, nil
	}
	c, err := quorum.Parse(text)
	if err == nil && bytes.Equal(text, c.Text()) {
		n.gossip = c
	}
	return c, err
}

// beGuided looks for a leader among the members that others know of, without a vote: the own history has a newer membership,
// although the own files do not, as when a server was removed and is to come back. It may have agreed to that one, and must
// not lead in an older one any more. Leaders are told that it knows this one to be committed: in the files it had it, too.
func (n *Node) beGuided(c *quorum.Config) {
	n.guide = c
	n.election.BeGuided(c, n.members)
	n.note(MembersChanged{Members: n.members, LastSeen: c})
}

// guidedBy is the version of the membership by which this server is guided, 0 for none.
func (n *Node) guidedBy() int64 {
	if n.guide == nil {
		return 0
	}
	return n.guide.Version()
}

// loggedVersion is the version of the newest membership in the own history, 0 for none.
func (n *Node) loggedVersion() int64 {
	shown, ok := n.tree.Lookup(tree.ConfigPath)
	if !ok {
		return 0
	}
	c, err := quorum.Parse(shown.Data())
	if err != nil || c.Version() != int64(shown.Stat().Mzxid) {
		return 0 // somebody has written to the node
	}
	return c.Version()
}
