package prep_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

func TestEagerly(t *testing.T) {
	policy := auth.New(auth.Options{})
	data := tree.New(tree.Options{})
	readOnly := []wire.ACL{{Perms: wire.PermRead, ID: wire.AnyoneID}}
	zxid := wire.Zxid(0)
	for path, acl := range map[string][]wire.ACL{"/open": wire.OpenACL(), "/shut": readOnly} {
		zxid++
		data.Apply(txn.Header{Zxid: zxid, Type: wire.OpCreate}, &txn.Create{Path: path, ACL: acl}, nil)
	}
	create := func(path string, acl []wire.ACL) []byte { return wire.CreateRequest{Path: path, ACL: acl}.Append(nil) }
	setACL := func(path string, acl []wire.ACL) []byte {
		return wire.AppendInt32(wire.AppendACLs(wire.AppendString(nil, path), acl), -1)
	}
	deletion := func(path string) []byte { return wire.AppendInt32(wire.AppendString(nil, path), -1) }
	setData := func(path string) []byte {
		return wire.AppendInt32(wire.AppendBuffer(wire.AppendString(nil, path), nil), -1)
	}
	bad := []wire.ACL{{Perms: 1, ID: wire.ID{Scheme: "auth"}}}
	for _, test := range []struct {
		op   wire.OpCode
		body []byte
		want wire.ErrCode
	}{
		{wire.OpCreate, create("/open/a", wire.OpenACL()), wire.ErrOK},
		{wire.OpCreate2, create("/shut/a", wire.OpenACL()), wire.ErrNoAuth},
		{wire.OpCreate, create("/a", wire.OpenACL()), wire.ErrOK},
		{wire.OpCreate, create("/none/a", wire.OpenACL()), wire.ErrOK},
		{wire.OpCreate, create("/shut/a", bad), wire.ErrInvalidACL},
		{wire.OpCreate, create("/none/a", bad), wire.ErrInvalidACL},
		{wire.OpCreate, create("nopath", bad), wire.ErrOK},
		{wire.OpCreate, create("/zookeeper", bad), wire.ErrOK},
		{wire.OpCreate, create("/shut/a", wire.OpenACL())[:5], wire.ErrOK},
		{wire.OpCreateContainer, create("/shut/a", wire.OpenACL()), wire.ErrOK},
		{wire.OpDelete, deletion("/shut/a"), wire.ErrNoAuth},
		{wire.OpDelete, deletion("/open/a"), wire.ErrOK},
		{wire.OpDelete, deletion("/zookeeper/config"), wire.ErrOK},
		{wire.OpSetData, setData("/shut"), wire.ErrNoAuth},
		{wire.OpSetData, setData("/open"), wire.ErrOK},
		{wire.OpSetData, setData("/none"), wire.ErrOK},
		{wire.OpSetACL, setACL("/shut", wire.OpenACL()), wire.ErrNoAuth},
		{wire.OpSetACL, setACL("/shut", bad), wire.ErrInvalidACL},
		{wire.OpSetACL, setACL("/open", wire.OpenACL()), wire.ErrOK},
		{wire.OpMulti, nil, wire.ErrOK},
	} {
		if got := prep.Eagerly(data, policy, test.op, test.body, nil); got != test.want {
			t.Errorf("%v %q: %d, want %d", test.op, test.body, got, test.want)
		}
	}
}
