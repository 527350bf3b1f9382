package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxKeys bounds the keys of a set: they come from clients, who may make any number of namespaces. What further keys
// would hold is not counted.
const maxKeys = 1000

// set is a metric for each of a number of keys, such as namespaces or server ids.
type set[M any] struct {
	known atomic.Pointer[map[string]*M]
	mu    sync.Mutex // of who adds a key
}

// get finds the metric of a key, and begins it if need be; nil if there are too many.
func (s *set[M]) get(key string, begin func() *M) *M {
	if known := s.known.Load(); known != nil {
		if m := (*known)[key]; m != nil {
			return m
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var known map[string]*M
	if p := s.known.Load(); p != nil {
		known = *p
	}
	if m := known[key]; m != nil || len(known) >= maxKeys {
		return m
	}
	next := make(map[string]*M, len(known)+1)
	maps.Copy(next, known)
	m := begin()
	next[strings.Clone(key)] = m
	s.known.Store(&next)
	return m
}

// Keys are sorted.
func (s *set[M]) Keys() []string {
	if known := s.known.Load(); known != nil {
		return slices.Sorted(maps.Keys(*known))
	}
	return nil
}

// Of is the metric of a key that Keys named.
func (s *set[M]) Of(key string) *M { return (*s.known.Load())[key] }

// CounterSet is a counter for each key. It is safe for concurrent use.
type CounterSet struct{ set[Counter] }

// Add adds n to the counter of a key. The key is copied if it is new.
func (s *CounterSet) Add(key string, n int64) {
	if c := s.get(key, func() *Counter { return new(Counter) }); c != nil {
		c.Add(n)
	}
}

// SummarySet is a summary for each key. It is safe for concurrent use.
type SummarySet struct {
	set[Summary]
	time bool
}

// Summary is that of a key; nil if there are too many already.
func (s *SummarySet) Summary(key string) *Summary {
	return s.get(key, func() *Summary { return &Summary{time: s.time} })
}

// Add notes a value of a key.
func (s *SummarySet) Add(key string, v int64) {
	if m := s.Summary(key); m != nil {
		m.Add(v)
	}
}
