package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// machine is one server: its node, its disk, its sockets. It does what package server does, in simulated time.
type machine struct {
	w     *World
	index int
	id    wire.ServerID
	name  string
	rand  *rand.Rand

	node *node.Node // nil while down
	life int        // counts starts and crashes, to tell what belongs to an earlier life
	disk *disk

	portOpen         bool
	observerPortOpen bool
	ends             map[node.ConnID]*end
	abandoned        map[node.ConnID]bool // dials that the node has given up
	links            map[node.ClientID]*link
	role             node.Role
	serving          bool
	members          int64 // version of the committed membership that it has had in this life
	filesKnow        int64 // version of the newest membership in its files
	halted           error

	model    model
	digestAt wire.Zxid
	// paused machines do nothing, as when their host stalls; what happens meanwhile waits in inbox.
	paused   bool
	clock    time.Duration // how far the wall clock has jumped
	skew     skew
	inbox    []node.Input
	queue    []node.Effect // collected while the machine acts
	stepping bool
}

func (m *machine) up() bool { return m.node != nil }

func (m *machine) time() node.Now {
	// Every machine has its own idea of the wall clock.
	return node.Now{Mono: m.w.now, WallMillis: 1_700_000_000_000 + int64(m.index)*1700 + (m.w.now + m.clock).Milliseconds()}
}

// step gives an input to the node and does what it wants.
func (m *machine) step(in node.Input) {
	if !m.up() {
		return
	}
	if m.paused {
		m.inbox = append(m.inbox, in)
		return
	}
	if m.stepping {
		panic(fmt.Sprintf("sim: step of %s within a step", m.name))
	}
	m.node.Step(m.time(), in)
	m.settle()
}

// pause stops the machine for a while.
func (m *machine) pause(d time.Duration) {
	if !m.up() || m.paused {
		return
	}
	m.w.tracef("%s stalls for %v", m.name, d)
	m.paused = true
	life := m.life
	m.w.after(d, func() {
		if m.life == life {
			m.resume()
		}
	})
}

// resume lets happen what has waited.
func (m *machine) resume() {
	m.paused = false
	inbox := m.inbox
	m.inbox = nil
	for _, in := range inbox {
		m.step(in)
	}
}

// settle carries out the effects of the node.
func (m *machine) settle() {
	m.stepping = true
	m.queue = m.node.Effects(m.queue[:0])
	for _, e := range m.queue {
		m.w.checks.effect(m, e)
		m.carryOut(e)
	}
	m.stepping = false
	m.w.checks.stepped(m)
}

func (m *machine) carryOut(e node.Effect) {
	net := &m.w.net
	switch e := e.(type) {
	case node.SendNotification:
		if to := m.w.machine(e.To); to != nil {
			net.vote(m, to, m.skew.vote(to.skew.vote(e.Notification)))
		}
	case node.OpenQuorumPort:
		m.portOpen = true
	case node.CloseQuorumPort:
		m.portOpen = false
	case node.OpenObserverPort:
		m.observerPortOpen = true
	case node.CloseObserverPort:
		m.observerPortOpen = false
	case node.DialLeader:
		if to := m.w.machine(e.Leader); to != nil {
			net.dial(m, e, to)
		}
	case node.SendPacket:
		m.w.tracef("%s sends %v %v on %d", m.name, e.Packet.Type, e.Packet.Zxid, e.Conn)
		if end := m.ends[e.Conn]; end != nil {
			net.send(end, &parcel{packet: m.skew.packet(e.Packet), ready: true})
		}
	case node.SendSnapshot:
		if end := m.ends[e.Conn]; end != nil {
			m.sendSnapshot(end, e)
		}
	case node.CloseConn:
		if end := m.ends[e.Conn]; end != nil {
			net.send(end, &parcel{fin: true, ready: true})
			end.closed = true
			delete(m.ends, e.Conn)
		} else {
			m.abandoned[e.Conn] = true
		}
	case node.SendFrame:
		if l := m.links[e.Client]; l != nil {
			l.reply(e.Frame)
		}
	case node.CloseClient:
		if l := m.links[e.Client]; l != nil {
			l.hangUp()
		}
	case node.MembersChanged:
		m.w.tracef("%s has membership %x, proposed %x", m.name, e.Members.Version(), e.LastSeen.Version())
		m.w.maybeAmbush(m)
	case node.RoleChanged:
		m.roleChanged(e.Status)
	case node.ClientRefused, node.Audited: // for logs
	case node.Halt:
		m.halted = e.Err
		m.w.fail("halt", "%s halts: %v", m.name, e.Err)
	default:
		m.disk.enqueue(e)
	}
}

