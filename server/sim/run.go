package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

const (
	tickTime     = 200 * time.Millisecond
	tickInterval = 50 * time.Millisecond
)

// Result is what became of a run.
type Result struct {
	// Err is the first violation; nil if everything held.
	Err error
	// Trace is what happened, if it was asked for.
	Trace string
	// Committed counts txns, Acknowledged the writes that clients were told of, Epochs the leaders.
	Committed, Acknowledged, Epochs int
	// LogDiffs counts learners for which a leader read its log.
	LogDiffs int
	// Events is the number of things that happened, Faults what of them were faults.
	Events int
	Faults Faults
}

// Run runs an ensemble from a seed.
func Run(seed uint64, opts Options) Result {
	w := newWorld(seed, opts)
	for _, m := range w.machines {
		w.after(w.between(0, 300*time.Millisecond), m.start)
	}
	for _, c := range w.clients {
		c.begin()
	}
	if !opts.Quiet {
		w.after(w.between(0, 2*time.Second), w.misbehave)
		if opts.More {
			w.after(w.more.between(0, 2*time.Second), w.misbehaveMore)
		}
	}
	w.run(opts.Faults)
	w.calmDown()
	w.after(opts.Calm/4, w.rescue)
	w.run(opts.Faults + opts.Calm)
	w.checkLiveness()
	for _, c := range w.clients {
		c.resting = true
	}
	w.run(w.now + quietTime)
	for range 20 { // a session may end at any time
		if w.behind() == nil {
			break
		}
		w.run(w.now + 100*time.Millisecond)
	}
	w.checkEnd()
	return Result{
		Err: w.failure, Trace: w.trace.String(),
		Committed: len(w.checks.history.committed), Acknowledged: len(w.checks.clients.acknowledged),
		Epochs: len(w.checks.leaders.established), LogDiffs: w.logDiffs,
		Events: w.steps, Faults: w.faults,
	}
}

// quietTime is how long the clients rest at the end, for everything in flight to arrive everywhere.
const quietTime = 2 * time.Second

// Shape draws the shape of the run of a seed.
func Shape(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 1))
	opts := Options{Voters: 3, Clients: 2 + r.IntN(4), Faults: 8 * time.Second, Calm: 8 * time.Second}
	switch n := r.IntN(20); {
	case n == 0:
		opts.Voters = 1
	case n < 5:
		opts.Voters = 5
	}
	if r.IntN(4) == 0 {
		opts.Observers = 1
		opts.ObserverMasters = r.IntN(2) == 0
	}
	if seed%3 == 0 {
		opts.Voters = 1 + r.IntN(4)
		opts.Spares = 2 + r.IntN(3)
	}
	opts.LocalSessions = r.IntN(4) == 0
	opts.Pace = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}[r.IntN(3)]
	return opts
}

// Mix draws the shape of the run of a seed with all kinds of faults.
func Mix(seed uint64) Options {
	r := source{rand.New(rand.NewPCG(seed, 4))}
	opts := Shape(seed)
	opts.More = true
	if opts.Spares > 0 {
		return opts
	}
	switch n := r.IntN(20); {
	case n < 3:
		opts.Voters = 7
	case n < 7:
		opts.Voters = 5
	}
	opts.Observers = max(0, r.IntN(4)-1)
	if opts.Voters > 3 && r.IntN(2) == 0 {
		opts.Groups = drawGroups(r, opts.Voters)
	}
	if opts.Voters > 1 && r.IntN(3) == 0 {
		for range opts.Voters + opts.Observers {
			opts.Old = append(opts.Old, []skew{present, present, of35, of34}[r.IntN(4)])
		}
	}
	return opts
}

// drawGroups puts voters into one to three groups, and gives them weights.
func drawGroups(r source, voters int) []quorum.Group {
	groups := make([]quorum.Group, 1+r.IntN(3))
	for i := range voters {
		g := &groups[i%len(groups)]
		g.Number = int64(i%len(groups) + 1)
		weight := int64(1 + r.IntN(3))
		if i >= len(groups) && r.IntN(6) == 0 {
			weight = 0
		}
		g.Voters = append(g.Voters, quorum.Weighted{ID: wire.ServerID(i + 1), Weight: weight})
	}
	return groups
}

