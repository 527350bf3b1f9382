package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// Run is one operation on an ensemble: what it works with and what it has found out so far. Fill in the exported fields,
// call one of the operations, then Close.
type Run struct {
	Inventory *inventory.Inventory
	// Connect returns a host, connected or to be connected at first use.
	Connect func(h inventory.Host) (remote.Host, error)
	// Closed is called by Close after the connections were closed; may be nil.
	Closed func()
	// Server returns what is pushed to a host of the architecture.
	Server func(h inventory.Host, arch string) (bundle.Program, error)
	// Authority is that of the ensemble's certificates, on this machine; needed where the inventory says tls.ca: own.
	Authority *certs.Store
	// Version names the release of the server.
	Version string
	// Probe asks members how they are.
	Probe Probe
	// Canary writes through the members and reads at them; see Canary.
	Canary func(ctx context.Context, hosts []inventory.Host) error
	// Parallel bounds the hosts worked on at a time.
	Parallel int
	// ReadyTimeout bounds each wait for members to serve.
	ReadyTimeout time.Duration
	// Deadline bounds each round of probes.
	Deadline time.Duration
	// DryRun ends every change before it happens.
	DryRun bool
	// ID names the run in histories, Verb is what it does, Holder who has the lock meanwhile.
	ID, Verb, Holder string
	// Lease is how long the lock of the ensemble lasts that is not renewed; 0 is DefaultLease.
	Lease time.Duration
	// Limit are the names of the hosts that Plan, Apply, Check, Reset, InitCertificates, Keys, SyncKeys and RevokeKeys are about; nil is
	// all. Where it matters they look at the others as well, as far as these can be reached, and change nothing there.
	Limit []string
	// AdoptData takes data without a stamp for the member's own, and lets a member that had data begin empty; ReuseIDs permits ids that others had.
	AdoptData, ReuseIDs bool
	// SkipNetwork leaves out that members try to reach one another before their first start.
	SkipNetwork bool
	// Report is told what happens, one call at a time.
	Report func(Event)

	mu      sync.Mutex
	hosts   map[string]*tripHost
	lease   *lease
	counts  map[string]inventory.Quorum // by which members count, as they were started
	changes int
	times   []StepTime
}

