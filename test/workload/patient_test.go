package workload

import (
	"errors"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/wire"
)

// scripted is a session whose creates end as listed; when the list is empty it says so and goes on failing.
type scripted struct {
	results []error
	names   []string
	empty   chan struct{}
}

func (s *scripted) create(name string, _ bool) (bool, error) {
	s.names = append(s.names, name)
	if len(s.results) == 0 {
		if s.empty != nil {
			close(s.empty)
			s.empty = nil
		}
		return true, errors.New("the end")
	}
	err := s.results[0]
	s.results = s.results[1:]
	return !errors.Is(err, zk.ErrNoServer), err
}

func (s *scripted) close() {}

func TestPatientWriterDoesAgainWhatWasLost(t *testing.T) {
	lost := &client.Error{Code: wire.ErrConnectionLoss}
	s := &scripted{results: []error{nil, zk.ErrConnectionClosed, zk.ErrNodeExists, lost, zk.ErrNoServer, nil}, empty: make(chan struct{})}
	w := &patientWriter{name: "/w", session: s}
	p := &Patient{writers: []*patientWriter{w}}
	w.disconnected()
	w.disconnected()
	w.run(t.Context())
	want := Strain{Disconnects: 2, Interruptions: 1, Failed: 2, Acknowledged: 3}
	if got := p.Since(); got[0] != want {
		t.Errorf("strain %+v, want %+v", got[0], want)
	}
	if got := p.Since(); got[0] != (Strain{}) {
		t.Errorf("strain since then %+v", got[0])
	}
	tree := ensemble.Tree{"/w-alive": {Stat: zk.Stat{EphemeralOwner: 1}}, "/w-0": {}, "/w-1": {}}
	if n, missing := p.Lost(tree); n != 3 || len(missing) != 1 || missing[0] != "/w-2" {
		t.Errorf("of %d, %q are lost", n, missing)
	}
	if broken := p.Check(tree); len(broken) != 2 { // and "the end", which no writer should hear
		t.Errorf("broken: %q", broken)
	}
	w.ends.Add(1)
	delete(tree, "/w-alive")
	if broken := p.Check(tree); len(broken) != 4 {
		t.Errorf("broken: %q", broken)
	}
}

func TestPatientWriterTakesNodeExistsOnlyForItsOwn(t *testing.T) {
	w := &patientWriter{name: "/w", session: &scripted{results: []error{zk.ErrNodeExists}}}
	w.run(t.Context())
	if len(w.acknowledged) != 0 || len(w.strange) != 1 {
		t.Errorf("acknowledged %q, strange %v", w.acknowledged, w.strange)
	}
}

func TestPatientProgressNamesTheSession(t *testing.T) {
	p := &Patient{writers: []*patientWriter{{}}}
	if err := p.Progress(1, time.Millisecond); err == nil {
		t.Error("no progress passes for progress")
	}
}
