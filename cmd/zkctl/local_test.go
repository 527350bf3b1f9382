package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/listing"
	"github.com/zkctl/zkctl/test/workload"
)

// local is an ensemble on this machine, operated as from a terminal: each call is a process of its own.
type local struct {
	t         *testing.T
	dir       string
	inventory string
	server    string
	clients   []string // addresses of client ports
	secure    []string // and of those for TLS
}

var zkctlProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "zkctl-test")
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	link := filepath.Join(dir, "zkctl") // TestMain goes by the name
	return link, os.Symlink(self, link)
})

func newLocal(t *testing.T) *local { return newLocalOf(t, 3) }

func newLocalOf(t *testing.T, members int) *local {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
	server, err := ensemble.ServerBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ensemble.ClientBinary(); err != nil { // beside the server
		t.Fatal(err)
	}
	l := &local{t: t, dir: t.TempDir(), server: server}
	text := `name: desk
connection: local
server: {paths: {data: "{{ .name }}/data", install: "{{ .name }}/install", config: "{{ .name }}/conf", log: "{{ .name }}/log"}}
system: {service_manager: supervisor, min_free_mib: 1}
zoo_cfg: {tickTime: 1000}
hosts:
`
	for i := range members {
		ports, err := ensemble.FreePorts(4)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("  - {name: m%d, id: %d, server: {ports: {client: %d, peer: %d, election: %d, secure: %d, metrics: 0}}}\n",
			i+1, i+1, ports[0], ports[1], ports[2], ports[3])
		l.secure = append(l.secure, fmt.Sprintf("127.0.0.1:%d", ports[3]))
		l.clients = append(l.clients, fmt.Sprintf("127.0.0.1:%d", ports[0]))
	}
	l.inventory = filepath.Join(l.dir, "inventory.yaml")
	if err := os.WriteFile(l.inventory, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, code := l.ctl("stop", "--yes", "--force"); code != 0 {
			t.Logf("stop at the end: exit code %d\n%s", code, out)
		}
	})
	return l
}

func (l *local) command(args ...string) *exec.Cmd {
	l.t.Helper()
	program, err := zkctlProgram()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "ZKCTL_INVENTORY="+l.inventory, "ZKCTL_STATE_DIR="+filepath.Join(l.dir, "state"))
	return cmd
}

