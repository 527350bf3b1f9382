package sim

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// misbehaveMore is the second source of faults. It draws from a source of its own, so that without it seeds give the runs
// that they always gave.
func (w *World) misbehaveMore() {
	if w.calm {
		return
	}
	w.after(w.more.between(10*time.Millisecond, 2*w.opts.Pace), w.misbehaveMore)
	m := w.machines[w.more.IntN(len(w.machines))]
	switch w.more.IntN(19) {
	case 0:
		w.ring()
	case 1:
		w.bridge(m)
	case 2:
		w.minority()
	case 3, 4:
		other := w.machines[w.more.IntN(len(w.machines))]
		w.slowWay(m, other)
	case 5:
		w.lossy()
	case 6, 7:
		w.jump(m)
	case 8, 9:
		w.inject(Kill)
		m.kill()
		w.after(w.more.between(10*time.Millisecond, time.Second), m.start)
	case 10:
		m.disk.breakSync()
	case 11:
		m.disk.fill(w.more.between(100*time.Millisecond, 2*time.Second))
	case 12, 13:
		w.rot(m)
	case 14:
		w.wipe(m)
	case 15:
		w.rollingRestart()
	case 16, 17, 18:
		m.disk.dieWithin(w.more.IntN(40))
	}
}

// ring lets each machine reach only its neighbours.
func (w *World) ring() {
	n := len(w.machines)
	if n < 4 {
		return
	}
	w.inject(Ring)
	w.tracef("the network is a ring")
	for i, a := range w.machines {
		for j, b := range w.machines {
			if d := (i - j + n) % n; d > 1 && d < n-1 {
				w.net.block(a, b)
			}
		}
	}
	w.after(w.more.between(500*time.Millisecond, 3*time.Second), w.heal)
}

// bridge parts the machines in two sides that only one of them reaches both.
func (w *World) bridge(middle *machine) {
	if len(w.machines) < 3 {
		return
	}
	w.inject(Bridge)
	w.tracef("only %s reaches both sides", middle.name)
	side := w.more.sides(len(w.machines))
	w.part(func(a, b *machine) bool { return a != middle && b != middle && side[a.index] != side[b.index] })
}

// minority takes fewer than half of the machines away from the others.
func (w *World) minority() {
	if len(w.machines) < 3 {
		return
	}
	away := make([]bool, len(w.machines))
	for range 1 + w.more.IntN((len(w.machines)-1)/2) {
		away[w.more.IntN(len(w.machines))] = true
	}
	w.inject(Minority)
	w.tracef("a minority is cut off: %v", away)
	w.part(func(a, b *machine) bool { return away[a.index] != away[b.index] })
}

// part blocks directions for a while.
func (w *World) part(parted func(a, b *machine) bool) {
	for _, a := range w.machines {
		for _, b := range w.machines {
			if parted(a, b) {
				w.net.block(a, b)
			}
		}
	}
	w.after(w.more.between(500*time.Millisecond, 3*time.Second), w.heal)
}

// slowWay makes one direction slow, so that what goes another way arrives first.
func (w *World) slowWay(from, to *machine) {
	if from == to {
		return
	}
	w.inject(SlowWay)
	w.tracef("the way from %s to %s is slow", from.name, to.name)
	way := [2]int{from.index, to.index}
	w.net.slowWays[way] = w.more.between(10*time.Millisecond, 400*time.Millisecond)
	w.after(w.more.between(200*time.Millisecond, 3*time.Second), func() { delete(w.net.slowWays, way) })
}

// lossy breaks connections of the election port and of the quorum port again and again.
func (w *World) lossy() {
	w.inject(Lossy)
	w.tracef("connections break")
	w.net.lossy = true
	w.after(w.more.between(200*time.Millisecond, 2*time.Second), func() { w.net.lossy = false })
}

// jump sets the wall clock of a machine.
func (w *World) jump(m *machine) {
	w.inject(ClockJump)
	by := w.more.between(time.Millisecond, 48*time.Hour)
	if w.more.IntN(2) == 0 {
		by = w.more.between(time.Millisecond, 5*time.Second)
	}
	if w.more.IntN(2) == 0 {
		by = -by
	}
	m.clock += by
	w.tracef("the clock of %s jumps by %v", m.name, by)
}

var errInjected = errors.New("injected")

// breakSync lets the next fsync fail. The member must stop; its machine starts again with or without a loss of power.
func (d *disk) breakSync() {
	if !d.m.up() || d.files.mem.Fail != nil {
		return
	}
	d.m.w.tracef("the next fsync of %s fails", d.m.name)
	d.files.mem.Fail = func(op, name string) error {
		if op != "sync" {
			return nil
		}
		d.files.mem.Fail = nil
		d.m.w.inject(FsyncError)
		return fmt.Errorf("%w: %w", errInjected, syscall.EIO)
	}
}

