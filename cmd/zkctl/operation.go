package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

// operation is what a verb works with: its command line, its output, and one ensemble.
type operation struct {
	*cli.Context
	out     *output
	inv     *inventory.Inventory
	secrets *secrets
	limited []string                // what --limit has meant, by name
	seen    []provision.Observation // what --limit was decided from, if it asks what members do
}

func newOperation(c *cli.Context, out *output, inv *inventory.Inventory) *operation {
	return &operation{Context: c, out: out, inv: inv, secrets: &secrets{ctx: c.Context}}
}

// open begins an operation on the ensemble of --ensemble in an inventory; without that on the only one there is.
func open(c *cli.Context, path string) (*operation, error) {
	out, err := newOutput(c)
	if err != nil {
		return nil, err
	}
	all, err := loadAll(c, path)
	if err != nil {
		return nil, err
	}
	inv, err := choose(c, path, all)
	return newOperation(c, out, inv), err
}

// openFlagged is open for verbs with other arguments than an inventory.
func openFlagged(c *cli.Context) (*operation, error) {
	path, err := flaggedInventory(c)
	if err != nil {
		return nil, err
	}
	return open(c, path)
}

// one is the action of a verb that works on one ensemble, which has to be chosen where there are several.
func one(do func(*operation) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		path, err := theInventory(c)
		if err != nil {
			return err
		}
		op, err := open(c, path)
		if err != nil {
			return err
		}
		return do(op)
	}
}

// each is the action of a verb that looks or converges, and so may go over several ensembles: it does so one after the
// other, unless one is chosen. What is wrong with one ensemble does not keep it from the next one.
func each(do func(*operation) error) cli.ActionFunc {
	return over(do, func(error) bool { return true })
}

// inTurn is one, and with --all-ensembles each; but what does not end well in one ensemble is not begun in the next one.
func inTurn(do func(*operation) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		switch {
		case !c.Bool(allEnsembles):
			return one(do)(c)
		case c.String("ensemble") != "":
			return usage("--ensemble means one, --%s means all", allEnsembles)
		}
		return over(do, func(err error) bool { return err == nil })(c)
	}
}

// over is the action of a verb that goes over all ensembles, unless one is chosen, for as long as what came of one permits.
func over(do func(*operation) error, permits func(error) bool) cli.ActionFunc {
	return func(c *cli.Context) error {
		path, err := theInventory(c)
		if err != nil {
			return err
		}
		out, err := newOutput(c)
		if err != nil {
			return err
		}
		all, err := loadAll(c, path)
		if err != nil {
			return err
		}
		if name := c.String("ensemble"); name != "" || len(all) == 1 {
			inv, err := choose(c, path, all)
			if err != nil {
				return err
			}
			return do(newOperation(c, out, inv))
		}
		var errs []error
		var unhealthy error // said by the output, and by the exit code where nothing worse happened
		var elsewhere []error
		for i, inv := range all {
			out.heading(inv.Name, i > 0)
			err := do(newOperation(c, out, inv))
			endTrail(c, err)
			limit := (*inventory.LimitError)(nil)
			switch {
			case err == nil:
			case errors.Is(err, errInterrupted):
				return err
			case errors.As(err, &limit): // the hosts that are meant may be another ensemble's
				elsewhere = append(elsewhere, err)
				fmt.Fprintf(out.stderr, "zkctl: %v: nothing is done in %s\n", err, inv.Name)
				continue
			case silentError(err):
				unhealthy = err
			default:
				errs = append(errs, fmt.Errorf("ensemble %s: %w", inv.Name, err))
			}
			if left := all[i+1:]; !permits(err) && len(left) > 0 {
				fmt.Fprintf(out.stderr, "zkctl: not begun: %s\n", strings.Join(ensembleNames(left), ", "))
				break
			}
		}
		switch {
		case len(elsewhere) == len(all):
			return elsewhere[0]
		case len(errs) > 0:
			return errors.Join(errs...)
		}
		return unhealthy
	}
}

// eachUnless is each, but one where the flag is given, with which a single ensemble is meant.
func eachUnless(flag string, do func(*operation) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.IsSet(flag) {
			return one(do)(c)
		}
		return each(do)(c)
	}
}

// look lets do work with a run that changes nothing: it needs no lock and leaves no trail.
func (op *operation) look(do func(context.Context, *provision.Run) error) error {
	run, err := op.prepare()
	if err != nil {
		return err
	}
	defer run.Close()
	ctx, cancel := withTimeout(op.Context)
	defer cancel()
	return do(ctx, run)
}

// change lets do work with a run that may change something: no other zkctl on this machine works with the inventory
// meanwhile, and the run leaves a trail. A dry run needs neither.
func (op *operation) change(do func(context.Context, *provision.Run) error) error {
	if op.Bool("dry-run") {
		return op.look(do)
	}
	unlock, err := lock(op.inv)
	if err != nil {
		if locked := (*lockedError)(nil); errors.As(err, &locked) {
			locked.holder = runningHere(op.Context, op.inv)
		}
		return err
	}
	defer unlock()
	return op.look(func(ctx context.Context, run *provision.Run) error {
		beginTrail(op, run)
		return do(ctx, run)
	})
}

