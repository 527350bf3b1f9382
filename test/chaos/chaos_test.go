//go:build chaos

// Package chaos kills members of a loaded ensemble with SIGKILL, at random and for minutes, and asks afterwards whether
// every acknowledged write is there, every member holds the same tree, and the registers behaved like registers.
package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
)

var (
	minutes = flag.Float64("minutes", defaultMinutes(), "how long to kill (environment: ZKCTL_CHAOS_MINUTES)")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "chooses victims and pauses; what happens in between is up to the machine")
	members = flag.Int("members", 3, "size of the ensemble")
	apaches = flag.Int("apache", 0, "how many of them are Apache ZooKeeper, those with the highest ids")
)

func defaultMinutes() float64 {
	if value, err := strconv.ParseFloat(os.Getenv("ZKCTL_CHAOS_MINUTES"), 64); err == nil {
		return value
	}
	return 5
}

// TestKill is the whole of it. Victims are chosen so that mostly a minority dies, sometimes everyone at once.
func TestKill(t *testing.T) {
	t.Logf("seed %d: go test -tags chaos ./test/chaos -minutes %g -members %d -apache %d -seed %d", *seed, *minutes, *members, *apaches, *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	kinds := make([]ensemble.Kind, *members)
	for i := range kinds {
		kinds[i] = ensemble.Against()
		if i >= *members-*apaches {
			kinds[i] = ensemble.Apache
		}
	}
	e, err := ensemble.New(ensemble.Settings{}, kinds...)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(e.Logs(40))
		}
		e.Close()
	})
	must(t, e.Start())
	must(t, e.Await(30*time.Second))
	load, err := workload.Start("/chaos", workload.Options{Pause: time.Millisecond}, e.Servers()...)
	must(t, err)

	kills, leaders, total := 0, 0, 0
	end := time.Now().Add(time.Duration(*minutes * float64(time.Minute)))
	for time.Now().Before(end) {
		victims := choose(random, e)
		for _, m := range victims {
			if len(victims) == 1 && m.Mode() == "leader" {
				leaders++
			}
			must(t, m.Kill())
			kills++
		}
		if len(victims) == *members {
			total++
		}
		// Sometimes the dead come back at once, in the middle of the others' election, sometimes after it.
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		for _, m := range victims {
			must(t, m.Start())
		}
		// Progress between kills is part of the claim: a member that comes back must not keep the others from serving.
		before := load.Acknowledged()
		must(t, ensemble.Until(60*time.Second, "writes go on after a restart", func() bool { return load.Acknowledged() > before+20 }))
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
	must(t, e.Await(60*time.Second))
	summary := load.Stop()
	t.Logf("%d kills (%d of the leader alone, %d times everyone) in %v", kills, leaders, total, summary.Took.Round(time.Second))
	t.Log(summary)

	for _, line := range verify(e, load) {
		t.Error(line)
	}
	// Once more from disk alone.
	for _, m := range e.Members() {
		must(t, m.Kill())
	}
	digest, err := e.SameDiskDigests()
	if err != nil {
		t.Error(err)
	}
	t.Logf("digest of the tree on every disk: %#x", digest)
	must(t, e.Start())
	must(t, e.Await(60*time.Second))
	for _, line := range verify(e, load) {
		t.Error("after a restart of everyone: " + line)
	}
	checked, err := load.Linearizable(2 * time.Minute)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d operations on registers are linearizable", checked)
}

// choose is mostly one member, the leader as often as not, now and then two or all.
func choose(random *rand.Rand, e *ensemble.Ensemble) []*ensemble.Member {
	all := e.Members()
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	switch n := random.IntN(20); {
	case n == 0:
		return all
	case n <= 3:
		return all[:2]
	case n <= 11:
		if leader := e.Leader(); leader != nil {
			return []*ensemble.Member{leader}
		}
	}
	return all[:1]
}

func verify(e *ensemble.Ensemble, load *workload.Load) []string {
	tree, err := e.SameTrees()
	if err != nil {
		return []string{err.Error()}
	}
	lines := load.Check(tree)
	if err := e.NoDigestMismatches(); err != nil {
		lines = append(lines, err.Error())
	}
	if len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("(the tree has %d znodes)", len(tree)))
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
