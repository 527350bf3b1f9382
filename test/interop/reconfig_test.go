//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
	"github.com/zkctl/zkctl/wire"
)

const superUser, superDigest = "super:test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="

// TestReconfig leads an ensemble through every kind of change, from one member to five and back to three, while sessions
// write: once of zkservers only, and once for either implementation in the lead of the other.
func TestReconfig(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []ensemble.Kind // of members 1 to 6; 1 leads until it is removed
	}{
		{"zkserver", slices.Repeat([]ensemble.Kind{ensemble.Against()}, 6)},
		{"zkserver leads", []ensemble.Kind{ours, apache, ours, ours, apache, apache}},
		{"apache leads", []ensemble.Kind{apache, ours, apache, apache, ours, ours}},
	} {
		t.Run(c.name, func(t *testing.T) { reconfigure(t, c.kinds) })
	}
}

// growing is an ensemble whose membership changes.
type growing struct {
	*ensemble.Ensemble
	in    []*ensemble.Member // the membership
	load  *workload.Patient
	admin *client.Client
}

func grow(t *testing.T, kinds []ensemble.Kind) *growing {
	e := layOutWith(t, ensemble.Settings{
		TickTime: 200 * time.Millisecond, Dynamic: true,
		Extra: []string{"minSessionTimeout=6000", "maxSessionTimeout=20000", "DigestAuthenticationProvider.superDigest=" + superDigest},
	}, kinds[0])
	must(t, e.Add(kinds[1:]...))
	g := &growing{Ensemble: e, in: []*ensemble.Member{e.Member(1)}}
	must(t, e.Start(1))
	g.agree(t)
	var err error
	g.load, err = workload.StartPatient("/load", 15*time.Second, 3, e.Servers()...)
	must(t, err)
	t.Cleanup(g.load.Stop)
	g.admin, err = client.Connect(e.Connection(), client.Options{SessionTimeout: 15 * time.Second})
	must(t, err)
	t.Cleanup(g.admin.Disconnect)
	g.admin.AddAuth("digest", []byte(superUser))
	return g
}

func reconfigure(t *testing.T, kinds []ensemble.Kind) {
	g := grow(t, kinds)
	m := g.Member
	join := func(ids ...int) {
		t.Helper()
		for _, id := range ids {
			must(t, g.Join(m(id), g.in...))
		}
		for _, id := range ids {
			must(t, ensemble.Until(patience, fmt.Sprintf("member %d follows", id), func() bool { return m(id).Mode() != "" }))
		}
	}
	more := func(id int) {
		t.Helper()
		servers := g.Servers()
		must(t, g.load.Add(2, slices.Concat(servers[id-1:], servers[:id-1])...))
	}
	leads := func() *ensemble.Member {
		t.Helper()
		leader := g.Leader()
		if leader == nil {
			t.Fatalf("nobody leads: %v", g.Modes())
		}
		return leader
	}

	join(2, 3)
	g.change(t, "from 1 to 3", g.byOwn(edits(nil, m(2), m(3))), m(1), m(2), m(3))
	more(2)
	more(3)
	join(4, 5)
	g.change(t, "from 3 to 5", g.byGo(t, m(1), m(2), m(3), m(4), m(5)), m(1), m(2), m(3), m(4), m(5))
	more(4)
	more(5)
	m(5).Observe(true)
	g.change(t, "a voter observes", g.byOwn(edits(nil, m(5))), g.in...)
	m(5).Observe(false)
	g.change(t, "an observer votes", g.byZkcli(t, "reconfig -add "+m(5).Line()), g.in...)
	must(t, m(2).MoveClients())
	g.change(t, "another client port", g.byOwn(edits(nil, m(2))), g.in...)
	must(t, m(3).MoveQuorum())
	g.change(t, "other ports of a follower", g.byOwn(edits(nil, m(3))), g.in...)
	g.during(t, "a member dies", func() { must(t, m(4).Kill()) })
	join(6)
	g.change(t, "the dead one is replaced", g.byOwn(edits([]int{4}, m(6))), m(1), m(2), m(3), m(5), m(6))
	must(t, g.Drop(4))

	old := leads()
	if old != m(1) {
		t.Fatalf("member %d leads", old.ID)
	}
	g.change(t, "the leader is removed", g.byJava(t, "reconfig -remove 1"), m(2), m(3), m(5), m(6))
	g.during(t, "the removed one stops", func() { must(t, old.Stop()) })
	must(t, old.MoveQuorum()) // what comes back is another one
	join(1)
	g.change(t, "it comes back", g.byOwn(edits(nil, old)), append(slices.Clone(g.in), old)...)
	leader := leads()
	must(t, leader.MoveQuorum())
	g.change(t, "other ports of the leader", g.byOwn(edits(nil, leader)), g.in...)
	leader = leads()
	var stay, leave []*ensemble.Member
	for _, member := range g.in {
		if member != leader && len(leave) < 2 {
			leave = append(leave, member)
		} else {
			stay = append(stay, member)
		}
	}
	g.change(t, "from 5 to 3", g.byGo(t, stay...), stay...)
	g.during(t, "the others stop", func() {
		for _, member := range leave {
			must(t, g.Drop(member.ID))
		}
	})
	for _, member := range g.in {
		g.during(t, fmt.Sprintf("member %d starts again", member.ID), func() {
			must(t, member.Stop())
			must(t, member.Start())
		})
	}
	g.conclude(t)
}

