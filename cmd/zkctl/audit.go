package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

func auditCommand() *cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			stateFlag(),
			&cli.BoolFlag{Name: "json", Usage: "lines of JSON instead of a table"},
		}, more...)
	}
	return &cli.Command{
		Name: "audit", Usage: "show what zkctl did from this machine: list, show",
		Description: "Every run that may change something leaves a file of JSON lines, flushed at each change, without secrets. On each host, the\nfile history below /var/lib/zkctl/ENSEMBLE tells who was there.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the runs, the newest last",
				Description: "   zkctl audit list --ensemble lab",
				Flags: flags(&cli.StringFlag{Name: "ensemble", Usage: "only those of the ensemble of this `NAME`"},
					&cli.IntFlag{Name: "last", Value: 20, Usage: "the last `N` runs; 0 for all"}),
				Action: runAuditList,
			},
			{
				Name: "show", Usage: "show one run, the last one by default", ArgsUsage: "[RUN]",
				Description: "RUN is an id from zkctl audit list, or the beginning of one.",
				Flags:       flags(),
				Action:      runAuditShow,
			},
		},
	}
}

func runAuditList(c *cli.Context) error {
	state, err := stateDir(c)
	if err != nil {
		return err
	}
	runs, err := trail.List(state, c.String("ensemble"))
	if err != nil {
		return err
	}
	if n := c.Int("last"); n > 0 && len(runs) > n {
		runs = runs[len(runs)-n:]
	}
	out := &output{stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json")}
	t := plainTable()
	t.AppendHeader(table.Row{"run", "began", "took", "verb", "ensemble", "operator", "changes", "outcome"})
	for _, r := range runs {
		if out.json {
			out.line(struct {
				trail.Begin
				Outcome string     `json:"outcome"`
				End     *trail.End `json:"end,omitempty"`
			}{r.Begin, r.Outcome(), r.End})
			continue
		}
		took, changes := "-", "-"
		if r.End != nil {
			took, changes = short(r.End.Time.Sub(r.Time)), fmt.Sprint(r.End.Changes)
		}
		t.AppendRow(table.Row{r.Run, r.Time.Local().Format(time.DateTime), took, r.Verb, r.Ensemble, r.Operator, changes, r.Outcome()})
	}
	switch {
	case out.json:
	case len(runs) == 0:
		fmt.Fprintf(out.stdout, "no runs in %s\n", state)
	default:
		fmt.Fprintln(out.stdout, rendered(t))
	}
	return nil
}

func runAuditShow(c *cli.Context) error {
	state, err := stateDir(c)
	if err != nil {
		return err
	}
	var r *trail.Run
	if id := c.Args().First(); id != "" {
		if r, err = trail.Find(state, id); err != nil {
			return &usageError{err.Error(), "zkctl audit list lists the runs"}
		}
	} else {
		runs, err := trail.List(state, "")
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			return &usageError{"no runs in " + state, "zkctl audit list lists the runs"}
		}
		r = runs[len(runs)-1]
	}
	w := c.App.Writer
	if c.Bool("json") {
		for _, line := range r.Lines {
			fmt.Fprintf(w, "%s\n", line)
		}
		return nil
	}
	fmt.Fprintf(w, "%s  zkctl %s\n%s by %s, process %d, zkctl %s\nensemble %s, inventory %s (sha256 %.12s)\n", r.Run, strings.Join(r.Args, " "),
		r.Time.Local().Format(time.RFC1123Z), r.Operator, r.PID, r.Version, r.Ensemble, r.Inventory, r.SHA256)
	if len(r.Limit) > 0 {
		fmt.Fprintf(w, "limited to %s\n", strings.Join(r.Limit, ", "))
	}
	for _, line := range r.Lines[1:] {
		var e provision.Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		text := e.Text
		switch e.Kind {
		case provision.StepBegins:
			fmt.Fprintf(w, "%s ==> %s\n", e.Time.Local().Format(time.TimeOnly), e.Step)
			continue
		case provision.Changed, provision.Marked, provision.Warning, provision.Note:
		case provision.StepEnds, provision.HostEnds:
			if e.Error == "" {
				continue
			}
			text = "failed: " + e.Error
		default:
			continue
		}
		fmt.Fprintf(w, "%s     %s\n", e.Time.Local().Format(time.TimeOnly), strings.TrimPrefix(e.Host+": "+text, ": "))
	}
	switch {
	case r.End == nil:
		fmt.Fprintf(w, "%s: there is no end\n", r.Outcome())
	case r.End.Error != "":
		fmt.Fprintf(w, "%s: %s\n", r.Outcome(), r.End.Error)
	default:
		fmt.Fprintf(w, "%s, %s, took %s\n", r.Outcome(), counted(r.End.Changes, "change"), short(r.End.Time.Sub(r.Time)))
	}
	return nil
}
