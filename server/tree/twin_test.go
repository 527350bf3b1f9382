package tree_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// twin is a tree in its most naive form: a map of paths, everything else counted when it is asked for.
type twin struct {
	nodes    map[string]twinNode
	sessions map[wire.SessionID]int32
	zxid     wire.Zxid
}

type twinNode struct {
	data []byte
	acl  []wire.ACL
	stat wire.StatPersisted
}

func newTwin() *twin {
	open := func(version int32) twinNode {
		return twinNode{data: []byte{}, acl: wire.OpenACL(), stat: wire.StatPersisted{Aversion: version}}
	}
	config := open(-1)
	config.acl = []wire.ACL{{Perms: wire.PermRead, ID: wire.AnyoneID}}
	return &twin{
		nodes: map[string]twinNode{
			"/": open(0), "/zookeeper": open(0), "/zookeeper/quota": open(0), "/zookeeper/config": config,
		},
		sessions: make(map[wire.SessionID]int32),
	}
}

func (w *twin) clone() *twin {
	return &twin{nodes: maps.Clone(w.nodes), sessions: maps.Clone(w.sessions), zxid: w.zxid}
}

// up is the parent of a path.
func up(path string) string {
	path = path[:strings.LastIndex(path, "/")]
	if path == "" {
		return "/"
	}
	return path
}

