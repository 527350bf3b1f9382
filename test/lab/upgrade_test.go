//go:build lab

package lab

import (
	"os"
	"strings"
	"testing"
)

// TestUpgrade takes over an ensemble that an older zkctl made, which ZKCTL_BEFORE names: the plan tells of it, one apply is
// enough, and a reset gives the hosts back what they had before the older one came.
func TestUpgrade(t *testing.T) {
	old := os.Getenv("ZKCTL_BEFORE")
	if old == "" {
		t.Skip("ZKCTL_BEFORE names no older zkctl")
	}
	h := bare(t)
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	current := h.zkctl
	h.zkctl = old
	h.must("bootstrap")
	h.leader()
	h.zkctl = current

	if r := h.must("plan"); !strings.Contains(r.stdout, "push zkserver") || !strings.Contains(r.stdout, "the server changes") {
		t.Errorf("the plan: %v", r)
	}
	h.must("apply")
	h.leader()
	if r := h.must("apply"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
		t.Errorf("the second apply has something to do: %v", r)
	}
	for _, name := range h.names {
		got := h.run(name, "cd /opt/zookeeper; ls releases | wc -l; readlink current/bin/zkcli; bin/zkCli.sh ls / 2>/dev/null | tail -n 1")
		if got != "2\nzkserver\n[zookeeper]" {
			t.Errorf("%s: releases, zkcli and what it lists: %q", name, got)
		}
	}
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
	}
}
