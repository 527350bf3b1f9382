package quorum

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// Change returns a membership without the servers of leaving, a list of ids, and with those of joining, a list of
// server.N=address, which take the place of members with the same id; both lists are separated by commas
// (org.apache.zookeeper.server.PrepRequestProcessor). A joining server must have a client address and share no address
// with another member. Ids that are no member's may leave. An error that is ErrUnchecked would be an unchecked exception
// in Apache ZooKeeper.
func (c *Config) Change(joining, leaving string, version int64) (*Config, error) {
	if c.Hierarchical() {
		return nil, errors.New("a hierarchical quorum cannot be changed server by server")
	}
	members := slices.Clone(c.members)
	remove := func(id wire.ServerID) {
		members = slices.DeleteFunc(members, func(m Member) bool { return m.ID == id })
	}
	for _, word := range words(leaving) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: leaving server %q", ErrUnchecked, word)
		}
		remove(wire.ServerID(id))
	}
	for _, word := range words(joining) {
		m, err := parseJoiner(word)
		if err != nil {
			return nil, err
		}
		remove(m.ID)
		for _, other := range members {
			if shared, ok := m.shares(other); ok {
				return nil, fmt.Errorf("servers %d and %d share the address %s", m.ID, other.ID, shared)
			}
		}
		members = append(members, m)
	}
	return New(members, nil, version)
}

// words are the parts of a list that are not blank.
func words(list string) []string {
	var all []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

// parseJoiner reads server.N=address. Of the key only what follows the last dot counts.
func parseJoiner(text string) (Member, error) {
	var parts []string
	for part := range strings.SplitSeq(text, "=") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) != 2 {
		return Member{}, fmt.Errorf("joining server %q is not server.N=address", text)
	}
	id, err := strconv.ParseInt(parts[0][strings.LastIndexByte(parts[0], '.')+1:], 10, 64)
	if err != nil {
		return Member{}, fmt.Errorf("%w: joining server %q", ErrUnchecked, text)
	}
	m, err := ParseMember(wire.ServerID(id), parts[1])
	switch {
	case err != nil:
		return m, fmt.Errorf("joining server %d: %w", id, err)
	case m.ClientPort == 0:
		return m, fmt.Errorf("joining server %d has no client address", id)
	}
	return m, nil
}

// shares tells which address two servers would both listen on. Those of the loopback and wildcards are every host's own.
// Names are compared as they are written.
func (m Member) shares(other Member) (address string, shared bool) {
	theirs := other.listens()
	for _, address := range m.listens() {
		if slices.Contains(theirs, address) {
			return address, true
		}
	}
	return "", false
}

// listens lists the addresses of a server that other hosts can tell apart.
func (m Member) listens() []string {
	var list []string
	add := func(host, address string) {
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsUnspecified() && !ip.IsLoopback()) {
			list = append(list, strings.ToLower(address))
		}
	}
	for _, a := range m.Addresses() {
		add(a.Host, net.JoinHostPort(a.Host, strconv.Itoa(a.QuorumPort)))
		add(a.Host, net.JoinHostPort(a.Host, strconv.Itoa(a.ElectionPort)))
	}
	if m.ClientPort != 0 {
		add(m.ClientHost, m.ClientAddress())
	}
	return list
}
