package provision

import (
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

// A plan does not promise service where the voters that run are no majority.
func TestUnavailable(t *testing.T) {
	inv := &inventory.Inventory{}
	for _, name := range []string{"a", "b", "c"} {
		inv.Hosts = append(inv.Hosts, inventory.Host{Name: name, Role: inventory.Voter})
	}
	inv.Hosts = append(inv.Hosts, inventory.Host{Name: "o", Role: inventory.Observer})
	for _, test := range []struct {
		starts    []string
		elections int
		want      string
	}{
		{nil, 0, Served},
		{[]string{"a", "o"}, 0, Served},
		{nil, 1, "for one election; sessions survive it"},
		{[]string{"a", "b"}, 0, "until members are started: the voters that run are no majority"},
		{[]string{"a", "b", "c", "o"}, 0, "until the first start: nothing runs yet"},
	} {
		if got := unavailable(inv, test.starts, test.elections); got != test.want {
			t.Errorf("%v to start, %d elections: got %q, want %q", test.starts, test.elections, got, test.want)
		}
	}
}
