package provision

import (
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// Whose listener is no obstacle: the member's own server, and what a run that was killed has left for a moment.
func TestPortsOfOurs(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte("name: lab\nhosts: [{name: a, address: 10.0.0.11, id: 1}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := member{Member: templates.Member{Ensemble: inv, Host: inv.Hosts[0]}, pid: 7}
	for _, c := range []struct {
		what     string
		listener hostprep.Listener
		running  bool
		ours     bool
	}{
		{"its process", hostprep.Listener{PID: 7, Command: "zkserver"}, true, true},
		{"its configuration", hostprep.Listener{PID: 8, Command: "/opt/zookeeper/bin/zkserver " + m.Config()}, false, true},
		{"somebody unseen while it runs", hostprep.Listener{}, true, true},
		{"somebody unseen", hostprep.Listener{}, false, false},
		{"another server", hostprep.Listener{PID: 8, Command: "java org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/other.cfg"}, true, false},
		{"a check of the network that was cut off", hostprep.Listener{PID: 8, Command: "/opt/zookeeper/current/bin/zkserver probe-peers -name a"}, false, true},
	} {
		m.running = c.running
		if got := m.requirements().Ours(c.listener); got != c.ours {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
