package tree

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/zkctl/zkctl/wire"
)

// aclID is the number under which snapshots and nodes refer to an access control list.
type aclID int32

// openACL is the list of the built-in nodes, which has no entry in the table: everything for everyone.
const openACL aclID = -1

// lostACL is used for a node whose list a fuzzy snapshot does not contain, because it was made while the snapshot was
// being written. Replaying the log names the list again. Until then nobody may do anything.
const lostACL aclID = 0

var (
	openList = []wire.ACL{{Perms: wire.PermAll, ID: wire.AnyoneID}}
	readList = []wire.ACL{{Perms: wire.PermRead, ID: wire.AnyoneID}}
	lostList = []wire.ACL{{Perms: 0, ID: wire.AnyoneID}}
)

// aclTable interns access control lists, as most nodes share a few of them. Numbers begin at 1 and are not used again
// (org.apache.zookeeper.server.ReferenceCountedACLCache).
type aclTable struct {
	byID  map[aclID]*aclEntry
	byKey map[string]aclID
	last  aclID
	key   []byte // scratch
}

type aclEntry struct {
	acl  []wire.ACL
	key  string
	refs int
}

func newACLTable() aclTable {
	return aclTable{byID: make(map[aclID]*aclEntry), byKey: make(map[string]aclID)}
}

func (t *aclTable) list(id aclID) []wire.ACL {
	switch id {
	case openACL:
		return openList
	case lostACL:
		return lostList
	}
	return t.byID[id].acl
}

// intern returns the number of a list and counts a use of it. A null list is open.
func (t *aclTable) intern(acl []wire.ACL) aclID {
	if acl == nil {
		return openACL
	}
	t.key = appendACLKey(t.key[:0], acl)
	id, ok := t.byKey[string(t.key)]
	if !ok {
		t.last++
		id = t.last
		t.put(id, acl)
	}
	t.byID[id].refs++
	return id
}

// release undoes one intern.
func (t *aclTable) release(id aclID) {
	e, ok := t.byID[id]
	if !ok {
		return
	}
	e.refs--
	if e.refs == 0 {
		t.drop(id, e)
	}
}

func (t *aclTable) drop(id aclID, e *aclEntry) {
	delete(t.byID, id)
	if t.byKey[e.key] == id {
		delete(t.byKey, e.key)
	}
}

func (t *aclTable) put(id aclID, acl []wire.ACL) {
	key := string(appendACLKey(nil, acl))
	t.byID[id] = &aclEntry{acl: slices.Clone(acl), key: key}
	t.byKey[key] = id
	t.last = max(t.last, id)
}

// restore puts a list of a snapshot back under its number.
func (t *aclTable) restore(id int64, acl []wire.ACL) error {
	if id < 1 || id > math.MaxInt32 {
		return fmt.Errorf("acl id %d is outside 1 to %d", id, math.MaxInt32)
	}
	if _, ok := t.byID[aclID(id)]; ok {
		return fmt.Errorf("acl id %d occurs twice", id)
	}
	t.put(aclID(id), acl)
	return nil
}

// use counts a node of a snapshot that refers to a list.
func (t *aclTable) use(id int64) aclID {
	if id == int64(openACL) {
		return openACL
	}
	if id < 1 || id > math.MaxInt32 {
		return lostACL
	}
	e, ok := t.byID[aclID(id)]
	if !ok {
		return lostACL
	}
	e.refs++
	return aclID(id)
}

// purge drops lists that no node of a restored snapshot uses.
func (t *aclTable) purge() {
	for id, e := range t.byID {
		if e.refs == 0 {
			t.drop(id, e)
		}
	}
}

// ACLEntry is one list of the table with its number in snapshots.
type ACLEntry struct {
	ID  int64
	ACL []wire.ACL
}

// entries lists the table by number.
func (t *aclTable) entries() []ACLEntry {
	all := make([]ACLEntry, 0, len(t.byID))
	for id, e := range t.byID {
		all = append(all, ACLEntry{ID: int64(id), ACL: e.acl})
	}
	slices.SortFunc(all, func(a, b ACLEntry) int { return int(a.ID - b.ID) })
	return all
}

// appendACLKey appends an unambiguous form of a list.
func appendACLKey(b []byte, acl []wire.ACL) []byte {
	for _, a := range acl {
		b = binary.BigEndian.AppendUint32(b, uint32(a.Perms))
		b = binary.AppendUvarint(b, uint64(len(a.ID.Scheme)))
		b = append(b, a.ID.Scheme...)
		b = binary.AppendUvarint(b, uint64(len(a.ID.ID)))
		b = append(b, a.ID.ID...)
	}
	return b
}
