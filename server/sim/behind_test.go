package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// newlyElected runs three voters and two machines that follow without a vote, until they have a leader and two clients: one of
// the leader, and one of the voters that stay behind.
func newlyElected(seed uint64, unsafe zab.Unsafe) (w *World, leader *machine, stay []*machine) {
	w = newWorld(seed, Options{Voters: 3, Spares: 2, Clients: 1, Quiet: true, Unsafe: unsafe})
	for _, m := range w.machines {
		m.start()
	}
	w.run(2 * time.Second)
	if leader = w.leader(); leader == nil {
		return w, nil, nil
	}
	for _, m := range w.machines[:3] {
		if m != leader {
			stay = append(stay, m)
		}
	}
	for i, homes := range [][]*machine{{leader}, stay} {
		c := w.clients[i]
		c.homes, c.operator, c.reader = homes, false, false
		c.begin()
	}
	w.run(w.now + time.Second)
	if w.leader() != leader || w.clients[0].link == nil {
		return w, nil, nil
	}
	return w, leader, stay
}

// reconfigure asks for a membership of these machines.
func (w *World) reconfigure(c *simClient, machines ...*machine) {
	var lines []string
	for _, m := range machines {
		lines = append(lines, fmt.Sprintf("server.%d=%v", m.id, address(m.id)))
	}
	c.request(&operation{op: wire.OpReconfig, path: fmt.Sprint(lines), body: reconfigBody("", "", strings.Join(lines, ","), -1)})
}

// separate cuts the network between some machines and all others.
func (w *World) separate(some []*machine) {
	inside := make(map[*machine]bool)
	for _, m := range some {
		inside[m] = true
	}
	for _, a := range w.machines {
		for _, b := range w.machines {
			if inside[a] != inside[b] {
				w.net.block(a, b)
			}
		}
	}
}

// oldGoesOn has a membership proposed that shares only the leader with the old one, whose others do not hear of it.
func oldGoesOn(seed uint64, unsafe zab.Unsafe) error {
	w, leader, stay := newlyElected(seed, unsafe)
	if leader == nil {
		return w.failure
	}
	w.separate(stay)
	w.reconfigure(w.clients[0], leader, w.machines[3], w.machines[4])
	w.run(w.now + 4*time.Second)
	return w.failure
}

// newGoesOn has a membership committed that shares two voters with the old one. The second of them, and the third of the
// old one, have agreed, and do not hear of the commit before the others have gone on for long.
func newGoesOn(seed uint64, unsafe zab.Unsafe) error {
	w, leader, stay := newlyElected(seed, unsafe)
	if leader == nil {
		return w.failure
	}
	before := leader.node.Members().Version()
	w.reconfigure(w.clients[0], leader, w.machines[3], w.machines[4], stay[1])
	for deadline := w.now + time.Second; leader.up() && leader.node.Members().Version() == before && w.now < deadline; {
		w.run(w.now + 20*time.Microsecond)
	}
	w.separate(stay)
	w.run(w.now + 5*time.Second)
	w.heal()
	w.run(w.now + 6*time.Second)
	return w.failure
}

// TestNobodyGoesOnBehindTheBack: of an old and a new membership that do not hear of each other only one goes on, and what it
// does is not lost when they do. Leaders that need only one of the two quorums are noticed.
func TestNobodyGoesOnBehindTheBack(t *testing.T) {
	for _, c := range []struct {
		name     string
		scenario func(uint64, zab.Unsafe) error
		unsafe   zab.Unsafe
	}{
		{"commit with the new membership alone", oldGoesOn, zab.Unsafe{CommitWithNewQuorum: true}},
		{"begin with the promises of the old membership alone", newGoesOn, zab.Unsafe{BeginWithOldQuorum: true}},
	} {
		noticed := 0
		for seed := uint64(1); seed <= 8; seed++ {
			if err := c.scenario(seed, zab.Unsafe{}); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := c.scenario(seed, c.unsafe); err != nil {
				if noticed++; noticed == 1 {
					t.Logf("%s: seed %d: %v", c.name, seed, err)
				}
			}
		}
		if noticed == 0 {
			t.Errorf("%s: not noticed", c.name)
		}
		t.Logf("%s: %d of 8 seeds notice it", c.name, noticed)
	}
}
