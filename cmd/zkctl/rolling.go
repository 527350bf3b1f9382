package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

func rollingRestartCommand() *cli.Command {
	return &cli.Command{
		Name:      "rolling-restart",
		Usage:     "restart the members one at a time, the leader last, without losing the quorum",
		ArgsUsage: "[INVENTORY]",
		Description: `Before each member: who leads is looked up anew, and the voters that serve without this member must still be a majority,
or it refuses with the numbers (exit code 7). After each: it must serve, be synced and have caught up. The first failure
ends it with the ensemble still serving (exit code 8); run it again to go on with the members that are left.
Meanwhile a file .rolling-restart in the install directory marks the members that are yet to come.

   zkctl rolling-restart --dry-run        # in which order
   zkctl rolling-restart
   zkctl rolling-restart --limit '@rack1' # and of these, the leader last`,
		Flags: flagsFor(hostFlags(), waitFlags(), limitFlags(), []cli.Flag{
			&cli.BoolFlag{Name: allEnsembles, Usage: "one ensemble of the inventory after the other; what does not end well ends it"},
			&cli.BoolFlag{Name: "fresh", Usage: "restart all members, also those that an earlier, unfinished run has restarted"},
		}),
		Action: inTurn(runRollingRestart),
	}
}

func runRollingRestart(op *operation) error {
	out, inv := op.out, op.inv
	names, err := op.limit()
	if err != nil {
		return err
	}
	return op.change(func(ctx context.Context, run *provision.Run) error {
		result, err := run.RollingRestart(ctx, names, op.Bool("fresh"))
		out.clear()
		if err != nil {
			out.times(run.Times())
			return err
		}
		if run.DryRun {
			if out.json {
				out.line(map[string]any{"kind": "plan", "ensemble": op.inv.Name, "restarts": result.Order})
				return nil
			}
			fmt.Fprintf(out.stdout, "would restart %s; nothing was changed\n", strings.Join(result.Order, ", then "))
			return nil
		}
		if out.json {
			out.line(struct {
				ensembleStatus
				Order     []string             `json:"order"`
				Resumed   bool                 `json:"resumed"`
				Elections int                  `json:"elections"`
				Steps     []provision.StepTime `json:"steps"`
			}{statusOf(inv.Name, inv.ConnectString(), result.Seen), result.Order, result.Resumed, result.Elections, run.Times()})
			return healthError(result.Verdict)
		}
		out.times(run.Times())
		fmt.Fprintf(out.stdout, "restarted %s; %s\n", strings.Join(result.Order, ", then "), counted(result.Elections, "election"))
		out.table(result.Seen)
		return healthError(result.Verdict)
	})
}
