//go:build suites

package suites

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	against = flag.String("against", "", "run the suites with zkserver or apache only, and compare nothing")
	tests   = flag.String("tests", "", "run only these tests of a suite, with commas between their names, and compare nothing")
)

// suite is the integration suite of one client.
type suite struct {
	// run runs the tests named, all without names, and returns what came of them.
	run func(b *box, names ...string) Results
	// reasons are why tests fail with zkserver that pass with Apache ZooKeeper.
	reasons map[string]string
}

// compare runs a suite with both servers.
func compare(t *testing.T, s suite) {
	results := make(map[ensemble.Kind]Results)
	for _, kind := range []ensemble.Kind{ensemble.Apache, ensemble.Zkserver} {
		if *against != "" && *against != kind.String() {
			continue
		}
		b := newBox(t, kind)
		if *tests != "" {
			t.Logf("%v: %v", kind, s.run(b, strings.Split(*tests, ",")...))
			continue
		}
		r := s.run(b)
		if failed := r.Names(Failed); len(failed) > 0 {
			t.Logf("%v: once more, alone: %q", kind, failed)
			for name, status := range s.run(b, failed...) {
				if status == Passed {
					r[name] = Again
				}
			}
		}
		t.Logf("%v: %v", kind, r)
		for _, status := range []Status{Failed, Again, Skipped} {
			for _, name := range r.Names(status) {
				t.Logf("%v: %s %s", kind, name, status)
			}
		}
		results[kind] = r
	}
	if len(results) < 2 {
		return
	}
	if results[ensemble.Apache].Count(Passed) == 0 {
		t.Error("no test passes with Apache ZooKeeper")
	}
	for _, wrong := range Compare(results[ensemble.Zkserver], results[ensemble.Apache], s.reasons) {
		t.Error(wrong)
	}
}

// need skips the test where a program of another project is not installed. In CI (environment variable CI) that is a
// failure: there it has to be installed.
func need(t *testing.T, file, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(file); err == nil {
		return
	}
	if _, err := os.Stat(file); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: Debian package %s", file, debianPackage)
	}
	t.Skipf("%s is missing: Debian package %s", file, debianPackage)
}

// root is the top directory of the source tree.
func root(t *testing.T) string {
	t.Helper()
	dir, err := ensemble.Root()
	must(t, err)
	return dir
}

// cache is a directory for what is obtained and built once; git ignores it.
func cache(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(root(t), ".cache", "suites", name)
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// once makes what a directory of the cache holds, unless an earlier run has.
func once(t *testing.T, dir string, make func()) {
	t.Helper()
	done := filepath.Join(dir, "made")
	if _, err := os.Stat(done); err == nil {
		return
	}
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o755))
	make()
	must(t, os.WriteFile(done, nil, 0o644))
}

// do runs a command to make something, and fails the test with its output if it fails.
func do(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v in %s: %v\n%s", cmd, dir, err, out[max(0, len(out)-4000):])
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
