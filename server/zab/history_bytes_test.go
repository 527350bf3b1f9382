package zab

import (
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// TestHistoryOfBigTxns: some hundred of them must not take all the memory there is.
func TestHistoryOfBigTxns(t *testing.T) {
	h := NewHistory(HistoryLimit, 0, nil)
	var last wire.Zxid
	for range 400 {
		last++
		h.Add(txn.Entry{Header: txn.Header{Zxid: last}, Bytes: make([]byte, 1<<20)})
		kept := 0
		for _, e := range h.entries {
			kept += len(e.Bytes)
		}
		if kept != h.bytes || kept > historyBytes+1<<20 {
			t.Fatalf("%d bytes are kept, %d are counted", kept, h.bytes)
		}
	}
	if n := h.Len(); n < 32 {
		t.Errorf("%d txns are kept", n)
	}
	missed, ok := h.After(h.base)
	if !ok || len(missed) != h.Len() || !h.Has(h.base) || h.Has(h.base-1) || h.Last() != last {
		t.Errorf("behind %v: %d txns, %v", h.base, len(missed), ok)
	}
}
