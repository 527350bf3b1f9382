package tree_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// The digest after every 128th zxid is kept, for the last 1024 of them.
func TestDigestLog(t *testing.T) {
	tr := tree.New(tree.Options{})
	if tr.Digests() != nil {
		t.Error("a new tree has digests")
	}
	last := wire.Zxid(0x100000000 + 128*1030)
	want := make(map[wire.Zxid]uint64)
	for zxid := wire.Zxid(0x100000001); zxid <= last; zxid++ {
		tr.Apply(txn.Header{Zxid: zxid, Type: wire.OpSetData}, &txn.SetData{Path: "/", Data: []byte{byte(zxid)}, Version: int32(zxid)}, nil)
		if zxid%128 == 0 {
			want[zxid] = tr.Digest()
		}
	}
	got := tr.Digests()
	if len(got) != 1024 || got[0].Zxid != last-128*1023 || got[1023].Zxid != last {
		t.Fatalf("%d digests, from %v to %v", len(got), got[0].Zxid, got[len(got)-1].Zxid)
	}
	for _, d := range got {
		if want[d.Zxid] != d.Digest {
			t.Errorf("after %v: %x, want %x", d.Zxid, d.Digest, want[d.Zxid])
		}
	}
}

func TestNamespace(t *testing.T) {
	for path, want := range map[string]string{"/": "", "": "", "/a": "a", "/a/b": "a", "/app one/x/y": "app one"} {
		if got := tree.Namespace(path); got != want {
			t.Errorf("%q is in %q, want %q", path, got, want)
		}
	}
}
