package sim

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// actMore sends a request of those that came later than act, drawn from the source of these.
func (c *simClient) actMore() {
	w := c.w
	register := fmt.Sprintf("/r%d", w.more.IntN(3))
	switch w.more.IntN(12) {
	case 0:
		c.request(&operation{op: wire.OpCreate, path: register, body: createBody(register, c.unique(), 0)})
	case 1, 2:
		c.request(&operation{op: wire.OpSetData, path: register, body: setDataBody(register, c.unique(), -1)})
	case 3:
		// Compared and set: the version is what this client has seen last.
		version := c.seen.versions[register]
		c.request(&operation{op: wire.OpSetData, path: register, version: version, compares: true, body: setDataBody(register, c.unique(), version)})
	case 4, 5:
		floor := w.checks.clients.newest
		c.request(&operation{op: wire.OpSync, path: register, body: pathBody(register), floor: floor})
		c.request(&operation{op: wire.OpGetData, path: register, body: readBody(register, false), floor: floor})
	case 6:
		c.request(&operation{op: wire.OpExists, path: register, watch: true, body: readBody(register, true)})
	case 7:
		path := fmt.Sprintf("/t%d", w.more.IntN(2))
		millis := int64(200 + w.more.IntN(1500))
		c.request(&operation{op: wire.OpCreateTTL, path: path, body: ttlBody(path, millis)})
	case 8:
		c.request(&operation{op: wire.OpCreate, path: "/q-", body: createBody("/q-", nil, flagEphemeral|flagSequential)})
	case 9:
		path := fmt.Sprintf("/e%d-%d", w.more.IntN(len(w.clients)), w.more.IntN(4))
		c.request(&operation{op: wire.OpGetData, path: path, body: readBody(path, false)})
	case 10:
		// All of it or nothing: the second part fails.
		c.request(&operation{op: wire.OpMulti, path: register, body: failingMultiBody(register, c.unique())})
	case 11:
		c.request(&operation{op: wire.OpDelete, path: register, body: deleteBody(register, -1)})
	}
}

// unique is a value that nobody else writes.
func (c *simClient) unique() []byte {
	c.written++
	return fmt.Appendf(nil, "%d-%d", c.index, c.written)
}

// ttlBody is a node that is to go when it has had no children and no change for so long.
func ttlBody(path string, millis int64) body {
	return createBody(path, nil, flagTTL).int(int32(millis >> 32)).int(int32(millis))
}

// failingMultiBody sets a node and checks one that never is.
func failingMultiBody(path string, value []byte) body {
	part := func(b body, op wire.OpCode) body { return b.int(int32(op)).bool(false).int(-1) }
	b := append(part(nil, wire.OpSetData), setDataBody(path, value, -1)...)
	b = append(part(b, wire.OpCheck), deleteBody("/never", -1)...)
	return b.int(-1).bool(true).int(-1)
}
