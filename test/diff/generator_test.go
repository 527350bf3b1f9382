//go:build diff

package diff

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// generator makes steps from a seed and from what the earlier ones led to.
type generator struct {
	*rand.Rand
	open     [slots]bool
	session  [slots]int         // of the last connection, 0 for none
	last     int                // session opened
	left     []int              // slots whose session has gone to another one
	due      []step             // what a client does after it has come back
	watched  [slots][5][]string // paths, by slot and list of setWatches2
	numbers  []string           // sequential nodes made
	version  map[string]int32
	xid      int32
	readable bool // there are no multis that cannot be read
	alone    bool // the request being made is neither in a burst nor in a multi, so that it may fill a frame
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0)), version: make(map[string]int32)}
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// next makes a step.
func (g *generator) next() step {
	g.xid++
	if len(g.left) > 0 {
		slot := g.left[0]
		g.left = g.left[1:]
		return step{slot: slot} // as clients do
	}
	if len(g.due) > 0 {
		st := g.due[0]
		g.due = g.due[1:]
		if g.open[st.slot] {
			return st
		}
	}
	slot := g.IntN(slots)
	switch {
	case !g.open[slot]:
		return g.connect(slot)
	case g.chance(4):
		return g.burst(slot)
	case g.chance(1):
		return g.ending(slot)
	}
	g.alone = true
	op, record := g.request(slot)
	g.alone = false
	ends := op == wire.OpAuth || op == wire.OpSASL || op == opUnknown
	if g.chance(4) && !(g.readable && op == wire.OpMulti) && op != wire.OpAuth && op != wire.OpSASL && op != wire.OpReconfig {
		record = g.spoil(op, record)
	}
	return step{slot: slot, request: &wire.RequestHeader{Xid: g.xid, Type: op}, body: record, ends: ends}
}

// burst is a step of several requests that are sent without waiting. None of them meets a known difference.
func (g *generator) burst(slot int) step {
	st := step{slot: slot}
	path := func() string { return one(g, common...) }
	for range 2 + g.IntN(12) {
		op, b := wire.OpMulti, g.multi(path)
		switch p := path(); g.IntN(9) {
		case 0, 1:
			op, b = g.creation(path)
		case 2:
			op, b = wire.OpDelete, pathVersion(p, g.expected(p))
		case 3:
			op, b = wire.OpSetData, setData(p, g.data(p), g.expected(p))
		case 4, 5:
			op, b = g.watching(slot, one(g, wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2), p)
		case 6:
			op, b = one(g, wire.OpSync, wire.OpGetACL, wire.OpGetAllChildrenNumber, wire.OpGetEphemerals), onlyPath(p)
		case 7:
			op, b = wire.OpMultiRead, body{}.part(wire.OpGetData, read(p, false)).part(wire.OpGetChildren, read(path(), false)).end()
		}
		g.xid++
		st.more = append(st.more, asked{wire.RequestHeader{Xid: g.xid, Type: op}, b})
	}
	st.request, st.body, st.more = &st.more[0].RequestHeader, st.more[0].body, st.more[1:]
	return st
}

func (g *generator) connect(slot int) step {
	r := connection()
	r.HasReadOnly = g.chance(80)
	r.ReadOnly = g.chance(10)
	st := step{slot: slot, connect: r, from: -1}
	if g.session[slot] != 0 && g.chance(70) {
		st.from = slot
		st.spoil, st.ahead = g.chance(10), g.chance(5)
	}
	if g.chance(5) {
		st.tail = []byte{1, 2, 3}[:1+g.IntN(3)]
	}
	if g.chance(3) {
		st.cut = 1 + g.IntN(30)
	}
	return st
}

// ending is a way to lose a connection, or a session as well.
func (g *generator) ending(slot int) step {
	switch g.IntN(6) {
	case 0:
		return step{slot: slot} // hangs up
	case 1:
		from := g.IntN(slots)
		if from != slot && g.open[from] {
			return step{slot: slot, connect: connection(), from: from} // takes the session of another
		}
		fallthrough
	case 2:
		return g.make(slot, opUnknown, nil, true)
	case 3:
		return step{slot: slot, bytes: one(g, []byte{0xff, 0xff, 0xff, 0xff}, []byte{0, 0, 0, 3, 1, 2, 3}, []byte{0, 0x10, 0, 1}, []byte{0, 0, 0, 0})}
	}
	return g.make(slot, wire.OpCloseSession, nil, true)
}

