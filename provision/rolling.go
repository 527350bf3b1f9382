package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// PartialError says that an operation stopped between members: those in Done are through, and the same command goes on
// with the rest.
type PartialError struct {
	Done, Left []string
	Cause      error
}

// Error has the cause and, where the work is done member by member, who is through.
func (e *PartialError) Error() string {
	if len(e.Left) == 0 {
		return e.Cause.Error()
	}
	done := "none"
	if len(e.Done) > 0 {
		done = strings.Join(e.Done, ", ")
	}
	return fmt.Sprintf("%v (done: %s; left: %s)", e.Cause, done, strings.Join(e.Left, ", "))
}

// Unwrap gives the cause.
func (e *PartialError) Unwrap() error { return e.Cause }

// Hint says how to go on.
func (e *PartialError) Hint() string {
	again := "run the same command again: it goes on where this one stopped"
	if h := remote.HintOf(e.Cause); h != "" && !strings.Contains(h, "run the same command again") {
		return h + "; then " + again
	}
	if len(e.Left) == 0 {
		return "put that right, then " + again
	}
	return "find out why (zkctl status), then " + again
}

// RollingOutcome is what a rolling restart came to.
type RollingOutcome struct {
	// Order is the order in which members were restarted, or would be.
	Order []string
	// Resumed says that an earlier run was continued.
	Resumed bool
	// Elections is the number of epochs that passed.
	Elections int
	Seen      []Observation
	Verdict   Verdict
}

