//go:build diff

package diff

import (
	"math"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// scripts play what chance would rarely find.
var scripts = []struct {
	name string
	play func(*script)
}{
	{"Connections", connections},
	{"Sessions", sessions},
	{"SetWatches", setWatches},
	{"Watches", watches},
	{"Paths", paths},
	{"Flags", flags},
	{"ACLs", accessLists},
	{"Permissions", permissions},
	{"Hiding", hiding},
	{"Versions", versions},
	{"Multi", multis},
	{"Quota", quota},
	{"System", systemNodes},
	{"Auth", auths},
	{"Sizes", sizes},
	{"Cut", cutRecords},
	{"Numbers", numbers},
	{"Unknown", unknown},
	{"Xids", xids},
	{"Order", order},
	{"Names", longNames},
	{"Crowd", crowd},
}

// TestScripts plays all scripts on one pair of standalone servers.
func TestScripts(t *testing.T) {
	p := servers(t, 1)
	p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
	for _, one := range scripts {
		t.Run(one.name, func(t *testing.T) { p.playScript(t, one.play) })
	}
	t.Logf("%s", p.summary())
	for _, d := range differences {
		if p.known[d.name] == 0 && !t.Failed() {
			t.Errorf("a known difference that did not show: %s", d.name)
		}
	}
}

// playScript plays a script from new sessions, and closes them.
func (p *pair) playScript(t *testing.T, play func(*script)) {
	s := &script{t: t, pair: p}
	s.open(0, 1, 2)
	play(s)
	for slot := range slots {
		s.close(slot)
	}
}

// paths: every request about every path.
func paths(s *script) {
	for _, path := range slices.Concat(common, closed, system, odd) {
		for _, op := range []wire.OpCode{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer} {
			s.ask(0, op, create(path, nil, open, 0))
		}
		s.ask(0, wire.OpCreateTTL, createTTL(path, nil, open, 5, 1<<30))
		s.ask(0, wire.OpCreate2, create(path, nil, open, 2))
		s.ask(0, wire.OpSetData, setData(path, []byte("x"), -1))
		s.ask(0, wire.OpSetACL, setACL(path, open, -1))
		for _, op := range []wire.OpCode{wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2} {
			s.ask(0, op, read(path, path != ""))
		}
		for _, op := range []wire.OpCode{wire.OpGetACL, wire.OpSync, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber} {
			s.ask(0, op, onlyPath(path))
		}
		s.ask(2, wire.OpRemoveWatches, pathVersion(path, 3))
		if path != null {
			s.ask(1, wire.OpAddWatch, pathVersion(path, 0))
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
			s.ask(1, wire.OpRemoveWatches, pathVersion(path, 3))
			var b body
			for _, op := range []wire.OpCode{wire.OpCheck, wire.OpDelete} {
				b = b.part(op, pathVersion(path, -1))
				s.ask(0, wire.OpMulti, b.end())
			}
			s.ask(0, wire.OpMulti, body{}.part(wire.OpSetData, setData(path, nil, -1)).end())
			s.ask(0, wire.OpMulti, body{}.part(wire.OpCreate, create(path, nil, open, 1)).end())
			s.ask(0, wire.OpMultiRead, body{}.part(wire.OpGetData, read(path, false)).part(wire.OpGetChildren, read(path, false)).end())
		}
		s.ask(0, wire.OpDelete, pathVersion(path, -1))
		s.ask(0, wire.OpDelete, pathVersion(path, -1))
	}
}

// flags: every way to create with every flag and time to live, alone and in a multi.
func flags(s *script) {
	for _, flags := range []int32{math.MinInt32, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, math.MaxInt32} {
		ttls := flags == wire.FlagPersistentTTL || flags == wire.FlagPersistentSequentialTTL
		for _, op := range []wire.OpCode{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer} {
			b := create("/flag", []byte("x"), open, flags)
			s.ask(0, op, b)
			s.look(0, "/flag")
			s.clean("/flag")
			if !ttls { // Apache ZooKeeper would keep changes of such a multi for ever
				s.ask(0, wire.OpMulti, body{}.part(op, b).part(wire.OpCheck, pathVersion("/flag", 0)).end())
				s.look(0, "/flag")
				s.clean("/flag")
			}
		}
		for _, ttl := range []int64{math.MinInt64, -1, 0, 1, 1<<40 - 1, 1 << 40, math.MaxInt64} {
			if !ttls && ttl < 0 {
				continue // Apache ZooKeeper accepts it and then cannot apply it
			}
			b := createTTL("/flag", []byte("x"), open, flags, ttl)
			s.ask(0, wire.OpCreateTTL, b)
			s.look(0, "/flag")
			s.clean("/flag")
			s.ask(0, wire.OpMulti, body{}.part(wire.OpCreateTTL, b).end())
			s.look(0, "/flag")
			s.clean("/flag")
		}
	}
	s.ask(0, wire.OpCreate, create(null, nil, open, 9))
	s.ask(0, wire.OpCreateTTL, createTTL(null, nil, open, 5, 0))
	s.ask(0, wire.OpGetChildren, read("/", false))
}

// accessLists: every list to create and to change with, by clients of several kinds.
func accessLists(s *script) {
	s.auth(1, "alice:a")
	s.auth(2, "alice:a")
	s.auth(2, "bob:b")
	s.auth(2, "super:super")
	entries := aclList{{31, "world", "anyone"}, {31, "world", "Anyone"}, {31, "world", ""}, {31, "auth", ""}, {31, "auth", "x"},
		{31, "super", ""}, {31, "", ""}, {31, null, "x"}, {31, "world", null}, {31, "auth", null}, {31, "none", "x"}, {31, "WORLD", "anyone"},
		{0, "world", "anyone"}, {-1, "world", "anyone"}, {1 << 10, "world", "anyone"}, {math.MinInt32, "world", "anyone"}}
	for _, id := range []string{"a:b", "a", "", ":", "a:", ":b", "a:b:c", "a:b:", "::", "é:ü", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="} {
		entries = append(entries, acl{31, "digest", id})
	}
	for _, id := range []string{"127.0.0.1", "127.0.0.1/32", "127.0.0.1/33", "127.0.0.1/-1", "127.0.0.1/", "127.0.0.1/8/8", "127.0.0.1/ 8",
		"127.0.0.0/8", "127.0.0.0/0", "0.0.0.0/0", "128.0.0.0/1", "10.0.0.1", "127.1", "1.2.3.4.5", "0127.0.0.1", "127.0.0.256", "127.0.0.-1",
		"127.0.0.1 ", "", "/", "localhost", "127.0.0.1/08", "127.0.0.1/+8", "127.0.0.1.", ".127.0.0.1", "127..0.1"} {
		entries = append(entries, acl{31, "ip", id})
	}
	lists := []aclList{nil, {}, {open[0], open[0]}, {{1, "world", "anyone"}, {2, "world", "anyone"}, {1, "world", "anyone"}},
		{{1, "auth", ""}, {1, "digest", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="}}, {{31, "none", "x"}, open[0]}, {open[0], {31, "none", "x"}}}
	for _, e := range entries {
		lists = append(lists, aclList{e})
	}
	s.create(0, "/r", "")
	for _, list := range lists {
		for slot := range 3 {
			s.ask(slot, wire.OpCreate2, create("/r/x", []byte("d"), list, 0))
			for asker := range 3 {
				s.look(asker, "/r/x")
				s.ask(asker, wire.OpSetData, setData("/r/x", nil, -1))
			}
			s.ask(2, wire.OpSetACL, setACL("/r/x", list, -1))
			s.ask(slot, wire.OpSetACL, setACL("/r/x", list, -1))
			s.ask(slot, wire.OpDelete, pathVersion("/r/x", -1))
		}
	}
	s.clean("/r")
}

// hiding: watches on what may not be read.
func hiding(s *script) {
	s.auth(0, "alice:a")
	own := aclList{{31, "digest", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="}}
	s.ask(1, wire.OpAddWatch, pathVersion("/r", 1))
	s.ask(0, wire.OpCreate, create("/r", nil, own, 0))
	s.ask(2, wire.OpExists, read("/r", true))
	s.ask(2, wire.OpRemoveWatches, pathVersion("/r", 3))
	s.ask(0, wire.OpGetData, read("/r", true))
	s.ask(2, wire.OpCheckWatches, pathVersion("/r", 3)) // which somebody else has
	s.create(0, "/r/open", "")
	s.ask(1, wire.OpSetWatches, body{}.long(0).strs([]string{"/r"}).strs([]string{"/r"}).strs([]string{"/r"}))
	s.clean("/r/open", "/r")
}

// permissions: every request with every set of permissions, for the client and for somebody else.
func permissions(s *script) {
	s.auth(1, "alice:a")
	s.create(0, "/r", "")
	for perms := range int32(32) {
		list := aclList{{perms, "world", "anyone"}, {31, "digest", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="}}
		s.ask(1, wire.OpCreate, create("/r/p", nil, list, 0))
		s.ask(1, wire.OpCreate, create("/r/p/c", nil, open, 0))
		s.look(0, "/r/p")
		s.ask(0, wire.OpGetAllChildrenNumber, onlyPath("/r/p"))
		s.ask(0, wire.OpMultiRead, body{}.part(wire.OpGetData, read("/r/p", false)).part(wire.OpGetChildren, read("/r/p", false)).end())
		s.ask(0, wire.OpMulti, body{}.part(wire.OpCheck, pathVersion("/r/p", -1)).end())
		s.ask(0, wire.OpMulti, body{}.part(wire.OpSetData, setData("/r/p", nil, -1)).part(wire.OpCreate, create("/r/p/m", nil, open, 0)).end())
		s.ask(0, wire.OpSetData, setData("/r/p", []byte("x"), -1))
		s.ask(0, wire.OpSetACL, setACL("/r/p", list, -1))
		s.ask(0, wire.OpCreate, create("/r/p/d", nil, open, 0))
		s.ask(0, wire.OpCreate, create("/r/p/c", nil, open, 0))
		s.ask(0, wire.OpDelete, pathVersion("/r/p/none", -1))
		for _, path := range []string{"/r/p/c", "/r/p/d", "/r/p/m"} {
			s.ask(0, wire.OpDelete, pathVersion(path, -1))
			s.ask(1, wire.OpDelete, pathVersion(path, -1))
		}
		s.ask(1, wire.OpDelete, pathVersion("/r/p", -1))
	}
	s.clean("/r")
}

// versions: right and wrong ones, as they grow.
func versions(s *script) {
	s.create(0, "/v", "")
	for range 3 {
		for _, v := range []int32{math.MinInt32, -2, 0, 1, 2, 3, math.MaxInt32, -1} {
			s.ask(0, wire.OpMulti, body{}.part(wire.OpCheck, pathVersion("/v", v)).end())
			s.ask(0, wire.OpSetACL, setACL("/v", open, v))
			s.ask(0, wire.OpSetData, setData("/v", nil, v))
			s.ask(0, wire.OpCreate, create("/v/c", nil, open, 0))
			if v != -1 && v != 0 {
				s.ask(0, wire.OpDelete, pathVersion("/v/c", v))
			}
			s.ask(0, wire.OpDelete, pathVersion("/v/c", 0))
			s.look(0, "/v")
		}
	}
	s.clean("/v")
}

// multis: every kind of part fails in every place, and what is no part.
func multis(s *script) {
	s.create(0, "/m", "")
	good := []struct {
		op wire.OpCode
		b  body
	}{
		{wire.OpCreate, create("/m/a", []byte("1"), open, 0)},
		{wire.OpCreate2, create("/m/b", nil, open, 1)},
		{wire.OpCreateContainer, create("/m/c", []byte{}, open, 4)},
		{wire.OpCreateTTL, createTTL("/m/t", nil, open, 5, 1<<30)},
		{wire.OpCreateTTL, createTTL("/m/t-", nil, open, 6, 1<<30)},
		{wire.OpCreate, create("/m/s-", nil, open, 2)},
		{wire.OpCreate2, create("/m/s-", nil, open, 3)},
		{wire.OpCreate, create("/m/a/x", nil, open, 0)},
		{wire.OpSetData, setData("/m/a", []byte("2"), 0)},
		{wire.OpSetData, setData("/m/a", []byte("3"), 1)},
		{wire.OpCheck, pathVersion("/m/a", 2)},
		{wire.OpDelete, pathVersion("/m/a/x", 0)},
		{wire.OpDelete, pathVersion("/m/b", 0)},
	}
	bad := []struct {
		op wire.OpCode
		b  body
	}{
		{wire.OpCreate, create("/m", nil, open, 0)},
		{wire.OpCreate, create("/none/x", nil, open, 0)},
		{wire.OpCreate, create("/m/bad", nil, nil, 0)},
		{wire.OpCreate, create("/m/bad", nil, open, 9)},
		{wire.OpCreate2, create("m", nil, open, 0)},
		{wire.OpCreateContainer, create("/m/b/x", nil, open, 4)},
		{wire.OpCreateTTL, createTTL("/m/bad", nil, open, 5, 0)},
		{wire.OpDelete, pathVersion("/m", -1)},
		{wire.OpDelete, pathVersion("/", -1)},
		{wire.OpDelete, pathVersion("/none", -1)},
		{wire.OpSetData, setData("/none", nil, -1)},
		{wire.OpSetData, setData("/m", nil, 77)},
		{wire.OpCheck, pathVersion("/m", 77)},
		{wire.OpCheck, pathVersion("/none", -1)},
		{wire.OpSetACL, setACL("/m", open, -1)},
		{wire.OpGetData, read("/m", false)},
		{wire.OpGetChildren, read("/m", false)},
		{wire.OpExists, read("/m", false)},
		{wire.OpMulti, body{}.end()},
		{wire.OpPing, nil}, {wire.OpCloseSession, nil}, {0, nil}, {opUnknown, nil}, {wire.OpError, body{}.int(-101)},
		{wire.OpDeleteContainer, onlyPath("/m")},
	}
	s.ask(1, wire.OpAddWatch, pathVersion("/m", 1))
	s.ask(2, wire.OpGetChildren, read("/m", true))
	s.ask(0, wire.OpMulti, body{}.end())
	s.ask(0, wire.OpMulti, nil)
	for n := range len(good) + 1 {
		var b body
		for _, part := range good[:n] {
			b = b.part(part.op, part.b)
		}
		for _, part := range bad {
			rest := body(slices.Clone(b)).part(part.op, part.b)
			for _, part := range good[n:] {
				rest = rest.part(part.op, part.b)
			}
			s.ask(0, wire.OpMulti, rest.end())
		}
		s.look(0, "/m")
	}
	var all body
	for _, part := range good {
		all = all.part(part.op, part.b)
	}
	s.ask(0, wire.OpMulti, all.end())
	s.ask(0, wire.OpMulti, all.end())
	s.look(0, "/m")
	s.look(0, "/m/t")
	var reads body
	for _, path := range []string{"/m", "/none", "/m/a", "/zookeeper", "/m/c"} {
		reads = reads.part(wire.OpGetData, read(path, true)).part(wire.OpGetChildren, read(path, true))
	}
	s.ask(0, wire.OpMultiRead, reads.end())
	s.ask(0, wire.OpMultiRead, body{}.end())
	s.ask(0, wire.OpMultiRead, nil)
	for _, part := range slices.Concat(good[:1], bad) {
		if part.op != wire.OpGetData && part.op != wire.OpGetChildren {
			s.ask(0, wire.OpMultiRead, body{}.part(part.op, part.b).end())
		}
	}
	for _, err := range []int32{0, 5, -1} { // of a header that does not matter
		b := body(wire.MultiHeader{Type: wire.OpCheck, Err: wire.ErrCode(err)}.Append(nil))
		s.ask(0, wire.OpMulti, append(append(b, pathVersion("/m", -1)...), body{}.end()...))
		s.ask(0, wire.OpMulti, wire.MultiHeader{Type: wire.OpCheck, Done: true, Err: wire.ErrCode(err)}.Append(nil))
	}
}

// quota: limits, and what is counted.
func quota(s *script) {
	limits, stats := "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"
	see := func() {
		s.t.Helper()
		s.look(0, stats)
		s.look(0, limits)
	}
	s.create(0, "/q", "12345")
	s.create(0, "/q/a", "123")
	s.ask(1, wire.OpAddWatch, pathVersion("/zookeeper/quota", 1))
	s.create(0, "/zookeeper/quota/q", "")
	s.create(0, limits, "count=3,bytes=10")
	s.create(0, stats, "count=0,bytes=0")
	see()
	s.create(0, "/q/b", "1234567890")
	see()
	s.ask(0, wire.OpSetData, setData("/q/b", nil, -1))
	see()
	s.ask(0, wire.OpSetData, setData("/q", []byte("1"), -1))
	see()
	s.ask(0, wire.OpMulti, body{}.part(wire.OpCreate, create("/q/c", []byte("xyz"), open, 0)).part(wire.OpDelete, pathVersion("/q/b", -1)).end())
	see()
	s.create(0, "/qq", "no part of it")
	see()
	s.ask(2, wire.OpCreate, create("/q/e", []byte("ab"), open, 1))
	see()
	s.close(2)
	see()
	s.ask(0, wire.OpSetData, setData(limits, []byte("count=1,bytes=1=;byteHardLimit=1;countHardLimit=1"), -1))
	s.create(0, "/q/d", "beyond")
	see()
	s.ask(0, wire.OpSetData, setData(stats, []byte("count=7,bytes=7"), -1))
	s.create(0, "/q/f", "1")
	see()
	s.clean(stats, limits, "/zookeeper/quota/q", "/q/f", "/q/d", "/q/c", "/q/a", "/q", "/qq")
}

// systemNodes: those that every server has.
func systemNodes(s *script) {
	s.auth(1, "super:super")
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		for slot := range 2 {
			s.look(slot, path)
			s.ask(slot, wire.OpGetAllChildrenNumber, onlyPath(path))
			s.ask(slot, wire.OpDelete, pathVersion(path, -1))
			s.ask(slot, wire.OpMulti, body{}.part(wire.OpDelete, pathVersion(path, -1)).end())
			s.ask(slot, wire.OpSetData, setData(path, []byte("x"), -1))
			s.ask(slot, wire.OpSetACL, setACL(path, open, -1))
			s.ask(slot, wire.OpCreate2, create(path, nil, open, 0))
			s.ask(slot, wire.OpCreate2, create(path+"/n", nil, open, 1))
			s.ask(slot, wire.OpCreate2, create("/zookeeper/n", nil, open, 1))
			s.look(slot, path)
		}
	}
	for _, b := range []body{
		body{}.str(null).str(null).str(null).long(-1), body{}.str("server.4=a:1:2;3").str("1").str(null).long(0),
		body{}.str("").str("").str("").long(math.MaxInt64),
	} {
		s.ask(0, wire.OpReconfig, b)
		s.ask(1, wire.OpReconfig, b)
	}
}

// auths: every scheme, good and bad.
func auths(s *script) {
	for _, scheme := range []string{"digest", "ip", "world", "auth", "super", "x509", "sasl", "ensemble", "key", "", null, "Digest", "\x00"} {
		for _, auth := range [][]byte{nil, {}, []byte("a"), []byte("a:b"), []byte(":"), []byte("a:b:c"), []byte("é:ü"), []byte("127.0.0.1")} {
			if scheme != "ip" && scheme != "digest" && len(auth) != 1 {
				continue
			}
			s.ask(0, wire.OpAuth, authPacket(scheme, auth))
			s.ask(0, wire.OpWhoAmI, nil)
		}
	}
	for range 2 {
		for _, user := range []string{"alice:a", "bob:b", "alice:other", "super:super"} {
			s.auth(0, user)
			s.ask(0, wire.OpWhoAmI, nil)
		}
		s.open(0)
	}
	b := authPacket("digest", []byte("a:b"))
	for n := range len(b) {
		s.ask(0, wire.OpAuth, b[:n])
	}
	s.ask(0, wire.OpAuth, append(b, 1, 2, 3))
}
