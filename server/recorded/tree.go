package recorded

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// node is a node as a client saw it.
type node struct {
	Data *string
	ACL  [][3]any
	Stat map[string]any
	Kind string
}

// CompareTree compares a whole tree with what a client saw of the recorded one.
func CompareTree(t testing.TB, got *tree.Tree, name string) {
	t.Helper()
	var want struct{ Nodes map[string]node }
	if err := json.Unmarshal(read(t, name), &want); err != nil {
		t.Fatal(err)
	}
	if n := got.NodeCount(); n != len(want.Nodes) {
		t.Errorf("the tree has %d nodes, not %d", n, len(want.Nodes))
	}
	for path, w := range want.Nodes {
		n, ok := got.Lookup(path)
		if !ok {
			t.Errorf("there is no node %s", path)
			continue
		}
		stat := n.Stat()
		if path == tree.ConfigPath {
			stat.Mtime = int64(w.Stat["mtime"].(float64)) // every server's own clock
		}
		if data := dataOf(t, w.Data); !reflect.DeepEqual(n.Data(), data) {
			t.Errorf("%s: data %q, want %q", path, n.Data(), data)
		}
		if want := statOf(t, w.Stat); stat != want {
			t.Errorf("%s: stat\n got  %+v\n want %+v", path, stat, want)
		}
		if acl := aclOf(w.ACL); !reflect.DeepEqual(n.ACL(), acl) {
			t.Errorf("%s: acl %v, want %v", path, n.ACL(), acl)
		}
		if kind := kindOf(n); kind != w.Kind {
			t.Errorf("%s: %s, want %s", path, kind, w.Kind)
		}
	}
}

func kindOf(n tree.Node) string {
	switch n.Kind() {
	case tree.Ephemeral:
		return "ephemeral"
	case tree.Container:
		return "container"
	case tree.TTL:
		return fmt.Sprintf("ttl:%d", n.Persisted().EphemeralOwner&tree.MaxTTL)
	}
	return "persistent"
}

func dataOf(t testing.TB, text *string) []byte {
	t.Helper()
	if text == nil {
		return nil
	}
	b, err := hex.DecodeString(*text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aclOf(list [][3]any) []wire.ACL {
	var acl []wire.ACL
	for _, a := range list {
		acl = append(acl, wire.ACL{
			Perms: wire.Perms(a[0].(float64)), ID: wire.ID{Scheme: a[1].(string), ID: a[2].(string)},
		})
	}
	return acl
}

func statOf(t testing.TB, m map[string]any) wire.Stat {
	t.Helper()
	number := func(key string) int64 {
		switch v := m[key].(type) {
		case float64:
			return int64(v)
		case string:
			n, err := strconv.ParseUint(v, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(n)
		}
		t.Fatalf("stat without %s", key)
		return 0
	}
	return wire.Stat{
		Czxid: wire.Zxid(number("czxid")), Mzxid: wire.Zxid(number("mzxid")), Pzxid: wire.Zxid(number("pzxid")),
		Ctime: number("ctime"), Mtime: number("mtime"),
		Version: int32(number("version")), Cversion: int32(number("cversion")), Aversion: int32(number("aversion")),
		EphemeralOwner: number("ephemeralOwner"),
		DataLength:     int32(number("dataLength")), NumChildren: int32(number("numChildren")),
	}
}
