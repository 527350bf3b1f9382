package provision

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// What cannot be put right keeps from what comes next of the same check on the same host, and from nothing else.
func TestFixGoesOnElsewhere(t *testing.T) {
	f := newFleet(t)
	r := f.run("me")
	r.Server = func(inventory.Host, string) (bundle.Program, error) { return bundle.Program{}, nil }
	marks := t.TempDir()
	finding := func(host, check, mark, script string) hostprep.Finding {
		return hostprep.Finding{Host: host, Check: check, Text: mark, Fix: []hostprep.Change{{
			Kind: hostprep.RunScript, Target: mark, Summary: "make " + mark, Root: true, Args: []string{filepath.Join(marks, mark)}, Script: script,
		}}}
	}
	const touch = `: >"$1"`
	findings := []hostprep.Finding{
		finding("a", "kernel", "first", touch),
		finding("a", "kernel", "second", "echo 'no such parameter' >&2; exit 1"),
		finding("a", "kernel", "third", touch),
		{Host: "a", Check: "swap", Text: "no remedy"},
		finding("a", "swap", "fourth", touch),
		finding("b", "kernel", "fifth", touch),
	}
	// What is now is reported beside the error.
	report, err := r.putRight(t.Context(), &CheckReport{Checks: []string{"connect", "os"}, Findings: findings})
	if report == nil || len(report.Hosts) != 3 || len(report.Findings) != 0 {
		t.Fatalf("report %+v, %v", report, err)
	}
	fixed := report.Fixed
	if err == nil || !strings.Contains(err.Error(), "a: make second") || !strings.Contains(err.Error(), "no such parameter") {
		t.Errorf("error %v", err)
	}
	var texts, made []string
	for _, f := range fixed {
		texts = append(texts, f.Text)
	}
	entries, err := os.ReadDir(marks)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		made = append(made, e.Name())
	}
	if want := []string{"first", "fourth", "fifth"}; !slices.Equal(texts, want) {
		t.Errorf("put right: %v, want %v", texts, want)
	}
	if want := []string{"fifth", "first", "fourth"}; !slices.Equal(made, want) {
		t.Errorf("made: %v, want %v", made, want)
	}
}