// StepTime is how long a step took.
type StepTime struct {
	Step    string        `json:"step"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	StepBegins EventKind = "step"
	StepEnds   EventKind = "step-done"
	HostBegins EventKind = "host"
	HostEnds   EventKind = "host-done"
	Changed    EventKind = "change"
	// Marked is a change of what zkctl keeps on the host for itself.
	Marked EventKind = "mark"
	Note   EventKind = "note"
	// Intended comes before the first change, with all that is going to be done in Changes.
	Intended EventKind = "intended"
	Warning  EventKind = "warning"
)

// Event is one thing that happened in an operation.
type Event struct {
	Time    time.Time     `json:"time"`
	Kind    EventKind     `json:"kind"`
	Step    string        `json:"step,omitempty"`
	Host    string        `json:"host,omitempty"`
	Text    string        `json:"text,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns,omitempty"`
	Error   string        `json:"error,omitempty"`
	// Changes are a host and a change each, of Intended.
	Changes [][2]string `json:"changes,omitempty"`
}

func (r *Run) report(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = time.Now()
	if r.Report != nil {
		r.Report(e)
	}
}

// Changes is the number of changes made so far; in a dry run, of those that would have been made.
func (r *Run) Changes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// Times are the durations of the steps done so far.
func (r *Run) Times() []StepTime {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]StepTime(nil), r.times...)
}

// Close ends all connections.
func (r *Run) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hosts {
		h.Close()
	}
	r.hosts = nil
	if r.Closed != nil {
		r.Closed()
	}
}

// step runs one named part of an operation and takes its time.
func (r *Run) step(ctx context.Context, name string, f func(ctx context.Context) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	began := time.Now()
	r.report(Event{Kind: StepBegins, Step: name})
	err := f(ctx)
	elapsed := time.Since(began)
	r.mu.Lock()
	r.times = append(r.times, StepTime{name, elapsed})
	r.mu.Unlock()
	e := Event{Kind: StepEnds, Step: name, Elapsed: elapsed}
	if err != nil {
		e.Error = err.Error()
	}
	r.report(e)
	return err
}

// each runs f for all hosts, begun in inventory order, a bounded number at a time. Every host is tried; failures are joined in
// inventory order.
func (r *Run) each(ctx context.Context, step string, hosts []inventory.Host, f func(ctx context.Context, i int) error) error {
	errs := make([]error, len(hosts))
	var group sync.WaitGroup
	turns := make(chan struct{}, max(1, r.Parallel))
	for i, h := range hosts {
		turns <- struct{}{}
		if errs[i] = context.Cause(ctx); errs[i] != nil {
			<-turns
			continue
		}
		r.report(Event{Kind: HostBegins, Step: step, Host: h.Name})
		group.Go(func() {
			defer func() { <-turns }()
			began := time.Now()
			errs[i] = f(ctx, i)
			e := Event{Kind: HostEnds, Step: step, Host: h.Name, Elapsed: time.Since(began)}
			if errs[i] != nil {
				e.Error = errs[i].Error()
			}
			r.report(e)
		})
	}
	group.Wait()
	return joined(errs)
}

// eachOf is each for the hosts at some places only; f gets the place.
func (r *Run) eachOf(ctx context.Context, step string, hosts []inventory.Host, places []int, f func(ctx context.Context, i int) error) error {
	some := make([]inventory.Host, len(places))
	for n, i := range places {
		some[n] = hosts[i]
	}
	return r.each(ctx, step, some, func(ctx context.Context, n int) error { return f(ctx, places[n]) })
}

// joined joins errors, and leaves a single one as it is. That all hosts were interrupted is said once.
func joined(errs []error) error {
	var some []error
	interrupted := false
	for _, err := range errs {
		if err == nil {
			continue
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !remote.NeverRan(err) {
			if interrupted {
				continue
			}
			interrupted = true
		}
		some = append(some, err)
	}
	if len(some) == 1 {
		return some[0]
	}
	return errors.Join(some...)
}

// host returns the connection to a member, made at the first call.
func (r *Run) host(h inventory.Host) (*tripHost, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.hosts[h.Name]; ok {
		return c, nil
	}
	c, err := r.Connect(h)
	if err != nil {
		return nil, err
	}
	if r.hosts == nil {
		r.hosts = map[string]*tripHost{}
	}
	r.hosts[h.Name] = &tripHost{Host: c}
	return r.hosts[h.Name], nil
}

// change is the one function through which every change to a host passes. A dry run ends here.
func (r *Run) change(ctx context.Context, step string, h inventory.Host, c hostprep.Change) error {
	return r.changeAs(ctx, Changed, step, h, c)
}

func (r *Run) changeAs(ctx context.Context, kind EventKind, step string, h inventory.Host, c hostprep.Change) error {
	return r.execute(ctx, kind, []string{step}, h, hostprep.Batch{Changes: []hostprep.Change{c}})
}

// changeAll makes changes of one host in order, in as few round trips as they allow, and keeps what they replace in the
// host's journal. steps has the step of each.
func (r *Run) changeAll(ctx context.Context, steps []string, h inventory.Host, changes []hostprep.Change) error {
	return r.changeAndLook(ctx, steps, h, hostprep.Batch{Changes: changes})
}

// changeAndLook is changeAll for a batch that may ask for a report of what came of it.
func (r *Run) changeAndLook(ctx context.Context, steps []string, h inventory.Host, b hostprep.Batch) error {
	if h.Connection == inventory.OverSSH && h.SSH.User == "root" {
		// All of it is done by root: then it needs not be divided.
		b.Changes = slices.Clone(b.Changes)
		for i := range b.Changes {
			b.Changes[i].Root = true
		}
	}
	if privileged(templates.Member{Host: h}) {
		b.Journal = r.journalDir(h)
	}
	return r.execute(ctx, Changed, steps, h, b)
}

func (r *Run) execute(ctx context.Context, kind EventKind, steps []string, h inventory.Host, b hostprep.Batch) error {
	if len(b.Changes) == 0 {
		return nil
	}
	r.mu.Lock()
	dry := r.DryRun
	if dry {
		r.changes += len(b.Changes)
	}
	r.mu.Unlock()
	if dry {
		for i, c := range b.Changes {
			r.report(Event{Kind: Changed, Step: steps[i], Host: h.Name, Text: "would " + c.Summary})
		}
		return nil
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%s: %s: %w", h.Name, b.Changes[0].Summary, err)
	}
	if r.lease != nil && r.lease.ended() { // also for what is not to be interrupted
		return fmt.Errorf("%s: %s: %w", h.Name, b.Changes[0].Summary, ErrLostLock)
	}
	host, err := r.host(h)
	if err != nil {
		return err
	}
	b.Guard = r.fence(h)
	done := 0
	b.Made = func(i int) {
		done = i + 1
		r.mu.Lock()
		r.changes++
		r.mu.Unlock()
		r.report(Event{Kind: kind, Step: steps[i], Host: h.Name, Text: b.Changes[i].Summary})
	}
	if err := b.Exec(ctx, host); err != nil {
		return fmt.Errorf("%s: %w", steps[min(done, len(steps)-1)], err)
	}
	return nil
}

// stateDir is where zkctl keeps what it has to remember on a host: its journal, its lock, who was here.
func (r *Run) stateDir(h inventory.Host) string {
	if privileged(templates.Member{Host: h}) {
		return "/var/lib/zkctl/" + r.Inventory.Name
	}
	return h.Server.Paths.Install + "/.zkctl"
}

func (r *Run) journalDir(h inventory.Host) string { return r.stateDir(h) + "/undo" }

// call calls zkServer.sh on a member's host. Once begun it is not interrupted: a restart that ended between its two halves
// would leave the member stopped.
func (r *Run) call(ctx context.Context, step string, m member, verb string) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%s: %s the server: %w", m.Host.Name, verb, err)
	}
	r.setCount(m.Host, nil) // until somebody looks, what the inventory says
	err := r.change(context.WithoutCancel(ctx), step, m.Host, m.service(verb))
	if err != nil && verb != "stop" {
		err = fmt.Errorf("%w%s", err, r.lastWords(ctx, m.Member))
	}
	return err
}

// note tells something about a host that is no change.
func (r *Run) note(step, host, format string, args ...any) {
	r.report(Event{Kind: Note, Step: step, Host: host, Text: fmt.Sprintf(format, args...)})
}
