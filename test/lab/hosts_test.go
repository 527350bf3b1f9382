//go:build lab

package lab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// labNumber keeps these hosts apart from those of a person's `make lab-up`, which is number 0. ZKCTL_TEST_LAB is another one,
// where two of these tests are to run at once.
var labNumber = cmp.Or(os.Getenv("ZKCTL_TEST_LAB"), "9")

// hosts are the test hosts in the order of their ids.
type hosts struct {
	t         *testing.T
	names     []string
	root      string // of the source tree
	zkctl     string
	inventory string
	labEnv    []string // for lab.sh
}

// bare makes three fresh hosts, with variables for lab.sh if any are given. The test is skipped where hosts cannot run,
// and takes them down at its end.
func bare(t *testing.T, labEnv ...string) *hosts {
	t.Helper()
	return bareOf(t, 3, labEnv...)
}

// bareOf is bare with another number of hosts.
func bareOf(t *testing.T, count int, labEnv ...string) *hosts {
	t.Helper()
	root, err := ensemble.Root()
	must(t, err)
	zkctl, err := ensemble.CtlBinary()
	must(t, err)
	h := &hosts{t: t, names: []string{"master"}, root: root, zkctl: zkctl, labEnv: append(labEnv, "ZKCTL_LAB="+labNumber)}
	for i := 1; i < count; i++ {
		h.names = append(h.names, fmt.Sprintf("slave%d", i))
	}
	out, err := h.labScript("fresh", strconv.Itoa(count))
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skip(strings.TrimSpace(out))
	}
	if err != nil {
		t.Fatalf("lab up: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			h.evidence()
		}
		if out, err := h.labScript("down"); err != nil {
			t.Errorf("lab down: %v\n%s", err, out)
		}
	})
	h.inventory = filepath.Join(t.TempDir(), "inventory.yaml")
	text, err := os.ReadFile(filepath.Join(h.outDir(), "inventory.yaml"))
	must(t, err)
	must(t, os.WriteFile(h.inventory, text, 0o600))
	return h
}

// bootstrapped is three fresh hosts with a serving ensemble.
func bootstrapped(t *testing.T) *hosts {
	t.Helper()
	h := bare(t)
	h.must("bootstrap")
	return h
}

// step runs a subtest whose failures end itself alone.
func (h *hosts) step(t *testing.T, name string, run func(*testing.T, *hosts)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		own := *h
		own.t = t
		run(t, &own)
	})
}

func (h *hosts) outDir() string { return filepath.Join(h.root, "lab", "out-"+labNumber) }

func (h *hosts) labScript(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(h.root, "lab", "lab.sh"), args...)
	cmd.Env = append(os.Environ(), h.labEnv...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lab runs a verb of lab.sh that must succeed.
func (h *hosts) lab(args ...string) {
	h.t.Helper()
	if out, err := h.labScript(args...); err != nil {
		h.t.Fatalf("lab.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// address is where lab.sh puts the host with this name.
func (h *hosts) address(name string) string {
	for i, each := range h.names {
		if each == name {
			return fmt.Sprintf("10.99.%s.%d", labNumber, 11+i)
		}
	}
	h.t.Fatalf("no host %q", name)
	return ""
}

// servers are the client addresses.
func (h *hosts) servers() []string {
	var servers []string
	for _, name := range h.names {
		servers = append(servers, h.server(name))
	}
	return servers
}

func (h *hosts) server(name string) string { return h.address(name) + ":2181" }

// begin divides what a talkative login shell says from what the command says.
const begin = "=== what follows was asked for\n"

// try runs a shell command on a host as root, over ssh from this machine.
func (h *hosts) try(name, command string) (string, error) { return h.tryAs("root", name, command) }

func (h *hosts) tryAs(user, name, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), 60*time.Second) // cleanups look at hosts, too
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", "-F", filepath.Join(h.outDir(), "ssh_config"), "-l", user, name,
		"printf '"+strings.ReplaceAll(begin, "\n", "\\n")+"'; "+command)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	_, said, began := strings.Cut(stdout.String(), begin)
	if err == nil && !began {
		return "", fmt.Errorf("%s: %s: it never began: %q", name, command, stdout.String())
	}
	if err != nil {
		return said, fmt.Errorf("%s: %s: %w: %s", name, command, err, stderr.String())
	}
	return said, nil
}

// run is try for a command that must succeed; it returns the output without the last line end.
func (h *hosts) run(name, command string) string {
	h.t.Helper()
	out, err := h.try(name, command)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimRight(out, "\n")
}

// result is what a run of zkctl left.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d after %v\nstdout:\n%s\nstderr:\n%s", r.code, r.took.Round(time.Millisecond), r.stdout, r.stderr)
}

