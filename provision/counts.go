package provision

import (
	"context"
	"slices"

	"github.com/zkctl/zkctl/inventory"
)

// While voters or weights change, members count by what they were started with, and not by what the inventory says: a gate that
// knew the inventory alone would permit to stop a member that the others cannot do without yet, or any more.

// setCount keeps the quorum by which a member counts that was started with a zoo.cfg; it is not known of nil.
func (r *Run) setCount(h inventory.Host, zooCfg []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]inventory.Quorum{}
	}
	r.counts[h.Name] = quorumIn(zooCfg)
}

// probeAll is ProbeAll with what is known of how members count.
func (r *Run) probeAll(ctx context.Context) []Observation {
	return r.counted(ProbeAll(ctx, r.Inventory, r.Probe, r.Deadline))
}

func (r *Run) counted(seen []Observation) []Observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, o := range seen {
		seen[i].Counts = r.counts[o.Host.Name]
	}
	return seen
}

// learnCounts asks the hosts of members that serve how these count, for gates that would not look at them otherwise; away are about
// to be stopped, and need not be asked. A host that cannot be asked is no reason to refuse.
func (r *Run) learnCounts(ctx context.Context, seen []Observation, away []inventory.Host) ([]Observation, error) {
	var ask []inventory.Host
	for _, o := range seen {
		if o.Synced() && len(o.Counts.Voters()) == 0 && !slices.ContainsFunc(away, func(h inventory.Host) bool { return h.Name == o.Host.Name }) {
			ask = append(ask, o.Host)
		}
	}
	if len(ask) > 0 {
		if _, err := r.observeServices(ctx, ask); context.Cause(ctx) != nil {
			return nil, err
		}
	}
	return r.counted(seen), nil
}

// recount asks a member that was restarted how it counts now.
func (r *Run) recount(ctx context.Context, m member) error {
	_, err := r.findService(ctx, m.Member)
	return err
}
