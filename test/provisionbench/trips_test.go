package provisionbench

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestRoundTrips holds the number of round trips to its bounds, on five hosts over a line that takes a while: a first
// bootstrap, and one with nothing to do.
func TestRoundTrips(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if !inside(t) {
		return
	}
	program, server := built(t)
	w := newWorld(t, 5)
	via := map[string]string{}
	for _, h := range w.hosts {
		via[h.address] = "127.98" + h.address[len("10.97"):]
		relay(t, via[h.address], h.address, []int{22, 2181}, 5*time.Millisecond)
	}
	file := w.inventory(3, via, "")
	for _, c := range []struct {
		what string
		most int
	}{{"the first", 15}, {"one with nothing to do", 4}} {
		r := zkctl(t, program, "bootstrap", "-v", "--server-binary", server, file)
		t.Logf("%s: %d round trips, %v, %d MiB", c.what, r.trips, r.elapsed, r.rss>>20)
		if r.trips > c.most || r.trips == 0 {
			t.Errorf("%s: %d round trips to a host, want at most %d\n%s", c.what, r.trips, c.most, r.stderr)
		}
	}
}

// built is zkctl of this tree, and the zkserver that it is to push.
func built(t *testing.T) (zkctl, server string) {
	t.Helper()
	server, err := ensemble.ServerBinary()
	if err != nil {
		t.Fatal(err)
	}
	zkctl = filepath.Join(t.TempDir(), "zkctl")
	if out, err := exec.Command("go", "build", "-o", zkctl, "github.com/zkctl/zkctl/cmd/zkctl").CombinedOutput(); err != nil {
		t.Fatalf("build zkctl: %v\n%s", err, out)
	}
	return zkctl, server
}
