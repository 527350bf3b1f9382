package audit

import (
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

func TestLine(t *testing.T) {
	for _, test := range []struct {
		e    Event
		want string
	}{
		{Event{"0x1", "bob,10.0.0.1", "10.0.0.1", Create, "/a", "persistent", "", Success},
			"session=0x1\tuser=bob,10.0.0.1\tip=10.0.0.1\toperation=create\tznode=/a\tznode_type=persistent\tresult=success"},
		{Event{Operation: ServerStop, User: "zookeeper", Result: Invoked}, "user=zookeeper\toperation=serverStop\tresult=invoked"},
		{Event{Operation: Multi, Result: Failure}, "operation=multiOperation\tresult=failure"},
		{Event{Operation: Create, Znode: "/a\nuser=root\tresult=x\u2028é€\xff", Result: Failure},
			`operation=create` + "\t" + `znode=/a\nuser=root\tresult=x\u2028é€\ufffd` + "\t" + `result=failure`},
	} {
		if got := test.e.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func create(path string, flags int32) []byte {
	return wire.CreateRequest{Path: path, ACL: wire.OpenACL(), Flags: flags}.Append(nil)
}

func versioned(path string) []byte { return wire.VersionRequest{Path: path}.Append(nil) }

func part(op wire.OpCode, body []byte) []byte {
	return append(wire.MultiHeader{Type: op}.Append(nil), body...)
}

// test/diff compares with Apache ZooKeeper what this table shows.
func TestWrite(t *testing.T) {
	list := []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "digest", ID: "bob:hash"}}, {Perms: wire.PermWrite, ID: wire.AnyoneID}}
	setACL := wire.SetACLRequest{Path: "/a", ACL: list}.Append(nil)
	ttl := wire.CreateTTLRequest{CreateRequest: wire.CreateRequest{Path: "/t", ACL: wire.OpenACL(), Flags: wire.FlagPersistentTTL}, TTL: 5}.Append(nil)
	multi := wire.MultiEnd.Append(append(append(part(wire.OpCreate, create("/m", 1)), part(wire.OpCreate, create("/m/s", 2))...), part(wire.OpDelete, versioned("/d"))...))
	multiResult := tree.Result{Type: wire.OpMulti, Multi: []tree.Result{
		{Type: wire.OpCreate, Path: "/m"}, {Type: wire.OpCreate, Path: "/m/s0000000000"}, {Type: wire.OpCheck, Path: "/c"}, {Type: wire.OpDelete, Path: "/d"},
	}}
	for _, test := range []struct {
		op     wire.OpCode
		body   []byte
		failed bool
		result tree.Result
		want   string
	}{
		{wire.OpCreate, create("/a-", 2), false, tree.Result{Path: "/a-0000000007"}, "operation=create znode=/a-0000000007 znode_type=persistent_sequential result=success"},
		{wire.OpCreate2, create("/a-", 3), true, tree.Result{}, "operation=create znode=/a- znode_type=ephemeral_sequential result=failure"},
		{wire.OpCreateContainer, create("/a", 4), false, tree.Result{Path: "/a"}, "operation=create znode=/a znode_type=container result=success"},
		{wire.OpCreateTTL, ttl, false, tree.Result{Path: "/t"}, "operation=create znode=/t znode_type=persistent_with_ttl result=success"},
		{wire.OpCreate, create("/a", 9), true, tree.Result{}, ""},
		{wire.OpCreate, create("/a", 0)[:5], true, tree.Result{}, ""},
		{wire.OpDelete, versioned("/a"), false, tree.Result{Path: "/a"}, "operation=delete znode=/a result=success"},
		{wire.OpDelete, versioned("/a"), true, tree.Result{}, "operation=delete znode=/a result=failure"},
		{wire.OpSetData, wire.SetDataRequest{Path: "/a"}.Append(nil), true, tree.Result{}, "operation=setData znode=/a result=failure"},
		{wire.OpSetACL, setACL, false, tree.Result{Path: "/a"}, "operation=setAcl znode=/a acl=digest:bob:x:cdrwaworld:anyone:w result=success"},
		{wire.OpReconfig, nil, true, tree.Result{}, "operation=reconfig result=failure"},
		{wire.OpReconfig, nil, false, tree.Result{Path: "/zookeeper/config"}, "operation=reconfig znode=/zookeeper/config result=success"},
		{wire.OpMulti, multi, false, multiResult, "operation=create znode=/m znode_type=ephemeral result=success; " +
			"operation=create znode=/m/s0000000000 result=success; operation=delete znode=/d result=success"},
		{wire.OpMulti, multi, false, tree.Result{Multi: []tree.Result{{Type: wire.OpError}, {Type: wire.OpError}}}, "operation=multiOperation result=failure"},
		{wire.OpMulti, nil, true, tree.Result{}, "operation=multiOperation result=failure"},
		{wire.OpMulti, nil, false, tree.Result{}, ""},
		{wire.OpCloseSession, nil, false, tree.Result{}, ""},
		{wire.OpGetData, nil, false, tree.Result{}, ""},
	} {
		h := txn.Header{Type: test.op}
		if test.failed {
			h.Type = wire.OpError
		}
		var lines []string
		for _, e := range Write(test.op, test.body, h, test.result) {
			lines = append(lines, strings.ReplaceAll(e.String(), "\t", " "))
		}
		if got := strings.Join(lines, "; "); got != test.want {
			t.Errorf("%v: got %q, want %q", test.op, got, test.want)
		}
	}
}

// FuzzWrite describes requests that clients may send: no line has another one, or a field, inside a value.
func FuzzWrite(f *testing.F) {
	f.Add(int32(wire.OpCreate), create("/a", 0), true)
	f.Add(int32(wire.OpSetACL), wire.SetACLRequest{Path: "/a", ACL: wire.OpenACL()}.Append(nil), false)
	f.Add(int32(wire.OpMulti), wire.MultiEnd.Append(part(wire.OpCreate, create("/m", 1))), false)
	f.Fuzz(func(t *testing.T, op int32, body []byte, failed bool) {
		h := txn.Header{Type: wire.OpCode(op)}
		if failed {
			h.Type = wire.OpError
		}
		for _, e := range Write(wire.OpCode(op), body, h, tree.Result{Path: string(body), Multi: []tree.Result{{Type: wire.OpDelete, Path: string(body)}}}) {
			line := e.String()
			if strings.ContainsAny(line, "\n\r\x00") || strings.Count(line, "\t") > 7 || e.Operation == "" {
				t.Fatalf("%v %q: %q", wire.OpCode(op), body, line)
			}
		}
	})
}
