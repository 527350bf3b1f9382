package provision

import (
	"context"
	"sync/atomic"

	"github.com/zkctl/zkctl/remote"
)

// tripHost counts the round trips to a host: one for each command, two for each upload, which stages the bytes and then
// puts them in force. Logging in is not counted, nor are renewals of the lock.
type tripHost struct {
	remote.Host
	trips atomic.Int64
}

// Run implements remote.Host.
func (h *tripHost) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	h.trips.Add(1)
	return h.Host.Run(ctx, cmd)
}

// Upload implements remote.Host.
func (h *tripHost) Upload(ctx context.Context, file remote.File) error {
	h.trips.Add(2)
	return h.Host.Upload(ctx, file)
}

// Trips is the number of round trips to a host.
type Trips struct {
	Host  string `json:"host"`
	Trips int    `json:"trips"`
}

// RoundTrips are those so far, in inventory order, the proof of SSH keys aside: hosts that were not used are left out.
func (r *Run) RoundTrips() []Trips {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Trips
	for _, h := range r.Inventory.Hosts {
		if c := r.hosts[h.Name]; c != nil {
			all = append(all, Trips{h.Name, int(c.trips.Load())})
		}
	}
	return all
}
