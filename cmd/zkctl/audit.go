package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	ensemble := &cli.StringFlag{Name: "ensemble", Usage: "only runs on the ensemble of this `NAME`"}
	return &cli.Command{
		Name: "audit", Usage: "show what zkctl did from this machine: list, show, tail, prune",
		Description: "Every run that may change something leaves a file of JSON lines, flushed at each change, without secrets. On each host, the\nfile history below /var/lib/zkctl/ENSEMBLE tells who was there.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the runs, the newest last",
				Description: "   zkctl audit list --ensemble lab",
				Flags: flags(ensemble,
					&cli.IntFlag{Name: "last", Value: 20, Usage: "the last `N` runs; 0 for all"}),
				Action: runAuditList,
			},
			{
				Name: "show", Usage: "show one run, the last one by default", ArgsUsage: "[RUN]",
				Description: "RUN is an id from zkctl audit list, or the beginning of one.\n\n   zkctl audit show\n   zkctl audit show 20260131T1405 --json",
				Flags:       flags(),
				Action:      runAuditShow,
			},
			{
				Name: "tail", Usage: "show the last lines of all runs, or follow them",
				Description: "   zkctl audit tail -f      # what is done from here now, until interrupted",
				Flags: flags(ensemble, &cli.IntFlag{Name: "last", Value: 20, Usage: "the last `N` lines; 0 for all"},
					&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what is written, until interrupted"}),
				Action: runAuditTail,
			},
			{
				Name: "prune", Usage: "remove the trail of old runs",
				Description: `Runs that go on, and of each ensemble the last one and the one with which zkctl resume would go on, are kept in any case. The
histories on the hosts stay as they are.

   zkctl audit prune --keep 90d --dry-run
   zkctl audit prune --keep-last 100 --yes`,
				Flags: flags(ensemble,
					&cli.StringFlag{Name: "keep", Usage: "keep what began within this `TIME`: 90d, 12h"},
					&cli.IntFlag{Name: "keep-last", Usage: "keep the last `N` runs of each ensemble"},
					&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "list what would be removed, and remove nothing"},
					&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}),
				Action: runAuditPrune,
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
	showRuns(&output{stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json")}, runs, "no runs in "+state)
	return nil
}

// showRuns lists runs, or says that there are none.
func showRuns(out *output, runs []*trail.Run, none string) {
	var rows []map[string]any
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
		rows = append(rows, map[string]any{"run": r.Run, "began": r.Time.Local().Format(time.DateTime), "took": took, "verb": r.Verb,
			"ensemble": r.Ensemble, "operator": r.Operator, "changes": changes, "outcome": r.Outcome()})
	}
	switch {
	case out.json:
	case len(runs) == 0:
		fmt.Fprintln(out.stdout, none)
	default:
		fmt.Fprintln(out.stdout, listed([]string{"run", "began", "took", "verb", "ensemble", "operator", "changes", "outcome"},
			[]string{"began", "took", "operator"}, width(out.stdout), rows)) // a run's name begins with its time
	}
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
		switch text := told(e); {
		case e.Kind == provision.StepBegins:
			fmt.Fprintf(w, "%s %s\n", e.Time.Local().Format(time.TimeOnly), text)
		case text != "":
			fmt.Fprintf(w, "%s     %s\n", e.Time.Local().Format(time.TimeOnly), text)
		}
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

// told is what people are told of an event in a trail, "" for nothing.
func told(e provision.Event) string {
	text := e.Text
	switch e.Kind {
	case provision.StepBegins:
		return "==> " + e.Step
	case provision.Changed, provision.Marked, provision.Warning, provision.Note:
	case provision.StepEnds, provision.HostEnds:
		if e.Error == "" {
			return ""
		}
		text = "failed: " + e.Error
	default:
		return ""
	}
	return strings.TrimPrefix(e.Host+": "+text, ": ")
}

// lookAgain is how often a trail that is followed is looked at.
const lookAgain = 300 * time.Millisecond

func runAuditTail(c *cli.Context) error {
	state, err := stateDir(c)
	if err != nil {
		return err
	}
	watching.Store(c.Bool("follow"))
	f := &trail.Follower{State: state, Ensemble: c.String("ensemble")}
	for first := true; ; first = false {
		lines, err := f.Next()
		if err != nil {
			return err
		}
		var texts []string
		for _, l := range lines {
			if text := tailLine(l); c.Bool("json") {
				texts = append(texts, inRun(l))
			} else if text != "" {
				texts = append(texts, text)
			}
		}
		if n := c.Int("last"); first && n > 0 && len(texts) > n {
			texts = texts[len(texts)-n:]
		}
		for _, text := range texts {
			fmt.Fprintln(c.App.Writer, text)
		}
		if !c.Bool("follow") {
			if first && len(texts) == 0 && !c.Bool("json") {
				fmt.Fprintf(c.App.Writer, "no runs in %s\n", state)
			}
			return nil
		}
		select {
		case <-c.Context.Done():
			return nil // that is how to end it
		case <-time.After(lookAgain):
		}
	}
}

// inRun is a line of a trail for programs, with the run that wrote it.
func inRun(l trail.Line) string {
	data, err := json.Marshal(struct {
		Run      string          `json:"run"`
		Ensemble string          `json:"ensemble"`
		Verb     string          `json:"verb"`
		Line     json.RawMessage `json:"line"`
	}{l.Run.Run, l.Run.Ensemble, l.Run.Verb, l.Text})
	if err != nil {
		panic(err) // a line is one only if it is JSON
	}
	return string(data)
}

// tailLine is a line of a trail for people, "" where it says nothing to them.
func tailLine(l trail.Line) string {
	text := ""
	switch kind := struct{ Kind string }{}; {
	case json.Unmarshal(l.Text, &kind) != nil:
	case kind.Kind == "begin":
		text = fmt.Sprintf("begins: zkctl %s, by %s, run %s", strings.Join(l.Run.Args, " "), l.Run.Operator, l.Run.Run)
	case kind.Kind == "end":
		var e trail.End
		if json.Unmarshal(l.Text, &e) == nil {
			text = "ends: " + (&trail.Run{End: &e}).Outcome() + ", " + counted(e.Changes, "change")
		}
	default:
		var e provision.Event
		if json.Unmarshal(l.Text, &e) == nil {
			text = told(e)
		}
	}
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%s %s: %s: %s", l.Time.Local().Format(time.DateTime), l.Run.Ensemble, l.Run.Verb, text)
}

func runAuditPrune(c *cli.Context) error {
	state, err := stateDir(c)
	if err != nil {
		return err
	}
	var before time.Time
	switch keep, last := c.String("keep"), c.Int("keep-last"); {
	case (keep == "") == !c.IsSet("keep-last"):
		return usage("audit prune needs either --keep TIME or --keep-last N")
	case keep != "":
		age, err := days(keep)
		if err != nil {
			return usage("--keep: %v", err)
		}
		before = time.Now().Add(-age)
	case last < 1:
		return usage("--keep-last must be above 0")
	}
	runs, err := trail.List(state, c.String("ensemble"))
	if err != nil {
		return err
	}
	if name := c.String("ensemble"); name != "" && len(runs) == 0 {
		return noRunsOn(name, state)
	}
	old := trail.Old(runs, before, c.Int("keep-last"))
	out := &output{stdout: c.App.Writer, stderr: c.App.ErrWriter, json: c.Bool("json")}
	dry := c.Bool("dry-run")
	if dry && !out.json && len(old) > 0 {
		showRuns(out, old, "")
	}
	if len(old) > 0 && !dry {
		what := fmt.Sprintf("remove the trail of %s in %s", counted(len(old), "run"), state)
		if !c.Bool("yes") {
			if err := ask(c.Context, out.stderr, "to "+what, what+"?"); err != nil {
				return err
			}
		}
		for _, r := range old {
			if err := r.Remove(); err != nil {
				return err
			}
		}
	}
	if out.json {
		ids := []string{}
		for _, r := range old {
			ids = append(ids, r.Run)
		}
		out.line(struct {
			Kind    string   `json:"kind"`
			DryRun  bool     `json:"dry_run"`
			Removed []string `json:"removed"`
			Kept    int      `json:"kept"`
		}{"prune", dry, ids, len(runs) - len(old)})
		return nil
	}
	verb := "removed"
	if dry {
		verb = "would remove"
	}
	fmt.Fprintf(out.stdout, "%s %d of %s\n", verb, len(old), counted(len(runs), "run"))
	return nil
}

// noRunsOn says that the trail does not have an ensemble, and which was probably meant.
func noRunsOn(name, state string) error {
	all, err := trail.List(state, "")
	if err != nil {
		return err
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Ensemble)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return usage("no runs in %s", state)
	}
	return usage("no runs on an ensemble %q in %s%s", name, state, meant(name, names))
}

// days reads a duration that may also be in days.
func days(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time such as 90d or 12h", text)
	}
	return d, nil
}
