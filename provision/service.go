package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// service plans a call of zkServer.sh on a member's host.
func (m member) service(verb string) hostprep.Change {
	after := ""
	if verb == "start" && m.Manager == templates.Systemd {
		after = m.readUnits()
	}
	return hostprep.Change{
		Kind: hostprep.RunScript, Target: m.Host.Server.Service, Summary: verb + " the server", Root: privileged(m.Member),
		Args: []string{m.ServerScript(), verb, m.Host.Server.Service + ".service"}, Timeout: time.Minute,
		Script: `[ -x "$1" ] || { echo "$1 is not there: run zkctl bootstrap first" >&2; exit 1; }
out=$("$1" "$2" 2>/dev/null) || {
	# Somebody else may have started it meanwhile.
	case $2/$out in start/*"already running as process"*) ;; *) echo "$out" >&2; exit 1 ;; esac
}
` + after,
	}
}

// readUnits is the script that lets systemd read its units where it does not know yet that the unit $3 is enabled: see newUnit. It
// takes as long as an election, which goes on meanwhile. systemd is asked, unless it was seen not to know.
func (m member) readUnits() string {
	known := `[ "$(systemctl show -p WantedBy "$3")" != WantedBy= ] || `
	if u, seen := m.facts.Units[m.Host.Server.Service+".service"]; seen && !u.Loaded {
		known = ""
	}
	return `for link in /etc/systemd/system/*.wants/"$3"; do [ ! -L "$link" ] || ` + known + `systemctl daemon-reload || exit; done
`
}

// start starts the members that do not run, in inventory order. Those that have nothing to wait for are started at once; then a
// leader is waited for, and the others find it when they come.
func (r *Run) start(ctx context.Context, members []member) error {
	first, rest := r.waves(members)
	if err := r.startTogether(ctx, members, first); err != nil || r.DryRun || len(rest) == 0 {
		return err
	}
	if err := r.await(ctx, "a leader", led, members, nil); err != nil {
		return err
	}
	return r.startTogether(ctx, members, rest)
}

// waves are the members to be started at once, and those that come when there is a leader. A lone member of three never serves:
// first come those that make a quorum. A voter that comes in the middle of an election may send it back to its beginning, which
// costs Apache ZooKeeper initLimit if it comes at the very moment of the decision. Where no voter runs and none is of that kind, all
// voters are the first: they elect the best of them, and nobody has to come later.
func (r *Run) waves(members []member) (first, rest []int) {
	together := !slices.ContainsFunc(members, func(m member) bool {
		return m.Host.Role == inventory.Voter && (m.running || m.RunsApache())
	})
	quorum, up := inventory.QuorumOf(r.Inventory.Hosts), map[int]bool{}
	for i, m := range members {
		if voter := m.Host.Role == inventory.Voter; together && voter || !together && !quorum.Enough(func(id int) bool { return up[id] }) {
			first = append(first, i)
			up[m.Host.ID] = true
		} else {
			rest = append(rest, i)
		}
	}
	return first, rest
}

// startTogether starts those of the given members that do not run, all at once.
func (r *Run) startTogether(ctx context.Context, members []member, which []int) error {
	var hosts []inventory.Host
	var targets []*member
	for _, i := range which {
		if !members[i].running {
			hosts = append(hosts, members[i].Host)
			targets = append(targets, &members[i])
		}
	}
	return r.each(ctx, stepStart, hosts, func(ctx context.Context, i int) error {
		if err := r.call(ctx, stepStart, *targets[i], "start"); err != nil {
			return err
		}
		targets[i].running = !r.DryRun
		return nil
	})
}

