package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// ErrChecks says that a host does not meet what a member needs. The findings were reported.
var ErrChecks = errors.New("hosts do not meet the requirements")

// The names of the steps of a bootstrap, as they are reported.
const (
	stepChecks    = "check hosts"
	stepKeys      = "ssh keys"
	stepHostsFile = "/etc/hosts"
	stepFirewall  = "firewall"
	stepSELinux   = "SELinux"
	stepHostname  = "host name"
	stepKernel    = "kernel"
	stepSwapOff   = "swap"
	stepLimits    = "limits"
	stepPrepare   = "prepare the hosts"
	stepInstall   = "install"
	stepUser      = "user and directories"
	stepServer    = "server"
	stepFiles     = "configuration and service"
	stepStart     = "start"
	stepRestart   = "rolling restart"
	stepReady     = "readiness"
)

// Outcome is what an operation came to.
type Outcome struct {
	// Plan is what was found to do.
	Plan *Plan
	// Restarts says of running members why they have to be restarted, by name; Order is the order in which they are.
	Restarts map[string]string
	Order    []string
	// Elections is how many the restarts are expected to cost.
	Elections int
	// Starts are the members that do not run, by name in inventory order; Stops those that were stopped, in that order.
	Starts, Stops []string
	// Seen and Verdict are the state at the end; nil in a dry run.
	Seen    []Observation
	Verdict Verdict
}

// Nothing reports whether the operation had nothing to do.
func (o *Outcome) Nothing() bool {
	return o.Plan.Len() == 0 && len(o.Restarts) == 0 && len(o.Starts) == 0
}

// intent is what an operation has found out and means to do.
type intent struct {
	members                             []member
	ring                                *keyring
	keys, names, hosts, users, software *Plan
	// certificates come after the programs, which make keys, and before the files, which need them.
	certificates, files *Plan
	switching           switching
	// leader is who leads, "" where nobody has to be restarted.
	leader string
	ids    identities
	out    *Outcome
}

// Bootstrap makes the hosts a serving ensemble: it finds out what is missing, does it, starts what does not run, and
// proves that a client can write through each member and read it at the others. With DryRun it returns the plan.
func (r *Run) Bootstrap(ctx context.Context) (*Outcome, error) { return r.Apply(ctx, nil) }

// Apply makes the hosts what the inventory says, whatever of it has changed; see Bootstrap. Where agreed is not nil, it
// does no more than agreed says, and refuses where the hosts are not any more what they were when agreed was made.
func (r *Run) Apply(ctx context.Context, agreed *Document) (*Outcome, error) {
	it, err := r.intend(ctx)
	if err != nil {
		return nil, err
	}
	if agreed != nil {
		if err := agreed.permits(r.document(it)); err != nil {
			return it.out, err
		}
	}
	if r.DryRun {
		r.changes += it.out.Plan.Len() + len(it.out.Starts) + len(it.out.Restarts)
		return it.out, nil
	}
	if it.out.Nothing() {
		return it.out, r.carryOut(ctx, it)
	}
	out := it.out
	seen := map[string]int{}
	for _, m := range it.members {
		seen[m.Host.Name] = readLock(m.Host.Name, m.facts.Fields).Generation
	}
	err = r.locked(ctx, seen, func(ctx context.Context) error {
		r.note("lock", "", "somebody else was at work a moment ago: looking at the hosts again")
		again, err := r.intend(ctx)
		if err == nil && agreed != nil {
			err = agreed.permits(r.document(again))
		}
		if err == nil {
			*it, out = *again, again.out
		}
		return err
	}, func(ctx context.Context) error {
		err := r.carryOut(ctx, it)
		for err == nil && !it.switching.last() {
			if it, err = r.nextRound(ctx, it, agreed); err == nil {
				err = r.carryOut(ctx, it)
				out.follow(it.out)
			}
		}
		return err
	})
	return out, err
}

// nextRound looks at the hosts again after a round of the switch to or from TLS, and decides on the next one.
func (r *Run) nextRound(ctx context.Context, before *intent, agreed *Document) (*intent, error) {
	it, err := r.intend(ctx)
	if err == nil && agreed != nil {
		err = agreed.permits(r.document(it))
	}
	if err == nil && it.switching.now == before.switching.now {
		err = errors.New("members run with other settings than a moment ago, so that TLS is not further than it was")
	}
	return it, err
}

