package convert

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// AddressScript prints the addresses of a host with their prefix lengths.
const AddressScript = `ip -o addr show scope global 2>/dev/null | while read -r _ _ family address _; do
	case $family in inet|inet6) echo "$address" ;; esac
done`

// ReadPrefixes reads what AddressScript printed.
func ReadPrefixes(text []byte) []netip.Prefix {
	var all []netip.Prefix
	for word := range strings.FieldsSeq(string(text)) {
		if p, err := netip.ParsePrefix(word); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// Peers chooses the address of each host that its peers use: in the one subnet in which every host has an address of its
// own. (Virtual machines behind forwarded ports have the same address in another one.) subnet names it where there are
// several; the zero value leaves the choice here.
func Peers(names []string, addresses [][]netip.Prefix, subnet netip.Prefix) ([]netip.Addr, error) {
	if len(addresses) == 0 {
		return nil, errors.New("no hosts")
	}
	var candidates []netip.Prefix
	for _, p := range addresses[0] {
		if subnet.IsValid() {
			candidates = []netip.Prefix{subnet.Masked()}
			break
		}
		if !slices.Contains(candidates, p.Masked()) {
			candidates = append(candidates, p.Masked())
		}
	}
	var fitting []netip.Prefix
	var found [][]netip.Addr
	for _, net := range candidates {
		if chosen, ok := within(addresses, net); ok {
			fitting, found = append(fitting, net), append(found, chosen)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		// IPv4 before IPv6, where that decides.
		var v4 []int
		for i, net := range fitting {
			if net.Addr().Is4() {
				v4 = append(v4, i)
			}
		}
		if len(v4) == 1 {
			return found[v4[0]], nil
		}
		var text []string
		for _, net := range fitting {
			text = append(text, net.String())
		}
		return nil, fmt.Errorf("the hosts have addresses of their own in %s: choose with --subnet", strings.Join(text, " and "))
	}
	var text []string
	for i, prefixes := range addresses {
		var own []string
		for _, p := range prefixes {
			own = append(own, p.String())
		}
		text = append(text, names[i]+" "+strings.Join(own, " "))
	}
	return nil, fmt.Errorf("there is no subnet in which every host has an address of its own (%s): give the hosts a private network, or --peer NAME=ADDRESS", strings.Join(text, "; "))
}

func within(addresses [][]netip.Prefix, net netip.Prefix) ([]netip.Addr, bool) {
	var chosen []netip.Addr
	for _, prefixes := range addresses {
		i := slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return net.Contains(p.Addr()) })
		if i < 0 || slices.Contains(chosen, prefixes[i].Addr()) {
			return nil, false
		}
		chosen = append(chosen, prefixes[i].Addr())
	}
	return chosen, true
}
