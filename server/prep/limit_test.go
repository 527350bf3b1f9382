package prep_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// A txn that some member cannot read would end every ensemble that holds it.
func TestTxnThatIsTooLongIsRefused(t *testing.T) {
	w := stage(t)
	w.prep.MaxTxnBytes = 1000
	mine := []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}}
	body := wire.CreateRequest{Path: "/open/new", ACL: mine}.Append(nil)
	var ids []wire.ID
	for i := range 40 {
		ids = append(ids, wire.ID{Scheme: "digest", ID: fmt.Sprintf("user%02d:%s", i, strings.Repeat("x", 28))})
	}
	zxid := w.tree.LastZxid() + 1
	e := w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpCreate, Body: body, Auth: ids}, zxid)
	if failure, ok := e.Record.(*txn.Error); !ok || failure.Err != wire.ErrBadArguments {
		t.Errorf("a txn of %d bytes was made", len(e.Bytes))
	}
	w.applyAll(t)
	e = w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpCreate, Body: body, Auth: ids[:2]}, zxid+1)
	if e.Header.Type != wire.OpCreate {
		t.Errorf("with fewer ids: %+v", e.Record)
	}
	w.applyAll(t)
}

// The lists of all parts of a multi together have to fit, or gigabytes could come of a request.
func TestListsOfAMultiAreBounded(t *testing.T) {
	w := stage(t)
	w.prep.MaxTxnBytes = 2000
	mine := []wire.ACL{{Perms: wire.PermAll, ID: wire.ID{Scheme: "auth"}}}
	ids := []wire.ID{{Scheme: "digest", ID: "user:" + strings.Repeat("x", 377)}} // 400 bytes in a list
	var parts []part
	for i := range 6 {
		parts = append(parts, part{wire.OpCreate, wire.CreateRequest{Path: fmt.Sprintf("/open/%d", i), ACL: mine}.Append(nil)})
	}
	ask := func(body []byte) txn.Entry {
		return w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpMulti, Body: body, Auth: ids}, w.tree.LastZxid()+1)
	}
	e := ask(multi(parts...))
	if failure, ok := e.Record.(*txn.Error); !ok || failure.Err != wire.ErrBadArguments {
		t.Errorf("a txn of %d bytes was made: %+v", len(e.Bytes), e.Record)
	}
	w.applyAll(t)
	if got, want := outline(t, ask(multi(parts[:4]...))), " create create create create"; got != want {
		t.Errorf("parts are%s, want%s", got, want)
	}
	w.applyAll(t)
}

// A closeSession names no more nodes than fit, but one of each parent, and all of them end.
func TestCloseSessionOfManyNodes(t *testing.T) {
	w := stage(t)
	w.prep.MaxTxnBytes = 1000
	name := func(i int) string {
		parent := "/open"
		if i%10 == 9 {
			parent = "/full"
		}
		return fmt.Sprintf("%s/%s%02d", parent, strings.Repeat("x", 50), i)
	}
	for i := range 60 {
		w.asks(wire.OpCreate, wire.CreateRequest{Path: name(i), ACL: wire.OpenACL(), Flags: wire.FlagEphemeral}.Append(nil))
		if i == 30 {
			w.applyAll(t) // the others are on their way
		}
	}
	e := w.asks(wire.OpCloseSession, nil)
	if len(e.Bytes) > 1000 {
		t.Errorf("a closeSession of %d bytes", len(e.Bytes))
	}
	parents := map[string]bool{}
	for _, path := range e.Record.(*txn.CloseSession).Paths {
		parents[tree.Parent(path)] = true
	}
	if !parents["/open"] || !parents["/full"] {
		t.Errorf("paths of %v only", parents)
	}
	w.applyAll(t)
	if left := w.tree.Ephemerals(here); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
