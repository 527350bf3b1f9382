package tree_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

func TestQuotaText(t *testing.T) {
	for _, test := range []struct {
		text                               string
		count, bytes, countHard, bytesHard int64
		written                            string
	}{
		{"count=3,bytes=-1", 3, -1, -1, -1, "count=3,bytes=-1"},
		{"count=-1,bytes=7", -1, 7, -1, -1, "count=-1,bytes=7"},
		{"count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=5", -1, -1, 5, 100, "count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=5"},
		{"count=1,bytes=2=;countHardLimit=5", 1, 2, 5, -1, "count=1,bytes=2=;countHardLimit=5"},
		{"bytes=2,count=1", 1, 2, -1, -1, "count=1,bytes=2"},
		{"count=1;;bytes=2,,", 1, 2, -1, -1, "count=1,bytes=2"},
		{"count=,bytes=", -1, -1, -1, -1, "count=-1,bytes=-1"},
		{"what=9,count=1,bytes=2", 1, 2, -1, -1, "count=1,bytes=2=;what=9"},
		{"", -1, -1, -1, -1, "count=-1,bytes=-1"},
		{"nonsense", -1, -1, -1, -1, "count=-1,bytes=-1"},
	} {
		q := tree.ParseQuota([]byte(test.text))
		if q.Count != test.count || q.Bytes != test.bytes || q.CountHard != test.countHard || q.BytesHard != test.bytesHard {
			t.Errorf("%q reads as %+v", test.text, q)
		}
		if got := q.String(); got != test.written {
			t.Errorf("%q is written as %q, want %q", test.text, got, test.written)
		}
	}
}

// TestQuotaUse follows the use of a path through its life.
func TestQuotaUse(t *testing.T) {
	b := build(t, tree.Options{})
	use := func(subject, want string) {
		t.Helper()
		n, ok := b.tree.Lookup("/zookeeper/quota" + subject + "/zookeeper_stats")
		if !ok || string(n.Data()) != want {
			t.Errorf("use of %s is %q, want %q", subject, n.Data(), want)
		}
		if stat := n.Persisted(); stat.Version != 0 || stat.Mzxid != stat.Czxid {
			t.Errorf("counting shows in the stat: %+v", stat)
		}
	}
	b.create("/a", nil)
	b.create("/a/b", nil)
	b.create("/ab", nil)
	b.create("/zookeeper/quota/a", nil)
	b.create("/zookeeper/quota/a/zookeeper_limits", nil)
	b.create("/zookeeper/quota/a/zookeeper_stats", nil)
	use("/a", "count=2,bytes=0")
	b.create("/a/c", nil)
	b.create("/ab/c", nil)
	use("/a", "count=3,bytes=0")
	set := func(path, data string) {
		t.Helper()
		b.apply(0, wire.OpSetData, &txn.SetData{Path: path, Data: []byte(data), Version: 1})
	}
	set("/a/c", "12345")
	set("/a", "12")
	set("/ab", "12")
	use("/a", "count=3,bytes=7")
	set("/a/c", "1")
	use("/a", "count=3,bytes=3")
	b.delete("/a/c")
	use("/a", "count=2,bytes=2")
	if limited, ok := b.tree.LimitedBy("/a/b/none"); !ok || limited != "/a" {
		t.Errorf("/a/b/none is limited by %q", limited)
	}
	for _, path := range []string{"/", "/ab", "/ab/c", "/zookeeper/quota/a"} {
		if limited, ok := b.tree.LimitedBy(path); ok {
			t.Errorf("%s is limited by %q", path, limited)
		}
	}

	// The longest path counts.
	b.create("/zookeeper/quota/a/b", nil)
	b.create("/zookeeper/quota/a/b/zookeeper_limits", nil)
	b.create("/zookeeper/quota/a/b/zookeeper_stats", nil)
	b.create("/a/b/c", nil)
	use("/a/b", "count=2,bytes=0")
	use("/a", "count=2,bytes=2")

	b.delete("/zookeeper/quota/a/b/zookeeper_stats")
	b.delete("/zookeeper/quota/a/b/zookeeper_limits")
	b.delete("/a/b/c")
	if limited, _ := b.tree.LimitedBy("/a/b"); limited != "/a" {
		t.Errorf("/a/b is limited by %q", limited)
	}
	b.delete("/zookeeper/quota/a/zookeeper_limits")
	b.create("/a/d", nil)
	if _, ok := b.tree.LimitedBy("/a"); ok {
		t.Error("/a is still limited")
	}
}

