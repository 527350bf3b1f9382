package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// Member is one server.N line.
type Member struct {
	quorum.Member
	// ClientHost and ClientPort are the part after the semicolon; the port is 0 without one.
	ClientHost string
	ClientPort int
}

// String is the value of the line in the one form in which members exchange it.
func (m Member) String() string {
	role := "participant"
	if m.Observer {
		role = "observer"
	}
	s := fmt.Sprintf("%s:%d:%d:%s", bracketed(m.Host), m.QuorumPort, m.ElectionPort, role)
	if m.ClientPort != 0 {
		s += ";" + net.JoinHostPort(m.ClientHost, strconv.Itoa(m.ClientPort))
	}
	return s
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// anyHost is the client host of a line that names only a client port.
const anyHost = "0.0.0.0"

const memberForm = "give host:quorumPort:electionPort, such as server.1=zk1:2888:3888"

// maxServerID is what fits in the byte that session ids have for the server that made them.
const maxServerID = 255

// parseServerID takes N of server.N, and myid.
func parseServerID(text string) (wire.ServerID, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || id > maxServerID {
		return 0, fmt.Errorf("not a number from 1 to %d", maxServerID)
	}
	return wire.ServerID(id), nil
}

// parseMember takes the value of server.N:
//
//	host:quorumPort:electionPort[:role][;[clientHost:]clientPort]
func parseMember(id wire.ServerID, value string) (m Member, what, remedy string) {
	m.ID = id
	address, client, hasClient := strings.Cut(value, ";")
	if strings.Contains(client, ";") {
		return m, "names a secure client port, and TLS for clients is not supported by this server", "remove the part after the second semicolon"
	}
	if strings.Contains(address, "|") {
		return m, "names several addresses, which this server does not support", "give one of them"
	}
	parts, err := splitAddress(address)
	if err != nil {
		return m, err.Error(), memberForm
	}
	switch {
	case parts[0] == "":
		return m, "no host", memberForm
	case len(parts) == 1:
		return m, "no ports", memberForm
	case len(parts) == 2:
		return m, "no election port", memberForm
	case len(parts) > 4:
		return m, fmt.Sprintf("%d parts instead of 3 or 4", len(parts)), "put an IPv6 address in brackets, such as server.1=[fd00::1]:2888:3888"
	}
	m.Host = parts[0]
	if m.QuorumPort, err = parsePort(parts[1]); err != nil {
		return m, "quorum port " + err.Error(), memberForm
	}
	if m.ElectionPort, err = parsePort(parts[2]); err != nil {
		return m, "election port " + err.Error(), memberForm
	}
	if m.QuorumPort == m.ElectionPort {
		return m, "quorum port and election port are the same", "give two ports, such as 2888 and 3888"
	}
	if len(parts) == 4 {
		switch strings.ToLower(parts[3]) {
		case "participant":
		case "observer":
			m.Observer = true
		default:
			return m, fmt.Sprintf("unknown role %q", parts[3]), "give participant or observer"
		}
	}
	if !hasClient || strings.TrimSpace(client) == "" {
		return m, "", ""
	}
	return m.withClient(client)
}

func (m Member) withClient(client string) (_ Member, what, remedy string) {
	const form = "give a port or host:port after the semicolon, such as ;2181"
	parts, err := splitAddress(client)
	if err != nil {
		return m, "client address: " + err.Error(), form
	}
	if len(parts) > 2 {
		return m, fmt.Sprintf("client address has %d parts", len(parts)), form
	}
	m.ClientHost = anyHost
	if len(parts) == 2 && parts[0] != "" {
		m.ClientHost = parts[0]
	}
	if m.ClientPort, err = parsePort(parts[len(parts)-1]); err != nil {
		return m, "client port " + err.Error(), form
	}
	return m, "", ""
}

// splitAddress cuts at colons, but for those of an IPv6 address in brackets at the beginning, which lose the brackets.
func splitAddress(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), nil
	}
	host, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return nil, errors.New("a bracket is not closed")
	}
	address, _, _ := strings.Cut(host, "%")
	if ip := net.ParseIP(address); ip == nil || !strings.Contains(address, ":") {
		return nil, fmt.Errorf("%q is not an IPv6 address", host)
	}
	if rest == "" {
		return []string{host}, nil
	}
	if rest[0] != ':' {
		return nil, errors.New("no colon after the bracket")
	}
	return append([]string{host}, strings.Split(rest[1:], ":")...), nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a number from 1 to 65535", text)
	}
	return int(n), nil
}
