package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed only, with -v and a trace")
	seeds = flag.Int("seeds", defaultSeeds(), "number of seeds to run (ZKCTL_SIM_SEEDS)")
	from  = flag.Uint64("from", 1, "first seed")
	old   = flag.Bool("old", false, "only the faults and requests that there were at first, as Shape has them")
)

func shape() func(uint64) Options {
	if *old {
		return Shape
	}
	return Mix
}

func defaultSeeds() int {
	if n, err := strconv.Atoi(os.Getenv("ZKCTL_SIM_SEEDS")); err == nil {
		return n
	}
	return 2000
}

// TestSeeds runs ensembles, each from its own seed.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		opts := shape()(*seed)
		opts.Trace = testing.Verbose()
		r := Run(*seed, opts)
		t.Logf("%+v\n%s", opts, r.Trace)
		if r.Err != nil {
			t.Fatalf("seed %d: %v", *seed, r.Err)
		}
		return
	}
	n := *seeds
	if testing.Short() {
		n = min(n, 40)
	}
	began := time.Now()
	got := Sweep(*from, 1, n, func(seed uint64) Result { return Run(seed, shape()(seed)) })
	took := time.Since(began)
	if got.Err != nil {
		t.Fatalf("seed %d: %v\nrepeat: go test ./server/sim -run TestSeeds -seed=%d -v", got.Failed, got.Err, got.Failed)
	}
	t.Logf("%d seeds in %v on %d cores: %d events, %.0f a second and core", n, took.Round(time.Millisecond), runtime.GOMAXPROCS(0),
		got.Events, float64(got.Events)/took.Seconds()/float64(runtime.GOMAXPROCS(0)))
	t.Logf("%d epochs, %d txns committed, %d writes acknowledged, %d learners synchronised from a log\n%v",
		got.Epochs, got.Committed, got.Acknowledged, got.LogDiffs, got.Faults)
	if n < 1000 {
		return
	}
	if got.LogDiffs == 0 {
		t.Error("no learner was synchronised from a log")
	}
	for f, n := range got.Faults {
		if n == 0 {
			t.Errorf("there was no fault of the kind %q", Fault(f))
		}
	}
}

// TestPastSeeds runs seeds that showed something once, and must not again. What a seed draws changes when the servers send
// other messages or when there are more kinds of faults, so most of them are no more than seeds now; each thing found has a
// test of its own where it was mended.
func TestPastSeeds(t *testing.T) {
	text, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]func(uint64) Options{"mix": Mix, "shape": Shape}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var name, commit string
		var seed uint64
		if _, err := fmt.Sscan(line, &name, &seed, &commit); err != nil || shapes[name] == nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r := Run(seed, shapes[name](seed)); r.Err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(line), r.Err)
		}
	}
}

// TestSameSeedSameRun: without it no failure could be repeated.
func TestSameSeedSameRun(t *testing.T) {
	for s := uint64(1); s <= 5; s++ {
		opts := Shape(s)
		opts.Trace = true
		if a, b := Run(s, opts), Run(s, opts); a.Trace != b.Trace {
			t.Fatalf("seed %d runs differ", s)
		}
	}
}

// TestWithoutFaults: an ensemble that nothing happens to serves at once.
func TestWithoutFaults(t *testing.T) {
	for _, voters := range []int{1, 3, 5} {
		r := Run(7, Options{Voters: voters, Observers: 1, Clients: 3, Faults: 2 * time.Second, Calm: time.Second, Quiet: true})
		if r.Err != nil {
			t.Errorf("%d voters: %v", voters, r.Err)
		}
		if r.Epochs != 1 || r.Acknowledged < 20 {
			t.Errorf("%d voters: %d epochs, %d writes", voters, r.Epochs, r.Acknowledged)
		}
	}
}

// TestMain lets the garbage wait: a run makes much, and holds little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
