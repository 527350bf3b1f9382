//go:build chaos

package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	minutes = flag.Float64("minutes", 5, "how long to inject faults")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "chooses the faults and their times; what happens in between is up to the machine")
	members = flag.String("members", "zzz", "the members in the order of their ids: z for zkserver, a for Apache ZooKeeper")
	faults  = flag.String("faults", "", "only kinds of faults that contain this text")
	out     = flag.String("out", "", "a directory for the report, and after a failure for logs and histories; a new one otherwise")
)

// TestMain runs everything in a mount namespace of its own. Other programs that copy theirs then hold no disk of a member,
// which would keep its file system from being mounted anew, and nothing stays mounted if this one is killed.
func TestMain(m *testing.M) {
	const inside = "ZKCTL_CHAOS_INSIDE"
	if os.Getuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		args := append([]string{unshare, "--mount", "--propagation", "private", "--"}, os.Args...)
		err = syscall.Exec(unshare, args, append(os.Environ(), inside+"=1"))
	}
	fmt.Fprintln(os.Stderr, "run in a mount namespace of our own:", err)
	os.Exit(1)
}

// TestChaos is the whole of it.
func TestChaos(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces and file systems")
	}
	repeat := fmt.Sprintf("go test -tags chaos ./test/chaos -timeout 0 -v -members %s -minutes %g -faults %q -seed %d", *members, *minutes, *faults, *seed)
	t.Log("to repeat: " + repeat)
	var kinds []ensemble.Kind
	for _, letter := range *members {
		kind := ensemble.Zkserver
		if letter == 'a' {
			kind = ensemble.Apache
			if err := ensemble.HaveApache(); err != nil {
				t.Skip(err)
			}
		}
		kinds = append(kinds, kind)
	}
	c := newCase(t, kinds)
	history := NewHistory()
	clients, err := StartClients(history, c.e.Servers(), !strings.Contains(*members, "a"))
	must(t, err)
	n := c.nemesis(clients.now)
	end := time.Now().Add(time.Duration(*minutes * float64(time.Minute)))
	for round := uint64(0); time.Now().Before(end) && !t.Failed(); round++ {
		if err := n.Round(context.Background(), round, func(kind string) bool { return strings.Contains(kind, *faults) }, history.Acks); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if broken, count := history.Broken(); count > 0 {
			t.Errorf("round %d: %d broken promises, the first: %s", round, count, strings.Join(broken, "\n"))
		}
	}
	clients.Stop()
	report := Report{Title: fmt.Sprintf("members %s, seed %d", *members, *seed), Took: time.Since(clients.began),
		Injected: n.Injected(), Counts: history.counts, Acks: history.acks}
	t.Logf("%s\n%d connections of sessions after their first; chosen faults that found nothing to act on: %v\n", report, clients.moves, n.skipped)
	must(t, os.WriteFile(filepath.Join(c.out, "report.txt"), []byte(report.String()), 0o644))
	c.history = history.ops
	if t.Failed() {
		return
	}
	c.check(clients.now)
}

// testCase is an ensemble with what it lives in.
type testCase struct {
	t       *testing.T
	e       *ensemble.Ensemble
	net     *Switch
	disks   map[int]*Disk
	tick    time.Duration
	out     string
	history []Op
}

func newCase(t *testing.T, kinds []ensemble.Kind) *testCase {
	c := &testCase{t: t, out: *out, disks: make(map[int]*Disk)}
	var err error
	if c.out == "" {
		c.out, err = os.MkdirTemp("", "chaos-report-")
	} else {
		err = os.MkdirAll(c.out, 0o755)
	}
	must(t, err)
	must(t, Sweep())
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", runPrefix, os.Getpid()))
	must(t, err)
	t.Cleanup(func() {
		c.close()
		os.RemoveAll(dir)
	})
	c.net, err = NewSwitch(len(kinds))
	must(t, err)
	var hosts []ensemble.Host
	for i := range kinds {
		hosts = append(hosts, ensemble.Host{Addr: c.net.Addr(i + 1), Run: c.net.Enter(i + 1)})
		c.disks[i+1], err = NewDisk(dir, filepath.Join(dir, fmt.Sprint("member", i+1), "data"))
		must(t, err)
	}
	c.tick = 300 * time.Millisecond
	if slices.Contains(kinds, ensemble.Apache) {
		c.tick = time.Second // a JVM that has just started on a busy machine is slow
	}
	c.e, err = ensemble.New(ensemble.Settings{TickTime: c.tick, Dynamic: true, Hosts: hosts, Dir: dir, Extra: []string{
		"skipACL=yes", // for reconfig without a password
		"snapCount=5000", "preAllocSize=1024", "autopurge.snapRetainCount=3", "autopurge.purgeInterval=1",
	}}, kinds...)
	must(t, err)
	for _, d := range c.disks {
		must(t, d.Sync()) // myid, which power cuts would take
	}
	must(t, c.e.Start())
	must(t, c.e.Await(recovery(c.e)))
	return c
}

