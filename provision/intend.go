package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// intent is what an operation has found out and means to do.
type intent struct {
	members                             []member
	ring                                *keyring
	keys, names, hosts, users, software *Plan
	// certificates come after the server, which makes keys, and before the files, which need them.
	certificates, files *Plan
	switching           switching
	// leader is who leads, "" where nobody has to be restarted.
	leader string
	ids    identities
	out    *Outcome
}

// intend looks at all hosts and decides what to do. It changes nothing.
func (r *Run) intend(ctx context.Context) (*intent, error) {
	members, err := r.observe(ctx, r.Inventory.Hosts)
	if err != nil {
		return nil, err
	}
	if err := plainBeforeApache(members); err != nil {
		return nil, err
	}
	servers := make([]bundle.Program, len(members))
	for i, m := range members {
		if m.RunsApache() || !r.within(m.Host) {
			continue
		}
		if servers[i], err = r.Server(m.Host, m.facts.Arch); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Host.Name, err)
		}
	}
	it := &intent{ids: r.identify(members), members: members, names: &Plan{}, hosts: &Plan{}, users: &Plan{}, software: &Plan{},
		certificates: &Plan{}, files: &Plan{}, switching: planStages(members),
		out: &Outcome{Plan: &Plan{}, Restarts: map[string]string{}}}
	if err := r.step(ctx, stepChecks, func(context.Context) error { return r.check(members, it.ids) }); err != nil {
		return nil, err
	}
	if err := r.mayLimit(members, it.ids); err != nil {
		return nil, err
	}
	if len(r.Limit) > 0 && (it.switching.changes() || !it.switching.last()) {
		return nil, &RefusedError{Host: r.Limit[0], Text: "TLS is switched on or off for all members together, round by round", Remedy: "leave --limit away"}
	}
	if it.ids.ensembleID == unchosen && !r.DryRun {
		it.ids.ensembleID = newEnsembleID()
		it.ids.fresh = true
	}
	if it.ring, err = r.keyring(members); err != nil {
		return nil, err
	}
	if it.keys, err = r.planKeys(it.ring); err != nil {
		return nil, err
	}
	// What is less than a warning is among the plan's notes.
	found := slices.DeleteFunc(slices.Concat(r.planNames(members, it.names), r.planHosts(members, it.hosts)),
		func(f hostprep.Finding) bool { return f.Severity == hostprep.Note })
	if err := r.findings(stepChecks, r.eased(found)); err != nil {
		return nil, err
	}
	if err := r.planMembers(it, servers); err != nil {
		return nil, err
	}
	err = r.planCertificates(members, it.certificates, func(m member) bool { return m.Host.TLS.On() && r.within(m.Host) })
	if err != nil {
		return nil, err
	}
	for _, p := range []*Plan{it.keys, it.names, it.hosts, it.users, it.software, it.certificates, it.files} {
		p.only(r.within)
		it.out.Plan.Steps = append(it.out.Plan.Steps, p.Steps...)
	}
	if err := votersMayChange(members, r.Inventory); err != nil {
		return nil, err
	}
	if gone := r.retired(members, it.ids); len(gone) > 0 {
		r.report(Event{Kind: Warning, Step: stepChecks, Text: "members know servers that are not in the inventory any more: " + strings.Join(gone, ", ") +
			"; one that still runs goes on serving clients, and zkctl does not look for it (on its host: zkServer.sh stop)"})
	}
	if len(it.out.Restarts) > 0 {
		r.planRestarts(ctx, it)
	}
	return it, nil
}

// summaries are all changes that are intended, with their hosts.
func (it *intent) summaries() [][2]string {
	all := [][2]string{}
	for _, s := range it.out.Plan.Steps {
		for _, h := range s.Hosts {
			for _, c := range h.Changes {
				all = append(all, [2]string{h.Host.Name, c.Summary})
			}
		}
	}
	return all
}

// planRestarts finds out in which order members are going to be restarted, and what that costs.
func (r *Run) planRestarts(ctx context.Context, it *intent) {
	seen := r.probeAll(ctx)
	var left []member
	for _, m := range it.members {
		if it.out.Restarts[m.Host.Name] != "" {
			left = append(left, m)
		}
	}
	it.leader = Judge(seen).Leader
	if it.out.Restarts[it.leader] != "" {
		it.out.Elections = 1
	}
	warned := false
	for len(left) > 0 {
		m, err := nextToStop(left, seen)
		name := m.Host.Name
		// With all voters serving it is certain that these restarts are going to be refused; others may come back, or be started.
		if refused := (*RefusedError)(nil); !warned && errors.As(err, &refused) && refused.Remedy == interruptRemedy {
			r.report(Event{Kind: Warning, Step: stepRestart, Host: name, Text: "is not going to be restarted: " + refused.Text + " (" + refused.Remedy + ")"})
			warned = true
		}
		it.out.Order = append(it.out.Order, name)
		left = slices.DeleteFunc(left, func(o member) bool { return o.Host.Name == name })
		for i := range seen {
			if seen[i].Host.Name == name {
				seen[i].Counts = inventory.Quorum{} // the next one is stopped beside one that counts by the inventory
			}
		}
	}
}

