package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

func set(ids ...wire.ServerID) func(wire.ServerID) bool {
	return func(id wire.ServerID) bool { return slices.Contains(ids, id) }
}

func voters(ids ...wire.ServerID) []Member {
	var list []Member
	for _, id := range ids {
		list = append(list, Member{ID: id})
	}
	return list
}

func weights(pairs ...int64) Group {
	var g Group
	for i := 0; i < len(pairs); i += 2 {
		g.Voters = append(g.Voters, Weighted{wire.ServerID(pairs[i]), pairs[i+1]})
	}
	return g
}

func TestQuorum(t *testing.T) {
	nine := voters(1, 2, 3, 4, 5, 6, 7, 8, 9)
	three := []Group{weights(1, 1, 2, 1, 3, 1), weights(4, 1, 5, 1, 6, 1), weights(7, 1, 8, 1, 9, 1)}
	for _, c := range []struct {
		name    string
		members []Member
		groups  []Group
		yes, no [][]wire.ServerID
	}{
		{"one", voters(7), nil, [][]wire.ServerID{{7}}, [][]wire.ServerID{{}, {1}}},
		{"two", voters(1, 2), nil, [][]wire.ServerID{{1, 2}}, [][]wire.ServerID{{}, {1}, {2}}},
		{"three", voters(3, 1, 2), nil, [][]wire.ServerID{{1, 2}, {1, 3}, {1, 2, 3}}, [][]wire.ServerID{{}, {1}, {3, 4}}},
		{"four", voters(1, 2, 3, 4), nil, [][]wire.ServerID{{1, 2, 4}}, [][]wire.ServerID{{1, 2}, {3, 4}}},
		{"an observer", []Member{{ID: 1}, {ID: 2}, {ID: 3, Observer: true}}, nil, [][]wire.ServerID{{1, 2}}, [][]wire.ServerID{{1, 3}, {2, 3}}},
		{
			"three groups", nine, three,
			[][]wire.ServerID{{1, 2, 4, 5}, {1, 3, 7, 9}, {1, 2, 3, 4, 5, 6}},
			[][]wire.ServerID{{1, 2, 3, 4, 7}, {1, 4, 7}, {1, 2, 3}, {}},
		},
		{
			"a group without weight does not count", voters(1, 2, 3, 4, 5), []Group{weights(1, 1, 2, 1, 3, 1), weights(4, 0, 5, 0)},
			[][]wire.ServerID{{1, 2}}, [][]wire.ServerID{{1, 4, 5}, {4, 5}},
		},
		{"weights", voters(1, 2, 3), []Group{weights(1, 5, 2, 1, 3, 1)}, [][]wire.ServerID{{1}}, [][]wire.ServerID{{2, 3}}},
		{"half is not enough", voters(1, 2), []Group{weights(1, 2, 2, 2)}, [][]wire.ServerID{{1, 2}}, [][]wire.ServerID{{1}, {2}}},
		{
			"an observer's weight is never there", []Member{{ID: 1}, {ID: 2}, {ID: 3, Observer: true}}, []Group{weights(1, 1, 2, 1, 3, 2)},
			nil, [][]wire.ServerID{{1, 2}, {1, 2, 3}},
		},
	} {
		config, err := New(c.members, c.groups, 0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, ids := range c.yes {
			if !config.Quorum(set(ids...)) {
				t.Errorf("%s: %v is no quorum", c.name, ids)
			}
		}
		for _, ids := range c.no {
			if config.Quorum(set(ids...)) {
				t.Errorf("%s: %v is a quorum", c.name, ids)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for want, c := range map[string]struct {
		members []Member
		groups  []Group
	}{
		"no server votes":           {[]Member{{ID: 1, Observer: true}}, nil},
		"server 2 is listed twice":  {voters(1, 2, 2), nil},
		"server 1 is in two groups": {voters(1, 2), []Group{weights(1, 1, 2, 1), weights(1, 1)}},
		"server 2 is in no group":   {voters(1, 2), []Group{weights(1, 1)}},
		"server 1 has weight -1":    {voters(1), []Group{weights(1, -1)}},
		"no group has a weight":     {voters(1, 2), []Group{weights(1, 0), weights(2, 0)}},
	} {
		if config, err := New(c.members, c.groups, 0); err == nil || err.Error() != want || config != nil {
			t.Errorf("%s: %v, %v", want, config, err)
		}
	}
	if _, err := New(nil, nil, 0); err == nil || !strings.Contains(err.Error(), "no server votes") {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	members := []Member{{ID: 1 << 40}, {ID: -3}, {ID: 2, Observer: true}, {ID: 5}}
	groups := []Group{weights(-3, 1, 5, 0), weights(1<<40, 1)}
	c, err := New(members, groups, 9)
	if err != nil {
		t.Fatal(err)
	}
	members[0].ID, groups[0].Voters[0].Weight = 77, 0 // the caller's
	if fmt.Sprint(c.Voters()) != fmt.Sprint([]wire.ServerID{-3, 5, 1 << 40}) || !slices.Equal(c.Members(), []Member{{ID: -3}, {ID: 2, Observer: true}, {ID: 5}, {ID: 1 << 40}}) || c.Version() != 9 {
		t.Errorf("%v, %v, %d", c.Voters(), c.Members(), c.Version())
	}
	if !c.Quorum(set(-3, 1<<40)) || c.Quorum(set(-3, 5)) {
		t.Error("the groups are not those that were given")
	}
	for id, want := range map[wire.ServerID][2]bool{-3: {true, true}, 5: {true, false}, 2: {false, false}, 1 << 40: {true, true}, 99: {false, false}} {
		if c.IsVoter(id) != want[0] || c.MayLead(id) != want[1] {
			t.Errorf("server %d votes: %v, may lead: %v", id, c.IsVoter(id), c.MayLead(id))
		}
	}
	plain, err := New(members, nil, 0)
	if err != nil || !plain.MayLead(5) || plain.MayLead(2) {
		t.Errorf("%v, %v", plain, err)
	}
}

// naive says it in the words of the manual, without sharing anything.
func naive(members []Member, groups []Group, has func(wire.ServerID) bool) bool {
	observer := make(map[wire.ServerID]bool)
	votes, all := 0, 0
	for _, m := range members {
		observer[m.ID] = m.Observer
		if !m.Observer {
			all++
			if has(m.ID) {
				votes++
			}
		}
	}
	if len(groups) == 0 {
		return 2*votes > all
	}
	agree, count := 0, 0
	for _, g := range groups {
		sum, total := int64(0), int64(0)
		for _, v := range g.Voters {
			total += v.Weight
			if has(v.ID) && !observer[v.ID] {
				sum += v.Weight
			}
		}
		if total > 0 {
			count++
			if 2*sum > total {
				agree++
			}
		}
	}
	return 2*agree > count
}

// TestNaive compares random memberships with the naive twin, and checks that any two quorums have a voter in common, and
// that more votes never hurt.
func TestNaive(t *testing.T) {
	quorums, hierarchical := 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var members []Member
		groups := make([]Group, r.IntN(4))
		for id := range wire.ServerID(1 + r.IntN(8)) {
			members = append(members, Member{ID: id, Observer: r.IntN(5) == 0})
			if len(groups) > 0 {
				g := &groups[r.IntN(len(groups))]
				g.Voters = append(g.Voters, Weighted{id, int64(r.IntN(4))})
			}
		}
		c, err := New(members, groups, 0)
		if err != nil {
			continue
		}
		if len(groups) > 0 {
			hierarchical++
		}
		var winning []uint32
		for bits := range uint32(1) << len(members) {
			has := func(id wire.ServerID) bool { return bits>>id&1 == 1 }
			got := c.Quorum(has)
			if got != naive(members, groups, has) {
				t.Fatalf("%v %v: %b is a quorum: %v", members, groups, bits, got)
			}
			if got {
				winning = append(winning, bits)
			}
		}
		quorums += len(winning)
		for _, a := range winning {
			for _, b := range winning[:min(len(winning), 20)] {
				if a&b == 0 {
					t.Fatalf("%v %v: %b and %b are quorums", members, groups, a, b)
				}
			}
			for id := range members {
				more := a | 1<<id
				if !c.Quorum(func(id wire.ServerID) bool { return more>>id&1 == 1 }) {
					t.Fatalf("%v %v: %b is a quorum, and %b is not", members, groups, a, more)
				}
			}
		}
	}
	if quorums < 10_000 || hierarchical < 500 {
		t.Errorf("%d quorums, %d memberships with groups", quorums, hierarchical)
	}
}
