package convert

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestPeers(t *testing.T) {
	for _, c := range []struct {
		name, one, two, subnet, want string
	}{
		{"NAT first", "10.0.2.15/24 192.168.56.11/24", "10.0.2.15/24 192.168.56.12/24", "", "[192.168.56.11 192.168.56.12]"},
		{"one network", "10.0.0.1/24", "10.0.0.2/24", "", "[10.0.0.1 10.0.0.2]"},
		{"IPv4 before IPv6", "10.0.0.1/24 fd00::1/64", "10.0.0.2/24 fd00::2/64", "", "[10.0.0.1 10.0.0.2]"},
		{"IPv6 alone", "10.0.2.15/24 fd00::1/64", "10.0.2.15/24 fd00::2/64", "", "[fd00::1 fd00::2]"},
		{"several", "10.0.0.1/24 10.1.0.1/24", "10.0.0.2/24 10.1.0.2/24", "", "10.0.0.0/24 and 10.1.0.0/24: choose with --subnet"},
		{"chosen", "10.0.0.1/24 10.1.0.1/24", "10.0.0.2/24 10.1.0.2/24", "10.1.0.0/16", "[10.1.0.1 10.1.0.2]"},
		{"none", "10.0.2.15/24", "10.0.2.15/24", "", "zk1 10.0.2.15/24; zk2 10.0.2.15/24"},
		{"not in that subnet", "10.0.0.1/24", "10.0.0.2/24", "10.9.0.0/24", "no subnet in which"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var subnet netip.Prefix
			if c.subnet != "" {
				subnet = netip.MustParsePrefix(c.subnet)
			}
			got, err := Peers([]string{"zk1", "zk2"}, [][]netip.Prefix{ReadPrefixes([]byte(c.one)), ReadPrefixes([]byte(c.two))}, subnet)
			text := fmt.Sprint(got)
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}
