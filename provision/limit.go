package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// within reports whether the operation may change a host; see Run.Limit.
func (r *Run) within(h inventory.Host) bool {
	return len(r.Limit) == 0 || slices.Contains(r.Limit, h.Name)
}

// hostsWithin are the hosts of the inventory that the operation may change.
func (r *Run) hostsWithin() []inventory.Host {
	return slices.DeleteFunc(slices.Clone(r.Inventory.Hosts), func(h inventory.Host) bool { return !r.within(h) })
}

// membersWithin are those members that the operation may change.
func (r *Run) membersWithin(members []member) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool { return !r.within(m.Host) })
}

// leftOut reports whether err is no more than that a host cannot be reached which the operation leaves out, and says so.
func (r *Run) leftOut(step string, h inventory.Host, err error) bool {
	if r.within(h) || !remote.NeverRan(err) {
		return false
	}
	r.report(Event{Kind: Warning, Step: step, Host: h.Name, Text: fmt.Sprintf("is left out, and cannot be looked at: %v", err)})
	return true
}

// unseen are the names of hosts that could not be looked at.
func (r *Run) unseen(members []member) (names []string) {
	for _, h := range r.Inventory.Hosts {
		if !slices.ContainsFunc(members, func(m member) bool { return m.Host.Name == h.Name }) {
			names = append(names, h.Name)
		}
	}
	return names
}

// mayLimit decides whether the hosts of the limit can do without what the others, which could not be looked at, know: the
// ensemble's id, and whether their voters and ours would still agree about a majority.
func (r *Run) mayLimit(members []member, ids identities) error {
	unseen := r.unseen(members)
	if len(unseen) == 0 {
		return nil
	}
	refused := func(host, format string, args ...any) error {
		return &RefusedError{Host: host, Text: fmt.Sprintf(format, args...) + " cannot be looked at: " + strings.Join(unseen, ", "),
			Remedy: "bring these hosts back, or take them out of the inventory"}
	}
	if ids.ensembleID == unchosen {
		return refused(r.Limit[0], "the ensemble's id is not known here, and those who may know it")
	}
	wanted := inventory.QuorumOf(r.Inventory.Hosts)
	for _, m := range members {
		if had := quorumIn(m.started); m.running && len(had.Voters()) > 0 && !had.Equal(wanted) {
			return refused(m.Host.Name, "the voters change, and some of those who have to agree")
		}
	}
	return nil
}

// only leaves the changes of the hosts that fit in a plan.
func (p *Plan) only(fits func(inventory.Host) bool) {
	for i := range p.Steps {
		p.Steps[i].Hosts = slices.DeleteFunc(p.Steps[i].Hosts, func(h HostPlan) bool { return !fits(h.Host) })
	}
}

// keyringWithin is the part of a key exchange that the operation may change. The keys of the others are known to it, but not how
// they log in: they may not have ours.
func (r *Run) keyringWithin(k *keyring) *keyring {
	part := &keyring{}
	for i, h := range k.hosts {
		if r.within(h) {
			part.hosts, part.members = append(part.hosts, h), append(part.members, k.members[i])
		}
	}
	return part
}

// eased makes warnings of what is wrong with hosts that are left out.
func (r *Run) eased(findings []hostprep.Finding) []hostprep.Finding {
	for i, f := range findings {
		if h := r.Inventory.Host(f.Host); h != nil && !r.within(*h) {
			findings[i].Severity = min(f.Severity, hostprep.Warning)
		}
	}
	return findings
}

// awaitWithin waits until the members of the limit serve, as far as those that run can make a quorum, and a client has
// written through each of them.
func (r *Run) awaitWithin(ctx context.Context, members []member, out *Outcome) error {
	members = r.membersWithin(members)
	if err := r.awaitChosen(ctx, members, out); err != nil || out.Verdict.Health == NoQuorum {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.ReadyTimeout, fmt.Errorf("no answer within %v", r.ReadyTimeout))
	defer cancel()
	err := r.Canary(limited, r.hostsWithin())
	out.Seen = r.probeAll(ctx)
	out.Verdict = Judge(out.Seen)
	return errors.Join(err, context.Cause(ctx))
}
