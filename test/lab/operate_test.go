//go:build lab

package lab

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
)

// load starts clients on all members.
func load(t *testing.T, h *hosts) *workload.Load {
	t.Helper()
	l, err := workload.Start("/load", workload.Options{Writers: 4, Registers: 2, Pause: 2 * time.Millisecond, Keep: 100}, h.servers()...)
	must(t, err)
	return l
}

// kept demands that the load's promises hold at every member.
func kept(t *testing.T, h *hosts, l *workload.Load) {
	t.Helper()
	tree := h.trees()
	for _, line := range l.Check(tree) {
		t.Error(line)
	}
	if _, err := l.Linearizable(time.Minute); err != nil {
		t.Error(err)
	}
}

// epoch is the leader's epoch, from its last zxid.
func epoch(t *testing.T, h *hosts) uint64 {
	t.Helper()
	answer, err := ensemble.Ask(h.server(h.leader()), "srvr")
	must(t, err)
	var zxid uint64
	for line := range strings.Lines(answer) {
		if _, err := fmt.Sscanf(line, "Zxid: 0x%x", &zxid); err == nil {
			return zxid >> 32
		}
	}
	t.Fatalf("no zxid in %q", answer)
	return 0
}

// TestRollingRestart restarts everyone under load: no acknowledged write lost, the leader last, one election.
func TestRollingRestart(t *testing.T) {
	h := bootstrapped(t)
	leader, before, was := h.leader(), h.processes(), epoch(t, h)
	l := load(t, h)
	h.must("rolling-restart")
	summary := l.Stop()
	t.Log(summary)
	now := epoch(t, h)
	if now != was+1 {
		t.Errorf("epoch %d before, %d after: want one election", was, now)
	}
	after := h.processes()
	for _, name := range h.names {
		if after[name].pid == before[name].pid {
			t.Errorf("%s was not restarted", name)
		}
		if name != leader && after[name].activeMicros > after[leader].activeMicros {
			t.Errorf("%s was restarted after %s, which led", name, leader)
		}
	}
	kept(t, h, l)
	h.step(t, "refuses with a voter down", refuses)
}

// refuses stops one follower by hand; no further member may be stopped then.
func refuses(t *testing.T, h *hosts) {
	leader := h.leader()
	var down string
	for _, name := range h.names {
		if name != leader {
			down = name
		}
	}
	h.run(down, "systemctl stop zookeeper")
	before := make(map[string]process)
	for _, name := range h.names {
		if name != down {
			before[name] = h.process(name)
		}
	}
	r := h.expect(7, "rolling-restart")
	if !strings.Contains(r.stderr, "2 of 3 voters serve") || !strings.Contains(r.stderr, down) && !strings.Contains(r.stdout, down) {
		t.Errorf("the refusal shows neither the numbers nor the host that is down: %v", r)
	}
	for name, p := range before {
		if h.process(name) != p {
			t.Errorf("%s was restarted by a refused rolling restart", name)
		}
	}
	h.run(down, "systemctl start zookeeper")
	h.leader()
	h.must("rolling-restart")
}

// TestStatusWithoutAHost powers a host off: status answers within its deadline, shows the host as down and exits 3. With
// two of three gone it says that there is no quorum.
func TestStatusWithoutAHost(t *testing.T) {
	h := bootstrapped(t)
	h.must("status")
	for i, gone := range []string{"slave2", "slave1"} {
		h.lab("kill", gone)
		if i == 0 {
			h.leader("master", "slave1")
		}
		r := h.expect(3, "status")
		if r.took > 6500*time.Millisecond {
			t.Errorf("status took %v with a deadline of 5 s", r.took)
		}
		row := ""
		for line := range strings.Lines(r.stdout) {
			if strings.HasPrefix(line, gone+" ") {
				row = line
			}
		}
		if !strings.Contains(row, h.address(gone)) || !strings.Contains(row, "down") {
			t.Errorf("the row of a host without power: %q", row)
		}
		want := []string{"degraded", "no quorum"}[i]
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in:\n%s", want, r.stdout)
		}
		r = h.expect(3, "status", "--json")
		var parsed map[string]any
		if err := json.Unmarshal([]byte(r.stdout), &parsed); err != nil {
			t.Errorf("status --json: %v\n%s", err, r.stdout)
		}
	}
	h.lab("start", "slave1", "slave2")
	h.leader()
	h.must("status", "--deadline", "3s")
}

// TestPowerCutIsReal guards the tests below: what was not synced must be gone after a power cut, or they prove nothing
// about syncing.
func TestPowerCutIsReal(t *testing.T) {
	h := bare(t)
	h.run("master", "cd /root && echo kept >synced && sync -f . && echo lost >>synced && echo lost >unsynced")
	h.lab("kill", "master")
	h.lab("start", "master")
	if got := h.run("master", "cd /root && cat synced; ls unsynced 2>/dev/null || true"); got != "kept" {
		t.Errorf("after a power cut: %q, want the synced line alone", got)
	}
}

// TestPowerCut cuts one host's power under load, the leader's, and then everyone's at the same moment.
func TestPowerCut(t *testing.T) {
	h := bootstrapped(t)
	l := load(t, h)
	leader := h.leader()
	var rest []string
	for _, name := range h.names {
		if name != leader {
			rest = append(rest, name)
		}
	}
	grow(t, l, "before the first cut")
	h.lab("kill", leader)
	h.leader(rest...)
	grow(t, l, "with one host gone")
	h.lab("start", leader)
	h.leader()
	grow(t, l, "with the host back")

	h.lab(append([]string{"kill"}, h.names...)...)
	h.lab(append([]string{"start"}, h.names...)...)
	h.leader()
	grow(t, l, "after a cut of all three")
	t.Log(l.Stop())
	kept(t, h, l)
	h.must("status")
	if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
		t.Errorf("after power cuts bootstrap finds something to do: %v", r)
	}
}

// grow waits until the load got through again.
func grow(t *testing.T, l *workload.Load, when string) {
	t.Helper()
	from := l.Acknowledged()
	must(t, ensemble.Until(60*time.Second, "writes go on "+when, func() bool { return l.Acknowledged() >= from+200 }))
}

// TestStopStartRestart goes through the plain verbs.
func TestStopStartRestart(t *testing.T) {
	h := bootstrapped(t)
	before := h.processes()
	h.must("restart", "--yes")
	h.leader()
	for name, p := range h.processes() {
		if p.pid == before[name].pid {
			t.Errorf("%s was not restarted", name)
		}
	}
	if r := h.must("logs", "--lines", "3"); strings.Count(r.stdout, "\n") != 9 || !strings.Contains(r.stdout, "slave2: ") {
		t.Errorf("the ends of the logs: %v", r)
	}
	if r := h.must("exec", "--root", "--limit", "!slave1", "--", `echo "$(id -u) $(hostname)"`); r.stdout != "master: 0 master\nslave2: 0 slave2\n" {
		t.Errorf("exec: %v", r)
	}
	h.expect(1, "exec", "--", "exit 3")
	h.must("stop", "--yes")
	for _, name := range h.names {
		out, _ := h.try(name, "systemctl is-active zookeeper") // ends with a status other than 0
		if strings.TrimSpace(out) != "inactive" {
			t.Errorf("%s: after stop the unit is %q", name, out)
		}
	}
	h.expect(3, "status")
	h.must("start")
	h.leader()
}
