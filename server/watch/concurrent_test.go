package watch

import (
	"fmt"
	"sync"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// TestConcurrentUse lets connections register, remove and end while events fire; run with -race. No standard watch may be
// lost or fire twice.
func TestConcurrentUse(t *testing.T) {
	const watchers, rounds, paths = 8, 300, 5
	m := New()
	m.Add("/", 1000, Recursive)
	var wg sync.WaitGroup
	fired := make([]int, watchers)
	var mu sync.Mutex
	fire := func(path string) {
		for _, w := range m.Trigger(wire.NodeDataChanged, path, nil) {
			if w < watchers {
				mu.Lock()
				fired[w]++
				mu.Unlock()
			}
		}
	}
	for w := range Watcher(watchers) {
		wg.Go(func() {
			for i := range rounds {
				path := fmt.Sprintf("/p%d", i%paths)
				own := fmt.Sprintf("/own/%d", w)
				m.Add(own, w, Data)
				m.Add(path, w+100, All)
				m.Has(path, w+100, Child)
				m.Remove(path, w+100, Child)
				fire(path)
				m.Drop(w + 100)
				if i%2 == 0 {
					m.Counts()
					m.ByPath()
				}
				fire(own)
			}
		})
	}
	wg.Wait()
	for w, n := range fired {
		if n != rounds {
			t.Errorf("watcher %d heard %d events, not %d", w, n, rounds)
		}
	}
	m.Drop(1000)
	if m.Total() != 0 || len(m.slots) != 0 || len(m.paths) != 0 {
		t.Errorf("not empty in the end: %d, %d, %d", m.Total(), len(m.slots), len(m.paths))
	}
}
