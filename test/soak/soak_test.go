//go:build soak

package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	minutes = flag.Float64("minutes", 2, "how long")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "chooses what is sent")
)

const (
	attackers = 4 // at a time, for each port
	pace      = 20 * time.Millisecond
	// sessionTimeout is also how long a write and a read of the working client may take: the attackers are on its machine.
	sessionTimeout = 10 * time.Second
	// growth is how much more memory a member may use in the last quarter of the time than in the second one, beside a
	// quarter of that.
	growth = 16 << 20
	// most is what a member may use at any time.
	most = 256 << 20
)

// TestSoak is the whole of it.
func TestSoak(t *testing.T) {
	t.Logf("seed %d: go test -tags soak ./test/soak -minutes %g -seed %d", *seed, *minutes, *seed)
	kinds := []ensemble.Kind{ensemble.Against(), ensemble.Against(), ensemble.Against()}
	e, err := ensemble.New(ensemble.Settings{TickTime: time.Second, Admin: true}, kinds...)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(e.Logs(40))
		}
		e.Close()
	})
	must(t, e.Start())
	must(t, e.Await(60*time.Second))
	leader := e.Leader()
	epoch := leader.Srvr()["Zxid"][:3]

	works, err := startClient(e.Servers())
	must(t, err)
	defer works.conn.Close()
	_, err = works.conn.Create(Big, make([]byte, 500_000), 0, zk.WorldACL(zk.PermAll))
	must(t, err)
	_, err = works.conn.Create("/soak-junk", nil, 0, zk.WorldACL(zk.PermAll))
	must(t, err)

	var targets []Target
	for _, m := range e.Members() {
		targets = append(targets,
			Target{fmt.Sprintf("client port of %d", m.ID), m.Addr(), ClientAttacks()},
			Target{fmt.Sprintf("election port of %d", m.ID), m.ElectionAddr(), ElectionAttacks()},
			Target{fmt.Sprintf("admin port of %d", m.ID), m.AdminAddr(), HTTPAttacks()})
	}
	targets = append(targets, Target{"quorum port", leader.QuorumAddr(), QuorumAttacks()})

	files, begin := make(map[int]int), make(map[int]int64)
	for _, m := range e.Members() {
		files[m.ID] = openFiles(t, m)
		begin[m.ID], err = m.RSS()
		must(t, err)
	}
	took := time.Duration(*minutes * float64(time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), took)
	defer cancel()
	var running sync.WaitGroup
	counts := make([]atomic.Int64, len(targets))
	for i, target := range targets {
		for j := range attackers {
			r := rand.New(rand.NewPCG(*seed, uint64(i*attackers+j)))
			running.Go(func() {
				for ctx.Err() == nil {
					if conn, err := net.DialTimeout("tcp", target.Address, time.Second); err == nil {
						target.Attacks[r.IntN(len(target.Attacks))].Run(ctx, r, conn)
						conn.Close()
						counts[i].Add(1)
					}
					time.Sleep(pace)
				}
			})
		}
	}
	warm := watchMemory(t, e, took, 0.25, 0.5)
	late := watchMemory(t, e, took, 0.75, 1)
	running.Wait()

	must(t, works.stop())
	t.Logf("the working client: %d requests, slowest %v, no failure", works.done.Load(), time.Duration(works.slowest.Load()).Round(time.Millisecond))
	for i, target := range targets {
		t.Logf("%-22s %d hostile connections", target.Name, counts[i].Load())
		if counts[i].Load() == 0 {
			t.Errorf("nothing reached the %s", target.Name)
		}
	}
	for _, m := range e.Members() {
		end, err := m.RSS()
		must(t, err)
		t.Logf("member %d: %d MiB at the beginning, at most %d MiB, then %d MiB, %d MiB at the end", m.ID, begin[m.ID]>>20, warm[m.ID]>>20, late[m.ID]>>20, end>>20)
		// What comes and goes with a few long frames is no leak, but has its bound, too.
		if min(late[m.ID], end) > warm[m.ID]+warm[m.ID]/4+growth || late[m.ID] > most {
			t.Errorf("the memory of member %d grows", m.ID)
		}
		if m.LogHas("panic") {
			t.Errorf("member %d has panicked", m.ID)
		}
		if size := logBytes(t, m); size > 4<<20 {
			t.Errorf("member %d has logged %d bytes", m.ID, size)
		}
		must(t, ensemble.Until(45*time.Second, fmt.Sprintf("member %d has closed what was opened (%d files before, %d now)", m.ID, files[m.ID], openFiles(t, m)),
			func() bool { return openFiles(t, m) <= files[m.ID]+4 }))
	}
	if now := e.Leader(); now == nil || now.ID != leader.ID || now.Srvr()["Zxid"][:3] != epoch {
		t.Errorf("member %d does not lead any more in epoch %s", leader.ID, epoch)
	}
}

// client works beside the attacks.
type client struct {
	conn    *zk.Conn
	cancel  context.CancelFunc
	ended   chan error
	done    atomic.Int64
	slowest atomic.Int64
}

func startClient(servers []string) (*client, error) {
	conn, events, err := zk.Connect(servers, sessionTimeout, zk.WithLogInfo(false))
	if err != nil {
		return nil, err
	}
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{conn: conn, cancel: cancel, ended: make(chan error, 1)}
	go func() { c.ended <- c.work(ctx, events) }()
	return c, nil
}

// work writes and reads until ctx ends, and returns the first thing that is not as it should be.
func (c *client) work(ctx context.Context, events <-chan zk.Event) error {
	if _, err := c.conn.Create("/soak-work", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		return err
	}
	for version := int32(0); ctx.Err() == nil; version++ {
		begun := time.Now()
		want := fmt.Sprint(version)
		stat, err := c.conn.Set("/soak-work", []byte(want), version)
		if err != nil {
			return fmt.Errorf("set, version %d: %w", version, err)
		}
		data, got, err := c.conn.Get("/soak-work")
		if err != nil || string(data) != want || got.Version != stat.Version {
			return fmt.Errorf("got %q %v, want %q %v: %w", data, got, want, stat, err)
		}
		took := time.Since(begun)
		c.slowest.Store(max(c.slowest.Load(), int64(took)))
		if took > sessionTimeout {
			return fmt.Errorf("a write and a read took %v", took)
		}
		c.done.Add(2)
		select {
		case e := <-events:
			return fmt.Errorf("the session noticed %v", e)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func (c *client) stop() error {
	c.cancel()
	return <-c.ended
}

// watchMemory is the most memory that each member used from one part of the time to another. It begins when it is called,
// at the part where the last call ended.
func watchMemory(t *testing.T, e *ensemble.Ensemble, took time.Duration, from, to float64) map[int]int64 {
	t.Helper()
	time.Sleep(time.Duration(0.25 * float64(took)))
	most := make(map[int]int64)
	for end := time.Now().Add(time.Duration((to - from) * float64(took))); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, m := range e.Members() {
			rss, err := m.RSS()
			must(t, err)
			most[m.ID] = max(most[m.ID], rss)
		}
	}
	return most
}

func openFiles(t *testing.T, m *ensemble.Member) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.PID()))
	must(t, err)
	return len(files)
}

func logBytes(t *testing.T, m *ensemble.Member) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(m.Dir, "log"))
	must(t, err)
	return info.Size()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
