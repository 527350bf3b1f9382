//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	recordings "github.com/zkctl/zkctl/server/store/apache"
	"github.com/zkctl/zkctl/server/toolkit"
	"github.com/zkctl/zkctl/test/ensemble"
)

// outcome is what a program printed and its exit code. What it says on standard error is its own business.
type outcome struct {
	stdout string
	code   int
}

// runTheirs runs a program of Apache ZooKeeper.
func runTheirs(t *testing.T, dir, input, class string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command("java", append([]string{"-cp", "/usr/share/java/zookeeper.jar", "org.apache.zookeeper.server." + class}, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return outcome{string(out), cmd.ProcessState.ExitCode()}
}

// runOurs runs the program that stands for it.
func runOurs(t *testing.T, dir, input, name string, args ...string) outcome {
	t.Helper()
	t.Chdir(dir)
	program, ok := toolkit.Find(name)
	if !ok {
		t.Fatalf("no program %s", name)
	}
	var out, diagnostics bytes.Buffer
	code := program(args, toolkit.IO{In: strings.NewReader(input), Out: &out, Err: &diagnostics})
	return outcome{out.String(), code}
}

// ownOption is the line of the help for what only ours has.
var ownOption = regexp.MustCompile(`(?m)^ -t,--test .*\n`)

var took = regexp.MustCompile(`in [0-9.]+ seconds`)

// sorted brings the nodes, and the sessions, into an order: Java's is that of hash tables.
func sorted(out string) string {
	blocks := strings.Split(out, "----\n")
	for i, b := range blocks {
		if head, rest, ok := strings.Cut(b, "\n"); ok && strings.HasPrefix(head, "Session Details") {
			lines := strings.Split(rest, "\n")
			slices.Sort(lines)
			blocks[i] = head + "\n" + strings.Join(lines, "\n")
		}
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "----\n")
}

func plain(out string) string { return took.ReplaceAllString(out, "in (time)") }

// names is a dump in JSON without what depends on the order and the time.
func names(t *testing.T) func(string) string {
	return func(out string) string {
		if out == "" {
			return ""
		}
		var dump []any
		if err := json.Unmarshal([]byte(out), &dump); err != nil {
			t.Errorf("no JSON: %v", err)
			return out
		}
		var lines []string
		var walk func(path string, v any)
		walk = func(path string, v any) {
			switch v := v.(type) {
			case []any:
				first, _ := v[0].(map[string]any)
				walk(path, first)
				for _, child := range v[1:] {
					walk(path+"/"+first["name"].(string), child)
				}
			case map[string]any:
				delete(v, "ino")
				text, _ := json.Marshal(v)
				lines = append(lines, path+" "+string(text))
			}
		}
		walk("", dump[3])
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
}

func writeAll(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o644))
	}
	return dir
}

func recorded(t *testing.T, name string) map[string][]byte {
	t.Helper()
	files, err := recordings.Files(name)
	must(t, err)
	return files
}

