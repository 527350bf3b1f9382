//go:build lab

package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed describes what a bootstrap left on a host: each path with mode, owner and link target, and the checksums of the files
// that are alike on all hosts and in all ensembles. Left out are keys, ids, members' own files, and what zkctl notes of each run.
func installed(h *hosts, name string) string {
	h.t.Helper()
	const skip = `-not -path '*/version-2*' -not -path '*/.ssh/*' -not -path '/etc/ssh/*' -not -path /etc/mtab -not -path /etc/machine-id ` +
		`-not -path '/etc/*-' -not -name .pwd.lock -not -name '*.pid' -not -name zkctl.stamp -not -name identity -not -path '/var/lib/zkctl/*' ` +
		`-not -path '/var/lib/systemd/*' -not -path '/var/lib/private*' -not -path '/var/log/*'`
	return h.run(name, "find /etc /opt /root /home /usr/local /var/lib -xdev "+skip+` -printf '%p %m %u:%g %l\n' | sort; `+
		"find /etc /opt /root /home /usr/local /var/lib/zookeeper -xdev -type f "+skip+" -print0 | sort -z | xargs -0 sha256sum; "+
		"cut -d' ' -f1,3 /root/.ssh/authorized_keys; cut -d' ' -f1,2 /root/.ssh/known_hosts; ls /root/.ssh; systemctl is-enabled zookeeper; "+
		"systemctl is-enabled firewalld; getenforce")
}

