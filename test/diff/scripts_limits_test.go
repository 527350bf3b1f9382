//go:build diff

package diff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// limited plays a script on standalone servers with further settings.
func limited(t *testing.T, play func(*script), lines ...string) {
	p := servers(t, 1, lines...)
	p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
	play(&script{t: t, pair: p})
	t.Logf("%s", p.summary())
}

func TestEnforcedQuota(t *testing.T) { limited(t, enforcedQuota, "enforceQuota=true") }

func TestLargeRequests(t *testing.T) {
	limited(t, largeRequests, "largeRequestThreshold=100", "largeRequestMaxBytes=1000")
}

func TestConnectionThrottle(t *testing.T) {
	limited(t, connectionThrottle, "connection_throttle_tokens=7", "connection_throttle_fill_time=86400000",
		"connection_throttle_weight_enabled=true")
}

func TestRequestThrottle(t *testing.T) {
	limited(t, pipelines, "request_throttle_max_requests=3", "globalOutstandingLimit=10")
}

// enforcedQuota: limits of every kind, alone and together, below, at and beyond them, and in a multi.
func enforcedQuota(s *script) {
	s.open(0, 1)
	const limits, stats = "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"
	s.create(0, "/zookeeper/quota/q", "")
	for _, text := range []string{
		"count=2,bytes=10", "count=-1,bytes=-1", "count=2,bytes=-1", "count=-1,bytes=10", "count=0,bytes=0",
		"count=-1,bytes=-1=;countHardLimit=2", "count=-1,bytes=-1=;byteHardLimit=10", "count=1,bytes=5=;byteHardLimit=10;countHardLimit=3",
		"count=5,bytes=50=;byteHardLimit=10;countHardLimit=3", "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=-1",
		"count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=0", "count=-1,bytes=-1=;countHardLimit=1", "bytes=3,count=1",
		"what=1,count=-1,bytes=-1=;countHardLimit=2;what=3",
	} {
		s.create(0, "/q", "12345")
		s.create(0, limits, text)
		s.create(0, stats, "count=0,bytes=0")
		for round := range 2 {
			for _, path := range []string{"/q/a", "/q/b", "/q/b/c", "/qq", "/zookeeper/x"} {
				s.ask(0, wire.OpCreate, create(path, []byte("123"), open, 0))
				s.ask(0, wire.OpCreate2, create(path+"-", nil, open, int32(2+round)))
				s.look(0, stats)
			}
			for _, data := range []string{"", "1", "123456789", "1234567890", "12345678901", "1"} {
				s.ask(0, wire.OpSetData, setData("/q", []byte(data), -1))
				s.ask(0, wire.OpSetData, setData("/q/a", []byte(data), -1))
				s.ask(0, wire.OpSetData, setData("/q/a", []byte(data), 77)) // whether the version is wrong comes later
			}
			s.ask(0, wire.OpSetData, setData("/q", nil, -1))
			s.ask(0, wire.OpMulti, body{}.part(wire.OpDelete, pathVersion("/q/b/c", -1)).part(wire.OpCreate, create("/q/d", nil, open, 0)).end())
			s.ask(0, wire.OpMulti, body{}.part(wire.OpCreate, create("/q/e", []byte("12"), open, 0)).
				part(wire.OpSetData, setData("/q/e", []byte("1234567"), -1)).part(wire.OpSetData, setData("/q/e", []byte("12345678901"), -1)).end())
			s.ask(0, wire.OpCreateContainer, create("/q/f", []byte("1234567890"), open, 4))
			s.ask(0, wire.OpCreate, create("/q/f/"+strings.Repeat("x", 50), nil, open, 1))
			s.look(0, stats)
			s.look(0, limits)
		}
		s.ask(0, wire.OpSetData, setData(stats, []byte("count=100,bytes=100"), -1))
		s.ask(0, wire.OpCreate, create("/q/g", []byte("1"), open, 0))
		s.ask(0, wire.OpSetData, setData("/q", []byte("1"), -1))
		s.ask(0, wire.OpDelete, pathVersion(stats, -1))
		s.ask(0, wire.OpCreate, create("/q/h", []byte("1"), open, 0))
		s.ask(0, wire.OpDelete, pathVersion(limits, -1))
		s.ask(0, wire.OpCreate, create("/q/i", []byte("1"), open, 0))
		s.close(0)
		s.open(0)
		for _, path := range []string{"/q/b/c", "/q/a", "/q/b", "/q/d", "/q/e", "/q/f", "/q/g", "/q/h", "/q/i"} {
			s.ask(0, wire.OpDelete, pathVersion(path, -1))
		}
		for n := range int32(60) {
			for _, path := range []string{"/q/a-", "/q/b-", "/q/b/c-"} {
				if s.sequence(path, n) {
					s.ask(0, wire.OpDelete, pathVersion(fmt.Sprintf("%s%010d", path, n), -1))
				}
			}
		}
		s.ask(0, wire.OpDelete, pathVersion("/q/b", -1))
		s.ask(0, wire.OpDelete, pathVersion("/q", -1))
	}
}

// sequence tells whether a node with this number is there at zkserver.
func (s *script) sequence(path string, n int32) bool {
	got := s.ask(0, wire.OpExists, read(fmt.Sprintf("%s%010d", path, n), false))
	return len(got) > 0 && got[0].err == wire.ErrOK
}

// largeRequests: lengths around the threshold and the limit, one after the other.
func largeRequests(s *script) {
	s.open(0, 1)
	s.create(0, "/x", "")
	overhead := len(setData("/x", nil, -1))
	for _, length := range []int{99, 100, 101, 500, 991, 992, 993, 999, 1000, 1001, 5000} {
		s.ask(0, wire.OpSetData, setData("/x", make([]byte, length-overhead), -1))
		s.ask(1, wire.OpExists, read("/x", false))
	}
	for range 30 { // what was counted is given back
		s.ask(1, wire.OpSetData, setData("/x", make([]byte, 900), -1))
	}
}

// connectionThrottle: of 21 tokens a new session takes three, one that goes on two.
func connectionThrottle(s *script) {
	s.open(0, 1, 2)
	for slot := range 3 {
		s.do(step{slot: slot + 2, connect: connection(), from: slot})
		s.do(step{slot: slot, connect: connection(), from: slot + 2})
	}
	s.do(step{slot: 3, connect: connection(), from: -1})
	s.ask(0, wire.OpPing, nil)
	s.ask(1, wire.OpPing, nil)
}

// pipelines: many requests at once, all of which are answered in order. The answers hold no times.
func pipelines(s *script) {
	s.open(0, 1)
	s.create(0, "/p", "")
	for range 5 {
		var b []byte
		for n := range int32(60) {
			xid := wire.RequestHeader{Xid: n + 1}
			for _, r := range []struct {
				op wire.OpCode
				b  body
			}{{wire.OpCreate, create("/p/s-", nil, open, 2)}, {wire.OpGetChildren, read("/p/s-0000000000", false)}, {wire.OpDelete, pathVersion("/p", -1)},
				{wire.OpExists, read("/p/none", false)}, {wire.OpMulti, body{}.part(wire.OpCheck, pathVersion("/p", -1)).end()}} {
				xid.Type = r.op
				b = framed(b, xid, r.b)
			}
		}
		s.do(step{slot: 0, bytes: append(b, s.ours.fenceFrame()...)})
	}
}
