package watch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

func TestTriggers(t *testing.T) {
	type add struct {
		path  string
		w     Watcher
		modes Mode
	}
	for _, c := range []struct {
		name  string
		adds  []add
		event wire.EventType
		path  string
		want  []Watcher
		again []Watcher // what the same event fires a second time
	}{
		{"data fires once", []add{{"/a", 1, Data}}, wire.NodeDataChanged, "/a", []Watcher{1}, nil},
		{"child hears nothing of data", []add{{"/a", 1, Child}}, wire.NodeDataChanged, "/a", nil, nil},
		{"deletion fires data and child as one", []add{{"/a", 1, Data | Child}}, wire.NodeDeleted, "/a", []Watcher{1}, nil},
		{"persistent stays", []add{{"/a", 1, Persistent}}, wire.NodeDeleted, "/a", []Watcher{1}, []Watcher{1}},
		{"all modes, one event", []add{{"/a", 1, All}}, wire.NodeDeleted, "/a", []Watcher{1}, []Watcher{1}},
		{"recursive from the root", []add{{"/", 1, Recursive}}, wire.NodeCreated, "/a/b/c", []Watcher{1}, []Watcher{1}},
		{"recursive twice above", []add{{"/", 1, Recursive}, {"/a", 1, Recursive}, {"/a/b", 2, Recursive}},
			wire.NodeCreated, "/a/b", []Watcher{1, 2}, []Watcher{1, 2}},
		{"recursive is not for siblings", []add{{"/a", 1, Recursive}}, wire.NodeCreated, "/ab", nil, nil},
		{"recursive hears nothing of child lists", []add{{"/a", 1, Recursive}}, wire.NodeChildrenChanged, "/a", nil, nil},
		{"persistent hears of child lists", []add{{"/a", 1, Persistent}}, wire.NodeChildrenChanged, "/a", []Watcher{1}, []Watcher{1}},
		{"persistent is not for descendants", []add{{"/a", 1, Persistent}}, wire.NodeCreated, "/a/b", nil, nil},
		{"child does not consume data", []add{{"/a", 1, Data | Child}, {"/a", 2, Data}}, wire.NodeChildrenChanged, "/a", []Watcher{1}, nil},
		{"ascending", []add{{"/a", 9, Data}, {"/a", 3, Data}, {"/a", 5, Persistent}}, wire.NodeCreated, "/a", []Watcher{3, 5, 9}, []Watcher{5}},
	} {
		m := New()
		for _, a := range c.adds {
			m.Add(a.path, a.w, a.modes)
		}
		if got := m.Trigger(c.event, c.path, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s: fired %v, want %v", c.name, got, c.want)
		}
		if got := m.Trigger(c.event, c.path, nil); !slices.Equal(got, c.again) {
			t.Errorf("%s: fired %v the second time, want %v", c.name, got, c.again)
		}
	}
}

func TestRemoveLeavesOtherModes(t *testing.T) {
	m := New()
	m.Add("/a", 1, All)
	m.Add("/a", 2, Data)
	if !m.Remove("/a", 1, Data|Child) || m.Remove("/a", 1, Data) {
		t.Error("removal of data and child")
	}
	if !m.Has("/a", 1, Persistent) || !m.Has("/a", 1, Recursive) || !m.Has("/a", 2, Data) {
		t.Error("the others are gone")
	}
	if !m.Remove("/a", 1, All) || m.Has("/a", 1, All) || m.Remove("/none", 1, All) || m.Remove("/a", 3, All) {
		t.Error("removal of any")
	}
	if got := m.Counts(); got != (Counts{Total: 1, DataTotal: 1, DataPaths: 1, DataWatchers: 1}) {
		t.Errorf("left over: %+v", got)
	}
}

// twin is the table of watches as plainly as it can be said.
type twin map[twinKey]Mode

type twinKey struct {
	path string
	w    Watcher
}