// follow adds what a later round came to.
func (o *Outcome) follow(next *Outcome) {
	o.Order = append(o.Order, next.Order...)
	o.Elections += next.Elections
	o.Seen, o.Verdict = next.Seen, next.Verdict
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
		r.report(Event{Kind: Warning, Step: stepChecks, Text: strings.Join(gone, ", ") + " is not in the inventory any more, and zkctl does not look for it there: " +
			"while it runs it goes on serving clients (stop it on its host: zkServer.sh stop)"})
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
	seen := ProbeAll(ctx, r.Inventory, r.Probe, r.Deadline)
	var targets []member
	for _, m := range it.members {
		if it.out.Restarts[m.Host.Name] != "" {
			targets = append(targets, m)
		}
	}
	it.out.Order = namesOf(leaderLast(targets, seen))
	it.leader = Judge(seen).Leader
	if it.out.Restarts[it.leader] != "" {
		it.out.Elections = 1
	}
	// With all voters serving it is certain that these restarts are going to be refused; others may come back, or be started.
	for _, name := range it.out.Order {
		if refused := (*RefusedError)(nil); errors.As(MayStop(seen, name), &refused) && refused.Remedy == interruptRemedy {
			r.report(Event{Kind: Warning, Step: stepRestart, Host: name, Text: "is not going to be restarted: " + refused.Text + " (" + refused.Remedy + ")"})
			break
		}
	}
}

// carryOut does what was intended, and waits until the ensemble serves.
func (r *Run) carryOut(ctx context.Context, it *intent) error {
	proof := func() error { return nil }
	if !it.out.Nothing() {
		r.report(Event{Kind: Intended, Changes: it.summaries()})
		// Members run only after a bootstrap that got past the proof, so that a run with nothing to do needs no new one.
		var err error
		if proof, err = r.prepare(ctx, it); err != nil {
			return joined([]error{err, proof()})
		}
	}
	err := r.checkNetwork(ctx, it)
	if err := joined([]error{err, proof()}); err != nil {
		return err
	}
	if err := r.startMissing(ctx, it.members, it.switching, it.out); err != nil {
		return err
	}
	return r.step(ctx, stepReady, func(ctx context.Context) error {
		if len(r.Limit) > 0 {
			return r.awaitWithin(ctx, it.members, it.out)
		}
		seen, err := r.awaitReady(ctx, it.members)
		if seen != nil {
			it.out.Seen, it.out.Verdict = seen, Judge(seen)
		}
		return err
	})
}

// prepare makes the hosts ready for their members to be started. SSH keys, the hosts themselves and the installation need
// nothing of one another, and go on side by side: one waits for a packet filter that takes its rules away while another unpacks.
// The proof that hosts log in to one another needs keys, names and ports; its result is what the function returned waits for.
func (r *Run) prepare(ctx context.Context, it *intent) (proof func() error, err error) {
	keys := inBackground(func() error {
		if it.keys.Len() == 0 {
			return nil
		}
		return r.applyKeys(ctx, it.ring)
	})
	installed := inBackground(func() error { return r.install(ctx, it) })
	err = r.apply(ctx, stepPrepare, it.names, it.hosts)
	if err := joined([]error{keys(), err}); err != nil {
		return func() error { return nil }, joined([]error{err, installed()})
	}
	proof = inBackground(func() error {
		ring := r.keyringWithin(it.ring)
		if len(ring.hosts) < 2 {
			return nil
		}
		return r.proveKeys(ctx, ring)
	})
	return proof, installed()
}

// inBackground begins f, and returns what waits for its result.
func inBackground(f func() error) func() error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return func() error { return <-result }
}

// install brings user and directories, programs, certificates and files.
func (r *Run) install(ctx context.Context, it *intent) error {
	if it.certificates.Len() == 0 {
		return r.apply(ctx, stepInstall, it.users, it.software, it.files)
	}
	err := r.apply(ctx, stepInstall, it.users, it.software)
	if err == nil {
		err = r.putCertificates(ctx, it.members, it.certificates)
	}
	if err == nil {
		err = r.apply(ctx, stepInstall, it.files)
	}
	return err
}

// check applies the checks to all hosts and reports every finding.
func (r *Run) check(members []member, ids identities) error {
	var findings []hostprep.Finding
	var facts []*hostprep.Facts
	for _, m := range members {
		findings = append(findings, hostprep.Check(m.facts, m.requirements())...)
		findings = append(findings, m.apacheFindings()...)
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

// planNames plans /etc/hosts.
func (r *Run) planNames(members []member, p *Plan) []hostprep.Finding {
	var all []hostprep.Finding
	entries := r.hostsEntries()
	for _, m := range machines(members) {
		if m.Host.System.HostsFile == "manage" && privileged(m.Member) {
			changes, findings := hostprep.PlanHosts(m.facts, r.Inventory.Name, entries, entryOf(entries, m.Host.Name))
			p.add(stepHostsFile, m.Host, changes, notesOf(findings)...)
			all = append(all, findings...)
		}
	}
	return all
}

// planHosts plans the rest of the preparation of the hosts themselves: their names, firewall, SELinux, kernel and limits.
func (r *Run) planHosts(members []member, p *Plan) []hostprep.Finding {
	var all []hostprep.Finding
	r.planEach(members, p, stepHostname, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanHostname(m.facts, m.Host.Name, m.Host.System.Hostname)
	})
	for _, m := range machines(members) {
		if !privileged(m.Member) {
			continue
		}
		changes, findings := hostprep.PlanFirewall(m.facts, r.firewallWish(m, members))
		p.add(stepFirewall, m.Host, changes, notesOf(findings)...)
		all = append(all, findings...)
	}
	for _, m := range machines(members) {
		if m.Host.System.SELinux != "leave" && privileged(m.Member) {
			changes, findings := hostprep.PlanSELinux(m.facts, hostprep.SELinuxPolicy(m.Host.System.SELinux))
			p.add(stepSELinux, m.Host, changes, notesOf(findings)...)
			all = append(all, findings...)
		}
	}
	r.planEach(members, p, stepKernel, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		changes, findings := hostprep.PlanSysctl(m.facts, m.Host.System.Sysctl)
		pages, more := hostprep.PlanHugePages(m.facts, m.Host.System.HugePages)
		return append(changes, pages...), append(findings, more...)
	})
	r.planEach(members, p, stepSwapOff, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanSwap(m.facts, m.Host.System.Swap)
	})
	r.planEach(members, p, stepLimits, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanLimits(m.facts, m.User(), m.Host.System.Limits.NoFile)
	})
	return all
}

