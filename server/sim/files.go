package sim

import (
	"math/rand/v2"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// files stub
type files struct {
	log       [][]byte
	synced    int
	snaps     []*walk
	acc, curr wire.Epoch
}

func newDisk(m *machine) *disk { return &disk{m: m} }

func (f *files) entries() []txn.Entry {
	var l []txn.Entry
	for _, b := range f.log {
		e, err := txn.Decode(b)
		if err != nil {
			panic(err)
		}
		l = append(l, e)
	}
	return l
}

func (f *files) open() (*node.Database, error) { return f.reload() }
func (f *files) reload() (*node.Database, error) {
	t := tree.New(tree.Options{})
	var base wire.Zxid
	if len(f.snaps) > 0 {
		var err error
		t, err = f.snaps[len(f.snaps)-1].restore()
		if err != nil {
			return nil, err
		}
		base = t.LastZxid()
	}
	var recent []txn.Entry
	for _, e := range f.entries() {
		if e.Header.Zxid > base {
			t.Apply(e.Header, e.Record, nil)
		}
		recent = append(recent, e)
	}
	if e := t.LastZxid().Epoch(); e > f.curr && f.acc >= e {
		f.curr = e
	}
	return &node.Database{Tree: t, LastZxid: t.LastZxid(), Recent: recent, AcceptedEpoch: f.acc, CurrentEpoch: f.curr}, nil
}
func (f *files) crash(r *rand.Rand) {
	if n := len(f.log) - f.synced; n > 0 {
		f.log = f.log[:f.synced+r.IntN(n+1)]
	}
	f.synced = len(f.log)
}
func (f *files) append(z wire.Zxid, b []byte) error { f.log = append(f.log, b); return nil }
func (f *files) sync() error                        { f.synced = len(f.log); return nil }
func (f *files) roll() error                        { return nil }
func (f *files) saveEpoch(current bool, e wire.Epoch) error {
	if current {
		f.curr = e
	} else {
		f.acc = e
	}
	return nil
}
func (f *files) snapshot(t *tree.Tree, z wire.Zxid, supersede bool) error {
	w := newWalk(t, z)
	for w.step(1000) {
	}
	if supersede {
		f.log, f.synced, f.snaps = nil, 0, nil
	}
	return f.store(w)
}
func (f *files) store(w *walk) error { f.snaps = append(f.snaps, w); return nil }
func (f *files) truncate(z wire.Zxid) (*node.Database, error) {
	var keep []*walk
	for _, s := range f.snaps {
		if s.end <= z {
			keep = append(keep, s)
		}
	}
	f.snaps = keep
	for i, e := range f.entries() {
		if e.Header.Zxid > z {
			f.log = f.log[:i]
			break
		}
	}
	f.synced = len(f.log)
	return f.reload()
}
