// Package sim runs whole ensembles of the very code that serves in production, over a simulated network, disk and clock,
// from one seed. A schedule of delays, broken connections, partitions, crashes that lose what was not synced, and
// restarts comes out of the seed; then the faults end and the ensemble must come back. Checkers state what must hold at
// every moment and at the end (check_*.go); each has its name in what it reports.
//
// The same seed gives the same run, event by event, so a failure repeats:
//
//	go test ./server/sim -run TestSeeds -seed=N -v
package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/zab"
)

// World is one run.
type World struct {
	seed   uint64
	rand   *rand.Rand
	more   source // of what came later than rand, whose draws are not to change
	now    time.Duration
	events events
	seq    uint64

	opts     Options
	machines []*machine
	net      network
	clients  []*simClient
	checks   checks

	failure error
	trace   strings.Builder
	steps   int
	faults  Faults
	metrics *metrics.Metrics // of all machines; nobody looks at it
	calm    bool             // the time of faults is over
	rolling bool             // there is a rolling restart

	nextClient node.ClientID
	logDiffs   int
}

// Options is the shape of a run.
type Options struct {
	Voters    int
	Observers int
	Clients   int
	// LocalSessions lets each server keep sessions to itself until they have ephemeral nodes.
	LocalSessions bool
	// ObserverMasters lets followers serve the observers.
	ObserverMasters bool
	// Spares are machines that are no members at first. With them, an operator changes the membership.
	Spares int
	// Faults is how long faults happen; Calm how long the ensemble then has to heal.
	Faults time.Duration
	Calm   time.Duration
	// Pace is the longest time between two faults. Many of them keep an ensemble from getting anywhere, few let it.
	Pace time.Duration
	// Quiet runs without faults.
	Quiet bool
	// Trace records every event.
	Trace bool
	// More adds faults and requests that came later: a seed of old shows what it showed only without them.
	More bool
	// Groups weighs the voters, in groups.
	Groups []quorum.Group
	// Old are the machines that speak as older versions do, by index.
	Old []skew
	// Unsafe makes the servers wrong on purpose.
	Unsafe zab.Unsafe
	// Lie makes their disks wrong on purpose; see vfs.Mem.
	Lie func(op, name string) bool
}

// event is something that happens at a time.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.seq < other.seq
}

// events are those to come, as a heap with four children a node.
type events []event

func (e *events) push(next event) {
	h := append(*e, next)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !next.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = next
	*e = h
}

func (e *events) pop() event {
	h := *e
	first := h[0]
	n := len(h) - 1
	last := h[n]
	h[n] = event{}
	h = h[:n]
	*e = h
	for i := 0; n > 0; {
		least := 4*i + 1
		for c := least + 1; c < min(4*i+5, n); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if least >= n || !h[least].before(&last) {
			h[i] = last
			break
		}
		h[i] = h[least]
		i = least
	}
	return first
}

// after lets something happen later. Things at the same time happen in the order in which they were asked for.
func (w *World) after(d time.Duration, do func()) {
	w.seq++
	w.events.push(event{at: w.now + max(d, 0), seq: w.seq, do: do})
}

// run lets things happen until the time is over or something is wrong.
func (w *World) run(until time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			w.fail("assertion", "%v\n%s", r, debug.Stack())
		}
	}()
	for w.failure == nil && len(w.events) > 0 && w.events[0].at <= until {
		e := w.events.pop()
		w.now = e.at
		w.steps++
		e.do()
	}
	if w.failure == nil {
		w.now = until
	}
}

// between draws a duration.
func (w *World) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rand.Int64N(int64(high-low)+1))
}

// chance draws a decision that is yes with this probability.
func (w *World) chance(p float64) bool { return w.rand.Float64() < p }

// fail notes the first violation; the run ends with it.
func (w *World) fail(checker, format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("%s: %s (at %v)", checker, fmt.Sprintf(format, args...), w.now)
		w.tracef("VIOLATION %v", w.failure)
	}
}

func (w *World) tracef(format string, args ...any) {
	if w.opts.Trace {
		fmt.Fprintf(&w.trace, "%10.3fms ", float64(w.now.Microseconds())/1000)
		fmt.Fprintf(&w.trace, format, args...)
		w.trace.WriteByte('\n')
	}
}