// killAfter runs zkctl with --json and kills it with SIGKILL when it reports the end of the n-th step, counted from 1; "" if there
// were fewer.
func (h *hosts) killAfter(n int, args ...string) (step string) {
	h.t.Helper()
	cmd := h.command(h.t.Context(), append(args, "--json")...)
	stdout, err := cmd.StdoutPipe()
	must(h.t, err)
	must(h.t, cmd.Start())
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e struct{ Kind, Step string }
		if step != "" || json.Unmarshal(lines.Bytes(), &e) != nil || e.Kind != "step-done" {
			continue
		}
		if n--; n == 0 {
			step = e.Step
			must(h.t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err != nil && step == "" {
		h.t.Fatalf("zkctl %s: %v", strings.Join(args, " "), err)
	}
	return step
}

// TestKilledAtEachStepBoundary kills bootstrap between any two steps: resume finishes, the hosts are what a bootstrap makes of them
// that was left alone, and the audit trail has both runs.
func TestKilledAtEachStepBoundary(t *testing.T) {
	h := bare(t)
	h.must("bootstrap")
	want := make(map[string]string)
	for _, name := range h.names {
		want[name] = installed(h, name)
	}
	for n := 1; ; n++ {
		h.lab("fresh", "3")
		must(t, os.RemoveAll(filepath.Join(filepath.Dir(h.inventory), "state")))
		step := h.killAfter(n, "bootstrap")
		if step == "" {
			if n < 6 {
				t.Errorf("a bootstrap has %d steps", n-1)
			}
			return
		}
		t.Logf("killed after %s", step)
		if r := h.must("resume"); !strings.Contains(r.stdout, "verified done, ") || !strings.Contains(r.stdout, "healthy: all 3 members serve") {
			t.Errorf("resume after %s: %v", step, r)
		}
		h.leader()
		for _, name := range h.names {
			compare(t, name+" killed after "+step, want[name], installed(h, name))
		}
		var runs []string
		for line := range strings.Lines(h.must("audit", "list", "--json").stdout) {
			var r struct{ Verb, Outcome string }
			must(t, json.Unmarshal([]byte(line), &r))
			runs = append(runs, r.Verb+" "+r.Outcome)
		}
		if got := strings.Join(runs, ", "); got != "bootstrap cut off, bootstrap ok" {
			t.Errorf("after %s the audit trail has %s", step, got)
		}
	}
}

// TestTwoOperators starts apply twice at the same moment, from two machines as far as zkctl knows: one proceeds, the other is told
// whom to ask and exits with 6.
func TestTwoOperators(t *testing.T) {
	h := bare(t)
	theirs := *h
	theirs.inventory = filepath.Join(t.TempDir(), "theirs.yaml")
	text, err := os.ReadFile(h.inventory)
	must(t, err)
	must(t, os.WriteFile(theirs.inventory, text, 0o600))
	for round, setting := range []string{"", "\nzoo_cfg: {autopurge.snapRetainCount: 7}", "\nzoo_cfg: {autopurge.snapRetainCount: 8}"} {
		var ends [2]chan error
		var cmds [2]*exec.Cmd
		var said [2]strings.Builder
		for i, who := range []*hosts{h, &theirs} {
			must(t, os.WriteFile(who.inventory, append([]byte(strings.TrimSuffix(string(text), "\n")), setting+"\n"...), 0o600))
			cmds[i] = who.command(t.Context(), "apply")
			cmds[i].Stdout, cmds[i].Stderr = &said[i], &said[i]
			ends[i] = make(chan error, 1)
		}
		for i, cmd := range cmds {
			must(t, cmd.Start())
			go func() { ends[i] <- cmd.Wait() }()
		}
		var codes [2]int
		for i := range cmds {
			if err := <-ends[i]; err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			codes[i] = cmds[i].ProcessState.ExitCode()
		}
		first, second := 0, 1
		if codes[0] != 0 {
			first, second = 1, 0
		}
		if holder := fmt.Sprintf("(zkctl apply, process %d", cmds[first].Process.Pid); codes[first] != 0 || codes[second] != 6 || !strings.Contains(said[second].String(), holder) {
			t.Errorf("round %d: exit codes %v; the second one was told\n%s\nthe first one\n%s", round, codes, said[second].String(), said[first].String())
		}
		h.leader()
	}
}

// TestIdsStay reorders the hosts of the inventory and takes the first one out: the others keep their ids and everything of their
// own.
func TestIdsStay(t *testing.T) {
	h := bootstrapped(t)
	was := make(map[string]string)
	own := func(name string) string {
		return h.run(name, "cat /var/lib/zookeeper/myid /var/lib/zookeeper/zkctl.stamp; sort /etc/zookeeper/zoo.cfg | grep -v '^server.1='")
	}
	for _, name := range h.names {
		was[name] = own(name)
	}
	text, err := os.ReadFile(h.inventory)
	must(t, err)
	head, list, found := strings.Cut(string(text), "\nhosts:\n")
	entries := strings.SplitAfter(strings.TrimRight(list, "\n")+"\n", "\n")
	entries = entries[:len(entries)-1]
	if !found || len(entries) != 3 {
		t.Fatalf("not one line for each host:\n%s", text)
	}
	write := func(order ...int) {
		lines := head + "\nhosts:\n"
		for _, i := range order {
			lines += entries[i]
		}
		must(t, os.WriteFile(h.inventory, []byte(lines), 0o600))
	}
	write(2, 0, 1)
	if r := h.must("plan", "--detailed-exitcode"); !strings.Contains(r.stdout, "nothing to do") {
		t.Errorf("another order: %v", r)
	}
	write(1, 2)
	h.expect(4, "plan", "--detailed-exitcode")
	h.expect(7, "apply") // of two voters none can be restarted without an interruption
	h.must("restart", "--yes")
	h.run("master", "systemctl stop zookeeper")
	for _, name := range h.names[1:] {
		compare(t, name, was[name], own(name))
	}
	h.leader("slave1", "slave2")
}

// TestRollingRestartOfFive restarts five members under load: one election, the leader last; then once more while its server is
// killed on the way, so that another one leads, which is then the last.
func TestRollingRestartOfFive(t *testing.T) {
	h := bareOf(t, 5)
	h.must("bootstrap")
	l := load(t, h)
	leader, was := h.leader(), epoch(t, h)
	order, elections := restarts(t, h.must("rolling-restart", "--json").stdout)
	if len(order) != 5 || order[4] != leader || elections != 1 {
		t.Errorf("led by %s: restarted %v, %d elections", leader, order, elections)
	}
	if now := epoch(t, h); now != was+1 {
		t.Errorf("epoch %d before, %d after: want one election", was, now)
	}

	leader = h.leader()
	cmd := h.command(t.Context(), "rolling-restart", "--json")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var said strings.Builder
	killed := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if !killed && strings.Contains(lines.Text(), `"take the mark of the rolling restart away"`) {
			killed = true
			h.run(leader, "systemctl kill -s KILL zookeeper")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if order, _ = restarts(t, said.String()); len(order) != 5 || order[4] == leader {
		t.Errorf("%s led at the beginning and was killed; restarted %v", leader, order)
	}
	h.leader()
	t.Log(l.Stop())
	kept(t, h, l)
}

// restarts is what the result of a rolling restart says.
func restarts(t *testing.T, lines string) (order []string, elections int) {
	t.Helper()
	var result struct {
		Order     []string
		Elections int
	}
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, `{"kind":"status"`) {
			must(t, json.Unmarshal([]byte(line), &result))
		}
	}
	return result.Order, result.Elections
}
