package chaos

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

var processFaults = []fault{
	onOne("kill leader", leads, killOne),
	onOne("kill follower", follows, killOne),
	{"kill all", killAll},
	onOne("pause leader", leads, pause),
	onOne("pause follower", follows, pause),
	{"rolling restart", rollingRestart},
	{"reconfiguration", reconfigure},
}

func killOne(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	end := n.begin(kind, "member %d for %v", m.ID, d.hold)
	n.kill(m)
	time.Sleep(d.hold)
	n.fail(n.start(m))
	end()
}

// killAll kills everyone at once; they come back one after the other, or together.
func killAll(n *Nemesis, d draw) {
	all := n.takeAll()
	defer n.release(all...)
	end := n.begin("kill all", "for %v", d.hold/4)
	for _, m := range all {
		n.kill(m)
	}
	time.Sleep(d.hold / 4)
	for i := range all {
		n.fail(n.start(all[(i+d.pick[0])%len(all)]))
		if d.pick[1]%2 == 0 {
			time.Sleep(time.Duration(d.pick[2]%700) * time.Millisecond)
		}
	}
	end()
}

func pause(n *Nemesis, m *ensemble.Member, kind string, d draw) {
	end := n.begin(kind, "member %d for %v", m.ID, d.hold)
	n.fail(m.Signal(syscall.SIGSTOP))
	time.Sleep(d.hold)
	n.fail(m.Signal(syscall.SIGCONT))
	end()
}

// rollingRestart restarts everyone in turn, the leader last, and waits for each, but not for ever.
func rollingRestart(n *Nemesis, d draw) {
	end := n.begin("rolling restart", "SIGTERM, leader last")
	defer end()
	var leader *ensemble.Member
	again := func(m *ensemble.Member) {
		n.busy[m.ID].Lock()
		defer n.release(m)
		n.mayEnd(m)
		n.fail(m.Stop())
		n.fail(n.start(m))
		_ = ensemble.Until(20*time.Second, "", func() bool { return m.Mode() != "" })
	}
	for _, m := range n.e.Members() {
		if leader == nil && leads(m) {
			leader = m
		} else {
			again(m)
		}
	}
	if leader != nil {
		again(leader)
	}
}

// reconfigure removes a member from the ensemble, kills it, perhaps takes its data away, starts it anew and adds it again.
func reconfigure(n *Nemesis, d draw) {
	m := n.take(d.pick[0], func(m *ensemble.Member) bool { return d.pick[1]%3 == 0 || !leads(m) })
	if m == nil {
		n.skip("reconfiguration")
		return
	}
	defer n.release(m)
	end := n.begin("reconfiguration", "remove member %d, add it after %v", m.ID, d.hold)
	defer end()
	removed := n.reconfig("", fmt.Sprint(m.ID)) == nil
	n.mu.Lock()
	n.absent[m.ID] = true // or so; adding a member that is there does no harm
	n.mu.Unlock()
	time.Sleep(d.hold / 2)
	n.kill(m)
	if removed && d.pick[2]%2 == 0 {
		n.fail(m.Wipe())
	}
	time.Sleep(d.hold / 2)
	n.fail(n.e.Join(m, n.e.Members()...))
	for range 20 {
		if n.join(m.ID) == nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// join adds a member that runs.
func (n *Nemesis) join(id int) error {
	if err := n.reconfig(n.e.Member(id).Line(), ""); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.absent, id)
	return nil
}

// reconfig changes the membership and asks whether it is so.
func (n *Nemesis) reconfig(joining, leaving string) error {
	s := newSession(n.e.Servers(), 0, n.now, func(string) {})
	defer s.Close()
	q := wire.ReconfigRequest{ConfigID: -1}
	if joining != "" {
		q.Joining = &joining
	}
	if leaving != "" {
		q.Leaving = &leaving
	}
	r := s.Do(wire.OpReconfig, q.Append(nil))
	if r.Fate != Done {
		return fmt.Errorf("reconfig (joining %q, leaving %q): %s, error %d", joining, leaving, r.Fate, r.Code)
	}
	text := string(wire.NewDecoder(r.Body).Buffer())
	if leaving != "" && strings.Contains(text, "server."+leaving+"=") || joining != "" && !strings.Contains(text, joining) {
		return fmt.Errorf("reconfig (joining %q, leaving %q) led to %s", joining, leaving, text)
	}
	return nil
}
