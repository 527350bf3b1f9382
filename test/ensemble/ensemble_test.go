package ensemble

import (
	"testing"

	"github.com/go-zookeeper/zk"
)

func TestTreeDiffNamesWhatDiffers(t *testing.T) {
	ours := Tree{"/same": {Data: "x"}, "/data": {Data: "a"}, "/stat": {}, "/only": {}}
	theirs := Tree{"/same": {Data: "x"}, "/data": {Data: "b"}, "/stat": {Stat: zk.Stat{Version: 1}}, "/more": {}}
	if diffs := ours.Diff(ours); len(diffs) != 0 {
		t.Errorf("a tree differs from itself: %q", diffs)
	}
	if diffs := ours.Diff(theirs); len(diffs) != 4 {
		t.Errorf("want 4 differences, got %q", diffs)
	}
}

func TestFreePortsAreDistinct(t *testing.T) {
	ports, err := FreePorts(9)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d twice in %v", port, ports)
		}
		seen[port] = true
	}
}

func TestGivenTriesServersInOrderAndPausesAfterARound(t *testing.T) {
	g := newGiven([]string{"a", "b"})
	for i, want := range []struct {
		server string
		pause  bool
	}{{"a", false}, {"b", false}, {"a", true}} {
		if server, pause := g.Next(); server != want.server || pause != want.pause {
			t.Errorf("attempt %d: %s %v, want %v", i, server, pause, want)
		}
	}
}
