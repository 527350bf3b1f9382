package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/provision"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "look for what stands in the way of a serving ensemble on the hosts",
		ArgsUsage: "[INVENTORY]",
		Description: `Makes all checks (--list) on all hosts and shows what was found, with what to do about it. Changes nothing, unless --fix is
given; for the checks network, names and fsync the server is brought to hosts that lack it, and removed again.

Exit code 0 if no check failed, else 3. A warning is no failure, unless --fail-on warning is given.

   zkctl check                            # before the first bootstrap, or any time
   zkctl check --only network,names       # which host reaches which, by name and port
   zkctl check --skip fsync --junit report.xml
   zkctl check --fix                      # put right what is safe to put right`,
		Flags: flagsFor(hostFlags(), dryRunFlag(), serverBinaryFlag(), limitFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "only", Usage: "only the check with this `NAME` (repeatable, or with commas)"},
			&cli.StringSliceFlag{Name: "skip", Usage: "all but the check with this `NAME` (repeatable, or with commas)"},
			&cli.BoolFlag{Name: "list", Usage: "list the checks and end"},
			&cli.BoolFlag{Name: "fix", Usage: "do what is safe: /etc/hosts, firewall, SELinux, kernel, swap, limits and host name as the inventory says, time service, leftovers"},
			&cli.StringFlag{Name: "fail-on", Value: "error", Usage: "`SEVERITY` from which on the exit code is 3: error or warning"},
			&cli.StringFlag{Name: "junit", Usage: "also write the result to `FILE` as JUnit does"},
		}),
		Action: func(c *cli.Context) error {
			if c.Bool("list") {
				return runListChecks(c)
			}
			var reports junitReport // one file for all ensembles
			return each(func(op *operation) error { return runCheck(op, &reports) })(c)
		},
	}
}

func runCheck(op *operation, reports *junitReport) error {
	checks, err := chosenChecks(op.StringSlice("only"), op.StringSlice("skip"))
	if err != nil {
		return err
	}
	limit := hostprep.Error
	switch s := op.String("fail-on"); s {
	case "error":
	case "warning":
		limit = hostprep.Warning
	default:
		return usage("--fail-on: %q is neither error nor warning", s)
	}
	names, err := op.limit()
	if v := provision.Judge(op.seen); momentary(err) && v.Health != provision.Healthy {
		// That nobody leads is a finding, though there is no host to check.
		fmt.Fprintf(op.out.stderr, "zkctl: %v: no host is checked\n", err)
		if op.out.json {
			op.out.line(statusOf(op.inv.Name, op.inv.ConnectString(), op.seen).only(nil, op.names()))
		} else {
			fmt.Fprintln(op.out.stdout, v.Text)
		}
		return errFindings
	}
	if err != nil {
		return err
	}
	if err := writable("--junit", op.String("junit")); err != nil {
		return err
	}
	out, work := op.out, op.look
	if op.Bool("fix") {
		work = op.change
	}
	return work(func(ctx context.Context, run *provision.Run) error {
		run.Limit = names
		report, failed := run.Check(ctx, checks, op.Bool("fix"))
		out.clear()
		if report == nil {
			return failed
		}
		if file := op.String("junit"); file != "" {
			reports.add(op.inv.Name, report)
			if err := os.WriteFile(file, reports.marshal(), 0o644); err != nil {
				return err
			}
		}
		if out.json {
			out.line(checkJSON(op.inv.Name, report))
		} else {
			out.trips(run.RoundTrips())
			out.report(report)
		}
		if failed == nil && report.Worst() >= limit {
			return errFindings
		}
		return failed
	})
}

func runListChecks(c *cli.Context) error {
	out, err := newOutput(c)
	if err == nil {
		listChecks(out)
	}
	return err
}

func listChecks(out *output) {
	if out.json {
		type check struct {
			Name string `json:"name"`
			What string `json:"what"`
		}
		var all []check
		for _, c := range hostprep.Checks {
			all = append(all, check{c.Name, c.What})
		}
		out.line(map[string]any{"kind": "checks", "checks": all})
		return
	}
	for _, c := range hostprep.Checks {
		fmt.Fprintf(out.stdout, "%-12s %s\n", c.Name, c.What)
	}
}