func (g *generator) make(slot int, op wire.OpCode, record body, ends bool) step {
	return step{slot: slot, request: &wire.RequestHeader{Xid: g.xid, Type: op}, body: record, ends: ends}
}

// opUnknown is the type of no request.
const opUnknown wire.OpCode = 42

// weighted is a choice of requests.
var weighted = []struct {
	weight int
	make   func(g *generator, slot int) (wire.OpCode, body)
}{
	{14, func(g *generator, _ int) (wire.OpCode, body) { return g.creation(g.path) }},
	{9, func(g *generator, _ int) (wire.OpCode, body) {
		p := g.path()
		return wire.OpDelete, pathVersion(p, g.expected(p))
	}},
	{8, func(g *generator, _ int) (wire.OpCode, body) {
		p := g.path()
		return wire.OpSetData, setData(p, g.data(p), g.expected(p))
	}},
	{5, func(g *generator, _ int) (wire.OpCode, body) {
		p := g.path()
		return wire.OpSetACL, setACL(p, g.acl(p), int32(g.IntN(4)-2))
	}},
	{10, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpMulti, g.multi(g.path) }},
	{8, func(g *generator, slot int) (wire.OpCode, body) { return g.read(slot, wire.OpExists) }},
	{8, func(g *generator, slot int) (wire.OpCode, body) { return g.read(slot, wire.OpGetData) }},
	{5, func(g *generator, slot int) (wire.OpCode, body) { return g.read(slot, wire.OpGetChildren) }},
	{5, func(g *generator, slot int) (wire.OpCode, body) { return g.read(slot, wire.OpGetChildren2) }},
	{4, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpGetACL, onlyPath(g.path()) }},
	{2, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpSync, onlyPath(g.path()) }},
	{1, func(*generator, int) (wire.OpCode, body) { return wire.OpPing, nil }},
	{3, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpMultiRead, g.multiRead() }},
	{5, func(g *generator, slot int) (wire.OpCode, body) { return g.addWatch(slot) }},
	{3, func(g *generator, slot int) (wire.OpCode, body) { return g.setWatches(slot) }},
	{3, func(g *generator, slot int) (wire.OpCode, body) {
		path := g.path()
		if kindOfWatch(slot, path) != standard { // before 3.9 one mode is removed for another
			return wire.OpRemoveWatches, pathVersion(path, one(g, int32(3), 3, 3, 0, -1, 6))
		}
		return one(g, wire.OpRemoveWatches, wire.OpCheckWatches), pathVersion(path, one(g, int32(1), 2, 3, 3, 3, 0, -1, 6))
	}},
	{2, func(g *generator, _ int) (wire.OpCode, body) {
		return wire.OpGetEphemerals, onlyPath(one(g, "/", "", null, "/a", "/a/b", "/b", " ", "x"))
	}},
	{2, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpGetAllChildrenNumber, onlyPath(g.path()) }},
	{1, func(*generator, int) (wire.OpCode, body) { return wire.OpWhoAmI, nil }},
	{2, func(g *generator, _ int) (wire.OpCode, body) { return wire.OpAuth, g.auth() }},
	{1, func(g *generator, _ int) (wire.OpCode, body) {
		return wire.OpSASL, body{}.buf(one(g, nil, []byte{}, []byte("token")))
	}},
	{1, func(*generator, int) (wire.OpCode, body) {
		return wire.OpReconfig, body{}.str(null).str("1").str(null).long(-1)
	}},
}

func (g *generator) request(slot int) (wire.OpCode, body) {
	sum := 0
	for _, w := range weighted {
		sum += w.weight
	}
	n := g.IntN(sum)
	for _, w := range weighted {
		if n -= w.weight; n < 0 {
			return w.make(g, slot)
		}
	}
	panic("weights")
}

