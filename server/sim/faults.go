package sim

import (
	"slices"
	"time"
)

// misbehave lets one fault happen, and arranges the next one, until the time of faults is over.
func (w *World) misbehave() {
	if w.calm {
		return
	}
	w.after(w.between(10*time.Millisecond, w.opts.Pace), w.misbehave)
	m := w.machines[w.rand.IntN(len(w.machines))]
	other := w.machines[w.rand.IntN(len(w.machines))]
	switch w.rand.IntN(19) {
	case 0, 1, 2:
		w.inject(PowerLoss)
		m.crash()
		w.after(w.between(10*time.Millisecond, 1500*time.Millisecond), m.start)
	case 3:
		w.inject(PowerLossOfAll)
		w.tracef("all crash")
		for _, m := range w.machines {
			m.crash()
			w.after(w.between(10*time.Millisecond, 800*time.Millisecond), m.start)
		}
	case 4, 5:
		if n := len(w.net.conns); n > 0 {
			w.inject(ConnectionCut)
			c := w.net.conns[w.rand.IntN(n)]
			w.tracef("the connection of %s to %s is cut", c.ends[0].m.name, c.ends[1].m.name)
			w.net.cut(c, 300*time.Millisecond)
		}
	case 6, 7:
		w.inject(Isolated)
		w.tracef("%s is cut off", m.name)
		for _, other := range w.machines {
			if other != m {
				w.net.block(m, other)
				w.net.block(other, m)
			}
		}
		w.after(w.between(100*time.Millisecond, 3*time.Second), w.heal)
	case 8:
		w.tracef("nothing gets from %s to %s", m.name, other.name)
		if m != other {
			w.inject(OneWay)
			w.net.block(m, other)
		}
		w.after(w.between(100*time.Millisecond, 2*time.Second), w.heal)
	case 9:
		w.inject(Halves)
		w.tracef("halves")
		for _, a := range w.machines {
			for _, b := range w.machines {
				if (a.index < m.index) != (b.index < m.index) {
					w.net.block(a, b)
				}
			}
		}
		w.after(w.between(100*time.Millisecond, 2*time.Second), w.heal)
	case 10:
		w.inject(SlowDisk)
		w.tracef("the disk of %s is slow", m.name)
		m.disk.slow = w.between(10*time.Millisecond, 300*time.Millisecond)
		w.after(w.between(100*time.Millisecond, 2*time.Second), func() { m.disk.slow = 0 })
	case 11:
		w.inject(SlowNetwork)
		w.tracef("the network is slow")
		w.net.slow = w.between(5*time.Millisecond, 80*time.Millisecond)
		w.after(w.between(100*time.Millisecond, time.Second), func() { w.net.slow = 0 })
	case 12:
		if leader := w.leader(); leader != nil {
			w.inject(LeaderPowerLoss)
			w.tracef("the leader %s crashes", leader.name)
			leader.crash()
			w.after(w.between(10*time.Millisecond, time.Second), leader.start)
		}
	case 13:
		if leader := w.leader(); leader != nil {
			w.inject(LeaderIsolated)
			w.tracef("the leader %s is cut off", leader.name)
			for _, other := range w.machines {
				if other != leader {
					w.net.block(leader, other)
				}
			}
			w.after(w.between(100*time.Millisecond, 2*time.Second), w.heal)
		}
	case 14:
		w.inject(Stall)
		m.pause(w.between(100*time.Millisecond, 3*time.Second))
	case 15:
		if leader := w.leader(); leader != nil {
			w.inject(LeaderStall)
			leader.pause(w.between(time.Second, 3*time.Second))
		}
	case 16:
		if leader := w.leader(); leader != nil {
			w.inject(HalfOpen)
			w.orphan(leader)
		}
	case 17:
		if w.opts.Spares > 0 {
			w.inject(SplitAndRestart)
			w.split()
			w.restartSome()
		}
	case 18:
		c := w.clients[w.rand.IntN(len(w.clients))]
		if c.link != nil {
			w.inject(ClientCut)
			c.link.drop()
		}
	}
}

// orphan takes the followers away from a leader that does not learn of it.
func (w *World) orphan(leader *machine) {
	w.tracef("the followers of %s are gone, and it does not know", leader.name)
	for _, c := range slices.Clone(w.net.conns) {
		if c.ends[1].m == leader {
			w.net.end(c, w.between(0, 10*time.Millisecond), 2*time.Second)
		}
	}
}

// heal ends partitions.
func (w *World) heal() {
	w.tracef("the network heals")
	w.net.free()
}

// calmDown ends all faults.
func (w *World) calmDown() {
	w.calm = true
	w.heal()
	w.net.slow = 0
	w.net.lossy = false
	clear(w.net.slowWays)
	for _, m := range w.machines {
		m.disk.slow = 0
		m.disk.files.mem.Fail = nil
		if m.paused {
			m.resume()
		}
		m.start()
	}
}

// leader finds a leader that serves.
func (w *World) leader() *machine {
	for _, m := range w.machines {
		if m.leading() {
			return m
		}
	}
	return nil
}
