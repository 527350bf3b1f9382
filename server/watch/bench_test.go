package watch

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// BenchmarkMemory reports what a watch takes beyond the string of its path: a million of them on as many paths, on a
// hundred thousand paths by ten connections each, and on one path by as many connections.
func BenchmarkMemory(b *testing.B) {
	const total = 1_000_000
	for _, c := range []struct {
		name  string
		paths int
	}{{"one-each", total}, {"ten-each", total / 10}, {"all-on-one", 1}} {
		b.Run(c.name, func(b *testing.B) {
			paths := make([]string, c.paths)
			for i := range paths {
				paths[i] = fmt.Sprintf("/some/node-%07d", i)
			}
			for range b.N {
				heap := func() float64 {
					runtime.GC()
					var s runtime.MemStats
					runtime.ReadMemStats(&s)
					return float64(s.HeapAlloc)
				}
				before := heap()
				m := New()
				for i := range total {
					w := i / c.paths
					if c.paths == total {
						w = i % 1000
					}
					m.Add(paths[i%c.paths], Watcher(w), Data)
				}
				if m.Total() != total {
					b.Fatalf("%d watches", m.Total())
				}
				b.ReportMetric((heap()-before)/total, "B/watch")
				runtime.KeepAlive(m)
			}
			runtime.KeepAlive(paths)
		})
	}
}

// BenchmarkTriggerUnwatched is what an event costs that concerns nobody.
func BenchmarkTriggerUnwatched(b *testing.B) {
	m := New()
	m.Add("/other", 1, All)
	var dst []Watcher
	for range b.N {
		dst = m.Trigger(wire.NodeDataChanged, "/some/node/deep/in/the/tree", dst[:0])
	}
}
