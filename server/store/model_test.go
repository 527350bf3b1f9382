package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"slices"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// branch is a history: what the tree is like after each txn, and the bytes of the txns.
type branch struct {
	states map[wire.Zxid]uint64
	txns   map[wire.Zxid][]byte
	// Only what lies between these may be read back: all that is durable, and nothing that was not appended.
	durable, last wire.Zxid
}

func newBranch(t *tree.Tree, zxid wire.Zxid) *branch {
	return &branch{states: map[wire.Zxid]uint64{zxid: state(t)}, txns: make(map[wire.Zxid][]byte), durable: zxid, last: zxid}
}

// state sums up everything that a tree holds: the digest does not know sessions and access control lists.
func state(t *tree.Tree) uint64 {
	var sum uint64
	var h maphash.Hash
	h.SetSeed(stateSeed)
	c := tree.NewCursor(t)
	for _, s := range c.Sessions {
		sum += maphash.Comparable(stateSeed, s)
	}
	for nodes := c.Next(nil, 1<<20); len(nodes) > 0; nodes = c.Next(nodes[:0], 1<<20) {
		for _, n := range nodes {
			h.Reset()
			h.WriteString(n.Path)
			h.Write(n.Data)
			if at, ok := t.Lookup(cmp.Or(n.Path, "/")); ok {
				for _, acl := range at.ACL() {
					maphash.WriteComparable(&h, acl)
				}
			}
			maphash.WriteComparable(&h, n.Stat)
			sum += h.Sum64()
		}
	}
	return sum + t.Digest()
}

var stateSeed = maphash.MakeSeed()

// model is what a disk must give back. It does random things to a store, as a server does.
type model struct {
	rand *rand.Rand
	fs   *vfs.Mem
	disk vfs.FS // what the store gets: fs, or one in front of it
	opts Options
	// Logs and snapshots may share a directory.
	logDir, snapDir string

	store *Store
	tree  *tree.Tree
	// branches are the histories of which one must be read back: more than one while a snapshot supersedes.
	branches []*branch
	// The epochs on disk are these, or the next if one was being saved.
	accepted, current wire.Epoch
	saving            bool
	background        *Snapshot
	ear               listener
	steps             []string
}

func newModel(seed uint64) *model {
	m := &model{rand: rand.New(rand.NewPCG(seed, 9)), fs: vfs.NewMem()}
	m.disk = m.fs
	m.opts = Options{
		PreallocBytes: []int64{0, 1000, 20000}[m.rand.IntN(3)],
		Compression:   []snap.Compression{snap.None, snap.None, snap.Gzip, snap.Snappy}[m.rand.IntN(4)],
		Log:           slog.New(&m.ear),
		Metrics:       metrics.New(),
	}
	m.logDir, m.snapDir = "/data/version-2", "/data/version-2"
	if m.rand.IntN(2) == 0 {
		m.logDir = "/log/version-2"
	}
	m.branches = []*branch{newBranch(tree.New(m.opts.Tree), 0)}
	return m
}

// listener hears complaints about digests, of which there must be none.
type listener struct{ heard string }

func (*listener) Enabled(context.Context, slog.Level) bool { return true }
func (l *listener) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *listener) WithGroup(string) slog.Handler          { return l }
func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "digest of the tree differs from that of the leader" {
		l.heard = r.Message
	}
	return nil
}

