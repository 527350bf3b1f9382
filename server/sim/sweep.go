package sim

import (
	"runtime"
	"sync"
)

// Totals is what became of many runs.
type Totals struct {
	Seeds, Events, Committed, Acknowledged, Epochs, LogDiffs int
	Faults                                                   Faults
	// Failed is the lowest seed with a violation, if Err is not nil.
	Failed uint64
	Err    error
}

// Sweep runs n seeds from the first on, each the given number above the one before, on all cores: worlds share nothing. It
// ends with the lowest seed that fails; all below it have been run.
func Sweep(first, step uint64, n int, run func(seed uint64) Result) Totals {
	var (
		total Totals
		mu    sync.Mutex
		group sync.WaitGroup
		next  int
	)
	take := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		seed = first + uint64(next)*step
		next++
		return seed, next <= n && (total.Err == nil || seed < total.Failed)
	}
	note := func(seed uint64, r Result) {
		mu.Lock()
		defer mu.Unlock()
		total.add(r)
		if r.Err != nil && (total.Err == nil || seed < total.Failed) {
			total.Failed, total.Err = seed, r.Err
		}
	}
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				seed, ok := take()
				if !ok {
					return
				}
				note(seed, run(seed))
			}
		})
	}
	group.Wait()
	return total
}

func (t *Totals) add(r Result) {
	t.Seeds++
	t.Events += r.Events
	t.Committed += r.Committed
	t.Acknowledged += r.Acknowledged
	t.Epochs += r.Epochs
	t.LogDiffs += r.LogDiffs
	for i, n := range r.Faults {
		t.Faults[i] += n
	}
}
