package final

import (
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/tree"
)

// readsAtOnce is how many sizes are noted together.
const readsAtOnce = 16

// Reads collects the sizes of what one client reads, so that readers in parallel need not share a counter for each read.
// It is not safe for concurrent use.
type Reads struct {
	set       *metrics.SummarySet
	namespace string
	sizes     []int32
	space     [readsAtOnce]int32
}

// NewReads returns one for a set by namespace.
func NewReads(set *metrics.SummarySet) *Reads {
	r := &Reads{set: set}
	r.sizes = r.space[:0]
	return r
}

// note notes a read of a path that returned bytes of data (DataTree.updateReadStat).
func (r *Reads) note(path string, bytes int) {
	if r == nil {
		return
	}
	namespace := tree.Namespace(path)
	if namespace == "" {
		return
	}
	if namespace != r.namespace || len(r.sizes) == readsAtOnce {
		r.Flush()
		r.namespace = namespace
	}
	r.sizes = append(r.sizes, int32(len(path)+bytes+statBytes))
}

// Flush hands over what was collected.
func (r *Reads) Flush() {
	if len(r.sizes) == 0 {
		return
	}
	if s := r.set.Summary(r.namespace); s != nil {
		s.AddAll(r.sizes)
	}
	r.sizes = r.space[:0]
}
