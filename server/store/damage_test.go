package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// site is a directory with a history, in which a test breaks something.
type site struct {
	t    *testing.T
	fs   *vfs.Mem
	opts Options
	s    *Store
	tree *tree.Tree
	last wire.Zxid
	rand *rand.Rand
}

func newSite(t *testing.T, opts Options) *site {
	t.Helper()
	b := &site{t: t, fs: vfs.NewMem(), opts: opts, rand: rand.New(rand.NewPCG(7, 7))}
	b.open()
	return b
}

func (b *site) open() *node.Database {
	b.t.Helper()
	db, err := b.tryOpen()
	if err != nil {
		b.t.Fatal(err)
	}
	return db
}

func (b *site) tryOpen() (*node.Database, error) {
	s, db, err := Open(b.fs, "/d", "/d", b.opts)
	if err == nil {
		b.s, b.tree, b.last = s, db.Tree, db.LastZxid
	}
	return db, err
}

// append writes txns and syncs.
func (b *site) append(n int) {
	b.t.Helper()
	for range n {
		b.txn(b.last + 1)
	}
	b.must(b.s.Sync())
}

func (b *site) txn(zxid wire.Zxid) {
	b.t.Helper()
	data := make([]byte, 400)
	for i := range data {
		data[i] = byte(1 + b.rand.IntN(255))
	}
	h := txn.Header{Zxid: zxid, Time: 1, Type: wire.OpCreate}
	r := &txn.Create{Path: fmt.Sprintf("/n%x", int64(zxid)), Data: data, ACL: wire.OpenACL(), ParentCversion: -1}
	b.tree.Apply(h, r, nil)
	b.last = zxid
	b.must(b.s.Append(zxid, txn.New(h, r, &txn.Digest{Version: tree.DigestVersion, Tree: b.tree.Digest()}).Bytes))
}

func (b *site) snapshot() {
	b.t.Helper()
	b.must(b.s.WriteSnapshot(b.tree, b.last))
	b.must(b.s.Roll())
}

func (b *site) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *site) read(name string) []byte {
	b.t.Helper()
	f, err := b.fs.Open("/d/" + name)
	b.must(err)
	defer f.Close()
	content, err := io.ReadAll(f)
	b.must(err)
	return content
}

func (b *site) write(name string, content []byte) {
	b.t.Helper()
	f, err := b.fs.Create("/d/" + name)
	b.must(err)
	_, err = f.Write(content)
	b.must(err)
	b.must(f.Close())
}

func (b *site) remove(name string) {
	b.t.Helper()
	b.must(b.fs.Remove("/d/" + name))
}

// recovers tells that the history is read back up to a txn.
func (b *site) recovers(last wire.Zxid) {
	b.t.Helper()
	db := b.open()
	if db.LastZxid != last {
		b.t.Errorf("read back %v instead of %v", db.LastZxid, last)
	}
	for z := wire.Zxid(1); z <= last; z++ {
		if _, ok := db.Tree.Lookup(fmt.Sprintf("/n%x", int64(z))); !ok {
			b.t.Errorf("the node of %v is missing", z)
		}
	}
	checkDatabase(b.t, db)
}

// refuses tells that the start fails, and that the reason says all this.
func (b *site) refuses(why error, words ...string) {
	b.t.Helper()
	_, err := b.tryOpen()
	if !errors.Is(err, why) {
		b.t.Errorf("the error is %v", err)
		return
	}
	for _, w := range append(words, "start this one again") {
		if !strings.Contains(err.Error(), w) {
			b.t.Errorf("%q is missing in: %v", w, err)
		}
	}
}