// TestQuotaOfAMissingNode: limits may come before what they limit, and stay when it goes.
func TestQuotaOfAMissingNode(t *testing.T) {
	b := build(t, tree.Options{})
	b.create("/zookeeper/quota/x", nil)
	b.create("/zookeeper/quota/x/zookeeper_limits", nil)
	b.create("/zookeeper/quota/x/zookeeper_stats", nil)
	for i, want := range []string{"count=0,bytes=0", "count=1,bytes=0", "count=0,bytes=0"} {
		switch i {
		case 1:
			b.create("/x", nil)
		case 2:
			b.delete("/x")
		}
		if n, _ := b.tree.Lookup("/zookeeper/quota/x/zookeeper_stats"); string(n.Data()) != want {
			t.Errorf("%d: %q, want %q", i, n.Data(), want)
		}
	}
	// Names that only look like limits.
	for _, path := range []string{"/zookeeper_limits", "/zookeeper/quota/zookeeper_limits", "/zookeeper/zookeeper_limits"} {
		b.create(path, nil)
	}
	if limited, ok := b.tree.LimitedBy("/y"); ok {
		t.Errorf("/y is limited by %q", limited)
	}
}

// TestStats are the rules for the stat, one by one.
func TestStats(t *testing.T) {
	b := build(t, tree.Options{ExtendedTypes: true})
	visible := func(path string) wire.Stat {
		n, ok := b.tree.Lookup(path)
		if !ok {
			t.Fatalf("there is no %s", path)
		}
		return n.Stat()
	}
	if s := visible("/"); s.Cversion != -1 || s.NumChildren != 1 {
		t.Errorf("a new root: %+v", s)
	}
	if s := visible("/zookeeper"); s.Cversion != -2 || s.NumChildren != 2 {
		t.Errorf("a new /zookeeper: %+v", s)
	}
	b.create("/a", nil)
	b.create("/a/b", nil)
	b.delete("/a/b")
	if s := visible("/a"); s.Cversion != 2 || s.NumChildren != 0 || s.Czxid != 1 || s.Mzxid != 1 || s.Pzxid != 3 || s.Ctime != 1000 {
		t.Errorf("one child created and deleted: %+v", s)
	}
	r := b.apply(0, wire.OpSetData, &txn.SetData{Path: "/a", Data: []byte("xyz"), Version: 1})
	if s := visible("/a"); s != r.Stat || s.Version != 1 || s.Mzxid != 4 || s.Mtime != 4000 || s.Pzxid != 3 || s.DataLength != 3 {
		t.Errorf("setData: %+v", s)
	}
	before := visible("/a")
	r = b.apply(0, wire.OpSetACL, &txn.SetACL{Path: "/a", ACL: lists[1], Version: 1})
	before.Aversion = 1
	if s := visible("/a"); s != before || s != r.Stat {
		t.Errorf("setACL changes more than aversion: %+v", s)
	}
	b.apply(7, wire.OpCreateContainer, &txn.CreateContainer{Path: "/c", ParentCversion: 2})
	b.apply(7, wire.OpCreateTTL, &txn.CreateTTL{Path: "/t", ParentCversion: 3, TTL: 5})
	b.apply(7, wire.OpCreate, &txn.Create{Path: "/e", Ephemeral: true, ParentCversion: 4})
	for path, want := range map[string]struct {
		kind          tree.Kind
		seen, written int64
	}{
		"/a": {tree.Persistent, 0, 0}, "/c": {tree.Container, 0, -1 << 63}, "/t": {tree.TTL, 0, -1<<56 | 5}, "/e": {tree.Ephemeral, 7, 7},
	} {
		n, _ := b.tree.Lookup(path)
		if n.Kind() != want.kind || n.Stat().EphemeralOwner != want.seen || n.Persisted().EphemeralOwner != want.written {
			t.Errorf("%s: kind %d, owner %d, stored %#x", path, n.Kind(), n.Stat().EphemeralOwner, n.Persisted().EphemeralOwner)
		}
	}
}

// TestOwners: how stored owners read depends on the settings.
func TestOwners(t *testing.T) {
	for _, test := range []struct {
		owner                      int64
		plain, extended, emulating tree.Kind
	}{
		{0, tree.Persistent, tree.Persistent, tree.Persistent},
		{1, tree.Ephemeral, tree.Ephemeral, tree.Ephemeral},
		{-1 << 63, tree.Container, tree.Container, tree.Container},
		{-1<<56 | 1000, tree.Ephemeral, tree.TTL, tree.TTL},
		{-1<<56 | 1<<40 | 1000, tree.Ephemeral, tree.Ephemeral, tree.TTL}, // an unknown feature
		{-1<<63 | 1000, tree.Ephemeral, tree.Ephemeral, tree.TTL},         // what 3.5.3 wrote
		{0x7f << 56, tree.Ephemeral, tree.Ephemeral, tree.Ephemeral},
	} {
		for opts, want := range map[tree.Options]tree.Kind{
			{}: test.plain, {ExtendedTypes: true}: test.extended, {ExtendedTypes: true, Emulate353TTL: true}: test.emulating,
			{Emulate353TTL: true}: test.plain,
		} {
			r := tree.NewRestorer(opts)
			for _, rec := range []tree.Record{
				{Path: "", ACL: -1}, {Path: "/a", ACL: -1, Stat: wire.StatPersisted{EphemeralOwner: test.owner}},
			} {
				if err := r.Node(rec); err != nil {
					t.Fatal(err)
				}
			}
			got, err := r.Tree(1)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := got.Lookup("/a"); n.Kind() != want {
				t.Errorf("owner %#x with %+v is %d, want %d", test.owner, opts, n.Kind(), want)
			}
			if err := got.Valid(); err != nil {
				t.Errorf("owner %#x with %+v: %v", test.owner, opts, err)
			}
		}
	}
	if got := tree.TTLOwner(tree.MaxTTL); uint64(got) != 0xff0000ffffffffff {
		t.Errorf("the owner of the longest time is %#x", uint64(got))
	}
}