func (w *twin) children(path string) []string {
	var list []string
	for p := range w.nodes {
		if p != "/" && up(p) == path {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

func (w *twin) owned(id wire.SessionID) []string {
	var list []string
	for p, n := range w.nodes {
		if n.stat.EphemeralOwner == int64(id) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// apply is Apply for transactions that come for the first time.
func (w *twin) apply(h txn.Header, record txn.Record) []tree.Event {
	var events []tree.Event
	if m, ok := record.(*txn.Multi); ok {
		failed := slices.ContainsFunc(m.Txns, func(s txn.Sub) bool { return s.Type == wire.OpError })
		for _, sub := range m.Txns {
			if !failed {
				events = append(events, w.one(h, sub.Record)...)
			}
		}
	} else {
		events = w.one(h, record)
	}
	w.zxid = h.Zxid
	return events
}

func (w *twin) one(h txn.Header, record txn.Record) []tree.Event {
	switch r := record.(type) {
	case *txn.Create:
		owner := int64(0)
		if r.Ephemeral {
			owner = int64(h.Session)
		}
		return w.create(h, r.Path, r.Data, r.ACL, owner)
	case *txn.CreateContainer:
		return w.create(h, r.Path, r.Data, r.ACL, -1<<63)
	case *txn.CreateTTL:
		return w.create(h, r.Path, r.Data, r.ACL, -1<<56|r.TTL)
	case *txn.Delete:
		return w.delete(h, r.Path)
	case *txn.SetData:
		n := w.nodes[r.Path]
		n.data, n.stat.Version, n.stat.Mzxid, n.stat.Mtime = r.Data, r.Version, h.Zxid, h.Time
		w.nodes[r.Path] = n
		return []tree.Event{{Type: wire.NodeDataChanged, Path: r.Path, ACL: n.acl, Zxid: h.Zxid}}
	case *txn.SetACL:
		n := w.nodes[r.Path]
		n.acl, n.stat.Aversion = r.ACL, r.Version
		w.nodes[r.Path] = n
	case *txn.CreateSession:
		w.sessions[h.Session] = r.TimeoutMillis
	case *txn.CloseSession:
		var events []tree.Event
		for _, path := range w.owned(h.Session) {
			events = append(events, w.delete(h, path)...)
		}
		delete(w.sessions, h.Session)
		return events
	}
	return nil
}

func (w *twin) create(h txn.Header, path string, data []byte, acl []wire.ACL, owner int64) []tree.Event {
	parent := w.nodes[up(path)]
	parent.stat.Cversion++
	parent.stat.Pzxid = h.Zxid
	w.nodes[up(path)] = parent
	w.nodes[path] = twinNode{data: data, acl: acl, stat: wire.StatPersisted{
		Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time, EphemeralOwner: owner,
	}}
	return []tree.Event{
		{Type: wire.NodeCreated, Path: path, ACL: acl, Zxid: h.Zxid},
		{Type: wire.NodeChildrenChanged, Path: up(path), ACL: w.nodes[up(path)].acl, Zxid: h.Zxid},
	}
}

func (w *twin) delete(h txn.Header, path string) []tree.Event {
	acl := w.nodes[path].acl
	delete(w.nodes, path)
	parent := w.nodes[up(path)]
	parent.stat.Pzxid = h.Zxid
	w.nodes[up(path)] = parent
	return []tree.Event{
		{Type: wire.NodeDeleted, Path: path, ACL: acl, Zxid: h.Zxid},
		{Type: wire.NodeChildrenChanged, Path: up(path), ACL: parent.acl, Zxid: h.Zxid},
	}
}

// stat is what clients see.
func (w *twin) stat(path string) wire.Stat {
	n := w.nodes[path]
	children := int32(len(w.children(path)))
	s := wire.Stat{
		Czxid: n.stat.Czxid, Mzxid: n.stat.Mzxid, Pzxid: n.stat.Pzxid, Ctime: n.stat.Ctime, Mtime: n.stat.Mtime,
		Version: n.stat.Version, Cversion: n.stat.Cversion*2 - children, Aversion: n.stat.Aversion,
		DataLength: int32(len(n.data)), NumChildren: children,
	}
	if n.stat.EphemeralOwner > 0 {
		s.EphemeralOwner = n.stat.EphemeralOwner
	}
	return s
}

func (w *twin) digest() (sum uint64) {
	for path, n := range w.nodes {
		if strings.HasPrefix(path, "/zookeeper/") {
			continue
		}
		if path == "/" {
			path = ""
		}
		b := append([]byte(path), n.data...)
		s := n.stat
		for _, v := range []int64{int64(s.Czxid), int64(s.Mzxid), int64(s.Pzxid), s.Ctime, s.Mtime} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		for _, v := range []int32{s.Version, s.Cversion, s.Aversion} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		sum += uint64(crc32.ChecksumIEEE(binary.BigEndian.AppendUint64(b, uint64(s.EphemeralOwner))))
	}
	return sum
}

// use is what a stats node has to say of the nodes in a path.
func (w *twin) use(subject string) []byte {
	count, bytes := 0, 0
	for path, n := range w.nodes {
		if path == subject || strings.HasPrefix(path, subject+"/") {
			count, bytes = count+1, bytes+len(n.data)
		}
	}
	return fmt.Appendf(nil, "count=%d,bytes=%d", count, bytes)
}

// expendable is what Expendable has to list.
func (w *twin) expendable(wall int64, neverUsed time.Duration) []string {
	var list []string
	for path, n := range w.nodes {
		age, owner := wall-n.stat.Mtime, n.stat.EphemeralOwner
		switch {
		case owner >= 0 || len(w.children(path)) > 0:
		case owner == -1<<63 && (n.stat.Cversion > 0 || neverUsed > 0 && age > neverUsed.Milliseconds()),
			owner != -1<<63 && age > owner&(1<<40-1):
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// compare tells how a tree differs from its twin.
func (w *twin) compare(t *tree.Tree) error {
	if err := t.Valid(); err != nil {
		return err
	}
	if t.NodeCount() != len(w.nodes) {
		return fmt.Errorf("%d nodes, not %d", t.NodeCount(), len(w.nodes))
	}
	for path, n := range w.nodes {
		got, ok := t.Lookup(path)
		if !ok {
			return fmt.Errorf("no node %s", path)
		}
		data := n.data
		if subject, ok := strings.CutSuffix(path, "/zookeeper_stats"); ok {
			data = w.use(strings.TrimPrefix(subject, "/zookeeper/quota"))
		}
		var names []string
		got.EachChild(func(name string) { names = append(names, strings.TrimSuffix(path, "/")+"/"+name) })
		slices.Sort(names)
		switch {
		case !reflect.DeepEqual(got.Data(), data):
			return fmt.Errorf("%s: data %q (%t), not %q (%t)", path, got.Data(), got.Data() == nil, data, data == nil)
		case !slices.Equal(got.ACL(), n.acl):
			return fmt.Errorf("%s: acl %v, not %v", path, got.ACL(), n.acl)
		case got.Persisted() != n.stat:
			return fmt.Errorf("%s: stat %+v, not %+v", path, got.Persisted(), n.stat)
		case got.Stat() != w.stat(path) && !strings.HasSuffix(path, "/zookeeper_stats"):
			return fmt.Errorf("%s: visible stat %+v, not %+v", path, got.Stat(), w.stat(path))
		case !slices.Equal(names, w.children(path)):
			return fmt.Errorf("%s: children %q, not %q", path, names, w.children(path))
		}
	}
	if t.Digest() != w.digest() {
		return fmt.Errorf("digest %#x, not %#x", t.Digest(), w.digest())
	}
	for _, s := range t.Sessions() {
		if timeout, ok := w.sessions[s.ID]; !ok || timeout != s.TimeoutMillis {
			return fmt.Errorf("session %v with timeout %d, not %d", s.ID, s.TimeoutMillis, timeout)
		}
		if got, want := t.Ephemerals(s.ID), w.owned(s.ID); !slices.Equal(got, want) {
			return fmt.Errorf("session %v owns %q, not %q", s.ID, got, want)
		}
	}
	for _, never := range []time.Duration{0, time.Second} {
		if got, want := t.Expendable(5000, never), w.expendable(5000, never); !slices.Equal(got, want) {
			return fmt.Errorf("expendable are %q, not %q", got, want)
		}
	}
	if len(w.sessions) != t.SessionCount() || t.LastZxid() != w.zxid {
		return fmt.Errorf("%d sessions at %v, not %d at %v", t.SessionCount(), t.LastZxid(), len(w.sessions), w.zxid)
	}
	return nil
}
