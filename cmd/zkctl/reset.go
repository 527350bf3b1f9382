package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/remote/shell"
)

func resetCommand() *cli.Command {
	return &cli.Command{
		Name:      "reset",
		Usage:     "stop the ensemble, or some of its members, and remove it from its hosts",
		ArgsUsage: "[INVENTORY]",
		Description: `Stops all members and removes servers, configuration, services and data. Asks for the ensemble's name to be typed. Hosts that
cannot be reached are told of (exit code 5); the same command does the rest later.

What a run of zkctl changes on a host for the first time is kept there, in /var/lib/zkctl/ENSEMBLE/undo. --undo-host-changes
gives it back byte for byte: /etc/hosts, firewall, SELinux, SSH keys, profile, service. Lines that others have added to
/etc/hosts, authorized_keys or known_hosts since stay. Where another ensemble lives on a host, what is not this
one's alone stays for it, and is given back with the last one.

With --limit the chosen members are taken off, and the others go on. Refused (exit code 7) if these are not seen to be a quorum that
serves, unless --force is given. They go on counting who is gone: take it out of the inventory and apply that, or apply the
inventory as it is, and it comes back empty.

   zkctl reset --dry-run --undo-host-changes
   zkctl reset --keep-data                       # a later bootstrap takes the data over
   zkctl reset --undo-host-changes --yes-i-mean lab
   zkctl reset --limit zk5                       # that member alone`,
		Flags: flagsFor(hostFlags(), waitFlags(), limitFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "with --limit: take members off even if those that stay are no quorum"},
			&cli.BoolFlag{Name: "keep-data", Usage: "leave data and txn logs where they are"},
			&cli.BoolFlag{Name: "undo-host-changes", Usage: "give the hosts back what they had before the first run"},
			&cli.StringFlag{Name: "yes-i-mean", Usage: "do not ask; `NAME` is the ensemble's"},
		}),
		Action: one(runReset),
	}
}

func runReset(op *operation) error {
	out, inv := op.out, op.inv
	names, err := op.limit()
	if err != nil {
		return err
	}
	if len(names) == len(inv.Hosts) {
		names = nil
	}
	if op.Bool("force") && names == nil {
		return usage("--force goes with --limit: nobody stays for whom a quorum would matter")
	}
	if !op.Bool("dry-run") {
		if err := confirmByName(op, names); err != nil {
			return err
		}
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		plan, missing, err := run.Reset(ctx, provision.ResetOptions{KeepData: op.Bool("keep-data"), UndoHost: op.Bool("undo-host-changes"), Force: op.Bool("force")})
		out.clear()
		if err != nil {
			if run.Changes() > 0 && exitCode(err) == exitFailed {
				err = &provision.PartialError{Cause: err}
			}
			return err
		}
		if plan.Len() == 0 && !out.json {
			where := "its hosts"
			if names != nil {
				where = strings.Join(names, ", ")
			}
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
			result := map[string]any{"kind": "reset", "ensemble": inv.Name, "changes": run.Changes(), "round_trips": run.RoundTrips()}
			if names != nil {
				result["limit"] = names
			}
			out.line(result)
			return missing
		}
		out.times(run.Times())
		out.trips(run.RoundTrips())
		which, whose := inv.Name+" is removed", "its"
		undo := op.commandLine("reset") + " --undo-host-changes"
		if names != nil {
			which, whose = "removed from "+inv.Name+": "+strings.Join(names, ", "), "the"
			undo += " --limit " + shell.Quote(strings.Join(names, ","))
		}
		fmt.Fprintln(out.stdout, which)
		if op.Bool("keep-data") {
			fmt.Fprintln(out.stdout, whose+" data is kept; zkctl bootstrap takes it over")
		}
		if !op.Bool("undo-host-changes") && inv.Hosts[0].Connection == inventory.OverSSH {
			fmt.Fprintf(out.stdout, "the hosts stay prepared; %s gives them back what they had before\n", undo)
		}
		if names != nil {
			fmt.Fprint(out.stdout, afterTakingOff(op, names))
		}
		return missing
	})
}

// afterTakingOff says what those that stay still know of who was taken off, and how to go on.
func afterTakingOff(op *operation, names []string) string {
	inv, them := op.inv, "it"
	if len(names) > 1 {
		them = "them"
	}
	text := fmt.Sprintf("counted still        by the others: take %s out of %s, then %s\n", them, inv.File, op.commandLine("apply"))
	if slices.ContainsFunc(names, func(n string) bool {
		h := inv.Host(n)
		return h.Connection == inventory.OverSSH && h.System.SSHKeys != "leave"
	}) {
		text += fmt.Sprintf("let in still         by the others, with its SSH key: %s shows it, zkctl keys revoke takes it out after that\n", op.commandLine("keys list"))
	}
	return text + fmt.Sprintf("%-20s %s, with the inventory as it is\n", "have "+them+" back", op.commandLine("apply"))
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

// confirmByName lets the ensemble's name be typed; names are the members of the limit.
func confirmByName(op *operation, names []string) error {
	out, inv := op.out, op.inv
	if name := op.String("yes-i-mean"); name != "" {
		if name != inv.Name {
			return usage("--yes-i-mean %s: the ensemble is %s", name, inv.Name)
		}
		return nil
	}
	which := "the ensemble " + inv.Name
	if names != nil {
		which = strings.Join(names, ", ") + " of " + which
	}
	if !isTerminal(out.stderr) || !isTerminal(os.Stdin) {
		return usage("reset removes %s: there is no terminal to ask on, so say --yes-i-mean %s", which, inv.Name)
	}
	what := ", with all data,"
	if op.Bool("keep-data") {
		what = ""
	}
	from := len(names)
	if names == nil {
		from = len(inv.Hosts)
	}
	fmt.Fprintf(out.stderr, "This removes %s%s from %s. Type the ensemble's name to go on: ", which, what, counted(from, "host"))
	if answer(op.Context.Context, os.Stdin) != inv.Name {
		return errDeclined
	}
	return nil
}
