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
)

// TestFirewalls bootstraps three hosts with three packet filters that let only ssh in, and opens what members and clients need,
// and no more; again after a reboot. Then the hosts get back what they had.
func TestFirewalls(t *testing.T) {
	h := bare(t)
	h.lab("variant", "slave1", "ufw")
	h.lab("variant", "slave2", "nftables")
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	rules := map[string]string{
		"master": "firewall-cmd --list-all", "slave1": "ufw status; ufw show added", "slave2": "nft -s list ruleset",
	}
	runtime := make(map[string]string)
	for name, show := range rules {
		runtime[name] = h.run(name, show)
	}
	// SELinux would be something else after the power cut.
	h.rewrite("\nhosts:", "\nsystem:\n  selinux: leave\n  firewall: open-ports\nhosts:")
	r := h.must("bootstrap", "--dry-run")
	for _, filter := range []string{"in firewalld, zone public", "in ufw", "include /etc/nftables.d/zkctl-lab.nft in /etc/nftables.conf"} {
		if !strings.Contains(r.stdout, filter) {
			t.Errorf("no %q in the plan: %v", filter, r)
		}
	}
	h.must("bootstrap")
	h.leader()
	h.settled(t)
	open := func(name string, port int) bool {
		_, err := h.try("master", fmt.Sprintf("timeout 3 bash -c '</dev/tcp/%s/%d'", h.address(name), port))
		return err == nil
	}
	for _, name := range h.names {
		if !open(name, 2181) || name != "master" && !open(name, 3888) {
			t.Errorf("master does not reach %s", name)
		}
		if !reachable(h.address(name), 2181) {
			t.Errorf("clients do not reach %s", name)
		}
		if reachable(h.address(name), 3888) {
			t.Errorf("everybody reaches the election port of %s", name)
		}
	}
	h.step(t, "after a power cut", func(t *testing.T, h *hosts) {
		for _, name := range h.names {
			h.run(name, "sync") // ufw leaves its files to the kernel
		}
		h.lab(append([]string{"kill"}, h.names...)...)
		h.lab(append([]string{"start"}, h.names...)...)
		h.leader()
		h.settled(t)
		if reachable(h.address("slave2"), 3888) {
			t.Error("everybody reaches the election port of slave2")
		}
	})
	h.step(t, "trust-peers", func(t *testing.T, h *hosts) {
		h.rewrite("firewall: open-ports", "firewall: trust-peers")
		h.must("apply")
		h.settled(t)
		h.run("slave1", "cd /tmp; nohup python3 -m http.server 9876 >/dev/null 2>&1 </dev/null &")
		h.run("master", fmt.Sprintf("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do timeout 3 bash -c '</dev/tcp/%s/9876' && exit; sleep 0.2; done; exit 1", h.address("slave1")))
	})
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
		if after := h.run(name, rules[name]); after != runtime[name] {
			t.Errorf("%s: after the undo\n%s\nbefore\n%s", name, after, runtime[name])
		}
	}
	h.step(t, "what others have opened since stays", func(t *testing.T, h *hosts) {
		h.must("bootstrap")
		h.run("master", "firewall-cmd -q --permanent --add-port=4433/tcp")
		h.run("slave1", "ufw allow 4433/tcp")
		h.run("slave2", "echo 'add table inet later' >>/etc/nftables.conf")
		h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
		for name, show := range map[string]string{
			"master": "firewall-cmd --permanent --list-all", "slave1": "ufw show added; cat /etc/ufw/user.rules", "slave2": "cat /etc/nftables.conf",
		} {
			got := h.run(name, show)
			if !strings.Contains(got, "4433") && !strings.Contains(got, "inet later") {
				t.Errorf("%s: what was opened since is gone:\n%s", name, got)
			}
			for _, ours := range []string{"2181", "2888", "3888", "zkctl"} {
				if strings.Contains(got, ours) {
					t.Errorf("%s: %s is still there:\n%s", name, ours, got)
				}
			}
		}
	})
}

// TestNftablesDisabled disables nftables where the boot would bring all its rules back, and leaves it alone, with a warning, where a
// flush would take away what others have put there. The undo gives rules and service back.
func TestNftablesDisabled(t *testing.T) {
	h := bare(t)
	const state = "nft -s list ruleset; systemctl is-enabled nftables; systemctl is-active nftables"
	before, runtime := make(map[string]string), make(map[string]string)
	for _, name := range h.names[1:] {
		h.lab("variant", name, "nftables")
		h.run(name, "nft add rule inet filter input tcp dport 9999 accept comment '\"by hand, in no file\"'")
		before[name], runtime[name] = belongings(h, name), h.run(name, state)
	}
	h.run("slave2", "nft add table ip docker-like")
	h.rewrite("\nhosts:", "\nsystem:\n  selinux: leave\n  firewall: disable\nhosts:")
	r := h.must("bootstrap", "--dry-run")
	const warning = "warning: slave2: firewall: nftables has rules of Docker, and a flush would take that away: left alone (set system.firewall to open-ports"
	if !strings.Contains(r.stdout, "slave1: disable nftables, and drop its rules") || strings.Contains(r.stdout, "slave2: disable nftables") ||
		!strings.Contains(r.stderr, warning) {
		t.Errorf("the plan: %v", r)
	}
	r = h.expect(3, "bootstrap")
	for _, want := range []string{warning, "does not reach slave2"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %v", want, r)
		}
	}
	if got := h.run("slave2", "nft -s list ruleset"); !strings.Contains(got, "docker-like") || !strings.Contains(got, "policy drop") {
		t.Errorf("slave2 has lost rules: %s", got)
	}
	h.run("slave2", "nft delete table ip docker-like")
	h.must("bootstrap")
	h.leader()
	h.settled(t)
	off := func(when string) {
		t.Helper()
		for _, name := range h.names[1:] {
			if got, _ := h.try(name, state); got != "disabled\ninactive\n" {
				t.Errorf("%s: nftables %s: %q", name, when, got)
			}
			if !reachable(h.address(name), 3888) {
				t.Errorf("%s cannot be reached %s", name, when)
			}
		}
	}
	off("after the bootstrap")
	h.run("slave1", "sync") // what the test has written, too
	h.lab("kill", "slave1")
	h.lab("start", "slave1")
	h.leader()
	off("after a power cut")
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	for _, name := range h.names[1:] {
		compare(t, name, before[name], belongings(h, name))
		if after := h.run(name, state); after != runtime[name] {
			t.Errorf("%s: after the undo\n%s\nbefore\n%s", name, after, runtime[name])
		}
	}
}

// reachable tells whether this machine, which is no member, gets as far as a port.
func reachable(address string, port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", address, port), 2*time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// settled demands that nothing is left to do, and that the check of the firewall finds nothing.
func (h *hosts) settled(t *testing.T) {
	t.Helper()
	if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
		t.Errorf("there is still something to do: %v", r)
	}
	if r := h.must("check", "--only", "firewall,network", "--fail-on", "warning"); !strings.Contains(r.stdout, "0 warnings") {
		t.Errorf("check: %v", r)
	}
}