// dieWithin lets the machine lose its power, or the process be killed, within one of its next writes: after so many
// operations.
func (d *disk) dieWithin(operations int) {
	if !d.m.up() || d.files.mem.Fail != nil {
		return
	}
	d.m.w.tracef("%s is to die within %d operations of its disk", d.m.name, operations)
	dead := false
	d.files.mem.Fail = func(op, name string) error {
		switch op {
		case "read", "open", "list", "close":
		default:
			operations--
			if operations < 0 && !dead {
				dead = true
				d.m.w.inject(DeathInWrite)
			}
		}
		if dead {
			return vfs.ErrKilled
		}
		return nil
	}
}

// halfDo does a part of what the power is lost over.
func (d *disk) halfDo(e node.Effect) {
	mem := d.files.mem
	left := d.m.w.more.IntN(4)
	mem.Fail = func(op, name string) error {
		if left--; left < 0 {
			return vfs.ErrKilled
		}
		return nil
	}
	defer func() { mem.Fail = nil }()
	switch e := e.(type) {
	case node.Append:
		d.files.store.Sync()
	case node.Truncate:
		d.files.store.Truncate(e.Zxid)
	case node.SaveMembers:
		d.files.members.Save(e.Members, e.LastSeen)
	}
}

// fill leaves no space on the disk for a while.
func (d *disk) fill(while time.Duration) {
	if d.files.mem.Fail != nil {
		return
	}
	w := d.m.w
	w.tracef("the disk of %s is full for %v", d.m.name, while)
	noted := false
	d.files.mem.Fail = func(op, name string) error {
		if op != "write" && op != "create" && op != "preallocate" {
			return nil
		}
		if !noted {
			noted = true
			w.inject(DiskFull)
		}
		return fmt.Errorf("%w: %w", errInjected, syscall.ENOSPC)
	}
	w.after(while, func() { d.files.mem.Fail = nil })
}

// impaired tells that an error is no wonder.
func (d *disk) impaired(err error) bool {
	return errors.Is(err, errInjected) || errors.Is(err, vfs.ErrKilled) || err != nil && len(d.repairs) > 0
}

// failed ends a life after a disk error: the process stops, soon.
func (d *disk) failed(what string, err error) {
	m := d.m
	w := m.w
	if errors.Is(err, vfs.ErrKilled) {
		life := m.life
		w.after(0, func() {
			if m.life != life || !m.up() {
				return
			}
			d.files.mem.Fail = nil
			if w.more.IntN(4) == 0 {
				m.kill()
			} else {
				m.crash()
			}
			w.after(w.more.between(10*time.Millisecond, time.Second), m.start)
		})
		return
	}
	if !d.impaired(err) {
		w.fail("storage", "%s: %s: %v", m.name, what, err)
		return
	}
	w.tracef("%s: %s: %v: it stops", m.name, what, err)
	life := m.life
	w.after(w.more.between(0, 5*time.Millisecond), func() {
		if m.life != life || !m.up() {
			return
		}
		if errors.Is(err, syscall.EIO) && w.more.IntN(2) == 0 {
			m.crash()
		} else {
			m.kill()
		}
		w.after(w.more.between(50*time.Millisecond, time.Second), m.start)
	})
}

// rot changes a bit of an old log or of a snapshot. If the machine is to be down for it, it must recover or refuse; if it
// runs, the others must not be given what is wrong.
func (w *World) rot(m *machine) {
	if w.more.IntN(2) == 0 {
		w.rotOne(m)
		return
	}
	if !m.up() {
		return
	}
	m.crash()
	w.rotOne(m)
	w.after(w.more.between(10*time.Millisecond, time.Second), m.start)
}

func (w *World) rotOne(m *machine) {
	if len(m.disk.repairs) > 0 {
		return
	}
	mem := m.disk.files.mem
	names, err := mem.List(dataDir)
	if err != nil {
		return
	}
	var logs, old []string
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "log."):
			logs = append(logs, name)
		case strings.HasPrefix(name, "snapshot."):
			old = append(old, name)
		}
	}
	kind := RotSnapshot
	if newest := newestLog(logs); len(logs) > 1 && w.more.IntN(2) == 0 {
		old, kind = nil, RotLog
		for _, name := range logs {
			if name != newest {
				old = append(old, name)
			}
		}
	}
	if len(old) == 0 {
		return
	}
	name := old[w.more.IntN(len(old))]
	at := w.more.IntN(4096)
	if w.more.IntN(2) == 0 {
		at = w.more.IntN(256)
	}
	repair := mem.Rot(dataDir+"/"+name, at, 1<<w.more.IntN(8))
	if repair == nil {
		return
	}
	w.inject(kind)
	w.tracef("byte %d of %s of %s rots", at, name, m.name)
	m.disk.repairs = append(m.disk.repairs, repair)
}

