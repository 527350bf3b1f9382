//go:build lab

package lab

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestBootstrap is the main job: three bare hosts, one command, and everything it promises observed from outside.
func TestBootstrap(t *testing.T) {
	h := bare(t)
	h.step(t, "hosts are bare", hostsAreBare)
	r := h.must("bootstrap", h.inventory)
	for _, name := range h.names {
		if !strings.Contains(r.stdout+r.stderr, name) {
			t.Errorf("the output does not mention %s: %v", name, r)
		}
	}
	if connection := strings.Join(h.servers(), ","); !strings.Contains(r.stdout, connection) {
		t.Errorf("no connection string %s in:\n%s", connection, r.stdout)
	}
	verify(t, h, "root")
	h.step(t, "status", func(t *testing.T, h *hosts) {
		r := h.must("status")
		for _, want := range append([]string{"leader", "follower", "healthy"}, h.names...) {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("no %q in:\n%s", want, r.stdout)
			}
		}
	})
	h.step(t, "SELinux is off after a reboot", func(t *testing.T, h *hosts) {
		h.lab("stop", "slave2")
		h.lab("start", "slave2")
		if got := h.run("slave2", "getenforce"); got != "Disabled" {
			t.Errorf("getenforce after the reboot: %s", got)
		}
		h.leader() // the unit came back by itself
	})
}

// hostsAreBare guards the test itself: what bootstrap is to change must be there.
func hostsAreBare(t *testing.T, h *hosts) {
	for _, name := range h.names {
		if got := h.run(name, "systemctl is-active firewalld; systemctl is-enabled firewalld; getenforce"); got != "active\nenabled\nEnforcing" {
			t.Errorf("%s: firewalld, SELinux: %q", name, got)
		}
		if got := h.run(name, "ls /root/.ssh"); got != "authorized_keys" {
			t.Errorf("%s: /root/.ssh: %q", name, got)
		}
		if got := h.run(name, "grep -c ^127.0.1.1 /etc/hosts; wc -l </etc/hosts"); got != "1\n3" {
			t.Errorf("%s: /etc/hosts: %q", name, got)
		}
		if out, err := h.try(name, "ls -d /opt/zookeeper /etc/zookeeper /var/lib/zookeeper"); err == nil {
			t.Errorf("%s: not bare: %s", name, out)
		}
	}
	h.run("master", "nohup python3 -m http.server 2181 >/dev/null 2>&1 & echo $! >/run/listener; sleep 0.5")
	if _, err := net.DialTimeout("tcp", h.server("master"), 2*time.Second); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("a listener behind firewalld: %v, want no route to host", err)
	}
	h.run("master", "kill $(cat /run/listener)")
}

// verify observes everything that bootstrap promises, on every host, and between all pairs of hosts as the given user.
func verify(t *testing.T, h *hosts, user string) {
	t.Helper()
	h.step(t, "ssh mesh", func(t *testing.T, h *hosts) { sshMesh(t, h, user) })
	h.step(t, "hosts file", hostsFile)
	h.step(t, "firewalld", firewall)
	h.step(t, "SELinux", selinux)
	h.step(t, "files", files)
	h.step(t, "commands", commands)
	h.step(t, "unit", unit)
	h.step(t, "ensemble", serves)
}

