package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
)

// convergeFlags are those of verbs that make members.
func convergeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "adopt-data", Usage: "take data without a stamp of zkctl for the member's own, or begin empty where it is gone"},
		&cli.BoolFlag{Name: "reuse-ids", Usage: "permit server ids that other members had before"},
		&cli.BoolFlag{Name: "skip-network-check", Usage: "do not let hosts try to reach one another before the first start"},
	}
}

func serverBinaryFlag() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "server-binary", Usage: "push the server in `FILE` instead of the bundled one"},
	}
}

func planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what apply would do: differences of files, settings, restarts, elections",
		ArgsUsage: "[INVENTORY]",
		Description: `Looks at all hosts and compares them with the inventory. Changes nothing. Two plans of hosts that have not changed are
the same text. A plan that was kept with --out can be carried out by zkctl apply, as long as the hosts are still what
they were.

   zkctl plan                                    # what would be done
   zkctl plan --detailed-exitcode || echo drift  # for a pipeline: 0 nothing to do, 4 changes
   zkctl plan --out plan.json && zkctl apply plan.json`,
		Flags: flagsFor(hostFlags(), serverBinaryFlag(), limitFlags(), convergeFlags(), []cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "also write the plan to `FILE`, for zkctl apply"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit code 4 if there are changes"},
		}),
		Action: eachUnless("out", runPlan), // one file holds one plan
	}
}

// keep writes a plan to a file, of which nothing is left where that fails: half a plan is none. What is no file (/dev/stdout) stays.
func keep(file string, plan []byte) error {
	err := os.WriteFile(file, plan, 0o600)
	if err == nil {
		return nil
	}
	if info, statErr := os.Lstat(file); statErr == nil && info.Mode().IsRegular() {
		_ = os.Remove(file)
	}
	return err
}

func runPlan(op *operation) error {
	names, err := op.limit()
	if err != nil {
		return err
	}
	if err := writable("--out", op.String("out")); err != nil {
		return err
	}
	return op.look(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		result, doc, err := run.Plan(ctx)
		op.out.clear()
		if err != nil {
			return err
		}
		if file := op.String("out"); file != "" {
			kept := *doc
			if kept.Inventory.File, err = filepath.Abs(op.inv.File); err != nil {
				return err
			}
			if err := keep(file, kept.Marshal()); err != nil {
				return err
			}
		}
		if err := showPlan(op.out, result, doc); err != nil {
			return err
		}
		if op.Bool("detailed-exitcode") && !doc.Nothing() {
			return errChanges
		}
		return nil
	})
}

func applyCommand() *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "make the hosts what the inventory says, or carry out a plan",
		ArgsUsage: "[INVENTORY|PLAN]",
		Description: `Does what plan shows: keys, /etc/hosts, firewall, SELinux, server, configuration, whatever of the inventory has changed;
starts what does not run; restarts what has to be restarted, one member at a time, the leader last, and only while the
rest keeps the quorum (exit code 7 otherwise, with the numbers). Run again, it finds nothing to do. Cut off, it is
finished by running it again.

Given a plan (zkctl plan --out FILE) it does what that says and no more: if hosts, inventory or zkctl are not any more
what they were, it refuses (exit code 7) and lists what differs.

With --limit, only these hosts are changed; the others are looked at as far as they can be reached. What would need the
others (the ensemble's id, or a change of the voters that they may not know of) is refused.

   zkctl apply                     # after an edit of the inventory
   zkctl apply plan.json           # exactly what was looked at
   zkctl apply --limit '!zk3'      # while zk3 is away`,
		Flags:  flagsFor(hostFlags(), waitFlags(), serverBinaryFlag(), limitFlags(), convergeFlags()),
		Action: runApply,
	}
}

func runApply(c *cli.Context) error {
	agreed, err := loadPlan(c.Args().First())
	switch {
	case err != nil:
		return err
	case agreed == nil:
		return each(runBootstrap)(c)
	case c.IsSet("limit"):
		return usage("%s was made for certain hosts: --limit goes with zkctl plan", c.Args().First())
	case c.NArg() > 1:
		return usage("one plan at most, not %s", strings.Join(c.Args().Slice(), " "))
	}
	if c.String("ensemble") == "" {
		if err := c.Set("ensemble", agreed.Ensemble); err != nil {
			return err
		}
	}
	op, err := open(c, agreed.Inventory.File)
	if err != nil {
		return err
	}
	return converge(op, agreed)
}

