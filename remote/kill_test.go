package remote

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a host on which every script begins and none ends.
type stuck struct {
	mu       sync.Mutex
	launched int
}

func (s *stuck) launch(_ context.Context, opts launchOptions) (process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.launched++
	return &stuckProcess{opts: opts, never: make(chan struct{})}, nil
}

type stuckProcess struct {
	opts  launchOptions
	sent  []byte
	begun bool
	never chan struct{}
}

var markerForm = regexp.MustCompile(`zkctl-[0-9a-f]{24}`)

func (p *stuckProcess) Write(b []byte) (int, error) {
	p.sent = append(p.sent, b...)
	if m := markerForm.Find(p.sent); m != nil && !p.begun {
		p.begun = true
		p.opts.stderr([]byte(string(m) + " begin\n"))
		p.opts.stdout([]byte(string(m) + " begin 4711\n"))
	}
	return len(b), nil
}

func (p *stuckProcess) CloseWrite() error       { return nil }
func (p *stuckProcess) exited() <-chan struct{} { return p.never }
func (p *stuckProcess) status() exit            { return exit{} }
func (p *stuckProcess) release()                {}
func (p *stuckProcess) spare()                  {}
func (p *stuckProcess) waited() bool            { return false }

// A command is cancelled on a host that is too slow to kill it, as a paused or overloaded one is: the attempt ends after its
// time, and is not itself attempted to be killed, and so on without end.
func TestKillingIsNotKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &stuck{}
		r := newRunner("slow", "root", host, Become{})
		r.isRoot = true
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := r.Run(ctx, Command{Label: "wait", Script: "sleep 1000"})
			ended <- err
		}()
		time.Sleep(time.Second)
		cancel()
		err := <-ended
		if took := time.Since(began); took > time.Second+2*killTimeout || err == nil || host.launched != 2 {
			t.Errorf("after %v, %d commands: %v", took, host.launched, err)
		}
	})
}
