package main

import (
	"sync"
	"time"
)

// probe is a client that writes all the time, one request after the other, and after an error opens a session with the
// next server, as fast as it can.
type probe struct {
	servers []string
	stop    chan struct{}
	ended   sync.WaitGroup

	mu     sync.Mutex
	writes []write
}

// write is a request that was answered without an error.
type write struct{ sent, answered time.Time }

// newProbe begins with the first of the servers.
func newProbe(servers []string) *probe {
	p := &probe{servers: servers, stop: make(chan struct{})}
	p.ended.Go(p.run)
	return p
}

func (p *probe) end() {
	close(p.stop)
	p.ended.Wait()
}

// first is when the first write was answered that was sent after a moment; zero if none was.
func (p *probe) first(after time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.writes {
		if w.sent.After(after) {
			return w.answered
		}
	}
	return time.Time{}
}

func (p *probe) run() {
	for i := 0; ; i++ {
		select {
		case <-p.stop:
			return
		default:
		}
		c, err := dial(p.servers[i%len(p.servers)])
		if err != nil {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		p.write(c)
		c.close()
	}
}

// write writes until something fails.
func (p *probe) write(c *client) {
	frame := set(path(0), payload)
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
		w := write{sent: time.Now()}
		c.conn.SetDeadline(w.sent.Add(10 * time.Second))
		if err := c.do(frame); err != nil {
			return
		}
		w.answered = time.Now()
		p.mu.Lock()
		p.writes = append(p.writes, w)
		p.mu.Unlock()
	}
}
