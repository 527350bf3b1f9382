package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// led says what keeps the ensemble from having a leader with a quorum.
func led(seen []Observation) string {
	v := Judge(seen)
	if v.Leader != "" && v.Quorum {
		return ""
	}
	return v.Text
}

// await probes until met returns "", and at most ReadyTimeout. met gets fresh observations and returns what is missing.
func (r *Run) await(ctx context.Context, what string, met func([]Observation) string, members []member, last *[]Observation) error {
	return r.awaitFor(ctx, r.ReadyTimeout, what, met, members, last)
}

func (r *Run) awaitFor(ctx context.Context, most time.Duration, what string, met func([]Observation) string, members []member,
	last *[]Observation) error {
	limit := time.NewTimer(most)
	defer limit.Stop()
	// Often for few members, whose answers cost next to nothing.
	pause, longest := 10*time.Millisecond, min(250*time.Millisecond, max(20*time.Millisecond, time.Duration(len(r.Inventory.Hosts))*5*time.Millisecond))
	for {
		seen := r.probeAll(ctx)
		if last != nil {
			*last = seen
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		missing := met(seen)
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-limit.C:
			return &NotReadyError{What: what, Missing: missing, After: most, Details: r.details(ctx, seen, members)}
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// NotReadyError says that members did not come to serve in time.
type NotReadyError struct {
	What, Missing string
	After         time.Duration
	// Details are one paragraph for each member that does not serve.
	Details string
}

// Error has what was waited for, what is missing, and what the members' logs say.
func (e *NotReadyError) Error() string {
	return fmt.Sprintf("waited %v for %s: %s%s", e.After, e.What, e.Missing, e.Details)
}

// Hint says where to look.
func (e *NotReadyError) Hint() string {
	return "look at the members' logs (journalctl -u zookeeper, or the log directory); then run the same command again"
}

// details describes the members that do not serve, with the end of their logs.
func (r *Run) details(ctx context.Context, seen []Observation, members []member) string {
	var b strings.Builder
	for _, o := range seen {
		if o.Synced() {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %s: %s", o.Host.Name, o.State, o.Reason)
		for _, m := range members {
			if m.Host.Name == o.Host.Name {
				b.WriteString(r.lastWords(ctx, m.Member))
			}
		}
	}
	return b.String()
}

// lastWords returns the end of a member's log, indented, "" if it cannot be had or the operation was interrupted.
func (r *Run) lastWords(ctx context.Context, m templates.Member) string {
	host, err := r.host(m.Host)
	if err != nil {
		return ""
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	log, manager := m.Log(), string(m.Manager)
	if m.LogsToFile() {
		log, manager = m.RollingLog(), "file"
	}
	res, err := host.Run(limited, remote.Command{
		Label: "read the end of the log", Root: privileged(m), ReadOnly: true, Args: []string{m.Host.Server.Service, log, manager},
		Script: `if [ "$3" = systemd ]; then journalctl -q --no-pager -o cat -n 8 -u "$1"; else tail -n 8 "$2"; fi 2>/dev/null`,
	})
	if err != nil || len(res.Stdout) == 0 {
		return ""
	}
	return "\n    " + strings.ReplaceAll(strings.TrimSpace(string(res.Stdout)), "\n", "\n    ")
}

// ready says what keeps the ensemble from being ready: every member serves and is synced, and one leads.
func ready(seen []Observation) string {
	if v := Judge(seen); v.Health != Healthy {
		return v.Text
	}
	return ""
}

// awaitMembers waits until every member is ready.
func (r *Run) awaitMembers(ctx context.Context, members []member) ([]Observation, error) {
	var seen []Observation
	err := r.await(ctx, "all members to serve", ready, members, &seen)
	return seen, err
}

// awaitReady waits until every member is ready, proves it by writing through each and reading at the others, and then
// sees all of them in one epoch: before the first transaction of an epoch, followers show that of the one before.
func (r *Run) awaitReady(ctx context.Context, members []member) ([]Observation, error) {
	seen, err := r.awaitMembers(ctx, members)
	if err != nil {
		return seen, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.ReadyTimeout, fmt.Errorf("no answer within %v", r.ReadyTimeout))
	defer cancel()
	if err := r.Canary(limited, r.Inventory.Hosts); err != nil {
		return seen, err
	}
	err = r.await(ctx, "all members to be in one epoch", func(seen []Observation) string {
		if missing := ready(seen); missing != "" {
			return missing
		}
		for _, o := range seen {
			if o.Epoch() != seen[0].Epoch() {
				return fmt.Sprintf("%s is in epoch %d, %s in %d", o.Host.Name, o.Epoch(), seen[0].Host.Name, seen[0].Epoch())
			}
		}
		return ""
	}, members, &seen)
	return seen, err
}
