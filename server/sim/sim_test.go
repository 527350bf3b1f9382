package sim

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed only, with -v and a trace")
	seeds = flag.Int("seeds", defaultSeeds(), "number of seeds to run (ZKCTL_SIM_SEEDS)")
	from  = flag.Uint64("from", 1, "first seed")
)

func defaultSeeds() int {
	if n, err := strconv.Atoi(os.Getenv("ZKCTL_SIM_SEEDS")); err == nil {
		return n
	}
	return 1500
}

// TestSeeds runs ensembles, each from its own seed.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		opts := Shape(*seed)
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
		n = min(n, 100)
	}
	var committed, acknowledged, epochs, logDiffs int
	for s := *from; s < *from+uint64(n); s++ {
		r := Run(s, Shape(s))
		if r.Err != nil {
			t.Fatalf("seed %d: %v\nrepeat: go test ./server/sim -run TestSeeds -seed=%d -v", s, r.Err, s)
		}
		committed += r.Committed
		acknowledged += r.Acknowledged
		epochs += r.Epochs
		logDiffs += r.LogDiffs
	}
	t.Logf("%d seeds: %d epochs, %d txns committed, %d writes acknowledged, %d learners synchronised from a log", n, epochs, committed, acknowledged, logDiffs)
	if n >= 100 && logDiffs == 0 {
		t.Error("no learner was synchronised from a log")
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

// TestMutationsAreCaught: what cannot fail proves nothing.
func TestMutationsAreCaught(t *testing.T) {
	for _, m := range Mutations {
		t.Run(m.Name, func(t *testing.T) {
			for s := uint64(1); s <= 500; s++ {
				seed := s * m.Every
				opts := Shape(seed)
				opts.Unsafe = m.Unsafe
				if r := Run(seed, opts); r.Err != nil {
					t.Logf("seed %d: %v", seed, r.Err)
					return
				}
			}
			t.Error("500 seeds did not notice")
		})
	}
}
