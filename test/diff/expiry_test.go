//go:build diff

package diff

import (
	"slices"
	"testing"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// TestExpiry compares what goes by itself: containers, nodes with a time to live, sessions with their ephemeral nodes.
func TestExpiry(t *testing.T) {
	for _, size := range []int{1, 3} {
		// What is to be deleted has to last for a step or two, also on a busy machine.
		p := servers(t, size, "tickTime=200", "minSessionTimeout=400", "znode.container.checkIntervalMs=2500")
		p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
		expiry(&script{t: t, pair: p})
		t.Logf("%s", p.summary())
	}
}

func expiry(s *script) {
	s.open(0, 1)
	s.create(0, "/x", "")
	s.ask(1, wire.OpAddWatch, pathVersion("/x", 1))
	s.ask(1, wire.OpGetChildren, read("/x", true))
	s.open(2)
	s.ask(2, wire.OpCreate, create("/x/mine", nil, open, 1))
	s.do(step{slot: 2})

	// A container goes with its last child; one that never had any stays.
	s.ask(0, wire.OpCreateContainer, create("/x/unused", nil, open, 4))
	s.ask(0, wire.OpCreateContainer, create("/x/container", nil, open, 4))
	s.create(0, "/x/container/child", "")
	s.clean("/x/container/child")
	s.await(1, "/x/container")

	// Time to live counts from the last change and only while there are no children.
	s.ask(0, wire.OpCreateTTL, createTTL("/x/ttl", nil, open, 5, 300))
	s.ask(0, wire.OpCreateTTL, createTTL("/x/parent", nil, open, 5, 1))
	s.create(0, "/x/parent/child", "")
	s.ask(1, wire.OpExists, read("/x/ttl", true))
	s.await(1, "/x/ttl")
	s.look(0, "/x/parent")
	s.clean("/x/parent/child")
	s.await(1, "/x/parent")

	// A session whose client comes back with another timeout, which counts from then on.
	s.do(step{slot: 2, connect: &wire.ConnectRequest{TimeOut: 1000, HasReadOnly: true}, from: 2})
	s.do(step{slot: 2})
	s.await(1, "/x/mine")
	s.do(step{slot: 2, connect: connection(), from: 2})
	// One whose connection stands and is silent.
	s.do(step{slot: 2, connect: &wire.ConnectRequest{TimeOut: 1000, HasReadOnly: true}, from: -1})
	s.ask(2, wire.OpCreate, create("/x/mine", nil, open, 1))
	s.await(1, "/x/mine")
	s.look(0, "/x")
	s.clean("/x/unused", "/x")
}

// await waits until a connection has heard on both sides that a node is gone, and compares all that it heard.
func (s *script) await(slot int, path string) {
	s.t.Helper()
	var heard [2][]line
	for i, side := range []*side{s.ours, s.theirs} {
		side.before = side.last
		gone := func(l line) bool { return l.event && l.path == path && l.kind == wire.NodeDeleted }
		for deadline := time.Now().Add(patience); !slices.ContainsFunc(heard[i], gone); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				s.t.Fatalf("%s: %s is not gone after %v", side.name, path, patience)
			}
			side.conns[slot].write(side.fenceFrame())
			lines, err := side.hear(slot)
			must(s.t, err)
			heard[i] = append(heard[i], slices.DeleteFunc(lines, func(l line) bool { return !l.event })...)
		}
	}
	if ours, theirs := texts(heard[0]), texts(heard[1]); ours != theirs {
		s.t.Errorf("on the way of %s\nzkserver:\n%sapache:\n%s", path, ours, theirs)
	}
}