func TestTornTailIsCutOff(t *testing.T) {
	for _, prealloc := range []int64{0, 4096} {
		b := newSite(t, Options{PreallocBytes: prealloc})
		b.append(5)
		whole := bytes.TrimRight(b.read("log.1"), "\x00")
		for _, garbage := range []string{"", "\x00\x00\x00\x00\x00", "garbage"} {
			b.write("log.1", append(whole[:len(whole)-100:len(whole)-100], garbage...))
			b.recovers(4)
			if got := b.read("log.1"); len(got) != len(whole)-100-355 && len(got) >= len(whole)-100 {
				t.Errorf("%d bytes are left of %d", len(got), len(whole))
			}
			b.append(2) // 5 and 6, in a file of their own
			b.recovers(6)
			b.remove("log.5")
			b.recovers(4)
		}
	}
}

// TestTornTailInAnOlderLog: the next log must go on where the torn one ends.
func TestTornTailInAnOlderLog(t *testing.T) {
	b := newSite(t, Options{})
	b.append(5)
	b.must(b.s.Roll())
	b.append(3) // log.6
	whole := b.read("log.1")
	b.write("log.1", append(bytes.Clone(whole), "garbage"...))
	b.recovers(8)
	b.write("log.1", whole[:len(whole)-5])
	b.refuses(ErrIncomplete, "log.6", "0x6 comes after 0x4", "log.1", "torn")
	b.write("log.1", flip(whole, len(whole)-50)) // behind it is nothing, and yet something
	b.refuses(ErrIncomplete, "log.6", "0x6 comes after 0x4", "log.1")
}

func TestCorruptLog(t *testing.T) {
	b := newSite(t, Options{PreallocBytes: 4096})
	b.append(5)
	whole := b.read("log.1")
	record := (len(bytes.TrimRight(whole, "\x00")) - 16) / 5
	b.write("log.1", flip(whole, 16+2*record+200))
	b.refuses(txnlog.ErrCorrupt, "/d/log.1", fmt.Sprintf("offset %d", 16+2*record), "behind transaction 0x2")
	if got := b.read("log.1"); len(got) != len(whole) {
		t.Error("the damaged log was changed")
	}

	// The next log repeats what is lost: then nothing is.
	b.write("log.1", whole)
	b.recovers(5)
	b.must(b.s.Roll())
	b.append(1)
	b.write("log.1", flip(whole, 16+2*record+200))
	b.refuses(txnlog.ErrCorrupt, "/d/log.1", "behind transaction 0x2")

	// What a snapshot holds may be damaged in the logs, unless the last of these logs is the one.
	b.write("log.1", whole)
	b.recovers(6)
	b.snapshot()
	b.append(3) // log.7
	b.write("log.1", flip(whole, 16+2*record+200))
	b.recovers(9)
	old := b.read("log.6")
	b.write("log.6", flip(old, 40))
	b.recovers(9)

	// Another format.
	b.write("log.7", append([]byte("ZKLX"), b.read("log.7")[4:]...))
	b.refuses(txnlog.ErrCorrupt, "/d/log.7")
}

// TestNewEpochBehindATornLog: an epoch can follow any txn. A record that has its end was whole once; otherwise only the digest
// of the first txn of the epoch shows whether the torn end of the log before it had been finished.
func TestNewEpochBehindATornLog(t *testing.T) {
	b := newSite(t, Options{})
	b.append(3)
	b.epoch(2)
	b.must(b.s.Roll())
	b.txn(0x200000001)
	b.append(2)
	whole := b.read("log.1")
	b.write("log.1", append(bytes.Clone(whole), "garbage"...))
	if db := b.open(); db.LastZxid != 0x200000003 {
		t.Errorf("read back %v", db.LastZxid)
	}
	for _, damaged := range [][]byte{whole[:len(whole)-1], whole[:len(whole)-300]} {
		b.write("log.1", damaged)
		b.refuses(ErrIncomplete, "before 0x200000001 are missing", "/d/log.1", "behind transaction 0x2")
	}
	b.write("log.1", flip(whole, len(whole)-50))
	b.refuses(txnlog.ErrCorrupt, "transaction 0x200000001 follows in another log", "/d/log.1", "behind transaction 0x2")
}

