package provision

import (
	"strings"
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
		restarts  []string
		elections int
		want      string
	}{
		{nil, nil, nil, 0, Served},
		{[]string{"a", "o"}, nil, nil, 0, Served},
		{nil, nil, []string{"b", "a", "c"}, 1, "for one election; sessions survive it"},
		{[]string{"a", "b"}, nil, nil, 0, "until members are started: the voters that run are no majority"},
		{[]string{"a"}, []string{"b"}, nil, 0, "until members are started: the voters that run are no majority"},
		{[]string{"a"}, []string{"b", "c"}, nil, 0, "until more members are started than these: the voters that run are no majority"},
		{nil, []string{"c"}, []string{"o"}, 0, Served},
		{nil, []string{"c"}, []string{"b"}, 0, "while a voter is restarted that the others cannot do without: zkctl restart does that, apply refuses to"},
		{[]string{"c"}, nil, []string{"b"}, 0, Served},
		{[]string{"a", "b", "c", "o"}, nil, nil, 0, "until the first start: nothing runs yet"},
	} {
		if got := unavailable(inv, nil, test.starts, append(test.others, test.starts...), test.restarts, test.elections); got != test.want {
			t.Errorf("%v to start, %d elections: got %q, want %q", test.starts, test.elections, got, test.want)
		}
	}
	// While weights change, what counts is by what those count that stay.
	heavy := inventory.NewQuorum(map[int]int{1: 0, 2: 0, 3: 0}, map[int]int{1: 2})
	counts := map[string]inventory.Quorum{"a": heavy, "b": heavy, "c": heavy}
	for order, served := range map[string]bool{"a b c": false, "b a c": false, "b c a": true} {
		if got := unavailable(inv, counts, nil, nil, strings.Fields(order), 0); (got == Served) != served {
			t.Errorf("%s: %q", order, got)
		}
	}
	// Of two voters none can be missed.
	inv.Hosts = inv.Hosts[:2]
	if got := unavailable(inv, nil, nil, nil, []string{"b"}, 0); !strings.Contains(got, "zkctl restart does that, apply refuses to") {
		t.Errorf("of two: %q", got)
	}
}
