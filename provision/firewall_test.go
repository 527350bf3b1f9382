package provision

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// Two members on one machine, one behind a name, one behind a name that nobody knows.
func TestFirewallWish(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`
name: lab
system: {firewall: open-ports, firewall_clients: [192.0.2.7/24]}
hosts:
  - {name: a, address: 10.0.0.1, id: 1}
  - {name: b, address: 10.0.0.1, id: 2, server: {service: zk2, ports: {client: 2182, peer: 2889, election: 3889, metrics: 0},
     paths: {data: /b/d, install: /b/i, config: /b/c, log: /b/l}}}
  - {name: c, address: 203.0.113.9, peer_address: c.example, id: 3}
  - {name: d, address: d.example, id: 4}
  - {name: e, address: fd00::5, id: 5}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := &Run{Inventory: inv}
	one := member{Member: templates.Member{Ensemble: inv, Host: inv.Hosts[0]}, facts: &hostprep.Facts{
		Addresses: map[string][]netip.Addr{"c.example": {netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fe80::3%eth0"), netip.MustParseAddr("127.0.0.1")}}}}
	got := r.firewallWish(one, []member{one})
	if !slices.Equal(got.ClientPorts, []int{2181, 7000, 2182}) || !slices.Equal(got.MemberPorts, []int{2888, 3888, 2889, 3889}) {
		t.Errorf("ports %v, %v", got.ClientPorts, got.MemberPorts)
	}
	if fmt.Sprint(got.Members, got.Unknown, got.Clients) != "[10.0.0.3 fe80::3 fd00::5] [d (d.example)] [192.0.2.0/24]" {
		t.Errorf("members %v, unknown %v, clients %v", got.Members, got.Unknown, got.Clients)
	}
	if want := r.wanted(templates.Member{Ensemble: inv, Host: inv.Hosts[0]}); !slices.Equal(want.Names, []string{"c.example", "d.example"}) ||
		!slices.Contains(want.Contents, got.Record) {
		t.Errorf("names %v, contents %v", want.Names, want.Contents)
	}
}
