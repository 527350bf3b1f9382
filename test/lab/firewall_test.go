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
