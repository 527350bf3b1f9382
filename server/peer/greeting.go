package peer

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// greeting is the first message of a connection to an election port; only who connects sends it:
//
//	long version | long id | int length | "host:port" or, in version 2, "host:port|host:port..."
//
// Servers before 3.5 send nothing but the id.
type greeting struct {
	id wire.ServerID
	// bare tells that there was nothing but the id.
	bare bool
	// addresses are election ports of the sender, without wildcards. Empty if it named none that can be dialled.
	addresses []string
}

const (
	greetingV1 = -65536
	greetingV2 = -65535 // several addresses
	// maxAddressBytes is what Apache ZooKeeper takes.
	maxAddressBytes = 2048
)

// maxBareID is more than the id of any stranger that says nothing else. The first bytes of a client, of a browser, or of a
// handshake of TLS are larger numbers.
const maxBareID wire.ServerID = 1<<32 - 1

// greeting is what this server says first on an election port. It names all of its addresses if the others understand that.
func (p *Peer) greeting() []byte {
	addresses := p.listed().ElectionAddresses()
	if !p.cfg.MultiAddress {
		return appendGreeting(nil, p.cfg.Self, addresses[0])
	}
	b := wire.AppendInt64(wire.AppendInt64(nil, greetingV2), int64(p.cfg.Self))
	return wire.AppendString(b, strings.Join(addresses, "|"))
}

// appendGreeting appends a greeting in version 1, which all servers since 3.5 read.
func appendGreeting(b []byte, id wire.ServerID, address string) []byte {
	b = wire.AppendInt64(wire.AppendInt64(b, greetingV1), int64(id))
	return wire.AppendString(b, address)
}

// readGreeting reads a greeting of any version, and nothing behind it.
func readGreeting(r io.Reader) (greeting, error) {
	var b [20]byte
	if _, err := io.ReadFull(r, b[:8]); err != nil {
		return greeting{}, err
	}
	version := int64(binary.BigEndian.Uint64(b[:]))
	if version >= 0 {
		return greeting{id: wire.ServerID(version), bare: true}, nil
	}
	if version != greetingV1 && version != greetingV2 {
		return greeting{}, fmt.Errorf("protocol version %d", version)
	}
	if _, err := io.ReadFull(r, b[8:]); err != nil {
		return greeting{}, err
	}
	g := greeting{id: wire.ServerID(binary.BigEndian.Uint64(b[8:]))}
	if g.id < 0 {
		return greeting{}, fmt.Errorf("server id %d", g.id)
	}
	length := int32(binary.BigEndian.Uint32(b[16:]))
	if length < 1 || length > maxAddressBytes {
		return greeting{}, fmt.Errorf("address of %d bytes", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return greeting{}, err
	}
	for address := range strings.SplitSeq(string(text), "|") {
		usable, err := checkAddress(address)
		if err != nil {
			return greeting{}, err
		}
		if usable {
			g.addresses = append(g.addresses, address)
		}
	}
	return g, nil
}

// checkAddress tells whether host:port can be dialled.
func checkAddress(address string) (usable bool, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("address %q: %w", address, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false, fmt.Errorf("address %q: no port", address)
	}
	ip, err := netip.ParseAddr(host)
	return host != "" && (err != nil || !ip.IsUnspecified()), nil
}
