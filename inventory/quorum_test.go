package inventory

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// quorumFrom makes a quorum from words: group:weight of server 1, 2, …
func quorumFrom(t *testing.T, words string) (q Quorum, n int) {
	t.Helper()
	groups, weights := map[int]int{}, map[int]int{}
	for i, w := range strings.Fields(words) {
		var group, weight int
		if _, err := fmt.Sscanf(w, "%d:%d", &group, &weight); err != nil {
			t.Fatal(err)
		}
		groups[i+1], weights[i+1] = group, weight
	}
	return NewQuorum(groups, weights), len(groups)
}

func among(ids ...int) func(int) bool { return func(id int) bool { return slices.Contains(ids, id) } }

func TestQuorum(t *testing.T) {
	for _, c := range []struct {
		words  string
		have   []int
		enough bool
		says   string
	}{
		{"0:1 0:1 0:1", []int{1, 3}, true, "2 of 3 voters"},
		{"0:1 0:1 0:1 0:1", []int{1, 3}, false, "2 of 4 voters"},
		{"1:3 1:1 1:1", []int{1}, true, "voters with 3 of a weight of 5"},
		{"1:3 1:1 1:1", []int{2, 3}, false, "voters with 2 of a weight of 5"},
		{"1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1", []int{1, 2, 7, 9}, true, "voters with a majority in 2 of 3 groups"},
		{"1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1", []int{1, 2, 3, 4, 7}, false, "voters with a majority in 1 of 3 groups"},
		{"1:1 1:1 1:1 2:0 2:0", []int{1, 2}, true, "voters with 2 of a weight of 3"}, // a group without weight does not count
		{"1:1 2:1", []int{1}, false, "voters with a majority in 1 of 2 groups"},
	} {
		q, _ := quorumFrom(t, c.words)
		if got, says := q.Enough(among(c.have...)), q.Describe(among(c.have...)); got != c.enough || says != c.says {
			t.Errorf("%s: %v: %v, %q", c.words, c.have, got, says)
		}
		if (q.Tally(among(c.have...)) >= q.Needed()) != c.enough {
			t.Errorf("%s: %v: %d, %d are needed", c.words, c.have, q.Tally(among(c.have...)), q.Needed())
		}
	}
}

// Size and FailuresLeft are what looking at all sets of voters finds.
func TestQuorumAgainstAllSets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var words []string
		for range 1 + random.IntN(7) {
			words = append(words, fmt.Sprintf("%d:%d", 1+random.IntN(3), random.IntN(4)))
		}
		text := strings.Join(words, " ")
		q, n := quorumFrom(t, text)
		if len(q.groups) == 0 {
			continue
		}
		in := func(set int) func(int) bool { return func(id int) bool { return set>>(id-1)&1 == 1 } }
		least := n + 1
		for set := range 1 << n {
			if q.Enough(in(set)) {
				least = min(least, bits.OnesCount(uint(set)))
			}
		}
		if q.Size() != least {
			t.Errorf("%s: size %d, want %d", text, q.Size(), least)
		}
		has := random.IntN(1 << n)
		left := 0
		if q.Enough(in(has)) {
			left = n
			for fail := range 1 << n {
				if !q.Enough(in(has &^ fail)) {
					left = min(left, bits.OnesCount(uint(has&fail))-1)
				}
			}
		}
		if got := q.FailuresLeft(in(has)); got != left {
			t.Errorf("%s: of %b %d failures are left, want %d", text, has, got, left)
		}
	}
}

func TestQuorumsMeet(t *testing.T) {
	for _, c := range []struct {
		old, new string
		meet     bool
	}{
		{"0:1 0:1 0:1", "0:1 0:1 0:1 0:1", true},
		{"0:1", "0:1 0:1 0:1", false},
		{"0:1 0:1 0:1", "1:3 1:1 1:1", false}, // 2 and 3 were enough, 1 is going to be
		{"0:1 0:1 0:1", "1:2 1:1 1:1", true},
		{"0:1 0:1 0:1", "1:1 1:1 1:1", true},
		{"1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1", "1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1", true},
		{"1:1 1:1 1:1 2:1 2:1 2:1 3:1 3:1 3:1", "0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1", false},
	} {
		a, _ := quorumFrom(t, c.old)
		b, _ := quorumFrom(t, c.new)
		if a.Meets(b) != c.meet || b.Meets(a) != c.meet {
			t.Errorf("%s and %s: %v", c.old, c.new, !c.meet)
		}
	}
}

func TestGroupsOfHosts(t *testing.T) {
	host := func(i int, more string) string {
		return fmt.Sprintf("  - {name: zk%d, address: 10.0.0.%d, id: %d%s}\n", i, i, i, more)
	}
	for name, c := range map[string]struct{ hosts, problem string }{
		"weights alone":   {host(1, ", weight: 2") + host(2, "") + host(3, ""), ""},
		"groups":          {host(1, ", group: 1") + host(2, ", group: 2, weight: 0") + host(3, ", group: 1") + host(4, ", role: observer"), ""},
		"one without":     {host(1, ", group: 1") + host(2, ""), "i.yaml:4:5: zk2: has no group, but zk1 has (i.yaml:3:50): either all voters have one, or none"},
		"no weight":       {host(1, ", weight: 0"), "i.yaml:3:51: the votes of all hosts weigh 0: nobody can be elected"},
		"an observer":     {host(1, "") + host(2, ", role: observer, weight: 2"), "zk2: weight: an observer has no vote"},
		"by zoo_cfg":      {host(1, ", zoo_cfg: {group.1: '1'}"), "zoo_cfg.group.1: zkctl writes this itself; set group of the hosts instead"},
		"by zoo_cfg, too": {host(1, ", zoo_cfg_extra: {weight.1: 2}"), "zoo_cfg_extra.weight.1: zkctl writes this itself; set weight of the hosts instead"},
	} {
		inv, err := Parse("i.yaml", []byte("name: lab\nhosts:\n"+c.hosts))
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && slices.ContainsFunc(inv.Hosts, func(h Host) bool { return (h.Group == 0) != (h.Role == Observer) }) {
			t.Errorf("%s: %+v", name, inv.Hosts)
		}
	}
}
