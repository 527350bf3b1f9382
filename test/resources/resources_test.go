//go:build chaos

package resources

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// wrapper starts a server within limits that the environment says.
const wrapper = `#!/bin/sh
[ -z "$TEST_CGROUP" ] || echo $$ >"$TEST_CGROUP/cgroup.procs" || exit 1
[ -z "$TEST_FILES" ] || ulimit -n "$TEST_FILES" || exit 1
exec "$TEST_SERVER" "$@"
`

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "zk-resources-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare has ensembles start servers through the wrapper.
func prepare(dir string) error {
	root, err := ensemble.Root()
	if err != nil {
		return err
	}
	server := os.Getenv("ZKSERVER")
	if server == "" {
		server = filepath.Join(dir, "zkserver")
		cmd := exec.Command("go", "build", "-trimpath", "-o", server, "./cmd/zkserver")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build zkserver: %w\n%s", err, out)
		}
	}
	script := filepath.Join(dir, "limited")
	return errors.Join(os.WriteFile(script, []byte(wrapper), 0o755), os.Setenv("TEST_SERVER", server), os.Setenv("ZKSERVER", script))
}

func start(t *testing.T, s ensemble.Settings) *ensemble.Ensemble {
	t.Helper()
	if s.TickTime == 0 {
		s.TickTime = 2 * time.Second
	}
	e, err := ensemble.New(s, ensemble.Zkserver, ensemble.Zkserver, ensemble.Zkserver)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(e.Logs(25))
		}
		e.Close()
	})
	must(t, e.Start())
	must(t, e.Await(time.Minute))
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alive demands that every member runs.
func alive(t *testing.T, e *ensemble.Ensemble) {
	t.Helper()
	for _, m := range e.Members() {
		if !m.Running() {
			t.Errorf("member %d has ended", m.ID)
		}
	}
}

// canary writes and reads all the time at one member, and knows the longest time between two answers.
type canary struct {
	s       session
	stop    chan struct{}
	ended   sync.WaitGroup
	answers int
	gap     time.Duration
	err     error
}

func newCanary(t *testing.T, name, addr string) *canary {
	t.Helper()
	c := &canary{stop: make(chan struct{})}
	must(t, c.s.connect(addr, 30*time.Second))
	must(t, c.s.do(wire.OpCreate, wire.CreateRequest{Path: "/" + name, ACL: wire.OpenACL()}.Append(nil)))
	c.ended.Go(func() { c.sing("/" + name) })
	return c
}

func (c *canary) sing(path string) {
	last := time.Now()
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		op, body := wire.OpSetData, wire.SetDataRequest{Path: path, Data: []byte("x"), Version: -1}.Append(nil)
		if c.answers%2 == 1 {
			op, body = wire.OpGetData, wire.ReadRequest{Path: path}.Append(nil)
		}
		if c.err = c.s.do(op, body); c.err != nil {
			return
		}
		now := time.Now()
		c.gap, last = max(c.gap, now.Sub(last)), now
		c.answers++
	}
}

// end demands that the canary was served all the time.
func (c *canary) end(t *testing.T, where string) {
	t.Helper()
	close(c.stop)
	c.ended.Wait()
	c.s.conn.Close()
	if c.err != nil {
		t.Errorf("the client %s: %v", where, c.err)
	}
	t.Logf("the client %s: %d answers, %v between two at most", where, c.answers, c.gap.Round(time.Millisecond))
}

// TestDescriptors: clients take all descriptors that they can get. Those beyond are refused; the log is rolled and
// snapshots are written all the same, and when clients leave others come in.
func TestDescriptors(t *testing.T) {
	t.Setenv("TEST_FILES", "200")
	e := start(t, ensemble.Settings{Extra: []string{"snapCount=100"}})
	leader := e.Leader()
	at := newCanary(t, "at", leader.Addr())
	others := 0
	var crowd []*session
	for _, m := range e.Members() {
		for range 200 {
			s := &session{}
			if s.connect(m.Addr(), 40*time.Second) != nil {
				others++
				continue
			}
			crowd = append(crowd, s)
		}
	}
	t.Logf("%d clients were let in, %d refused", len(crowd), others)
	if others < 100 || len(crowd) < 150 {
		t.Error("that is not what 200 descriptors mean")
	}
	before := at.answers
	logs, err := filepath.Glob(filepath.Join(leader.DataDir(), "version-2", "log.*"))
	must(t, err)
	must(t, ensemble.Until(2*time.Minute, "the log is rolled", func() bool {
		more, _ := filepath.Glob(filepath.Join(leader.DataDir(), "version-2", "log.*"))
		return len(more) > len(logs)+2
	}))
	alive(t, e)
	for _, s := range crowd {
		s.conn.Close()
	}
	must(t, ensemble.Until(time.Minute, "new clients are let in", func() bool {
		for _, m := range e.Members() {
			var s session
			if s.connect(m.Addr(), 40*time.Second) != nil {
				return false
			}
			s.conn.Close()
		}
		return true
	}))
	at.end(t, "that was there before the crowd")
	if at.answers == before {
		t.Error("it was not served")
	}
	must(t, e.NoDigestMismatches())
}

