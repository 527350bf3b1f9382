//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// writer creates nodes one after the other until its server dies.
type writer struct {
	dir          string
	asked, acked int
}

func (w *writer) run(conn *zk.Conn) {
	for ; ; w.acked = w.asked {
		_, err := conn.Create(fmt.Sprintf("%s/%d", w.dir, w.asked), []byte(strings.Repeat("x", w.asked%700)), 0, open)
		w.asked++
		if err != nil {
			return
		}
	}
}

// TestFilesOfEachOther has either server work on the files that the other one left when it was killed in the midst of
// writes, in turns, with every compression of snapshots. What was acknowledged is there, and of what was not only the
// beginning.
func TestFilesOfEachOther(t *testing.T) {
	for _, compression := range []string{"", "gz", "snappy"} {
		t.Run("compression "+compression, func(t *testing.T) {
			e := layOutWith(t, ensemble.Settings{Extra: []string{
				"snapCount=60", "preAllocSize=64", "snapshot.compression.method=" + compression,
			}}, apache)
			m := e.Members()[0]
			var writers []*writer
			for life, kind := range []ensemble.Kind{apache, ours, apache, ours} {
				m.Kind = kind
				must(t, m.Start())
				must(t, e.Await(time.Minute))
				conn := dial(t, m.Addr())
				for _, w := range writers {
					w.check(t, conn, kind)
				}
				change(t, conn, fmt.Sprintf("/round-%d", life))
				var stream sync.WaitGroup
				for i := range 6 {
					w := &writer{dir: fmt.Sprintf("/life-%d-%d", life, i)}
					_, err := conn.Create(w.dir, nil, 0, open)
					must(t, err)
					writers = append(writers, w)
					c := dial(t, m.Addr())
					stream.Go(func() { w.run(c) })
				}
				must(t, ensemble.Until(time.Minute, "snapshots and logs", func() bool {
					snapshots, _ := filepath.Glob(filepath.Join(m.DataDir(), "version-2", "snapshot.*"+compression))
					return len(snapshots) > 4*(life+1)
				}))
				must(t, m.Kill())
				conn.Close()
				stream.Wait()
			}
			digest, err := m.DiskDigest()
			must(t, err)
			t.Logf("digest of the tree at the end: %#x", digest)
		})
	}
}

// check demands the nodes that a writer created, without a gap.
func (w *writer) check(t *testing.T, conn *zk.Conn, kind ensemble.Kind) {
	t.Helper()
	children, _, err := conn.Children(w.dir)
	must(t, err)
	there := make(map[string]bool)
	for _, c := range children {
		there[c] = true
	}
	if n := len(children); n < w.acked || n > w.asked {
		t.Errorf("%v: %d nodes in %s, %d were acknowledged of %d", kind, n, w.dir, w.acked, w.asked)
	}
	for i := range children {
		if !there[fmt.Sprint(i)] {
			t.Errorf("%v: %s/%d is missing of %d", kind, w.dir, i, len(children))
		}
	}
	if len(children) == 0 {
		return
	}
	last := len(children) - 1
	data, _, err := conn.Get(fmt.Sprintf("%s/%d", w.dir, last))
	must(t, err)
	if len(data) != last%700 {
		t.Errorf("%v: %s/%d has %d bytes", kind, w.dir, last, len(data))
	}
}