// repair puts the bits right again, as a backup does.
func (d *disk) repair() {
	for _, repair := range d.repairs {
		repair()
	}
	d.repairs = nil
}

func newestLog(names []string) string {
	newest := ""
	for _, name := range names {
		if len(name) > len(newest) || len(name) == len(newest) && name > newest {
			newest = name
		}
	}
	return newest
}

// wipe takes a member's data away, as after the loss of a disk, if the others can do without it: otherwise txns are lost
// that it has acknowledged, and no protocol helps.
func (w *World) wipe(m *machine) {
	if !w.canSpare(m) {
		return
	}
	m.crash()
	m.disk.wipe(w.more.IntN(2) == 0)
	w.after(w.more.between(10*time.Millisecond, time.Second), m.start)
}

// canSpare tells whether every quorum has a member besides m that has all that any member has: of the history, and of
// promises.
func (w *World) canSpare(m *machine) bool {
	if w.opts.Spares > 0 || len(w.machines) == 1 {
		return false
	}
	var best disk
	for _, other := range w.machines {
		d := other.disk
		best.durableZxid = max(best.durableZxid, d.durableZxid)
		best.acceptedEpoch = max(best.acceptedEpoch, d.acceptedEpoch)
		best.currentEpoch = max(best.currentEpoch, d.currentEpoch)
	}
	members := w.members()
	return !members.Quorum(func(id wire.ServerID) bool {
		other := w.machine(id)
		d := other.disk
		holds := other != m && len(d.repairs) == 0 &&
			d.durableZxid == best.durableZxid && d.acceptedEpoch == best.acceptedEpoch && d.currentEpoch == best.currentEpoch
		return !holds
	})
}

// wipe takes the data away. An operator who follows the advice of a member that refuses to start leaves acceptedEpoch.
func (d *disk) wipe(all bool) {
	w := d.m.w
	w.tracef("%s loses its data, all of it: %v", d.m.name, all)
	d.repairs = nil
	d.durableZxid, d.currentEpoch = 0, 0
	mem := d.files.mem
	if all {
		w.inject(NewDisk)
		d.acceptedEpoch = 0
	} else {
		w.inject(Wiped)
	}
	names, err := mem.List(dataDir)
	if err != nil {
		return
	}
	fail := mem.Fail
	mem.Fail = nil
	for _, name := range names {
		if all || name != "acceptedEpoch" {
			err = errors.Join(err, mem.Remove(dataDir+"/"+name))
		}
	}
	if err := errors.Join(err, mem.SyncDir(dataDir)); err != nil {
		panic(err)
	}
	mem.Fail = fail
}

// rollingRestart stops and starts the machines one after another, each when the one before it serves again or does not for
// some time.
func (w *World) rollingRestart() {
	if w.rolling {
		return
	}
	w.rolling = true
	w.inject(RollingRestart)
	w.tracef("a rolling restart begins")
	w.restartFrom(0)
}

func (w *World) restartFrom(i int) {
	if i == len(w.machines) || w.calm {
		w.rolling = false
		return
	}
	m := w.machines[i]
	m.stop(func() {
		w.after(w.more.between(10*time.Millisecond, 200*time.Millisecond), func() {
			m.start()
			w.awaitServing(m, w.now+2*time.Second, func() { w.restartFrom(i + 1) })
		})
	})
}

func (w *World) awaitServing(m *machine, until time.Duration, then func()) {
	w.after(50*time.Millisecond, func() {
		if m.serving || w.now > until || w.calm {
			then()
			return
		}
		w.awaitServing(m, until, then)
	})
}

// stop ends a life in peace, as SIGTERM does.
func (m *machine) stop(then func()) {
	if !m.up() || m.paused {
		then()
		return
	}
	m.w.tracef("%s is told to stop", m.name)
	m.node.Stop(m.time())
	m.settle()
	life := m.life
	until := m.w.now + 2*time.Second
	var wait func()
	wait = func() {
		switch {
		case m.life != life:
		case m.role != node.Stopped && m.w.now < until && !m.w.calm:
			m.w.after(5*time.Millisecond, wait)
			return
		default:
			m.kill()
		}
		then()
	}
	wait()
}
