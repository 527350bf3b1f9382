package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const zooCfg = "/conf/zoo.cfg"

// address is a machine as a member.
func address(id wire.ServerID) quorum.Member {
	return quorum.Member{ID: id, Host: fmt.Sprintf("zk%d", id), QuorumPort: 2888, ElectionPort: 3888, ClientHost: "0.0.0.0", ClientPort: 2181}
}

// writeConfig gives a machine a zoo.cfg with these members, and itself, as an operator would.
func (m *machine) writeConfig(members *quorum.Config) {
	lines := members.Lines()
	if _, ok := members.Member(m.id); !ok {
		lines = append(lines, fmt.Sprintf("server.%d=%v", m.id, address(m.id)))
		if members.Hierarchical() {
			lines = append(lines, fmt.Sprintf("group.%d=%d", 100+m.id, m.id))
		}
	}
	text := "dataDir=/data\ninitLimit=10\nsyncLimit=5\nreconfigEnabled=true\nstandaloneEnabled=false\n" + strings.Join(lines, "\n") + "\n"
	mem := m.disk.files.mem
	mem.Fail = nil
	for _, dir := range []string{"/conf", "/data"} {
		if err := mem.MkdirAll(dir); err != nil {
			panic(err)
		}
	}
	for name, text := range map[string]string{zooCfg: text, "/data/myid": fmt.Sprintln(m.id)} {
		if err := vfs.Replace(mem, name, []byte(text)); err != nil {
			panic(err)
		}
	}
}

// readMembers reads what the files of a machine say of the members; ok is false if it is none.
func (m *machine) readMembers(cfg *node.Config) (ok bool, err error) {
	mem := m.disk.files.mem
	read, err := config.LoadFrom(mem, zooCfg)
	if err != nil {
		return !strings.Contains(err.Error(), "has no line"), err
	}
	files, err := read.Files(mem)
	if err != nil {
		return true, err
	}
	m.disk.files.members = files
	cfg.Members, cfg.LastSeen = &read.Members, read.LastSeen
	m.filesKnow = read.Members.Version()
	if read.LastSeen != nil {
		m.filesKnow = max(m.filesKnow, read.LastSeen.Version())
	}
	cfg.ReconfigEnabled, cfg.StandaloneEnabled = true, read.StandaloneEnabled
	cfg.Auth.SkipACL = true
	return true, files.Begin()
}

// awaitReturn lets a machine that was removed, and does not start with what its files say, come back as one that wants to
// become a member: when the ensemble works without it, or when it seems to be needed, an operator tells it where that is.
func (m *machine) awaitReturn() {
	life := m.life
	m.w.after(200*time.Millisecond, func() {
		if m.up() || m.life != life {
			return
		}
		newest := m.w.checks.members.newest()
		leader := m.w.leader()
		if m.w.calm || leader != nil && leader.node.Members().Version() == newest.Version() {
			m.w.tracef("%s was removed: it gets a new zoo.cfg", m.name)
			m.writeConfig(newest)
		}
		m.start()
	})
}

// rescue is what an operator does about machines that lost their power before they had saved the membership by which those
// were removed that they wait for.
func (w *World) rescue() {
	newest := w.checks.members.newest()
	if w.opts.Spares == 0 || w.leader() != nil || newest.Version() == 0 {
		return
	}
	for _, m := range w.machines {
		_, member := newest.Member(m.id)
		if !member || !m.up() || m.node.Members().Version() >= newest.Version() || newest.Equal(m.node.Members()) {
			continue
		}
		w.tracef("the operator copies membership %x to %s", newest.Version(), m.name)
		m.crash()
		read, err := config.LoadFrom(m.disk.files.mem, zooCfg)
		if err == nil {
			next := newest
			if read.LastSeen != nil && read.LastSeen.Version() > newest.Version() {
				next = read.LastSeen
			}
			err = m.disk.files.members.Save(newest, next)
		} else if strings.Contains(err.Error(), "has no line") {
			m.writeConfig(newest)
			err = nil
		}
		if err != nil {
			w.fail("recovery", "%s: %v", m.name, err)
		}
		m.start()
	}
}

// newOperator is a client that changes the membership.
func newOperator(w *World, index int) *simClient {
	c := newClient(w, index)
	c.reader, c.operator = false, true
	return c
}

