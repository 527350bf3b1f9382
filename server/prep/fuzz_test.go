package prep_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/prep"
	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// FuzzPrepare: whatever a client sends becomes a transaction that can be read, succeeds, and leads to its digest.
func FuzzPrepare(f *testing.F) {
	for _, name := range []string{"client-session.txt", "client-errors.txt", "client-ensemble.txt"} {
		for _, m := range recorded.Conversation(f, name) {
			if !m.FromServer && len(m.Frame) >= 8 {
				f.Add(int32(m.Frame[7]), m.Frame[8:])
			}
		}
	}
	f.Add(int32(wire.OpCreate), create("/open/x", 0))
	f.Add(int32(wire.OpMulti), multi(part{wire.OpCreate, create("/x", 1)}, part{wire.OpDelete, version("/x", 0)}))
	f.Fuzz(func(t *testing.T, op int32, body []byte) {
		w := stage(t)
		e := w.prepare(prep.Request{Session: here, Owner: 1, Type: wire.OpCode(op), Body: body}, w.tree.LastZxid()+1)
		if _, err := txn.Decode(e.Bytes); err != nil {
			t.Fatal(err)
		}
		w.applyAll(t)
	})
}
