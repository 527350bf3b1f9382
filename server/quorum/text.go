package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/properties"
	"github.com/zkctl/zkctl/wire"
)

// Text is the membership as votes, NEWLEADER, reconfigurations and /zookeeper/config carry it (QuorumMaj.toString,
// QuorumHierarchical.toString). It must not be changed.
//
//	server.1=zk1:2888:3888:participant;0.0.0.0:2181
//	group.1=1:2:3          with groups only
//	weight.1=1             likewise, for every server of a group
//	version=100000003      hexadecimal, without a newline behind it
func (c *Config) Text() []byte { return c.text }

// Lines are those of Text without the version, as dynamic configuration files have them.
func (c *Config) Lines() []string {
	var lines []string
	for _, m := range c.members {
		lines = append(lines, fmt.Sprintf("server.%d=%v", m.ID, m))
	}
	var weights []string
	for _, g := range c.listed {
		ids := make([]string, len(g.Voters))
		for i, v := range g.Voters {
			ids[i] = strconv.FormatInt(int64(v.ID), 10)
			weights = append(weights, fmt.Sprintf("weight.%d=%d", v.ID, v.Weight))
		}
		lines = append(lines, fmt.Sprintf("group.%d=%s", g.Number, strings.Join(ids, ":")))
	}
	return append(lines, weights...)
}

func (c *Config) write() []byte {
	return fmt.Appendf(nil, "%s\nversion=%x", strings.Join(c.Lines(), "\n"), uint64(c.version))
}

// Parse reads a text in UTF-8 that a server or a client sent. It is as strict as QuorumPeerConfig.parseDynamicConfig; an
// error that is ErrUnchecked would be an unchecked exception there.
func Parse(text []byte) (*Config, error) {
	p := parser{weights: make(map[wire.ServerID]int64)}
	list, bad := properties.Read(text)
	if len(bad) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrUnchecked, bad[0].Err)
	}
	last := make(map[string]int, len(list))
	for i, at := range list {
		if !isKey(at.Key) {
			return nil, fmt.Errorf("unrecognised parameter %q", at.Key)
		}
		last[at.Key] = i
	}
	var errs []error
	for i, at := range list {
		if last[at.Key] == i {
			errs = append(errs, p.take(at.Key, at.Value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := p.weigh(); err != nil {
		return nil, err
	}
	return New(p.members, p.groups, p.version)
}

func isKey(key string) bool {
	return key == "version" || strings.HasPrefix(key, "server.") || strings.HasPrefix(key, "group") || strings.HasPrefix(key, "weight")
}

type parser struct {
	members []Member
	groups  []Group
	weights map[wire.ServerID]int64
	version int64
}

// weigh gives the servers of groups their weights, which is 1 for voters that have none.
func (p *parser) weigh() error {
	if len(p.groups) == 0 && len(p.weights) > 0 {
		return errors.New("weights without groups")
	}
	for _, g := range p.groups {
		for i := range g.Voters {
			v := &g.Voters[i]
			weight, given := p.weights[v.ID]
			votes := slices.ContainsFunc(p.members, func(m Member) bool { return m.ID == v.ID && !m.Observer })
			switch {
			case given:
				v.Weight = weight
			case votes:
				v.Weight = 1
			default:
				return fmt.Errorf("%w: weight of server %d", ErrUnchecked, v.ID)
			}
		}
	}
	return nil
}

func (p *parser) take(key, value string) error {
	kind, number, _ := strings.Cut(key, ".")
	base := 10
	if key == "version" {
		number, base = value, 16
	}
	n, err := strconv.ParseInt(number, base, 64)
	if err != nil {
		return fmt.Errorf("%w: %s=%s", ErrUnchecked, key, value)
	}
	switch {
	case key == "version":
		p.version = n
	case kind == "server":
		m, err := ParseMember(wire.ServerID(n), value)
		if err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
		p.members = append(p.members, m)
	case strings.HasPrefix(kind, "group"):
		g := Group{Number: n}
		for part := range strings.SplitSeq(value, ":") {
			id, err := strconv.ParseInt(part, 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %s=%s", ErrUnchecked, key, value)
			}
			g.Voters = append(g.Voters, Weighted{ID: wire.ServerID(id)})
		}
		p.groups = append(p.groups, g)
	default:
		w, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %s=%s", ErrUnchecked, key, value)
		}
		p.weights[wire.ServerID(n)] = w
	}
	return nil
}

// String is Text.
func (c *Config) String() string { return string(c.text) }