// loadPlan reads the file if it is a plan.
func loadPlan(file string) (*provision.Document, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil // load says what is wrong
	}
	doc, ok, err := provision.ParseDocument(data)
	if ok && err != nil {
		return nil, usage("%s: %v", file, err)
	}
	return doc, nil
}

// showPlan writes what was found to do.
func showPlan(out *output, result *provision.Outcome, doc *provision.Document) error {
	if out.json {
		out.line(doc)
		return nil
	}
	if result.Nothing() {
		fmt.Fprintln(out.stdout, "nothing to do")
		return nil
	}
	var b strings.Builder
	result.Plan.Print(&b)
	fmt.Fprint(out.stdout, out.coloredDiff(b.String()))
	out.settings(doc.Settings)
	if len(result.Starts) > 0 {
		fmt.Fprintf(out.stdout, "start\n  %s\n", strings.Join(result.Starts, ", then "))
	}
	if len(doc.Restarts) > 0 {
		fmt.Fprintln(out.stdout, "rolling restart, in this order")
		for _, r := range doc.Restarts {
			fmt.Fprintf(out.stdout, "  %s: %s\n", r.Host, r.Why)
		}
	}
	if len(doc.Rounds) > 0 {
		fmt.Fprintf(out.stdout, "TLS is switched in %s of rolling restarts, one after the other\n", counted(len(doc.Rounds), "round"))
		for i, round := range doc.Rounds {
			fmt.Fprintf(out.stdout, "  %d. %s\n", i+1, round.What)
		}
	}
	if len(doc.Restarts) > 0 || len(doc.Starts) > 0 {
		fmt.Fprintln(out.stdout, interruption(doc))
	}
	fmt.Fprintf(out.stdout, "%s, %s to start, %d to restart; nothing was changed\n",
		counted(result.Plan.Len(), "change"), counted(len(result.Starts), "member"), len(result.Restarts))
	return nil
}

// interruption says what a plan costs the clients.
func interruption(doc *provision.Document) string {
	served := "clients are not served " + doc.Unavailable
	if doc.Unavailable == provision.Served {
		served = "clients are served all the while"
	}
	if doc.Elections == 0 {
		return served
	}
	return counted(doc.Elections, "election") + " expected; " + served
}

// settings shows which settings change, those that change alike on several members once.
func (o *output) settings(changes []provision.SettingChange) {
	if len(changes) == 0 {
		return
	}
	var order []string
	hosts := map[string][]string{}
	for _, s := range changes {
		was, is := s.Before, s.After
		if was == "" {
			was = "(not set)"
		}
		if is == "" {
			is = "(not set)"
		}
		line := fmt.Sprintf("%s: %s -> %s [%s]", s.Key, was, is, map[provision.Effect]string{
			provision.Restart: "needs a restart", provision.Live: "counts at once", provision.NoEffect: "already in force",
		}[s.Effect])
		if hosts[line] == nil {
			order = append(order, line)
		}
		hosts[line] = append(hosts[line], s.Host)
	}
	fmt.Fprintln(o.stdout, "settings of zoo.cfg")
	for _, line := range order {
		fmt.Fprintf(o.stdout, "  %s: %s\n", strings.Join(hosts[line], ", "), line)
	}
}

// coloredDiff colours the lines of differences in a plan, on a terminal.
func (o *output) coloredDiff(plan string) string {
	if !o.resultColor {
		return plan
	}
	var b strings.Builder
	for line := range strings.Lines(plan) {
		body := strings.TrimRight(line, "\n")
		// Differences are indented by six.
		switch diff, ok := strings.CutPrefix(body, "      "); {
		case !ok:
			b.WriteString(body)
		case strings.HasPrefix(diff, "+"):
			b.WriteString(text.FgGreen.Sprint(body))
		case strings.HasPrefix(diff, "-"):
			b.WriteString(text.FgRed.Sprint(body))
		case strings.HasPrefix(diff, "@@"):
			b.WriteString(text.FgCyan.Sprint(body))
		default:
			b.WriteString(body)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
