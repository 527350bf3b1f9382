package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
)

func resetCommand() *cli.Command {
	return &cli.Command{
		Name:      "reset",
		Usage:     "stop the ensemble and remove it from its hosts",
		ArgsUsage: "[INVENTORY]",
		Description: `Stops all members and removes servers, configuration, services and data. Asks for the ensemble's name to be typed. Hosts that
cannot be reached are told of (exit code 5); the same command does the rest later.

What a run of zkctl changes on a host for the first time is kept there, in /var/lib/zkctl/ENSEMBLE/undo. --undo-host-changes
gives it back byte for byte: /etc/hosts, firewall, SELinux, SSH keys, profile, service. Lines that others have added to
/etc/hosts, authorized_keys or known_hosts since stay. Where another ensemble lives on a host, so does what is not the first one's
alone: it is given back with the last one.

   zkctl reset --dry-run --undo-host-changes
   zkctl reset --keep-data                       # a later bootstrap takes the data over
   zkctl reset --undo-host-changes --yes-i-mean lab`,
		Flags: flagsFor(hostFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "keep-data", Usage: "leave data and txn logs where they are"},
			&cli.BoolFlag{Name: "undo-host-changes", Usage: "give the hosts back what they had before the first run"},
			&cli.StringFlag{Name: "yes-i-mean", Usage: "do not ask; `NAME` is the ensemble's"},
		}),
		Action: one(runReset),
	}
}

func runReset(op *operation) error {
	out, inv := op.out, op.inv
	if !op.Bool("dry-run") {
		if err := confirmByName(op); err != nil {
			return err
		}
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		plan, missing, err := run.Reset(ctx, provision.ResetOptions{KeepData: op.Bool("keep-data"), UndoHost: op.Bool("undo-host-changes")})
		out.clear()
		if err != nil {
			if run.Changes() > 0 && exitCode(err) == exitFailed {
				err = &provision.PartialError{Cause: err}
			}
			return err
		}
		if plan.Len() == 0 && !out.json {
			where := "its hosts"
			if missing != nil {
				where = "the hosts that answer"
			}
			fmt.Fprintf(out.stdout, "nothing to do: nothing of %s is left on %s\n", inv.Name, where)
			return missing
		}
		if run.DryRun {
			if out.json {
				out.line(map[string]any{"kind": "plan", "ensemble": inv.Name, "changes": planned(plan)})
			} else {
				plan.Print(out.stdout)
				fmt.Fprintf(out.stdout, "%s; nothing was changed\n", counted(plan.Len(), "change"))
			}
			return missing
		}
		if out.json {
			out.line(map[string]any{"kind": "reset", "ensemble": inv.Name, "changes": run.Changes(), "round_trips": run.RoundTrips()})
			return missing
		}
		out.times(run.Times())
		out.trips(run.RoundTrips())
		fmt.Fprintf(out.stdout, "%s is removed\n", inv.Name)
		if op.Bool("keep-data") {
			fmt.Fprintln(out.stdout, "its data is kept; zkctl bootstrap takes it over")
		}
		if !op.Bool("undo-host-changes") && inv.Hosts[0].Connection == inventory.OverSSH {
			fmt.Fprintf(out.stdout, "the hosts stay prepared; %s gives them back what they had before\n",
				op.commandLine("reset")+" --undo-host-changes")
		}
		return missing
	})
}

type plannedChange struct {
	Step    string `json:"step"`
	Host    string `json:"host"`
	Summary string `json:"summary"`
	Target  string `json:"target"`
}

func planned(p *provision.Plan) []plannedChange {
	all := []plannedChange{}
	for _, s := range p.Steps {
		for _, h := range s.Hosts {
			for _, c := range h.Changes {
				all = append(all, plannedChange{s.Name, h.Host.Name, c.Summary, c.Target})
			}
		}
	}
	return all
}

// confirmByName lets the ensemble's name be typed.
func confirmByName(op *operation) error {
	out, inv := op.out, op.inv
	if name := op.String("yes-i-mean"); name != "" {
		if name != inv.Name {
			return usage("--yes-i-mean %s: the ensemble is %s", name, inv.Name)
		}
		return nil
	}
	if !isTerminal(out.stderr) || !isTerminal(os.Stdin) {
		return usage("reset removes the ensemble %s: there is no terminal to ask on, so say --yes-i-mean %s", inv.Name, inv.Name)
	}
	what := "and all its data "
	if op.Bool("keep-data") {
		what = ""
	}
	fmt.Fprintf(out.stderr, "This removes the ensemble %s %sfrom %s. Type its name to go on: ", inv.Name, what, counted(len(inv.Hosts), "host"))
	if answer(op.Context.Context, os.Stdin) != inv.Name {
		return errDeclined
	}
	return nil
}
