package auth

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

const ipScheme = "ip"

// ip is the address of the client; ids in lists may have a number of leading bits that count
// (org.apache.zookeeper.server.auth.IPAuthenticationProvider).
type ip struct{}

func (ip) Name() string { return ipScheme }

func (ip) Authenticate(c Conn, _ []byte) ([]wire.ID, Verdict) {
	return []wire.ID{{Scheme: ipScheme, ID: AddrText(c.Remote)}}, Accepted
}

func (ip) Valid(id string) bool {
	_, ok := parsePrefix(id)
	return ok
}

func (ip) Matches(conn, acl string) bool {
	prefix, ok := parsePrefix(acl)
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(conn)
	return err == nil && prefix.Contains(addr.WithZone(""))
}

func (ip) Proven() bool          { return false }
func (ip) User(id string) string { return id }

// parsePrefix reads "address" or "address/bits".
func parsePrefix(id string) (netip.Prefix, bool) {
	text, bitsText, some := strings.Cut(id, "/")
	addr, ok := parseAddr(text)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := addr.BitLen()
	if some {
		var err error
		if bits, err = strconv.Atoi(bitsText); err != nil {
			return netip.Prefix{}, false
		}
	}
	prefix := netip.PrefixFrom(addr, bits)
	return prefix, prefix.IsValid()
}

// parseAddr reads four decimal numbers, which may begin with zeros, as Java does, or IPv6 without zone and dotted quad.
func parseAddr(text string) (netip.Addr, bool) {
	if strings.Contains(text, ":") {
		addr, err := netip.ParseAddr(text)
		return addr, err == nil && addr.Zone() == "" && !strings.Contains(text, ".")
	}
	var quad [4]byte
	parts := strings.Split(text, ".")
	if len(parts) != len(quad) {
		return netip.Addr{}, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		quad[i] = byte(n)
	}
	return netip.AddrFrom4(quad), true
}

// AddrText writes an address as Java does: IPv6 in eight groups without compression.
func AddrText(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is4() || !addr.IsValid() {
		return addr.String()
	}
	b := addr.As16()
	groups := make([]string, 0, 8)
	for i := 0; i < len(b); i += 2 {
		groups = append(groups, fmt.Sprintf("%x", uint16(b[i])<<8|uint16(b[i+1])))
	}
	text := strings.Join(groups, ":")
	if addr.Zone() != "" {
		text += "%" + addr.Zone()
	}
	return text
}