func (c *testCase) nemesis(now func() int64) *Nemesis {
	n := &Nemesis{e: c.e, net: c.net, disks: c.disks, seed: *seed, now: now, silence: 10 * c.tick, logf: c.t.Logf, busy: make(map[int]*sync.Mutex),
		skipped: make(map[string]int), absent: make(map[int]bool), stopped: make(map[int]bool)}
	for _, m := range c.e.Members() {
		n.busy[m.ID] = new(sync.Mutex)
	}
	return n
}

// check is what must be true when everything is healed and no client is left.
func (c *testCase) check(now func() int64) {
	t := c.t
	time.Sleep(2 * sessionTimeout) // sessions that were left to themselves expire; an early look would only be repeated
	began := time.Now()
	tree, err := c.e.SameTrees()
	for range 2 {
		if err == nil {
			break
		}
		t.Logf("read once more, as a session may have ended, or a slow machine cost a connection: %v", err)
		tree, err = c.e.SameTrees()
	}
	if err != nil {
		t.Error(err)
		return
	}
	t.Logf("%d znodes, the same on all members, read in %v", len(tree), time.Since(began).Round(time.Second))
	c.checkDigests()
	end := now()
	last, broken := Final(c.history, tree, end)
	c.history = append(Settle(c.history, tree, end), last...)
	for _, line := range broken[:min(len(broken), 20)] {
		t.Error(line)
	}
	began = time.Now()
	const limit = time.Minute // for each; they need milliseconds
	explained, others := Check(c.history, limit)
	for _, v := range others {
		what := "no order of these operations explains their answers"
		if v.Result == porcupine.Unknown {
			what = fmt.Sprintf("not checked within %v", limit)
		}
		file := filepath.Join(c.out, "history-"+v.Kind+"-"+v.Key+".json")
		must(t, Save(file, v.Ops))
		t.Errorf("%s %s: %s: %d operations, in %s", v.Kind, v.Key, what, len(v.Ops), file)
	}
	t.Logf("explained operations by kind of history: %v, in %v", explained, time.Since(began).Round(time.Millisecond))
	for _, m := range c.e.Members() {
		if m.LogHas("panic:") || m.LogHas("fatal error:") {
			t.Errorf("member %d has panicked", m.ID)
		}
		must(t, m.Kill())
	}
	c.checkDisks()
}

// checkDisks demands that all zkserver members have the same tree on disk. The log of an Apache ZooKeeper member may go back
// (see checkDigests), and then says nothing.
func (c *testCase) checkDisks() {
	digests := make(map[uint64][]int)
	for _, m := range c.e.Members() {
		digest, err := m.DiskDigest()
		switch {
		case err == nil:
			digests[digest] = append(digests[digest], m.ID)
		case ours(m):
			c.t.Error(err)
		default:
			c.t.Log(err)
		}
	}
	if len(digests) != 1 {
		c.t.Errorf("members have different trees on disk (digest: members): %#v", digests)
	}
	c.t.Logf("digest of the tree on disk, and the members that have it: %#v", digests)
}

// checkDigests demands that no zkserver member has seen a txn whose digest was not that of its tree. Apache ZooKeeper's are
// told only: one that loses its leader with txns logged and not applied logs them again behind the next one, and finds
// when it restarts that its own log goes back. If it leads after that, its txns carry the digest that it is left with, so that
// what the others see is told only, too; the trees are compared anyway.
func (c *testCase) checkDigests() {
	astray := false
	for _, m := range c.e.Members() {
		if !ours(m) && m.LogHas("Digests are not matching") {
			c.t.Logf("member %d (%v) has found in the course that the digest of its tree was not that of a txn", m.ID, m.Kind)
			astray = true
		}
	}
	for _, m := range c.e.Members() {
		n, err := m.DigestMismatches()
		switch {
		case err != nil:
			c.t.Error(err)
		case n > 0 && ours(m) && !astray:
			c.t.Errorf("member %d saw %d txns with another digest than its tree's", m.ID, n)
		case n > 0:
			c.t.Logf("member %d (%v) saw %d txns with another digest than its tree's", m.ID, m.Kind, n)
		}
	}
}

// close takes everything down; after a failure it leaves what is needed to understand it.
func (c *testCase) close() {
	if c.e != nil {
		for _, d := range c.disks {
			_ = d.Thaw() // a frozen one would keep its member from ending
			_ = d.Throttle(0)
		}
		if c.t.Failed() {
			for _, m := range c.e.Members() {
				if text, err := os.ReadFile(m.LogFile()); err == nil {
					_ = os.WriteFile(filepath.Join(c.out, fmt.Sprintf("member%d.log", m.ID)), text, 0o644)
				}
			}
			_ = Save(filepath.Join(c.out, "history.json"), c.history)
			c.t.Logf("logs and histories are in %s", c.out)
		}
		if err := c.e.Close(); err != nil {
			c.t.Error(err)
		}
	}
	for _, d := range c.disks {
		if err := d.Close(); err != nil {
			c.t.Error(err)
		}
	}
	if c.net != nil {
		if err := c.net.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
