package server

import (
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// With forceSync=no no log is synced.
func TestLazyLogs(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	syncs := 0
	fs.Fail = func(op, name string) error {
		if op == "sync" {
			syncs++
		}
		return nil
	}
	for _, c := range []struct {
		fs   vfs.FS
		want int
	}{{lazyLogs{fs}, 0}, {fs, 2}} {
		w := txnlog.NewWriter(c.fs, "/d", 0)
		for zxid := wire.Zxid(1); zxid <= 2; zxid++ {
			e := txn.New(txn.Header{Zxid: zxid, Type: wire.OpSetData}, &txn.SetData{Path: "/a"}, nil)
			if err := w.Append(zxid, e.Bytes); err != nil {
				t.Fatal(err)
			}
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if syncs != c.want {
			t.Errorf("%d syncs, want %d", syncs, c.want)
		}
	}
}
