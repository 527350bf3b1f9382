package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/wire"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// newMembers invents members on addresses of this host that nobody else uses.
func newMembers(t testing.TB, ids ...wire.ServerID) *quorum.Config {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), 1+rand.IntN(250), 1+rand.IntN(250))
	port := 2000 + 100*rand.IntN(90) // for the test that listens on all addresses
	var list []quorum.Member
	for i, id := range ids {
		list = append(list, quorum.Member{ID: id, Host: host, QuorumPort: port + i, ElectionPort: port + 10 + i})
	}
	c, err := quorum.New(list, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func member(t testing.TB, members *quorum.Config, id wire.ServerID) quorum.Member {
	t.Helper()
	m, ok := members.Member(id)
	if !ok {
		t.Fatalf("server %d is no member", id)
	}
	return m
}

// server is a Peer and what it has delivered.
type server struct {
	*Peer
	t    testing.TB
	stop func() // ends Run and waits for it

	mu      sync.Mutex
	inputs  []node.Input
	blocked bool
	stopped bool
	changed sync.Cond
}

func testConfig(members *quorum.Config, id wire.ServerID) Config {
	return Config{
		Self: id, Members: members, ConnectTimeout: 2 * time.Second, BindRetries: 1,
		TickTime: 100 * time.Millisecond, SyncLimitTicks: 10, InitLimitTicks: 20,
		View: new(sync.Mutex), Log: slog.New(slog.DiscardHandler),
	}
}

func start(t testing.TB, members *quorum.Config, id wire.ServerID) *server {
	t.Helper()
	return startWith(t, testConfig(members, id))
}

func startWith(t testing.TB, cfg Config) *server {
	t.Helper()
	s := &server{t: t}
	s.changed.L = &s.mu
	cfg.Deliver = s.deliver
	s.Peer = New(cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		s.mu.Lock()
		s.stopped = true
		s.changed.Broadcast()
		s.mu.Unlock()
		cancel()
		begun := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Run took %v to end", took)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) deliver(in []node.Input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.blocked && !s.stopped {
		s.changed.Wait()
	}
	s.inputs = append(s.inputs, in...)
	s.changed.Broadcast()
}

// block lets Deliver wait, or go on.
func (s *server) block(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = on
	s.changed.Broadcast()
}

func (s *server) seen() []node.Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]node.Input(nil), s.inputs...)
}

// await waits until the inputs satisfy a condition.
func (s *server) await(what string, enough func([]node.Input) bool) {
	s.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !enough(s.inputs) {
		if late {
			tail := s.inputs[max(0, len(s.inputs)-10):]
			s.t.Fatalf("server %d: no %s; %d inputs, the last are %+v", s.cfg.Self, what, len(s.inputs), tail)
		}
		s.changed.Wait()
	}
}

// awaitInput waits for the first input of a type that satisfies ok.
func awaitInput[T node.Input](s *server, what string, ok func(T) bool) T {
	s.t.Helper()
	var found T
	s.await(what, func(inputs []node.Input) bool {
		for _, in := range inputs {
			if v, is := in.(T); is && (ok == nil || ok(v)) {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

// count tells how many inputs there are of a type.
func count[T node.Input](s *server) int {
	n := 0
	for _, in := range s.seen() {
		if _, is := in.(T); is {
			n++
		}
	}
	return n
}

// until polls what cannot be waited for.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// dialRaw connects as somebody else.
func dialRaw(t testing.TB, address string) net.Conn {
	t.Helper()
	var sock net.Conn
	until(t, "connection to "+address, func() bool {
		var err error
		sock, err = net.Dial("tcp", address)
		return err == nil
	})
	t.Cleanup(func() { sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return sock
}

// listenRaw listens as somebody else.
func listenRaw(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func acceptRaw(t testing.TB, ln *net.TCPListener) net.Conn {
	t.Helper()
	if err := ln.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	sock, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return sock
}

func write(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// awaitEOF wants the other side to close the connection without another word.
func awaitEOF(t testing.TB, sock net.Conn) {
	t.Helper()
	b := make([]byte, 1)
	n, err := sock.Read(b)
	if n > 0 {
		t.Fatalf("the connection goes on with %x", b)
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("the connection stays open")
	}
}

// checkGoroutines wants no goroutine of this package left.
func checkGoroutines(t testing.TB) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = nil
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(stack, "server/peer.(*") && !strings.Contains(stack, "testing.tRunner") {
				left = append(left, stack)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
}
