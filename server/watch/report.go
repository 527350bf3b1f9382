package watch

import (
	"cmp"
	"slices"
)

// Counts are the sizes that operators see.
type Counts struct {
	// Total counts pairs of path and connection in both of Apache ZooKeeper's tables, data and child (mntr).
	Total int
	// DataTotal, DataPaths and DataWatchers describe the data table alone (wchs): pairs, distinct paths and
	// distinct connections.
	DataTotal, DataPaths, DataWatchers int
}

// Total returns Counts.Total without walking the table.
func (m *Manager) Total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data + m.child
}

// Counts walks the whole table.
func (m *Manager) Counts() Counts {
	c := Counts{}
	seen := make(map[slot]struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Total, c.DataTotal = m.data+m.child, m.data
	for _, t := range m.paths {
		found := false
		t.each(func(s slot, modes Mode) {
			if modes&inDataTable != 0 {
				found = true
				seen[s] = struct{}{}
			}
		})
		if found {
			c.DataPaths++
		}
	}
	c.DataWatchers = len(seen)
	return c
}

// Entry is one watched path with the connections that watch it.
type Entry struct {
	Path     string
	Watchers []Watcher // ascending
}

// ByPath lists the data table sorted by path (wchp; grouped by connection it is wchc).
func (m *Manager) ByPath() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Entry
	for _, t := range m.paths {
		e := Entry{Path: t.path}
		t.each(func(s slot, modes Mode) {
			if modes&inDataTable != 0 {
				e.Watchers = append(e.Watchers, m.table[s].watcher)
			}
		})
		if len(e.Watchers) > 0 {
			slices.Sort(e.Watchers)
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
