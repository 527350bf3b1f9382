package provision

import (
	"slices"
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

// Voters that could come at the wrong moment of an election of others come before it or after it.
func TestWaves(t *testing.T) {
	const text = `name: e
ssh: {user: root}
hosts:
  - {name: a, id: 1, address: 10.0.0.1}
  - {name: o, id: 9, address: 10.0.0.9, role: observer}
  - {name: b, id: 2, address: 10.0.0.2}
  - {name: c, id: 3, address: 10.0.0.3}
`
	inv, err := inventory.Parse("inventory.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		change      func(m []member)
		first, rest []int
	}{
		{"nobody runs", func([]member) {}, []int{0, 2, 3}, []int{1}},
		{"only an observer runs", func(m []member) { m[1].running = true }, []int{0, 2, 3}, []int{1}},
		{"a voter runs", func(m []member) { m[0].running = true }, []int{0, 1, 2}, []int{3}},
		{"one is Apache ZooKeeper", func(m []member) { m[3].Host.Server.Kind = inventory.Apache }, []int{0, 1, 2}, []int{3}},
	} {
		members := make([]member, len(inv.Hosts))
		for i, h := range inv.Hosts {
			members[i].Host = h
		}
		c.change(members)
		r := &Run{Inventory: inv}
		if first, rest := r.waves(members); !slices.Equal(first, c.first) || !slices.Equal(rest, c.rest) {
			t.Errorf("%s: %v, then %v; want %v, then %v", c.name, first, rest, c.first, c.rest)
		}
	}
}
