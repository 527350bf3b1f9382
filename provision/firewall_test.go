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

// One address behind two jump hosts is two machines, each of which is prepared.
func TestMachinesBehindJumpHosts(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`
name: lab
ssh: {config: none, user: me}
hosts:
  - {name: a, address: 10.0.0.5, peer_address: 192.0.2.1, id: 1, ssh: {jump: [bastion-1]}}
  - {name: b, address: 10.0.0.5, peer_address: 192.0.2.2, id: 2, ssh: {jump: [bastion-2]}}
  - {name: c, address: 10.0.0.5, peer_address: 192.0.2.1, id: 3, ssh: {jump: [bastion-1]}, server: {service: zk3, ports: {client: 2182, peer: 2889, election: 3889, metrics: 0},
     paths: {data: /c/d, install: /c/i, config: /c/c, log: /c/l}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := (&Run{Inventory: inv}).oneOfEachMachine(); len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
		t.Errorf("machines %v", got)
	}
}

// What is more than a note is said with its remedy and not among the notes of a plan.
func TestNotesOf(t *testing.T) {
	got := notesOf([]hostprep.Finding{{Severity: hostprep.Note, Text: "a"}, {Severity: hostprep.Warning, Text: "b"}, {Severity: hostprep.Error, Text: "c"}})
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("notes %q", got)
	}
}