// Start starts the members that do not run, in inventory order, and waits until all serve. Only members in the list are
// started; an empty list means all. Hosts that cannot be reached do not keep the others from being started.
func (r *Run) Start(ctx context.Context, names []string) (*Outcome, error) {
	hosts, err := r.chosen(names)
	if err != nil {
		return nil, err
	}
	members, missing, err := r.reachable(ctx, hosts)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Plan: &Plan{}}
	for _, m := range members {
		if !m.running {
			out.Starts = append(out.Starts, m.Host.Name)
		}
	}
	begin := func(ctx context.Context) error {
		return r.step(ctx, stepStart, func(ctx context.Context) error { return r.startChosen(ctx, members) })
	}
	if len(out.Starts) == 0 {
		err = begin(ctx)
	} else {
		err = r.locked(ctx, nil, nil, begin)
	}
	if err != nil || r.DryRun {
		return out, joined([]error{err, missing})
	}
	err = r.step(ctx, stepReady, func(ctx context.Context) error { return r.awaitChosen(ctx, members, out) })
	return out, joined([]error{err, missing})
}

// reachable is observeServices for operations that do what they can: hosts that cannot be reached are left out, and
// missing says why. err is set where nothing can be done.
func (r *Run) reachable(ctx context.Context, hosts []inventory.Host) (members []member, missing, err error) {
	all, err := r.observeServices(ctx, hosts)
	for _, m := range all {
		if m.facts != nil {
			members = append(members, m)
		}
	}
	if err != nil && (len(members) == 0 || context.Cause(ctx) != nil || !remote.NeverRan(err)) {
		return nil, nil, err
	}
	return members, err, nil
}

// leaderWait is how long those that make a majority are given to elect, before more members are started. A member that
// comes in the middle of an election may send it back to its beginning, after initLimit.
const leaderWait = 10 * time.Second

// startChosen starts members. That there will be a leader is not for certain with these members alone; where the ones that
// run are a majority, it is waited for, but not for long.
func (r *Run) startChosen(ctx context.Context, members []member) error {
	up := map[int]bool{}
	seen := r.probeAll(ctx)
	quorum := inForce(seen)
	for _, o := range seen {
		up[o.Host.ID] = o.State != Down
	}
	for i := range members {
		m := &members[i]
		if m.running {
			r.note(stepStart, m.Host.Name, "runs already (process %d)", m.pid)
			continue
		}
		if err := r.call(ctx, stepStart, *m, "start"); err != nil {
			return err
		}
		up[m.Host.ID] = true
		if r.DryRun || !quorum.Enough(func(id int) bool { return up[id] }) {
			continue
		}
		var late *NotReadyError
		if err := r.awaitFor(ctx, min(leaderWait, r.ReadyTimeout), "a leader", led, nil, nil); err != nil && !errors.As(err, &late) {
			return err
		}
	}
	return nil
}

// awaitChosen waits until the given members serve. Where that cannot be, because too few members run for a quorum,
// it says so instead of waiting.
func (r *Run) awaitChosen(ctx context.Context, members []member, out *Outcome) error {
	chosen := map[string]bool{}
	for _, m := range members {
		chosen[m.Host.Name] = true
	}
	err := r.await(ctx, "the started members to serve", func(seen []Observation) string {
		out.Seen, out.Verdict = seen, Judge(seen)
		up := map[int]bool{}
		for _, o := range seen {
			up[o.Host.ID] = o.State != Down || chosen[o.Host.Name]
		}
		if !inForce(seen).Enough(func(id int) bool { return up[id] }) {
			return ""
		}
		for _, o := range seen {
			if chosen[o.Host.Name] && !o.Synced() {
				return fmt.Sprintf("%s does not serve", o.Host.Name)
			}
		}
		return ""
	}, members, &out.Seen)
	out.Verdict = Judge(out.Seen)
	return err
}

