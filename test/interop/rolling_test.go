//go:build interop

package interop

import (
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
)

// rollOut adds lines to the zoo.cfg of every member of a stopped ensemble while clients write: line by line, and each of
// them member by member. No client may lose a write, nor wait long.
func rollOut(t *testing.T, e *ensemble.Ensemble, lines []string) {
	t.Helper()
	must(t, e.Start())
	must(t, e.Await(patience))
	load, err := workload.Start("/load", workload.Options{Writers: 4, Registers: -1, Pause: 5 * time.Millisecond}, e.Servers()...)
	must(t, err)
	for _, line := range lines {
		for _, m := range e.Members() {
			must(t, m.Stop())
			edit(t, m, "", line)
			must(t, m.Start())
			must(t, e.Await(patience))
		}
	}
	sum := load.Stop()
	t.Log(sum)
	if sum.Acknowledged == 0 || sum.LongestGap > 15*time.Second {
		t.Errorf("%v", sum)
	}
	tree, err := e.SameTrees()
	must(t, err)
	for _, broken := range load.Check(tree) {
		t.Error(broken)
	}
}
