package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/provision"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show every member and whether the ensemble is healthy",
		ArgsUsage: "[INVENTORY]",
		Description: `Asks all members at once through their client ports; needs no SSH, but for jump hosts. Answers within --deadline, whatever is down.
Certificates that end in less than 30 days, of members and here, are told of; with --json, the end of each member's is always there.
Exit code 0 if the ensemble is healthy, else 3; with --wait-for 0 as soon as there is what was waited for.

   zkctl status --watch              # again and again, every two seconds
   zkctl status --limit '!observer'  # the table is of the voters, the verdict of all
   zkctl status --wait-for quorum --timeout 60s   # exit code 124 if there is none by then
   zkctl status --json | jq .health`,
		Flags: flagsFor([]cli.Flag{
			stateFlag(),
			&cli.DurationFlag{Name: "deadline", Value: 5 * time.Second, Usage: "`TIME` within which to answer"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat until interrupted"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "`TIME` between two looks of --watch and --wait-for"},
			&cli.StringFlag{Name: "wait-for", Usage: "wait until there is a `quorum`, or until all members serve (all); --timeout ends it"},
		}, []cli.Flag{limitFlag()}, sshFlags()),
		Action: eachUnless("watch", runStatus),
	}
}

func runStatus(op *operation) error {
	connector, err := op.connector()
	if err != nil {
		return err
	}
	defer connector.close()
	if err := connector.canDial(op.inv); err != nil {
		return err
	}
	ctx, cancel := withTimeout(op.Context)
	defer cancel()
	wanted := op.String("wait-for")
	switch {
	case wanted != "" && wanted != "quorum" && wanted != "all":
		return usage("--wait-for: %q is neither quorum nor all", wanted)
	case wanted != "" && op.Bool("watch"):
		return usage("--wait-for ends, and --watch does not: one of them")
	case wanted != "":
		return op.waitFor(ctx, wanted, connector)
	}
	if !op.Bool("watch") {
		verdict, err := op.showStatus(ctx, connector)
		if ended := context.Cause(ctx); ended != nil {
			return ended
		}
		if err != nil {
			return err
		}
		return healthError(verdict)
	}
	watching.Store(true)
	for {
		if isTerminal(op.out.stdout) && !op.out.json {
			fmt.Fprint(op.out.stdout, "\033[H\033[2J")
		}
		if !op.out.json {
			fmt.Fprintf(op.out.stdout, "%s at %s\n", op.inv.Name, time.Now().Format(time.TimeOnly))
		}
		if _, err := op.showStatus(ctx, connector); err != nil {
			fmt.Fprintf(op.out.stderr, "zkctl: %v\n", err) // nobody leads, for example: that changes
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errInterrupted) {
				return nil // that is how to end it
			}
			return context.Cause(ctx)
		case <-time.After(op.Duration("interval")):
		}
	}
}

// waitFor waits for a quorum, or for all members, and shows the status then, or when the time is over.
func (op *operation) waitFor(ctx context.Context, wanted string, connector *connector) error {
	for {
		seen := provision.ProbeAll(ctx, op.inv, provision.FourLetters(connector.dial), op.Duration("deadline"))
		health := provision.Judge(seen).Health
		if health == provision.Healthy || wanted == "quorum" && health == provision.Degraded {
			_, err := op.showStatus(ctx, connector)
			return err
		}
		select {
		case <-ctx.Done():
			if _, err := op.showStatus(context.WithoutCancel(ctx), connector); err != nil {
				return err
			}
			return context.Cause(ctx)
		case <-time.After(op.Duration("interval")):
		}
	}
}

// showStatus looks at all members, whoever of them is shown: the verdict is about all.
func (op *operation) showStatus(ctx context.Context, connector *connector) (provision.Verdict, error) {
	limited, cancel := context.WithTimeout(ctx, op.Duration("deadline"))
	defer cancel()
	certificates := make(chan []*x509.Certificate, 1)
	go func() { certificates <- connector.served(limited, op.inv) }()
	seen := provision.ProbeAll(ctx, op.inv, provision.FourLetters(connector.dial), op.Duration("deadline"))
	served := <-certificates
	shown, others, err := op.choose(statesOf(seen))
	if momentary(err) {
		// Nobody is to be shown, but how the ensemble is was asked, too.
		fmt.Fprintf(op.out.stderr, "zkctl: %v\n", err)
		others = op.names()
	} else if err != nil {
		return provision.Verdict{}, err
	}
	if op.out.json {
		s := statusOf(op.inv.Name, op.inv.ConnectString(), seen)
		for i, leaf := range served {
			if leaf != nil {
				s.Members[i].Certificate = &certificateStatus{leaf.NotAfter.UTC(), certs.DaysLeft(leaf, time.Now()), certs.Fingerprint(leaf)}
			}
		}
		op.out.line(s.only(shown, others))
	} else {
		op.out.tableOf(shown, seen)
		if len(others) > 0 {
			fmt.Fprintf(op.out.stdout, "left out: %s\n", strings.Join(others, ", "))
		}
		for _, line := range append(expiries(op.inv, served, time.Now()), expiriesHere(op.inv, connector.authority, time.Now())...) {
			fmt.Fprintln(op.out.stdout, line)
		}
	}
	return provision.Judge(seen), nil
}
