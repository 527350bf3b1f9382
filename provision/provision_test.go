package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// site is an ensemble of stand-in servers on this machine, in directories and on ports of its own.
type site struct {
	t     *testing.T
	dir   string
	ports []int
	extra string
	// serverExtra are further lines of the section server.
	serverExtra string
	// paths are further ones of the section server.
	paths  string
	counts map[string]*remote.Counter
	events []Event
	mu     sync.Mutex
	server bundle.Program
}

// long marks a test of many steps, which the quick tests leave out.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

var self = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func newSite(t *testing.T, members int) *site {
	t.Helper()
	plain, err := self()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), server: bundle.New(plain)}
	for range 3 * members {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s.ports = append(s.ports, l.Addr().(*net.TCPAddr).Port)
	}
	t.Cleanup(func() {
		r := s.run()
		defer r.Close()
		if _, err := r.Stop(context.Background(), nil, true); err != nil {
			t.Logf("stop at the end: %v", err)
		}
	})
	return s
}

func (s *site) inventory() *inventory.Inventory {
	s.t.Helper()
	text := `name: site
connection: local
server:
  paths: {data: "{{ .name }}/data", ` + s.paths + `install: "{{ .name }}/install", config: "{{ .name }}/conf", log: "{{ .name }}/log"}
` + s.serverExtra + `system: {service_manager: supervisor, min_free_mib: 1}
` + s.extra + "hosts:\n"
	for i := range len(s.ports) / 3 {
		text += fmt.Sprintf("  - {name: m%d, id: %d, server: {ports: {client: %d, peer: %d, election: %d, metrics: 0}}}\n",
			i+1, i+1, s.ports[3*i], s.ports[3*i+1], s.ports[3*i+2])
	}
	inv, err := inventory.Parse(filepath.Join(s.dir, "inventory.yaml"), []byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	return inv
}

// run prepares an operation; its hosts count what is done to them.
func (s *site) run() *Run {
	s.counts = map[string]*remote.Counter{}
	s.events = nil
	return &Run{
		Inventory: s.inventory(),
		Connect: func(h inventory.Host) (remote.Host, error) {
			s.counts[h.Name] = remote.Count(remote.NewLocal(h.Name, remote.Become{None: true}))
			return s.counts[h.Name], nil
		},
		Server:  func(inventory.Host, string) (bundle.Program, error) { return s.server, nil },
		Version: "1.0", Probe: FourLetters(direct), Parallel: 10, ReadyTimeout: 30 * time.Second, Deadline: 5 * time.Second,
		Canary: func(context.Context, []inventory.Host) error { return nil },
		Report: func(e Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	}
}

func (s *site) bootstrap() *Outcome {
	s.t.Helper()
	r := s.run()
	defer r.Close()
	out, err := r.Bootstrap(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// writes is the number of changing calls to all hosts in the last run.
func (s *site) writes() int {
	n := 0
	for _, c := range s.counts {
		n += c.Writes()
	}
	return n
}

// pid is a member's server process, "" if it does not run.
func (s *site) pid(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name, "data/zookeeper_server.pid"))
	return string(b)
}

func TestBootstrap(t *testing.T) {
	s := newSite(t, 3)
	r := s.run()
	defer r.Close()
	r.DryRun = true
	planned, err := r.Bootstrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if planned.Nothing() || s.writes() != 0 {
		t.Errorf("dry run: %d changes planned, %d writes", planned.Plan.Len(), s.writes())
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 0 {
		t.Errorf("the dry run left %v", entries)
	}
	var text strings.Builder
	planned.Plan.Print(&text)
	for _, want := range []string{"push zkserver", "+server.1=", "+++ "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the plan:\n%s", want, text.String())
		}
	}

	out := s.bootstrap()
	if out.Verdict.Health != Healthy || out.Verdict.Leader != "m3" {
		t.Errorf("verdict %+v", out.Verdict)
	}
	if !slices.Equal(out.Starts, []string{"m1", "m2", "m3"}) {
		t.Errorf("started %v", out.Starts)
	}

	pids := []string{s.pid("m1"), s.pid("m2"), s.pid("m3")}
	again := s.bootstrap()
	if !again.Nothing() || s.writes() != 0 {
		t.Errorf("the second run: %d changes, starts %v, restarts %v, %d writes", again.Plan.Len(), again.Starts, again.Restarts, s.writes())
	}
	if now := []string{s.pid("m1"), s.pid("m2"), s.pid("m3")}; !slices.Equal(now, pids) {
		t.Errorf("processes %v, were %v", now, pids)
	}
}

// A changed setting is written everywhere and taken into force by restarts one at a time, the leader last.
func TestBootstrapRestartsRolling(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	s.extra = "zoo_cfg: {maxClientCnxns: 77}\n"
	out := s.bootstrap()
	if len(out.Restarts) != 3 || len(out.Starts) != 0 {
		t.Errorf("restarts %v, starts %v", out.Restarts, out.Starts)
	}
	var order []string
	for _, e := range s.events {
		if e.Kind == HostBegins && e.Step == stepRestart {
			order = append(order, e.Host)
		}
	}
	if !slices.Equal(order, []string{"m1", "m2", "m3"}) {
		t.Errorf("restarted in the order %v", order)
	}
	if again := s.bootstrap(); !again.Nothing() {
		t.Errorf("then there is still something to do: %v", again.Restarts)
	}
	// A new server is pushed beside the old one, and both stay.
	plain, err := s.server.Plain()
	if err != nil {
		t.Fatal(err)
	}
	s.server = bundle.New(append(slices.Clone(plain), "new"...))
	out = s.bootstrap()
	if len(out.Restarts) != 3 {
		t.Errorf("restarts %v", out.Restarts)
	}
	if releases, _ := os.ReadDir(filepath.Join(s.dir, "m1/install/releases")); len(releases) != 2 {
		t.Errorf("releases %v", releases)
	}
	if again := s.bootstrap(); !again.Nothing() {
		t.Errorf("then there is still something to do: %d changes, %v", again.Plan.Len(), again.Restarts)
	}
}

// Of a release with two programs, the server and zkcli, an apply makes one of a single program and a link. A link that is lost
// is made anew, and nothing else.
func TestClientIsLink(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	install := filepath.Join(s.dir, "m1/install")
	client := filepath.Join(install, "current/bin/zkcli")
	check := func(what string) {
		t.Helper()
		if to, err := os.Readlink(client); to != "zkserver" {
			t.Errorf("%s: zkcli leads to %q, %v", what, to, err)
		}
		if out, err := exec.Command(client).CombinedOutput(); err != nil {
			t.Errorf("%s: zkcli: %v\n%s", what, err, out)
		}
		if again := s.bootstrap(); !again.Nothing() {
			t.Errorf("%s: then there is still something to do: %v, %v", what, again.Plan, again.Restarts)
		}
	}
	check("first")

	plain, err := s.server.Plain()
	if err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(install, "releases/0.9-0123456789ab")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(before, "bin"), 0o755))
	must(os.WriteFile(filepath.Join(before, "bin/zkserver"), append(slices.Clone(plain), "before"...), 0o755))
	must(os.WriteFile(filepath.Join(before, "bin/zkcli"), append(slices.Clone(plain), "before, too"...), 0o755))
	must(os.Remove(filepath.Join(install, "current")))
	must(os.Symlink("releases/"+filepath.Base(before), filepath.Join(install, "current")))
	out := s.bootstrap()
	if why := out.Restarts["m1"]; why != "the server changes" || len(out.Restarts) != 1 {
		t.Errorf("restarts %v", out.Restarts)
	}
	check("after two programs")
	if _, err := os.Stat(filepath.Join(before, "bin/zkcli")); err != nil {
		t.Error("the release of before has changed:", err)
	}

	must(os.Remove(client))
	out = s.bootstrap()
	if out.Plan.Len() != 1 || len(out.Restarts) != 0 {
		t.Errorf("without the link: %d changes, restarts %v", out.Plan.Len(), out.Restarts)
	}
	check("after the loss of the link")
}

