package quorum

import (
	"fmt"
	"slices"
	"strings"
)

// Address is one of the addresses of a server (multiAddress.enabled).
type Address struct {
	// Host is a name, or an address, IPv6 without brackets.
	Host                     string
	QuorumPort, ElectionPort int
}

// String is the address in the form of a server's line.
func (a Address) String() string {
	return fmt.Sprintf("%s:%d:%d", bracketed(a.Host), a.QuorumPort, a.ElectionPort)
}

// Addresses are those of a server, sorted by host; most have one.
func (m Member) Addresses() []Address {
	list := []Address{{m.Host, m.QuorumPort, m.ElectionPort}}
	if m.Further == "" {
		return list
	}
	for text := range strings.SplitSeq(m.Further, "|") {
		a, _, err := parseAddress(text)
		if err != nil {
			panic(fmt.Sprintf("quorum: server %d has the address %q: %v", m.ID, text, err))
		}
		list = append(list, a)
	}
	return list
}

// setAddresses gives the server its addresses. Two that are equal are one.
func (m *Member) setAddresses(list []Address) {
	slices.SortStableFunc(list, func(a, b Address) int { return strings.Compare(a.Host, b.Host) })
	var further []string
	for i, a := range list {
		if i > 0 && !slices.Contains(list[:i], a) {
			further = append(further, a.String())
		}
	}
	m.Host, m.QuorumPort, m.ElectionPort = list[0].Host, list[0].QuorumPort, list[0].ElectionPort
	m.Further = strings.Join(further, "|")
}

// parseAddress takes host:quorumPort:electionPort[:role]; role is "" where it is not given.
func parseAddress(text string) (a Address, role string, err error) {
	parts, err := splitAddress(text)
	if err != nil {
		return a, "", &FormatError{err.Error(), memberForm}
	}
	switch {
	case parts[0] == "":
		return a, "", &FormatError{"no host", memberForm}
	case len(parts) == 1:
		return a, "", &FormatError{"no ports", memberForm}
	case len(parts) == 2:
		return a, "", &FormatError{"no election port", memberForm}
	case len(parts) > 4:
		return a, "", &FormatError{fmt.Sprintf("%d parts instead of 3 or 4", len(parts)), "put an IPv6 address in brackets, such as server.1=[fd00::1]:2888:3888"}
	}
	a.Host = parts[0]
	if err := checkHost(a.Host); err != nil {
		return a, "", &FormatError{err.Error(), memberForm}
	}
	if a.QuorumPort, err = parsePort(parts[1], "quorum port", memberForm); err != nil {
		return a, "", err
	}
	if a.ElectionPort, err = parsePort(parts[2], "election port", memberForm); err != nil {
		return a, "", err
	}
	if a.QuorumPort == a.ElectionPort {
		return a, "", &FormatError{"quorum port and election port are the same", "give two ports, such as 2888 and 3888"}
	}
	if len(parts) < 4 {
		return a, "", nil
	}
	role = strings.ToLower(strings.TrimSpace(parts[3]))
	if role != "participant" && role != "observer" {
		return a, "", &FormatError{fmt.Sprintf("unknown role %q", parts[3]), "give participant or observer"}
	}
	return a, role, nil
}