func newWorld(seed uint64, opts Options) *World {
	w := &World{seed: seed, rand: rand.New(rand.NewPCG(seed, 2)), more: source{rand.New(rand.NewPCG(seed, 3))}, opts: opts, metrics: metrics.New()}
	w.net = network{w: w, blocked: make(map[[2]int]bool), voteAt: make(map[[2]int]time.Duration), slowWays: make(map[[2]int]time.Duration)}
	w.checks = newChecks(w)
	for i := range opts.Voters + opts.Observers + opts.Spares {
		m := &machine{w: w, index: i, id: wire.ServerID(i + 1), name: fmt.Sprintf("zk%d", i+1)}
		m.rand = rand.New(rand.NewPCG(seed, uint64(100+i)))
		m.disk = newDisk(m)
		m.disk.files.mem.Lie = opts.Lie
		if i < len(opts.Old) && opts.Old[i] != present {
			w.inject(OldMember)
			m.skew = opts.Old[i]
		}
		w.machines = append(w.machines, m)
	}
	if opts.Spares > 0 {
		for _, m := range w.machines {
			m.writeConfig(w.members())
		}
		w.clients = append(w.clients, newOperator(w, opts.Clients))
	}
	for i := range opts.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// treeOptions are those of all machines.
func (w *World) treeOptions() tree.Options { return tree.Options{ExtendedTypes: w.opts.More} }

// config is what a machine's zoo.cfg would say.
func (w *World) config(m *machine) (cfg node.Config, member bool, err error) {
	cfg = node.Config{
		Self: m.id, TickTime: tickTime, InitLimitTicks: 10, SyncLimitTicks: 5,
		MaxSessionTimeout: 20 * tickTime,
		SnapCount:         20 + 2*m.rand.IntN(60),
		CommitLogCount:    1 + m.rand.IntN(30),
		Sync:              zab.SyncPolicy{FromLog: true},
		ObserverMasters:   w.opts.ObserverMasters,
		LocalSessions:     w.opts.LocalSessions, LocalSessionsUpgrading: w.opts.LocalSessions,
		ContainerCheckInterval: 500 * time.Millisecond,
		Rand:                   m.rand,
		Metrics:                w.metrics,
		Tree:                   w.treeOptions(),
		Unsafe:                 w.opts.Unsafe,
	}
	switch {
	case w.opts.Spares > 0:
		member, err = m.readMembers(&cfg)
		return cfg, member, err
	case len(w.machines) > 1:
		cfg.Members = w.members()
	}
	return cfg, true, nil
}

func (w *World) machine(id wire.ServerID) *machine {
	if id < 1 || int(id) > len(w.machines) {
		return nil
	}
	return w.machines[id-1]
}

func (m *machine) leading() bool {
	return m.up() && m.serving && (m.role == node.Leading || m.role == node.Standalone)
}

// checkLiveness: when the faults are over, an ensemble elects a leader, everybody is in sync, those who were removed, too,
// and writes go through.
func (w *World) checkLiveness() {
	if w.failure != nil {
		return
	}
	leader := w.leader()
	if leader == nil {
		w.fail("liveness", "nobody leads")
		return
	}
	for _, m := range w.machines {
		if !m.serving {
			w.fail("liveness", "%s does not serve", m.name)
		}
	}
	for _, c := range w.clients {
		if quiet := w.now - c.seen.lastWrite; quiet > 5*time.Second && !c.reader {
			w.fail("liveness", "client %d has had no write acknowledged for %v", c.index, quiet)
		}
	}
}

// behind is a member that is not where the leader is, nil without one.
func (w *World) behind() *machine {
	leader := w.leader()
	if leader == nil || w.failure != nil {
		return nil
	}
	at := leader.node.Tree().LastZxid()
	for _, m := range w.machines {
		if zxid := m.node.Tree().LastZxid(); zxid != at && zxid.Counter() != 0 && at.Counter() != 0 {
			return m
		}
	}
	return nil
}

// checkEnd: at rest, all servers that serve have the same state, and it is what the committed txns make.
func (w *World) checkEnd() {
	if w.failure != nil {
		return
	}
	first := w.leader()
	if first == nil {
		w.fail("liveness", "nobody leads")
		return
	}
	if late := w.behind(); late != nil {
		w.fail("liveness", "%s is at %v, %s at %v", first.name, first.node.Tree().LastZxid(), late.name, late.node.Tree().LastZxid())
		return
	}
	for _, m := range w.machines {
		w.checks.members.finish(m)
		t, u := first.node.Tree(), m.node.Tree()
		if t.Digest() != u.Digest() || u.CheckedDigest() != u.Digest() {
			w.fail("equal state at equal zxid", "%s and %s differ at %v", first.name, m.name, t.LastZxid())
		}
		if n := m.node.Status().DigestMismatches; n > 0 {
			w.fail("equal state at equal zxid", "%s met %d digests that are not its own", m.name, n)
		}
		w.checks.owners.finish(m)
		w.checks.owners.same(first, m)
	}
	w.checks.clients.finish()
	w.checks.replay(first)
	for _, m := range w.machines {
		losses := m.disk.files.mem.Losses
		w.faults[WritesLost] += losses.Lost
		w.faults[WritesTorn] += losses.Torn
		w.faults[WritesKept] += losses.Kept
	}
}

func (w *World) members() *quorum.Config {
	var list []quorum.Member
	for i := range w.opts.Voters + w.opts.Observers {
		m := address(wire.ServerID(i + 1))
		m.Observer = i >= w.opts.Voters
		list = append(list, m)
	}
	c, err := quorum.New(list, w.opts.Groups, 0)
	if err != nil {
		panic(err)
	}
	return c
}
