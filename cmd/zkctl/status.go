package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show every member and whether the ensemble is healthy",
		ArgsUsage: "[INVENTORY]",
		Description: `Asks all members at once through their client ports; needs no SSH, but for jump hosts. Answers within --deadline, whatever is down.
Exit code 0 if the ensemble is healthy, else 3.

   zkctl status --watch              # again and again, every two seconds
   zkctl status --json | jq .health`,
		Flags: flagsFor([]cli.Flag{
			&cli.DurationFlag{Name: "deadline", Value: 5 * time.Second, Usage: "`TIME` within which to answer"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat until interrupted"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "`TIME` between two looks of --watch"},
		}, sshFlags()),
		Action: eachUnless("watch", runStatus),
	}
}

func runStatus(op *operation) error {
	c, out, inv := op.Context, op.out, op.inv
	if c.Duration("deadline") <= 0 || c.Duration("interval") <= 0 {
		return usage("--deadline and --interval must be above 0")
	}
	connector, err := connectorFor(c, inv)
	if err != nil {
		return err
	}
	defer connector.close()
	ctx, cancel := withTimeout(c)
	defer cancel()
	watching.Store(c.Bool("watch"))
	for {
		verdict := showStatus(ctx, out, inv, connector, c.Duration("deadline"), c.Bool("watch"))
		if !c.Bool("watch") {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return healthError(verdict)
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errInterrupted) {
				return nil // that is how to end it
			}
			return context.Cause(ctx)
		case <-time.After(c.Duration("interval")):
		}
	}
}

func showStatus(ctx context.Context, out *output, inv *inventory.Inventory, connector *connector, deadline time.Duration, watching bool) provision.Verdict {
	seen := provision.ProbeAll(ctx, inv, provision.FourLetters(connector.dial), deadline)
	switch {
	case out.json:
		out.line(statusOf(inv.Name, inv.ConnectString(), seen))
	default:
		if watching {
			if isTerminal(out.stdout) {
				fmt.Fprint(out.stdout, "\033[H\033[2J")
			}
			fmt.Fprintf(out.stdout, "%s at %s\n", inv.Name, time.Now().Format(time.TimeOnly))
		}
		out.table(seen)
	}
	return provision.Judge(seen)
}
