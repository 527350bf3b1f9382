package ensemble

import (
	"os"
	"path/filepath"
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

func TestListed(t *testing.T) {
	m := &Member{ID: 1, Dir: t.TempDir()}
	dynamic := filepath.Join(m.Dir, "zoo.cfg.dynamic.5")
	for _, c := range []struct {
		static, dynamic string
		want            bool
	}{
		{"tickTime=2000\nserver.1=a:1:2\n", "", true},
		{"server.11=a:1:2\nserver.2=b:1:2\n", "", false},
		{"tickTime=2000\ndynamicConfigFile=" + dynamic + "\n", "server.1=a:1:2\nserver.2=b:1:2", true},
		{"tickTime=2000\ndynamicConfigFile=" + dynamic + "\n", "server.2=b:1:2", false},
	} {
		for file, text := range map[string]string{filepath.Join(m.Dir, "zoo.cfg"): c.static, dynamic: c.dynamic} {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := m.Listed(); err != nil || got != c.want {
			t.Errorf("%q %q: %v %v", c.static, c.dynamic, got, err)
		}
	}
}
