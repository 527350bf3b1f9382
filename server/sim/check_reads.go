package sim

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// readCheck: what clients are shown is what was written, and in which order. With the order of zxids that makes writes and
// synced reads linearizable: a write's zxid is above that of each write that was acknowledged before it was asked for; a
// read after a sync shows a state not older than those; and each state shown is the one that the txns up to it make.
type readCheck struct {
	w     *World
	shown map[wire.Zxid][]shownNode
	// numbers are the sequential nodes that were acknowledged, by the zxids that made them.
	numbers map[wire.Zxid]string
}

// shownNode is a node as a client saw it, at the zxid of its last change.
type shownNode struct {
	path    string
	data    []byte
	version int32
	client  int
}

// answered sees a reply.
func (c *readCheck) answered(client *simClient, op *operation, a *answer) {
	switch {
	case op.op == wire.OpGetData && a.header.Err == wire.ErrOK:
		c.shown[a.stat.Mzxid] = append(c.shown[a.stat.Mzxid], shownNode{op.path, a.data, a.stat.Version, client.index})
		client.seen.versions[op.path] = a.stat.Version
		c.ephemeral(client, op, a)
	case op.op == wire.OpSetData && a.header.Err == wire.ErrOK:
		if op.compares && a.stat.Version != op.version+1 {
			c.w.fail("compare and set", "client %d: %s was set at version %d, and is at %d", client.index, op.path, op.version, a.stat.Version)
		}
		client.seen.versions[op.path] = a.stat.Version
	case op.op == wire.OpCreate && op.path == "/q-" && a.header.Err == wire.ErrOK:
		c.numbers[a.header.Zxid] = a.path
	case op.op == wire.OpMulti && op.value == 0 && a.header.Err == wire.ErrOK && a.failed == wire.ErrOK:
		c.w.fail("all or nothing", "client %d: a multi with a part that fails has succeeded", client.index)
	}
}

// ephemeral checks that an ephemeral node is not shown after the end of its session.
func (c *readCheck) ephemeral(client *simClient, op *operation, a *answer) {
	owner := wire.SessionID(a.stat.EphemeralOwner)
	if !strings.HasPrefix(op.path, "/e") {
		return
	}
	if end, ok := c.w.checks.owners.ended(owner); ok && end <= a.header.Zxid {
		c.w.fail("ephemerals live as long as their sessions", "client %d: %s of session %v at %v, which ended at %v", client.index, op.path, owner, a.header.Zxid, end)
	}
}

// replayed sees the state behind each committed txn.
func (c *readCheck) replayed(zxid wire.Zxid, t *tree.Tree) {
	for _, s := range c.shown[zxid] {
		n, ok := t.Lookup(s.path)
		switch {
		case !ok:
			c.w.fail("reads show what was written", "client %d was shown %s at %v, where there is none", s.client, s.path, zxid)
		case !bytes.Equal(n.Data(), s.data) || n.Stat().Version != s.version:
			c.w.fail("reads show what was written", "client %d was shown %s with %q, version %d, at %v, where it is %q, version %d", s.client, s.path, s.data, s.version, zxid, n.Data(), n.Stat().Version)
		}
	}
}

// finish checks the numbers of sequential nodes: each higher than the one before.
func (c *readCheck) finish() {
	last, lastPath := -1, ""
	for _, zxid := range sortedZxids(c.numbers) {
		path := c.numbers[zxid]
		number, err := strconv.Atoi(strings.TrimPrefix(path, "/q-"))
		if err != nil || number <= last {
			c.w.fail("sequence numbers rise", "%s was made at %v, after %s", path, zxid, lastPath)
		}
		last, lastPath = number, path
	}
}

func sortedZxids[V any](m map[wire.Zxid]V) []wire.Zxid {
	zxids := make([]wire.Zxid, 0, len(m))
	for z := range m {
		zxids = append(zxids, z)
	}
	slices.Sort(zxids)
	return zxids
}
