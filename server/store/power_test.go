package store

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs/outage"
	"github.com/zkctl/zkctl/wire"
)

var lives = outage.Lives()

// explorer loses power at each operation of a store, in many ways, and recovers from each; also at each operation of
// these recoveries, and of the recoveries from those.
type explorer struct {
	rand   *rand.Rand
	opts   Options
	dirs   [2]string
	depth  int // of losses of power in recoveries
	sample int // of the outcomes of a loss, less in recoveries

	points   int                 // losses of power
	inside   int                 // of them within a recovery
	states   map[uint64]struct{} // disks recovered from, with what had to be there
	failed   error
	recovery *metrics.Metrics
}

func newExplorer(seed uint64, depth, sample int) *explorer {
	return &explorer{
		rand: rand.New(rand.NewPCG(seed, 77)), depth: depth, sample: sample,
		states: make(map[uint64]struct{}), recovery: metrics.New(),
	}
}

// lose loses power, in each way that is tried, and recovers.
func (e *explorer) lose(r *outage.Disk, p promise, depth int, when string) {
	for o := range r.Outcomes(e.rand, max(4, e.sample>>(2*depth))) {
		if e.failed != nil {
			return
		}
		e.points++
		if depth > 0 {
			e.inside++
		}
		left := r.After(o)
		key := p.key(left.Sum)
		if _, ok := e.states[key]; ok {
			continue
		}
		e.states[key] = struct{}{}
		again, err := left.Restart()
		if err == nil {
			err = e.recover(again, p, depth)
		}
		if err != nil && e.failed == nil {
			e.failed = fmt.Errorf("power lost before %s: %w\n%sleft:\n%v", when, err, r.Pending(o), left)
		}
	}
}

// key sums up a disk and what it must hold.
func (p promise) key(disk uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(stateSeed)
	maphash.WriteComparable(&h, disk)
	for _, b := range p.branches {
		maphash.WriteComparable(&h, [2]wire.Zxid{b.durable, b.last})
	}
	maphash.WriteComparable(&h, [2]wire.Epoch{p.accepted, p.current})
	maphash.WriteComparable(&h, p.saving)
	return h.Sum64()
}

// recover starts a server on a disk, which must give what was promised, then and after another loss of power.
func (e *explorer) recover(r *outage.Disk, p promise, depth int) error {
	deeper := depth < e.depth
	if deeper {
		r.Before = func(op, name string) { e.lose(r, p, depth+1, fmt.Sprintf("%s %s while recovering", op, name)) }
	}
	var ear listener
	opts := e.opts
	opts.Log, opts.Metrics = slog.New(&ear), e.recovery
	s, db, err := Open(r, e.dirs[0], e.dirs[1], opts)
	r.Before = nil
	if err != nil {
		return broken("the server does not start: %w", err)
	}
	if ear.heard != "" {
		return broken("%s", ear.heard)
	}
	b, err := p.kept(db)
	if err != nil {
		return err
	}
	if n := r.OpenFiles(); n > 0 {
		return broken("%d files are open", n)
	}
	// What was read back counts from now on: the server votes with it.
	at := *b
	at.durable, at.last = db.LastZxid, db.LastZxid
	p = promise{branches: []*branch{&at}, accepted: db.AcceptedEpoch, current: db.CurrentEpoch}
	if deeper {
		e.lose(r, p, depth+1, "the end of a recovery")
	}
	if depth > 0 || e.rand.IntN(4) > 0 {
		return nil
	}
	// The server can go on.
	h := txn.Header{Zxid: at.last + 1, Time: 1, Type: wire.OpError}
	db.Tree.Apply(h, &txn.Error{}, nil)
	at.durable, at.last = h.Zxid, h.Zxid
	at.states, at.txns = map[wire.Zxid]uint64{h.Zxid: state(db.Tree)}, nil
	err = errors.Join(s.Append(h.Zxid, txn.New(h, &txn.Error{}, &txn.Digest{Version: 2, Tree: db.Tree.Digest()}).Bytes), s.Sync())
	if err != nil {
		return broken("the server cannot go on: %w", err)
	}
	p.branches = []*branch{&at}
	_, db, err = Open(r, e.dirs[0], e.dirs[1], opts)
	if err == nil {
		_, err = p.kept(db)
	}
	if err != nil {
		return broken("after a txn more: %w", err)
	}
	return nil
}

