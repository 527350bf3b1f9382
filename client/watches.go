package client

import (
	"maps"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// paths is a set of paths as the client sees them.
type paths map[string]struct{}

func (p paths) add(path string) { p[path] = struct{}{} }

// take removes a path and tells whether it was there.
func (p paths) take(path string) bool {
	_, ok := p[path]
	delete(p, path)
	return ok
}

func (p paths) has(path string) bool {
	_, ok := p[path]
	return ok
}

// watches are the watches of a session, to be set again at the next server
// (org.apache.zookeeper.ZKWatchManager).
type watches struct{ data, exist, child, persistent, recursive paths }

func newWatches() watches { return watches{paths{}, paths{}, paths{}, paths{}, paths{}} }

// fire takes the watches away that an event uses up, and tells whether anything watched for it.
func (w watches) fire(kind wire.EventType, path string) bool {
	fired := w.persistent.has(path)
	for p := path; !fired; {
		fired = w.recursive.has(p)
		i := strings.LastIndexByte(p, '/')
		if i < 0 || p == "/" {
			break
		}
		p = p[:max(i, 1)]
	}
	var sets []paths
	switch kind {
	case wire.NodeCreated, wire.NodeDataChanged:
		sets = []paths{w.data, w.exist}
	case wire.NodeDeleted:
		sets = []paths{w.data, w.exist, w.child}
	case wire.NodeChildrenChanged:
		sets = []paths{w.child}
	}
	for _, set := range sets {
		if set.take(path) {
			fired = true
		}
	}
	return fired
}

// removal is what removeWatches does at the client.
type removal struct {
	of    paths
	event wire.EventType
}

// removals are the sets that hold watches of a type.
func (w watches) removals(kind int32) []removal {
	child := removal{w.child, ChildWatchRemoved}
	data := []removal{{w.data, DataWatchRemoved}, {w.exist, DataWatchRemoved}}
	persistent, recursive := removal{w.persistent, PersistentWatchRemoved}, removal{w.recursive, PersistentWatchRemoved}
	switch kind {
	case wire.WatchesChildren:
		return []removal{child}
	case wire.WatchesData:
		return data
	case wire.WatchesPersistent:
		return []removal{persistent}
	case wire.WatchesPersistentRecursive:
		return []removal{recursive}
	}
	return append(append([]removal{child}, data...), persistent, recursive)
}

// remove takes the watches of a type away from a path, and returns the kinds of events that tell so, each once.
func (w watches) remove(kind int32, path string) []wire.EventType {
	var events []wire.EventType
	for _, r := range w.removals(kind) {
		if r.of.take(path) && !slices.Contains(events, r.event) {
			events = append(events, r.event)
		}
	}
	return events
}

// watchedBy tells whether removeWatches of a type may be about something that the client knows of. Apache ZooKeeper counts
// the persistent watches there, although it then removes none of them for the types data and children.
func (w watches) watchedBy(kind int32, path string) bool {
	if kind == wire.WatchesData || kind == wire.WatchesChildren {
		if w.persistent.has(path) || w.recursive.has(path) {
			return true
		}
	}
	return slices.ContainsFunc(w.removals(kind), func(r removal) bool { return r.of.has(path) })
}

// setWatchesBytes is about how long a request to set watches again may be; Apache ZooKeeper's bound, for servers that take
// no more than 1 MB.
const setWatchesBytes = 128 << 10

// again are the requests that set the watches at another server.
func (w watches) again(since wire.Zxid, full func(string) string) []wire.SetWatchesRequest {
	var all []wire.SetWatchesRequest
	size := setWatchesBytes
	for i, set := range []paths{w.data, w.exist, w.child, w.persistent, w.recursive} {
		for _, path := range slices.Sorted(maps.Keys(set)) {
			if size >= setWatchesBytes {
				all, size = append(all, wire.SetWatchesRequest{RelativeZxid: since}), 0
			}
			r := &all[len(all)-1]
			list := []*[]string{&r.Data, &r.Exist, &r.Child, &r.Persistent, &r.PersistentRecursive}[i]
			*list = append(*list, full(path))
			size += len(path)
		}
	}
	return all
}
