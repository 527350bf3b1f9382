package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// Injected is a fault that was there from Start to End, in nanoseconds of the run.
type Injected struct {
	Kind, What string
	Start, End int64
}

// Nemesis injects faults. Each lane of faults is one goroutine; lanes run side by side.
type Nemesis struct {
	e     *ensemble.Ensemble
	net   *Switch
	disks map[int]*Disk
	seed  uint64
	// silence is how long members bear to hear nothing of each other: syncLimit.
	silence time.Duration
	now     func() int64
	logf    func(string, ...any)

	// busy holds a lock for each member that a fault has in its hands: what one lane has frozen, another does not kill.
	busy map[int]*sync.Mutex

	mu       sync.Mutex
	injected []Injected
	skipped  map[string]int // chosen while what they needed was in use
	errs     []error
	absent   map[int]bool // members that a reconfiguration has removed and not added again
	stopped  map[int]bool // members whose process a fault has ended, or may have ended
}

// draw is everything that a fault takes from the seed. What it finds at its time, such as who leads, is up to the machine.
type draw struct {
	hold time.Duration
	pick [4]int
}

// fault is a kind of fault.
type fault struct {
	kind string
	run  func(n *Nemesis, d draw)
}

// onOne is a fault of one member that fits, which strike has to itself.
func onOne(kind string, fits func(*ensemble.Member) bool, strike func(n *Nemesis, m *ensemble.Member, kind string, d draw)) fault {
	return fault{kind, func(n *Nemesis, d draw) {
		m := n.take(d.pick[0], fits)
		if m == nil {
			n.skip(kind)
			return
		}
		defer n.release(m)
		strike(n, m, kind, d)
	}}
}

// lane is a list of faults of which one at a time is there.
type lane struct {
	name   string
	chance float64 // that a round has it
	faults []fault
}

var lanes = []lane{
	{"processes", 0.8, processFaults},
	{"disks", 0.35, diskFaults},
	{"partitions", 0.6, partitionFaults},
	{"links", 0.4, linkFaults},
}

// step is a planned fault: after a pause the fault.
type step struct {
	pause time.Duration
	fault fault
	draw  draw
}

// plan is a round: what each lane does.
func plan(seed, round uint64, only func(kind string) bool) [][]step {
	r := rand.New(rand.NewPCG(seed, round))
	var steps [][]step
	for len(steps) == 0 {
		for _, l := range lanes {
			var faults []fault
			for _, f := range l.faults {
				if only(f.kind) {
					faults = append(faults, f)
				}
			}
			if r.Float64() >= l.chance || len(faults) == 0 {
				continue
			}
			var mine []step
			for range 1 + r.IntN(3) {
				s := step{pause: time.Duration(r.IntN(3000)) * time.Millisecond, fault: faults[r.IntN(len(faults))]}
				s.draw.hold = time.Duration(1000+r.IntN(8000)) * time.Millisecond
				for i := range s.draw.pick {
					s.draw.pick[i] = r.IntN(1 << 20)
				}
				mine = append(mine, s)
			}
			steps = append(steps, mine)
		}
	}
	return steps
}

// Round carries out a round and heals. It returns when the ensemble serves again, with all of its members.
func (n *Nemesis) Round(ctx context.Context, round uint64, only func(string) bool, acks func() int) error {
	var lanes sync.WaitGroup
	for _, steps := range plan(n.seed, round, only) {
		lanes.Go(func() {
			for _, s := range steps {
				select {
				case <-ctx.Done():
					return
				case <-time.After(s.pause):
				}
				s.fault.run(n, s.draw)
			}
		})
	}
	lanes.Wait()
	return n.heal(round, acks)
}

// recovery is how long an ensemble without faults may take until it serves with all members. The bounds of ZooKeeper are
// initLimit ticks for each attempt of an election and its synchronisation; a busy machine starts Java in a minute.
func recovery(e *ensemble.Ensemble) time.Duration {
	for _, m := range e.Members() {
		if m.Kind == ensemble.Apache {
			return 10 * time.Minute
		}
	}
	return 90 * time.Second
}