// Stop stops members, observers and followers first and the leader last. Without force it refuses to stop so many that
// the ensemble loses its quorum, or may lose it for all that is seen, unless it is to be stopped as a whole, by an empty
// list of names.
func (r *Run) Stop(ctx context.Context, names []string, force bool) (*Outcome, error) {
	hosts, err := r.chosen(names)
	if err != nil {
		return nil, err
	}
	seen := r.probeAll(ctx)
	if len(names) > 0 {
		if seen, err = r.learnCounts(ctx, seen, hosts); err != nil {
			return nil, err
		}
		if err := r.mayStopAll(seen, hosts, force); err != nil {
			return nil, err
		}
	}
	members, missing, err := r.reachable(ctx, hosts)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		if err := r.mayStopUnseen(ctx, seen, members, force); err != nil {
			return nil, err
		}
	}
	out := &Outcome{Plan: &Plan{}}
	end := func(ctx context.Context) error {
		for _, m := range leaderLast(members, seen) {
			if !m.running {
				r.note("stop", m.Host.Name, "does not run")
				continue
			}
			out.Stops = append(out.Stops, m.Host.Name)
			if err := r.call(ctx, "stop", m, "stop"); err != nil {
				return err
			}
		}
		return nil
	}
	err = r.locked(ctx, nil, nil, func(ctx context.Context) error { return r.step(ctx, "stop", end) })
	if err == nil && !r.DryRun {
		out.Seen = r.probeAll(ctx)
		err = r.awaitHeir(ctx, seen, hosts, &out.Seen)
		out.Verdict = Judge(out.Seen)
	}
	return out, joined([]error{err, missing})
}

// awaitHeir waits until those that are left have a leader, which they may have to elect first, for a moment. seen is from before, last
// becomes what was seen in the end.
func (r *Run) awaitHeir(ctx context.Context, seen []Observation, gone []inventory.Host, last *[]Observation) error {
	var away []int
	for _, h := range gone {
		away = append(away, h.ID)
	}
	if !inForce(seen, away...).Enough(without(synced(seen), away...)) {
		return nil
	}
	err := r.awaitFor(ctx, min(leaderWait, r.ReadyTimeout), "a leader", led, nil, last)
	if late := (*NotReadyError)(nil); errors.As(err, &late) {
		return nil // shown by what was seen
	}
	return err
}

// mayStopAll decides whether a set of members may be stopped together.
func (r *Run) mayStopAll(seen []Observation, hosts []inventory.Host, force bool) error {
	v := Judge(seen)
	if v.Leader == "" {
		return nil // no quorum is seen; see mayStopUnseen
	}
	now, serves := inForce(seen), synced(seen)
	var away []int
	lost := false
	for _, h := range hosts {
		away = append(away, h.ID)
		lost = lost || now.know(h.ID) && serves(h.ID)
	}
	left := without(serves, away...)
	quorum := inForce(seen, away...).closest(left)
	if !lost || quorum.Enough(left) {
		return nil
	}
	text := fmt.Sprintf("%s serve; after this it would be %d, and %d are needed: the ensemble stops serving",
		quorum.Describe(serves), quorum.Tally(left), quorum.Needed())
	if force {
		r.report(Event{Kind: Warning, Step: "stop", Text: text})
		return nil
	}
	refused := &RefusedError{Host: hosts[0].Name, Text: text + " (--force stops it all the same)"}
	if v.Serving == v.Voters {
		refused.Remedy = "stop fewer members; or the whole ensemble, without --limit"
	}
	return refused
}