// limit is what --limit means at the moment, by name and in the order of the inventory; nil without --limit. Who is left out
// is said.
func (op *operation) limit() ([]string, error) {
	words := inventory.Limit(op.StringSlice("limit"))
	if len(words) == 0 {
		return nil, nil
	}
	states := map[string]string{}
	if words.AsksStates(op.inv) {
		connector, err := op.connector()
		if err != nil {
			return nil, err
		}
		defer connector.close()
		ctx, cancel := withTimeout(op.Context)
		defer cancel()
		op.seen = provision.ProbeAll(ctx, op.inv, provision.FourLetters(connector.dial), op.Duration("deadline"))
		states = statesOf(op.seen)
	}
	chosen, others, err := op.choose(states)
	if err == nil && len(others) > 0 {
		fmt.Fprintf(op.out.stderr, "zkctl: limited to %s; left out: %s\n", strings.Join(chosen, ", "), strings.Join(others, ", "))
	}
	op.limited = chosen
	return chosen, err
}

// momentary reports whether all that is wrong with --limit is that no member leads, or follows, at the moment.
func momentary(err error) bool {
	limit := (*inventory.LimitError)(nil)
	return errors.As(err, &limit) && limit.Moment
}

// names are those of all hosts.
func (op *operation) names() []string {
	names := make([]string, len(op.inv.Hosts))
	for i, h := range op.inv.Hosts {
		names[i] = h.Name
	}
	return names
}

// choose says whom --limit means where the members are in these states, and whom not.
func (op *operation) choose(states map[string]string) (chosen, others []string, err error) {
	words := inventory.Limit(op.StringSlice("limit"))
	hosts := op.inv.Hosts
	if len(words) > 0 {
		if hosts, err = words.Choose(op.inv, states); err != nil {
			return nil, nil, err
		}
	}
	for _, h := range op.inv.Hosts {
		if slices.ContainsFunc(hosts, func(c inventory.Host) bool { return c.Name == h.Name }) {
			chosen = append(chosen, h.Name)
		} else {
			others = append(others, h.Name)
		}
	}
	return chosen, others, nil
}

// statesOf are the words of a limit for what members do.
func statesOf(seen []provision.Observation) map[string]string {
	states := map[string]string{}
	for _, o := range seen {
		switch o.State {
		case provision.Leader, provision.Standalone:
			states[o.Host.Name] = "leader"
		case provision.Follower:
			states[o.Host.Name] = "follower"
		}
	}
	return states
}

// withTimeout bounds a context by --timeout.
func withTimeout(c *cli.Context) (context.Context, context.CancelFunc) {
	if limit := c.Duration("timeout"); limit > 0 {
		return context.WithTimeoutCause(c.Context, limit, errTimeout)
	}
	return context.WithCancel(c.Context)
}

// verb is the command as it is typed, such as "lock break".
func (op *operation) verb() string { return strings.TrimPrefix(op.Command.HelpName, "zkctl ") }

// prepare makes the run that the command line asks for.
func (op *operation) prepare() (*provision.Run, error) {
	if err := op.override(); err != nil {
		return nil, err
	}
	for _, w := range op.inv.Warnings {
		fmt.Fprintf(op.out.stderr, "zkctl: warning: %v\n", w)
	}
	if err := op.secrets.ask(op.inv); err != nil {
		return nil, err
	}
	authority, err := op.authority()
	if err != nil {
		return nil, err
	}
	connector := &connector{secrets: op.secrets, authority: authority, out: op.out, notice: func(host, text string) {
		op.out.event(provision.Event{Time: time.Now(), Kind: provision.Note, Host: host, Text: text})
	}}
	// A run waits most of the time, so that the collector may work more often than it would: a hundred hosts take less than 100 MB.
	debug.SetMemoryLimit(48<<20 + int64(len(op.inv.Hosts))*200<<10)
	op.out.redact = op.secrets.redact
	op.out.began = time.Now() // typing takes no time of the operation
	return &provision.Run{
		Inventory:    op.inv,
		Connect:      connector.host,
		Closed:       connector.close,
		Authority:    connector.authority,
		Server:       servers(op.String("server-binary")),
		Version:      version,
		Probe:        provision.FourLetters(connector.dial),
		Canary:       provision.Canary(connector.dial),
		Parallel:     op.Int("parallel"),
		ReadyTimeout: cmp.Or(op.Duration("wait-timeout"), usualWait),
		Deadline:     cmp.Or(op.Duration("deadline"), usualDeadline),
		DryRun:       op.Bool("dry-run"),
		ID:           trail.NewID(time.Now()),
		Verb:         op.verb(),
		Holder:       fmt.Sprintf("%s (zkctl %s, process %d)", operator(), op.verb(), os.Getpid()),
		AdoptData:    op.Bool("adopt-data"),
		ReuseIDs:     op.Bool("reuse-ids"),
		SkipNetwork:  op.Bool("skip-network-check"),
		Report:       op.out.event,
	}, nil
}
