//go:build lab

package lab

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/listing"
)

// belongings describes what a host has in the way of files: path, mode, owner, size, link target, checksum. Left out are
// system logs, what the package manager of users keeps as a backup, and what boot and time change by themselves.
func belongings(h *hosts, name string) string {
	h.t.Helper()
	const skip = `-not -path '*/.bash_history' -not -path /etc/mtab -not -path '/etc/*-' -not -name .pwd.lock -not -path '/var/lib/systemd/*' ` +
		`-not -path '/var/lib/private*' -not -path '/root/.ssh/authorized_keys2'`
	return h.run(name, "find /etc /opt /root /home /usr/local /var/lib -xdev "+skip+` \( -type d -printf '%p %m %u:%g\n' -o -printf '%p %m %u:%g %s %l\n' \) | sort; `+
		"find /etc /opt /root /home /usr/local -xdev -type f "+skip+" -print0 | sort -z | xargs -0 sha256sum; "+
		"hostname; cat /proc/sys/net/core/somaxconn; systemctl is-enabled firewalld; systemctl is-active firewalld; getenforce; stat -c 'inode %i' /etc/selinux/config; getent passwd zookeeper || echo nobody")
}

// TestResetUndo gives hosts back what they had: hosts file, firewall, SELinux, keys, profile, unit, whatever they were like.
func TestResetUndo(t *testing.T) {
	h := bare(t)
	// Hosts that people have worked on: no newline at the end, a foreign block, modes and files of their own.
	h.run("master", `printf '10.1.1.1 db # mine\r\n192.0.2.1 old' >>/etc/hosts; printf '# a comment\n' >>/root/.ssh/authorized_keys; chmod 644 /root/.ssh/authorized_keys`)
	h.run("slave1", `ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; printf 'github.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRlYWRiZWVmZGVhZGJlZWZkZWFkYmVlZmRlYWRiZWVm' >/root/.ssh/known_hosts`)
	h.run("slave2", `mkdir -p /etc/zookeeper; echo 'tickTime=1' >/etc/zookeeper/zoo.cfg; echo 'export OLD=1' >/etc/profile.d/zookeeper.sh; chmod 600 /etc/profile.d/zookeeper.sh`)
	h.run("slave2", `echo theirs >/etc/zookeeper/notes; chown -R vagrant:vagrant /etc/zookeeper; chmod 700 /etc/zookeeper`)
	h.run("slave1", "echo old.example >/etc/hostname; hostname old.example; echo 'PRETTY_HOSTNAME=\"An old one\"' >/etc/machine-info")
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	somaxconn := h.run("slave1", "cat /proc/sys/net/core/somaxconn") // a container may set no other
	h.rewrite("\nhosts:", "\nsystem: {sysctl: {net.core.somaxconn: 77}}\nhosts:")
	if r := h.expect(3, "bootstrap"); !strings.Contains(r.stderr, "net.core.somaxconn is "+somaxconn+", and cannot be set here") {
		t.Errorf("a parameter that cannot be set: %v", r)
	}
	h.rewrite("\nsystem: {sysctl: {net.core.somaxconn: 77}}", "")
	h.rewrite("\nhosts:", "\nserver: {open_files: 5000}\nsystem:\n  sysctl: {net.core.somaxconn: "+somaxconn+"}\n  limits: {nofile: 10000}\n  hostname: set\nhosts:")
	h.must("bootstrap")
	h.leader()
	if got := h.run("slave1", `hostname; cat /proc/sys/net/core/somaxconn; su -s /bin/sh zookeeper -c 'ulimit -Hn'; grep 'open files' /proc/$(pidof zkserver)/limits`); !strings.HasPrefix(got, "slave1\n"+somaxconn+"\n10000\n") || !strings.Contains(got, " 10000 ") {
		t.Errorf("name and limits on slave1: %q", got)
	}
	if got := h.run("slave2", "stat -c %U /etc/zookeeper /etc/zookeeper/notes"); got != "root\nvagrant" {
		t.Errorf("owners of /etc/zookeeper and of what others have there: %q", got)
	}
	// What is written for systemd 219 means the same to a newer one.
	if got := h.run("slave1", "systemctl show -p StartLimitIntervalUSec -p TimeoutStartUSec zookeeper | sort"); got != "StartLimitIntervalUSec=0\nTimeoutStartUSec=infinity" {
		t.Errorf("limits of the unit: %q", got)
	}
	if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
		t.Errorf("the second run has something to do: %v", r)
	}
	if r := h.must("reset", "--dry-run", "--undo-host-changes"); !strings.Contains(r.stdout, "give /etc/hosts back") {
		t.Errorf("the plan of a reset: %v", r)
	}
	r := h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	t.Log(r.stderr)
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
	}
	// What was undone can be done again.
	h.must("bootstrap")
	h.leader()
	// Lines that somebody has added since stay.
	h.run("master", `echo '10.2.2.2 later' >>/etc/hosts; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHNvbWVib2R5c29tZWJvZHlzb21lYm9keXNvbWVi later' >>/root/.ssh/authorized_keys`)
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	if got := h.run("master", "cat /etc/hosts"); !strings.Contains(got, "10.2.2.2 later") || !strings.Contains(got, "192.0.2.1 old") || strings.Contains(got, "zkctl") {
		t.Errorf("/etc/hosts after an edit: %q", got)
	}
	if got := h.run("master", "cat /root/.ssh/authorized_keys"); !strings.HasSuffix(got, " later") || strings.Contains(got, "root@slave1") {
		t.Errorf("authorized_keys after an edit: %q", got)
	}
	for _, name := range h.names[1:] {
		compare(t, name, before[name], belongings(h, name))
	}
}