func (n twin) trigger(event wire.EventType, path string) []Watcher {
	hit := map[Watcher]bool{}
	for k, modes := range n {
		exact := k.path == path
		above := exact || k.path == "/" || strings.HasPrefix(path, k.path+"/")
		var once Mode
		switch event {
		case wire.NodeCreated, wire.NodeDataChanged:
			once = Data
		case wire.NodeDeleted:
			once = Data | Child
		case wire.NodeChildrenChanged:
			once = Child
		}
		if exact && modes&(once|Persistent) != 0 || above && event != wire.NodeChildrenChanged && modes&Recursive != 0 {
			hit[k.w] = true
		}
		if exact {
			n.set(k, modes&^once)
		}
	}
	return slices.Sorted(maps.Keys(hit))
}

func (n twin) set(k twinKey, modes Mode) {
	if modes == 0 {
		delete(n, k)
	} else {
		n[k] = modes
	}
}

func (n twin) counts() Counts {
	paths, watchers := map[string]bool{}, map[Watcher]bool{}
	c := Counts{}
	for k, modes := range n {
		if modes&(Data|Persistent|Recursive) != 0 {
			c.DataTotal++
			paths[k.path], watchers[k.w] = true, true
		}
		if modes&(Child|Persistent) != 0 {
			c.Total++
		}
	}
	c.Total += c.DataTotal
	c.DataPaths, c.DataWatchers = len(paths), len(watchers)
	return c
}

func TestManagerAgainstNaiveTwin(t *testing.T) {
	var paths []string
	for _, a := range []string{"/a", "/b", "/ab"} {
		paths = append(paths, a, a+"/x", a+"/y", a+"/x/z")
	}
	paths = append(paths, "/")
	for i := range 60 {
		paths = append(paths, fmt.Sprintf("/many/%d", i))
	}
	events := []wire.EventType{wire.NodeCreated, wire.NodeDeleted, wire.NodeDataChanged, wire.NodeChildrenChanged}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m, n := New(), twin{}
		watchers := 3
		if seed%2 == 0 {
			watchers = 120 // beyond the length at which lists become maps
		}
		for step := range 2000 {
			k := twinKey{paths[rng.IntN(len(paths))], Watcher(rng.IntN(watchers))}
			modes := Mode(1 + rng.IntN(int(All)))
			switch rng.IntN(10) {
			case 0:
				had := n[k]&modes != 0
				n.set(k, n[k]&^modes)
				if got := m.Remove(k.path, k.w, modes); got != had {
					t.Fatalf("seed %d step %d: remove says %v", seed, step, got)
				}
			case 1:
				if rng.IntN(20) == 0 {
					m.Drop(k.w)
					maps.DeleteFunc(n, func(o twinKey, _ Mode) bool { return o.w == k.w })
				}
			case 2, 3:
				event := events[rng.IntN(len(events))]
				want := n.trigger(event, k.path)
				if got := m.Trigger(event, k.path, nil); !slices.Equal(got, want) {
					t.Fatalf("seed %d step %d: %v on %s fired %v, want %v", seed, step, event, k.path, got, want)
				}
			case 4:
				if got, want := m.Has(k.path, k.w, modes), n[k]&modes != 0; got != want {
					t.Fatalf("seed %d step %d: has says %v", seed, step, got)
				}
			default:
				m.Add(k.path, k.w, modes)
				n[k] |= modes
			}
			if step%50 == 0 {
				if got, want := m.Counts(), n.counts(); got != want {
					t.Fatalf("seed %d step %d: counts %+v, want %+v", seed, step, got, want)
				}
			}
		}
		for w := range watchers {
			m.Drop(Watcher(w))
		}
		if got := m.Counts(); got != (Counts{}) || len(m.paths) > 0 || len(m.slots) > 0 || m.recursive != 0 {
			t.Fatalf("seed %d: not empty at the end: %+v", seed, got)
		}
	}
}

func TestByPath(t *testing.T) {
	m := New()
	m.Add("/b", 2, Data)
	m.Add("/b", 1, Persistent)
	m.Add("/a", 1, Recursive)
	m.Add("/c", 1, Child)
	got := fmt.Sprint(m.ByPath())
	if want := "[{/a [1]} {/b [1 2]}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
