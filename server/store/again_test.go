package store

import (
	"errors"
	"path"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/wire"
)

// records cuts a log into its header and its records.
func (b *site) records(name string) (header []byte, records map[wire.Zxid][]byte) {
	b.t.Helper()
	whole := b.read(name)
	r, err := txnlog.OpenReader(b.fs, path.Join("/d", name))
	b.must(err)
	defer r.Close()
	records = make(map[wire.Zxid][]byte)
	begin := int64(16) // magic, version, database id
	header = whole[:begin]
	for {
		e, err := r.Next()
		if err != nil {
			return header, records
		}
		records[e.Header.Zxid], begin = whole[begin:r.End()], r.End()
	}
}

// goesBack is a site with two logs: one up to 5, and one with the txns that are given, of 1 to 8.
func goesBack(t *testing.T, name string, zxids ...wire.Zxid) *site {
	t.Helper()
	b := newSite(t, Options{})
	b.append(8)
	header, records := b.records("log.1")
	log := func(zxids ...wire.Zxid) []byte {
		content := slices.Clone(header)
		for _, z := range zxids {
			content = append(content, records[z]...)
		}
		return content
	}
	b.write("log.1", log(1, 2, 3, 4, 5))
	b.write(name, log(zxids...))
	return b
}

// TestLogGoesBack: Apache ZooKeeper logs txns twice that it had not applied when it lost its leader.
func TestLogGoesBack(t *testing.T) {
	b := goesBack(t, "log.3", 3, 4, 5, 6, 7, 8)
	b.recovers(8)
	if recent := b.open().Recent; len(recent) != 8 {
		t.Errorf("%d recent txns", len(recent))
	}
	b.append(2)
	b.recovers(10)
	goesBack(t, "log.3", 3, 4, 3, 4, 5, 6).recovers(6)
	goesBack(t, "log.5", 5).recovers(5)
	// Behind a snapshot.
	b = goesBack(t, "log.5", 5, 6)
	b.open()
	b.must(b.s.WriteSnapshot(b.tree, b.last))
	b.recovers(6)
}

// TestLogGoesBackToAnother: what is not repeated could be of a branch that lost.
func TestLogGoesBackToAnother(t *testing.T) {
	goesBack(t, "log.3", 3, 4).refuses(ErrIncomplete, "does not come again to transaction 0x5")
	goesBack(t, "log.3", 3, 4, 6).refuses(ErrIncomplete, "before transaction 0x6")
	goesBack(t, "log.3", 3, 5, 6).refuses(ErrIncomplete, "transaction 0x5")
	b := goesBack(t, "log.3", 3, 4, 5, 6)
	other := newSite(t, Options{})
	other.rand.Uint64()
	other.append(5)
	header, records := other.records("log.1")
	b.write("log.3", slices.Concat(header, records[3], records[4], records[5]))
	b.refuses(ErrIncomplete, "transaction 0x3 is in the log once more")
}

// TestTruncateALogThatGoesBack: no log may keep what is cut off.
func TestTruncateALogThatGoesBack(t *testing.T) {
	for to := wire.Zxid(1); to <= 8; to++ {
		b := goesBack(t, "log.3", 3, 4, 5, 6, 7, 8)
		b.open()
		db, err := b.s.Truncate(to)
		if err != nil || db.LastZxid != to {
			t.Fatalf("to %v: %v", to, err)
		}
		b.recovers(to)
		b.must(errors.Join(b.s.SaveEpoch(false, 2), b.s.SaveEpoch(true, 2)))
		b.txn(0x200000001)
		b.must(b.s.Sync())
		if db := b.open(); db.LastZxid != 0x200000001 {
			t.Errorf("to %v: read back %v", to, db.LastZxid)
		}
	}
}