// A bootstrap that is cut off after any number of events is finished by the next one.
func TestBootstrapIsResumable(t *testing.T) {
	long(t)
	whole := false
	for cut := 1; !whole; cut += 31 {
		t.Run(fmt.Sprintf("after event %d", cut), func(t *testing.T) {
			s := newSite(t, 3)
			r := s.run()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			seen := 0
			r.Report = func(Event) {
				if seen++; seen == cut {
					cancel(errors.New("cut off"))
				}
			}
			_, err := r.Bootstrap(ctx)
			r.Close()
			whole = err == nil
			if out := s.bootstrap(); out.Verdict.Health != Healthy {
				t.Fatalf("the next run ends with %+v", out.Verdict)
			}
			if again := s.bootstrap(); !again.Nothing() {
				t.Fatalf("the run after the next still finds %d changes, %v", again.Plan.Len(), again.Restarts)
			}
		})
	}
}

func TestRollingRestart(t *testing.T) {
	s := newSite(t, 3)
	s.bootstrap()
	pids := []string{s.pid("m1"), s.pid("m2"), s.pid("m3")}
	r := s.run()
	defer r.Close()
	out, err := r.RollingRestart(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Order, []string{"m1", "m2", "m3"}) || out.Resumed {
		t.Errorf("order %v, resumed %v", out.Order, out.Resumed)
	}
	for i, name := range []string{"m1", "m2", "m3"} {
		if s.pid(name) == pids[i] || s.pid(name) == "" {
			t.Errorf("%s: process %s, was %s", name, s.pid(name), pids[i])
		}
	}
	if marks, _ := filepath.Glob(filepath.Join(s.dir, "*/install/.rolling*")); len(marks) != 0 {
		t.Errorf("marks left: %v", marks)
	}
}

