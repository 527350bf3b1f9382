package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
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

	working []string // hosts at work, with the step
	began   time.Time
}

func newOutput(c *cli.Context) (*output, error) {
	form := c.String("output")
	if form != "table" && form != "json" {
		return nil, usage("--output: %q is neither table nor json", form)
	}
	o := &output{
		stdout: c.App.Writer, stderr: c.App.ErrWriter,
		json: form == "json" || c.Bool("json"), verbose: c.Bool("verbose"), began: time.Now(),
	}
	o.live = isTerminal(o.stderr) && !o.json
	o.color = o.live && !c.Bool("no-color")
	o.resultColor = isTerminal(o.stdout) && !c.Bool("no-color")
	return o, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// event shows one event. Calls do not overlap.
func (o *output) event(e provision.Event) {
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
		o.working = append(o.working, e.Host+" ("+e.Step+")")
	case provision.HostEnds:
		if i := slices.Index(o.working, e.Host+" ("+e.Step+")"); i >= 0 {
			o.working = slices.Delete(o.working, i, i+1)
		}
		switch {
		case e.Error != "":
			o.print("    %s %s", e.Host, o.paint(text.FgRed, "failed"))
		case o.verbose:
			o.print("    %s: done in %s", e.Host, short(e.Elapsed))
		}
	case provision.Changed:
		o.print("    %s: %s", e.Host, e.Text)
	case provision.Note:
		o.print("    %s", strings.TrimPrefix(e.Host+": "+e.Text, ": "))
	case provision.Warning:
		o.print("%s %s", o.paint(text.FgYellow, "warning:"), strings.TrimPrefix(e.Host+": "+e.Text, ": "))
	}
	o.status()
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
		fmt.Fprint(o.stderr, "\r\033[K")
	}
}

func (o *output) status() {
	if o.live && len(o.working) > 0 {
		o.clear()
		names := strings.Join(o.working, ", ")
		if len(names) > 65 {
			names = names[:65] + "..."
		}
		fmt.Fprintf(o.stderr, "    at work: %s", names)
	}
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
	o.print("took %s: %s", short(time.Since(o.began)), strings.Join(parts, ", "))
}

// memberStatus is one member in JSON.
type memberStatus struct {
	Host        string  `json:"host"`
	Address     string  `json:"address"`
	ID          int     `json:"id"`
	Role        string  `json:"role"`
	State       string  `json:"state"`
	Reason      string  `json:"reason,omitempty"`
	Version     string  `json:"version,omitempty"`
	Zxid        string  `json:"zxid,omitempty"`
	Lag         *uint64 `json:"lag,omitempty"`
	Connections int     `json:"connections"`
	UptimeMs    int64   `json:"uptime_ms"`
	LatencyMs   float64 `json:"latency_ms"`
}

// ensembleStatus is an ensemble in JSON.
type ensembleStatus struct {
	Kind         string         `json:"kind"`
	Ensemble     string         `json:"ensemble"`
	Health       string         `json:"health"`
	Text         string         `json:"text"`
	Leader       string         `json:"leader,omitempty"`
	Voters       int            `json:"voters"`
	Serving      int            `json:"serving_voters"`
	Majority     int            `json:"majority"`
	FailuresLeft int            `json:"failures_left"`
	Connect      string         `json:"connect"`
	Members      []memberStatus `json:"members"`
}

func statusOf(name, connect string, seen []provision.Observation) ensembleStatus {
	v := provision.Judge(seen)
	s := ensembleStatus{
		Kind: "status", Ensemble: name, Health: string(v.Health), Text: v.Text, Leader: v.Leader, Voters: v.Voters, Serving: v.Serving,
		Majority: v.Majority, FailuresLeft: v.FailuresLeft, Connect: connect,
	}
	for _, o := range seen {
		m := memberStatus{
			Host: o.Host.Name, Address: o.Host.ClientAddress(), ID: o.Host.ID, Role: string(o.Host.Role), State: string(o.State),
			Reason: o.Reason, Version: o.Version, Connections: o.Connections, UptimeMs: o.Uptime.Milliseconds(), LatencyMs: o.LatencyMillis,
		}
		if o.Serving() {
			m.Zxid = fmt.Sprintf("0x%x", o.Zxid)
		}
		if lag, ok := provision.Lag(seen, o); ok {
			m.Lag = &lag
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// table shows an ensemble to people.
func (o *output) table(seen []provision.Observation) {
	t := table.NewWriter()
	t.SetOutputMirror(o.stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.Options{SeparateColumns: true, SeparateHeader: true}
	t.Style().Box.MiddleVertical = " "
	t.Style().Box.MiddleSeparator = "─"
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"host", "address", "id", "role", "state", "version", "zxid", "lag", "sessions", "uptime", "latency"})
	v := provision.Judge(seen)
	for _, m := range seen {
		state := string(m.State)
		row := table.Row{m.Host.Name, m.Host.ClientAddress(), m.Host.ID, m.Host.Role}
		if !m.Serving() {
			t.AppendRow(append(row, o.stateColor(m, state)+": "+m.Reason))
			continue
		}
		if !m.Synced() {
			state += " (" + m.PeerState + ")"
		}
		lag := "-"
		if n, ok := provision.Lag(seen, m); ok {
			lag = fmt.Sprint(n)
		}
		t.AppendRow(append(row, o.stateColor(m, state), m.Version, fmt.Sprintf("0x%x", m.Zxid), lag, m.Connections,
			m.Uptime.Round(time.Second), fmt.Sprintf("%.2f ms", m.LatencyMillis)))
	}
	t.Render()
	line := v.Text
	if o.resultColor {
		line = text.Colors{map[provision.Health]text.Color{
			provision.Healthy: text.FgGreen, provision.Degraded: text.FgYellow, provision.NoQuorum: text.FgRed,
		}[v.Health]}.Sprint(line)
	}
	fmt.Fprintln(o.stdout, line)
}

func (o *output) stateColor(m provision.Observation, s string) string {
	switch {
	case !o.resultColor:
		return s
	case m.State == provision.Leader:
		return text.Colors{text.FgGreen, text.Bold}.Sprint(s)
	case m.Synced():
		return text.Colors{text.FgGreen}.Sprint(s)
	}
	return text.Colors{text.FgRed}.Sprint(s)
}
