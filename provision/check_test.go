package provision

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// A probe goes where programs may be started: not to where hardened hosts allow none.
func TestProbeDirectory(t *testing.T) {
	dir := t.TempDir()
	locked, open := filepath.Join(dir, "locked"), filepath.Join(dir, "open")
	for _, d := range []string{locked, open} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	probe := func(dirs ...string) (string, error) {
		args := append([]string{"-m", "sh", "-c", `mount -t tmpfs -o noexec none "$1" || exit 77; script=$2; shift 2; HOME=$1; exec sh -c "$script" sh "$@" 2>&1`, "sh", locked, probeDirectory}, dirs...)
		out, err := exec.Command("unshare", args...).Output()
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 77) {
			t.Skip("no mount namespaces here")
		}
		return string(out), err
	}
	if out, err := probe(locked, filepath.Join(dir, "missing"), open); err != nil || !strings.HasPrefix(out, open+"/zkctl-probe.") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := probe(locked); err == nil || !strings.Contains(out, "mounted without noexec") {
		t.Errorf("%q, %v", out, err)
	}
	if left, _ := filepath.Glob(filepath.Join(open, "*/*")); left != nil {
		t.Errorf("left: %v", left)
	}
}

// A host that cannot tell what it is asked for is a finding, and no end of all checks.
func TestProbesThatFail(t *testing.T) {
	f := newFleet(t)
	r := f.run("me")
	var members []member
	for _, h := range r.Inventory.Hosts {
		members = append(members, member{Member: templates.Member{Ensemble: r.Inventory, Host: h}})
	}
	found, err := r.measureDisks(t.Context(), members, []string{"/nowhere/zkserver", "/nowhere/zkserver", "/nowhere/zkserver"})
	if err != nil || len(found) != 3 || found[0].Host != "a" || found[0].Severity != hostprep.Error || !strings.Contains(found[0].Text, "cannot be told: ") || found[0].Remedy == "" {
		t.Errorf("%+v, %v", found, err)
	}
	// Also where it is the only check.
	r.Server = func(inventory.Host, string) (bundle.Program, error) {
		return bundle.Program{}, errors.New("no server here")
	}
	report, err := r.Check(t.Context(), []string{"fsync"}, false)
	if err != nil || report.Worst() != hostprep.Error || len(report.Findings) != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, failed := r.network(t.Context(), members, []string{"/nowhere/zkserver", "/nowhere/zkserver", "/nowhere/zkserver"}); len(failed) != 3 || failed[2] == nil {
		t.Errorf("%v", failed)
	}
}

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