// After a failure in the middle the ensemble serves, and the next run goes on with the members that are left.
func TestRollingRestartGoesOn(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	broken := errors.New("the canary says no")
	calls := 0
	r.Canary = func(context.Context, []inventory.Host) error {
		if calls++; calls == 2 {
			return broken
		}
		return nil
	}
	_, err := r.RollingRestart(t.Context(), nil, false)
	var partial *PartialError
	if !errors.Is(err, broken) || !errors.As(err, &partial) || !slices.Equal(partial.Done, []string{"m1"}) || !slices.Equal(partial.Left, []string{"m2", "m3"}) {
		t.Fatalf("error %v", err)
	}
	m1 := s.pid("m1")
	r = s.run()
	defer r.Close()
	out, err := r.RollingRestart(t.Context(), nil, false)
	if err != nil || !out.Resumed || !slices.Equal(out.Order, []string{"m2", "m3"}) {
		t.Errorf("%+v, %v", out, err)
	}
	if s.pid("m1") != m1 {
		t.Error("m1 was restarted twice")
	}
}

// An interruption ends a rolling restart between two members, never between the halves of a restart.
func TestInterruptedRollingRestart(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	connect := r.Connect
	r.Connect = func(h inventory.Host) (remote.Host, error) {
		host, err := connect(h)
		return &interruptedHost{host, func() { cancel(errors.New("interrupted")) }}, err
	}
	_, err := r.RollingRestart(ctx, nil, false)
	if err == nil || !strings.Contains(err.Error(), "interrupted") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v", err)
	}
	if s.pid("m1") == "" {
		t.Error("m1 is left stopped")
	}
	r = s.run()
	defer r.Close()
	if out, err := r.RollingRestart(t.Context(), nil, false); err != nil || out.Verdict.Health != Healthy {
		t.Errorf("the next run: %+v, %v", out, err)
	}
}

// interruptedHost interrupts the operation as soon as a service is called.
type interruptedHost struct {
	remote.Host
	interrupt func()
}

func (h *interruptedHost) Run(ctx context.Context, c remote.Command) (remote.Result, error) {
	if strings.Contains(c.Label, "the server") {
		h.interrupt()
	}
	return h.Host.Run(ctx, c)
}