// TestToolkit runs Apache ZooKeeper's programs and ours on the same files: recorded ones, damaged ones, and nonsense.
func TestToolkit(t *testing.T) {
	if err := ensemble.HaveApache(); err != nil {
		t.Skip(err)
	}
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })

	const log, snapshot, comparer, purge = "persistence.TxnLogToolkit", "SnapshotFormatter", "SnapshotComparer", "PurgeTxnLog"
	programs := map[string]string{log: "txn-log-toolkit", snapshot: "snapshot-toolkit", comparer: "snapshot-comparer", purge: "purge-txn-log"}
	compare := func(t *testing.T, dir string, normal func(string) string, input, class string, args ...string) {
		t.Helper()
		want := runTheirs(t, dir, input, class, args...)
		got := runOurs(t, dir, input, programs[class], args...)
		if got.code != want.code {
			t.Errorf("%s %v: exit code %d, want %d", class, args, got.code, want.code)
		}
		got.stdout = ownOption.ReplaceAllString(got.stdout, "")
		if g, w := normal(got.stdout), normal(want.stdout); g != w {
			t.Errorf("%s %v: got\n%.2000s\nwant\n%.2000s", class, args, g, w)
		}
	}

	server1, server2 := writeAll(t, recorded(t, "server1")), writeAll(t, recorded(t, "server2"))
	t.Run("recorded", func(t *testing.T) {
		for _, file := range []string{"log.200000001", "log.300000001"} {
			compare(t, server1, plain, "", log, file)
		}
		for _, file := range []string{"log.100000001", "log.10000003c", "log.200000001"} {
			compare(t, server2, plain, "", log, "-d", file)
		}
		for _, args := range [][]string{{"snapshot.1000001c3"}, {"-d", "snapshot.1000001c3"}, {"snapshot.0"}} {
			compare(t, server1, sorted, "", snapshot, args...)
		}
		compare(t, server1, names(t), "", snapshot, "-json", "snapshot.1000001c3")
		for name, suffix := range map[string]string{"snapshot-gz": ".gz", "snapshot-snappy": ".snappy"} {
			files := recorded(t, name)
			for file := range files {
				if strings.HasSuffix(file, suffix) {
					compare(t, writeAll(t, files), sorted, "", snapshot, filepath.Base(file))
				}
			}
		}
	})
	t.Run("comparer", func(t *testing.T) {
		two := []string{"-l", "snapshot.1000000a4", "-r", "snapshot.300000004", "-b", "10"}
		compare(t, server2, plain, "", comparer, append(two, "-n", "1")...)
		compare(t, server2, plain, "", comparer, append(two, "-n", "1", "-d")...)
		compare(t, server2, plain, "\n1\n/f\n/none\nx\n99\n"+strings.Repeat("\n", 12), comparer, append(two, "-n1", "--interactive")...)
		compare(t, server2, plain, "\n", comparer, append(two, "-n1", "-i")...)
		compare(t, server2, plain, "", comparer, two...)
		compare(t, server2, plain, "", comparer, append(two, "-n", "x")...)
	})
	t.Run("command lines", func(t *testing.T) {
		for class, lines := range map[string][]string{
			log:      {"", "-h", "--help", "-q log", "none", "snapshot.0", "-z", "-c log.200000001"},
			snapshot: {"", "-d", "none", "-d -json snapshot.0", "snapshot.0 -d", "-x snapshot.0"},
			purge:    {"", ". -n 2", ". -n x", "none -n 3", ". . -m 3"},
		} {
			for _, line := range lines {
				compare(t, server1, sorted, "", class, strings.Fields(line)...)
			}
		}
	})
	t.Run("damaged logs", func(t *testing.T) {
		whole := bytes.TrimRight(recorded(t, "server1")["log.300000001"], "\x00")
		second := bytes.Index(whole, []byte("/epoch3-1")) - 32 - 4 - 12
		changed := func(at int, b byte) []byte {
			c := bytes.Clone(whole)
			c[at] = b
			return c
		}
		broken := changed(bytes.Index(whole, []byte("third epoch")), 'T')
		dir := writeAll(t, map[string][]byte{
			"broken": broken, "empty": nil, "header": whole[:9], "only-header": whole[:16], "nothing": changed(0, 'X'),
			"half": whole[:second+20], "no-end": whole[:second-1], "wrong-end": changed(second-1, 'C'),
			"long": changed(second+8, 0x7f), "zeros": append(bytes.Clone(whole), make([]byte, 5000)...),
		})
		for _, file := range []string{"broken", "empty", "header", "only-header", "nothing", "half", "no-end", "wrong-end", "long", "zeros"} {
			compare(t, dir, plain, "", log, file)
		}
		for _, c := range []struct{ input, args string }{
			{"", "-r -y broken"}, {"yes\n", "-r broken"}, {"no\n", "-r broken"}, {"abort\n", "-r broken"}, {"", "-rvy broken"},
			{"", "-c -z 0x300000004 zeros"}, {"", "-c -z 0x300000012 zeros"}, {"", "-c -z 12884901900 zeros"}, {"", "-c -z 7 zeros"},
			{"", "-c -z 0x300000004 broken"}, {"", "-c -z 0x300000004 nothing"},
		} {
			var copies [2][]byte
			for i, run := range []func() outcome{
				func() outcome { return runTheirs(t, dir, c.input, log, strings.Fields(c.args)...) },
				func() outcome { return runOurs(t, dir, c.input, programs[log], strings.Fields(c.args)...) },
			} {
				got := run()
				made, _ := filepath.Glob(filepath.Join(dir, "*.[fc][ih]*"))
				for _, file := range made {
					content, err := os.ReadFile(file)
					must(t, err)
					copies[i] = append(copies[i], bytes.TrimRight(content, "\x00")...)
					must(t, os.Remove(file))
				}
				copies[i] = append(copies[i], got.stdout...)
				copies[i] = append(copies[i], byte('0'+got.code))
			}
			if !bytes.Equal(copies[0], copies[1]) {
				t.Errorf("%s: got\n%q\nwant\n%q", c.args, copies[1], copies[0])
			}
		}
	})
	t.Run("damaged snapshots", func(t *testing.T) {
		whole := recorded(t, "server2")["snapshot.300000004"]
		changed := bytes.Clone(whole)
		changed[bytes.Index(changed, []byte("third epoch"))] ^= 0x20
		dir := writeAll(t, map[string][]byte{
			"snapshot.1": changed, "snapshot.2": whole[:len(whole)-40], "snapshot.3": whole[:len(whole)/2], "snapshot.4": nil,
			"snapshot.5": []byte("nonsense"),
		})
		for _, file := range []string{"snapshot.1", "snapshot.2", "snapshot.3", "snapshot.4", "snapshot.5"} {
			compare(t, dir, sorted, "", snapshot, "-d", file)
		}
	})
	t.Run("purge", func(t *testing.T) {
		var left [2][]string
		for i := range left {
			parent := t.TempDir()
			must(t, os.Rename(writeAll(t, recorded(t, "server3")), filepath.Join(parent, "version-2")))
			if i == 0 {
				runTheirs(t, parent, "", purge, parent, "-n", "4")
			} else {
				runOurs(t, parent, "", programs[purge], parent, "-n", "4")
			}
			entries, err := os.ReadDir(filepath.Join(parent, "version-2"))
			must(t, err)
			for _, e := range entries {
				left[i] = append(left[i], e.Name())
			}
		}
		if !slices.Equal(left[0], left[1]) || len(left[0]) > 20 {
			t.Errorf("left are %v, want %v", left[1], left[0])
		}
	})
}
