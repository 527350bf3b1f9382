package provisionbench

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestRoundTrips holds the number of round trips to its bounds, on five hosts over a line that takes a while: a first
// bootstrap, and one with nothing to do.
func TestRoundTrips(t *testing.T) {
	if !inside(t) {
		return
	}
	program, err := ensemble.CtlBinary()
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
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
		r := zkctl(t, program, "bootstrap", "-v", file)
		t.Logf("%s: %d round trips, %v, %d MiB", c.what, r.trips, r.elapsed, r.rss>>20)
		if r.trips > c.most || r.trips == 0 {
			t.Errorf("%s: %d round trips to a host, want at most %d\n%s", c.what, r.trips, c.most, r.stderr)
		}
	}
}
