//go:build lab

package lab

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/ensemble"
)

// apacheInventory makes the inventory one of Apache ZooKeeper from the archive.
func apacheInventory(t *testing.T, h *hosts, archive string) {
	t.Helper()
	text, err := os.ReadFile(h.inventory)
	must(t, err)
	server := fmt.Sprintf("server: {kind: apache, archive: %q, heap: 128m, jvm_flags: [-XX:+UseSerialGC, -XX:TieredStopAtLevel=1]}\n"+
		"zoo_cfg_extra: {ssl.keyStore.password: hunter2}\n", archive)
	must(t, os.WriteFile(h.inventory, []byte(strings.Replace(string(text), "\nhosts:", "\n"+server+"hosts:", 1)), 0o600))
}

// TestApache brings Apache ZooKeeper to hosts that have a Java, operates it by the verbs that operate zkserver, under
// load, and gives the hosts back what they had.
func TestApache(t *testing.T) {
	archive, err := ensemble.ApacheArchive(t.TempDir())
	if errors.Is(err, ensemble.ErrNoApache) {
		t.Skip(err)
	}
	must(t, err)
	h := bare(t, "ZKCTL_LAB_JAVA=yes")
	apacheInventory(t, h, archive)
	h.step(t, "refused without Java", func(t *testing.T, h *hosts) {
		h.run("slave1", "chmod -x /usr/lib/jvm/*/bin/java")
		r := h.expect(3, "bootstrap")
		for _, want := range []string{"slave1: java: the host has no Java; Apache ZooKeeper 3.8.0 needs 8 or later", "set server.java to install, or run `apt-get install default-jre-headless` there"} {
			if !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "master: java") {
				t.Errorf("no %q in %v", want, r)
			}
		}
		h.run("slave1", "chmod +x /usr/lib/jvm/*/bin/java")
	})
	const look = "cat /etc/hosts; ls /etc/systemd/system /opt /etc/profile.d; ls -d /etc/zookeeper /var/lib/zookeeper 2>/dev/null; true"
	before := h.run("master", look)
	if r := h.must("bootstrap", "--dry-run"); !strings.Contains(r.stdout, "unpack Apache ZooKeeper 3.8.0") || !strings.Contains(r.stdout, "zkserver is brought to a temporary directory") {
		t.Errorf("the plan: %v", r)
	}
	r := h.must("bootstrap")
	t.Log(r.stderr[max(0, len(r.stderr)-400):])
	for _, name := range h.names {
		if out := h.run(name, "cd /; stat -c '%a %U:%G' /etc/zookeeper/zoo.cfg /var/lib/zookeeper/started-with; runuser -u nobody -- cat /etc/zookeeper/zoo.cfg 2>&1 || true"); !strings.HasPrefix(out, "640 root:zookeeper\n600 zookeeper:zookeeper\n") || strings.Contains(out, "hunter2") {
			t.Errorf("%s: zoo.cfg with a password: %s", name, out)
		}
	}
	r = h.must("status")
	if strings.Count(r.stdout, "apache  3.8.0") != 3 || !strings.Contains(r.stdout, "healthy") {
		t.Errorf("status: %v", r)
	}
	h.step(t, "the unit runs java itself", func(t *testing.T, h *hosts) {
		for _, name := range h.names {
			out := h.run(name, "pid=$(systemctl show -p MainPID --value zookeeper); readlink /proc/$pid/exe; ps -o user= -p $pid; tr '\\0' ' ' </proc/$pid/cmdline")
			if !regexp.MustCompile(`(?s)^/usr/lib/jvm/\S+/bin/java\nzookeep\S*\n\S*java -Xmx128m .*QuorumPeerMain /etc/zookeeper/zoo.cfg\s*$`).MatchString(out) {
				t.Errorf("%s: %s", name, out)
			}
			left := h.run(name, "ls -d /var/tmp/zkctl* 2>/dev/null; find /opt/zookeeper -name 'zkserver*'; ls -A /opt/zookeeper/releases")
			if !regexp.MustCompile(`^apache-zookeeper-3.8.0-[0-9a-f]{12}$`).MatchString(left) {
				t.Errorf("%s: left behind: %s", name, left)
			}
		}
		if out := h.run("master", "bash -lc 'zkServer.sh status; zkCli.sh get /zookeeper/config | tail -n 1' 2>&1"); !strings.Contains(out, "Mode: ") || !strings.Contains(out, "version=") {
			t.Errorf("the commands on the host: %s", out)
		}
	})
	if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
		t.Errorf("a second bootstrap: %v", r)
	}
	leader, was, processes := h.leader(), epoch(t, h), h.processes()
	l := load(t, h)
	h.must("rolling-restart")
	t.Log(l.Stop())
	if now := epoch(t, h); now != was+1 {
		t.Errorf("epoch %d before, %d after: want one election", was, now)
	}
	for name, p := range h.processes() {
		if p.pid == processes[name].pid {
			t.Errorf("%s was not restarted", name)
		}
		if last := h.process(leader); name != leader && p.activeMicros > last.activeMicros {
			t.Errorf("%s was restarted after %s, which led", name, leader)
		}
	}
	kept(t, h, l)
	h.step(t, "stop, start", func(t *testing.T, h *hosts) {
		h.must("stop", "--yes")
		if out := h.run("slave2", "systemctl show -p ActiveState -p Result zookeeper"); out != "Result=success\nActiveState=inactive" && out != "ActiveState=inactive\nResult=success" {
			t.Errorf("after stop: %s", out)
		}
		h.must("start")
	})
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	if after := h.run("master", look); after != before {
		t.Errorf("after reset:\n%s\nwas\n%s", after, before)
	}
}
