package zab

import (
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/wire"
)

// z is a zxid from its halves.
func z(epoch wire.Epoch, counter uint32) wire.Zxid { return wire.MakeZxid(epoch, counter) }

// txns are error txns with these zxids.
func txns(zxids ...wire.Zxid) []txn.Entry {
	var list []txn.Entry
	for _, zxid := range zxids {
		list = append(list, entry(zxid))
	}
	return list
}

func entry(zxid wire.Zxid) txn.Entry {
	h := txn.Header{Session: 1, Cxid: 7, Zxid: zxid, Time: 1000, Type: wire.OpError}
	return txn.New(h, &txn.Error{Err: wire.ErrNoNode}, nil)
}

func TestFollows(t *testing.T) {
	for _, c := range []struct {
		last, next wire.Zxid
		want       bool
	}{
		{0, z(1, 1), true},
		{z(1, 0), z(1, 1), true},
		{z(1, 5), z(1, 6), true},
		{z(1, 5), z(1, 5), false},
		{z(1, 5), z(1, 7), false},
		{z(1, 5), z(2, 1), true},
		{z(1, 5), z(3, 1), true},
		{z(1, 5), z(2, 2), false},
		{z(1, 5), z(2, 0), false},
		{z(2, 1), z(1, 2), false},
	} {
		if got := Follows(c.last, c.next); got != c.want {
			t.Errorf("Follows(%v, %v) = %v", c.last, c.next, got)
		}
	}
}

// The log of a server can hold a hole behind a snapshot; what is before it must never reach a learner.
func TestHistoryKeepsOnlyWhatIsContiguous(t *testing.T) {
	h := NewHistory(HistoryLimit, z(2, 2), txns(z(1, 1), z(1, 2), z(1, 5), z(1, 6), z(2, 1), z(2, 2)))
	if h.Len() != 4 || h.Last() != z(2, 2) {
		t.Fatalf("%d txns up to %v", h.Len(), h.Last())
	}
	if _, ok := h.After(z(1, 2)); ok {
		t.Error("a learner at 1/2 would not get 1/3")
	}
	if got, ok := h.After(z(1, 4)); !ok || len(got) != 4 {
		t.Error("a learner at 1/4 lacks four txns")
	}
	if h := NewHistory(HistoryLimit, z(2, 9), txns(z(2, 1))); h.Len() != 0 {
		t.Error("txns that do not end at the last zxid are of another history")
	}
}

func TestHistoryForgetsTheOldest(t *testing.T) {
	h := NewHistory(HistoryLimit, z(1, 0), nil)
	for i := uint32(1); i <= 5*HistoryLimit; i++ {
		h.Add(entry(z(1, i)))
	}
	if h.Len() < HistoryLimit || h.Len() > 2*HistoryLimit {
		t.Errorf("%d txns are kept", h.Len())
	}
	oldest := h.entries[0].Header.Zxid
	if got, ok := h.After(oldest - 1); !ok || len(got) != h.Len() {
		t.Error("a learner just before the oldest can be served")
	}
	if _, ok := h.After(oldest - 2); ok {
		t.Error("a learner that lacks a forgotten one cannot")
	}
}

func TestHistoryRefusesHoles(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("1/3 after 1/1 was accepted")
		}
	}()
	h := NewHistory(HistoryLimit, z(1, 1), nil)
	h.Add(entry(z(1, 3)))
}

func TestHistoryHas(t *testing.T) {
	h := NewHistory(HistoryLimit, z(2, 2), txns(z(1, 3), z(2, 1), z(2, 2)))
	for zxid, want := range map[wire.Zxid]bool{
		z(1, 2): false, // maybe, but that is not known
		z(1, 3): true, z(2, 0): false, z(2, 1): true, z(2, 2): true, z(2, 3): false,
	} {
		if h.Has(zxid) != want {
			t.Errorf("%v: %t", zxid, !want)
		}
	}
	h.Reset(z(3, 4))
	if !h.Has(z(3, 4)) || h.Has(z(2, 2)) {
		t.Error("after a snapshot")
	}
}