// TestEveryBitOfTheLastRecordOfAnEpoch: no digest shows the beginning of a session.
func TestEveryBitOfTheLastRecordOfAnEpoch(t *testing.T) {
	for _, prealloc := range []int64{0, 4096} {
		b := newSite(t, Options{PreallocBytes: prealloc})
		b.append(2)
		before := len(bytes.TrimRight(b.read("log.1"), "\x00"))
		h := txn.Header{Session: 0x100000abcd, Zxid: 3, Time: 1, Type: wire.OpCreateSession}
		r := &txn.CreateSession{TimeoutMillis: 4000}
		b.tree.Apply(h, r, nil)
		b.must(b.s.Append(3, txn.New(h, r, &txn.Digest{Version: tree.DigestVersion, Tree: b.tree.Digest()}).Bytes))
		b.epoch(2)
		b.must(b.s.Roll())
		b.last = 3
		b.txn(0x200000001)
		b.append(1)
		whole := b.read("log.1")
		end := len(bytes.TrimRight(whole, "\x00"))
		for at := before; at < end; at++ {
			for bit := range 8 {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << bit
				b.write("log.1", damaged)
				if _, err := b.tryOpen(); !errors.Is(err, txnlog.ErrCorrupt) {
					t.Fatalf("byte %d of %d to %d, bit %d: %v", at, before, end, bit, err)
				}
			}
		}
		b.write("log.1", whole)
		if db := b.open(); db.LastZxid != 0x200000002 {
			t.Errorf("read back %v", db.LastZxid)
		}
	}
}

