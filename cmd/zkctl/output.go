package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/zkctl/zkctl/provision"
)

// output shows what happens: live on a terminal, in plain lines elsewhere, as JSON lines where asked for.
type output struct {
	stdout, stderr io.Writer
	json, verbose  bool
	// live says that stderr is a terminal, where one line shows what is under way; color that it may be coloured.
	live, color bool
	// resultColor is color for stdout.
	resultColor bool

	// redact takes secrets out of a text.
	redact func(string) string

	// asking says that somebody is asked for something, so that the live line stays away.
	asking atomic.Bool

	working []work
	began   time.Time
}

func newOutput(c *cli.Context) (*output, error) {
	form := c.String("output")
	if form != "table" && form != "json" {
		return nil, usage("--output: %q is neither table nor json", form)
	}
	if c.IsSet("parallel") && c.Int("parallel") < 1 {
		return nil, usage("--parallel must be above 0, not %d", c.Int("parallel"))
	}
	for _, name := range []string{"timeout", "deadline", "wait-timeout", "interval", "connect-timeout", "wait-ssh"} {
		if d := c.Duration(name); c.IsSet(name) && d <= 0 {
			return nil, usage("--%s must be above 0, not %v", name, d)
		}
	}
	o := &output{
		stdout: c.App.Writer, stderr: c.App.ErrWriter,
		json: form == "json" || c.Bool("json"), verbose: c.Bool("verbose"), began: time.Now(),
	}
	color := !c.Bool("no-color") && os.Getenv("NO_COLOR") == ""
	o.live = isTerminal(o.stderr) && !o.json
	o.color = o.live && color
	o.resultColor = isTerminal(o.stdout) && color
	return o, nil
}

// writable says now what would be in the way of writing a file at the end; flag names it. "" is no file.
func writable(flag, file string) error {
	if file == "" {
		return nil
	}
	err := error(nil)
	if _, statErr := os.Stat(file); statErr == nil {
		var f *os.File
		if f, err = os.OpenFile(file, os.O_WRONLY, 0); err == nil {
			f.Close()
		}
	} else {
		var f *os.File
		if f, err = os.CreateTemp(filepath.Dir(file), ".zkctl-"); err == nil {
			f.Close()
			os.Remove(f.Name())
		}
	}
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err // of a path that nobody has named
	}
	if err != nil {
		return usage("%s %s: %v", flag, file, err)
	}
	return nil
}

// results is standard output, which remembers that something could not be written: a result that nobody gets is none.
type results struct {
	file *os.File
	err  error
}

func (r *results) Write(text []byte) (int, error) {
	n, err := r.file.Write(text)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// Fd is the file's, of which isTerminal and width ask.
func (r *results) Fd() uintptr { return r.file.Fd() }

// descriptor is what files have.
type descriptor interface{ Fd() uintptr }

func isTerminal(w io.Writer) bool {
	f, ok := w.(descriptor)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// event shows one event. Calls do not overlap.
func (o *output) event(e provision.Event) {
	if e.Kind == provision.Intended {
		return // for the audit trail
	}
	if o.json {
		o.line(e)
		return
	}
	switch e.Kind {
	case provision.StepBegins:
		o.print("%s %s", o.paint(text.FgCyan, "==>"), e.Step)
	case provision.StepEnds:
		o.clear()
		if e.Error == "" && o.verbose {
			fmt.Fprintf(o.stderr, "    %s: %s\n", e.Step, short(e.Elapsed))
		}
	case provision.HostBegins:
		o.working = append(o.working, work{e.Step, e.Host})
	case provision.HostEnds:
		if i := slices.Index(o.working, work{e.Step, e.Host}); i >= 0 {
			o.working = slices.Delete(o.working, i, i+1)
		}
		switch {
		case e.Error != "":
			o.print("    %s %s", e.Host, o.paint(text.FgRed, "failed"))
		case o.verbose:
			o.print("    %s: done in %s", e.Host, short(e.Elapsed))
		}
	case provision.Changed: // without a host: on this machine
		o.print("    %s", strings.TrimPrefix(e.Host+": "+e.Text, ": "))
	case provision.Marked:
		if o.verbose {
			o.print("    %s: %s", e.Host, e.Text)
		}
	case provision.Note:
		o.print("    %s", strings.TrimPrefix(e.Host+": "+e.Text, ": "))
	case provision.Warning:
		o.print("%s %s", o.paint(text.FgYellow, "warning:"), strings.TrimPrefix(e.Host+": "+e.Text, ": "))
	}
	o.status()
}

// heading says which of several ensembles comes next: where the result goes, and also where progress goes.
func (o *output) heading(ensemble string, more bool) {
	if !o.json {
		if more {
			fmt.Fprintln(o.stdout)
		}
		fmt.Fprintf(o.stdout, "ensemble %s\n", ensemble)
	}
	if o.json || !isTerminal(o.stdout) {
		fmt.Fprintf(o.stderr, "zkctl: ensemble %s\n", ensemble)
	}
}

// line writes a value as one line of JSON to stdout.
func (o *output) line(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		fmt.Fprintf(o.stderr, "zkctl: %v\n", err)
		return
	}
	fmt.Fprintf(o.stdout, "%s\n", data)
}

func (o *output) print(format string, args ...any) {
	o.clear()
	fmt.Fprintf(o.stderr, format+"\n", args...)
}

// clear takes the live line away, status puts it back.
func (o *output) clear() {
	if o.live {
		fmt.Fprint(o.stderr, clearLine)
	}
}

const clearLine = "\r\033[K"

func (o *output) status() {
	if o.live && len(o.working) > 0 && !o.asking.Load() {
		o.clear()
		fmt.Fprint(o.stderr, atWork(o.working, width(o.stderr)))
	}
}

// work is a host at work in a step.
type work struct{ step, host string }

// atWork is the live line: the hosts of each step, in a line that does not wrap.
func atWork(working []work, width int) string {
	var steps []string
	hosts := map[string][]string{}
	for _, w := range working {
		if hosts[w.step] == nil {
			steps = append(steps, w.step)
		}
		hosts[w.step] = append(hosts[w.step], w.host)
	}
	for i, s := range steps {
		steps[i] = s + ": " + strings.Join(hosts[s], ", ")
	}
	line := "    ... " + strings.Join(steps, "; ")
	if width > 0 && text.StringWidth(line) >= width {
		line = text.Trim(line, max(0, width-4)) + "..."
	}
	return line
}

// width is that of the terminal, 0 if w is none.
func width(w io.Writer) int {
	if f, ok := w.(descriptor); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

func (o *output) paint(c text.Color, s string) string {
	if o.color {
		return text.Colors{c}.Sprint(s)
	}
	return s
}

// short is a duration for people.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// times shows how long the steps took.
func (o *output) times(steps []provision.StepTime) {
	if o.json {
		return
	}
	var parts []string
	for _, s := range steps {
		if o.verbose || s.Elapsed >= 50*time.Millisecond {
			parts = append(parts, s.Step+" "+short(s.Elapsed))
		}
	}
	line := "took " + short(time.Since(o.began))
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	o.print("%s", line)
}

// trips shows how often each host was asked, where that is wanted.
func (o *output) trips(trips []provision.Trips) {
	if !o.verbose || o.json || len(trips) == 0 {
		return
	}
	parts := make([]string, len(trips))
	for i, t := range trips {
		parts[i] = fmt.Sprintf("%s %d", t.Host, t.Trips)
	}
	o.print("round trips: %s", strings.Join(parts, ", "))
}

// counted is a number with its noun: 1 change, 2 changes.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
