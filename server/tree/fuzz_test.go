package tree_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
)

// FuzzApply: any txns that can be decoded, from a damaged log or a hostile leader, can be applied one after the other, and
// twice over as after a fuzzy snapshot, and what a tree holds is in order afterwards.
func FuzzApply(f *testing.F) {
	frame := func(b, e []byte) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	for seed := range uint64(8) {
		m := newMaker(rand.New(rand.NewPCG(seed, 0)))
		m.old = seed%2 == 1
		var b []byte
		for range 12 {
			e, _ := m.next()
			b = frame(b, e.Bytes)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, extended := range []bool{false, true} {
			tr := tree.New(tree.Options{ExtendedTypes: extended})
			var entries []txn.Entry
			for rest := b; len(rest) >= 2; {
				n := int(binary.BigEndian.Uint16(rest))
				rest = rest[2:]
				n = min(n, len(rest))
				if e, err := txn.Decode(rest[:n]); err == nil {
					entries = append(entries, e)
				}
				rest = rest[n:]
			}
			for range 2 {
				for _, e := range entries {
					tr.Apply(e.Header, e.Record, func(tree.Event) {})
				}
				if err := tr.Valid(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
