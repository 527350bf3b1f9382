package provision

import (
	"testing"

	"github.com/zkctl/zkctl/templates"
)

// From wherever an ensemble is, and wherever a round is cut off, the next rounds lead to what is wanted, and members that
// are restarted one by one are never more than one stage apart.
func TestRoundsFromAnywhere(t *testing.T) {
	distance := func(a, b int) int { return max(a-b, b-a) }
	var stages []templates.Stage
	for c := range templates.ClientTLS + 1 {
		for q := range templates.QuorumTLS + 1 {
			stages = append(stages, templates.Stage{Client: c, Quorum: q})
		}
	}
	for _, from := range stages {
		for _, changed := range stages { // what was wanted at first
			for _, wanted := range stages {
				for cut := range 3 {
					members := []templates.Stage{from, from, from}
					move := func(to templates.Stage, some int) {
						for i := range some {
							members[i] = to
							for _, o := range members {
								if distance(o.Client, members[i].Client) > 1 || distance(o.Quorum, members[i].Quorum) > 1 {
									t.Fatalf("from %v to %v, then %v after %d: members are at %v", from, changed, wanted, cut, members)
								}
							}
						}
					}
					move(nextStage(members, changed), cut)
					rounds := 0
					for ; members[0] != wanted || members[1] != wanted || members[2] != wanted; rounds++ {
						if rounds == 5 {
							t.Fatalf("from %v to %v after %d: still at %v", from, wanted, cut, members)
						}
						next := nextStage(members, wanted)
						// Members go in any order, those first that have to.
						if members[0] == next {
							members[0], members[2] = members[2], members[0]
						}
						move(next, 3)
					}
				}
			}
		}
	}
	if got := nextStage(nil, templates.Stage{Client: 2, Quorum: 3}); got != (templates.Stage{Client: 2, Quorum: 3}) {
		t.Errorf("where nothing runs: %v", got)
	}
}
