package prep_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/wire"
)

// TestCreatesEphemeral: what a request on its own creates, its type says; what a part of a multi does, its flags.
func TestCreatesEphemeral(t *testing.T) {
	persistent, ephemeral := part{wire.OpCreate, create("/a", 0)}, part{wire.OpCreate, create("/a", wire.FlagEphemeral)}
	unknown := part{wire.OpCreate, create("/a", 7)}
	for _, c := range []struct {
		name string
		op   wire.OpCode
		body []byte
		want bool
	}{
		{"create", wire.OpCreate, create("/a", wire.FlagEphemeral), true},
		{"create2, sequential", wire.OpCreate2, create("/a", wire.FlagEphemeralSequential), true},
		{"create, persistent", wire.OpCreate, create("/a", wire.FlagSequential), false},
		{"createContainer", wire.OpCreateContainer, create("/a", wire.FlagEphemeral), false},
		{"createTTL", wire.OpCreateTTL, ttl("/a", wire.FlagEphemeral, 1), false},
		{"cut off", wire.OpCreate, create("/a", wire.FlagEphemeral)[:9], false},
		{"multi", wire.OpMulti, multi(persistent, ephemeral), true},
		{"multi without", wire.OpMulti, multi(persistent, part{wire.OpDelete, version("/a", 1)}), false},
		{"multi, container", wire.OpMulti, multi(part{wire.OpCreateContainer, create("/a", wire.FlagContainer)}), false},
		{"multi, createContainer", wire.OpMulti, multi(part{wire.OpCreateContainer, create("/a", wire.FlagEphemeral)}), true},
		{"multi, createContainer, sequential", wire.OpMulti, multi(part{wire.OpCreateContainer, create("/a", wire.FlagEphemeralSequential)}), true},
		{"multi, createTTL", wire.OpMulti, multi(part{wire.OpCreateTTL, ttl("/a", wire.FlagEphemeral, 1)}), true},
		{"multi, createTTL with a TTL", wire.OpMulti, multi(part{wire.OpCreateTTL, ttl("/a", wire.FlagPersistentTTL, 1)}), false},
		{"multi, behind unknown flags", wire.OpMulti, multi(unknown, ephemeral), false},
		{"multi, before unknown flags", wire.OpMulti, multi(ephemeral, unknown), true},
		{"multi, cut off", wire.OpMulti, multi(ephemeral, persistent)[:60], false},
	} {
		if got := prep.CreatesEphemeral(c.op, c.body); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
