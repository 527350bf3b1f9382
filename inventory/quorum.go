package inventory

import (
	"fmt"
	"maps"
	"slices"
)

// Quorum says which voters of an ensemble are enough to serve: a majority of them, or with groups a majority of the weight in
// a majority of the groups. Groups without weight do not count, as in Apache ZooKeeper. A majority is one group of equal weights.
type Quorum struct {
	groups []map[int]int // of voters by id, with their weights
	voters []int
	simple bool
}

// QuorumOf is that of the voters among hosts.
func QuorumOf(hosts []Host) Quorum {
	groups, weights := map[int]int{}, map[int]int{}
	for _, h := range hosts {
		if h.Role == Voter {
			groups[h.ID] = h.Group
			if h.Group != 0 {
				weights[h.ID] = h.Weight
			}
		}
	}
	return NewQuorum(groups, weights)
}

// NewQuorum makes a quorum of the groups of voters by id, all 0 where there are none, and their weights, which are 1 where not
// given.
func NewQuorum(groups, weights map[int]int) Quorum {
	q := Quorum{voters: slices.Sorted(maps.Keys(groups)), simple: true}
	byGroup := map[int]map[int]int{}
	for id, group := range groups {
		q.simple = q.simple && group == 0
		weight, given := weights[id]
		if !given {
			weight = 1
		}
		if byGroup[group] == nil {
			byGroup[group] = map[int]int{}
		}
		byGroup[group][id] = weight
	}
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		if sum(byGroup[group], everybody) > 0 {
			q.groups = append(q.groups, byGroup[group])
		}
	}
	return q
}

func everybody(int) bool { return true }

// sum is the weight of those who satisfy has.
func sum(group map[int]int, has func(id int) bool) (weight int) {
	for id, w := range group {
		if has(id) {
			weight += w
		}
	}
	return weight
}

// agreeing counts the groups of which those who satisfy has are a majority.
func (q Quorum) agreeing(has func(id int) bool) (n int) {
	for _, g := range q.groups {
		if sum(g, has) > sum(g, everybody)/2 {
			n++
		}
	}
	return n
}

// Enough reports whether the voters that satisfy has are a quorum.
func (q Quorum) Enough(has func(id int) bool) bool { return q.agreeing(has) > len(q.groups)/2 }

// Size is the number of voters of the smallest quorum.
func (q Quorum) Size() (n int) {
	var sizes []int
	for _, g := range q.groups {
		sizes = append(sizes, heaviest(g, everybody, sum(g, everybody)/2+1))
	}
	slices.Sort(sizes)
	for i := 0; i < len(sizes) && i <= len(sizes)/2; i++ {
		n += sizes[i]
	}
	return n
}

// heaviest is the least number of those who satisfy has who weigh as much as that together.
func heaviest(group map[int]int, has func(id int) bool, weight int) (n int) {
	var weights []int
	for id, w := range group {
		if has(id) {
			weights = append(weights, w)
		}
	}
	slices.Sort(weights)
	for _, w := range slices.Backward(weights) {
		if weight <= 0 {
			break
		}
		weight -= w
		n++
	}
	return n
}

// FailuresLeft is how many of the voters that satisfy has may fail, whichever they are, so that the others are still a quorum.
func (q Quorum) FailuresLeft(has func(id int) bool) int {
	var costs []int // of groups with a majority, the least number of failures after which they have none
	for _, g := range q.groups {
		half := sum(g, everybody) / 2
		if got := sum(g, has); got > half {
			costs = append(costs, heaviest(g, has, got-half))
		}
	}
	spare := len(costs) - len(q.groups)/2 // that many groups less are no majority of the groups
	if spare < 1 {
		return 0
	}
	slices.Sort(costs)
	failures := -1
	for _, c := range costs[:spare] {
		failures += c
	}
	return failures
}

// Tally is what a quorum needs Needed of, of the voters that satisfy has: their number, their weight, or the number of groups in
// which they are a majority.
func (q Quorum) Tally(has func(id int) bool) int {
	if len(q.groups) == 1 {
		return sum(q.groups[0], has)
	}
	return q.agreeing(has)
}

// Needed is the least Tally of a quorum.
func (q Quorum) Needed() int {
	if len(q.groups) == 1 {
		return sum(q.groups[0], everybody)/2 + 1
	}
	return len(q.groups)/2 + 1
}

// Describe names the voters that satisfy has by their Tally, such as "2 of 3 voters".
func (q Quorum) Describe(has func(id int) bool) string {
	switch {
	case len(q.groups) > 1:
		return fmt.Sprintf("voters with a majority in %d of %d groups", q.Tally(has), len(q.groups))
	case len(q.groups) == 1 && !q.simple:
		return fmt.Sprintf("voters with %d of a weight of %d", q.Tally(has), sum(q.groups[0], everybody))
	case len(q.groups) == 1:
		return fmt.Sprintf("%d of %d voters", q.Tally(has), len(q.groups[0]))
	}
	return "0 of 0 voters"
}

// Simple reports whether there are neither groups nor weights.
func (q Quorum) Simple() bool { return q.simple }

// Voters are the ids of all who vote, in their order; those in groups without weight among them.
func (q Quorum) Voters() []int { return q.voters }

// Equal reports whether both have the same voters and the same quorums, as far as groups and weights tell.
func (q Quorum) Equal(o Quorum) bool {
	return slices.Equal(q.voters, o.voters) && slices.EqualFunc(q.groups, o.groups, maps.Equal[map[int]int])
}

// mostVoters bounds the voters of which all sets are looked at.
const mostVoters = 20

// Meets reports whether each quorum of one and each of the other have a voter in common, so that not both can elect. Of very many
// voters with different groups or weights that is not found out, and said not to be so.
func (q Quorum) Meets(o Quorum) bool {
	if q.Equal(o) {
		return true
	}
	all := slices.Clone(q.voters)
	for _, id := range o.voters {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if q.simple && o.simple {
		return len(q.voters)/2+1+len(o.voters)/2+1 > len(all)
	}
	if len(all) > mostVoters {
		return false
	}
	for set := range 1 << len(all) {
		in := func(id int) bool { return set>>slices.Index(all, id)&1 == 1 }
		if q.Enough(in) && o.Enough(func(id int) bool { return !in(id) }) {
			return false
		}
	}
	return true
}
