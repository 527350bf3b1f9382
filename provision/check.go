package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/sshkeys"
	"github.com/zkctl/zkctl/templates"
)

// CheckReport is what Check found.
type CheckReport struct {
	// Hosts are those that were looked at, in inventory order; Checks the names of the checks that were made.
	Hosts, Checks []string
	// Findings are in the order of hosts and checks. Fixed are those that were put right.
	Findings, Fixed []hostprep.Finding
	// Matrix is nil where it was not asked for, or there is one host only.
	Matrix *Matrix
}

// Worst is the worst severity among the findings.
func (c *CheckReport) Worst() hostprep.Severity {
	worst := hostprep.Note
	for _, f := range c.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// Check looks at all hosts and says what stands in the way of a serving ensemble, or may do so later. Hosts that cannot be
// reached are findings. It changes nothing but, with fix, what can be put right unasked; on hosts without a server, one is
// brought there for the checks network, names and fsync, and removed again. checks are the names of those that are wanted.
// Where not all could be put right, there are both a report, of what is now, and an error.
func (r *Run) Check(ctx context.Context, checks []string, fix bool) (*CheckReport, error) {
	report, err := r.checkOnce(ctx, checks)
	if err != nil || !fix {
		return report, err
	}
	return r.putRight(ctx, report)
}

// putRight is the second half of Check, with what the first has found.
func (r *Run) putRight(ctx context.Context, report *CheckReport) (_ *CheckReport, err error) {
	var fixed []hostprep.Finding
	if slices.ContainsFunc(report.Findings, func(f hostprep.Finding) bool { return len(f.Fix) > 0 }) {
		err = r.locked(ctx, nil, nil, func(ctx context.Context) error {
			return r.step(ctx, stepFix, func(ctx context.Context) (err error) {
				fixed, err = r.fix(ctx, report.Findings)
				return err
			})
		})
	}
	if len(fixed) > 0 && context.Cause(ctx) == nil && !r.DryRun {
		again, lookErr := r.checkOnce(ctx, report.Checks)
		if lookErr == nil {
			report = again
		}
		err = joined([]error{err, lookErr})
	}
	report.Fixed = fixed
	return report, err
}

const stepFix = "fix"

// fix puts right what findings say can be, and returns those. Where that fails, what comes next of the same check on the same
// host is left alone, which may need it.
func (r *Run) fix(ctx context.Context, findings []hostprep.Finding) (fixed []hostprep.Finding, err error) {
	var errs []error
	failed := map[[2]string]bool{}
	for _, f := range findings {
		of := [2]string{f.Host, f.Check}
		if len(f.Fix) == 0 || failed[of] {
			continue
		}
		if err := r.changeAll(ctx, repeated(stepFix, len(f.Fix)), *r.Inventory.Host(f.Host), f.Fix); err != nil {
			errs = append(errs, err)
			failed[of] = true
			continue
		}
		fixed = append(fixed, f)
	}
	return fixed, joined(errs)
}

func (r *Run) checkOnce(ctx context.Context, checks []string) (*CheckReport, error) {
	wants := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(checks, n) })
	}
	report := &CheckReport{Checks: checks}
	members, findings := r.lookAtAll(ctx, report)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	servers := map[string]string{} // to probe with
	probes := slices.DeleteFunc([]string{"network", "names", "fsync"}, func(n string) bool { return !wants(n) })
	if len(probes) > 0 {
		for i, m := range members {
			server, remove, err := r.pushProbe(ctx, m)
			if err != nil && context.Cause(ctx) != nil {
				return nil, context.Cause(ctx)
			} else if err != nil {
				findings = append(findings, hostprep.Finding{Host: m.Host.Name, Check: probes[0], Severity: hostprep.Error,
					Text: fmt.Sprintf("the probe could not be brought there: %v", err), Remedy: "put that right, or --skip network,names,fsync"})
				continue
			}
			defer remove()
			servers[members[i].Host.Name] = server
		}
	}
	err := r.step(ctx, stepChecks, func(ctx context.Context) error {
		findings = append(findings, r.examine(members)...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var able []member
	var paths []string
	for _, m := range members {
		if s := servers[m.Host.Name]; s != "" {
			able, paths = append(able, m), append(paths, s)
		}
	}
	if wants("network", "names") && len(machines(able)) > 1 {
		// Failures are findings: the step itself does not fail.
		_ = r.step(ctx, stepNetwork, func(ctx context.Context) error {
			var failed []error
			report.Matrix, failed = r.network(ctx, able, paths)
			for i, err := range failed {
				findings = append(findings, probeFailed(able[i], probes[0], err)...)
			}
			return nil
		})
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		findings = append(findings, report.Matrix.findings(able, false)...)
	}
	if wants("fsync") && len(able) > 0 {
		slow, err := r.measureDisks(ctx, able, paths)
		if err != nil {
			return nil, err
		}
		findings = append(findings, slow...)
	}
	report.Findings = ordered(findings, report.Hosts, checks)
	return report, nil
}

// probeFailed is the finding that a host could not tell what it was asked for.
func probeFailed(m member, check string, err error) []hostprep.Finding {
	if err == nil {
		return nil
	}
	return []hostprep.Finding{{Host: m.Host.Name, Check: check, Severity: hostprep.Error,
		Text: "cannot be told: " + strings.TrimPrefix(err.Error(), m.Host.Name+": "), Remedy: cmp.Or(remote.HintOf(err), "put that right, or --skip "+check)}}
}

// ordered sorts findings by host and check, and leaves out those of other checks, and repetitions.
func ordered(findings []hostprep.Finding, hosts, checks []string) []hostprep.Finding {
	findings = slices.DeleteFunc(findings, func(f hostprep.Finding) bool { return !slices.Contains(checks, f.Check) })
	slices.SortStableFunc(findings, func(a, b hostprep.Finding) int {
		if d := slices.Index(hosts, a.Host) - slices.Index(hosts, b.Host); d != 0 {
			return d
		}
		at := func(f hostprep.Finding) int {
			return slices.IndexFunc(hostprep.Checks, func(c struct{ Name, What string }) bool { return c.Name == f.Check })
		}
		return at(a) - at(b)
	})
	return slices.CompactFunc(findings, func(a, b hostprep.Finding) bool {
		return a.Host == b.Host && a.Check == b.Check && a.Text == b.Text
	})
}

// lookAtAll gathers the facts of all hosts. What cannot be looked at is a finding.
func (r *Run) lookAtAll(ctx context.Context, report *CheckReport) ([]member, []hostprep.Finding) {
	const step = "connect and gather facts"
	hosts := r.hostsWithin()
	members := make([]member, len(hosts))
	failed := make([]error, len(hosts))
	for _, h := range hosts {
		report.Hosts = append(report.Hosts, h.Name)
	}
	// Failures are findings: the step itself does not fail.
	_ = r.step(ctx, step, func(ctx context.Context) error {
		_ = r.each(ctx, step, hosts, func(ctx context.Context, i int) error {
			m := templates.Member{Ensemble: r.Inventory, Host: hosts[i]}
			host, err := r.host(hosts[i])
			if err == nil {
				want := r.wanted(m)
				s := hosts[i].Server.Paths
				want.Extra = append(want.Extra, hostprep.HealthFragment([]string{s.Data, s.TxnLog},
					[]string{"/etc", s.Config, s.Data, path.Join(s.Install, "bin"), "/etc/systemd/system", "/etc/profile.d"}))
				var facts *hostprep.Facts
				if facts, err = hostprep.Gather(ctx, host, want); err == nil {
					if members[i], err = found(m, facts); err == nil {
						err = members[i].know()
					}
				}
			}
			failed[i] = err
			return nil
		})
		return nil
	})
	var able []member
	var findings []hostprep.Finding
	for i, err := range failed {
		if err == nil {
			able = append(able, members[i])
			continue
		}
		f := hostprep.Finding{Host: hosts[i].Name, Check: "connect", Severity: hostprep.Error,
			Text: strings.TrimPrefix(err.Error(), hosts[i].Name+": "), Remedy: remote.HintOf(err)}
		if errors.Is(err, remote.ErrBecome) {
			f.Check = "privilege"
		}
		if wrong := (*apache.Error)(nil); errors.As(err, &wrong) {
			f.Check = "release"
		}
		findings = append(findings, f)
	}
	return able, findings
}

// examine applies all checks that need only facts.
func (r *Run) examine(members []member) []hostprep.Finding {
	var out []hostprep.Finding
	firsts := machines(members)
	for _, m := range members {
		need := m.requirements()
		out = append(out, m.apacheFindings()...)
		if _, err := r.Server(m.Host, m.facts.Arch); errors.Is(err, bundle.ErrMissing) && !m.RunsApache() {
			out = append(out, hostprep.Finding{Host: m.Host.Name, Check: "arch", Severity: hostprep.Error,
				Text: fmt.Sprintf("there is no server for %s", m.facts.Arch), Remedy: "give one with server.file or --server-binary"})
		}
		out = append(out, hostprep.Check(m.facts, need)...)
	}
	for _, first := range firsts {
		var running []int
		var configs []string
		for _, m := range members {
			if len(machines([]member{first, m})) == 1 {
				running, configs = append(running, m.pid), append(configs, m.Config())
			}
		}
		for _, f := range hostprep.Examine(first.facts, first.Host.OpenFiles(), running, configs) {
			// Members on one machine reach one another by any address.
			if f.Check != "names" || len(firsts) > 1 && !first.namesPending() {
				out = append(out, f)
			}
		}
	}
	var facts []*hostprep.Facts
	for _, m := range firsts {
		if m.Host.Connection == inventory.OverSSH {
			facts = append(facts, m.facts)
		}
	}
	if len(members) > 0 {
		out = append(out, hostprep.CheckTogether(facts, members[0].Host.System.MaxSkew)...)
		out = append(out, hostprep.SameMachine(facts)...)
	}
	out = append(out, r.checkIdentities(members, r.identify(members))...)
	names, hosts := &Plan{}, &Plan{}
	out = append(out, r.planNames(members, names)...)
	out = append(out, r.planHosts(members, hosts)...)
	for _, p := range []*Plan{names, hosts} {
		for _, s := range p.Steps {
			for _, h := range s.Hosts {
				for _, c := range h.Changes {
					out = append(out, hostprep.Finding{Host: h.Host.Name, Check: checkOf(s.Name), Severity: hostprep.Warning,
						Text: "is not as the inventory says: " + c.Summary, Remedy: "zkctl apply, or zkctl check --fix", Fix: []hostprep.Change{c}})
				}
			}
		}
	}
	return append(out, r.examineKeys(members)...)
}

func checkOf(step string) string {
	return map[string]string{
		stepHostsFile: "hosts-file", stepFirewall: "firewall", stepSELinux: "selinux", stepHostname: "hostname", stepKernel: "kernel",
		stepSwapOff: "swap", stepLimits: "limits",
	}[step]
}

func (r *Run) examineKeys(members []member) []hostprep.Finding {
	var out []hostprep.Finding
	for _, m := range machines(members) {
		if !managesKeys(m.Host) {
			continue
		}
		ring, err := r.keyring([]member{m})
		if err != nil {
			out = append(out, hostprep.Finding{Host: m.Host.Name, Check: "ssh-keys", Severity: hostprep.Error, Text: err.Error(),
				Remedy: "give the login user a home directory that it can read"})
			continue
		}
		_, findings := sshkeys.PlanKeyPair(ring.members[0], sshkeys.KeyType(m.Host.System.KeyType))
		out = append(out, findings...)
	}
	return out
}

// measureDisks lets the hosts time synced writes where their txn logs go.
func (r *Run) measureDisks(ctx context.Context, members []member, servers []string) ([]hostprep.Finding, error) {
	const step = "time synced writes"
	hosts := make([]inventory.Host, len(members))
	for i, m := range members {
		hosts[i] = m.Host
	}
	found := make([][]hostprep.Finding, len(members))
	// Failures are findings: the step itself does not fail.
	_ = r.step(ctx, step, func(ctx context.Context) error {
		_ = r.each(ctx, step, hosts, func(ctx context.Context, i int) (err error) {
			if found[i], err = r.measureDisk(ctx, step, members[i], servers[i]); err != nil {
				found[i] = probeFailed(members[i], "fsync", err)
			}
			return nil
		})
		return nil
	})
	return slices.Concat(found...), context.Cause(ctx)
}

func (r *Run) measureDisk(ctx context.Context, step string, m member, server string) (out []hostprep.Finding, err error) {
	host, err := r.host(m.Host)
	if err != nil {
		return nil, err
	}
	res, err := host.Run(ctx, remote.Command{
		Label: step, Root: privileged(m.Member), Args: []string{server, m.Host.Server.Paths.TxnLog},
		// Before the directory is made, what counts is the one that it will be in.
		Script: `q=$2; while [ ! -d "$q" ]; do q=${q%/*}; [ -n "$q" ] || q=/; done; exec "$1" probe-disk -for 1s "$q"`,
	})
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", m.Host.Name, step, err)
	}
	for _, line := range fields.Texts("disk.failed") {
		out = append(out, hostprep.Finding{Host: m.Host.Name, Check: "fsync", Severity: hostprep.Error, Text: "cannot write: " + line,
			Remedy: "choose another path in the inventory, or put that right"})
	}
	for _, line := range fields.Texts("disk.sync") {
		if w := strings.SplitN(line, " ", 5); len(w) == 5 {
			median, _ := strconv.Atoi(w[1])
			high, _ := strconv.Atoi(w[2])
			tick, err := strconv.Atoi(m.Host.ZooCfg["tickTime"])
			if err != nil {
				tick = 2000
			}
			out = append(out, hostprep.SlowDisk(m.Host.Name, w[4], median, high, tick)...)
		}
	}
	return out, nil
}