// ctl runs zkctl to its end; output is both streams.
func (l *local) ctl(args ...string) (output string, code int) {
	l.t.Helper()
	cmd := l.command(args...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

// must is ctl for what must succeed.
func (l *local) must(args ...string) string {
	l.t.Helper()
	out, code := l.ctl(args...)
	if code != 0 {
		l.t.Fatalf("zkctl %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// killAt runs zkctl and kills it with SIGKILL when it reports the given boundary of a step, counted from 1; false if it
// was done before.
func (l *local) killAt(boundary int, args ...string) (step string, killed bool) {
	l.t.Helper()
	seen := 0
	killed = l.killWhen(func(e provision.Event) bool {
		if e.Kind != provision.StepBegins && e.Kind != provision.StepEnds {
			return false
		}
		seen++
		step = string(e.Kind) + " " + e.Step
		return seen == boundary
	}, args...)
	return step, killed
}

// killWhen runs zkctl and kills it with SIGKILL when it reports such an event; false if it was done before.
func (l *local) killWhen(now func(provision.Event) bool, args ...string) (killed bool) {
	l.t.Helper()
	cmd := l.command(append(args, "--json")...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e provision.Event
		if killed || json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if killed = now(e); killed {
			cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		l.t.Fatalf("zkctl %s: %v", strings.Join(args, " "), err)
	}
	return killed
}

// result is all that is on the members' disks, but for what servers write and what differs from ensemble to ensemble.
func (l *local) result() string {
	l.t.Helper()
	var b strings.Builder
	for _, m := range []string{"m1", "m2", "m3"} {
		err := filepath.WalkDir(filepath.Join(l.dir, m), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(path, l.dir)
			for _, skip := range []string{"/version-2", ".pid", "/log/", "/.zkctl/lock", "/.zkctl/history"} {
				if strings.Contains(name, skip) {
					return nil
				}
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %v", name, info.Mode())
			switch {
			case info.Mode().IsRegular():
				if info.Size() > 1<<16 {
					fmt.Fprintf(&b, " %d bytes", info.Size()) // a program, whose checksum is in its path
					break
				}
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				data = bytes.ReplaceAll(data, []byte(l.dir), []byte("DIR"))
				data = regexp.MustCompile(`ensemble\.id=.*|127\.0\.0\.1:\d+(:\d+)?|clientPort=.*`).ReplaceAll(data, []byte("X"))
				fmt.Fprintf(&b, " %q", data)
			case info.Mode()&fs.ModeSymlink != 0:
				target, err := os.Readlink(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(&b, " -> %s", target)
			}
			b.WriteByte('\n')
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return b.String()
}

// A bootstrap that is killed at any boundary of a step is finished by resume, which says how far it came; the result is
// that of one that was not, and the audit trail has both runs.
func TestKilledAtEachStepBoundary(t *testing.T) {
	whole := newLocal(t)
	whole.must("bootstrap", "--server-binary", whole.server)
	want := whole.result()
	kills := 0
	for boundary := 2; ; boundary++ {
		l := newLocal(t)
		at, killed := l.killAt(boundary, "bootstrap", "--server-binary", l.server)
		if !killed {
			break
		}
		kills++
		t.Logf("killed at %s", at)
		out := l.must("resume", "--server-binary", l.server)
		if !strings.Contains(out, "verified done, ") || !strings.Contains(out, "healthy: all 3 members serve") {
			t.Errorf("resume after %s says\n%s", at, out)
		}
		if d := listing.Differences(want, l.result()); d != "" {
			t.Errorf("not the result of a run that was not killed, after %s:\n%s", at, d)
		}
		var runs []string
		for line := range strings.Lines(l.must("audit", "list", "--json")) {
			var r struct{ Verb, Outcome string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			runs = append(runs, r.Verb+" "+r.Outcome)
		}
		if got := strings.Join(runs, ", "); got != "bootstrap cut off, bootstrap ok" {
			t.Errorf("after %s the audit trail has %s", at, got)
		}
		if out := l.must("resume", "--server-binary", l.server); !strings.Contains(out, "nothing to resume") {
			t.Errorf("a second resume says\n%s", out)
		}
		l.must("stop", "--yes")
	}
	if kills < 2 {
		t.Errorf("%d runs were killed", kills)
	}
}

// Who comes second, with an inventory of his own, is told who is at work, and exits with 6; so is he on the same inventory.
func TestSecondOperator(t *testing.T) {
	l := newLocal(t)
	first := l.command("apply", "--server-binary", l.server, "--json")
	stdout, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Process.Kill() })
	asked := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if !asked && strings.Contains(lines.Text(), `"kind":"change"`) {
			asked = true
			if err := first.Process.Signal(syscall.SIGSTOP); err != nil { // it is at work for as long as the others ask
				t.Fatal(err)
			}
			text, err := os.ReadFile(l.inventory)
			if err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(l.dir, "theirs.yaml")
			if err := os.WriteFile(other, text, 0o644); err != nil {
				t.Fatal(err)
			}
			holder := fmt.Sprintf("(zkctl apply, process %d", first.Process.Pid)
			for _, inventory := range []string{other, l.inventory} {
				out, code := l.ctl("apply", inventory, "--server-binary", l.server)
				if code != exitLocked || !strings.Contains(out, holder) {
					t.Errorf("the second operator, with %s: exit code %d\n%s", filepath.Base(inventory), code, out)
				}
			}
			if out, code := l.ctl("lock", "show"); code != 0 || !strings.Contains(out, "held") || !strings.Contains(out, holder) {
				t.Errorf("lock show: exit code %d\n%s", code, out)
			}
			if err := first.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := first.Wait(); err != nil || !asked {
		t.Errorf("the first operator: %v", err)
	}
	if out := l.must("lock", "show"); !strings.Contains(out, "free") {
		t.Errorf("lock show afterwards:\n%s", out)
	}
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("afterwards:\n%s", out)
	}
	l.must("status", "--wait-for", "all", "--timeout", "30s")
	if out := l.must("logs", "--lines", "2", "--limit", "m1,m3"); strings.Count(out, "\nm1: ") != 2 || strings.Count(out, "\nm3: ") != 2 || strings.Contains(out, "m2: ") {
		t.Errorf("logs:\n%s", out)
	}
}

// A reset leaves nothing of the ensemble; with --keep-data a later bootstrap finds its data again.
func TestReset(t *testing.T) {
	l := newLocal(t)
	l.must("bootstrap", "--server-binary", l.server)
	stamp, err := os.ReadFile(filepath.Join(l.dir, "m1/data/zkctl.stamp"))
	if err != nil {
		t.Fatal(err)
	}
	if out, code := l.ctl("reset"); code != exitUsage || !strings.Contains(out, "--yes-i-mean desk") {
		t.Errorf("without a word: exit code %d\n%s", code, out)
	}
	if out, code := l.ctl("reset", "--yes-i-mean", "bench"); code != exitUsage {
		t.Errorf("with another name: exit code %d\n%s", code, out)
	}
	if out := l.must("reset", "--dry-run"); !strings.Contains(out, "m3: remove server, configuration, service and data") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("dry run:\n%s", out)
	}
	l.must("reset", "--keep-data", "--yes-i-mean", "desk")
	if _, err := os.Stat(filepath.Join(l.dir, "m1/conf")); !os.IsNotExist(err) {
		t.Errorf("the configuration is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "m1/data/version-2")); err != nil {
		t.Errorf("the data is gone: %v", err)
	}
	if out := l.must("bootstrap", "--server-binary", l.server); !strings.Contains(out, "healthy: all 3") {
		t.Errorf("bootstrap after --keep-data:\n%s", out)
	}
	if now, err := os.ReadFile(filepath.Join(l.dir, "m1/data/zkctl.stamp")); err != nil || !bytes.Equal(now, stamp) {
		t.Errorf("the stamp changed: %q, %v", now, err)
	}
	l.must("reset", "--yes-i-mean", "desk")
	l.nothingLeft()
	for _, args := range [][]string{{"--dry-run"}, {"--yes-i-mean", "desk"}, {"--yes-i-mean", "desk", "--keep-data"}} {
		if out := l.must(append([]string{"reset"}, args...)...); !strings.Contains(out, "nothing to do: nothing of desk is left on its hosts") {
			t.Errorf("reset %v with nothing left:\n%s", args, out)
		}
	}
	if out := l.must("audit", "show", l.run("reset")); !strings.Contains(out, "zkctl reset --yes-i-mean desk") || !strings.Contains(out, "m2: remove server") {
		t.Errorf("audit show:\n%s", out)
	}
}

// A member can be taken off an ensemble that goes on, and comes back empty, as long as those that stay are seen to be a quorum.
func TestResetOfAMember(t *testing.T) {
	l := newLocal(t)
	l.must("bootstrap", "--server-binary", l.server)
	load, err := workload.Start("/load", workload.Options{Writers: 3, Registers: 1, Pause: 5 * time.Millisecond, Keep: 50}, l.clients...)
	if err != nil {
		t.Fatal(err)
	}
	reset := func(args ...string) (string, int) {
		return l.ctl(append([]string{"reset", "--yes-i-mean", "desk"}, args...)...)
	}
	there := func(member string) (files []string) {
		filepath.WalkDir(filepath.Join(l.dir, member), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return nil
		})
		return files
	}
	if out, code := reset("--limit", "m2,m3"); code != exitRefused || !strings.Contains(out, "3 of 3 voters serve; without m2, m3 it would be 1, and 2 are needed") {
		t.Errorf("two of three: exit code %d\n%s", code, out)
	}
	if out, code := l.ctl("reset", "--limit", "m1"); code != exitUsage || !strings.Contains(out, "reset removes m1 of the ensemble desk: there is no terminal to ask on") {
		t.Errorf("without a word: exit code %d\n%s", code, out)
	}
	if out, code := reset("--force"); code != exitUsage || !strings.Contains(out, "--force goes with --limit") {
		t.Errorf("all with --force: exit code %d\n%s", code, out)
	}
	first := l.leader()
	if out := l.must("reset", "--dry-run", "--limit", "leader"); !strings.Contains(out, first+": stop the server") || strings.Count(out, "remove server") != 1 {
		t.Errorf("dry run:\n%s", out)
	}
	out, code := reset("--limit", "leader")
	if code != exitOK || !strings.Contains(out, "removed from desk: "+first) || !strings.Contains(out, "by the others: take it out of ") || there(first) != nil {
		t.Errorf("the leader: exit code %d\n%s\nleft: %q", code, out, there(first))
	}
	status, _ := l.ctl("status", "--json")
	heir := regexp.MustCompile(`"leader":"(m[123])"`).FindStringSubmatch(status)
	if heir == nil {
		t.Fatalf("nobody leads after the reset:\n%s", status)
	}
	second := heir[1]
	if out, code := reset("--limit", second); code != exitRefused || !strings.Contains(out, "2 of 3 voters serve; without "+second+" it would be 1") || len(there(second)) == 0 {
		t.Errorf("one more: exit code %d\n%s", code, out)
	}
	if out, code := reset("--limit", first); code != exitOK || !strings.Contains(out, "nothing to do: nothing of desk is left on "+first) {
		t.Errorf("again: exit code %d\n%s", code, out)
	}
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "healthy: all 3") {
		t.Errorf("apply as it is:\n%s", out)
	}
	l.keptAll(load)
	// What a stopped ensemble has cannot be told.
	l.must("stop", "--yes")
	if out, code := reset("--limit", "m1"); code != exitRefused || !strings.Contains(out, "0 of 3 voters serve") || len(there("m1")) == 0 {
		t.Errorf("of a stopped one: exit code %d\n%s", code, out)
	}
	if out, code := reset("--limit", "m1", "--force"); code != exitOK || there("m1") != nil {
		t.Errorf("by force: exit code %d\n%s", code, out)
	}
	if out, code := reset("--limit", "m*"); code != exitOK || !strings.Contains(out, "desk is removed") || there("m2") != nil || there("m3") != nil {
		t.Errorf("all: exit code %d\n%s", code, out)
	}
}

// nothingLeft demands that no file of the members is left.
func (l *local) nothingLeft() {
	l.t.Helper()
	for _, m := range []string{"m1", "m2", "m3"} {
		if err := filepath.WalkDir(filepath.Join(l.dir, m), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				l.t.Errorf("left: %s", path)
			}
			return nil
		}); err != nil {
			l.t.Error(err)
		}
	}
}

// A reset that is killed at any boundary of a step is finished by resume, or by the same command.
func TestKilledReset(t *testing.T) {
	l := newLocal(t)
	kills := 0
	for boundary := 2; ; boundary++ {
		l.must("bootstrap", "--server-binary", l.server)
		at, killed := l.killAt(boundary, "reset", "--yes-i-mean", "desk")
		if !killed {
			break
		}
		kills++
		t.Logf("killed at %s", at)
		again := []string{"reset", "--yes-i-mean", "desk"}
		if boundary%2 == 0 {
			again = []string{"resume"}
		}
		if out, code := l.ctl(again...); code != 0 {
			t.Fatalf("%s after %s: exit code %d\n%s", again[0], at, code, out)
		}
		l.nothingLeft()
	}
	if kills < 4 {
		t.Errorf("%d runs were killed", kills)
	}
}

// A rolling restart of five members under load loses nothing that was acknowledged. The leader is last; so is the one that
// comes to lead while it goes on.
func TestRollingRestartOfFive(t *testing.T) {
	l := newLocalOf(t, 5)
	l.must("bootstrap", "--server-binary", l.server)
	load, err := workload.Start("/load", workload.Options{Writers: 3, Registers: 1, Pause: 5 * time.Millisecond, Keep: 50}, l.clients...)
	if err != nil {
		t.Fatal(err)
	}
	first := l.leader()
	out := l.must("rolling-restart", "--json")
	order, elections := restarted(t, out)
	if len(order) != 5 || order[4] != first || elections != 1 {
		t.Errorf("led by %s: restarted %v, %d elections", first, order, elections)
	}
	// Now the leader's server is killed after the first restart, so that another one leads.
	before := l.leader()
	cmd := l.command("rolling-restart", "--json")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	killed := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if !killed && strings.Contains(lines.Text(), `"take the mark of the rolling restart away"`) {
			killed = true
			pid, err := os.ReadFile(filepath.Join(l.dir, before, "data/zookeeper_server.pid"))
			if err != nil {
				t.Fatal(err)
			}
			if err := exec.Command("kill", "-9", strings.TrimSpace(string(pid))).Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	order, _ = restarted(t, text.String())
	if len(order) != 5 || order[4] == before {
		t.Errorf("%s led at the beginning and was killed; restarted %v", before, order)
	}
	l.keptAll(load)
}

// keptAll ends a workload, and returns the tree, in which all that was acknowledged must be.
func (l *local) keptAll(load *workload.Load) ensemble.Tree {
	l.t.Helper()
	l.t.Log(load.Stop())
	tree, err := ensemble.Dump(l.clients[0])
	if err != nil {
		l.t.Fatal(err)
	}
	for _, lost := range load.Check(tree) {
		l.t.Error(lost)
	}
	return tree
}

// run is the id of the last run of a verb that changed something.
func (l *local) run(verb string) (id string) {
	l.t.Helper()
	for line := range strings.Lines(l.must("audit", "list", "--json")) {
		var r struct {
			Run, Verb string
			End       struct{ Changes int }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			l.t.Fatal(err)
		}
		if r.Verb == verb && r.End.Changes > 0 {
			id = r.Run
		}
	}
	return id
}

// leader is the name of the member that leads.
func (l *local) leader() string {
	l.t.Helper()
	var s struct{ Leader string }
	if err := json.Unmarshal([]byte(l.must("status", "--json")), &s); err != nil || s.Leader == "" {
		l.t.Fatalf("no leader: %v", err)
	}
	return s.Leader
}

// restarted reads the result of a rolling restart from its lines of JSON.
func restarted(t *testing.T, lines string) (order []string, elections int) {
	t.Helper()
	var result struct {
		Order     []string
		Elections int
	}
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, `{"kind":"status"`) {
			if err := json.Unmarshal([]byte(line), &result); err != nil {
				t.Fatal(err)
			}
		}
	}
	return result.Order, result.Elections
}
