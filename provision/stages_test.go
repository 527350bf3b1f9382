package provision

import (
	"testing"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// TLS by settings of zoo.cfg alone is not taken for a switch that has to be undone.
func TestStagesOfGivenTLS(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`
name: lab
zoo_cfg_extra: {secureClientPort: 2281, sslQuorum: true, ssl.quorum.keyStore.location: /etc/own/keys.pem}
hosts: [{name: a, address: 10.0.0.11, id: 1}, {name: b, address: 10.0.0.12, id: 2}, {name: c, address: 10.0.0.13, id: 3}]
`))
	if err != nil {
		t.Fatal(err)
	}
	plan := func(running bool, started []byte) (switching, []member) {
		var members []member
		for _, h := range inv.Hosts {
			members = append(members, member{Member: templates.Member{Ensemble: inv, Host: h}, running: running, started: started})
		}
		return planStages(members), members
	}
	_, first := plan(false, nil)
	written := templates.ZooCfg(first[0].Member)
	s, again := plan(true, written)
	if stage, _ := again[0].stage(); stage != (templates.Stage{Client: templates.ClientBoth, Quorum: templates.QuorumTLS}) {
		t.Fatalf("the settings are read as %v", stage)
	}
	if s.changes() || !s.last() || len((&intent{switching: s, members: again}).rounds()) != 0 {
		t.Errorf("the second plan is %+v", s)
	}
	if text := templates.ZooCfg(again[0].Member); string(text) != string(written) {
		t.Errorf("zoo.cfg was\n%s\nand is to be\n%s", written, text)
	}
}

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