// TestResetOfOneHost takes a member off, whose host is what it was, though the others stay, and has it back.
func TestResetOfOneHost(t *testing.T) {
	h := bare(t)
	before := belongings(h, "slave2")
	h.must("bootstrap")
	h.leader()
	// While one of the others is missing, it is needed.
	h.run("slave1", "systemctl stop zookeeper")
	h.expect(7, "reset", "--limit", "slave2", "--undo-host-changes", "--yes-i-mean", "lab")
	h.must("start")
	h.must("reset", "--limit", "slave2", "--undo-host-changes", "--yes-i-mean", "lab")
	compare(t, "slave2", before, belongings(h, "slave2"))
	if r := h.expect(3, "status"); !strings.Contains(r.stdout, "degraded: 2 of 3 members serve") {
		t.Errorf("without slave2: %v", r)
	}
	if r := h.must("apply"); !strings.Contains(r.stdout, "healthy: all 3 members serve") {
		t.Errorf("with slave2 again: %v", r)
	}
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	compare(t, "slave2", before, belongings(h, "slave2"))
}

// TestSharedHosts has two ensembles on the same hosts. The one that goes leaves to the other one what a host has one of; the last
// one gives back what was there before both, whichever came first.
func TestSharedHosts(t *testing.T) {
	t.Run("the first goes", func(t *testing.T) { sharedHosts(t, "lab", "second") })
	t.Run("the second goes", func(t *testing.T) { sharedHosts(t, "second", "lab") })
}

func sharedHosts(t *testing.T, goes, stays string) {
	h := bare(t)
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	inventories := map[string][]byte{}
	bootstrap := func(ensemble string) {
		t.Helper()
		h.must("bootstrap")
		text, err := os.ReadFile(h.inventory)
		if err != nil {
			t.Fatal(err)
		}
		inventories[ensemble] = text
	}
	h.rewrite("\nhosts:", "\nsystem: {limits: {nofile: 10000}}\nhosts:")
	bootstrap("lab")
	h.rewrite("name: lab\n", "name: second\n", "nofile: 10000", "nofile: 20000", "\nhosts:", `
server:
  service: zksecond
  ports: {client: 12181, peer: 12888, election: 13888, metrics: 17000}
  paths: {data: /var/lib/zksecond, install: /opt/zksecond, config: /etc/zksecond, log: /var/log/zksecond}
hosts:`)
	bootstrap("second")
	use := func(ensemble string) {
		t.Helper()
		if err := os.WriteFile(h.inventory, inventories[ensemble], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	use(goes)
	r := h.must("reset", "--undo-host-changes", "--yes-i-mean", goes)
	if !strings.Contains(r.stderr, "master: "+stays+" lives here, too") {
		t.Errorf("the reset says nothing of %s: %v", stays, r)
	}
	service := map[string]string{"lab": "zookeeper", "second": "zksecond"}
	for _, name := range h.names {
		got := h.run(name, fmt.Sprintf("grep -c 'BEGIN zkctl' /etc/hosts; grep -c 'BEGIN zkctl %[2]s' /etc/hosts; ls -d /opt/%[3]s /etc/%[3]s /var/lib/zkctl/%[1]s 2>/dev/null; systemctl is-active firewalld %[3]s %[4]s; id -un zookeeper; grep -c 20000 /etc/security/limits.d/zkctl-zookeeper.conf",
			goes, stays, service[goes], service[stays]))
		// The journal of the one waits for the reset of the other.
		if got != "1\n1\n/var/lib/zkctl/"+goes+"\ninactive\ninactive\nactive\nzookeeper\n2" {
			t.Errorf("%s without %s: %q", name, goes, got)
		}
	}
	use(stays)
	// Of what they share the other one may have been last to have its way.
	h.must("apply")
	if r := h.must("apply"); !strings.Contains(r.stdout, "nothing to do") || !strings.Contains(r.stdout, "healthy: all 3 members serve") {
		t.Errorf("%s is not as it was: %v", stays, r)
	}
	h.must("keys", "sync") // proves every login
	h.must("reset", "--undo-host-changes", "--yes-i-mean", stays)
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
	}
}

// TestKeysOfSharedHosts has a second ensemble on two of three hosts. With the first one, the key of the third goes from these, and
// nothing else of their files; with the second one they are what they were.
func TestKeysOfSharedHosts(t *testing.T) {
	h := bare(t)
	h.run("master", `umask 077; mkdir -p /root/.ssh; printf '# by hand' >>/root/.ssh/authorized_keys`)
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	h.must("bootstrap")
	first, err := os.ReadFile(h.inventory)
	must(t, err)
	keys := func(name string) string {
		return h.run(name, "cat /root/.ssh/authorized_keys; echo; cat /root/.ssh/known_hosts; stat -c '%a %U %n' /root/.ssh/*")
	}
	h.rewrite("name: lab\n", "name: second\n", "\nhosts:", `
server:
  service: zksecond
  ports: {client: 12181, peer: 12888, election: 13888, metrics: 17000}
  paths: {data: /var/lib/zksecond, install: /opt/zksecond, config: /etc/zksecond, log: /var/log/zksecond}
hosts:`)
	text, err := os.ReadFile(h.inventory)
	must(t, err)
	at := strings.Index(string(text), "  - {name: slave2,")
	if at < 0 {
		t.Fatalf("no slave2 in the inventory:\n%s", text)
	}
	second := text[:at]
	must(t, os.WriteFile(h.inventory, second, 0o600))
	h.must("bootstrap")
	want := make(map[string]string)
	for _, name := range h.names[:2] {
		var kept []string
		gone := strings.TrimSpace(h.run("slave2", "cut -d' ' -f2 /root/.ssh/id_*.pub /etc/ssh/ssh_host_*_key.pub"))
		for line := range strings.Lines(keys(name)) {
			if !slices.ContainsFunc(strings.Fields(gone), func(k string) bool { return strings.Contains(line, k) }) {
				kept = append(kept, line)
			}
		}
		want[name] = strings.Join(kept, "")
		if want[name] == keys(name) {
			t.Fatalf("%s does not know slave2:\n%s", name, want[name])
		}
	}
	must(t, os.WriteFile(h.inventory, first, 0o600))
	r := h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	t.Log(r.stderr)
	for name, text := range want {
		if got := keys(name); got != text {
			t.Errorf("%s has\n%s\nwant\n%s", name, got, text)
		}
	}
	compare(t, "slave2", before["slave2"], belongings(h, "slave2"))
	must(t, os.WriteFile(h.inventory, second, 0o600))
	if r := h.must("apply"); !strings.Contains(r.stdout, "nothing to do") {
		t.Errorf("the second ensemble is not as it was: %v", r)
	}
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "second")
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
	}
}

