package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/templates"
)

// TLS is switched on and off in rounds of rolling restarts. In each, all members come to be of one stage, and at each moment
// their stages are no more than one apart, so that they understand one another and clients find a port. What the stage is
// the members say themselves, by the configuration with which they were started: nothing has to be remembered.

// stage is how far TLS is switched on in the running member; ok is false where it does not run.
func (m member) stage() (s templates.Stage, ok bool) {
	if !m.running {
		return s, false
	}
	return templates.StageOf(settingsIn(m.startedWith())), true
}

// startedWith is the configuration of the running member, as far as it is known.
func (m member) startedWith() []byte {
	if m.started != nil || m.facts == nil {
		return m.started
	}
	return m.facts.Contents[m.Config()]
}

// speaksOurTLS reports whether the running member speaks TLS with the certificate that zkctl has brought.
func (m member) speaksOurTLS() bool {
	settings := settingsIn(m.startedWith())
	ours := settings["ssl.keyStore.location"] == m.KeyStore() || settings["ssl.quorum.keyStore.location"] == m.KeyStore()
	return ours && m.stageOrNone() != (templates.Stage{})
}

// plainBeforeApache refuses to make members Apache ZooKeeper while any of them speaks TLS by zkctl's certificates, of which it
// would know nothing.
func plainBeforeApache(members []member) error {
	if !slices.ContainsFunc(members, func(m member) bool { return m.RunsApache() }) {
		return nil
	}
	for _, m := range members {
		if m.speaksOurTLS() {
			return &RefusedError{Host: m.Host.Name, Text: "it runs with TLS by zkctl's certificates, which Apache ZooKeeper does not get",
				Remedy: "switch TLS off first: server.kind as it was, no section tls, zkctl apply; then change server.kind"}
		}
	}
	return nil
}

// nextStage is the stage to which the members can be brought by one round, on the way to the wanted one.
func nextStage(running []templates.Stage, wanted templates.Stage) templates.Stage {
	if len(running) == 0 {
		return wanted
	}
	low, high := running[0], running[0]
	for _, s := range running {
		low = templates.Stage{Client: min(low.Client, s.Client), Quorum: min(low.Quorum, s.Quorum)}
		high = templates.Stage{Client: max(high.Client, s.Client), Quorum: max(high.Quorum, s.Quorum)}
	}
	return templates.Stage{
		Client: towards(low.Client, high.Client, wanted.Client), Quorum: towards(low.Quorum, high.Quorum, wanted.Quorum),
	}
}

// towards is next to both ends of what there is, as far as that can be, and nearer to what is wanted.
func towards(low, high, wanted int) int {
	switch {
	case wanted > low:
		return low + 1
	case wanted < high:
		return high - 1
	}
	return wanted
}

// switching is how TLS is being switched on or off.
type switching struct {
	// from is where the members are; they may be of this stage and the one before.
	from []templates.Stage
	// now is the stage of the present round, wanted that of the last one.
	now, wanted templates.Stage
}

// planStages finds out the round that is due, and has the members configured for it.
func planStages(members []member) switching {
	s := switching{wanted: templates.WantedStage(members[0].Host.TLS)}
	if slices.ContainsFunc(members, func(m member) bool { return m.Host.GivesTLS() }) && !slices.ContainsFunc(members, member.speaksOurTLS) {
		s.now = s.wanted // what the members say is not of our doing
		return s
	}
	for i := range members {
		if stage, ok := members[i].stage(); ok {
			s.from = append(s.from, stage)
		}
	}
	s.now = nextStage(s.from, s.wanted)
	if len(members) == 1 {
		s.now = s.wanted // there is nobody to understand
	}
	for i := range members {
		members[i].TLS = &s.now
	}
	return s
}

// last reports whether no round is left after the present one.
func (s switching) last() bool { return s.now == s.wanted }

// changes reports whether the present round brings members to another stage.
func (s switching) changes() bool { return s.before() != s.now }

// before is the stage that the present round leaves.
func (s switching) before() templates.Stage {
	for _, stage := range s.from {
		if stage != s.now {
			return stage
		}
	}
	return s.now
}

// round says what is new when members come from one stage to another.
func round(from, to templates.Stage) string {
	var parts []string
	up := to.Quorum > from.Quorum
	if to.Quorum != from.Quorum {
		parts = append(parts, map[bool][]string{
			true: {"", "members take TLS from one another, and speak plain still", "members speak TLS, and take plain still", "members speak nothing but TLS"},
			false: {"members speak plain, and nothing else", "members speak plain, and take TLS still",
				"members take plain from one another, and speak TLS still"},
		}[up][to.Quorum])
	}
	up = to.Client > from.Client
	if to.Client != from.Client {
		parts = append(parts, map[bool][]string{
			true:  {"", "clients may speak TLS", "clients must speak TLS"},
			false: {"clients must speak plain", "clients may speak plain"},
		}[up][to.Client])
	}
	return strings.Join(parts, "; ")
}

// PlannedRound is one of the rounds of rolling restarts in which TLS is switched on or off.
type PlannedRound struct {
	// What is new afterwards.
	What string `json:"what"`
	// Changes are those that the round needs; of the first round they are among the others of the plan, and so are the
	// restarts.
	Changes  []Planned        `json:"changes"`
	Restarts []PlannedRestart `json:"restarts"`
}

// rounds are all rounds, the present one first; none where TLS stays as it is.
func (it *intent) rounds() []PlannedRound {
	s := it.switching
	if !s.changes() {
		return nil
	}
	all := []PlannedRound{{What: round(s.before(), s.now), Changes: []Planned{}, Restarts: []PlannedRestart{}}}
	for stage := s.now; stage != s.wanted; {
		next := nextStage([]templates.Stage{stage}, s.wanted)
		p := PlannedRound{What: round(stage, next)}
		for _, m := range it.members {
			before, after := m, m
			before.TLS, after.TLS = &stage, &next
			mode, group := after.configAccess()
			c := hostprep.Change{
				Kind: hostprep.WriteFile, Target: m.Config(), Summary: "change " + m.Config(), Mode: mode, Owner: m.root(), Group: group, Root: privileged(m.Member),
				Before: templates.ZooCfg(before.Member), After: templates.ZooCfg(after.Member),
			}
			p.Changes = append(p.Changes, Planned{Step: stepFiles, Host: m.Host.Name, Target: c.Target, Summary: c.Summary, Effect: Restart,
				Diff: diff(c), Digest: digest(stepFiles, m.Host.Name, c)})
			p.Restarts = append(p.Restarts, PlannedRestart{m.Host.Name, "TLS: " + p.What})
		}
		all = append(all, p)
		stage = next
	}
	return all
}

// note tells at which round the switch is.
func (s switching) note(r *Run) {
	if s.changes() {
		left := 0
		for stage := s.now; stage != s.wanted; left++ {
			stage = nextStage([]templates.Stage{stage}, s.wanted)
		}
		text := "the last round of restarts"
		if left > 0 {
			text = fmt.Sprintf("a round of restarts, %d to follow", left)
		}
		r.note(stepRestart, "", "TLS: %s: %s", text, round(s.before(), s.now))
	}
}
