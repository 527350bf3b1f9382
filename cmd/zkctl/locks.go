package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

func lockCommand() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "show or end the lock that keeps two operators from working at once: show, break",
		Description: `Who changes something has the lock of the ensemble on a majority of its hosts. It is renewed while the work lasts and ends by
itself a minute after a zkctl that was cut off. It is one lock for all hosts, so that there is no --limit.`,
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "show what each host says about the lock", ArgsUsage: "[INVENTORY]",
				Description: "   zkctl lock show",
				Flags:       flagsFor(hostFlags()), Action: one(runLockShow),
			},
			{
				Name: "break", Usage: "end the lock, whoever has it", ArgsUsage: "[INVENTORY]",
				Description: `A zkctl that is still at work notices, and changes nothing more. Asks first.

   zkctl lock break                       # where the holder is gone for good`,
				Flags:  flagsFor(hostFlags(), dryRunFlag(), []cli.Flag{&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}}),
				Action: one(runLockBreak),
			},
		},
	}
}

// nobodySays is the error of hosts that cannot be asked about the lock, if that is true of all.
func nobodySays(locks []provision.HostLock) error {
	var errs []error
	for _, l := range locks {
		if l.Cause == nil {
			return nil
		}
		errs = append(errs, l.Cause)
	}
	return errors.Join(errs...)
}

// heldLock is the lock that most hosts speak of, nil if nobody has it.
func heldLock(locks []provision.HostLock) *provision.HostLock {
	for i, l := range locks {
		if l.Held {
			return &locks[i]
		}
	}
	return nil
}

func runLockShow(op *operation) error {
	out, inv := op.out, op.inv
	return op.look(func(ctx context.Context, run *provision.Run) error {
		locks := run.ShowLock(ctx)
		out.clear()
		if out.json {
			out.line(map[string]any{"kind": "lock", "ensemble": inv.Name, "held": heldLock(locks) != nil, "hosts": locks})
			return nobodySays(locks)
		}
		var rows []map[string]any
		for _, l := range locks {
			row := map[string]any{"host": l.Host, "generation": l.Generation, "state": "free", "holder": "-", "since": "-", "ends in": "-"}
			switch {
			case l.Error != "":
				row["generation"], row["state"] = "-", "unknown: "+l.Error
			case l.Held:
				row["state"], row["holder"] = "held", l.Holder
				row["since"], row["ends in"] = l.Since.Local().Format(time.DateTime), short(time.Until(l.Until))
			case l.Generation > 0:
				row["holder"] = "last: " + l.Holder
			}
			rows = append(rows, row)
		}
		fmt.Fprintln(out.stdout, listed([]string{"host", "generation", "state", "holder", "since", "ends in"},
			[]string{"since", "generation", "ends in"}, width(out.stdout), rows))
		return nobodySays(locks)
	})
}

func runLockBreak(op *operation) error {
	out := op.out
	return op.look(func(ctx context.Context, run *provision.Run) error {
		locks := run.ShowLock(ctx)
		held := heldLock(locks)
		out.clear()
		if held == nil {
			if err := nobodySays(locks); err != nil {
				return err
			}
			op.lockEnded("", "nobody has the lock")
			return nil
		}
		if !op.Bool("yes") && !run.DryRun {
			question := fmt.Sprintf("end the lock of %s? What that is doing stops half-way.", held.Holder)
			if err := ask(op.Context.Context, out.stderr, "lock break", question); err != nil {
				return err
			}
		}
		if !run.DryRun {
			beginTrail(op, run)
		}
		if err := run.BreakLock(ctx); err != nil {
			return err
		}
		out.clear()
		if !run.DryRun {
			op.lockEnded(held.Holder, fmt.Sprintf("the lock of %s is ended", held.Holder))
		}
		return nil
	})
}

// lockEnded says whose lock was ended, "" for nobody's.
func (op *operation) lockEnded(holder, text string) {
	if op.out.json {
		op.out.line(map[string]any{"kind": "lock", "ensemble": op.inv.Name, "ended": holder})
	} else {
		fmt.Fprintln(op.out.stdout, text)
	}
}
