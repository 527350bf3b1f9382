package quorum

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"

	"github.com/zkctl/zkctl/wire"
)

// Member is a server of an ensemble.
type Member struct {
	ID       wire.ServerID
	Observer bool
	// Host is a name, resolved anew for each connection, or an address, IPv6 without brackets. Who decides about quorums
	// needs neither it nor the ports.
	Host                     string
	QuorumPort, ElectionPort int
	// Further are more addresses of the server, in the form of its line, with "|" in between; "" for none. See Addresses.
	Further string
	// ClientHost and ClientPort are where the server serves clients, as far as the membership says; the port is 0 where it
	// does not.
	ClientHost string
	ClientPort int
}

// QuorumAddress is host:port of the port that learners connect to, the first of QuorumAddresses.
func (m Member) QuorumAddress() string { return m.QuorumAddresses()[0] }

// ElectionAddress is host:port of the port that votes go to, the first of ElectionAddresses.
func (m Member) ElectionAddress() string { return m.ElectionAddresses()[0] }

// QuorumAddresses are host:port of the ports that learners connect to.
func (m Member) QuorumAddresses() []string {
	var list []string
	for _, a := range m.Addresses() {
		list = append(list, net.JoinHostPort(a.Host, strconv.Itoa(a.QuorumPort)))
	}
	return list
}

// ElectionAddresses are host:port of the ports that votes go to.
func (m Member) ElectionAddresses() []string {
	var list []string
	for _, a := range m.Addresses() {
		list = append(list, net.JoinHostPort(a.Host, strconv.Itoa(a.ElectionPort)))
	}
	return list
}

// ClientAddress is host:port of the port for clients, "" if the membership does not say.
func (m Member) ClientAddress() string {
	if m.ClientPort == 0 {
		return ""
	}
	return net.JoinHostPort(m.ClientHost, strconv.Itoa(m.ClientPort))
}

// String is the value of the server's line in the one form in which members exchange it
// (org.apache.zookeeper.server.quorum.QuorumPeer.QuorumServer).
func (m Member) String() string {
	role := "participant"
	if m.Observer {
		role = "observer"
	}
	var addresses []string
	for _, a := range m.Addresses() {
		addresses = append(addresses, a.String())
	}
	s := strings.Join(addresses, "|") + ":" + role
	if m.ClientPort != 0 {
		s += ";" + m.ClientAddress()
	}
	return s
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// FormatError says what is wrong with the line of a server, and what to write instead.
type FormatError struct{ What, Remedy string }

// Error is what is wrong.
func (e *FormatError) Error() string { return e.What }

// ErrUnchecked marks what Apache ZooKeeper meets with an unchecked exception, so that a reconfig with it is answered with
// MarshallingError instead of BadArguments.
var ErrUnchecked = errors.New("not a number that it could be")

// anyHost is the client host of a line that names only a client port.
const anyHost = "0.0.0.0"

const (
	memberForm = "give host:quorumPort:electionPort, such as server.1=zk1:2888:3888"
	rolesForm  = "let all addresses of a server say the same, or only one of them anything"
	clientForm = "give a port or host:port after the semicolon, such as ;2181"
)

// ParseMember takes the value of server.N:
//
//	host:quorumPort:electionPort[:role][|host:quorumPort:electionPort[:role]...][;[clientHost:]clientPort]
//
// Its error is a *FormatError, which is ErrUnchecked where a port is out of range.
func ParseMember(id wire.ServerID, value string) (Member, error) {
	m := Member{ID: id}
	address, client, hasClient := strings.Cut(value, ";")
	if strings.Contains(client, ";") {
		return m, &FormatError{"names a secure client port, which is known since Apache ZooKeeper 3.10 only", "remove the part after the second semicolon, and give secureClientPort"}
	}
	roles := make(map[string]bool)
	var addresses []Address
	for text := range strings.SplitSeq(address, "|") {
		a, role, err := parseAddress(text)
		if err != nil {
			return m, err
		}
		addresses = append(addresses, a)
		if role != "" {
			roles[role] = true
		}
	}
	if len(roles) > 1 {
		return m, &FormatError{"its addresses have different roles", rolesForm}
	}
	m.Observer = roles["observer"]
	m.setAddresses(addresses)
	if !hasClient || strings.TrimSpace(client) == "" {
		return m, nil
	}
	return m.withClient(client)
}

func (m Member) withClient(client string) (Member, error) {
	parts, err := splitAddress(client)
	if err != nil {
		return m, &FormatError{"client address: " + err.Error(), clientForm}
	}
	if len(parts) > 2 {
		return m, &FormatError{fmt.Sprintf("client address has %d parts", len(parts)), clientForm}
	}
	m.ClientHost = anyHost
	if len(parts) == 2 && parts[0] != "" {
		m.ClientHost = parts[0]
	}
	if err := checkHost(m.ClientHost); err != nil {
		return m, &FormatError{"client address: " + err.Error(), clientForm}
	}
	m.ClientPort, err = parsePort(parts[len(parts)-1], "client port", clientForm)
	return m, err
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

// checkHost refuses what would mean something else when it is read from a text again; files of properties are ISO 8859-1,
// and texts of members UTF-8.
func checkHost(host string) error {
	for _, r := range host {
		if r > unicode.MaxASCII || unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`\=#!,[]`, r) {
			return fmt.Errorf("host %q has the character %q", host, r)
		}
	}
	return nil
}

func parsePort(text, which, remedy string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err == nil && 0 < n && n < 1<<16 {
		return int(n), nil
	}
	wrong := &FormatError{fmt.Sprintf("%s %q is not a number from 1 to 65535", which, text), remedy}
	if err == nil && n != 0 {
		return 0, fmt.Errorf("%w: %w", ErrUnchecked, wrong)
	}
	return 0, wrong
}