// TestCountOfCreationsWraps: the count of creations goes on at -2^31, and older transactions do not move it back.
func TestCountOfCreationsWraps(t *testing.T) {
	b := build(t, tree.Options{})
	b.create("/a", nil)
	for i, cversion := range []int32{1<<31 - 2, 1<<31 - 1, -1 << 31, -1<<31 + 1} {
		b.apply(0, wire.OpCreate, &txn.Create{Path: fmt.Sprintf("/a/%d", i), ParentCversion: cversion})
		n, _ := b.tree.Lookup("/a")
		if i == 0 {
			continue // nobody comes from 0 in one step; the tree may or may not follow
		}
		if got := n.Persisted().Cversion; got != cversion {
			t.Errorf("cversion is %d, want %d", got, cversion)
		}
	}
	b.apply(0, wire.OpCreate, &txn.Create{Path: "/a/old", ParentCversion: 1<<31 - 1})
	if n, _ := b.tree.Lookup("/a"); n.Persisted().Cversion != -1<<31+1 {
		t.Errorf("cversion went back to %d", n.Persisted().Cversion)
	}
	// Logs of old have no count.
	b.apply(0, wire.OpCreate, &txn.Create{Path: "/a/older", ParentCversion: -1})
	if n, _ := b.tree.Lookup("/a"); n.Persisted().Cversion != -1<<31+2 {
		t.Errorf("cversion is %d", n.Persisted().Cversion)
	}
}

// TestSetConfig: the node that tells of the membership is every server's own.
func TestSetConfig(t *testing.T) {
	b := build(t, tree.Options{})
	before := b.tree.Digest()
	var events []tree.Event
	b.tree.SetConfig("server.1=a:1:2:participant\nversion=5", 5, 123, func(e tree.Event) { events = append(events, e) })
	n, _ := b.tree.Lookup(tree.ConfigPath)
	want := wire.Stat{Mzxid: 5, Mtime: 123, Version: -1, Aversion: -1, DataLength: int32(len(n.Data()))}
	if n.Stat() != want || b.tree.LastZxid() != 0 || b.tree.Digest() != before {
		t.Errorf("%+v at %v", n.Stat(), b.tree.LastZxid())
	}
	if len(events) != 1 || events[0].Type != wire.NodeDataChanged || events[0].Path != tree.ConfigPath || events[0].Zxid != 5 {
		t.Errorf("events: %+v", events)
	}
	if err := b.tree.Valid(); err != nil {
		t.Error(err)
	}
}

func TestNamespaceQuotas(t *testing.T) {
	tr := tree.New(tree.Options{})
	zxid := wire.Zxid(0)
	create := func(path, data string) {
		zxid++
		h := txn.Header{Zxid: zxid, Type: wire.OpCreate}
		if r := tr.Apply(h, &txn.Create{Path: path, Data: []byte(data), ACL: wire.OpenACL(), ParentCversion: -1}, nil); r.Err != wire.ErrOK {
			t.Fatalf("%s: %v", path, r.Err)
		}
	}
	for _, path := range []string{"/app", "/app/a", "/app/b", "/other", tree.QuotaPath + "/app", tree.QuotaPath + "/app/a", tree.QuotaPath + "/app/b", tree.QuotaPath + "/other"} {
		create(path, "1234")
	}
	create(tree.QuotaPath+"/app/a/"+tree.QuotaLimitsName, "count=5,bytes=-1=;byteHardLimit=100;countHardLimit=7")
	create(tree.QuotaPath+"/app/a/"+tree.QuotaStatsName, "count=0,bytes=0")
	create(tree.QuotaPath+"/app/b/"+tree.QuotaLimitsName, "count=3,bytes=10")
	create(tree.QuotaPath+"/app/b/"+tree.QuotaStatsName, "count=0,bytes=0")
	create(tree.QuotaPath+"/other/"+tree.QuotaLimitsName, "count=3,bytes=-1")
	want := map[string]tree.NamespaceQuota{
		"app": {CountLimit: 10, BytesLimit: 110, CountUsage: 2, BytesUsage: 8}, "other": {CountLimit: 3, BytesLimit: -1},
	}
	if got := tr.NamespaceQuotas(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
