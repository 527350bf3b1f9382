package provision

import (
	"context"
	"time"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// Ran is what a command came to on a host.
type Ran struct {
	Host string
	remote.Result
	// Err is why it did not run, or that it failed.
	Err error
}

// Exec runs a command on each host within the limit, all at once, and tells what it came to in inventory order. It takes no lock:
// what it does is the operator's business.
func (r *Run) Exec(ctx context.Context, cmd remote.Command) ([]Ran, error) {
	return r.ask(ctx, "exec", func(inventory.Host) remote.Command { return cmd })
}

// Logs are the last lines of each member's log.
func (r *Run) Logs(ctx context.Context, lines string) ([]Ran, error) {
	return r.ask(ctx, "logs", func(h inventory.Host) remote.Command {
		m := templates.Member{Ensemble: r.Inventory, Host: h}
		return remote.Command{Label: "read the log", Root: privileged(m), ReadOnly: true, Args: []string{h.Server.Service, m.Log(), m.RollingLog(), lines},
			Script: `for f in "$3" "$2"; do [ ! -s "$f" ] || exec tail -n "$4" -- "$f"; done
if [ -d /run/systemd/system ]; then journalctl -q --no-pager -o cat -n "$4" -u "$1.service"
else echo "there is no $2" >&2; exit 1; fi`}
	})
}

// ask runs a command of each host.
func (r *Run) ask(ctx context.Context, step string, command func(inventory.Host) remote.Command) ([]Ran, error) {
	hosts := r.hostsWithin()
	ran := make([]Ran, len(hosts))
	intended := Event{Kind: Intended}
	for _, h := range hosts {
		if cmd := command(h); !cmd.ReadOnly {
			intended.Changes = append(intended.Changes, [2]string{h.Name, cmd.Label})
		}
	}
	if intended.Changes != nil {
		r.changes = len(intended.Changes)
		r.report(intended)
	}
	err := r.step(ctx, step, func(ctx context.Context) error {
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) error {
			cmd := command(hosts[i])
			if cmd.Timeout == 0 {
				cmd.Timeout = 24 * time.Hour // that of the operation counts
			}
			ran[i].Host = hosts[i].Name
			if r.DryRun && !cmd.ReadOnly {
				r.report(Event{Kind: Changed, Step: step, Host: hosts[i].Name, Text: "would " + cmd.Label})
				return nil
			}
			host, err := r.host(hosts[i])
			if err == nil {
				ran[i].Result, err = host.Run(ctx, cmd)
			}
			ran[i].Err = err
			return err
		})
	})
	return ran, err
}
