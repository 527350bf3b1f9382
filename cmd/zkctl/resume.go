package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/trail"
)

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name:      "resume",
		Usage:     "go on with the last run that was cut off or failed",
		ArgsUsage: "[INVENTORY]",
		Description: `Finds the last run on the ensemble in the audit trail of this machine. If it did not end well, looks at the hosts anew, says
what of it is verified done and what is to do, and calls the same command again: what counts is what the hosts are, not
what the trail says. The --limit is that of the run. On another machine, zkctl apply does the same without the trail.

   zkctl resume --dry-run                 # how far it came
   zkctl resume`,
		Flags:  flagsFor(hostFlags(), dryRunFlag(), []cli.Flag{deadlineFlag()}, serverBinaryFlag()),
		Action: one(runResume),
	}
}

func runResume(op *operation) error {
	c, out, inv := op.Context, op.out, op.inv
	state, err := stateDir(c)
	if err != nil {
		return err
	}
	runs, err := trail.List(state, inv.Name)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(r *trail.Run) bool { return !r.Resumable() })
	if len(runs) == 0 {
		return out.nothingToResume(inv.Name, fmt.Sprintf("no run on %s began here; %s does what is missing", inv.Name, op.commandLine("apply")))
	}
	last := runs[len(runs)-1]
	switch {
	case last.Running:
		return &lockedError{inv.File, fmt.Sprintf("%s (zkctl %s, process %d)", last.Operator, last.Verb, last.PID)}
	case last.End != nil && last.End.ExitCode == exitOK:
		return out.nothingToResume(inv.Name, fmt.Sprintf("nothing to resume: the last run on %s (%s, %s) ended well", inv.Name, last.Run, last.Verb))
	}
	fmt.Fprintf(out.stderr, "zkctl: going on with run %s: zkctl %s (%s)\n", last.Run, strings.Join(last.Args, " "), last.Outcome())
	if last.Verb == "bootstrap" || last.Verb == "apply" {
		if err := tellProgress(op, last); err != nil {
			return err
		}
	}
	if c.Bool("dry-run") {
		return nil
	}
	if err := os.Chdir(last.Dir); err != nil {
		return fmt.Errorf("the run began in another directory: %w", err)
	}
	app := newApp(c.App.Writer, c.App.ErrWriter)
	ordered, err := order(app, last.Args)
	if err != nil {
		return err
	}
	commandArgs = last.Args
	return app.RunContext(c.Context, append([]string{"zkctl"}, ordered...))
}

// nothingToResume says why there is nothing to go on with.
func (o *output) nothingToResume(ensemble, why string) error {
	if o.json {
		o.line(map[string]any{"kind": "resume", "ensemble": ensemble, "nothing": why})
	} else {
		fmt.Fprintln(o.stdout, why)
	}
	return nil
}

// tellProgress compares what a run meant to do with what there is to do now.
func tellProgress(op *operation, last *trail.Run) error {
	return op.look(func(ctx context.Context, run *provision.Run) error {
		run.Limit = last.Limit
		_, doc, err := run.Plan(ctx)
		op.out.clear()
		if err != nil {
			return err
		}
		p := progressOf(last, doc)
		if !op.out.json {
			fmt.Fprintln(op.out.stdout, p)
			return nil
		}
		op.out.line(struct {
			Kind string `json:"kind"`
			Run  string `json:"run"`
			progress
		}{"resume", last.Run, p})
		return nil
	})
}

// progress is how far a run came.
type progress struct {
	Intended int      `json:"intended"`
	Verified int      `json:"verified"`
	ToDo     []string `json:"to_do"`
	// Starts and Restarts are the members that are still to be started and restarted.
	Starts   []string `json:"starts"`
	Restarts []string `json:"restarts"`
	// Undone are changes that were reported as made and are to do again.
	Undone []string `json:"undone"`
}

// String is what people are told.
func (p progress) String() string {
	text := fmt.Sprintf("%d of %s verified done, %d to do", p.Verified, counted(p.Intended, "change"), len(p.ToDo))
	if len(p.Starts) > 0 {
		text += fmt.Sprintf(", %s to start", counted(len(p.Starts), "member"))
	}
	if len(p.Restarts) > 0 {
		text += fmt.Sprintf(", %s to restart", counted(len(p.Restarts), "member"))
	}
	if len(p.Undone) > 0 {
		text += "; done then, but not in force now: " + strings.Join(p.Undone, ", ")
	}
	return text
}

func progressOf(last *trail.Run, now *provision.Document) progress {
	p := progress{ToDo: []string{}, Undone: []string{}, Starts: append([]string{}, now.Starts...), Restarts: []string{}}
	for _, r := range now.Restarts {
		p.Restarts = append(p.Restarts, r.Host)
	}
	toDo := map[string]bool{}
	for _, c := range now.Changes {
		p.ToDo = append(p.ToDo, c.Host+": "+c.Summary)
		toDo[c.Host+": "+c.Summary] = true
	}
	for _, line := range last.Lines {
		var e provision.Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch e.Kind {
		case provision.Intended:
			p.Intended, p.Verified = len(e.Changes), 0
			for _, c := range e.Changes {
				if !toDo[c[0]+": "+c[1]] {
					p.Verified++
				}
			}
		case provision.Changed:
			if what := e.Host + ": " + e.Text; toDo[what] {
				p.Undone = append(p.Undone, what)
			}
		}
	}
	return p
}
