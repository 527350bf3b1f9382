package zab

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// HistoryLimit is how many committed txns a server usually keeps in memory for learners that missed a few
// (zookeeper.commitLogCount).
const HistoryLimit = 500

// historyBytes bounds what the kept txns may take in memory. A learner that missed more gets it from the log on disk, or a
// snapshot. Apache ZooKeeper has no such bound: 500 writes of 1 MB are 500 MB there.
const historyBytes = 64 << 20

// History is the end of a server's sequence of committed txns. It guarantees:
//
//  1. Entries are contiguous: each zxid is Follows of the one before.
//  2. The entry before the first one, if any, has zxid base (0: unknown).
//  3. Last is the zxid of the last entry, or of the state that the history continues.
type History struct {
	entries []txn.Entry
	base    wire.Zxid
	last    wire.Zxid
	limit   int
	bytes   int // of the entries
}

// NewHistory returns the history of a state at zxid last. Of recent, the txns of its log in order, the longest
// contiguous end is kept, and nothing unless that ends at last. Between limit and twice as many txns are kept.
func NewHistory(limit int, last wire.Zxid, recent []txn.Entry) *History {
	h := &History{last: last, base: last, limit: max(limit, 1)}
	n := len(recent)
	if n == 0 || recent[n-1].Header.Zxid != last {
		return h
	}
	first := n - 1
	for first > 0 && n-first < h.limit && Follows(recent[first-1].Header.Zxid, recent[first].Header.Zxid) {
		first--
	}
	h.base = 0
	if first > 0 {
		h.base = recent[first-1].Header.Zxid
		if !Follows(h.base, recent[first].Header.Zxid) {
			h.base = 0
		}
	}
	h.entries = append(h.entries, recent[first:]...)
	for _, e := range h.entries {
		h.bytes += len(e.Bytes)
	}
	return h
}

// Last is the zxid of the newest txn, or of the state without any.
func (h *History) Last() wire.Zxid { return h.last }

// Len is the number of txns kept.
func (h *History) Len() int { return len(h.entries) }

// Add appends the next txn. A hole panics: it must have been noticed before.
func (h *History) Add(e txn.Entry) {
	if !Follows(h.last, e.Header.Zxid) {
		panic(fmt.Sprintf("zab: txn %v does not follow %v", e.Header.Zxid, h.last))
	}
	if len(h.entries) >= 2*h.limit {
		h.drop(len(h.entries) - h.limit)
	}
	if h.bytes > historyBytes {
		n, left := 0, h.bytes
		for left > historyBytes/2 {
			left -= len(h.entries[n].Bytes)
			n++
		}
		h.drop(n)
	}
	h.entries = append(h.entries, e)
	h.bytes += len(e.Bytes)
	h.last = e.Header.Zxid
}

// drop forgets the n oldest txns.
func (h *History) drop(n int) {
	h.base = h.entries[n-1].Header.Zxid
	for _, e := range h.entries[:n] {
		h.bytes -= len(e.Bytes)
	}
	left := copy(h.entries, h.entries[n:])
	clear(h.entries[left:])
	h.entries = h.entries[:left]
}

// Reset forgets everything: the state is another one, at zxid last.
func (h *History) Reset(last wire.Zxid) { *h = History{base: last, last: last, limit: h.limit} }

// After returns the txns behind zxid and true, if they are known to continue a history that ends with zxid. The slice
// is shared.
func (h *History) After(zxid wire.Zxid) ([]txn.Entry, bool) {
	if zxid == h.last {
		return nil, true
	}
	i := 0
	for i < len(h.entries) && h.entries[i].Header.Zxid <= zxid {
		i++
	}
	switch {
	case i == len(h.entries):
		return nil, false
	case i > 0 && h.entries[i-1].Header.Zxid == zxid, i == 0 && h.base != 0 && h.base == zxid:
		return h.entries[i:], true
	case zxid.Epoch() == h.entries[i].Header.Zxid.Epoch() && zxid+1 == h.entries[i].Header.Zxid && zxid != 0:
		// Epoch-start zxids too: who was in sync when an epoch began has the history its first txn continues.
		// That is not so for the first txn of a later epoch, which may have begun from another history.
		return h.entries[i:], true
	}
	return nil, false
}

// Has tells whether a txn is known to be part of the history.
func (h *History) Has(zxid wire.Zxid) bool {
	if zxid.Counter() == 0 {
		return false // the start of an epoch
	}
	_, found := slices.BinarySearchFunc(h.entries, zxid, func(e txn.Entry, zxid wire.Zxid) int {
		return cmp.Compare(e.Header.Zxid, zxid)
	})
	return found || zxid == h.base || zxid == h.last
}

// Follows tells whether next can come directly after last: the next counter of the same epoch, or the first of a later
// one.
func Follows(last, next wire.Zxid) bool {
	if last.Epoch() == next.Epoch() {
		return next == last+1
	}
	return next.Epoch() > last.Epoch() && next.Counter() == 1
}
