package final

import (
	"github.com/zkctl/zkctl/server/watch"
	"github.com/zkctl/zkctl/wire"
)

// setWatches registers the watches that a client had on an earlier connection, or sends the event at once where
// something has happened since. Events come before the reply.
func (a *answer) setWatches() wire.ErrCode {
	var r wire.SetWatchesRequest
	r.Decode(a.d, a.header.Type)
	if a.d.Err() != nil {
		return wire.ErrMarshalling
	}
	for _, path := range r.Data {
		n, ok := a.lookup(path)
		switch {
		case !ok:
			a.event(wire.NodeDeleted, path)
		case n.Persisted().Mzxid > r.RelativeZxid:
			if a.allowed(n, wire.PermRead) {
				a.event(wire.NodeDataChanged, path)
			}
		default:
			a.Watches.Add(path, a.client.Watcher, watch.Data)
		}
	}
	for _, path := range r.Exist {
		n, ok := a.lookup(path)
		switch {
		case !ok:
			a.Watches.Add(path, a.client.Watcher, watch.Data)
		case a.allowed(n, wire.PermRead):
			a.event(wire.NodeCreated, path)
		}
	}
	for _, path := range r.Child {
		n, ok := a.lookup(path)
		switch {
		case !ok:
			a.event(wire.NodeDeleted, path)
		case n.Persisted().Pzxid > r.RelativeZxid:
			if a.allowed(n, wire.PermRead) {
				a.event(wire.NodeChildrenChanged, path)
			}
		default:
			a.Watches.Add(path, a.client.Watcher, watch.Child)
		}
	}
	for _, path := range r.Persistent {
		a.Watches.Add(path, a.client.Watcher, watch.Persistent)
	}
	for _, path := range r.PersistentRecursive {
		a.Watches.Add(path, a.client.Watcher, watch.Recursive)
	}
	a.send(a.reply(0))
	return wire.ErrOK
}

// event tells of something that happened before the watch was set, at a zxid that is not known.
func (a *answer) event(kind wire.EventType, path string) { a.send(event(kind, path, -1)) }

func (a *answer) addWatch() wire.ErrCode {
	var r wire.WatchRequest
	r.Decode(a.d)
	mode := watch.Persistent
	switch {
	case a.d.Err() != nil:
		return wire.ErrMarshalling
	case r.Type == wire.AddWatchPersistentRecursive:
		mode = watch.Recursive
	case r.Type != wire.AddWatchPersistent:
		return wire.ErrMarshalling
	}
	a.Watches.Add(r.Path, a.client.Watcher, mode)
	a.send(wire.AppendInt32(a.reply(4), int32(wire.ErrOK)))
	return wire.ErrOK
}

var watchTypes = map[int32]watch.Mode{
	wire.WatchesChildren:            watch.Child,
	wire.WatchesData:                watch.Data,
	wire.WatchesAny:                 watch.All,
	wire.WatchesPersistent:          watch.Persistent,
	wire.WatchesPersistentRecursive: watch.Recursive,
}

// removeWatches is checkWatches, too. Nobody can watch a null path.
func (a *answer) removeWatches() wire.ErrCode {
	path, _ := a.d.NullableString()
	modes, ok := watchTypes[a.d.Int32()]
	if a.d.Err() != nil || !ok {
		return wire.ErrMarshalling
	}
	found := false
	if a.header.Type == wire.OpCheckWatches {
		found = a.Watches.Has(path, a.client.Watcher, modes)
	} else {
		found = a.Watches.Remove(path, a.client.Watcher, modes)
	}
	if !found {
		return wire.ErrNoWatcher
	}
	a.send(a.reply(0))
	return wire.ErrOK
}
