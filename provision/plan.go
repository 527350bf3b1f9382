package provision

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// Plan is what an operation will do, in order. It is data: it can be printed, and making it changes nothing.
type Plan struct {
	Steps []PlannedStep
}

// PlannedStep is one step on the hosts that it changes, in inventory order. Hosts are worked on in parallel.
type PlannedStep struct {
	Name  string
	Hosts []HostPlan
}

// HostPlan are the changes of one host in one step, in order.
type HostPlan struct {
	Host    inventory.Host
	Changes []hostprep.Change
	// Notes say why nothing is done where one might expect something.
	Notes []string
}

// add appends a host's share of a step, creating the step at first.
func (p *Plan) add(step string, h inventory.Host, changes []hostprep.Change, notes ...string) {
	if len(p.Steps) == 0 || p.Steps[len(p.Steps)-1].Name != step {
		p.Steps = append(p.Steps, PlannedStep{Name: step})
	}
	s := &p.Steps[len(p.Steps)-1]
	s.Hosts = append(s.Hosts, HostPlan{h, changes, notes})
}

// Len is the number of changes.
func (p *Plan) Len() int {
	n := 0
	for _, s := range p.Steps {
		for _, h := range s.Hosts {
			n += len(h.Changes)
		}
	}
	return n
}

// Print writes the plan for a reader: steps, hosts, changes, and for text files what changes in them. What several hosts do
// alike is shown once, with their names. Steps and hosts without changes are left out.
func (p *Plan) Print(w io.Writer) {
	for _, s := range p.Steps {
		hosts := slices.DeleteFunc(slices.Clone(s.Hosts), func(h HostPlan) bool { return len(h.Changes) == 0 })
		if len(hosts) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\n", s.Name)
		for _, l := range planLines(hosts) {
			fmt.Fprintf(w, "  %s: %s\n", strings.Join(l.hosts, ", "), l.text)
			if l.diff != "" {
				fmt.Fprintf(w, "      %s\n", strings.ReplaceAll(strings.TrimRight(l.diff, "\n"), "\n", "\n      "))
			}
			if len(l.alike) > 0 {
				fmt.Fprintf(w, "  %s: the same in their own directories\n", strings.Join(l.alike, ", "))
			}
		}
	}
}

// planLine is a note or a change. Those of the hosts in alike differ from it in their directories only.
type planLine struct {
	hosts, alike []string
	text, diff   string
}

// planLines are the notes and changes of one step, alike ones together.
func planLines(hosts []HostPlan) (lines []*planLine) {
	known := map[string]*planLine{}
	for _, h := range hosts {
		paths := h.Host.Server.Paths
		own := strings.NewReplacer(paths.TxnLog, "TXNLOG", paths.Data, "DATA", paths.Install, "INSTALL", paths.Config, "CONFIG", paths.Log, "LOG")
		add := func(text, diff string) {
			key := own.Replace(text + "\x00" + diff)
			l := known[key]
			switch {
			case l == nil:
				l = &planLine{hosts: []string{h.Host.Name}, text: text, diff: diff}
				known[key] = l
				lines = append(lines, l)
			case l.text == text && l.diff == diff:
				l.hosts = append(l.hosts, h.Host.Name)
			default:
				l.alike = append(l.alike, h.Host.Name)
			}
		}
		for _, n := range h.Notes {
			add(n, "")
		}
		for _, c := range h.Changes {
			add(c.Summary, diff(c))
		}
	}
	return lines
}

// diff shows the change of a text file; "" for anything else.
func diff(c hostprep.Change) string {
	if c.Kind != hostprep.WriteFile || !isText(c.Before) || !isText(c.After) {
		return ""
	}
	from := c.Target
	if c.Before == nil {
		from = "/dev/null"
	}
	before, after := redacted(c.Before), redacted(c.After)
	if !bytes.Equal(c.Before, c.After) && bytes.Equal(before, after) {
		return "(only secrets differ)\n"
	}
	d := udiff.Unified(from, c.Target, string(before), string(after))
	return longWords.ReplaceAllString(d, "$1...$2")
}

// longWords are keys and the like, of which a reader needs the ends only.
var longWords = regexp.MustCompile(`([A-Za-z0-9+/]{24})[A-Za-z0-9+/]{24,}([A-Za-z0-9+/=]{12})`)

func isText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

// hostSteps are what one host has to do in several steps, in order.
type hostSteps struct {
	host    inventory.Host
	steps   []string // of each change
	changes []hostprep.Change
	notes   [][2]string // step and text
}

// byHost turns plans round: what each host has to do. Hosts with nothing to do or to say are left out.
func byHost(plans ...*Plan) []*hostSteps {
	var all []*hostSteps
	for _, p := range plans {
		for _, s := range p.Steps {
			for _, h := range s.Hosts {
				if len(h.Changes) == 0 && len(h.Notes) == 0 {
					continue
				}
				i := slices.IndexFunc(all, func(o *hostSteps) bool { return o.host.Name == h.Host.Name })
				if i < 0 {
					i = len(all)
					all = append(all, &hostSteps{host: h.Host})
				}
				for _, n := range h.Notes {
					all[i].notes = append(all[i].notes, [2]string{s.Name, n})
				}
				for _, c := range h.Changes {
					all[i].steps = append(all[i].steps, s.Name)
					all[i].changes = append(all[i].changes, c)
				}
			}
		}
	}
	return all
}

// apply carries out plans, all hosts at once; a host goes through its steps in order, in as few round trips as they allow.
// With nothing to do, the step is not begun.
func (r *Run) apply(ctx context.Context, name string, plans ...*Plan) error {
	all := byHost(plans...)
	if len(all) == 0 {
		return nil
	}
	hosts := make([]inventory.Host, len(all))
	for i, h := range all {
		hosts[i] = h.host
	}
	return r.step(ctx, name, func(ctx context.Context) error {
		return r.each(ctx, name, hosts, func(ctx context.Context, i int) error {
			for _, n := range all[i].notes {
				r.note(n[0], hosts[i].Name, "%s", n[1])
			}
			return r.changeAll(ctx, all[i].steps, hosts[i], all[i].changes)
		})
	})
}
