package election_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/election"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

var onlySeed = flag.Uint64("election.seed", 0, "run random tests with this seed only")

// network delivers votes late, and of those that wait for the same way only the newest, as election ports do.
type network struct {
	*rand.Rand
	members *quorum.Config
	servers map[wire.ServerID]*server
	waiting map[[2]wire.ServerID]letter
	loss    float64
}

type letter struct {
	at time.Duration
	n  wire.Notification
}

type server struct {
	e       *election.Election
	begins  time.Duration
	decided time.Duration // when it did, or last had not
	last    wire.Zxid
	current wire.Epoch
	begun   bool
}

func (w *network) post(from wire.ServerID, now time.Duration) {
	for _, m := range w.servers[from].e.Take() {
		if w.Float64() >= w.loss {
			w.waiting[[2]wire.ServerID{from, m.To}] = letter{now + time.Duration(w.IntN(80))*time.Millisecond, m.Notification}
		}
	}
}

// patience is how long a server stays with an outcome that others do not share: a leader needs a quorum, the others need
// it to lead.
const patience = 2 * time.Second

// run lets time pass until all agree, for a minute at most, and returns the leader.
func (w *network) run() (wire.ServerID, error) {
	const step = 5 * time.Millisecond
	n := wire.ServerID(len(w.servers))
	for now := time.Duration(0); now < time.Minute; now += step {
		for id := wire.ServerID(1); id <= n; id++ {
			w.tick(id, now)
		}
		if leader, ok := w.agreed(); ok {
			return leader, nil
		}
		for from := wire.ServerID(1); from <= n; from++ {
			for to := wire.ServerID(1); to <= n; to++ {
				way := [2]wire.ServerID{from, to}
				l, ok := w.waiting[way]
				if !ok || l.at > now || !w.servers[to].begun {
					continue
				}
				delete(w.waiting, way)
				w.servers[to].e.Step(now, from, l.n)
				w.post(to, now)
			}
		}
	}
	return 0, fmt.Errorf("no agreement within a minute")
}

// tick lets a server begin, go on, or look again because its outcome came to nothing.
func (w *network) tick(id wire.ServerID, now time.Duration) {
	s := w.servers[id]
	if !s.begun {
		if now < s.begins {
			return
		}
		s.begun = true
		s.e.Look(now, s.last, s.current)
	}
	v, decided := s.e.Decision()
	switch {
	case !decided:
		s.decided = now
	case now > s.decided+patience && !w.works(v.Leader), s.e.Deserted(now):
		s.e.Look(now, s.last, s.current)
		s.decided = now
	}
	s.e.Tick(now)
	w.post(id, now)
}

// works tells whether a server leads a quorum.
func (w *network) works(leader wire.ServerID) bool {
	with := 0
	for _, s := range w.servers {
		if v, ok := s.e.Decision(); ok && v.Leader == leader {
			with++
		}
	}
	v, ok := w.servers[leader].e.Decision()
	return ok && v.Leader == leader && with > len(w.servers)/2
}

// agreed tells whether all have the same leader.
func (w *network) agreed() (wire.ServerID, bool) {
	first, _ := w.servers[1].e.Decision()
	for _, s := range w.servers {
		if v, ok := s.e.Decision(); !ok || v.Leader != first.Leader {
			return 0, false
		}
	}
	return first.Leader, true
}

func newNetwork(r *rand.Rand, n int) (*network, error) {
	var members []quorum.Member
	for id := range n {
		members = append(members, quorum.Member{ID: wire.ServerID(id + 1)})
	}
	c, err := quorum.New(members, nil, 0)
	if err != nil {
		return nil, err
	}
	w := &network{Rand: r, members: c, servers: make(map[wire.ServerID]*server), waiting: make(map[[2]wire.ServerID]letter)}
	for _, m := range members {
		w.servers[m.ID] = &server{
			e:    election.New(election.Config{Self: m.ID, Members: c}),
			last: wire.Zxid(r.IntN(3)) | 1<<32, current: 1 + wire.Epoch(r.IntN(2)),
		}
	}
	return w, nil
}

// best is who should win.
func (w *network) best() wire.ServerID {
	best := wire.ServerID(1)
	for id := range wire.ServerID(len(w.servers)) {
		s, b := w.servers[id+1], w.servers[best]
		if s.current > b.current || s.current == b.current && s.last >= b.last {
			best = id + 1
		}
	}
	return best
}

// TestConvergenceBesideOneThatIsGuided: a server without a vote does not keep the others from agreeing. It was one once whose
// votes for the others, each of which had fewer followers than it seemed, let two lead in turn for ever.
func TestConvergenceBesideOneThatIsGuided(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		if *onlySeed != 0 && seed != *onlySeed {
			continue
		}
		w, err := newNetwork(rand.New(rand.NewPCG(seed, 1)), 3+2*int(seed%2))
		if err != nil {
			t.Fatal(err)
		}
		guided := w.servers[1+wire.ServerID(w.IntN(len(w.servers)))]
		for id := range wire.ServerID(len(w.servers)) {
			w.servers[id+1].begins = time.Duration(w.IntN(5000)) * time.Millisecond
		}
		guided.e.BeGuided(w.members, w.members)
		if _, err := w.run(); err != nil {
			t.Fatalf("%v\nagain: go test ./server/election -run %s -election.seed=%d", err, t.Name(), seed)
		}
	}
}

// TestConvergence: servers that begin at about the same time elect the one with the best history; others agree on one, also
// if votes are lost.
func TestConvergence(t *testing.T) {
	for _, c := range []struct {
		name   string
		spread int // ms between the first and the last
		loss   float64
		best   bool
	}{{"together", 100, 0, true}, {"one by one", 5000, 0, false}, {"lossy", 100, 0.3, false}} {
		for seed := uint64(1); seed <= 150; seed++ {
			if *onlySeed != 0 && seed != *onlySeed {
				continue
			}
			w, err := newNetwork(rand.New(rand.NewPCG(seed, 0)), 3+2*int(seed%2))
			if err != nil {
				t.Fatal(err)
			}
			w.loss = c.loss
			for id := range wire.ServerID(len(w.servers)) {
				w.servers[id+1].begins = time.Duration(w.IntN(c.spread)) * time.Millisecond
			}
			leader, err := w.run()
			if err == nil && c.best && leader != w.best() {
				err = fmt.Errorf("server %d leads, but %d is better", leader, w.best())
			}
			if err != nil {
				t.Fatalf("%s: %v\nagain: go test ./server/election -run %s -election.seed=%d", c.name, err, t.Name(), seed)
			}
		}
	}
}