func (n *Nemesis) heal(round uint64, acks func() int) error {
	n.net.Heal()
	began := time.Now()
	for _, m := range n.e.Members() {
		if err := n.start(m); err != nil {
			return err
		}
	}
	before := acks()
	if err := ensemble.Until(recovery(n.e), "writes are acknowledged after the faults of a round", func() bool {
		return acks() > before+20 || len(n.ended()) > 0
	}); err != nil {
		return err
	}
	if ended := n.ended(); len(ended) > 0 {
		return fmt.Errorf("member %d (%v) has ended by itself:\n%s", ended[0].ID, ended[0].Kind, ended[0].LogTail(30))
	}
	for id := range n.absent {
		if err := ensemble.Until(recovery(n.e), fmt.Sprintf("member %d joins again", id), func() bool { return n.join(id) == nil }); err != nil {
			return fmt.Errorf("%w: %w", err, n.join(id))
		}
	}
	if err := n.e.Await(recovery(n.e)); err != nil {
		return err
	}
	n.logf("round %d: all members serve %v after the last fault", round, time.Since(began).Round(10*time.Millisecond))
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.stopped)
	return errors.Join(n.errs...)
}

// begin notes a fault; the function it returns notes the fault's end.
func (n *Nemesis) begin(kind, format string, args ...any) (end func()) {
	what := fmt.Sprintf(format, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	i := len(n.injected)
	n.injected = append(n.injected, Injected{Kind: kind, What: what, Start: n.now(), End: forever})
	n.logf("%7.1f s: %s: %s", float64(n.now())/1e9, kind, what)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.injected[i].End = n.now()
	}
}

// fail notes that the nemesis itself could not do something.
func (n *Nemesis) fail(err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs = append(n.errs, err)
}

func (n *Nemesis) skip(kind string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.skipped[kind]++
}

// take takes hold of a member that fits and is in no other lane's hands, nil if there is none.
func (n *Nemesis) take(pick int, fits func(*ensemble.Member) bool) *ensemble.Member {
	members := n.e.Members()
	for i := range members {
		m := members[(pick+i)%len(members)]
		if !n.busy[m.ID].TryLock() {
			continue
		}
		if fits(m) {
			return m
		}
		n.busy[m.ID].Unlock()
	}
	return nil
}

// takeAll takes hold of all members; it waits for other lanes, of which each holds one member at a time.
func (n *Nemesis) takeAll() []*ensemble.Member {
	for _, m := range n.e.Members() {
		n.busy[m.ID].Lock()
	}
	return n.e.Members()
}

func (n *Nemesis) release(members ...*ensemble.Member) {
	for _, m := range members {
		n.busy[m.ID].Unlock()
	}
}

// mayEnd says that a member ends because of what is done to it.
func (n *Nemesis) mayEnd(m *ensemble.Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped[m.ID] = true
}

// kill ends a member with SIGKILL.
func (n *Nemesis) kill(m *ensemble.Member) {
	n.mayEnd(m)
	n.fail(m.Kill())
}

func (n *Nemesis) start(m *ensemble.Member) error {
	if m.Running() {
		return nil
	}
	n.mu.Lock()
	expected := n.stopped[m.ID]
	n.mu.Unlock()
	if !expected {
		return fmt.Errorf("member %d (%v) has ended by itself:\n%s", m.ID, m.Kind, m.LogTail(30))
	}
	if listed, err := m.Listed(); err != nil {
		return err
	} else if !listed { // it was removed, and has not heard yet that it was added again
		return n.e.Join(m, n.e.Members()...)
	}
	return m.Start()
}

// ended are the members without a process.
func (n *Nemesis) ended() (ended []*ensemble.Member) {
	for _, m := range n.e.Members() {
		if !m.Running() {
			ended = append(ended, m)
		}
	}
	return ended
}

// Injected are all faults, in the order of their start.
func (n *Nemesis) Injected() []Injected {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.injected)
}

func anyone(*ensemble.Member) bool { return true }

func leads(m *ensemble.Member) bool { return m.Mode() == "leader" }

func follows(m *ensemble.Member) bool { return m.Mode() == "follower" }

func ours(m *ensemble.Member) bool { return m.Kind == ensemble.Zkserver }
