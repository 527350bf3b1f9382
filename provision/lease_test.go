package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// elsewhere is this machine as one of several hosts: what zkctl keeps in /var/lib it finds in a directory of its own.
type elsewhere struct {
	remote.Host
	dir  string
	gone *atomic.Bool
}

func (h *elsewhere) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	if h.gone.Load() {
		return remote.Result{}, &remote.ConnError{Host: h.Name(), Step: cmd.Label, Kind: remote.ErrUnreachable}
	}
	cmd.Root = false
	move := strings.NewReplacer("/var/lib/zkctl", h.dir)
	cmd.Script = move.Replace(cmd.Script)
	args := make([]string, len(cmd.Args))
	for i, a := range cmd.Args {
		args[i] = move.Replace(a)
	}
	cmd.Args = args
	return h.Host.Run(ctx, cmd)
}

// fleet is an ensemble of three hosts that keep locks, and nothing else.
type fleet struct {
	t    *testing.T
	dir  string
	gone map[string]*atomic.Bool
}

func newFleet(t *testing.T) *fleet {
	return &fleet{t, t.TempDir(), map[string]*atomic.Bool{"a": {}, "b": {}, "c": {}}}
}

func (f *fleet) run(holder string) *Run {
	f.t.Helper()
	inv, err := inventory.Parse("inventory.yaml", []byte(`name: fleet
hosts:
  - {name: a, address: 10.0.0.1, id: 1}
  - {name: b, address: 10.0.0.2, id: 2}
  - {name: c, address: 10.0.0.3, id: 3}
`))
	if err != nil {
		f.t.Fatal(err)
	}
	r := &Run{Inventory: inv, Holder: holder, Verb: "test", ID: holder, Parallel: 3, Lease: time.Minute,
		Connect: func(h inventory.Host) (remote.Host, error) {
			return &elsewhere{remote.NewLocal(h.Name, remote.Become{None: true}), filepath.Join(f.dir, h.Name), f.gone[h.Name]}, nil
		}}
	f.t.Cleanup(r.Close)
	return r
}

func (f *fleet) history(host string) string {
	b, _ := os.ReadFile(filepath.Join(f.dir, host, "fleet/history"))
	return string(b)
}

// Of two operators who begin at once exactly one goes on; the other is told who that is.
func TestOneHolder(t *testing.T) {
	f := newFleet(t)
	for round := range 5 {
		var inside, most, done atomic.Int32
		var mu sync.Mutex
		var refused []error
		var group sync.WaitGroup
		release := make(chan struct{})
		for i := range 2 {
			r := f.run(fmt.Sprintf("operator%d@desk", i))
			group.Go(func() {
				err := r.locked(t.Context(), nil, nil, func(context.Context) error {
					most.Store(max(most.Load(), inside.Add(1)))
					defer inside.Add(-1)
					<-release
					done.Add(1)
					return nil
				})
				if err != nil {
					mu.Lock()
					refused = append(refused, err)
					mu.Unlock()
					close(release)
				}
			})
		}
		group.Wait()
		var locked *LockedError
		if most.Load() != 1 || done.Load() != 1 || len(refused) != 1 || !errors.As(refused[0], &locked) {
			t.Fatalf("round %d: %d at once, %d done, refused %v", round, most.Load(), done.Load(), refused)
		}
		if !strings.HasPrefix(locked.Holder, "operator") || !strings.HasSuffix(locked.Holder, "@desk") {
			t.Errorf("holder %q", locked.Holder)
		}
	}
	if h := f.history("a"); !strings.Contains(h, " test: begins by operator") || !strings.Contains(h, " test: ok by ") {
		t.Errorf("history:\n%s", h)
	}
}

