// Package watch is the table of watches of one server: which client connection wants to hear of which path.
//
// A watch belongs to a connection, never to a session: when the connection ends, its watches end, and the client
// registers them again elsewhere. A path may carry several modes of the same watcher at once; they live and end
// independently. What fires when is ZooKeeper's (org.apache.zookeeper.server.watch.WatchManager, DataTree):
//
//	event                data watch  child watch  persistent  recursive on the path or above it
//	NodeCreated          fires       -            fires       fires
//	NodeDataChanged      fires       -            fires       fires
//	NodeDeleted          fires       fires        fires       fires
//	NodeChildrenChanged  -           fires        fires       -
//
// Data and child watches are consumed when they fire. Each watcher is named once for an event, however many of
// its modes match.
//
// The package neither sends events nor checks permissions; it says whom an event concerns.
package watch

import (
	"slices"
	"strings"
	"sync"

	"github.com/zkctl/zkctl/wire"
)

// Watcher names a client connection for the life of the process.
type Watcher uint64

// Mode is a way to watch a path; several may be combined.
type Mode uint8

const (
	// Data is registered by getData and exists, and fires once.
	Data Mode = 1 << iota
	// Child is registered by getChildren, and fires once.
	Child
	// Persistent fires for the node and its list of children, until it is removed.
	Persistent
	// Recursive (persistent recursive) fires for the node and all its descendants, until it is removed.
	Recursive

	// All are the modes together.
	All = Data | Child | Persistent | Recursive

	modeBits = 4

	// inDataTable and inChildTable are the modes that Apache ZooKeeper keeps in the two tables it counts.
	inDataTable  = Data | Persistent | Recursive
	inChildTable = Child | Persistent
)

// Manager holds the watches of all connections. It is safe for concurrent use: readers that run in parallel
// register watches.
type Manager struct {
	mu sync.Mutex
	// paths holds a target for every path that somebody watches.
	paths map[string]*target
	// watchers are numbered densely, so that a target needs four bytes for each of its watchers.
	slots map[Watcher]slot
	table []holder
	free  []slot

	recursive int // pairs of path and watcher with mode Recursive; 0 spares the walk to the root
	data      int // pairs in the data table
	child     int // pairs in the child table
}

// slot is the number of a watcher in Manager.table.
type slot uint32

// holder is one watcher and the paths that it watches.
type holder struct {
	watcher Watcher
	targets set[*target]
}

// New returns an empty table.
func New() *Manager {
	return &Manager{paths: make(map[string]*target), slots: make(map[Watcher]slot)}
}

// Add registers modes of a watcher on a path. Modes that it has already stay as they are. The path is kept: a
// caller that has the string of the znode itself passes that, so that no second copy stays in memory.
func (m *Manager) Add(path string, w Watcher, modes Mode) {
	if modes == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.slots[w]
	if !ok {
		s = m.newSlot(w)
	}
	t := m.paths[path]
	if t == nil {
		t = &target{path: path}
		m.paths[path] = t
	}
	before := t.modes(s)
	if before == 0 {
		m.table[s].targets.add(t)
	}
	m.change(t, s, before, before|modes)
}

// Has reports whether the watcher has any of the modes on the path.
func (m *Manager) Has(path string, w Watcher, modes Mode) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.slots[w]
	t := m.paths[path]
	return ok && t != nil && t.modes(s)&modes != 0
}

// Remove ends those modes of the watcher on the path and reports whether it had any of them.
func (m *Manager) Remove(path string, w Watcher, modes Mode) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.slots[w]
	t := m.paths[path]
	if !ok || t == nil {
		return false
	}
	before := t.modes(s)
	if before&modes == 0 {
		return false
	}
	m.end(t, s, before, before&^modes)
	m.maybeForget(s)
	return true
}

// Drop ends all watches of a watcher.
func (m *Manager) Drop(w Watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.slots[w]
	if !ok {
		return
	}
	for _, t := range m.table[s].targets.members() {
		m.end(t, s, t.modes(s), 0)
	}
	m.maybeForget(s)
}

// Trigger consumes what the event fires on the path and appends the watchers concerned to dst, in ascending
// order and each once.
func (m *Manager) Trigger(event wire.EventType, path string, dst []Watcher) []Watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	start := len(dst)
	if t := m.paths[path]; t != nil {
		dst = m.fire(event, t, dst)
	}
	if m.recursive > 0 && event != wire.NodeChildrenChanged {
		for p := path; p != "/" && p != ""; {
			p = parent(p)
			if t := m.paths[p]; t != nil {
				t.each(func(s slot, modes Mode) {
					if modes&Recursive != 0 {
						dst = append(dst, m.table[s].watcher)
					}
				})
			}
		}
	}
	slices.Sort(dst[start:])
	unique := slices.Compact(dst[start:])
	return dst[:start+len(unique)]
}

// fire handles the watchers of the very path of an event.
func (m *Manager) fire(event wire.EventType, t *target, dst []Watcher) []Watcher {
	var once, kept Mode
	switch event {
	case wire.NodeCreated, wire.NodeDataChanged:
		once, kept = Data, Persistent|Recursive
	case wire.NodeDeleted:
		once, kept = Data|Child, Persistent|Recursive
	case wire.NodeChildrenChanged:
		once, kept = Child, Persistent
	}
	var fired []slot
	t.each(func(s slot, modes Mode) {
		if modes&(once|kept) == 0 {
			return
		}
		dst = append(dst, m.table[s].watcher)
		if modes&once != 0 {
			fired = append(fired, s)
		}
	})
	for _, s := range fired {
		before := t.modes(s)
		m.end(t, s, before, before&^once)
		m.maybeForget(s)
	}
	return dst
}

// end lowers the modes of a watcher on a target and forgets what is empty then.
func (m *Manager) end(t *target, s slot, before, after Mode) {
	m.change(t, s, before, after)
	if after != 0 {
		return
	}
	m.table[s].targets.remove(t)
	if t.empty() {
		delete(m.paths, t.path)
	}
}

// change replaces the modes of a watcher on a target and keeps the counts.
func (m *Manager) change(t *target, s slot, before, after Mode) {
	if before == after {
		return
	}
	t.set(s, after)
	m.recursive += has(after, Recursive) - has(before, Recursive)
	m.data += has(after, inDataTable) - has(before, inDataTable)
	m.child += has(after, inChildTable) - has(before, inChildTable)
}

func (m *Manager) newSlot(w Watcher) slot {
	var s slot
	if n := len(m.free); n > 0 {
		s, m.free = m.free[n-1], m.free[:n-1]
	} else {
		s = slot(len(m.table))
		m.table = append(m.table, holder{})
	}
	m.table[s].watcher = w
	m.slots[w] = s
	return s
}

// maybeForget frees the slot of a watcher that watches nothing.
func (m *Manager) maybeForget(s slot) {
	h := &m.table[s]
	if h.targets.len() > 0 {
		return
	}
	delete(m.slots, h.watcher)
	*h = holder{}
	m.free = append(m.free, s)
}

func has(modes, of Mode) int {
	if modes&of != 0 {
		return 1
	}
	return 0
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