// request is a change of the membership that is asked for.
type request func(ctx context.Context) error

// edits is a change server by server.
func edits(leaving []int, joining ...*ensemble.Member) wire.ReconfigRequest {
	q := wire.ReconfigRequest{ConfigID: -1}
	if len(joining) > 0 {
		text := lines(joining)
		q.Joining = &text
	}
	if len(leaving) > 0 {
		var ids []string
		for _, id := range leaving {
			ids = append(ids, strconv.Itoa(id))
		}
		text := strings.Join(ids, ",")
		q.Leaving = &text
	}
	return q
}

func lines(members []*ensemble.Member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.Line())
	}
	return strings.Join(all, ",")
}

// byOwn asks by package client.
func (g *growing) byOwn(q wire.ReconfigRequest) request {
	return func(ctx context.Context) error {
		_, _, err := g.admin.Reconfig(ctx, q)
		return err
	}
}

// byGo asks for a whole membership by github.com/go-zookeeper/zk.
func (g *growing) byGo(t *testing.T, members ...*ensemble.Member) request {
	return func(context.Context) error {
		conn := dial(t, g.addresses()...)
		defer conn.Close()
		must(t, conn.AddAuth("digest", []byte(superUser)))
		_, err := conn.Reconfig([]string{lines(members)}, -1)
		return err
	}
}

// byZkcli asks by typing at zkcli, byJava by typing at zkCli.sh.
func (g *growing) byZkcli(t *testing.T, command string) request {
	return func(context.Context) error {
		zkcli, err := ensemble.ClientBinary()
		must(t, err)
		return typed(exec.Command(zkcli, "-server", strings.Join(g.addresses(), ",")), command)
	}
}

func (g *growing) byJava(t *testing.T, command string) request {
	return func(context.Context) error {
		if err := ensemble.HaveApache(); err != nil {
			need(t, "zkCli.sh", "zookeeper")
		}
		return typed(ensemble.Zkcli(strings.Join(g.addresses(), ",")), command)
	}
}

func typed(cmd *exec.Cmd, command string) error {
	cmd.Stdin = strings.NewReader("addauth digest " + superUser + "\n" + command + "\nquit\n")
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), "Committed new configuration:") {
		err = errors.New("no new membership")
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(string(out), "ConnectionLoss"):
		return &client.Error{Code: wire.ErrConnectionLoss}
	}
	return fmt.Errorf("%s: %w\n%s", command, err, out)
}

// addresses are those of the members.
func (g *growing) addresses() []string {
	var all []string
	for _, m := range g.in {
		if m.Running() {
			all = append(all, m.Addr())
		}
	}
	return all
}

// change asks for a membership, which must then be these members, and everybody's.
func (g *growing) change(t *testing.T, name string, ask request, members ...*ensemble.Member) {
	t.Helper()
	g.during(t, name, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := ask(ctx)
		if client.Code(err) == wire.ErrConnectionLoss || errors.Is(err, zk.ErrConnectionClosed) {
			t.Logf("%s: the answer is lost: %v", name, err)
		} else {
			must(t, err)
		}
		g.in = members
	})
}