// reconfigure asks for another membership, drawn at random; many of them are refused.
func (c *simClient) reconfigure() {
	w := c.w
	version := int64(-1)
	if w.chance(0.1) {
		version = w.checks.members.newest().Version() - int64(w.rand.IntN(2))
	}
	var joining, leaving, whole string
	if w.chance(0.25) {
		whole = w.drawMembers()
	} else {
		joining, leaving = w.drawChanges()
	}
	c.request(&operation{op: wire.OpReconfig, path: joining + " -" + leaving + " " + whole, body: reconfigBody(joining, leaving, whole, version)})
}

// drawChanges lets one machine or two join, leave, or change their role or their address.
func (w *World) drawChanges() (joining, leaving string) {
	var join, leave []string
	for range 1 + w.rand.IntN(2) {
		m := address(w.machines[w.rand.IntN(len(w.machines))].id)
		switch w.rand.IntN(8) {
		case 0, 1, 2:
			leave = append(leave, fmt.Sprint(int64(m.ID)))
			continue
		case 3:
			m.Observer = true
		case 4:
			m.QuorumPort += w.rand.IntN(2)
		}
		join = append(join, fmt.Sprintf("server.%d=%v", m.ID, m))
	}
	return strings.Join(join, ","), strings.Join(leave, ",")
}

// drawMembers draws a whole membership, sometimes with groups.
func (w *World) drawMembers() string {
	var lines []string
	groups := make(map[int][]string)
	for _, machine := range w.machines {
		if w.chance(0.3) {
			continue
		}
		m := address(machine.id)
		m.Observer = w.chance(0.2)
		lines = append(lines, fmt.Sprintf("server.%d=%v", m.ID, m))
		if !m.Observer {
			g := w.rand.IntN(3)
			groups[g] = append(groups[g], fmt.Sprint(int64(m.ID)))
		}
	}
	if w.chance(0.4) {
		for g := range 3 {
			if len(groups[g]) > 0 {
				lines = append(lines, fmt.Sprintf("group.%d=%s", g, strings.Join(groups[g], ":")))
			}
		}
		if id := w.machines[w.rand.IntN(len(w.machines))].id; len(groups) > 0 {
			lines = append(lines, fmt.Sprintf("weight.%d=%d", id, w.rand.IntN(3)))
		}
	}
	return strings.Join(lines, ",")
}

// reconfigBody is the record of a request; empty lists are null.
func reconfigBody(joining, leaving, whole string, version int64) body {
	var b body
	for _, list := range []string{joining, leaving, whole} {
		if list == "" {
			b = b.int(-1)
		} else {
			b = b.str(list)
		}
	}
	return b.int(int32(version >> 32)).int(int32(version))
}

// maybeAmbush lets something happen just when a machine has learned of a membership: that is when quorums of different
// memberships could decide differently.
func (w *World) maybeAmbush(m *machine) {
	if w.calm || w.opts.Quiet || !w.chance(0.12) {
		return
	}
	w.inject(Ambush)
	if w.chance(0.4) {
		w.split() // before anybody else hears of it
		return
	}
	w.after(w.between(0, 4*time.Millisecond), func() {
		if w.calm {
			return
		}
		switch w.rand.IntN(5) {
		case 0:
			m.crash()
			w.after(w.between(10*time.Millisecond, 2*time.Second), m.start)
		case 1:
			if leader := w.leader(); leader != nil {
				leader.crash()
				w.after(w.between(10*time.Millisecond, 2*time.Second), leader.start)
			}
		default:
			w.split()
			w.restartSome()
		}
	})
}

// split cuts the network between some machines and all others.
func (w *World) split() {
	side := make([]bool, len(w.machines))
	for i := range side {
		side[i] = w.chance(0.5)
	}
	w.tracef("the network splits %v", side)
	for i, a := range w.machines {
		for j, b := range w.machines {
			if side[i] != side[j] {
				w.net.block(a, b)
			}
		}
	}
	w.after(w.between(500*time.Millisecond, 3*time.Second), w.heal)
}

// restartSome lets some machines begin anew.
func (w *World) restartSome() {
	for _, m := range w.machines {
		if w.chance(0.2) {
			m.crash()
			w.after(w.between(10*time.Millisecond, 400*time.Millisecond), m.start)
		}
	}
}