// RollingRestart restarts members one at a time: observers and followers in inventory order, the leader last. Before each,
// the leader is looked up anew, and MayStop decides on a fresh observation; after each, the member has to serve, to be
// synced and to have caught up. The first failure ends it with the ensemble still serving. Each member is marked on its
// host at the beginning and unmarked when it is through, so that a run after a failure goes on with the rest; fresh
// forgets such marks.
func (r *Run) RollingRestart(ctx context.Context, names []string, fresh bool) (*RollingOutcome, error) {
	hosts, err := r.chosen(names)
	if err != nil {
		return nil, err
	}
	var before []Observation
	err = r.step(ctx, "look at the ensemble", func(ctx context.Context) error {
		before = r.probeAll(ctx)
		return nil
	})
	if err == nil {
		before, err = r.learnCounts(ctx, before, nil)
	}
	if err != nil {
		return nil, err
	}
	err = mayBegin(before, hosts)
	if refused := (*RefusedError)(nil); errors.As(err, &refused) && !fresh && r.leftStopped(ctx, before, hosts) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	members, err := r.observeServices(ctx, hosts)
	if err != nil {
		return nil, err
	}
	out := &RollingOutcome{}
	targets := leaderLast(members, before)
	marked := r.marked(members)
	if !fresh && len(marked) > 0 && len(marked) < len(targets) {
		out.Resumed = true
		targets = leaderLast(marked, before)
		r.note(stepRestart, "", "going on with an earlier rolling restart: %s", strings.Join(namesOf(targets), ", "))
	}
	if r.DryRun {
		for _, m := range targets {
			out.Order = append(out.Order, m.Host.Name)
			if err := r.change(ctx, stepRestart, m.Host, m.service("restart")); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	err = r.locked(ctx, nil, nil, func(ctx context.Context) error {
		if !out.Resumed {
			if err := r.mark(ctx, targets); err != nil {
				return err
			}
		}
		err := r.step(ctx, stepRestart, func(ctx context.Context) error {
			return r.restartRolling(ctx, members, targets, func(ctx context.Context, m member) error {
				out.Order = append(out.Order, m.Host.Name)
				return r.unmark(ctx, m)
			})
		})
		if err != nil {
			return err
		}
		return r.step(ctx, stepReady, func(ctx context.Context) (err error) {
			if len(names) > 0 { // others may be missing, and have been before
				var these Outcome
				err = r.awaitChosen(ctx, members, &these)
				out.Seen = these.Seen
				return err
			}
			out.Seen, err = r.awaitReady(ctx, members)
			return err
		})
	})
	out.Verdict = Judge(out.Seen)
	out.Elections = elections(before, out.Seen)
	return out, err
}

// mayBegin decides whether a rolling restart of hosts may begin.
func mayBegin(seen []Observation, hosts []inventory.Host) error {
	for _, h := range hosts {
		if err := MayStop(seen, h.Name); err != nil {
			return err
		}
	}
	if v := Judge(seen); v.Health == NoQuorum {
		return &RefusedError{Host: hosts[0].Name, Text: v.Text + ": there is nothing to keep serving (zkctl restart restarts all at once)"}
	}
	return nil
}

// leftStopped reports whether all that is wrong with the ensemble is that an earlier rolling restart was cut off (its
// machine lost power, its connection broke) while a member was stopped: then the next one begins with that member.
func (r *Run) leftStopped(ctx context.Context, seen []Observation, hosts []inventory.Host) bool {
	var stopped []inventory.Host
	for _, o := range seen {
		if o.Host.Role != inventory.Voter || o.Synced() {
			continue
		}
		chosen := slices.ContainsFunc(hosts, func(h inventory.Host) bool { return h.Name == o.Host.Name })
		if !chosen || o.Reason != noServer {
			return false
		}
		stopped = append(stopped, o.Host)
	}
	if len(stopped) == 0 {
		return false
	}
	members, err := r.observeServices(ctx, stopped)
	return err == nil && len(r.marked(members)) == len(stopped)
}

// elections is how many epochs lie between two observations. A leader's zxid carries its epoch from the beginning.
func elections(before, after []Observation) int {
	newest := func(seen []Observation) (epoch uint32) {
		for _, o := range seen {
			epoch = max(epoch, o.Epoch())
		}
		return epoch
	}
	return int(newest(after)) - int(newest(before))
}

// restartRolling restarts targets one at a time and calls done after each that came through. all are the members of which
// the end of the log can be read.
func (r *Run) restartRolling(ctx context.Context, all, targets []member, done func(context.Context, member) error) error {
	left := slices.Clone(targets)
	var through []string
	stop := func(cause error) error {
		if len(through) == 0 {
			return cause
		}
		return &PartialError{Done: through, Left: namesOf(left), Cause: cause}
	}
	for len(left) > 0 {
		seen := r.probeAll(ctx)
		m, err := nextToStop(left, seen)
		if err != nil {
			return stop(err)
		}
		if err := r.restartOne(ctx, m, all); err != nil {
			return stop(err)
		}
		if done != nil {
			if err := done(ctx, m); err != nil {
				return stop(err)
			}
		}
		through = append(through, m.Host.Name)
		left = slices.DeleteFunc(left, func(o member) bool { return o.Host.Name == m.Host.Name })
	}
	return nil
}

// nextToStop is the first in the order of leaderLast that may be stopped now. Where none may, it is the first of all, and why. While
// weights change, one may have to wait until others count it for less.
func nextToStop(members []member, seen []Observation) (member, error) {
	ordered := leaderLast(members, seen)
	for _, m := range ordered {
		if MayStop(seen, m.Host.Name) == nil {
			return m, nil
		}
	}
	return ordered[0], MayStop(seen, ordered[0].Host.Name)
}

// restartOne restarts a member and waits until it serves again as a part of the ensemble, caught up with what the leader
// had when it came back, and answers a client of its own.
func (r *Run) restartOne(ctx context.Context, m member, all []member) error {
	began := time.Now()
	r.report(Event{Kind: HostBegins, Step: stepRestart, Host: m.Host.Name})
	err := r.call(ctx, stepRestart, m, "restart")
	if err == nil {
		var goal uint64
		err = r.await(ctx, m.Host.Name+" to serve, synced and caught up", func(seen []Observation) string {
			v := Judge(seen)
			if v.Leader == "" || !v.Quorum {
				return v.Text
			}
			// A zxid without a counter stands for a new epoch in which nothing was written yet.
			if l := leading(seen); uint32(l.Zxid) != 0 && (goal == 0 || goal>>32 != uint64(l.Epoch())) {
				goal = l.Zxid
			}
			for _, o := range seen {
				if o.Host.Name != m.Host.Name {
					continue
				}
				switch {
				case !o.Synced():
					return fmt.Sprintf("%s is %s %s", o.Host.Name, o.State, o.Reason)
				case o.Zxid < goal:
					return fmt.Sprintf("%s is at zxid 0x%x, the leader was at 0x%x", o.Host.Name, o.Zxid, goal)
				}
				return ""
			}
			return "it was not observed"
		}, all, nil)
	}
	if err == nil {
		err = r.recount(ctx, m)
	}
	if err == nil {
		limited, cancel := context.WithTimeoutCause(ctx, r.ReadyTimeout, fmt.Errorf("no answer within %v", r.ReadyTimeout))
		err = r.Canary(limited, []inventory.Host{m.Host})
		cancel()
	}
	e := Event{Kind: HostEnds, Step: stepRestart, Host: m.Host.Name, Elapsed: time.Since(began)}
	if err != nil {
		e.Error = err.Error()
	}
	r.report(e)
	return err
}

// markFile says on a member's host that a rolling restart has yet to come by.
func (m member) markFile() string { return m.Host.Server.Paths.Install + "/.rolling-restart" }

// marked returns the members on whose hosts an earlier rolling restart left its mark.
func (r *Run) marked(members []member) []member {
	var marked []member
	for _, m := range members {
		if m.facts.Fields.Has("member.marked") {
			marked = append(marked, m)
		}
	}
	return marked
}

func (r *Run) mark(ctx context.Context, members []member) error {
	hosts := make([]inventory.Host, len(members))
	for i, m := range members {
		hosts[i] = m.Host
	}
	return r.each(ctx, stepRestart, hosts, func(ctx context.Context, i int) error {
		return r.changeAs(ctx, Marked, stepRestart, hosts[i], hostprep.Change{
			Kind: hostprep.RunScript, Target: members[i].markFile(), Summary: "mark for the rolling restart",
			Script: `: >"$1"`, Args: []string{members[i].markFile()}, Root: privileged(members[i].Member),
		})
	})
}

func (r *Run) unmark(ctx context.Context, m member) error {
	return r.changeAs(ctx, Marked, stepRestart, m.Host, hostprep.Change{
		Kind: hostprep.RunScript, Target: m.markFile(), Summary: "take the mark of the rolling restart away",
		Script: `rm -f "$1"`, Args: []string{m.markFile()}, Root: privileged(m.Member),
	})
}

func namesOf(members []member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Host.Name
	}
	return names
}

// Partial reports whether err leaves an operation to be continued.
func Partial(err error) bool {
	var p *PartialError
	return errors.As(err, &p)
}