func (m *machine) roleChanged(s node.Status) {
	m.role, m.serving = s.Role, s.Serving
	m.w.tracef("%s is %v serving=%v epoch=%d zxid=%v leader=%d %s", m.name, s.Role, s.Serving, s.Epoch, s.Zxid, s.Leader, s.Reason)
}

// start begins a life of the machine with what its disk holds.
func (m *machine) start() {
	if m.up() {
		return
	}
	m.life++
	m.ends = make(map[node.ConnID]*end)
	m.abandoned = make(map[node.ConnID]bool)
	m.links = make(map[node.ClientID]*link)
	m.portOpen, m.observerPortOpen, m.serving, m.paused, m.inbox = false, false, false, false, nil
	m.members = 0
	cfg, member, err := m.w.config(m)
	if !member {
		m.awaitReturn()
		return
	}
	var db *node.Database
	before := *m.disk
	if err == nil {
		db, err = m.disk.open()
	}
	if err != nil {
		m.refused(err)
		return
	}
	m.w.checks.durable.recovered(m, before, db)
	m.w.tracef("%s starts at %v, epochs %d %d", m.name, db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch)
	n, err := node.New(cfg, db)
	if err != nil {
		m.w.fail("recovery", "%s does not start: %v", m.name, err)
		return
	}
	m.node = n
	m.w.checks.started(m, db)
	life := m.life
	var tick func()
	tick = func() {
		if m.life != life || !m.up() {
			return
		}
		m.step(node.Tick{})
		m.w.after(tickInterval, tick)
	}
	m.w.after(m.w.between(0, tickInterval), tick)
}

// refused sees a start that failed: for the lack of space, it is tried again; for damage, the member gets an empty disk, if
// the others can do without it, or its files from a backup.
func (m *machine) refused(err error) {
	w := m.w
	switch {
	case errors.Is(err, errInjected):
		w.tracef("%s does not start: %v", m.name, err)
		m.disk.files.mem.Kill()
	case errors.Is(err, vfs.ErrKilled):
		w.tracef("%s does not start: %v", m.name, err)
		m.disk.files.mem.Fail = nil
		m.disk.crash()
	case len(m.disk.repairs) > 0:
		w.tracef("%s refuses to start: %v", m.name, err)
		w.inject(RotRefused)
		m.disk.files.mem.Kill()
		if !w.canSpare(m) {
			m.disk.repair()
			m.start()
			return
		}
		m.disk.wipe(false)
	default:
		w.fail("recovery", "%s does not start: %v", m.name, err)
		return
	}
	w.after(w.more.between(50*time.Millisecond, 300*time.Millisecond), m.start)
}

// crash ends a life at once with the power. What was not synced is lost, or some of it.
func (m *machine) crash() {
	if !m.up() {
		return
	}
	m.w.tracef("%s crashes", m.name)
	m.end(func() { m.disk.crash() })
}

// kill ends a life at once. What was written is still there.
func (m *machine) kill() {
	if !m.up() {
		return
	}
	m.w.tracef("%s is killed", m.name)
	m.end(m.disk.kill)
}

func (m *machine) end(ofDisk func()) {
	m.node = nil
	m.life++
	m.portOpen, m.observerPortOpen, m.serving = false, false, false
	ofDisk()
	for _, c := range append([]*conn(nil), m.w.net.conns...) {
		if c.ends[0].m == m || c.ends[1].m == m {
			m.w.net.cut(c, 20*time.Millisecond)
		}
	}
	for _, l := range sortedLinks(m.links) {
		l.drop()
	}
	m.links = nil
}
