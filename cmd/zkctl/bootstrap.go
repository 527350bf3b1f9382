package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/remote/shell"
)

func bootstrapCommand() *cli.Command {
	return &cli.Command{
		Name:      "bootstrap",
		Usage:     "make the hosts of the inventory a serving ensemble",
		ArgsUsage: "[INVENTORY]",
		Description: `Looks at all hosts at once, checks them, does what is missing and proves that the ensemble serves. Side by side come SSH
keys, proved by logging in from each host to each other; /etc/hosts, firewall and SELinux as the inventory says; service
user, directories, server, zoo.cfg, myid, profile and service unit. Then start, readiness, status.

Run again, it finds nothing to do. Cut off, it is finished by running it again. A member that runs something else than
is configured is restarted, one at a time and only while the rest keeps the quorum.

   zkctl bootstrap inventory.yaml --dry-run     # the plan, with the differences of all files
   zkctl bootstrap inventory.yaml --wait-ssh 5m # machines that are being made`,
		Flags:  flagsFor(hostFlags(), waitFlags(), serverBinaryFlag(), limitFlags(), convergeFlags()),
		Action: each(runBootstrap),
	}
}

func runBootstrap(op *operation) error { return converge(op, nil) }

// converge makes the hosts what the inventory says, within what was agreed to if that is not nil.
func converge(op *operation, agreed *provision.Document) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	if agreed != nil {
		names = agreed.Limit
		op.limited = names
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		out, inv := op.out, op.inv
		run.Limit = names
		if run.DryRun && agreed == nil {
			result, doc, err := run.Plan(ctx)
			out.clear()
			if err != nil {
				return err
			}
			return showPlan(out, result, doc)
		}
		result, err := run.Apply(ctx, agreed)
		out.clear()
		if err != nil {
			out.times(run.Times())
			if result != nil && run.Changes() > 0 && exitCode(err) == exitFailed {
				err = &provision.PartialError{Cause: err}
			}
			return err
		}
		if run.DryRun {
			return showPlan(out, result, agreed)
		}
		if out.json {
			s := statusOf(inv.Name, inv.ConnectString(), result.Seen)
			out.line(struct {
				ensembleStatus
				Changes  int                  `json:"changes"`
				Restarts []string             `json:"restarts"`
				Steps    []provision.StepTime `json:"steps"`
				Trips    []provision.Trips    `json:"round_trips"`
			}{s, run.Changes(), append([]string{}, result.Order...), run.Times(), run.RoundTrips()})
			return healthError(result.Verdict)
		}
		out.times(run.Times())
		out.trips(run.RoundTrips())
		if result.Nothing() {
			who := fmt.Sprintf("all %d hosts are", len(inv.Hosts))
			switch len(names) {
			case 0:
			case 1:
				who = names[0] + " is"
			default:
				who = strings.Join(names, ", ") + " are"
			}
			fmt.Fprintf(out.stdout, "nothing to do: %s as the inventory says\n", who)
		} else {
			fmt.Fprintln(out.stdout, counted(run.Changes(), "change"))
		}
		out.table(result.Seen)
		nextSteps(op)
		return healthError(result.Verdict)
	})
}

func healthError(v provision.Verdict) error {
	if v.Health != provision.Healthy {
		return errUnhealthy
	}
	return nil
}

// nextSteps tells how to connect and what to type next.
func nextSteps(op *operation) {
	out, inv := op.out, op.inv
	fmt.Fprintf(out.stdout, `
connect clients to   %s
look at it           %s
restart it safely    %s
`, inv.ConnectString(), op.commandLine("status"), op.commandLine("rolling-restart"))
	first := inv.Hosts[0]
	if first.Connection == inventory.Local {
		fmt.Fprintf(out.stdout, "work with it         %s/bin/zkCli.sh\n", first.Server.Paths.Install)
		fmt.Fprintf(out.stdout, "stop it              %s\n", op.commandLine("stop"))
		return
	}
	fmt.Fprintf(out.stdout, "work with it         zkCli.sh, and zkServer.sh status, on any of the hosts\n")
}

// commandLine is what to type for a verb on the same inventory: zkctl as it was called now.
func (op *operation) commandLine(verb string) string {
	inv, program := op.inv, "zkctl"
	if strings.Contains(os.Args[0], "/") {
		program = os.Args[0]
	}
	line := program + " " + verb
	if inv.File != "inventory.yaml" && inv.File != os.Getenv("ZKCTL_INVENTORY") {
		line += " -i " + shell.Quote(inv.File)
	}
	if inv.OneOf > 1 {
		line += " --ensemble " + inv.Name
	}
	if dir := op.String("state-dir"); dir != "" && dir != os.Getenv("ZKCTL_STATE_DIR") && verb != "status" {
		line += " --state-dir " + shell.Quote(dir)
	}
	return line
}
