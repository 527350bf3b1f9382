package store

import (
	"testing"

	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// missed is how many txns are read behind one, -1 if they are refused.
func (b *site) missed(after, upTo wire.Zxid, factor float64) int {
	b.t.Helper()
	txns, err := b.s.Missed(after, upTo, factor)
	if err != nil {
		return -1
	}
	for i, e := range txns {
		if e.Header.Zxid != after+1+wire.Zxid(i) && e.Header.Zxid.Counter() != 1 {
			b.t.Errorf("behind %v: %v in place %d", after, e.Header.Zxid, i)
		}
	}
	return len(txns)
}

func TestMissed(t *testing.T) {
	const epoch = wire.Zxid(1) << 32
	b := newSite(t, Options{PreallocBytes: 4096})
	b.epoch(1)
	b.txn(epoch + 1)
	b.append(9) // to 10
	b.must(b.s.Roll())
	b.append(10) // to 20
	b.snapshot()
	b.append(5) // to 25
	for _, reopened := range []bool{false, true} {
		for _, c := range []struct {
			after, upTo wire.Zxid
			factor      float64
			want        int
		}{
			{epoch + 7, epoch + 25, 100, 18},
			{epoch + 20, epoch + 25, 100, 5},
			{epoch + 10, epoch + 25, 100, 15},
			{epoch + 7, epoch + 9, 100, 2},
			{epoch + 24, epoch + 25, 100, 1},
			{epoch, epoch + 25, 100, 25},       // in sync when the epoch began
			{0, epoch + 25, 100, -1},           // nothing is known of what came before
			{epoch - 1, epoch + 25, 100, -1},   // nor of another epoch
			{epoch + 7, epoch + 25, 0.1, -1},   // too much
			{epoch + 21, epoch + 25, 0.3, 4},   // a snapshot of 20 nodes of 400 bytes, and 4 of those
			{epoch + 7, epoch + 25, -1, -1},    // never
			{epoch + 25, epoch + 25, 100, 0},   // nothing is missing
			{epoch + 30, epoch + 35, 100, 0},   // nothing is there
			{epoch + 20, 2*epoch + 25, 100, 5}, // no more than there is
		} {
			if got := b.missed(c.after, c.upTo, c.factor); got != c.want {
				t.Errorf("reopened %v: %d txns behind %v up to %v with %v, want %d", reopened, got, c.after, c.upTo, c.factor, c.want)
			}
		}
		b.open()
	}
}

func (b *site) epoch(epoch wire.Epoch) {
	b.t.Helper()
	b.must(b.s.SaveEpoch(false, epoch))
	b.must(b.s.SaveEpoch(true, epoch))
}

// Logs of epochs before that of the snapshot may be of a branch that lost: another program leaves them where they are.
func TestMissedOfAnotherBranch(t *testing.T) {
	b := newSite(t, Options{})
	b.epoch(2)
	b.txn(1<<32 + 1)
	b.append(4)
	b.must(b.s.Roll())
	// A SNAP of another server's history, the files of which Apache ZooKeeper does not remove.
	other := tree.New(tree.Options{})
	h := txn.Header{Zxid: 2<<32 + 3, Time: 1, Type: wire.OpCreate}
	other.Apply(h, &txn.Create{Path: "/other", ACL: wire.OpenACL(), ParentCversion: -1}, nil)
	b.must(b.s.WriteSnapshot(other, h.Zxid))
	b.open()
	b.append(3)
	if got := b.missed(1<<32+2, 2<<32+6, 100); got != -1 {
		t.Errorf("%d txns of another branch", got)
	}
	if got := b.missed(2<<32+3, 2<<32+6, 100); got != 3 {
		t.Errorf("%d txns behind the snapshot", got)
	}
	b.must(b.s.Supersede(b.tree, b.last))
	if got := b.missed(2<<32+3, 2<<32+6, 100); got != -1 {
		t.Errorf("%d txns from before a snapshot that took the place of everything", got)
	}
}

// What a learner is sent at once must fit into the queue of its connection, or it would never be brought in line.
func TestMissedFitsIntoTheQueue(t *testing.T) {
	b := newSite(t, Options{})
	const each = 1 << 20
	for range zab.MaxSyncBytes/each + 2 {
		b.last++
		record := &txn.SetData{Path: "/", Data: make([]byte, each-2*zab.PacketBytes)}
		b.must(b.s.Append(b.last, txn.New(txn.Header{Zxid: b.last, Type: wire.OpSetData}, record, nil).Bytes))
	}
	b.must(b.s.Sync())
	for after, want := range map[wire.Zxid]int{1: -1, 4: zab.MaxSyncBytes/each - 2} {
		if got := b.missed(after, b.last, 1e9); got != want {
			t.Errorf("%d txns behind %d, want %d", got, after, want)
		}
	}
}

// A hole in the logs is not passed over.
func TestMissedHole(t *testing.T) {
	b := newSite(t, Options{})
	for range 3 {
		b.append(5)
		b.must(b.s.Roll())
	}
	b.remove("log.6")
	for after, want := range map[wire.Zxid]int{3: -1, 5: -1, 7: -1, 10: 5, 12: 3} {
		if got := b.missed(after, 15, 1000); got != want {
			t.Errorf("%d txns behind %d, want %d", got, after, want)
		}
	}
}

// A record that rots while the server runs is not passed over either, at the end of an epoch of which nobody else knows how
// long it was.
func TestMissedRot(t *testing.T) {
	b := newSite(t, Options{})
	b.append(5)
	b.must(b.s.Roll())
	b.epoch(2)
	b.txn(0x200000001)
	b.append(2)
	// What this server went through itself: no opening lies in between.
	if got := b.missed(3, 0x200000001, 1000); got != 3 {
		t.Fatalf("%d txns of a whole log", got)
	}
	whole := b.read("log.1")
	for _, damaged := range [][]byte{flip(whole, len(whole)-50), whole[:len(whole)-1], whole[:len(whole)-300]} {
		b.write("log.1", damaged)
		if got := b.missed(3, 0x200000001, 1000); got != -1 {
			t.Errorf("%d txns, though one is gone", got)
		}
	}
}