func (g *generator) path() string {
	switch n := g.IntN(100); {
	case n < 66:
		return one(g, common...)
	case n < 85:
		return one(g, closed...)
	case n < 89:
		return one(g, system...)
	case n < 93:
		return one(g, odd...)
	}
	if len(g.numbers) > 0 {
		return one(g, g.numbers...)
	}
	return "/a"
}

func (g *generator) expected(path string) int32 {
	if g.chance(30) {
		if v, ok := g.version[path]; ok {
			return v
		}
	}
	return one(g, int32(-1), -1, -1, 0, 1, 2, -2)
}

func (g *generator) data(path string) []byte {
	if strings.HasPrefix(path, "/zookeeper/quota") {
		return []byte(one(g, "count=3,bytes=100", "count=-1,bytes=20", "count=2,bytes=-1"))
	}
	switch g.IntN(12) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		if g.alone {
			return make([]byte, 5000)
		}
	case 3:
		if g.alone && g.chance(3) { // near the limit of a frame
			return make([]byte, 0xfffff-40-g.IntN(50))
		}
	}
	b := make([]byte, 1+g.IntN(12))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g *generator) acl(path string) aclList {
	if g.chance(8) {
		return one(g, nil, aclList{}, aclList{{31, "none", "x"}}, aclList{{31, "world", "you"}}, aclList{{31, null, "x"}},
			aclList{{31, "ip", "1.2.3"}}, aclList{{31, "digest", "nocolon"}}, aclList{{31, "world", "anyone"}, {1, "digest", ""}},
			aclList{{31, "super", ""}}, aclList{{31, "", ""}})
	}
	var list aclList
	for range g.IntN(3) {
		perms := int32(g.IntN(32))
		if g.chance(5) {
			perms = one(g, int32(-1), 32, 1<<30, -1<<31)
		}
		list = append(list, one(g,
			acl{perms, "ip", "127.0.0.1"}, acl{perms, "ip", "127.0.0.0/8"}, acl{perms, "ip", "10.0.0.0/8"},
			acl{perms, "digest", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="}, acl{perms, "digest", "bob:x"}, acl{perms, "auth", ""}))
	}
	if isHidden(path) {
		if len(list) == 0 || g.chance(40) {
			list = append(list, acl{int32(g.IntN(32)), "world", "anyone"})
		}
		return list
	}
	if g.chance(90) {
		return append(list, open...)
	}
	list = append(list, acl{int32(g.IntN(32)) | 1, "world", "anyone"})
	if g.chance(20) {
		list = append(list, list[0])
	}
	return list
}

// creation is one of the four operations that create; those with a TTL are never given a negative one that does not fit,
// which Apache ZooKeeper accepts and then cannot apply.
func (g *generator) creation(choose func() string) (wire.OpCode, body) {
	path := choose()
	flags := int32(one(g, 0, 0, 0, 1, 1, 2, 3))
	if g.chance(5) {
		flags = one(g, int32(4), 5, 6, 7, -1, 1<<30)
	}
	if flags == 2 || flags == 3 || flags == 6 {
		path = one(g, "/a/n-", "/b/n-", "/a/b/", "/r/n", "/", "/b/x/y/q")
		if len(g.numbers) > 60 {
			return wire.OpDelete, pathVersion(one(g, g.numbers...), -1)
		}
	}
	op := one(g, wire.OpCreate, wire.OpCreate, wire.OpCreate2, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL)
	if op == wire.OpCreateTTL {
		if g.chance(80) {
			return op, createTTL(path, g.data(path), g.acl(path), one(g, int32(5), 5, 6), one(g, int64(1<<40-1), 3600000, 1<<39, 0, -1, 1<<40))
		}
		return op, createTTL(path, g.data(path), g.acl(path), flags, one(g, int64(0), 1, 1000))
	}
	if op == wire.OpCreateContainer && g.chance(80) {
		flags = 4
	}
	return op, create(path, g.data(path), g.acl(path), flags)
}

func (g *generator) multi(choose func() string) body {
	var b body
	path := func() string {
		// Apache ZooKeeper forgets to take a zxid when a path in a multi is null.
		return strings.ReplaceAll(choose(), null, "")
	}
	g.alone = false
	for range g.IntN(5) {
		switch g.IntN(10) {
		case 0, 1, 2:
			if op, record := g.creation(path); op == wire.OpCreateTTL || !hasTTLFlag(record) {
				b = b.part(op, record)
			}
		case 3, 4:
			p := path()
			b = b.part(wire.OpDelete, pathVersion(p, g.expected(p)))
		case 5, 6:
			p := path()
			b = b.part(wire.OpSetData, setData(p, g.data(p), g.expected(p)))
		case 7, 8:
			p := path()
			b = b.part(wire.OpCheck, pathVersion(p, g.expected(p)))
		case 9:
			if g.chance(20) && !g.readable {
				b = b.part(one(g, wire.OpGetData, wire.OpGetChildren, wire.OpSetACL, wire.OpExists, opUnknown, 0, -1), read(path(), false))
			}
		}
	}
	return b.end()
}

// hasTTLFlag tells whether the record of a create asks for a TTL, which Apache ZooKeeper does not survive unharmed in a
// multi: the changes of the parts before it stay pending for ever.
func hasTTLFlag(record body) bool {
	flags := binary.BigEndian.Uint32(record[len(record)-4:])
	return flags == wire.FlagPersistentTTL || flags == wire.FlagPersistentSequentialTTL
}

func (g *generator) multiRead() body {
	var b body
	for range g.IntN(5) {
		b = b.part(one(g, wire.OpGetData, wire.OpGetChildren), read(cmp.Or(g.path(), "/"), g.chance(20)))
	}
	if g.chance(5) {
		b = b.part(one(g, wire.OpExists, wire.OpCreate), read(g.path(), false))
	}
	return b.end()
}

// The modes of watches of one connection on one path. Before 3.9 they get in each other's way there (ZOOKEEPER-4466), so
// that every pair of connection and path has one kind only.
const (
	standard = iota
	persistent
	recursive
)

func kindOfWatch(slot int, path string) int {
	if slot == 0 || strings.HasPrefix(path, "/r") {
		return standard
	}
	return (slot + len(path)) % 3
}

func (g *generator) read(slot int, op wire.OpCode) (wire.OpCode, body) {
	return g.watching(slot, op, g.path())
}

func (g *generator) watching(slot int, op wire.OpCode, path string) (wire.OpCode, body) {
	watch := kindOfWatch(slot, path) == standard && g.chance(50)
	if watch && path != null && path != "" {
		list := map[wire.OpCode]int{wire.OpGetData: 0, wire.OpExists: 1, wire.OpGetChildren: 2, wire.OpGetChildren2: 2}[op]
		g.note(slot, list, path)
	}
	return op, read(path, watch)
}

// note remembers a watch that a client may set again.
func (g *generator) note(slot, list int, path string) {
	if !slices.Contains(g.watched[slot][list], path) {
		g.watched[slot][list] = append(g.watched[slot][list], path)
	}
}

// again sets the watches of a slot as a client does that has come back.
func (g *generator) again(slot int) step {
	lists := g.watched[slot]
	op, n := wire.OpSetWatches, 3
	if len(lists[3])+len(lists[4]) > 0 || g.chance(20) {
		op, n = wire.OpSetWatches2, 5
	}
	b := body{}.long(0)
	for _, list := range lists[:n] {
		b = b.strs(append([]string{}, list...))
	}
	return step{slot: slot, request: &wire.RequestHeader{Xid: wire.XidSetWatches, Type: op}, body: b, since: true}
}

// addWatch never has a null path: Apache ZooKeeper could not close the connection any more.
func (g *generator) addWatch(slot int) (wire.OpCode, body) {
	for range 20 {
		path := g.path()
		if path == null {
			continue
		}
		switch kindOfWatch(slot, path) {
		case persistent:
			g.note(slot, 3, path)
			return wire.OpAddWatch, pathVersion(path, 0)
		case recursive:
			g.note(slot, 4, path)
			return wire.OpAddWatch, pathVersion(path, 1)
		}
	}
	return wire.OpAddWatch, pathVersion(g.path(), one(g, int32(-1), 2, 3))
}

func (g *generator) setWatches(slot int) (wire.OpCode, body) {
	lists := [5][]string{{}, {}, {}, {}, {}}
	for range 5 {
		switch path := g.path(); {
		case path == null || path == "":
		case kindOfWatch(slot, path) == persistent:
			lists[3] = append(lists[3], path)
		case kindOfWatch(slot, path) == recursive:
			lists[4] = append(lists[4], path)
		default:
			i := g.IntN(3)
			lists[i] = append(lists[i], path)
		}
	}
	b := body{}.long(one(g, int64(0), int64(g.xid/2), 1<<60, 1<<32))
	op, n := wire.OpSetWatches, 3
	if g.chance(60) {
		op, n = wire.OpSetWatches2, 5
	}
	for _, list := range lists[:n] {
		b = b.strs(list)
	}
	return op, b
}

func (g *generator) auth() body {
	switch g.IntN(12) {
	case 0:
		return authPacket("ip", nil)
	case 1:
		return authPacket("digest", []byte("super:super"))
	case 2:
		return authPacket(one(g, "world", "auth", "x509x", "", null), []byte("a"))
	case 3:
		return authPacket("digest", []byte(one(g, "nocolon", "", ":", "a:b:c", "a:")))
	}
	return authPacket("digest", []byte(one(g, "alice:a", "bob:b")))
}

// replaceable are the requests in which any number may become another one: what comes of it neither hides nodes outside the
// hidden part nor makes watches of two modes on one path.
var replaceable = []wire.OpCode{
	wire.OpDelete, wire.OpSetData, wire.OpGetACL, wire.OpSync, wire.OpMultiRead, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber,
}

// spoil damages a record.
func (g *generator) spoil(op wire.OpCode, b body) body {
	switch {
	case len(b) == 0 || g.chance(30):
		return append(slices.Clone(b), make([]byte, 1+g.IntN(20))...)
	case g.chance(60):
		return b[:g.IntN(len(b))]
	}
	b = slices.Clone(b)
	if len(b) >= 4 && slices.Contains(replaceable, op) {
		bad := one(g, uint32(0xffffffff), 0xfffffffe, 0, 1, 0x7fffffff, 0x80000000, 0x00100000, 0x00010000)
		binary.BigEndian.PutUint32(b[g.IntN(len(b)-3):], bad)
	}
	return b
}

// connected notes whose session a new connection has.
func (g *generator) connected(st step) {
	if st.from < 0 {
		g.last++
		g.session[st.slot], g.watched[st.slot] = g.last, [5][]string{}
		return
	}
	if st.from == st.slot && g.chance(80) {
		if g.chance(50) {
			g.due = append(g.due, g.make(st.slot, wire.OpAuth, authPacket("digest", []byte("alice:a")), true))
		}
		g.due = append(g.due, g.again(st.slot))
	}
	g.session[st.slot] = g.session[st.from]
	for slot := range slots {
		if slot != st.slot && g.open[slot] && g.session[slot] == g.session[st.slot] {
			g.left = append(g.left, slot)
		}
	}
}

// learn notes what a step led to.
func (g *generator) learn(st step, got outcome, s *side) {
	for slot := range slots {
		g.open[slot] = s.conns[slot] != nil
	}
	if st.connect != nil && g.open[st.slot] {
		g.connected(st)
	}
	if st.request == nil {
		return
	}
	for _, l := range got[st.slot] {
		if l.path != "" && !l.event && len(l.path) > 10 && strings.HasSuffix(strings.TrimRight(l.path, "0123456789"), l.path[:len(l.path)-10]) {
			g.numbers = append(g.numbers, l.path)
		}
		if i := strings.Index(l.text, " version="); i >= 0 && isRequest(st, wire.OpExists, wire.OpSetData, wire.OpGetData) {
			var v int32
			fmt.Sscanf(l.text[i:], " version=%d", &v)
			g.version[path(st)] = v
		}
	}
	if st.request.Type == wire.OpDelete {
		p := path(st)
		g.numbers = slices.DeleteFunc(g.numbers, func(n string) bool { return n == p })
	}
}