// work runs a model for some steps on a disk that loses power at each operation.
func (e *explorer) work(seed uint64, steps int, skipped string) (*model, *outage.Disk) {
	m := newModel(seed)
	r := outage.New()
	r.Ignored = skipped
	m.disk, m.fs = r, r.Mem
	e.opts, e.dirs = m.opts, [2]string{m.logDir, m.snapDir}
	r.Before = func(op, name string) {
		if e.failed == nil {
			e.lose(r, m.promise(), 0, op+" "+name)
		}
	}
	err := m.open()
	for range steps {
		if err != nil || e.failed != nil {
			break
		}
		err = m.step()
	}
	if e.failed == nil && err != nil {
		e.failed = err
	}
	if e.failed == nil {
		e.lose(r, m.promise(), 0, "the end")
	}
	return m, r
}

// TestPowerLoss loses power at every operation of random lives of a server's disk, with any part of what was not synced
// kept, and within recovery too. Every synced txn is read back, nothing else is that was not appended, and the server
// starts.
func TestPowerLoss(t *testing.T) {
	n, depth, sample := lives, 3, 40
	if n == 0 {
		n, depth, sample = 3, 1, 15
	}
	var points, inside, states, syncs int
	for seed := range n {
		e := newExplorer(seed, depth, sample)
		m, r := e.work(seed, 60, "")
		if e.failed != nil {
			t.Fatalf("life %d: %v\n%s", seed, e.failed, strings.Join(m.steps, "\n"))
		}
		points, inside, states = points+e.points, inside+e.inside, states+len(e.states)
		for _, n := range r.Places {
			syncs += n
		}
	}
	t.Logf("%d crash points, %d of them within a recovery, left %d different disks, in %d lives with %d syncs", points, inside, states, n, syncs)
}

// needless are the places whose syncs alone make no difference in these lives, and why.
var needless = map[string]string{
	"directory: store.Snapshot.publish < store.Snapshot.Commit":      published,
	"directory: store.Snapshot.publish < store.Store.WriteSnapshot":  published,
	"directory: store.Snapshot.publish < store.Store.publishWaiting": published,
	"directory: store.replay.run < store.Store.recover":              "a Writer syncs the name of a log before it writes to it; Apache ZooKeeper does not",
	"directory: store.replay.start < store.Store.recover":            published,
	"file: store.Store.syncFile < store.replay.start":                "a snapshot is synced before it has its name; Apache ZooKeeper does not",
	"file: store.Store.syncFile < store.replay.file":                 "for a process that was killed between a write and its sync, which no life here is",
	"directory: store.Store.removeFile < store.Store.cut":            "what would come back is a log without transactions, which is deleted again",
}

const published = "before anything that the snapshot replaces is deleted, or a first log needs it, the directory is synced for another reason"

// TestEverySyncMatters ignores the syncs of one place in the code at a time: some loss of power must then be noticed.
func TestEverySyncMatters(t *testing.T) {
	if lives == 0 {
		t.Skip("takes minutes: make crash-test runs it")
	}
	const tries = 30
	places := make(map[string]int)
	for seed := range uint64(tries) {
		m, r := newModel(seed), outage.New()
		m.disk, m.fs = r, r.Mem
		for err := m.open(); err == nil && len(m.steps) < 60; err = m.step() {
		}
		for at, n := range r.Places {
			places[at] += n
		}
	}
	for _, at := range slices.Sorted(maps.Keys(places)) {
		points, seed, noticed, tries := 0, uint64(0), error(nil), uint64(tries)
		if needless[at] != "" {
			tries = 3
		}
		for ; seed < tries && noticed == nil; seed++ {
			e := newExplorer(seed, 1, 16)
			e.work(seed, 60, at)
			points += e.points
			noticed = e.failed
		}
		if noticed == nil {
			if needless[at] == "" {
				t.Errorf("not noticed without %s: %d syncs, %d crash points", at, places[at], points)
			}
			t.Logf("needless: %s: %s", at, needless[at])
			continue
		}
		first, _, _ := strings.Cut(noticed.Error(), "\n")
		t.Logf("%s: life %d, point %d: %.150s", at, seed-1, points, first)
	}
}