// sshMesh logs in from every host to every host, itself included, by name and by address. BatchMode fails instead of
// asking, and strict checking fails on any unknown host key.
func sshMesh(t *testing.T, h *hosts, user string) {
	for _, from := range h.names {
		for _, to := range h.names {
			for _, target := range []string{to, h.address(to)} {
				out, err := h.tryAs(user, from, "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=5 "+target+" hostname")
				if err != nil || strings.TrimSpace(lastLine(out)) != to {
					t.Errorf("from %s to %s: %q, %v", from, target, out, err)
				}
			}
		}
		home := h.run(from, "getent passwd "+user+" | cut -d: -f6")
		modes := h.run(from, fmt.Sprintf("cd %s/.ssh && stat -c '%%a %%U' . authorized_keys id_ed25519 known_hosts | sort | uniq -c | sed 's/^ *//'", home))
		if want := fmt.Sprintf("2 600 %s\n1 644 %s\n1 700 %s", user, user, user); modes != want && modes != fmt.Sprintf("3 600 %s\n1 700 %s", user, user) {
			t.Errorf("%s: modes and owners in %s/.ssh:\n%s", from, home, modes)
		}
		keys := h.run(from, "cut -d' ' -f1,2 "+home+"/.ssh/authorized_keys | sort | uniq -c | awk '{print $1}' | sort | uniq -c | sed 's/^ *//'")
		if want := fmt.Sprintf("%d 1", len(h.names)+1); keys != want { // the lab's own key was there before, and stays
			t.Errorf("%s: authorized_keys (how many entries how many times): %q, want %q", from, keys, want)
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func hostsFile(t *testing.T, h *hosts) {
	for _, on := range h.names {
		for _, name := range h.names {
			addresses := h.run(on, "getent ahostsv4 "+name+" | awk '{print $1}' | sort -u")
			if addresses != h.address(name) {
				t.Errorf("%s: %s resolves to %q, want %s alone", on, name, addresses, h.address(name))
			}
		}
		if got := h.run(on, "getent hosts localhost | awk '{print $1}'; grep -c '^127.0.0.1[[:space:]]localhost$' /etc/hosts"); !strings.HasSuffix(got, "\n1") {
			t.Errorf("%s: the localhost line has changed: %q", on, got)
		}
		if out, err := h.try(on, "grep '^127.0.1.1' /etc/hosts"); err == nil {
			t.Errorf("%s: the own name is still on loopback: %s", on, out)
		}
	}
}

func firewall(t *testing.T, h *hosts) {
	for _, name := range h.names {
		out, _ := h.try(name, "systemctl is-active firewalld; systemctl is-enabled firewalld") // both end with a status other than 0
		if strings.Fields(out)[0] != "inactive" || strings.Fields(out)[1] != "disabled" {
			t.Errorf("%s: firewalld is %q", name, out)
		}
		_, err := net.DialTimeout("tcp", h.address(name)+":4567", 2*time.Second)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: a port without listener: %v, want connection refused", name, err)
		}
	}
}

func selinux(t *testing.T, h *hosts) {
	for _, name := range h.names {
		if got := h.run(name, "grep '^SELINUX=' /etc/selinux/config"); got != "SELINUX=disabled" {
			t.Errorf("%s: /etc/selinux/config: %q", name, got)
		}
		if got := h.run(name, "grep -c '^#.*SELINUX=enforcing' /etc/selinux/config; grep '^SELINUXTYPE=' /etc/selinux/config"); got != "1\nSELINUXTYPE=targeted" {
			t.Errorf("%s: the old line is not kept as a comment, or another line has changed: %q", name, got)
		}
		if got := h.run(name, "getenforce"); got != "Permissive" {
			t.Errorf("%s: getenforce: %s, want Permissive until the reboot", name, got)
		}
		labelled := h.run(name, "cat /var/log/selinux-stand-in.log 2>/dev/null || true")
		for _, file := range []string{".ssh", "/etc/hosts"} {
			if !strings.Contains(labelled, file) {
				t.Errorf("%s: no restorecon of %s; there were:\n%s", name, file, labelled)
			}
		}
	}
}

func files(t *testing.T, h *hosts) {
	for i, name := range h.names {
		if got := h.run(name, "cat /var/lib/zookeeper/myid"); got != fmt.Sprint(i+1) {
			t.Errorf("%s: myid %q", name, got)
		}
		config := h.run(name, "cat /etc/zookeeper/zoo.cfg")
		for j, member := range h.names {
			if !strings.Contains(config, fmt.Sprintf("server.%d=", j+1)) {
				t.Errorf("%s: no server line for %s in zoo.cfg:\n%s", name, member, config)
			}
		}
		if !strings.Contains(config, "dataDir=/var/lib/zookeeper\n") {
			t.Errorf("%s: dataDir in zoo.cfg:\n%s", name, config)
		}
		if got := h.run(name, "stat -c %U /var/lib/zookeeper /var/lib/zookeeper/version-2 | sort -u"); got != "zookeeper" {
			t.Errorf("%s: the data belongs to %q", name, got)
		}
		if got := h.run(name, "readlink /opt/zookeeper/current; ls /opt/zookeeper/releases | wc -l"); !strings.HasPrefix(got, "releases/") && !strings.HasPrefix(got, "/opt/zookeeper/releases/") || !strings.HasSuffix(got, "\n1") {
			t.Errorf("%s: current and releases: %q", name, got)
		}
		if got := h.run(name, "find / -xdev \\( -name '*.tmp' -o -name '.zkctl*' -o -name 'zkctl-*' \\) -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null"); got != "" {
			t.Errorf("%s: left behind: %s", name, got)
		}
	}
}

// commands are the ones that a ZooKeeper person types, in a login shell.
func commands(t *testing.T, h *hosts) {
	for _, name := range h.names {
		for _, user := range []string{"root", "vagrant"} {
			out := h.run(name, "su - "+user+" -c 'command -v zkServer.sh zkCli.sh; echo $ZOOKEEPER_HOME' | tail -n 3") // a shell may talk first
			if want := "/opt/zookeeper/bin/zkServer.sh\n/opt/zookeeper/bin/zkCli.sh\n/opt/zookeeper"; out != want {
				t.Errorf("%s: login shell of %s: %q, want %q", name, user, out, want)
			}
		}
		if out := h.run(name, "bash -lc 'zkServer.sh status' 2>&1"); !strings.Contains(out, "Mode: "+h.mode(name)) {
			t.Errorf("%s: zkServer.sh status: %q, want Mode: %s", name, out, h.mode(name))
		}
	}
	h.run("master", "bash -lc 'zkCli.sh create /typed hello'")
	if out := h.run("slave1", "bash -lc 'zkCli.sh -server slave2:2181 get /typed'"); !strings.Contains(out, "hello") {
		t.Errorf("zkCli.sh get: %q", out)
	}
	if out := h.run("slave2", "bash -lc 'zkCli.sh ls /'"); !strings.Contains(out, "typed") || !strings.Contains(out, "zookeeper") {
		t.Errorf("zkCli.sh ls /: %q", out)
	}
	if out, err := h.try("slave2", "bash -lc 'zkCli.sh get /none'"); err == nil {
		t.Errorf("zkCli.sh get of a missing node succeeds: %q", out)
	}
	h.run("slave2", "bash -lc 'zkCli.sh delete /typed'")
}

func unit(t *testing.T, h *hosts) {
	for _, name := range h.names {
		got := h.run(name, "systemctl is-enabled zookeeper; systemctl is-active zookeeper; systemctl show -p User -p Restart -p Type -p LimitNOFILE zookeeper | sort")
		if want := "enabled\nactive\nLimitNOFILE=65536\nRestart=on-failure\nType=notify\nUser=zookeeper"; got != want {
			t.Errorf("%s: unit: %q, want %q", name, got, want)
		}
		if got := h.run(name, "systemctl show -p WantedBy zookeeper firewalld"); got != "WantedBy=multi-user.target\n\nWantedBy=" {
			t.Errorf("%s: what systemd starts at boot, as it has read its units: %q", name, got)
		}
		before := h.process(name)
		h.run(name, fmt.Sprintf("kill -9 %d", before.pid))
		must(t, ensemble.Until(20*time.Second, name+": the unit restarts a killed server", func() bool {
			return h.mode(name) != "" && h.process(name).pid != before.pid
		}))
	}
}

// serves writes through each member and reads it at every member.
func serves(t *testing.T, h *hosts) {
	h.leader()
	for _, name := range h.names {
		path := "/written-at-" + name
		_, err := h.dial(name).Create(path, []byte(name), 0, zk.WorldACL(zk.PermAll))
		must(t, err)
		for _, other := range h.names {
			conn := h.dial(other)
			_, err := conn.Sync(path)
			must(t, err)
			if data, _, err := conn.Get(path); err != nil || string(data) != name {
				t.Errorf("written at %s, read at %s: %q, %v", name, other, data, err)
			}
		}
		must(t, h.dial(name).Delete(path, 0))
	}
}
