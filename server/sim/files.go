package sim

import (
	"math/rand/v2"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const dataDir = "/data/version-2"

// files are the files of one machine.
type files struct {
	mem     *vfs.Mem
	metrics *metrics.Metrics
	tree    tree.Options
	store   *store.Store
	members *config.Files // nil where memberships do not change
}

func newDisk(m *machine) *disk {
	return &disk{m: m, files: files{mem: vfs.NewMem(), metrics: m.w.metrics, tree: m.w.treeOptions()}}
}

// open recovers what is there.
func (f *files) open() (*node.Database, error) {
	s, db, err := store.Open(f.mem, dataDir, dataDir, store.Options{Metrics: f.metrics, Tree: f.tree})
	f.store = s
	return db, err
}

// crash loses what was not synced, or some of it.
func (f *files) crash(r *rand.Rand) { f.mem.Crash(r) }

func (f *files) snapshot(t *tree.Tree, zxid wire.Zxid, supersede bool) error {
	if supersede {
		return f.store.Supersede(t, zxid)
	}
	return f.store.WriteSnapshot(t, zxid)
}