func compare(t *testing.T, name, before, after string) {
	t.Helper()
	if d := listing.Differences(before, after); d != "" {
		t.Errorf("%s:\n%s", name, d)
	}
}

// TestClosedPorts refuses to start members that will not reach one another, and says who does not reach whom, and why.
func TestClosedPorts(t *testing.T) {
	h := bare(t)
	h.rewrite("\nhosts:", "\nsystem:\n  firewall: leave\nhosts:")
	r := h.expect(3, "bootstrap")
	for _, want := range []string{"master: network: does not reach slave1", "slave2: network: does not reach master", "firewalld runs on slave1 and is left alone"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %v", want, r)
		}
	}
	if out, err := h.try("master", "pidof zkserver"); err == nil {
		t.Errorf("a server was started: %s", out)
	}
	h.expect(3, "check", "--only", "network")
	h.rewrite("firewall: leave", "firewall: open-ports")
	h.must("bootstrap")
	h.leader()
	r = h.must("check", "--only", "network,names,fsync,firewall")
	if !strings.Contains(r.stdout, "0 errors") {
		t.Errorf("check: %v", r)
	}
	before := h.run("slave1", "firewall-cmd --list-ports; firewall-cmd --permanent --list-ports")
	if !strings.Contains(before, "2181/tcp") {
		t.Errorf("ports: %q", before)
	}
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	if after := h.run("slave1", "firewall-cmd --list-ports; firewall-cmd --permanent --list-ports; ls /etc/firewalld/zones"); strings.TrimSpace(after) != "" {
		t.Errorf("after the undo firewalld has %q", after)
	}
}

// TestRoundTrips holds the number of round trips to its bounds: a first bootstrap and one with nothing to do.
func TestRoundTrips(t *testing.T) {
	h := bare(t)
	first := h.must("bootstrap", "-v")
	again := h.must("bootstrap", "-v")
	for _, c := range []struct {
		stderr string
		most   int
	}{{first.stderr, 15}, {again.stderr, 4}} {
		_, line, _ := strings.Cut(c.stderr, "round trips: ")
		line, _, _ = strings.Cut(line, "\n")
		trips := roundTrips(t, line)
		for name, n := range trips {
			if n > c.most {
				t.Errorf("%s: %d round trips, want at most %d", name, n, c.most)
			}
		}
		if len(trips) != len(h.names) {
			t.Errorf("round trips: %q", line)
		}
		t.Log(line)
	}
}

func roundTrips(t *testing.T, line string) map[string]int {
	t.Helper()
	trips := make(map[string]int)
	for part := range strings.SplitSeq(line, ", ") {
		name, number, ok := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			t.Fatalf("round trips: %q", line)
		}
		trips[name] = n
	}
	return trips
}
