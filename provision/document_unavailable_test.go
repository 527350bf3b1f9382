package provision

import (
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

// A plan does not promise service where the voters that run are no majority.
func TestUnavailable(t *testing.T) {
	inv := &inventory.Inventory{}
	for i, name := range []string{"a", "b", "c"} {
		inv.Hosts = append(inv.Hosts, inventory.Host{Name: name, ID: i + 1, Role: inventory.Voter})
	}
	inv.Hosts = append(inv.Hosts, inventory.Host{Name: "o", ID: 4, Role: inventory.Observer})
	for _, test := range []struct {
		starts    []string
		others    []string // that do not run, and are not started
		elections int
		want      string
	}{
		{nil, nil, 0, Served},
		{[]string{"a", "o"}, nil, 0, Served},
		{nil, nil, 1, "for one election; sessions survive it"},
		{[]string{"a", "b"}, nil, 0, "until members are started: the voters that run are no majority"},
		{[]string{"a"}, []string{"b"}, 0, "until members are started: the voters that run are no majority"},
		{[]string{"a"}, []string{"b", "c"}, 0, "until more members are started than these: the voters that run are no majority"},
		{[]string{"a", "b", "c", "o"}, nil, 0, "until the first start: nothing runs yet"},
	} {
		if got := unavailable(inv, test.starts, append(test.others, test.starts...), test.elections); got != test.want {
			t.Errorf("%v to start, %d elections: got %q, want %q", test.starts, test.elections, got, test.want)
		}
	}
}
