package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// failover is how long ensembles of one kind took to serve writes again after their leader had been killed.
type failover struct {
	any    []time.Duration // until the first write of any client
	stayed []time.Duration // of clients at members that lived on
	moved  []time.Duration // of the client at the leader
	phases map[string][]time.Duration
	again  int // rounds with more than one election
}

// The phases, as the new leader logs them.
var phases = []string{"the connection to the leader is lost", "election", "discovery and synchronisation", "a client's write"}

// benchFailover kills leaders: rounds of each kind in turns, both ensembles running all the time.
func benchFailover(ctx context.Context, rounds int, tick time.Duration) error {
	kinds := []ensemble.Kind{ensemble.Zkserver, ensemble.Apache}
	if err := ensemble.HaveApache(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		kinds = kinds[:1]
	}
	running := make(map[ensemble.Kind]*ensemble.Ensemble)
	results := make(map[ensemble.Kind]*failover)
	for _, kind := range kinds {
		e, err := ensemble.New(ensemble.Settings{TickTime: tick}, kind, kind, kind)
		if err != nil {
			return err
		}
		defer e.Close()
		if err := e.Start(); err != nil {
			return err
		}
		running[kind], results[kind] = e, &failover{phases: make(map[string][]time.Duration)}
	}
	for _, kind := range kinds {
		if err := running[kind].Await(2 * time.Minute); err != nil {
			return err
		}
		c, err := dial(running[kind].Members()[0].Addr())
		if err != nil {
			return err
		}
		if err := c.do(create(path(0), payload)); err != nil {
			return err
		}
		c.close()
	}
	done := 0
	for ; done < rounds && ctx.Err() == nil; done++ {
		for _, kind := range kinds {
			if err := results[kind].round(running[kind], kind); err != nil {
				return fmt.Errorf("%v, round %d: %w\n%s", kind, done, err, running[kind].Logs(20))
			}
		}
		fmt.Fprintf(os.Stderr, "bench: tickTime %v, round %d: zkserver %v, Apache ZooKeeper %v\n", tick, done+1, last(results[ensemble.Zkserver]), last(results[ensemble.Apache]))
	}
	failoverTable(tick, done, results)
	return nil
}

// round kills the leader under three clients, one at each member, and starts it again.
func (f *failover) round(e *ensemble.Ensemble, kind ensemble.Kind) error {
	leader := e.Leader()
	if leader == nil {
		return fmt.Errorf("nobody leads")
	}
	var probes []*probe
	defer func() {
		for _, p := range probes {
			p.end()
		}
	}()
	servers := e.Servers()
	for i := range servers {
		probes = append(probes, newProbe(append(slices.Clone(servers[i:]), servers[:i]...)))
	}
	wrote := func(since time.Time) func() bool {
		return func() bool {
			for _, p := range probes {
				if p.first(since).IsZero() {
					return false
				}
			}
			return true
		}
	}
	if err := ensemble.Until(time.Minute, "every client has written", wrote(time.Now())); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // in the midst of work
	killed := time.Now()
	if err := leader.Kill(); err != nil {
		return err
	}
	if err := ensemble.Until(2*time.Minute, "every client has written after the leader's death", wrote(killed)); err != nil {
		return err
	}
	fastest := time.Hour
	for i, p := range probes {
		took := p.first(killed).Sub(killed)
		fastest = min(fastest, took)
		if e.Members()[i] == leader {
			f.moved = append(f.moved, took)
		} else {
			f.stayed = append(f.stayed, took)
		}
	}
	f.any = append(f.any, fastest)
	if kind == ensemble.Zkserver {
		f.explain(e, killed, fastest)
	}
	if err := leader.Start(); err != nil {
		return err
	}
	return e.Await(2 * time.Minute)
}

// explain takes the phases from the log of the member that leads.
func (f *failover) explain(e *ensemble.Ensemble, killed time.Time, wrote time.Duration) {
	leader := e.Leader()
	if leader == nil {
		return
	}
	var looking, led, serving time.Duration
	elections := 0
	for line := range strings.Lines(leader.LogTail(200)) {
		stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		since := at.Sub(killed.Truncate(time.Millisecond))
		switch {
		case err != nil || since < 0:
		case strings.Contains(rest, "msg=role role=looking"):
			if elections++; elections == 1 {
				looking = since
			}
		case strings.Contains(rest, "msg=role role=leader"):
			led = since
		case strings.Contains(rest, "msg=serving role=leader"):
			serving = since
		}
	}
	if elections == 0 || serving == 0 {
		return
	}
	if elections > 1 {
		f.again++
	}
	for i, took := range []time.Duration{looking, led - looking, serving - led, max(0, wrote-serving)} {
		f.phases[phases[i]] = append(f.phases[phases[i]], took)
	}
}

func failoverTable(tick time.Duration, rounds int, results map[ensemble.Kind]*failover) {
	fmt.Printf("| from the leader's kill -9 to the next successful write, tickTime %d, %d rounds | zkserver median | p90 | max | Apache ZooKeeper 3.8.0 median | p90 | max |\n|---|---|---|---|---|---|---|\n", tick.Milliseconds(), rounds)
	cells := func(values []time.Duration) string {
		if len(values) == 0 {
			return " | | |"
		}
		slices.Sort(values)
		return fmt.Sprintf(" %v | %v | %v |", round(values[len(values)/2]), round(values[len(values)*9/10]), round(values[len(values)-1]))
	}
	ours, theirs := results[ensemble.Zkserver], results[ensemble.Apache]
	if theirs == nil {
		theirs = &failover{}
	}
	fmt.Printf("| any client |%s%s\n", cells(ours.any), cells(theirs.any))
	fmt.Printf("| clients at members that lived on |%s%s\n", cells(ours.stayed), cells(theirs.stayed))
	fmt.Printf("| the client at the leader |%s%s\n", cells(ours.moved), cells(theirs.moved))
	fmt.Print("\nWhere the time goes, by the new leader's log:\n\n| until | median | p90 | max |\n|---|---|---|---|\n")
	for _, name := range phases {
		fmt.Printf("| %s |%s\n", name, cells(ours.phases[name]))
	}
	fmt.Printf("\n%d of %d rounds had more than one election.\n\n", ours.again, rounds)
}

// last is the time of the last round.
func last(f *failover) time.Duration {
	if f == nil || len(f.any) == 0 {
		return 0
	}
	return round(f.any[len(f.any)-1])
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