// TestCrowdAfterTheLeadersDeath: ten thousand sessions lose their connections at once. All of them survive.
func TestCrowdAfterTheLeadersDeath(t *testing.T) {
	const sessions = 10_000
	if files := raiseFiles(); files < sessions+500 {
		t.Skipf("%d descriptors are not enough for %d clients", files, sessions)
	}
	e := start(t, ensemble.Settings{})
	crowd := make([]session, sessions)
	began := time.Now()
	if lost := everyone(crowd, e.Servers()); lost > 0 {
		t.Fatalf("%d sessions were not begun", lost)
	}
	t.Logf("%d sessions begun in %v, memory of members %s", sessions, time.Since(began).Round(time.Millisecond), memory(e))
	leader := e.Leader()
	var servers []string
	for _, m := range e.Members() {
		if m != leader {
			servers = append(servers, m.Addr())
		}
	}
	ids := make(map[wire.SessionID]bool)
	for _, s := range crowd {
		ids[s.id] = true
	}
	must(t, leader.Kill())
	began = time.Now()
	for i := range crowd {
		crowd[i].conn.Close() // the rest of the ensemble has closed theirs, too
	}
	lost := everyone(crowd, servers)
	t.Logf("all were back %v after the leader's death, %d had expired, memory of members %s", time.Since(began).Round(time.Millisecond), lost, memory(e))
	if lost > 0 {
		t.Errorf("%d sessions have expired", lost)
	}
	for _, s := range crowd {
		if !ids[s.id] {
			t.Errorf("session %v is new", s.id)
		}
	}
	if len(ids) != sessions {
		t.Errorf("%d different sessions", len(ids))
	}
	must(t, ensemble.Until(time.Minute, "a leader", func() bool { return e.Leader() != nil }))
	at := newCanary(t, "after", servers[0])
	time.Sleep(time.Second)
	at.end(t, "after all this")
	for _, s := range crowd {
		s.conn.Close()
	}
}

// everyone connects all sessions, trying as often as it takes, and tells how many have expired.
func everyone(crowd []session, servers []string) (lost int) {
	var expired atomic.Int64
	var group sync.WaitGroup
	turn := make(chan struct{}, 500) // at a time
	for i := range crowd {
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			for try := i; ; try++ {
				err := crowd[i].connect(servers[try%len(servers)], 40*time.Second)
				if errors.Is(err, errExpired) {
					expired.Add(1)
				}
				if err == nil || errors.Is(err, errExpired) {
					return
				}
				time.Sleep(time.Duration(5+try%20) * time.Millisecond)
			}
		})
	}
	group.Wait()
	return int(expired.Load())
}

func memory(e *ensemble.Ensemble) string {
	var all []string
	for _, m := range e.Members() {
		if rss, err := m.RSS(); err == nil {
			all = append(all, fmt.Sprintf("%d MiB", rss>>20))
		}
	}
	return strings.Join(all, ", ")
}

// floodBytes is what a member may take at any time, whatever clients throw at it.
const floodBytes = 512 << 20

// TestFloods: clients that send without reading, and clients that ask for much, have to wait, and others are served.
func TestFloods(t *testing.T) {
	e := start(t, ensemble.Settings{})
	var owner session
	must(t, owner.connect(e.Servers()[0], 40*time.Second))
	must(t, owner.do(wire.OpCreate, wire.CreateRequest{Path: "/big", Data: make([]byte, 1_000_000), ACL: wire.OpenACL()}.Append(nil)))
	for name, body := range map[string][]byte{
		"writes that nobody waits for": frame(request(1, wire.OpSetData, wire.SetDataRequest{Path: "/big", Data: []byte("x"), Version: -2}.Append(nil))),
		"a big node, never read":       frame(request(1, wire.OpGetData, wire.ReadRequest{Path: "/big"}.Append(nil))),
		"big writes":                   frame(request(1, wire.OpSetData, wire.SetDataRequest{Path: "/big", Data: make([]byte, 900_000), Version: -1}.Append(nil))),
	} {
		t.Run(name, func(t *testing.T) {
			var canaries []*canary
			for i, m := range e.Members() {
				canaries = append(canaries, newCanary(t, fmt.Sprintf("%s %d", name, i), m.Addr()))
			}
			end := time.Now().Add(8 * time.Second)
			var group sync.WaitGroup
			var sent atomic.Int64
			for i := range 6 {
				group.Go(func() {
					var s session
					if s.connect(e.Servers()[i%3], 40*time.Second) != nil {
						return
					}
					defer s.conn.Close()
					s.conn.SetWriteDeadline(end)
					for {
						if _, err := s.conn.Write(body); err != nil {
							return
						}
						sent.Add(1)
					}
				})
			}
			group.Wait()
			t.Logf("%d requests, memory of members %s at the end", sent.Load(), memory(e))
			alive(t, e)
			for i, c := range canaries {
				c.end(t, "at member "+strconv.Itoa(i+1))
			}
			for _, m := range e.Members() {
				if peak, err := m.PeakRSS(); err != nil || peak > floodBytes {
					t.Errorf("member %d has taken %d MiB (%v)", m.ID, peak>>20, err)
				} else {
					t.Logf("member %d has taken %d MiB at most", m.ID, peak>>20)
				}
			}
		})
	}
	must(t, e.NoDigestMismatches())
}
