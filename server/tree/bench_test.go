package tree_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// BenchmarkMillionNodes reports the memory that a znode takes beyond its path and data: a million of them under a
// thousand parents.
func BenchmarkMillionNodes(b *testing.B) {
	const parents, children = 1000, 1000
	for range b.N {
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		t := tree.New(tree.Options{})
		zxid := wire.Zxid(0)
		create := func(path string, cversion int32) {
			zxid++
			r := txn.Create{Path: path, Data: []byte("sixteen bytes..."), ACL: wire.OpenACL(), ParentCversion: cversion}
			t.Apply(txn.Header{Zxid: zxid, Time: 1, Type: wire.OpCreate}, &r, nil)
		}
		for i := range parents {
			parent := fmt.Sprintf("/parent-%04d", i)
			create(parent, int32(i+1))
			for j := range children {
				create(fmt.Sprintf("%s/node-%010d", parent, j), int32(j+1))
			}
		}
		grown := float64(heap()-before) / float64(t.NodeCount())
		b.ReportMetric(grown, "B/znode")
		b.ReportMetric(grown-float64(t.DataSizeBytes())/float64(t.NodeCount()), "B/znode-overhead")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(t.NodeCount())/float64(b.N), "ns/create")
		runtime.KeepAlive(t)
	}
}

// BenchmarkApplySetData is a write to one of many nodes.
func BenchmarkApplySetData(b *testing.B) {
	t := tree.New(tree.Options{})
	r := txn.Create{Path: "/a", ACL: wire.OpenACL(), ParentCversion: 1}
	t.Apply(txn.Header{Zxid: 1, Type: wire.OpCreate}, &r, nil)
	set := txn.SetData{Path: "/a", Data: make([]byte, 100)}
	b.ReportAllocs()
	for i := range b.N {
		set.Version++
		t.Apply(txn.Header{Zxid: wire.Zxid(i + 2), Type: wire.OpSetData}, &set, nil)
	}
}
