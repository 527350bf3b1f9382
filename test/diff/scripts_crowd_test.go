//go:build diff

package diff

import (
	"fmt"
	"math"
	"strings"

	"github.com/zkctl/zkctl/wire"
)

// longNames: long ones, deep ones, and as many as fit into a frame.
func longNames(s *script) {
	s.ask(1, wire.OpAddWatch, pathVersion("/", 1))
	deep := ""
	for n := range 120 {
		deep += fmt.Sprintf("/%d", n)
		s.ask(0, wire.OpCreate2, create(deep, nil, open, 0))
	}
	s.look(0, deep)
	s.ask(0, wire.OpGetAllChildrenNumber, onlyPath("/0"))
	s.ask(0, wire.OpGetAllChildrenNumber, onlyPath("/"))
	s.ask(0, wire.OpDelete, pathVersion("/0/1", -1))
	for ; deep != ""; deep = deep[:strings.LastIndexByte(deep, '/')] {
		s.ask(0, wire.OpDelete, pathVersion(deep, -1))
	}
	for _, length := range []int{255, 256, 65535, 65536, 300000, 1000000, 0xfffff - 70} {
		path := "/" + strings.Repeat("n", length)
		s.ask(0, wire.OpCreate2, create(path, nil, open, 0))
		s.ask(0, wire.OpCreate, create(path+"/x", nil, open, 3))
		s.ask(0, wire.OpGetChildren, read(path, false))
		s.ask(0, wire.OpGetEphemerals, onlyPath(path))
		s.ask(0, wire.OpDelete, pathVersion(path+"/x0000000000", -1))
		s.ask(0, wire.OpDelete, pathVersion(path, -1))
		if s.ours.conns[0] == nil {
			s.open(0)
		}
	}
	list := make(aclList, 20000)
	for i := range list {
		list[i] = acl{int32(i), "world", "anyone"}
	}
	s.ask(0, wire.OpCreate2, create("/acl", nil, list, 0))
	s.ask(0, wire.OpGetACL, onlyPath("/acl"))
	s.ask(0, wire.OpSetACL, setACL("/acl", append(list, list...), -1))
	s.ask(0, wire.OpGetACL, onlyPath("/acl"))
	s.clean("/acl")
}

// crowd: many children, many watches of one session, many parts of a multi, many ephemerals of a session that ends.
func crowd(s *script) {
	const many = 3000
	s.create(0, "/c", "")
	s.ask(1, wire.OpGetChildren, read("/c", true))
	name := func(n int) string { return fmt.Sprintf("/c/a child with a name of some length %05d", n) }
	var creates, sets, deletes body
	for n := range many {
		creates = creates.part(wire.OpCreate2, create(name(n), []byte("some data"), open, int32(n%2)))
		sets = sets.part(wire.OpSetData, setData(name(n), nil, 0))
		deletes = deletes.part(wire.OpDelete, pathVersion(name(n), 1))
		s.ask(1, wire.OpExists, read(name(n), true))
	}
	s.ask(0, wire.OpMulti, creates.end())
	s.ask(0, wire.OpGetChildren2, read("/c", false))
	s.ask(0, wire.OpGetEphemerals, onlyPath("/c"))
	s.ask(0, wire.OpGetAllChildrenNumber, onlyPath("/c"))
	var paths []string
	var reads body
	for n := range many {
		paths = append(paths, name(n))
		reads = reads.part(wire.OpGetData, read(name(n), false))
	}
	s.ask(0, wire.OpMultiRead, reads.end())
	s.ask(1, wire.OpSetWatches2, body{}.long(math.MaxInt64).strs(paths).strs([]string{"/none"}).strs([]string{"/c"}).strs([]string{}).strs([]string{}))
	s.ask(2, wire.OpSetWatches, body{}.long(0).strs(paths).strs(paths).strs([]string{"/c"}))
	s.ask(0, wire.OpMulti, sets.part(wire.OpCheck, pathVersion("/c", 1)).end())
	s.ask(0, wire.OpMulti, sets.end())
	s.close(0) // with half of them
	s.open(0)
	s.ask(0, wire.OpGetChildren2, read("/c", false))
	s.ask(0, wire.OpMulti, deletes.end())
	var rest body
	for n := 0; n < many; n += 2 {
		rest = rest.part(wire.OpDelete, pathVersion(name(n), 1))
	}
	s.ask(0, wire.OpMulti, rest.end())
	s.clean("/c")
}
