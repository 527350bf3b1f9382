package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// group is one group.G line.
type group struct {
	number  int64
	members []wire.ServerID
	at      property
}

// membership is what the server, group and weight lines say.
type membership struct {
	members []quorum.Member // by id
	lines   map[wire.ServerID]property
	groups  []group // by number
	weights map[wire.ServerID]weight
}

// weight is one weight.N line.
type weight struct {
	value int64
	at    property
}

// checkMembers reads the membership lines and decides whether this is a member of an ensemble.
func (p *parser) checkMembers() {
	if p.membersUnknown {
		return
	}
	before := len(p.problems)
	ms := p.readMembers()
	if len(p.problems) > before {
		return
	}
	c := p.config
	c.Servers = ms.members
	voters, observers := 0, 0
	for _, m := range ms.members {
		if m.Observer {
			observers++
		} else {
			voters++
		}
	}
	switch {
	case voters == 0 && observers > 0:
		p.refuseMember(ms.lines[ms.members[0].ID], "observers without any participant", "let at least one server be a participant")
		return
	case voters == 0 && (len(ms.groups) > 0 || len(ms.weights) > 0):
		p.refuseMember(p.members[0], "groups or weights without servers", "add server lines, or remove it")
		return
	case voters == 0:
		p.noticeNoClientPort()
		return
	case voters == 1 && c.StandaloneEnabled && observers > 0:
		p.refuseMember(ms.lines[ms.members[0].ID], "observers with a single participant",
			"set standaloneEnabled=false, or add participants")
		return
	case voters == 1 && c.StandaloneEnabled:
		p.noticeMember(ms.lines[ms.members[0].ID], "a single server runs standalone", "set standaloneEnabled=false for an ensemble of one that is to grow")
		p.adoptClientPort(ms.members[0])
		p.noticeNoClientPort()
		return
	}
	c.Distributed = true
	p.checkQuorum(ms, voters)
}

// checkQuorum completes the configuration of a member of an ensemble.
func (p *parser) checkQuorum(ms membership, voters int) {
	c := p.config
	for _, limit := range []struct {
		name  string
		value int
	}{{"initLimit", c.InitLimit}, {"syncLimit", c.SyncLimit}} {
		if _, given := p.seen[limit.name]; !given {
			p.refuse(property{key: limit.name}, "missing, and a member of an ensemble needs it", "add a line such as "+limit.name+"=10")
		}
	}
	if c.ConnectLimit == 0 {
		c.ConnectLimit = c.InitLimit
	}
	last := ms.lines[ms.members[len(ms.members)-1].ID]
	switch {
	case c.Quorum.OraclePath != "" && (voters != 2 || len(ms.groups) > 0):
		p.notice(p.seen["oraclePath"], "has no effect: an oracle decides between two participants, and here is another quorum", "remove it")
	case len(ms.groups) > 0:
	case voters == 2 && c.Quorum.OraclePath != "":
	case voters <= 2:
		p.noticeMember(last, fmt.Sprintf("an ensemble of %d does not survive the loss of any participant", voters), "use at least three")
	case voters%2 == 0:
		p.noticeMember(last, fmt.Sprintf("%d participants survive the loss of no more than %d would", voters, voters-1), "use an odd number")
	}
	members, err := quorum.New(ms.members, ms.quorumGroups(), p.version)
	if err != nil {
		at := last
		if len(ms.groups) > 0 {
			at = ms.groups[0].at
		}
		p.refuseMember(at, err.Error(), "put every participant in exactly one group")
		return
	}
	c.Members = *members
}

