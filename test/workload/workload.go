// Package workload puts an ensemble under load from many sessions and remembers what it was promised, so that a test can
// break things meanwhile and ask afterwards whether every promise was kept.
//
// Two loads run side by side. Each writer creates znodes with names never used before, and deletes its older ones, so the
// tree stays small: an acknowledged create must be there at the end, an acknowledged delete must have been for good. The
// clients of registers write and read a few shared znodes, and their history must be linearizable.
//
// Three outcomes of a request are told apart: acknowledged, refused or never sent (it did not happen), and unknown (the
// connection broke while it was under way: it may have happened, even later).
package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// Options say how much load. Zero values take the defaults.
type Options struct {
	Writers   int           // sessions that create and delete; 8
	Registers int           // sessions that write and read registers; 4; negative: none
	Pause     time.Duration // between two requests of a session; 0: none
	Keep      int           // znodes that a writer leaves before it deletes the oldest; 500
}

// Load is a running load. Its methods may be called from any goroutine.
type Load struct {
	root    string
	options Options
	began   time.Time
	cancel  context.CancelFunc
	running sync.WaitGroup
	conns   []*zk.Conn

	mu      sync.Mutex
	nodes   map[string]state
	history []operation
	sum     Summary
	lastAck time.Time
}

// state is what must be true of a znode.
type state int

const (
	maybe state = iota
	present
	absent
)

// Summary counts what happened.
type Summary struct {
	Acknowledged int           // requests that were answered with success
	NotDone      int           // requests that certainly had no effect
	Unknown      int           // requests whose outcome nobody knows
	LongestGap   time.Duration // the longest time in which no session got a write acknowledged
	Took         time.Duration
}

// String is one line for a report.
func (s Summary) String() string {
	return fmt.Sprintf("%d acknowledged (%.0f/s), %d not done, %d unknown, longest time without an acknowledged write %v",
		s.Acknowledged, float64(s.Acknowledged)/s.Took.Seconds(), s.NotDone, s.Unknown, s.LongestGap.Round(time.Millisecond))
}

// Start opens the sessions and begins. All znodes lie under root, which must not exist.
func Start(root string, options Options, servers ...string) (*Load, error) {
	if options.Writers == 0 {
		options.Writers = 8
	}
	if options.Registers == 0 {
		options.Registers = 4
	}
	if options.Keep == 0 {
		options.Keep = 500
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{root: root, options: options, cancel: cancel, nodes: make(map[string]state)}
	for i := range max(options.Writers, 0) + max(options.Registers, 0) {
		// Each session prefers another server.
		first := i % len(servers)
		conn, err := ensemble.Dial(8*time.Second, slices.Concat(servers[first:], servers[:first])...)
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, conn)
	}
	for _, dir := range []string{root, root + "/nodes", root + "/registers"} {
		if _, err := l.conns[0].Create(dir, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			l.close()
			return nil, fmt.Errorf("create %s: %w", dir, err)
		}
	}
	for _, conn := range l.conns { // a new session may lag behind
		if _, err := conn.Sync(root); err != nil {
			l.close()
			return nil, err
		}
	}
	l.began = time.Now()
	l.lastAck = l.began
	for i, conn := range l.conns {
		l.running.Go(func() {
			if i < options.Writers {
				l.write(ctx, i, conn)
			} else {
				l.register(ctx, i, conn)
			}
		})
	}
	return l, nil
}

// Stop ends the load and closes its sessions, when every request under way has its outcome.
func (l *Load) Stop() Summary {
	l.cancel()
	l.running.Wait()
	l.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Took = time.Since(l.began)
	l.sum.LongestGap = max(l.sum.LongestGap, time.Since(l.lastAck))
	return l.sum
}

// Acknowledged is the number of acknowledged requests so far.
func (l *Load) Acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum.Acknowledged
}

func (l *Load) close() {
	l.cancel()
	for _, conn := range l.conns {
		conn.Close()
	}
}

// write is one writer's life.
func (l *Load) write(ctx context.Context, writer int, conn *zk.Conn) {
	var kept []string
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("%s/nodes/w%d-%d", l.root, writer, i)
		_, err := conn.Create(name, []byte(name), 0, zk.WorldACL(zk.PermAll))
		if l.outcome(err, name, present, absent) {
			kept = append(kept, name)
		}
		if len(kept) > l.options.Keep {
			oldest := kept[0]
			kept = kept[1:]
			l.outcome(conn.Delete(oldest, 0), oldest, absent, present)
		}
		l.pause(ctx)
	}
}

// outcome records what a request on a znode has led to: the wanted state if it was acknowledged, the old one if it was
// not done. It returns whether it was acknowledged.
func (l *Load) outcome(err error, name string, wanted, old state) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.count(err) {
	case done:
		l.nodes[name] = wanted
	case notDone:
		l.nodes[name] = old
	case unknown:
		l.nodes[name] = maybe
	}
	return err == nil
}

type fate int

const (
	done fate = iota
	notDone
	unknown
)

// count classifies a write's result. The caller holds mu.
func (l *Load) count(err error) fate {
	switch {
	case err == nil:
		now := time.Now()
		l.sum.LongestGap = max(l.sum.LongestGap, now.Sub(l.lastAck))
		l.lastAck = now
		l.sum.Acknowledged++
		return done
	case neverSent(err):
		l.sum.NotDone++
		return notDone
	default:
		l.sum.Unknown++
		return unknown
	}
}

// neverSent tells whether the request certainly had no effect: the library says ErrNoServer only of requests that it had
// not sent, and an answer with an error code is an answer.
func neverSent(err error) bool {
	return errors.Is(err, zk.ErrNoServer) || errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNodeExists)
}

func (l *Load) pause(ctx context.Context) {
	if l.options.Pause == 0 {
		return
	}
	select {
	case <-time.After(l.options.Pause):
	case <-ctx.Done():
	}
}

// Check compares a member's tree with the promises, after Stop, and returns what was broken, at most 20 lines.
func (l *Load) Check(tree ensemble.Tree) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var broken []string
	for name, state := range l.nodes {
		node, ok := tree[name]
		switch {
		case state == present && !ok:
			broken = append(broken, "lost: the create was acknowledged: "+name)
		case state == absent && ok:
			broken = append(broken, "back again: the delete was acknowledged or the create was not done: "+name)
		case ok && node.Data != name:
			broken = append(broken, fmt.Sprintf("%s holds %.60q", name, node.Data))
		}
	}
	slices.Sort(broken)
	return broken[:min(len(broken), 20)]
}
