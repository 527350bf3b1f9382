package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// Patient is a load of sessions that never give up: each creates one znode after the other, and one whose answer was lost
// with the connection again. Every session also holds an ephemeral znode, which must outlive whatever happens. Half of them
// use github.com/go-zookeeper/zk, the others package client.
type Patient struct {
	root    string
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	writers []*patientWriter
}

// patientWriter is one session.
type patientWriter struct {
	name    string
	session session
	ends    atomic.Int32

	mu           sync.Mutex
	acknowledged []string
	since        Strain
	interrupted  bool    // since the last acknowledged create
	strange      []error // answers that nobody should get
}

// session is what a writer needs of a client library.
type session interface {
	// create tells whether the request may have reached a server.
	create(name string, ephemeral bool) (sent bool, err error)
	close()
}

// Strain is what a session has noticed.
type Strain struct {
	Disconnects   int // connections that broke
	Interruptions int // the same, but for those that broke before anything was acknowledged again
	Failed        int // creates that got no answer because of it; they were done again
	Acknowledged  int
}

// StartPatient begins with n sessions, each at the first server that answers. Nothing may be at root yet.
func StartPatient(root string, timeout time.Duration, n int, servers ...string) (*Patient, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Patient{root: root, timeout: timeout, cancel: cancel, ctx: ctx}
	return p, p.Add(n, servers...)
}

// Add adds n sessions.
func (p *Patient) Add(n int, servers ...string) error {
	for range n {
		i := len(p.writers)
		w := &patientWriter{name: fmt.Sprintf("%s/w%d", p.root, i)}
		var err error
		if i%2 == 0 {
			w.session, err = w.dialGo(p.timeout, servers)
		} else {
			w.session, err = w.dialOwn(p.timeout, servers)
		}
		if err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		p.writers = append(p.writers, w)
		if i == 0 {
			_, err = w.session.create(p.root, false)
		}
		if err == nil {
			_, err = w.session.create(w.name+"-alive", true)
		}
		if err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		p.running.Go(func() { w.run(p.ctx) })
	}
	return nil
}

func (w *patientWriter) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil && w.ends.Load() == 0; i++ {
		name := fmt.Sprintf("%s-%d", w.name, i)
		for again := false; ; again = true {
			sent, err := w.session.create(name, false)
			done := err == nil || again && isNodeExists(err)
			w.note(name, done, sent, err)
			if done {
				break
			}
			if !isLost(err) || w.ends.Load() > 0 {
				return
			}
			time.Sleep(5 * time.Millisecond) // some errors come at once
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *patientWriter) note(name string, done, sent bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case done:
		w.acknowledged = append(w.acknowledged, name)
		w.since.Acknowledged++
		w.interrupted = false
	case isLost(err):
		if sent {
			w.since.Failed++
		}
	default:
		w.strange = append(w.strange, fmt.Errorf("create %s: %w", name, err))
	}
}

func (w *patientWriter) disconnected() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since.Disconnects++
	if !w.interrupted {
		w.interrupted = true
		w.since.Interruptions++
	}
}

// Since returns what each session has noticed since the last call.
func (p *Patient) Since() []Strain {
	var all []Strain
	for _, w := range p.writers {
		w.mu.Lock()
		all = append(all, w.since)
		w.since = Strain{}
		w.mu.Unlock()
	}
	return all
}

// Progress waits until each session has written n more znodes.
func (p *Patient) Progress(n int, limit time.Duration) error {
	for i, w := range p.writers {
		count := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.acknowledged)
		}
		before := count()
		if err := ensemble.Until(limit, fmt.Sprintf("writes of session %d", i), func() bool { return count() >= before+n }); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			return errors.Join(append(slices.Clone(w.strange), err)...)
		}
	}
	return nil
}

// Pause ends the writing and leaves the sessions.
func (p *Patient) Pause() {
	p.cancel()
	p.running.Wait()
}

// Stop ends the sessions as well.
func (p *Patient) Stop() {
	p.Pause()
	for _, w := range p.writers {
		w.session.close()
	}
}

// Check compares a member's tree with what the sessions, which must be paused and not stopped, were promised, and returns
// what was broken, at most 20 lines.
func (p *Patient) Check(tree ensemble.Tree) (broken []string) {
	for _, w := range p.writers {
		for _, err := range w.strange {
			broken = append(broken, err.Error())
		}
		if w.ends.Load() > 0 {
			broken = append(broken, "a session has ended: "+w.name)
		}
		if node, ok := tree[w.name+"-alive"]; !ok || node.Stat.EphemeralOwner == 0 {
			broken = append(broken, fmt.Sprintf("%s-alive: %+v", w.name, node))
		}
	}
	_, lost := p.Lost(tree)
	for _, name := range lost {
		broken = append(broken, "lost: the create was acknowledged: "+name)
	}
	return broken[:min(len(broken), 20)]
}

// Lost counts the acknowledged creates, and names those that are not in a member's tree.
func (p *Patient) Lost(tree ensemble.Tree) (acknowledged int, lost []string) {
	for _, w := range p.writers {
		acknowledged += len(w.acknowledged)
		for _, name := range w.acknowledged {
			if _, ok := tree[name]; !ok {
				lost = append(lost, name)
			}
		}
	}
	return acknowledged, lost
}

func isLost(err error) bool {
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) || client.Code(err) == wire.ErrConnectionLoss
}

func isNodeExists(err error) bool {
	return errors.Is(err, zk.ErrNodeExists) || client.Code(err) == wire.ErrNodeExists
}

type goSession struct{ conn *zk.Conn }

func (w *patientWriter) dialGo(timeout time.Duration, servers []string) (session, error) {
	stands := false // only touched by the library's goroutine that connects
	conn, err := ensemble.DialTelling(func(e zk.Event) {
		switch {
		case e.Type != zk.EventSession:
		case e.State == zk.StateHasSession:
			stands = true
		case e.State == zk.StateDisconnected && stands:
			stands = false
			w.disconnected()
		case e.State == zk.StateExpired:
			w.ends.Add(1)
		}
	}, timeout, servers...)
	return goSession{conn}, err
}

func (s goSession) create(name string, ephemeral bool) (sent bool, err error) {
	var flags int32
	if ephemeral {
		flags = zk.FlagEphemeral
	}
	_, err = s.conn.Create(name, []byte(name), flags, zk.WorldACL(zk.PermAll))
	return !errors.Is(err, zk.ErrNoServer), err
}

func (s goSession) close() { s.conn.Close() }

type ownSession struct {
	client  *client.Client
	timeout time.Duration
}

func (w *patientWriter) dialOwn(timeout time.Duration, servers []string) (session, error) {
	c, err := client.Connect(strings.Join(servers, ","), client.Options{SessionTimeout: timeout, OnEvent: func(e client.Event) {
		switch {
		case e.Type != client.None:
		case e.State == client.StateDisconnected:
			w.disconnected()
		case e.State == client.StateExpired:
			w.ends.Add(1)
		}
	}})
	return ownSession{c, timeout}, err
}

func (s ownSession) create(name string, ephemeral bool) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
	defer cancel()
	var flags int32
	if ephemeral {
		flags = wire.FlagEphemeral
	}
	sent = s.client.State() == client.Connected // what waits for a connection and is sent only then, loses another connection
	_, err = s.client.Create(ctx, name, []byte(name), wire.OpenACL(), flags, 0)
	return sent, err
}

func (s ownSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.timeout)
	defer cancel()
	s.client.Close(ctx)
}
