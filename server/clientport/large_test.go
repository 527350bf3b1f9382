package clientport

import (
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// Large requests share a number of bytes; who would bring them beyond it is closed, and what is answered or closed is given
// back.
func TestLargeRequests(t *testing.T) {
	s := newStand(t, func(c *Config) { c.LargeRequestThreshold, c.LargeRequestMaxBytes = 100, 1000 })
	closing, full, small := s.connect(), s.connect(), s.connect()
	release := s.holdBack()
	body := func(n int) string { return strings.Repeat("x", n) }

	closing.send(request(1, wire.OpSetData, body(400)))
	full.send(request(1, wire.OpSetData, body(500)))
	waitFor(t, "both requests", func() bool { return s.large.bytes.Load() == 900 })
	small.send(request(1, wire.OpSetData, body(92))) // 100 with its header
	small.send(request(2, wire.OpSetData, body(93)))
	small.gone()
	if n := s.cfg.Metrics.LargeRequestsRejected.Total(); n != 1 {
		t.Errorf("%d are rejected", n)
	}
	closing.Close()
	waitFor(t, "the end of a connection", func() bool { return s.large.bytes.Load() == 500 })
	release()
	full.expect(1, body(500))
	if n := s.large.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
	for range 5 {
		full.send(request(2, wire.OpSetData, body(990)))
		full.expect(2, body(990))
	}
	full.send(request(3, wire.OpSetData, body(993)))
	full.gone()
}

func TestNoLimitOfLargeRequests(t *testing.T) {
	s := newStand(t, nil)
	p := s.connect()
	p.send(request(1, wire.OpSetData, strings.Repeat("x", 1<<19)))
	p.expect(1, strings.Repeat("x", 1<<19))
}
