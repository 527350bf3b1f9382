package provision

import (
	"context"
	"errors"
	"slices"
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

// install brings user and directories, the server, certificates and files.
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