// A host that is gone does not keep anybody from working; a lock whose holder is gone ends by itself.
func TestLockWithoutAHost(t *testing.T) {
	f := newFleet(t)
	f.gone["b"].Store(true)
	first := f.run("first")
	if _, err := first.acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.gone["b"].Store(false)
	second := f.run("second")
	_, err := second.acquire(t.Context(), nil)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Holder != "first" || fmt.Sprint(locked.Hosts) != "[a c]" {
		t.Errorf("while it is held: %v", err)
	}
	for _, l := range second.ShowLock(t.Context()) {
		if want := l.Host != "b"; l.Held != want || want && l.Holder != "first" {
			t.Errorf("%+v", l)
		}
	}
	// Nobody renews it, and its time runs out.
	for _, host := range []string{"a", "c"} {
		edit(t, filepath.Join(f.dir, host, "fleet/lock/1"), "until=", "until=1\nwas=")
	}
	if _, err := second.acquire(t.Context(), map[string]int{"a": 1, "c": 1}); err != nil {
		t.Fatal(err)
	}
	// The first one is not dead after all: its fence holds it back, and it cannot renew.
	if n := first.renew(t.Context(), 60, ""); n >= 0 {
		t.Errorf("the first one renewed a lock that it has lost: %d", n)
	}
	h, err := first.host(first.Inventory.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), remote.Command{Label: "stop", Script: first.fence(first.Inventory.Hosts[0]) + "echo stopped"}); err == nil {
		t.Error("the fence lets a holder through that has lost the lock")
	}
	if _, err := h.Run(t.Context(), remote.Command{Label: "stop", Script: second.fence(first.Inventory.Hosts[0]) + "echo stopped"}); err != nil {
		t.Errorf("the fence stops who has the lock: %v", err)
	}
	// So it does with everything else that it would change.
	file := filepath.Join(f.dir, "zoo.cfg")
	for _, c := range []struct {
		r       *Run
		content string
		refused bool
	}{{second, "second", false}, {first, "first", true}} {
		write := hostprep.Change{Kind: hostprep.WriteFile, Target: file, Summary: "write it", After: []byte(c.content)}
		if err := c.r.change(t.Context(), "files", c.r.Inventory.Hosts[0], write); (err != nil) != c.refused {
			t.Errorf("%s writes: %v", c.content, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "second" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}

// A host on which the lock cannot be written, as with a full disk, keeps nobody from working either, as long as a majority holds it.
func TestLockThatCannotBeWritten(t *testing.T) {
	f := newFleet(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(f.dir, "b"), nil, 0o600)) // where a directory should be
	r := f.run("first")
	var warned []string
	r.Report = func(e Event) {
		if e.Kind == Warning {
			warned = append(warned, e.Text)
		}
	}
	must(r.locked(t.Context(), nil, nil, func(context.Context) error { return nil }))
	if len(warned) != 1 || !strings.Contains(warned[0], "b: take the lock") {
		t.Errorf("warned of %q", warned)
	}
	var ran *remote.ExitError
	nothing := func(context.Context) error { t.Error("it was begun"); return nil }
	if err := f.run("changes").locked(t.Context(), map[string]int{"a": 1, "b": 0, "c": 1}, nil, nothing); !errors.As(err, &ran) {
		t.Errorf("an operation that changes b: %v", err)
	}
	limited := f.run("limited")
	limited.Limit = []string{"a", "c"}
	must(limited.locked(t.Context(), map[string]int{"a": 2, "b": 0, "c": 2}, nil, func(context.Context) error { return nil }))
	must(os.RemoveAll(filepath.Join(f.dir, "c")))
	must(os.WriteFile(filepath.Join(f.dir, "c"), nil, 0o600))
	if _, err := f.run("second").acquire(t.Context(), nil); !errors.As(err, &ran) {
		t.Errorf("on one of three: %v", err)
	}
	if l := f.run("third").ShowLock(t.Context()); l[0].Held {
		t.Errorf("the lock that was not got is held: %+v", l[0])
	}
}

// A host that is gone does not keep the lock from being broken; that all are gone is an error, and no lock that nobody has.
func TestBreakLockWithoutAHost(t *testing.T) {
	f := newFleet(t)
	if _, err := f.run("first").acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.gone["b"].Store(true)
	admin := f.run("admin")
	var warned []string
	admin.Report = func(e Event) {
		if e.Kind == Warning {
			warned = append(warned, e.Host)
		}
	}
	if err := admin.BreakLock(t.Context()); err != nil || !slices.Equal(warned, []string{"b"}) {
		t.Errorf("%v, warned of %v", err, warned)
	}
	if _, err := f.run("second").acquire(t.Context(), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	for _, g := range f.gone {
		g.Store(true)
	}
	if err := admin.BreakLock(t.Context()); !remote.NeverRan(err) {
		t.Errorf("without any host: %v", err)
	}
	for _, l := range admin.ShowLock(t.Context()) {
		if l.Held || !remote.NeverRan(l.Cause) {
			t.Errorf("%+v", l)
		}
	}
}

// An operation that loses its lock changes nothing more.
func TestLostLock(t *testing.T) {
	f := newFleet(t)
	r := f.run("first")
	r.Lease = 2 * time.Second
	err := r.locked(t.Context(), nil, nil, func(ctx context.Context) error {
		if err := f.run("admin").BreakLock(ctx); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if !errors.Is(err, ErrLostLock) {
		t.Errorf("error %v", err)
	}
	// What nobody reaches cannot be renewed either.
	r = f.run("second")
	r.Lease = time.Second
	err = r.locked(t.Context(), nil, nil, func(ctx context.Context) error {
		for _, g := range f.gone {
			g.Store(true)
		}
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, ErrLostLock) {
		t.Errorf("out of reach: %v", err)
	}
}

// A holder whose time is over changes nothing, also of what is not to be interrupted, before any timer has noticed: this
// machine may have slept.
func TestNoChangeAfterTheLease(t *testing.T) {
	f := newFleet(t)
	r := f.run("first")
	err := r.locked(t.Context(), nil, nil, func(ctx context.Context) error {
		made := filepath.Join(f.dir, "made")
		touch := hostprep.Change{Kind: hostprep.RunScript, Summary: "touch a file", Args: []string{made}, Script: `: >"$1"`}
		r.lease.lasts(time.Now().Round(0).Add(-time.Second))
		if err := r.change(context.WithoutCancel(ctx), "test", r.Inventory.Hosts[0], touch); !errors.Is(err, ErrLostLock) {
			t.Errorf("a change after the end: %v", err)
		}
		if _, err := os.Stat(made); err == nil {
			t.Error("it was made")
		}
		r.lease.lasts(time.Now().Add(time.Minute))
		return r.change(ctx, "test", r.Inventory.Hosts[0], touch)
	})
	if err != nil {
		t.Error(err)
	}
}

// On a host that was too late to be counted, whoever has the lock there is let alone.
func TestFenceOfALateHost(t *testing.T) {
	f := newFleet(t)
	f.gone["b"].Store(true)
	r := f.run("first")
	if _, err := r.acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.gone["b"].Store(false)
	b := r.Inventory.Hosts[1]
	h, err := r.host(b)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(wanted bool, how string) {
		t.Helper()
		if _, err := h.Run(t.Context(), remote.Command{Label: "stop", Script: r.fence(b) + "echo stopped"}); (err == nil) != wanted {
			t.Errorf("%s: %v", how, err)
		}
	}
	stop(true, "nobody has a lock there")
	lock := filepath.Join(f.dir, "b/fleet/lock")
	if err := os.MkdirAll(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	for how, c := range map[string]struct {
		token, until string
		wanted       bool
	}{
		"somebody else has it": {"another", "99999999999", false}, "it has ended": {"another", "1", true}, "it is ours": {r.lease.tokenOn(b), "99999999999", true},
	} {
		if err := os.WriteFile(filepath.Join(lock, "7"), []byte("token="+c.token+"\nholder=x\nsince=1\nuntil="+c.until+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		stop(c.wanted, how)
	}
}

// Who has the majority gets the lock on the rest as well: at once where its holder is gone, as soon as it is given back where he
// came too late, and not at all where he may be at work.
func TestLockOfTheRest(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	alive := newToken() + "+1"
	for how, c := range map[string]struct {
		token  string
		given  bool
		wanted bool
	}{
		"its holder is gone":      {strings.Replace(alive, fmt.Sprintf(".%d.", os.Getpid()), fmt.Sprintf(".%d.", dead.Process.Pid), 1), false, true},
		"it is given back":        {alive, true, true},
		"its holder may be there": {alive, false, false},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			lock := filepath.Join(f.dir, "b/fleet/lock")
			if err := os.MkdirAll(lock, 0o700); err != nil {
				t.Fatal(err)
			}
			write := func(until string) {
				if err := os.WriteFile(filepath.Join(lock, "7"), []byte("token="+c.token+"\nholder=x\nsince=1\nuntil="+until+"\n"), 0o600); err != nil {
					t.Error(err)
				}
			}
			write("99999999999")
			r := f.run("second")
			if c.given {
				time.AfterFunc(300*time.Millisecond, func() { write("0") })
			}
			_, err := r.acquire(t.Context(), nil)
			if !c.wanted {
				if locked := (*LockedError)(nil); !errors.As(err, &locked) || locked.Holder != "x" || !slices.Equal(locked.Hosts, []string{"b"}) {
					t.Errorf("%v", err)
				}
				if _, err := f.run("third").acquire(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "locked by x") {
					t.Errorf("what the second one had was not given back: %v", err)
				}
				return
			}
			if err != nil || len(r.lease.generations) != 3 {
				t.Fatalf("%v, %+v", err, r.lease)
			}
			b := r.Inventory.Hosts[1]
			h, err := r.host(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Run(t.Context(), remote.Command{Label: "stop", Script: r.fence(b) + "echo stopped"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Somebody else was at work between looking and locking.
func TestRacedLock(t *testing.T) {
	f := newFleet(t)
	nothing := func(context.Context) error { return nil }
	if err := f.run("first").locked(t.Context(), nil, nil, nothing); err != nil {
		t.Fatal(err)
	}
	for seen, want := range map[int]bool{0: true, 1: false} {
		raced := false
		err := f.run("second").locked(t.Context(), map[string]int{"a": seen, "b": seen, "c": seen},
			func(context.Context) error { raced = true; return nil }, nothing)
		if err != nil || raced != want {
			t.Errorf("seen %d: raced %v, %v", seen, raced, err)
		}
		for _, host := range []string{"a", "b", "c"} { // back to generation 1
			dir := filepath.Join(f.dir, host, "fleet/lock")
			if err := os.Rename(filepath.Join(dir, "2"), filepath.Join(dir, "1")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Two names for one machine are no two machines.
func TestOneMachineUnderTwoNames(t *testing.T) {
	f := newFleet(t)
	if err := os.Symlink("a", filepath.Join(f.dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(f.dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := f.run("me").locked(t.Context(), nil, nil, func(context.Context) error {
			t.Error("goes on")
			return nil
		})
		if refused := (*RefusedError)(nil); !errors.As(err, &refused) || refused.Host != "a" && refused.Host != "b" || refused.Remedy == "" {
			t.Errorf("%v", err)
		}
	}
	for _, l := range f.run("me").ShowLock(t.Context()) {
		if l.Held {
			t.Errorf("still held: %+v", l)
		}
	}
}

// A connection that is lost may hide that the lock was made; asked again, the host shows our own.
func TestLockOfALostAnswer(t *testing.T) {
	f := newFleet(t)
	r := f.run("me")
	connect := r.Connect
	r.Connect = func(h inventory.Host) (remote.Host, error) {
		host, err := connect(h)
		return twice{host}, err
	}
	if _, err := r.acquire(t.Context(), nil); err != nil || len(r.lease.generations) != 3 {
		t.Fatal(err)
	}
	if n := r.renew(t.Context(), 0, ""); n < 2 {
		t.Errorf("given back on %d hosts", n)
	}
}

// twice runs every command twice, and returns what comes of the second time.
type twice struct{ remote.Host }

func (h twice) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	if res, err := h.Host.Run(ctx, cmd); err != nil {
		return res, err
	}
	return h.Host.Run(ctx, cmd)
}

// The lock of a run that was killed on this machine is taken over at once.
func TestLockOfTheDead(t *testing.T) {
	f := newFleet(t)
	first := f.run("first")
	if _, err := first.acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	second := f.run("second")
	var locked *LockedError
	if _, err := second.acquire(t.Context(), nil); !errors.As(err, &locked) {
		t.Errorf("while the first one lives: %v", err)
	}
	dead := strings.Replace(first.lease.token, fmt.Sprintf(".%d.", os.Getpid()), fmt.Sprintf(".%d.", gone.Process.Pid), 1)
	if dead == first.lease.token {
		t.Fatalf("token %s", dead)
	}
	for _, host := range []string{"a", "b", "c"} {
		edit(t, filepath.Join(f.dir, host, "fleet/lock/1"), first.lease.token, dead)
	}
	if _, err := second.acquire(t.Context(), nil); err != nil {
		t.Errorf("after its death: %v", err)
	}
	if holderIsGone("elsewhere.1.x") || holderIsGone("") || holderIsGone(newToken()) {
		t.Error("somebody is thought to be gone who may be there")
	}
}
