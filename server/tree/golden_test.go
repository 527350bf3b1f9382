package tree_test

import (
	"testing"

	"github.com/zkctl/zkctl/server/recorded"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// TestTreesAsRecorded applies what Apache ZooKeeper 3.8.0 servers logged, compares the digest after each transaction with
// the one that was logged, and the tree in the end with what a client saw.
func TestTreesAsRecorded(t *testing.T) {
	for _, test := range []struct {
		name     string
		sessions int
	}{{"standalone", 6}, {"ensemble", 3}} {
		t.Run(test.name, func(t *testing.T) {
			got := tree.New(tree.Options{ExtendedTypes: true})
			digests := 0
			for _, e := range recorded.Log(t, test.name+".log") {
				result := got.Apply(e.Header, e.Record, nil)
				if _, refused := e.Record.(*txn.Error); result.Err != wire.ErrOK && !refused {
					t.Errorf("%v: %v", e.Header, result.Err)
				}
				if e.Digest == nil {
					continue
				}
				digests++
				if e.Digest.Tree != got.Digest() {
					t.Fatalf("after %+v the digest is %#x, not %#x", e.Header, got.Digest(), e.Digest.Tree)
				}
			}
			if err := got.Valid(); err != nil {
				t.Error(err)
			}
			if got.SessionCount() != test.sessions || digests < 40 {
				t.Errorf("%d sessions, %d digests", got.SessionCount(), digests)
			}
			recorded.CompareTree(t, got, test.name+"-tree.json")
		})
	}
}
