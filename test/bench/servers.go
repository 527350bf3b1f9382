package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// figures are one round's measurements of one implementation.
type figures struct {
	writesInStep, writes float64 // per second
	readsInStep, reads   float64
	writeP50, writeP99   time.Duration // of one client in step
	readP50, readP99     time.Duration
	startEmpty           time.Duration // from the start of the processes to the first session
	startFull            time.Duration
	memoryIdle, memory   int64 // bytes, mean of the members
}

const (
	nodes    = 1000
	inFlight = 64
	sessions = 6
)

var payload = bytes.Repeat([]byte("x"), 100)

func path(i int) string { return fmt.Sprintf("/bench%d", i%nodes) }

// measure runs one ensemble through everything. Each kind of load runs once unmeasured first, so that the Java server has
// compiled what it runs.
func measure(kind ensemble.Kind, members int, span time.Duration) (figures, error) {
	var f figures
	kinds := make([]ensemble.Kind, members)
	for i := range kinds {
		kinds[i] = kind
	}
	e, err := ensemble.New(ensemble.Settings{TickTime: 2 * time.Second}, kinds...)
	if err != nil {
		return f, err
	}
	defer e.Close()
	if f.startEmpty, err = start(e); err != nil {
		return f, err
	}
	if err := e.Await(60 * time.Second); err != nil {
		return f, err
	}
	if f.memoryIdle, err = meanMemory(e); err != nil {
		return f, err
	}
	if err := populate(e); err != nil {
		return f, err
	}
	writeFrames, readFrames := frames(func(i int) []byte { return set(path(i), payload) }), frames(func(i int) []byte { return get(path(i)) })

	if _, err := flood(e, span, writeFrames); err != nil {
		return f, err
	}
	if f.writes, err = flood(e, span, writeFrames); err != nil {
		return f, err
	}
	if f.writesInStep, f.writeP50, f.writeP99, err = step(e, span, writeFrames); err != nil {
		return f, err
	}
	if _, err := flood(e, span, readFrames); err != nil {
		return f, err
	}
	if f.reads, err = flood(e, span, readFrames); err != nil {
		return f, err
	}
	if f.readsInStep, f.readP50, f.readP99, err = step(e, span, readFrames); err != nil {
		return f, err
	}
	if f.memory, err = meanMemory(e); err != nil {
		return f, err
	}
	for _, m := range e.Members() {
		if err := m.Stop(); err != nil {
			return f, err
		}
	}
	f.startFull, err = start(e)
	return f, err
}

// attempt is measure with one more try: with everything on a few cores a member can lose its leader under load, and its
// clients their connections. What happened is printed.
func attempt(kind ensemble.Kind, members int, span time.Duration) (figures, error) {
	f, err := measure(kind, members, span)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v with %d members: %v; measured anew\n", kind, members, err)
		f, err = measure(kind, members, span)
	}
	return f, err
}

// frames encodes each request once.
func frames(encode func(int) []byte) func(int) []byte {
	all := make([][]byte, nodes)
	for i := range all {
		all[i] = encode(i)
	}
	return func(i int) []byte { return all[i%nodes] }
}

// start starts every member and returns the time until any of them grants a session.
func start(e *ensemble.Ensemble) (time.Duration, error) {
	began := time.Now()
	if err := e.Start(); err != nil {
		return 0, err
	}
	for time.Since(began) < time.Minute {
		for _, m := range e.Members() {
			if c, err := dial(m.Addr()); err == nil {
				took := time.Since(began)
				c.close()
				return took, nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("no session within a minute\n%s", e.Logs(10))
}

func populate(e *ensemble.Ensemble) error {
	c, err := dial(e.Members()[0].Addr())
	if err != nil {
		return err
	}
	defer c.close()
	for i := range nodes {
		if err := c.do(create(path(i), payload)); err != nil {
			return err
		}
	}
	return nil
}

// flood lets all sessions, spread over the members, keep many requests in flight and returns answers per second.
func flood(e *ensemble.Ensemble, span time.Duration, frame func(int) []byte) (float64, error) {
	var clients []*client
	for i := range sessions {
		c, err := dial(e.Members()[i%len(e.Members())].Addr())
		if err != nil {
			return 0, err
		}
		defer c.close()
		clients = append(clients, c)
	}
	began := time.Now()
	answers, errs := make([]int, sessions), make([]error, sessions)
	var running sync.WaitGroup
	for i, c := range clients {
		running.Go(func() {
			answers[i], errs[i] = c.pipelined(began.Add(span), inFlight, func(n int) []byte { return frame(n*sessions + i) })
		})
	}
	running.Wait()
	took := time.Since(began).Seconds()
	sum := 0
	for i := range clients {
		if errs[i] != nil {
			return 0, fmt.Errorf("client %d after %d answers: %w\n%s", i+1, answers[i], errs[i], e.Logs(10))
		}
		sum += answers[i]
	}
	return float64(sum) / took, nil
}

// step has one session at the last member send one request at a time.
func step(e *ensemble.Ensemble, span time.Duration, frame func(int) []byte) (perSecond float64, p50, p99 time.Duration, err error) {
	members := e.Members()
	c, err := dial(members[len(members)-1].Addr())
	if err != nil {
		return 0, 0, 0, err
	}
	defer c.close()
	took, err := c.inStep(time.Now().Add(span), frame)
	if err != nil || len(took) == 0 {
		return 0, 0, 0, fmt.Errorf("in step: %d answers: %w", len(took), err)
	}
	perSecond = float64(len(took)) / span.Seconds()
	slices.Sort(took)
	return perSecond, took[len(took)/2], took[len(took)*99/100], nil
}

func meanMemory(e *ensemble.Ensemble) (int64, error) {
	var sum int64
	for _, m := range e.Members() {
		rss, err := m.RSS()
		if err != nil {
			return 0, err
		}
		sum += rss
	}
	return sum / int64(len(e.Members())), nil
}