// during does something while sessions write, waits until all is well, and checks what the sessions have noticed: each
// is interrupted at most once. With a new leader every connection ends. zkserver is with the new one within milliseconds; a
// session that comes from there to an Apache ZooKeeper, which takes its time, has to go on once more.
func (g *growing) during(t *testing.T, name string, do func()) {
	t.Helper()
	began, leader, apaches := time.Now(), g.Leader(), 0
	for _, m := range g.in {
		if m.Kind == apache {
			apaches++
		}
	}
	g.load.Since()
	do()
	done := time.Since(began)
	g.agree(t)
	must(t, g.load.Progress(3, patience))
	var disconnects, failed, acknowledged int
	most := 1
	if leader != nil && g.Leader() != leader {
		most += apaches
	}
	strains := g.load.Since()
	for i, s := range strains {
		disconnects += s.Disconnects
		failed += s.Failed
		acknowledged += s.Acknowledged
		if s.Interruptions > most || s.Failed > s.Disconnects {
			t.Errorf("%s: session %d was interrupted %d times, and lost %d connections and %d answers",
				name, i, s.Interruptions, s.Disconnects, s.Failed)
		}
	}
	t.Logf("%-28s %6v, all well after %6v; %d sessions, %d reconnections, %d answers lost, %d writes", name,
		done.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond), len(strains), disconnects, failed, acknowledged)
}

// agree waits until each member serves in its role, with the same membership in memory and on disk.
func (g *growing) agree(t *testing.T) string {
	t.Helper()
	var err error
	var text string
	if waited := ensemble.Until(patience, "the members agree", func() bool {
		text, err = g.agreed()
		return err == nil
	}); waited != nil {
		t.Fatalf("%v: %v\n%s", waited, err, g.Logs(30))
	}
	return text
}

func (g *growing) agreed() (text string, err error) {
	leaders := 0
	for _, m := range g.in {
		if !m.Running() {
			continue
		}
		switch mode := m.Mode(); {
		case mode == "leader":
			leaders++
		case mode == "", mode == "observer" != strings.Contains(m.Line(), "observer"):
			return "", fmt.Errorf("member %d is %q", m.ID, mode)
		}
		shown, err := membership(m)
		if err != nil {
			return "", fmt.Errorf("member %d: %w", m.ID, err)
		}
		if text == "" {
			text = shown
		}
		want := strings.Split(lines(g.in), ",")
		slices.Sort(want)
		if at := strings.LastIndex(shown, "\nversion="); shown != text || at < 0 || shown[:at] != strings.Join(want, "\n") {
			return "", fmt.Errorf("member %d shows %q, another one %q, wanted are %q", m.ID, shown, text, want)
		}
		if err := m.CheckFiles(shown); err != nil {
			return "", err
		}
	}
	if leaders != 1 {
		return "", fmt.Errorf("%d leaders", leaders)
	}
	return text, nil
}

// membership is what a member shows at /zookeeper/config.
func membership(m *ensemble.Member) (string, error) {
	c, err := client.Connect(m.Addr(), client.Options{SessionTimeout: 6 * time.Second})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	defer c.Close(ctx)
	text, _, err := c.Config(ctx, false)
	return string(text), err
}

// conclude ends the writing, compares everything, and starts all members from their files alone.
func (g *growing) conclude(t *testing.T) {
	t.Helper()
	g.load.Pause()
	text := g.agree(t)
	tree := dumped(t, g.in[0])
	for _, broken := range g.load.Check(tree) {
		t.Error(broken)
	}
	must(t, g.NoDigestMismatches())
	g.load.Stop()
	g.admin.Close(t.Context())
	must(t, g.StopIdle(patience))
	digest, err := g.SameDiskDigests()
	must(t, err)
	must(t, g.Start())
	if again := g.agree(t); again != text {
		t.Errorf("after a restart the membership is %q, it was %q", again, text)
	}
	tree = dumped(t, g.in[0])
	acknowledged, lost := g.load.Lost(tree)
	for _, name := range lost {
		t.Errorf("lost after a restart: %s", name)
	}
	t.Logf("all of %d acknowledged creates are there; digest %#x; the membership is\n%s", acknowledged, digest, text)
}

// dumped is the tree of a member. A busy machine may need several attempts.
func dumped(t *testing.T, m *ensemble.Member) (tree ensemble.Tree) {
	t.Helper()
	var err error
	if ensemble.Until(2*time.Minute, "the tree", func() bool { tree, err = ensemble.Dump(m.Addr()); return err == nil }) != nil {
		t.Fatal(err)
	}
	return tree
}