// readMembers takes the lines apart and refuses what is wrong with each.
func (p *parser) readMembers() membership {
	ms := membership{lines: make(map[wire.ServerID]property), weights: make(map[wire.ServerID]weight)}
	for _, at := range p.members {
		kind, number, _ := strings.Cut(at.key, ".")
		switch kind {
		case "server":
			p.readServer(&ms, at, number)
		case "group":
			p.readGroup(&ms, at, number)
		case "weight":
			id, err := parseServerID(number)
			value, err2 := strconv.ParseInt(at.value, 10, 32)
			switch {
			case err != nil:
				p.refuseMember(at, "server id is "+err.Error(), "give weight.N of a server.N")
			case err2 != nil || value < 0:
				p.refuseMember(at, "not a weight", "give a whole number; 0 never counts")
			default:
				ms.weights[id] = weight{value, at}
			}
		}
	}
	slices.SortFunc(ms.members, func(a, b quorum.Member) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(ms.groups, func(a, b group) int { return cmp.Compare(a.number, b.number) })
	p.checkGroups(ms)
	return ms
}

func (p *parser) readServer(ms *membership, at property, number string) {
	id, err := parseServerID(number)
	if err != nil {
		p.refuseMember(at, "server id is "+err.Error(), "give the N of server.N that the file myid of that server holds")
		return
	}
	if at0, twice := ms.lines[id]; twice {
		p.refuseMember(at, fmt.Sprintf("server %d is also in line %d", id, at0.line), "remove one of them")
		return
	}
	m, err := quorum.ParseMember(id, at.value)
	var wrong *quorum.FormatError
	if errors.As(err, &wrong) {
		p.refuseMember(at, wrong.What, wrong.Remedy)
		return
	}
	if m.Further != "" && !p.config.Quorum.MultiAddress {
		p.refuseMember(at, "names several addresses", "set multiAddress.enabled=true, or give one of them")
		return
	}
	for _, other := range ms.members {
		if host, shared := sharePort(m, other); shared {
			p.refuseMember(at, fmt.Sprintf("a port of %s is also one of server %d in line %d", host, other.ID, ms.lines[other.ID].line),
				"give each server on a host its own ports")
			return
		}
	}
	ms.members = append(ms.members, m)
	ms.lines[id] = at
}

// sharePort tells whether two servers would listen on the same port of a host.
func sharePort(m, other quorum.Member) (host string, shared bool) {
	for _, a := range m.Addresses() {
		for _, b := range other.Addresses() {
			if a.Host == b.Host && (a.QuorumPort == b.QuorumPort || a.ElectionPort == b.ElectionPort ||
				a.QuorumPort == b.ElectionPort || a.ElectionPort == b.QuorumPort) {
				return a.Host, true
			}
		}
	}
	return "", false
}

func (p *parser) readGroup(ms *membership, at property, number string) {
	const form = "give group.G=N:N, such as group.1=1:2:3"
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		p.refuseMember(at, "the number of the group is not a whole number", form)
		return
	}
	g := group{number: n, at: at}
	for text := range strings.SplitSeq(at.value, ":") {
		id, err := parseServerID(strings.TrimSpace(text))
		if err != nil {
			p.refuseMember(at, fmt.Sprintf("server id %q is %v", text, err), form)
			return
		}
		g.members = append(g.members, id)
	}
	ms.groups = append(ms.groups, g)
}

// checkGroups refuses groups and weights that do not fit the servers.
func (p *parser) checkGroups(ms membership) {
	role := make(map[wire.ServerID]bool)
	for _, m := range ms.members {
		role[m.ID] = m.Observer
	}
	if len(ms.members) == 0 {
		return
	}
	for _, g := range ms.groups {
		for _, id := range g.members {
			observer, known := role[id]
			switch {
			case !known:
				p.refuseMember(g.at, fmt.Sprintf("no line server.%d", id), "name servers of this file")
			case observer:
				p.refuseMember(g.at, fmt.Sprintf("server %d is an observer, which never votes", id), "remove it from the group")
			}
		}
	}
	for id, w := range ms.weights {
		switch _, known := role[id]; {
		case !known:
			p.refuseMember(w.at, fmt.Sprintf("no line server.%d", id), "name a server of this file")
		case len(ms.groups) == 0:
			p.refuseMember(w.at, "a weight without groups", "put every participant in a group, such as group.1=1:2:3, or remove it")
		}
	}
}

func (ms membership) quorumGroups() []quorum.Group {
	var groups []quorum.Group
	for _, g := range ms.groups {
		var voters []quorum.Weighted
		for _, id := range g.members {
			voters = append(voters, quorum.Weighted{ID: id, Weight: ms.weight(id)})
		}
		groups = append(groups, quorum.Group{Number: g.number, Voters: voters})
	}
	return groups
}

func (ms membership) weight(id wire.ServerID) int64 {
	if w, ok := ms.weights[id]; ok {
		return w.value
	}
	return 1
}