// command is a run of zkctl with the hosts' inventory.
func (h *hosts) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.zkctl, args...)
	cmd.Env = append(os.Environ(), "ZKCTL_INVENTORY="+h.inventory, "ZKCTL_STATE_DIR="+filepath.Join(filepath.Dir(h.inventory), "state"), "ZKCTL_SSH_PASSWORD=lab-vagrant", "ZKCTL_SUDO_PASSWORD=lab-vagrant")
	return cmd
}

// ctl runs zkctl to its end.
func (h *hosts) ctl(args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("zkctl %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(began)}
}

// must is ctl for a run that must succeed.
func (h *hosts) must(args ...string) result {
	h.t.Helper()
	r := h.ctl(args...)
	if r.code != 0 {
		h.t.Fatalf("zkctl %s: %v", strings.Join(args, " "), r)
	}
	h.t.Logf("zkctl %s: %v", strings.Join(args, " "), r.took.Round(10*time.Millisecond))
	return r
}

// expect is ctl for a run that must end with this exit code.
func (h *hosts) expect(code int, args ...string) result {
	h.t.Helper()
	r := h.ctl(args...)
	if r.code != code {
		h.t.Fatalf("zkctl %s: want exit code %d: %v", strings.Join(args, " "), code, r)
	}
	return r
}

// mode is what the server on the host says it is, "" while it does not serve.
func (h *hosts) mode(name string) string {
	answer, _ := ensemble.Ask(h.server(name), "srvr") // an error leaves an empty answer, which is what not serving means
	for line := range strings.Lines(answer) {
		if mode, ok := strings.CutPrefix(line, "Mode:"); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

// leader waits until every given host serves and exactly one of them leads, and returns that one.
func (h *hosts) leader(names ...string) string {
	h.t.Helper()
	if len(names) == 0 {
		names = h.names
	}
	var leader string
	must(h.t, ensemble.Until(60*time.Second, "one leader, the rest following", func() bool {
		leaders, followers := 0, 0
		for _, name := range names {
			switch h.mode(name) {
			case "leader":
				leader = name
				leaders++
			case "follower":
				followers++
			}
		}
		return leaders == 1 && followers == len(names)-1
	}))
	return leader
}

// dial opens a client session at the server of one host.
func (h *hosts) dial(name string) *zk.Conn {
	h.t.Helper()
	conn, err := ensemble.Dial(8*time.Second, h.server(name))
	must(h.t, err)
	h.t.Cleanup(conn.Close)
	return conn
}

// trees dumps every member, demands that all are equal, and returns the tree.
func (h *hosts) trees() ensemble.Tree {
	h.t.Helper()
	var first ensemble.Tree
	for _, name := range h.names {
		tree, err := ensemble.Dump(h.server(name))
		must(h.t, err)
		if first == nil {
			first = tree
		} else if diffs := first.Diff(tree); len(diffs) > 0 {
			h.t.Fatalf("%s and %s differ:\n%s", h.names[0], name, strings.Join(diffs, "\n"))
		}
	}
	return first
}

// process is the server's main process on a host and the moment it became active, by the clock that all hosts share.
type process struct {
	pid, activeMicros int64
}

func (h *hosts) process(name string) process {
	h.t.Helper()
	var p process
	out := h.run(name, "systemctl show -p MainPID -p ActiveEnterTimestampMonotonic zookeeper")
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		number := json.Number(value)
		switch key {
		case "MainPID":
			p.pid, _ = number.Int64()
		case "ActiveEnterTimestampMonotonic":
			p.activeMicros, _ = number.Int64()
		}
	}
	if p.pid == 0 {
		h.t.Fatalf("%s: no running unit zookeeper: %s", name, out)
	}
	return p
}

func (h *hosts) processes() map[string]process {
	h.t.Helper()
	all := make(map[string]process)
	for _, name := range h.names {
		all[name] = h.process(name)
	}
	return all
}

// evidence logs what a person would look at first.
func (h *hosts) evidence() {
	for _, name := range h.names {
		out, err := h.try(name, "systemctl --no-pager status zookeeper | head -n 15; journalctl -q -u zookeeper -n 25 --no-pager; "+
			"tail -n 25 /var/log/zookeeper/*; tail -n 5 /etc/hosts")
		h.t.Logf("--- %s (%v)\n%s", name, err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
