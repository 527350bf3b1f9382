package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

func startCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start the members that do not run, in inventory order", ArgsUsage: "[INVENTORY]",
		Description: `Waits until the started members serve, as far as those that run can make a quorum.

   zkctl start
   zkctl start --limit zk3`,
		Flags: flagsFor(hostFlags(), waitFlags(), limitFlags()),
		Action: one(func(op *operation) error {
			return runService(op, func(ctx context.Context, run *provision.Run, names []string) (*provision.Outcome, error) {
				return run.Start(ctx, names)
			})
		}),
	}
}

// interrupting are the flags of verbs after which clients are not served.
func interrupting() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
		&cli.BoolFlag{Name: "force", Usage: "stop the chosen members even if the rest is no majority"},
	}
}

func stopCommand() *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop members, the leader last", ArgsUsage: "[INVENTORY]",
		Description: `Without --limit, stops the whole ensemble, after asking. With --limit, refuses (exit code 7) if the voters that remain are no
majority, or if that cannot be told because zkctl does not see members that run, unless --force is given.

   zkctl stop --limit zk3
   zkctl stop --limit '@rack2,!leader'     # whoever leads stays`,
		Flags: flagsFor(hostFlags(), waitFlags(), limitFlags(), interrupting()),
		Action: one(func(op *operation) error {
			return runService(op, func(ctx context.Context, run *provision.Run, names []string) (*provision.Outcome, error) {
				return run.Stop(ctx, names, op.Bool("force"))
			})
		}),
	}
}

func restartCommand() *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "stop members and start them again, all at once", ArgsUsage: "[INVENTORY]",
		Description: `Clients are not served meanwhile; rolling-restart is the way without interruption.

   zkctl restart --yes                    # of an ensemble that does not serve any more`,
		Flags: flagsFor(hostFlags(), waitFlags(), limitFlags(), interrupting()),
		Action: one(func(op *operation) error {
			return runService(op, func(ctx context.Context, run *provision.Run, names []string) (*provision.Outcome, error) {
				return run.Restart(ctx, names, op.Bool("force"))
			})
		}),
	}
}

func runService(op *operation, do func(context.Context, *provision.Run, []string) (*provision.Outcome, error)) error {
	out, inv, verb := op.out, op.inv, op.verb()
	names, err := op.limit()
	if err != nil {
		return err
	}
	// Asked before the run begins: what was declined is no run, and holds nobody else up.
	if verb != "start" && !op.Bool("dry-run") && !op.Bool("yes") {
		if err := confirm(op, names); err != nil {
			return err
		}
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		result, err := do(ctx, run, names)
		out.clear()
		if err != nil {
			if result != nil && result.Seen != nil && !out.json {
				out.table(result.Seen)
			}
			return err
		}
		if run.DryRun {
			switch {
			case out.json:
				out.line(struct {
					Kind   string   `json:"kind"`
					Stops  []string `json:"stops"`
					Starts []string `json:"starts"`
				}{"plan", append([]string{}, result.Stops...), append([]string{}, result.Starts...)})
			case len(result.Stops)+len(result.Starts) == 0:
				fmt.Fprintln(out.stdout, "nothing to do")
			default:
				var parts []string
				if len(result.Stops) > 0 {
					parts = append(parts, "stop "+strings.Join(result.Stops, ", then "))
				}
				if len(result.Starts) > 0 {
					parts = append(parts, "start "+strings.Join(result.Starts, ", then "))
				}
				fmt.Fprintf(out.stdout, "would %s; nothing was changed\n", strings.Join(parts, "; "))
			}
			return nil
		}
		out.times(run.Times())
		if run.Changes() == 0 && !out.json {
			fmt.Fprintf(out.stdout, "nothing to do\n")
		}
		if out.json {
			out.line(statusOf(inv.Name, inv.ConnectString(), result.Seen))
		} else {
			out.table(result.Seen)
			if verb == "stop" && result.Verdict.Health != provision.Healthy {
				fmt.Fprintf(out.stdout, "\nstart again          %s\n", op.commandLine("start"))
			}
		}
		return nil
	})
}

// confirm asks before an interruption.
func confirm(op *operation, names []string) error {
	inv, verb := op.inv, op.verb()
	what, then := "the whole ensemble "+inv.Name, "No client is served meanwhile."
	if verb == "stop" {
		then = "No client is served until it is started again."
	}
	if len(names) > 0 {
		what, then = strings.Join(names, ", "), "Clients move to the other members, if these are a majority."
	}
	return ask(op.Context.Context, op.out.stderr, verb+" interrupts "+what, fmt.Sprintf("%s %s? %s", verb, what, then))
}
