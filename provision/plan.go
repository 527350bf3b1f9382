package provision

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
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

// Print writes the plan for a reader: steps, hosts, changes, and for text files what changes in them. What changes in
// the same way on several hosts is shown at the first.
func (p *Plan) Print(w io.Writer) {
	for _, s := range p.Steps {
		fmt.Fprintf(w, "%s\n", s.Name)
		shown := map[string]string{}
		for _, h := range s.Hosts {
			if len(h.Changes) == 0 && len(h.Notes) == 0 {
				fmt.Fprintf(w, "  %s: nothing to do\n", h.Host.Name)
			}
			for _, n := range h.Notes {
				fmt.Fprintf(w, "  %s: %s\n", h.Host.Name, n)
			}
			for _, c := range h.Changes {
				fmt.Fprintf(w, "  %s: %s\n", h.Host.Name, c.Summary)
				d := diff(c)
				if first := shown[d]; d != "" && first != "" {
					fmt.Fprintf(w, "      (the same as on %s)\n", first)
				} else if d != "" {
					shown[d] = h.Host.Name
					fmt.Fprintf(w, "      %s\n", strings.ReplaceAll(strings.TrimRight(d, "\n"), "\n", "\n      "))
				}
			}
		}
	}
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

// idle reports whether a step has nothing to do and nothing to say.
func (s PlannedStep) idle() bool {
	for _, h := range s.Hosts {
		if len(h.Changes) > 0 || len(h.Notes) > 0 {
			return false
		}
	}
	return true
}

// apply carries out a plan: step by step, within a step all hosts at once. Steps with nothing to do are not begun.
func (r *Run) apply(ctx context.Context, p *Plan) error {
	for _, s := range p.Steps {
		if s.idle() {
			continue
		}
		hosts := make([]inventory.Host, len(s.Hosts))
		for i, h := range s.Hosts {
			hosts[i] = h.Host
		}
		err := r.step(ctx, s.Name, func(ctx context.Context) error {
			return r.each(ctx, s.Name, hosts, func(ctx context.Context, i int) error {
				for _, n := range s.Hosts[i].Notes {
					r.note(s.Name, hosts[i].Name, "%s", n)
				}
				for _, c := range s.Hosts[i].Changes {
					if err := r.change(ctx, s.Name, hosts[i], c); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
