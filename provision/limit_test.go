package provision

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
)

// limited is a run that is limited to some hosts, and cannot reach others.
func (s *site) limited(names, unreachable []string) *Run {
	r := s.run()
	r.Limit = names
	connect := r.Connect
	r.Connect = func(h inventory.Host) (remote.Host, error) {
		if slices.Contains(unreachable, h.Name) {
			return nil, &remote.ConnError{Host: h.Name, Step: "connect", Kind: remote.ErrUnreachable}
		}
		return connect(h)
	}
	s.t.Cleanup(r.Close)
	return r
}

// An ensemble can be made host by host; the hosts that are left out stay as they are.
func TestApplyWithinALimit(t *testing.T) {
	s := newSite(t, 3)
	out, err := s.limited([]string{"m1"}, nil).Apply(t.Context(), nil)
	if err != nil || !slices.Equal(out.Starts, []string{"m1"}) || out.Verdict.Health != NoQuorum {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = s.limited([]string{"m2"}, nil).Apply(t.Context(), nil)
	if err != nil || !slices.Equal(out.Starts, []string{"m2"}) || out.Verdict.Health != Degraded {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "m3")); !os.IsNotExist(err) {
		t.Errorf("m3 was left out: %v", err)
	}
	if out := s.bootstrap(); out.Verdict.Health != Healthy || !slices.Equal(out.Starts, []string{"m3"}) {
		t.Errorf("the rest: %+v", out)
	}
	// A plan is for the hosts of its limit, and says which these are.
	s.extra = "zoo_cfg: {tickTime: 1500}\n"
	_, doc, err := s.limited([]string{"m2"}, nil).Plan(t.Context())
	if err != nil || len(doc.Restarts) != 1 || doc.Restarts[0].Host != "m2" || !slices.Equal(doc.Limit, []string{"m2"}) {
		t.Fatalf("%+v, %v", doc, err)
	}
	for _, c := range doc.Changes {
		if c.Host != "m2" {
			t.Errorf("%s would be changed: %s", c.Host, c.Summary)
		}
	}
	// Not even with this plan is another host changed.
	var drift *DriftError
	if _, err := s.limited(nil, nil).Apply(t.Context(), doc); !errors.As(err, &drift) || !strings.Contains(err.Error(), "m1: not in the plan") {
		t.Errorf("all hosts by a plan for one: %v", err)
	}
	before := []string{s.pid("m1"), s.pid("m2"), s.pid("m3")}
	if out, err := s.limited(doc.Limit, []string{"m3"}).Apply(t.Context(), doc); err != nil || !slices.Equal(out.Order, []string{"m2"}) {
		t.Fatalf("%+v, %v", out, err)
	}
	if s.pid("m1") != before[0] || s.pid("m2") == before[1] || s.pid("m3") != before[2] {
		t.Error("another member than m2 was restarted, or it was not")
	}
	// Who is in the limit has to be reached.
	if _, err := s.limited([]string{"m2", "m3"}, []string{"m3"}).Apply(t.Context(), nil); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("m3 is out of reach: %v", err)
	}
}

// A limit does not get round the gates.
func TestALimitWeakensNoGate(t *testing.T) {
	s := newSite(t, 3)
	var refused *RefusedError
	// Which ensemble the data would belong to, may be known by who cannot be asked.
	_, err := s.limited([]string{"m1"}, []string{"m3"}).Apply(t.Context(), nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "the ensemble's id is not known here") || s.writes() != 0 {
		t.Errorf("without an id: %v, %d writes", err, s.writes())
	}
	s.bootstrap()
	r := s.limited(nil, nil)
	if _, err := r.Stop(t.Context(), []string{"m1", "m2", "m3"}, false); !errors.As(err, &refused) || !strings.Contains(refused.Hint(), "without --limit") {
		t.Errorf("all members, by name: %v", err)
	}
	if _, err := r.Stop(t.Context(), []string{"m3"}, false); err != nil {
		t.Fatal(err)
	}
	// The restart of one more voter is refused, and only that of an idle one is not.
	s.extra = "zoo_cfg: {tickTime: 1500}\n"
	pid := s.pid("m1")
	if _, err := s.limited([]string{"m1"}, nil).Apply(t.Context(), nil); !errors.As(err, &refused) || s.pid("m1") != pid {
		t.Errorf("with m3 stopped: %v", err)
	}
	// Voters that may not know of a change are asked first.
	s.ports = append(s.ports, 1, 2, 3)
	_, err = s.limited([]string{"m1", "m2"}, []string{"m3", "m4"}).Apply(t.Context(), nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "the voters change, and some of those who have to agree cannot be looked at: m3, m4") {
		t.Errorf("a voter joins: %v", err)
	}
	s.ports = s.ports[:9]
}

// A rolling restart of some members waits for these, not for others that were missing before.
func TestRollingRestartBesideAMissingMember(t *testing.T) {
	long(t)
	s := newSite(t, 5)
	s.bootstrap()
	r := s.limited(nil, nil)
	if _, err := r.Stop(t.Context(), []string{"m5"}, false); err != nil {
		t.Fatal(err)
	}
	if err := r.await(t.Context(), "a leader", led, nil, nil); err != nil { // after m5, which led
		t.Fatal(err)
	}
	out, err := r.RollingRestart(t.Context(), []string{"m1"}, false)
	if err != nil || !slices.Equal(out.Order, []string{"m1"}) || out.Verdict.Health != Degraded {
		t.Errorf("%+v, %v", out, err)
	}
}

// A check within a limit is about its hosts only.
func TestCheckWithinALimit(t *testing.T) {
	s := newSite(t, 3)
	report, err := s.limited([]string{"m2"}, []string{"m1", "m3"}).Check(t.Context(), []string{"connect", "os"}, false)
	if err != nil || !slices.Equal(report.Hosts, []string{"m2"}) || len(report.Findings) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
