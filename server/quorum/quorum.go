// Package quorum knows the members of an ensemble and what a quorum of them is: a majority, or, with groups, a majority
// of weights in a majority of groups (org.apache.zookeeper.server.quorum.flexible). It reads and writes the text in which
// members tell each other of a membership, and makes a new membership of an old one.
package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/wire"
)

// Config is a membership. It does not change.
type Config struct {
	members []Member
	voters  []wire.ServerID
	version int64
	text    []byte
	// listed are the groups as they were given; counting those of them whose weights are not all zero. Both are empty for a
	// majority of voters.
	listed   []Group
	counting []group
	weight   map[wire.ServerID]int64
}

// group is a Group, of which the observers only add to the total, as in Apache ZooKeeper.
type group struct {
	voters []Weighted
	total  int64
}

// Group is a part of a hierarchical quorum: group.Number.
type Group struct {
	Number int64
	Voters []Weighted
}

// Weighted is a voter of a group. With weight 0 it never counts and cannot lead.
type Weighted struct {
	ID     wire.ServerID
	Weight int64
}

// ErrNoVoter is why there is no membership without voters.
var ErrNoVoter = errors.New("no server votes")

// New returns a membership in which a majority of the voters is a quorum, or, if there are groups, a majority of the
// weights in a majority of the groups. Every voter must then be in exactly one.
func New(members []Member, groups []Group, version int64) (*Config, error) {
	c := &Config{members: slices.Clone(members), version: version}
	slices.SortFunc(c.members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	for i, m := range c.members {
		if i > 0 && c.members[i-1].ID == m.ID {
			return nil, fmt.Errorf("server %d is listed twice", m.ID)
		}
		if !m.Observer {
			c.voters = append(c.voters, m.ID)
		}
	}
	if len(c.voters) == 0 {
		return nil, ErrNoVoter
	}
	if len(groups) > 0 {
		if err := c.addGroups(groups); err != nil {
			return nil, err
		}
	}
	c.text = c.write()
	return c, nil
}

func (c *Config) addGroups(groups []Group) error {
	c.weight = make(map[wire.ServerID]int64)
	for _, g := range groups {
		c.listed = append(c.listed, Group{g.Number, slices.SortedFunc(slices.Values(g.Voters), byID)})
		var own group
		for _, v := range g.Voters {
			if _, twice := c.weight[v.ID]; twice {
				return fmt.Errorf("server %d is in two groups", v.ID)
			}
			if v.Weight < 0 {
				return fmt.Errorf("server %d has weight %d", v.ID, v.Weight)
			}
			c.weight[v.ID] = v.Weight
			own.total += v.Weight
			if c.IsVoter(v.ID) {
				own.voters = append(own.voters, v)
			}
		}
		if own.total > 0 {
			c.counting = append(c.counting, own)
		}
	}
	for _, id := range c.voters {
		if _, ok := c.weight[id]; !ok {
			return fmt.Errorf("server %d is in no group", id)
		}
	}
	if len(c.counting) == 0 {
		return fmt.Errorf("no group has a weight")
	}
	slices.SortStableFunc(c.listed, func(a, b Group) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}

func byID(a, b Weighted) int { return cmp.Compare(a.ID, b.ID) }

// Quorum tells whether the servers that satisfy has are a quorum. Only voters count.
func (c *Config) Quorum(has func(wire.ServerID) bool) bool {
	if !c.Hierarchical() {
		n := 0
		for _, id := range c.voters {
			if has(id) {
				n++
			}
		}
		return n > len(c.voters)/2
	}
	agreeing := 0
	for _, g := range c.counting {
		var got int64
		for _, v := range g.voters {
			if has(v.ID) {
				got += v.Weight
			}
		}
		if got > g.total/2 {
			agreeing++
		}
	}
	return agreeing > len(c.counting)/2
}

// IsVoter tells whether a server votes.
func (c *Config) IsVoter(id wire.ServerID) bool { return slices.Contains(c.voters, id) }

// MayLead tells whether a server votes with a weight.
func (c *Config) MayLead(id wire.ServerID) bool {
	return c.IsVoter(id) && (!c.Hierarchical() || c.weight[id] > 0)
}

// Voters lists the voters by id; it must not be changed.
func (c *Config) Voters() []wire.ServerID { return c.voters }

// Members lists all servers by id; it must not be changed.
func (c *Config) Members() []Member { return c.members }

// Member finds a server by its id.
func (c *Config) Member(id wire.ServerID) (m Member, ok bool) {
	i, ok := slices.BinarySearchFunc(c.members, id, func(m Member, id wire.ServerID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return Member{}, false
	}
	return c.members[i], true
}

// Version is that of the membership: the zxid of the reconfiguration that made it, or of the NEWLEADER with which it was
// established; 0 before that.
func (c *Config) Version() int64 { return c.version }

// SeveralAddresses tells whether some server has more than one address.
func (c *Config) SeveralAddresses() bool {
	return slices.ContainsFunc(c.members, func(m Member) bool { return m.Further != "" })
}

// Hierarchical tells whether there are groups.
func (c *Config) Hierarchical() bool { return c.listed != nil }

// WithVersion is the same membership with another version.
func (c *Config) WithVersion(version int64) *Config {
	other := *c
	other.version = version
	other.text = other.write()
	return &other
}

// Equal tells whether two memberships have the same servers, groups and weights, or the same version: one version stands
// for one membership.
func (c *Config) Equal(other *Config) bool {
	return c.version == other.version || slices.Equal(c.members, other.members) &&
		slices.EqualFunc(c.listed, other.listed, func(a, b Group) bool { return a.Number == b.Number && slices.Equal(a.Voters, b.Voters) })
}