// mayStopUnseen decides whether members may be stopped together where voters were not seen: what zkctl cannot see, for lack of
// a certificate or because of a firewall, may serve all the same. Where no member answers as it should, the hosts are asked
// whether its process runs.
func (r *Run) mayStopUnseen(ctx context.Context, seen []Observation, stopped []member, force bool) error {
	serves := synced(seen)
	known := map[string]member{} // by name, those whose host answered
	for _, m := range stopped {
		known[m.Host.Name] = m
	}
	var away []int
	var ask []inventory.Host
	for _, o := range seen {
		_, chosen := known[o.Host.Name]
		switch {
		case chosen:
			away = append(away, o.Host.ID)
		case o.Host.Role == inventory.Voter && o.State == Down:
			ask = append(ask, o.Host)
		}
	}
	now, left := inForce(seen), without(serves, away...)
	quorum := inForce(seen, away...).closest(left)
	if quorum.Enough(left) {
		return nil
	}
	chosen := maps.Clone(known)
	if len(ask) > 0 {
		others, err := r.observeServices(ctx, ask)
		if context.Cause(ctx) != nil {
			return err
		}
		for _, m := range others {
			if m.facts != nil {
				known[m.Host.Name] = m
			}
		}
	}
	var names []string
	lost, may := 0, map[int]bool{}
	for _, o := range seen {
		may[o.Host.ID] = o.Synced()
		if o.Host.Role != inventory.Voter {
			continue
		}
		m, reached := known[o.Host.Name]
		unseen := o.State == Down && (reached && m.pid != 0 || !reached && o.Reason != noServer)
		if unseen {
			what := "its host cannot be asked"
			if reached {
				what = fmt.Sprintf("its process %d runs", m.pid)
			}
			names = append(names, fmt.Sprintf("%s: %s, but %s", o.Host.Name, o.Reason, what))
			may[o.Host.ID] = true
		}
		if _, stops := chosen[o.Host.Name]; stops && (unseen || o.Synced()) {
			lost++
		}
	}
	if len(names) == 0 || lost == 0 || !slices.ContainsFunc(now, func(q inventory.Quorum) bool { return q.Enough(func(id int) bool { return may[id] }) }) {
		return nil // it is certain that no quorum is lost
	}
	text := fmt.Sprintf("it cannot be told whether the ensemble keeps serving: %s would be left that are seen to serve, and %d are needed; not seen (%s)",
		quorum.Describe(left), quorum.Needed(), strings.Join(names, "; "))
	if force {
		r.report(Event{Kind: Warning, Step: "stop", Text: text})
		return nil
	}
	return &RefusedError{Host: stopped[0].Host.Name, Text: text + " (--force stops it all the same)", Remedy: lookRemedy}
}

// Restart stops the members and starts them again, all at once: for an ensemble that does not serve. One that does is
// restarted by RollingRestart.
func (r *Run) Restart(ctx context.Context, names []string, force bool) (out *Outcome, err error) {
	err = r.locked(ctx, nil, nil, func(ctx context.Context) error {
		out, err = r.restart(ctx, names, force)
		return err
	})
	return out, err
}

func (r *Run) restart(ctx context.Context, names []string, force bool) (*Outcome, error) {
	stopped, err := r.Stop(ctx, names, force)
	// What was stopped is started again, even if some host was out of reach.
	if err != nil && (stopped == nil || !remote.NeverRan(err)) {
		return stopped, err
	}
	if r.DryRun {
		hosts, err := r.chosen(names)
		for _, h := range hosts {
			stopped.Starts = append(stopped.Starts, h.Name)
		}
		return stopped, err
	}
	started, err := r.Start(ctx, names)
	if started != nil {
		started.Stops = stopped.Stops
	}
	return started, err
}

// chosen returns the members of the given names, in inventory order; all without names.
func (r *Run) chosen(names []string) ([]inventory.Host, error) {
	if len(names) == 0 {
		return r.Inventory.Hosts, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if r.Inventory.Host(n) == nil {
			return nil, &UnknownHostError{n, r.Inventory}
		}
		wanted[n] = true
	}
	var hosts []inventory.Host
	for _, h := range r.Inventory.Hosts {
		if wanted[h.Name] {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// UnknownHostError says that the inventory has no member of that name.
type UnknownHostError struct {
	Name      string
	Inventory *inventory.Inventory
}

// Error lists the names that there are.
func (e *UnknownHostError) Error() string {
	var names []string
	for _, h := range e.Inventory.Hosts {
		names = append(names, h.Name)
	}
	return fmt.Sprintf("no host %q in the inventory; there are %s", e.Name, strings.Join(names, ", "))
}

// leaderLast orders members: those that do not serve, observers, followers, then who was seen leading.
func leaderLast(members []member, seen []Observation) []member {
	rank := func(m member) int {
		for _, o := range seen {
			if o.Host.Name == m.Host.Name {
				switch {
				case !o.Serving():
					return 0
				case o.State == Observing:
					return 1
				case o.State == Leader:
					return 3
				}
			}
		}
		return 2
	}
	var ordered []member
	for want := range 4 {
		for _, m := range members {
			if rank(m) == want {
				ordered = append(ordered, m)
			}
		}
	}
	return ordered
}