func (m *model) log(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

// violation is a broken promise, as opposed to an error of the disk.
type violation struct{ error }

func broken(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }

// open starts a life: what is read back must be what was promised.
func (m *model) open() error {
	m.background = nil
	s, db, err := Open(m.disk, m.logDir, m.snapDir, m.opts)
	if err != nil {
		return err
	}
	m.store, m.tree = s, db.Tree
	m.log("read back %v, epochs %d %d", db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch)
	if err := m.verify(db); err != nil {
		return err
	}
	m.accepted, m.current, m.saving = db.AcceptedEpoch, db.CurrentEpoch, false
	return nil
}

// verify finds the branch that was read back, which is the only one from now on.
func (m *model) verify(db *node.Database) error {
	if m.ear.heard != "" {
		return broken("%s", m.ear.heard)
	}
	b, err := m.promise().kept(db)
	if err != nil {
		return err
	}
	m.branches = []*branch{b}
	b.durable, b.last = db.LastZxid, db.LastZxid
	return nil
}

// promise is what must be read back if the machine fails now.
type promise struct {
	branches          []*branch // one of them
	accepted, current wire.Epoch
	saving            bool
}

func (m *model) promise() promise { return promise{m.branches, m.accepted, m.current, m.saving} }

// kept tells which branch was read back.
func (p promise) kept(db *node.Database) (*branch, error) {
	if err := validDatabase(db); err != nil {
		return nil, broken("%w", err)
	}
	if db.AcceptedEpoch != p.accepted && !(p.saving && db.AcceptedEpoch == p.accepted+1) {
		return nil, broken("acceptedEpoch is %d instead of %d (being changed: %v)", db.AcceptedEpoch, p.accepted, p.saving)
	}
	// The log may be of a later epoch than the last one saved: then it is the log that counts.
	if e := db.CurrentEpoch; e != max(p.current, db.LastZxid.Epoch()) && !(p.saving && e == p.accepted) {
		return nil, broken("currentEpoch is %d instead of %d (being changed: %v)", e, p.current, p.saving)
	}
	var why error
	for _, b := range p.branches {
		err := b.explains(db)
		if err == nil {
			return b, nil
		}
		why = errors.Join(why, err)
	}
	return nil, broken("%w", why)
}

func (b *branch) explains(db *node.Database) error {
	if db.LastZxid < b.durable || db.LastZxid > b.last {
		return fmt.Errorf("read back %v, but %v is durable and %v appended", db.LastZxid, b.durable, b.last)
	}
	if want, ok := b.states[db.LastZxid]; !ok || want != state(db.Tree) {
		return fmt.Errorf("the tree at %v is not what the txns up to there make", db.LastZxid)
	}
	next := db.LastZxid
	for _, e := range slices.Backward(db.Recent) {
		if e.Header.Zxid != next {
			break // older ones are not handed to learners
		}
		if want := b.txns[next]; want != nil && string(want) != string(e.Bytes) {
			return fmt.Errorf("transaction %v is another", next)
		}
		next--
	}
	return nil
}

func (m *model) branch() *branch { return m.branches[0] }

// step does one thing. The error is that of the disk, or a violation.
func (m *model) step() error {
	switch n := m.rand.IntN(100); {
	case n < 42:
		return m.append()
	case n < 57:
		m.log("sync")
		return m.durable(m.store.Sync())
	case n < 62:
		m.log("roll")
		return m.durable(m.store.Roll())
	case n < 66:
		return m.epoch()
	case n < 68:
		return m.learn()
	case n < 73:
		if m.tree.LastZxid() != m.branch().last {
			return nil
		}
		m.log("snapshot %v", m.tree.LastZxid())
		return m.store.WriteSnapshot(m.tree, m.tree.LastZxid())
	case n < 86:
		return m.work()
	case n < 89:
		return m.truncate()
	case n < 93:
		return m.supersede()
	case n < 97:
		n, err := m.store.Purge(m.rand.IntN(5))
		m.log("purge %d", n)
		return err
	case n < 98:
		m.log("reload")
		db, err := m.store.Reload()
		if err != nil {
			return err
		}
		m.branch().durable = m.branch().last
		m.tree, m.background = db.Tree, nil
		db.AcceptedEpoch, db.CurrentEpoch = m.accepted, m.current
		return m.verify(db)
	default:
		m.log("restart")
		return m.open()
	}
}

func (m *model) durable(err error) error {
	if err == nil {
		m.branch().durable = m.branch().last
	}
	return err
}

func (m *model) append() error { return m.appendIn(m.current) }

// appendIn appends a txn of an epoch, or of the last one that there is a txn of.
func (m *model) appendIn(epoch wire.Epoch) error {
	b := m.branch()
	zxid := b.last + 1
	if epoch > b.last.Epoch() {
		zxid = wire.MakeZxid(epoch, 1)
	}
	data := make([]byte, m.rand.IntN(30)*m.rand.IntN(30)*m.rand.IntN(5))
	if m.rand.IntN(15) == 0 {
		data = make([]byte, 70_000) // more than a writer keeps to itself
	}
	if m.rand.IntN(5) > 0 {
		for i := range data {
			data[i] = byte(m.rand.Uint32())
		}
	}
	h, r := randomTxn(m.rand, m.tree, zxid, data)
	e := m.apply(m.tree, h, r)
	b.last = zxid
	b.states[zxid], b.txns[zxid] = state(m.tree), e.Bytes
	m.log("append %v, %d bytes", zxid, len(e.Bytes))
	if err := m.store.Append(zxid, e.Bytes); err != nil || len(data) < 70_000 || m.rand.IntN(3) > 0 {
		return err
	}
	m.log("restart, with what was not synced in the memory of the machine")
	return m.open()
}

func (m *model) apply(t *tree.Tree, h txn.Header, r txn.Record) txn.Entry {
	t.Apply(h, r, nil)
	return txn.New(h, r, &txn.Digest{Version: tree.DigestVersion, Tree: t.Digest()})
}

// randomTxn is something that a leader could do next. What it could not, such as to delete a node that is not there, does
// not become the same by being done twice.
func randomTxn(r *rand.Rand, t *tree.Tree, zxid wire.Zxid, data []byte) (txn.Header, txn.Record) {
	session := wire.SessionID(1 + r.IntN(3))
	_, alive := t.Session(session)
	h := txn.Header{Session: session, Zxid: zxid, Time: int64(r.IntN(1000))}
	path := fmt.Sprintf("/n%d", r.IntN(8))
	if r.IntN(2) == 0 {
		path += fmt.Sprintf("/m%d", r.IntN(8))
	}
	parent, hasParent := t.Lookup(tree.Parent(path))
	n, exists := t.Lookup(path)
	acl := []wire.ACL{{Perms: wire.Perms(1 + r.IntN(31)), ID: wire.AnyoneID}}
	switch choice := r.IntN(8); {
	case choice == 0 && !alive:
		h.Type = wire.OpCreateSession
		return h, &txn.CreateSession{TimeoutMillis: 1000}
	case choice == 0:
		h.Type = wire.OpCloseSession
		return h, &txn.CloseSession{Paths: t.Ephemerals(session)}
	case exists && choice < 3 && n.NumChildren() == 0:
		h.Type = wire.OpDelete
		return h, &txn.Delete{Path: path}
	case exists && choice < 4:
		h.Type = wire.OpSetACL
		return h, &txn.SetACL{Path: path, ACL: acl, Version: n.Persisted().Aversion + 1}
	case exists:
		h.Type = wire.OpSetData
		return h, &txn.SetData{Path: path, Data: data, Version: n.Persisted().Version + 1}
	case hasParent && parent.Kind() != tree.Ephemeral:
		h.Type = wire.OpCreate
		return h, &txn.Create{
			Path: path, Data: data, ACL: acl, Ephemeral: alive && r.IntN(2) == 0, ParentCversion: parent.Persisted().Cversion + 1,
		}
	}
	h.Type = wire.OpError
	return h, &txn.Error{Err: wire.ErrNoNode}
}

// epoch saves the next epoch in both files, the one before the other.
func (m *model) epoch() error {
	m.log("epoch %d", m.accepted+1)
	m.saving = true
	if err := m.store.SaveEpoch(false, m.accepted+1); err != nil {
		return err
	}
	m.accepted++
	if err := m.store.SaveEpoch(true, m.accepted); err != nil {
		return err
	}
	m.current, m.saving = m.accepted, false
	return nil
}

// learn follows a leader of the next epoch, which is in it already: its txns come before currentEpoch is saved.
func (m *model) learn() error {
	m.log("learn epoch %d", m.accepted+1)
	m.saving = true
	if err := m.store.SaveEpoch(false, m.accepted+1); err != nil {
		return err
	}
	m.accepted, m.saving = m.accepted+1, false
	for range 1 + m.rand.IntN(3) {
		if err := m.appendIn(m.accepted); err != nil {
			return err
		}
	}
	if m.current >= m.branch().last.Epoch() {
		return nil // a restart has lost what would be of the next epoch
	}
	if err := m.durable(m.store.Sync()); err != nil {
		return err
	}
	m.saving = true
	if err := m.store.SaveEpoch(true, m.accepted); err != nil {
		return err
	}
	m.current, m.saving = m.accepted, false
	return nil
}

// work goes on with a snapshot in the background.
func (m *model) work() error {
	if m.background == nil {
		m.log("begin snapshot %v", m.tree.LastZxid())
		var err error
		m.background, err = m.store.NewSnapshot(m.tree, m.tree.LastZxid())
		return err
	}
	more, err := m.background.Next(1 + m.rand.IntN(6))
	if err == nil && m.rand.IntN(2) == 0 {
		err = m.background.Write()
	}
	if more || err != nil {
		return err
	}
	m.log("end snapshot")
	p := m.background
	m.background = nil
	if err := p.Seal(); err != nil {
		return err
	}
	return p.Commit()
}

// settle ends the snapshot in the background, as a server does before it replaces the tree.
func (m *model) settle() error {
	for m.background != nil {
		if err := m.work(); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) truncate() error {
	if err := m.settle(); err != nil {
		return err
	}
	b := m.branch()
	var zxids []wire.Zxid
	for z := range b.states {
		if z <= b.last {
			zxids = append(zxids, z)
		}
	}
	slices.Sort(zxids)
	to := zxids[len(zxids)-1-m.rand.IntN(min(len(zxids), 10))]
	m.log("truncate to %v", to)
	durable := b.durable
	b.durable = min(b.durable, to)
	db, err := m.store.Truncate(to)
	if errors.Is(err, ErrIncomplete) {
		// Every snapshot may hold later txns. Nothing has changed, but for the sync.
		b.durable = max(durable, b.last)
		m.log("refused")
		return nil
	}
	if err != nil {
		return err
	}
	b.durable, b.last = to, to
	m.tree = db.Tree
	db.AcceptedEpoch, db.CurrentEpoch = m.accepted, m.current
	return m.verify(db)
}

// supersede takes over the state of another branch, with fewer txns or more.
func (m *model) supersede() error {
	if m.current == 0 {
		return nil
	}
	if err := m.settle(); err != nil {
		return err
	}
	t := tree.New(m.opts.Tree)
	zxid := wire.MakeZxid(wire.Epoch(1+m.rand.IntN(int(m.current))), uint32(1+m.rand.IntN(20)))
	for range 1 + m.rand.IntN(20) {
		h, r := randomTxn(m.rand, t, zxid, []byte("other"))
		t.Apply(h, r, nil)
	}
	h, r := randomTxn(m.rand, t, zxid, nil)
	m.apply(t, h, r)
	m.log("supersede with %v", zxid)
	m.branches = append(m.branches, newBranch(t, zxid))
	if err := m.store.Supersede(t, zxid); err != nil {
		return err
	}
	m.branches = m.branches[1:]
	m.tree = t
	return nil
}