// Where a run was cut off while a member was stopped, the next one begins with that member instead of refusing.
func TestRollingRestartGoesOnWithAStoppedMember(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	if _, err := r.Stop(t.Context(), []string{"m2"}, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m2", "m3"} {
		if err := os.WriteFile(filepath.Join(s.dir, name, "install/.rolling-restart"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := r.RollingRestart(t.Context(), nil, false)
	if err != nil || !slices.Equal(out.Order, []string{"m2", "m3"}) || !out.Resumed {
		t.Errorf("%+v, %v", out, err)
	}
}

// A whole ensemble is started as a bootstrap starts it: those that come later find a leader.
func TestStartWaitsForALeader(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	if _, err := r.Stop(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	r = s.run()
	defer r.Close()
	probe := r.Probe
	var mu sync.Mutex
	led := false
	r.Probe = func(ctx context.Context, h inventory.Host) Observation {
		o := probe(ctx, h)
		mu.Lock()
		defer mu.Unlock()
		if o.State == Leader && s.pid("m3") == "" {
			led = true
		}
		return o
	}
	if _, err := r.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !led {
		t.Error("m3 was started before m1 and m2 had a leader")
	}
}

// Who starts a server by hand at the same time does what was wanted.
func TestStartOfWhatRunsMeanwhile(t *testing.T) {
	s := newSite(t, 1)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	members, err := r.observeServices(t.Context(), r.Inventory.Hosts)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.call(t.Context(), stepStart, members[0], "start"); err != nil {
		t.Error(err)
	}
}

// A host that is gone keeps neither stop nor start from doing what can be done, and is told of.
func TestStartWithoutAHost(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	s.bootstrap()
	gone := &remote.ConnError{Host: "m2", Step: "connect", Kind: remote.ErrUnreachable}
	without := func() *Run {
		r := s.run()
		connect := r.Connect
		r.Connect = func(h inventory.Host) (remote.Host, error) {
			if h.Name == "m2" {
				return nil, gone
			}
			return connect(h)
		}
		return r
	}
	r := without()
	defer r.Close()
	out, err := r.Stop(t.Context(), nil, false)
	if !errors.Is(err, remote.ErrUnreachable) || !slices.Equal(out.Stops, []string{"m1", "m3"}) {
		t.Errorf("stop: %v, %v", out, err)
	}
	r = without()
	defer r.Close()
	out, err = r.Start(t.Context(), nil)
	if !errors.Is(err, remote.ErrUnreachable) || !slices.Equal(out.Starts, []string{"m1", "m3"}) || out.Verdict.Health != Healthy {
		t.Errorf("start: %+v, %v", out, err)
	}
	r = without()
	defer r.Close()
	out, err = r.Restart(t.Context(), nil, false)
	if !errors.Is(err, remote.ErrUnreachable) || !slices.Equal(out.Stops, []string{"m1", "m3"}) || out.Verdict.Health != Healthy {
		t.Errorf("restart: %+v, %v", out, err)
	}
}

func TestRollingRestartRefuses(t *testing.T) {
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	if _, err := r.Stop(t.Context(), []string{"m2"}, false); err != nil {
		t.Fatal(err)
	}
	pids := []string{s.pid("m1"), s.pid("m3")}
	_, err := r.RollingRestart(t.Context(), nil, false)
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "2 of 3 voters serve") || !strings.Contains(err.Error(), "m2") {
		t.Errorf("error %v", err)
	}
	if now := []string{s.pid("m1"), s.pid("m3")}; !slices.Equal(now, pids) {
		t.Errorf("processes %v, were %v", now, pids)
	}
	if _, err := r.Stop(t.Context(), []string{"m1"}, false); !errors.As(err, &refused) {
		t.Errorf("stopping a second voter: %v", err)
	}
	if out, err := r.Start(t.Context(), nil); err != nil || out.Verdict.Health != Healthy {
		t.Errorf("start: %+v, %v", out, err)
	}
}

// Members that zkctl does not see may serve: not so many are stopped that they could be missed, unless forced.
func TestStopRefusesUnseenMembers(t *testing.T) {
	s := newSite(t, 3)
	s.bootstrap()
	r := s.run()
	defer r.Close()
	probe, why := r.Probe, "remote error: tls: certificate required"
	r.Probe = func(_ context.Context, h inventory.Host) Observation {
		return Observation{Host: h, State: Down, Reason: why}
	}
	for _, why = range []string{"remote error: tls: certificate required", noServer} { // a firewall that rejects looks like no server
		_, err := r.Stop(t.Context(), []string{"m1", "m2"}, false)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "m1: "+why) || !strings.Contains(err.Error(), "--force") || refused.Hint() != lookRemedy {
			t.Errorf("%s: error %v", why, err)
		}
		if _, err := r.Restart(t.Context(), []string{"m3"}, false); !errors.As(err, &refused) {
			t.Errorf("%s: restart: %v", why, err)
		}
	}
	if s.pid("m1") == "" || s.pid("m2") == "" || s.pid("m3") == "" {
		t.Fatal("a member was stopped")
	}
	// What certainly does not run is no reason to refuse, however it was looked for.
	if _, err := r.Stop(t.Context(), []string{"m1", "m2"}, true); err != nil {
		t.Fatal(err)
	}
	why = "no answer in time"
	if _, err := r.Stop(t.Context(), []string{"m3"}, false); err != nil {
		t.Errorf("one that nobody needs: %v", err)
	}
	r.Probe = probe
	if out, err := r.Start(t.Context(), nil); err != nil || out.Verdict.Health != Healthy {
		t.Errorf("start: %+v, %v", out, err)
	}
	// One that is not seen is stopped where the others are enough.
	r.Probe = func(ctx context.Context, h inventory.Host) Observation {
		if h.Name == "m1" {
			return Observation{Host: h, State: Down, Reason: why}
		}
		return probe(ctx, h)
	}
	if _, err := r.Stop(t.Context(), []string{"m1"}, false); err != nil {
		t.Errorf("the others serve: %v", err)
	}
}

// A configuration that the server refuses is reported with what the server said.
func TestRefusedConfiguration(t *testing.T) {
	s := newSite(t, 1)
	s.extra = "zoo_cfg_extra: {fake.refuse: please}\n"
	r := s.run()
	defer r.Close()
	_, err := r.Bootstrap(t.Context())
	if err == nil || !strings.Contains(err.Error(), "fake.refuse is set") || !strings.Contains(err.Error(), "m1") {
		t.Errorf("error %v", err)
	}
}

// Data of another member, and a foreign process on a port, stop a bootstrap before it changes anything.
func TestChecks(t *testing.T) {
	s := newSite(t, 3)
	data := filepath.Join(s.dir, "m2/data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "myid"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := s.run()
	defer r.Close()
	_, err = r.Bootstrap(t.Context())
	if !errors.Is(err, ErrChecks) || !strings.Contains(err.Error(), "myid says 9") || !strings.Contains(err.Error(), fmt.Sprint(s.ports[0])) {
		t.Errorf("error %v", err)
	}
	if s.writes() != 0 {
		t.Errorf("%d writes", s.writes())
	}
}

// The order of hosts in the inventory is not that of /etc/hosts.
func TestHostsEntriesAreByID(t *testing.T) {
	f := newFleet(t).run("me")
	first := fmt.Sprint(f.hostsEntries())
	slices.Reverse(f.Inventory.Hosts)
	if again := fmt.Sprint(f.hostsEntries()); again != first {
		t.Errorf("%s, in another order %s", first, again)
	}
}

// A server travels packed where the host can unpack it, and hosts with the same server share the bytes.
func TestParcels(t *testing.T) {
	server := bundle.New(bytes.Repeat([]byte("s"), 1<<20))
	all := parcels{}
	plain, err := all.of(server, false)
	if err != nil || plain.unpack != "cat" || len(plain.bytes) != 1<<20 {
		t.Errorf("plain: %d bytes for %s, %v", len(plain.bytes), plain.unpack, err)
	}
	packed, err := all.of(server, true)
	if err != nil || packed.unpack != "gzip -dc" || len(packed.bytes) > 1<<16 {
		t.Errorf("packed: %d bytes for %s, %v", len(packed.bytes), packed.unpack, err)
	}
	if again, _ := all.of(server, true); &again.bytes[0] != &packed.bytes[0] || len(all) != 2 {
		t.Error("it is packed again for each host")
	}
}

// direct dials the address that the inventory gives.
func direct(ctx context.Context, h inventory.Host) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", h.ClientAddress())
}