// chosenChecks are the checks to make.
func chosenChecks(only, skip []string) ([]string, error) {
	var all, chosen []string
	for _, c := range hostprep.Checks {
		all = append(all, c.Name)
	}
	for _, name := range slices.Concat(only, skip) {
		if !slices.Contains(all, name) {
			return nil, usage("no check %q%s", name, meant(name, all))
		}
	}
	for _, name := range all {
		if (len(only) == 0 || slices.Contains(only, name)) && !slices.Contains(skip, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, usage("no check is left to make")
	}
	return chosen, nil
}

// report shows the result of the checks to people.
func (o *output) report(r *provision.CheckReport) {
	wide, counts := [2]int{}, map[hostprep.Severity]int{}
	for _, f := range r.Findings {
		wide[0], wide[1] = max(wide[0], len(f.Host)), max(wide[1], len(f.Check))
		counts[f.Severity]++
	}
	for _, f := range r.Fixed {
		fmt.Fprintf(o.stdout, "%s  %s: %s: %s\n", o.paintResult(text.FgGreen, "fixed  "), f.Host, f.Check, f.Text)
	}
	for _, f := range r.Findings {
		if f.Severity == hostprep.Note && !o.verbose {
			continue
		}
		color := map[hostprep.Severity]text.Color{hostprep.Error: text.FgRed, hostprep.Warning: text.FgYellow, hostprep.Note: text.FgCyan}[f.Severity]
		column := 9 + wide[0] + 2 + wide[1] + 2
		fmt.Fprintf(o.stdout, "%s  %-*s  %-*s  %s\n", o.paintResult(color, fmt.Sprintf("%-7s", f.Severity)), wide[0], f.Host, wide[1], f.Check,
			wrapped(strings.ReplaceAll(f.Text, "\n", "; "), column, width(o.stdout)))
		if f.Remedy != "" && f.Severity != hostprep.Note {
			fmt.Fprintf(o.stdout, "%*s-> %s\n", column, "", wrapped(f.Remedy, column+3, width(o.stdout)))
		}
	}
	if r.Matrix != nil {
		o.matrix(r.Matrix)
	}
	line := fmt.Sprintf("%s on %s: %s, %s, %s", counted(len(r.Checks), "check"), counted(len(r.Hosts), "host"),
		counted(counts[hostprep.Error], "error"), counted(counts[hostprep.Warning], "warning"), counted(counts[hostprep.Note], "note"))
	if counts[hostprep.Note] > 0 && !o.verbose {
		line += " (-v shows notes)"
	}
	color := text.FgGreen
	switch r.Worst() {
	case hostprep.Error:
		color = text.FgRed
	case hostprep.Warning:
		color = text.FgYellow
	}
	fmt.Fprintln(o.stdout, o.paintResult(color, line))
}

// wrapped is a text that begins in a column, in lines that end at words before width; 0 is any width.
func wrapped(s string, column, width int) string {
	const least = 20 // less is no easier to read than what the terminal makes of it
	if width-column < least {
		return s
	}
	return strings.ReplaceAll(text.WrapSoft(s, width-column), "\n", "\n"+strings.Repeat(" ", column))
}

func (o *output) paintResult(c text.Color, s string) string {
	if o.resultColor {
		return text.Colors{c}.Sprint(s)
	}
	return s
}

// matrix shows which host (a row) reaches which (a column).
func (o *output) matrix(m *provision.Matrix) {
	t := plainTable()
	header := table.Row{"from \\ to"}
	for _, to := range m.Hosts {
		header = append(header, to)
	}
	t.AppendHeader(header)
	for _, from := range m.Hosts {
		row := table.Row{from}
		for _, to := range m.Hosts {
			row = append(row, o.cell(m, from, to))
		}
		t.AppendRow(row)
	}
	fmt.Fprintln(o.stdout, rendered(t))
}

// cell is what one host says of another: ok, or the ports that failed.
func (o *output) cell(m *provision.Matrix, from, to string) string {
	if from == to {
		return "-"
	}
	asked := false
	var failed []string
	for _, r := range m.Reach {
		if r.From == from && r.To == to {
			asked = true
			if r.Result != "ok" {
				failed = append(failed, fmt.Sprintf("%d %s", r.Port, r.Result))
			}
		}
	}
	switch {
	case !asked:
		return "?"
	case failed == nil:
		return o.paintResult(text.FgGreen, "ok")
	}
	return o.paintResult(text.FgRed, strings.Join(failed, ", "))
}