// check applies the checks to all hosts and reports every finding.
func (r *Run) check(members []member, ids identities) error {
	var findings []hostprep.Finding
	var facts []*hostprep.Facts
	for _, m := range members {
		findings = append(findings, hostprep.Check(m.facts, m.requirements())...)
		findings = append(findings, m.apacheFindings()...)
	}
	for _, m := range machines(members) {
		if m.Host.Connection == inventory.OverSSH {
			facts = append(facts, m.facts)
		}
	}
	if len(members) > 0 {
		findings = append(findings, hostprep.CheckTogether(facts, members[0].Host.System.MaxSkew)...)
	}
	findings = append(findings, r.checkIdentities(members, ids)...)
	return r.findings(stepChecks, r.eased(findings))
}

// requirements are what the member needs of its host.
func (m member) requirements() hostprep.Requirements {
	s := m.Host.Server
	return hostprep.Requirements{
		ID: m.Host.ID, NeedRoot: privileged(m.Member), DataDir: s.Paths.Data,
		MinAvailKiB: int64(m.Host.System.MinFree) * 1024,
		Ports:       append(m.allClientPorts(), s.Ports.Peer, s.Ports.Election, s.Ports.Metrics),
		Ours: func(l hostprep.Listener) bool {
			return l.PID != 0 && l.PID == m.pid || strings.Contains(l.Command, m.Config()) || m.running && l.PID == 0 ||
				strings.Contains(l.Command, " probe-peers ") // of a run that was cut off a moment ago: it ends by itself
		},
	}
}

// findings reports findings; errors among them become ErrChecks.
func (r *Run) findings(step string, findings []hostprep.Finding) error {
	var errs []error
	for _, f := range findings {
		text := f.Check + ": " + f.Text
		if f.Remedy != "" && f.Severity != hostprep.Note {
			text += " (" + f.Remedy + ")"
		}
		switch f.Severity {
		case hostprep.Error:
			errs = append(errs, fmt.Errorf("%s: %s", f.Host, text))
		case hostprep.Warning:
			r.report(Event{Kind: Warning, Step: step, Host: f.Host, Text: text})
		default:
			r.report(Event{Kind: Note, Step: step, Host: f.Host, Text: text})
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w:\n%w", ErrChecks, errors.Join(errs...))
	}
	return nil
}

// planMembers plans what makes a host a member, and finds out who has to be started or restarted.
func (r *Run) planMembers(it *intent, servers []bundle.Program) error {
	members, users, software, files, out := it.members, it.users, it.software, it.files, it.out
	changes := make([][]hostprep.Change, len(members))
	add := func(p *Plan, step string, i int, c []hostprep.Change, notes ...string) {
		p.add(step, members[i].Host, c, notes...)
		changes[i] = append(changes[i], c...)
	}
	releases := make([]string, len(members)) // "" where the server is there
	for i, m := range members {
		if !m.RunsApache() {
			release := m.release(r.Version, servers[i])
			if !m.hasServer(release, servers[i]) {
				releases[i] = release
			}
		}
		add(users, stepUser, i, m.planUser(releases[i]))
	}
	var java []member // of those that need one, the first on each machine brings it
	for i, m := range members {
		if m.RunsApache() && len(machines(append(java, m))) > len(machines(java)) {
			java = append(java, m)
			add(software, stepJava, i, m.planJava())
		}
	}
	pushed := parcels{}
	for i, m := range members {
		var c []hostprep.Change
		var notes []string
		switch {
		case m.RunsApache() && !m.hasApache():
			c = m.planApache()
			if !m.running && !r.SkipNetwork && len(machines(members)) > 1 {
				notes = append(notes, bringsProbe)
			}
		case m.RunsApache():
		case releases[i] != "" && servers[i].Size > 0: // of hosts outside the limit it is not known
			p, err := pushed.of(servers[i], m.Host.Connection == inventory.OverSSH && m.facts.HasTool("gzip"))
			if err != nil {
				return fmt.Errorf("%s: %w", m.Host.Name, err)
			}
			c = m.planServer(releases[i], servers[i], p)
		default:
			c = m.planClient()
		}
		add(software, stepServer, i, c, notes...)
	}
	for i, m := range members {
		c, notes := m.planFiles(it.ids.ensembleID)
		// Members on one machine share what is kept there, but where they have no root.
		if !privileged(m.Member) || len(machines(members[:i+1])) > len(machines(members[:i])) {
			c = append(r.planRoster(m, it.ids), c...) // written together with the files that follow
		}
		add(files, stepFiles, i, c, notes...)
	}
	for i, m := range members {
		if !r.within(m.Host) {
			continue
		}
		if !m.running {
			out.Starts = append(out.Starts, m.Host.Name)
		} else if why := m.needsRestart(changes[i]); why != "" {
			out.Restarts[m.Host.Name] = why
		}
	}
	return nil
}