// planEach plans a step on each machine on which we are root. Without changes or findings the host is not in the plan.
func (r *Run) planEach(members []member, p *Plan, step string, all *[]hostprep.Finding, plan func(member) ([]hostprep.Change, []hostprep.Finding)) {
	for _, m := range machines(members) {
		if !privileged(m.Member) {
			continue
		}
		changes, findings := plan(m)
		if len(changes)+len(findings) > 0 {
			p.add(step, m.Host, changes, notesOf(findings)...)
			*all = append(*all, findings...)
		}
	}
}

// notesOf are what a plan says beside its changes; what is more than a note is reported by itself.
func notesOf(findings []hostprep.Finding) []string {
	return texts(slices.DeleteFunc(slices.Clone(findings), func(f hostprep.Finding) bool { return f.Severity != hostprep.Note }))
}

func texts(findings []hostprep.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Text)
	}
	return out
}

// hostsEntries are the lines of the block in /etc/hosts: members whose address is an IP address, one line for each
// address, by server id: the order of hosts in the inventory may change.
func (r *Run) hostsEntries() []hostprep.Entry {
	var entries []hostprep.Entry
	for _, h := range slices.SortedFunc(slices.Values(r.Inventory.Hosts), func(a, b inventory.Host) int { return a.ID - b.ID }) {
		if h.System.HostsFile != "manage" {
			continue
		}
		address, err := netip.ParseAddr(h.PeerAddress)
		if err != nil {
			r.report(Event{Kind: Warning, Step: stepHostsFile, Host: h.Name,
				Text: fmt.Sprintf("%s is not an IP address: no line in /etc/hosts for it (set peer_address)", h.PeerAddress)})
			continue
		}
		merged := false
		for i := range entries {
			if entries[i].Address == address {
				entries[i].Names = append(entries[i].Names, h.Name)
				merged = true
			}
		}
		if !merged {
			entries = append(entries, hostprep.Entry{Address: address, Names: []string{h.Name}})
		}
	}
	return entries
}

func entryOf(entries []hostprep.Entry, name string) hostprep.Entry {
	for _, e := range entries {
		for _, n := range e.Names {
			if n == name {
				return hostprep.Entry{Address: e.Address, Names: []string{name}}
			}
		}
	}
	return hostprep.Entry{Names: []string{name}}
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
			c = append(c, r.planRoster(m, it.ids)...)
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

// startMissing starts what does not run, then restarts, rolling, what runs something else than is configured.
func (r *Run) startMissing(ctx context.Context, members []member, switched switching, out *Outcome) error {
	if len(out.Starts) > 0 {
		err := r.step(ctx, stepStart, func(ctx context.Context) error {
			if len(r.Limit) > 0 {
				idle := slices.DeleteFunc(r.membersWithin(members), func(m member) bool { return m.running })
				return r.startChosen(ctx, idle)
			}
			return r.start(ctx, members)
		})
		if err != nil {
			return err
		}
	}
	if len(out.Restarts) == 0 {
		return nil
	}
	return r.step(ctx, stepRestart, func(ctx context.Context) error {
		switched.note(r)
		var targets []member
		for _, m := range members {
			if why := out.Restarts[m.Host.Name]; why != "" {
				r.note(stepRestart, m.Host.Name, "has to be restarted: %s", why)
				targets = append(targets, m)
			}
		}
		// Members that were just started need a moment to join; the gate then judges what is there.
		if len(r.Limit) > 0 {
			if err := r.awaitChosen(ctx, r.membersWithin(members), out); err != nil {
				return err
			}
		} else if _, err := r.awaitMembers(ctx, members); err != nil {
			return err
		}
		return r.restartRolling(ctx, members, targets, nil)
	})
}