// TestTornTailBeforeAnEmptyLog: Apache ZooKeeper may begin a log before the end of the last one is durable. That end is cut like
// any other, or the next log would make it look like damage.
func TestTornTailBeforeAnEmptyLog(t *testing.T) {
	for _, next := range []string{"", "ZKLG", "ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"} {
		b := newSite(t, Options{})
		b.append(3)
		whole := b.read("log.1")
		b.write("log.1", flip(whole, len(whole)-50))
		b.write("log.4", []byte(next))
		b.recovers(2)
		b.epoch(2)
		b.txn(0x200000001)
		b.must(b.s.Sync())
		if db := b.open(); db.LastZxid != 0x200000001 {
			t.Errorf("read back %v", db.LastZxid)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestDamagedSnapshot(t *testing.T) {
	for _, c := range []snap.Compression{snap.None, snap.Gzip, snap.Snappy} {
		b := newSite(t, Options{Compression: c})
		b.append(3)
		b.snapshot()
		b.append(3)
		b.snapshot()
		b.append(1)
		name := snap.FileName(6, c)
		whole := b.read(name)
		for what, content := range map[string][]byte{
			"empty": nil, "half": whole[:len(whole)/2], "one byte short": whole[:len(whole)-1],
			"no trailer": whole[:max(len(whole)-33, 0)], "a changed bit": flip(whole, len(whole)/2), "changed seal": flip(whole, len(whole)-6),
			"one byte more": append(bytes.Clone(whole), 1), "zeros": make([]byte, len(whole)),
		} {
			if c == snap.None && what == "no trailer" {
				continue // as servers before 3.6 write it
			}
			b.write(name, content)
			t.Run(fmt.Sprintf("%s %s", name, what), func(t *testing.T) {
				b.t = t
				b.recovers(7)
			})
		}
		b.t = t
		b.write(name, whole[:10])
		// Without a log in between, the older snapshot is no substitute.
		old := b.read("log.4")
		b.remove("log.4")
		b.refuses(ErrIncomplete, "0x7 comes after 0x3", "damaged are "+name)
		b.remove("log.7")
		b.refuses(ErrIncomplete, name, "0x6")
		b.write("log.200000001", nil)
		b.write("log.4", old)
		b.recovers(6)
		// No snapshot is left.
		b.write(snap.FileName(3, c), nil)
		b.write(snap.FileName(0, c), nil)
		b.refuses(ErrIncomplete, "no snapshot can be used", name)
	}
}

// TestNewEpochHidesNothing: the first transaction of an epoch can follow any other, so that only the snapshot that is
// passed over shows that something is missing.
func TestNewEpochHidesNothing(t *testing.T) {
	b := newSite(t, Options{})
	b.append(2)
	b.snapshot()
	b.append(1)
	b.snapshot()
	b.must(b.s.SaveEpoch(false, 2))
	b.must(b.s.SaveEpoch(true, 2))
	b.txn(0x200000001)
	b.must(b.s.Sync())
	b.open()
	old := b.read("snapshot.3")
	b.remove("log.3")
	b.write("snapshot.3", old[:20])
	b.refuses(ErrIncomplete, "snapshot.3", "0x3")
	b.remove("snapshot.2")
	b.remove("snapshot.3")
	b.remove("log.1")
	b.refuses(ErrIncomplete, "0x200000001 does not come after an empty state")
}

func TestHoles(t *testing.T) {
	b := newSite(t, Options{})
	b.append(2)
	b.must(b.s.Roll())
	b.append(2)
	b.must(b.s.Roll())
	b.append(2)
	b.recovers(6)
	b.remove("log.3")
	b.refuses(ErrIncomplete, "log.5", "0x5 comes after 0x2")
	b.remove("log.1")
	b.refuses(ErrIncomplete, "log.5", "0x5 comes after 0x0")
	b.remove("snapshot.0")
	b.refuses(ErrIncomplete, "no snapshot")
	b.opts.TrustEmpty = true
	b.refuses(ErrIncomplete, "0x5 comes after 0x0")
}

func TestTrustEmpty(t *testing.T) {
	b := newSite(t, Options{})
	b.append(3)
	b.remove("snapshot.0")
	b.refuses(ErrIncomplete, "no snapshot", "snapshot.trust.empty=true")
	b.opts.TrustEmpty = true
	b.recovers(3)
	b.opts.TrustEmpty = false
	b.recovers(3)
}

// TestEmptyLogs are what crashes leave behind files that were just created.
func TestEmptyLogs(t *testing.T) {
	for _, content := range []string{"", "ZKLG", "ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\x00", 5000)} {
		b := newSite(t, Options{})
		b.write("log.1", []byte(content))
		b.recovers(0)
		b.remove("snapshot.0")
		b.recovers(0)
		b.append(2)
		b.recovers(2)
		b.write("log.3", []byte(content))
		b.recovers(2)
		b.append(1)
		b.recovers(3)
		b.write("log.100000001", []byte(content))
		b.recovers(3)
		if names, err := b.fs.List("/d"); err != nil || len(content) < 16 && strings.Contains(fmt.Sprint(names), "100000001") {
			t.Errorf("an empty log is left: %v, %v", names, err)
		}
	}
}

// TestEpochs covers what can be in the epoch files.
func TestEpochs(t *testing.T) {
	for name, c := range map[string]struct {
		accepted, current string
		last              wire.Zxid // 0 or 0x200000001
		wantAccepted      wire.Epoch
		wantCurrent       wire.Epoch
		refused           string
	}{
		"none":                      {"", "", 0, 0, 0, ""},
		"none, with txns":           {"", "", 0x200000001, 2, 2, ""},
		"as usual":                  {"3", "2", 0x200000001, 3, 2, ""},
		"a line":                    {"3\n", " 2 \n", 0x200000001, 3, 2, ""},
		"current was not saved":     {"2", "1", 0x200000001, 2, 2, ""},
		"current was not saved yet": {"3", "0", 0x200000001, 3, 2, ""},
		"accepted is missing":       {"", "2", 0x200000001, 2, 2, ""},
		"current is missing":        {"2", "", 0x200000001, 2, 2, ""},
		"later than all txns":       {"7", "5", 0x200000001, 7, 5, ""},
		"not promised":              {"1", "1", 0x200000001, 0, 0, "the log is of epoch 2"},
		"accepted below current":    {"4", "5", 0x200000001, 0, 0, "acceptedEpoch 4 is below currentEpoch 5"},
		"no number":                 {"x", "5", 0x200000001, 0, 0, "is no epoch"},
		"empty":                     {"2", "\n", 0x200000001, 0, 0, "is no epoch"},
		"negative":                  {"-1", "2", 0x200000001, 0, 0, "is no epoch"},
		"too large":                 {"4294967296", "2", 0x200000001, 0, 0, "is no epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSite(t, Options{})
			if c.last > 0 {
				b.txn(c.last)
				b.must(b.s.Sync())
			}
			for file, content := range map[string]string{acceptedEpochFile: c.accepted, currentEpochFile: c.current} {
				b.remove(file)
				if content != "" {
					b.write(file, []byte(content))
				}
			}
			for range 2 {
				db, err := b.tryOpen()
				if c.refused != "" {
					if err == nil || !strings.Contains(err.Error(), c.refused) {
						t.Fatalf("%v", err)
					}
					continue
				}
				if err != nil || db.AcceptedEpoch != c.wantAccepted || db.CurrentEpoch != c.wantCurrent {
					t.Fatalf("%+v, %v", db, err)
				}
			}
		})
	}
}

// TestEpochWithoutHistory: who took logs and snapshots away and left currentEpoch must not win an election by it.
func TestEpochWithoutHistory(t *testing.T) {
	b := newSite(t, Options{})
	b.append(1)
	b.must(b.s.SaveEpoch(false, 5))
	b.must(b.s.SaveEpoch(true, 4))
	b.remove("log.1")
	b.remove("snapshot.0")
	for range 2 {
		if db := b.open(); db.LastZxid != 0 || db.AcceptedEpoch != 5 || db.CurrentEpoch != 0 {
			t.Errorf("%+v", db)
		}
	}
}

// TestMisplaced: files that would not be read are refused.
func TestMisplaced(t *testing.T) {
	for _, c := range []struct{ file, dir, other string }{{"log.5", "/snap", "/log"}, {"snapshot.5.gz", "/log", "/snap"}} {
		fs := vfs.NewMem()
		if err := errors.Join(fs.MkdirAll("/log"), fs.MkdirAll("/snap")); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Create(path.Join(c.dir, c.file)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(fs, "/log", "/snap", Options{}); err == nil || !strings.Contains(err.Error(), c.dir+" holds "+c.file) || !strings.Contains(err.Error(), c.other) {
			t.Errorf("%s: %v", c.file, err)
		}
	}
}

func TestTruncateRefuses(t *testing.T) {
	b := newSite(t, Options{})
	b.append(3)
	b.snapshot()
	b.append(3)
	b.remove("snapshot.0")
	for _, to := range []wire.Zxid{2, 1, 7, 0x100000000} {
		if _, err := b.s.Truncate(to); !errors.Is(err, ErrIncomplete) {
			t.Errorf("to %v: %v", to, err)
		}
	}
	b.append(1)
	b.recovers(7)
	db, err := b.s.Truncate(3)
	if err != nil || db.LastZxid != 3 {
		t.Fatalf("%v, %v", db, err)
	}
	if names, err := b.fs.List("/d"); err != nil || strings.Contains(fmt.Sprint(names), "log.4") {
		t.Errorf("%v, %v", names, err)
	}
}

// TestAppendRefusesHoles: a hole would be noticed only at the next start.
func TestAppendRefusesHoles(t *testing.T) {
	for _, zxid := range []wire.Zxid{2, 5, 3, 0x100000002, 0x100000000} {
		b := newSite(t, Options{})
		b.append(3)
		e := txn.New(txn.Header{Zxid: zxid, Type: wire.OpError}, &txn.Error{}, nil)
		if err := b.s.Append(zxid, e.Bytes); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%v after 0x3: %v", zxid, err)
		}
		if err := b.s.Sync(); err == nil {
			t.Error("the store can be used on")
		}
	}
}
