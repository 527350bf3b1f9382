package txnlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// entry is a txn with some bytes of data that are not zero.
func entry(r *rand.Rand, zxid wire.Zxid, dataBytes int) txn.Entry {
	data := make([]byte, dataBytes)
	for i := range data {
		data[i] = byte(1 + r.IntN(255))
	}
	return txn.New(txn.Header{Session: 7, Cxid: 1, Zxid: zxid, Time: 1, Type: wire.OpSetData}, &txn.SetData{Path: "/a", Data: data}, nil)
}

// file returns a log with txns 1, 2, ... of these lengths of data, and the offsets at which records begin and the last
// one ends.
func file(t *testing.T, prealloc int64, dataBytes ...int) (b []byte, offsets []int) {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	w := NewWriter(fs, "/d", prealloc)
	offsets = []int{headerBytes}
	for i, n := range dataBytes {
		e := entry(r, wire.Zxid(i+1), n)
		if err := w.Append(e.Header.Zxid, e.Bytes); err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, offsets[i]+frameBytes+len(e.Bytes))
	}
	if err := w.Roll(); err != nil {
		t.Fatal(err)
	}
	return content(t, fs, "/d/log.1"), offsets
}

// read reads a log to its end: how many txns, and why no more.
func read(t testing.TB, b []byte) (txns int, end int64, err error) {
	t.Helper()
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll("/d")); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("/d/log.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	return readFile(t, fs, "/d/log.1")
}

func readFile(t testing.TB, fs vfs.FS, name string) (txns int, end int64, err error) {
	t.Helper()
	r, err := OpenReader(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err != nil {
			if _, again := r.Next(); again != err {
				t.Errorf("after %v comes %v", err, again)
			}
			return txns, r.End(), err
		}
		txns++
		if e.Header.Zxid != wire.Zxid(txns) {
			t.Errorf("transaction %v after %d others", e.Header.Zxid, txns-1)
		}
	}
}

// TestTornTail cuts the file at every byte of its header and last record, with nothing, zeros or garbage behind.
func TestTornTail(t *testing.T) {
	whole, offsets := file(t, 4096, 3, 600, 40, 1200)
	last, end := offsets[len(offsets)-2], offsets[len(offsets)-1]
	padded := len(whole)
	r := rand.New(rand.NewPCG(2, 2))
	garbage := make([]byte, 700)
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	for cut := 0; cut <= end; cut++ {
		if cut == headerBytes {
			cut = last
		}
		for name, b := range map[string][]byte{
			"nothing": whole[:cut:cut],
			"zeros":   append(whole[:cut:cut], make([]byte, padded-cut)...),
			"garbage": append(whole[:cut:cut], garbage...),
		} {
			txns, at, err := read(t, b)
			switch {
			case cut < headerBytes && name == "garbage":
				if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrCorrupt) {
					t.Errorf("%d bytes and garbage: %d, %d, %v", cut, txns, at, err)
				}
			case cut < headerBytes && cut >= 4 && name == "zeros":
				// Nobody looks at the version: a log without records.
				if txns != 0 || at != headerBytes || err != io.EOF {
					t.Errorf("%d bytes and %s: %d, %d, %v", cut, name, txns, at, err)
				}
			case cut < headerBytes:
				if txns != 0 || at != 0 || !errors.Is(err, ErrTorn) && !errors.Is(err, ErrCorrupt) {
					t.Errorf("%d bytes and %s: %d, %d, %v", cut, name, txns, at, err)
				}
			case cut == end && name != "garbage":
				if txns != 4 || at != int64(end) || err != io.EOF {
					t.Errorf("whole with %s: %d, %d, %v", name, txns, at, err)
				}
			case cut == end:
				if txns != 4 || at != int64(end) || !errors.Is(err, ErrTorn) {
					t.Errorf("whole with %s: %d, %d, %v", name, txns, at, err)
				}
			default:
				// The first bytes of a record are zeros: a clean end then, unless something follows.
				clean := err == io.EOF && cut <= last+4 && name != "garbage"
				if txns != 3 || at != int64(last) || !errors.Is(err, ErrTorn) && !clean {
					t.Errorf("%d of %d bytes and %s: %d, %d, %v", cut, end, name, txns, at, err)
				}
			}
		}
	}
	if txns, at, err := read(t, nil); txns != 0 || at != 0 || !errors.Is(err, ErrTorn) {
		t.Errorf("empty file: %d, %d, %v", txns, at, err)
	}
	if txns, at, err := read(t, make([]byte, 5000)); txns != 0 || at != 0 || !errors.Is(err, ErrTorn) {
		t.Errorf("zeros: %d, %d, %v", txns, at, err)
	}
}

// TestFlippedBit changes each byte of the file: within the last record that is a torn tail, before it is corruption,
// told with its place.
func TestFlippedBit(t *testing.T) {
	for _, prealloc := range []int64{0, 4096} {
		whole, offsets := file(t, prealloc, 3, 600, 40, 1200)
		for at := range offsets[4] {
			if at >= 4 && at < headerBytes {
				continue // nobody looks at the version
			}
			for _, bit := range []byte{1, 128} {
				b := bytes.Clone(whole)
				b[at] ^= bit
				n := 0
				for n < 4 && offsets[n+1] <= at {
					n++
				}
				want := ErrCorrupt
				if n == 3 {
					want = ErrTorn
				}
				txns, end, err := read(t, b)
				if at < headerBytes {
					n, offsets[0] = 0, 0
				}
				if txns != n || end != int64(offsets[n]) || !errors.Is(err, want) {
					t.Errorf("byte %d changed: %d, %d, %v", at, txns, end, err)
				}
				offsets[0] = headerBytes
				if want == ErrCorrupt && n > 0 && !bytes.Contains([]byte(err.Error()), fmt.Appendf(nil, "offset %d, behind transaction %v", offsets[n], wire.Zxid(n))) {
					t.Errorf("byte %d changed: %v", at, err)
				}
			}
		}
	}
}

// TestZeroedSector: a sector of zeros near the end can be one that was not written when the power went; far from it, where
// a sync must have come in between, it cannot.
func TestZeroedSector(t *testing.T) {
	big := make([]int, 60)
	for i := range big {
		big[i] = 100_000
	}
	whole, offsets := file(t, 1<<20, big...)
	for i, at := range offsets[:60] {
		b := bytes.Clone(whole)
		from := at/sectorBytes*sectorBytes + 10*sectorBytes
		clear(b[from : from+sectorBytes])
		want := ErrCorrupt
		if offsets[60]-at <= maxUnsyncedBytes {
			want = ErrTorn
		}
		if txns, end, err := read(t, b); txns != i || end != int64(at) || !errors.Is(err, want) {
			t.Errorf("sector at %d of %d zeroed: %d, %d, %v", from, offsets[60], txns, end, err)
		}
	}
}

// TestLostPower: what was synced is read back, what was not may be, and it never looks like corruption.
func TestLostPower(t *testing.T) {
	torn := 0
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 3))
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(fs, "/d", int64(r.IntN(3))*3000)
		synced, appended := 0, 0
		for range 1 + r.IntN(40) {
			if r.IntN(6) == 0 {
				if err := w.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = appended
				continue
			}
			appended++
			if err := w.Append(wire.Zxid(appended), entry(r, wire.Zxid(appended), r.IntN(20)*r.IntN(20)*r.IntN(20)).Bytes); err != nil {
				t.Fatal(err)
			}
		}
		if r.IntN(2) == 0 && w.file != nil {
			if err := w.write(len(w.buffered)); err != nil { // as the kernel may have got it by the time
				t.Fatal(err)
			}
		}
		fs.Crash(r)
		logs, err := Files(fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		txns := 0
		if len(logs) > 0 {
			if txns, _, err = readFile(t, fs, "/d/log.1"); err != io.EOF && !errors.Is(err, ErrTorn) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err != io.EOF {
				torn++
			}
		}
		if txns < synced || txns > appended {
			t.Fatalf("seed %d: %d txns of %d synced, %d appended: %v", seed, txns, synced, appended, err)
		}
	}
	if torn < 50 {
		t.Errorf("only %d logs were torn", torn)
	}
}

// TestEmbeddedLog: a client's data can look like records. They do not count unless they can be the next ones.
func TestEmbeddedLog(t *testing.T) {
	inner, _ := file(t, 0, 3, 600)
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(fs, "/d", 0)
	for z := wire.Zxid(1); z <= 3; z++ {
		e := txn.New(txn.Header{Zxid: z, Type: wire.OpSetData}, &txn.SetData{Path: "/a", Data: inner}, nil)
		if err := w.Append(z, e.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Roll(); err != nil {
		t.Fatal(err)
	}
	b := content(t, fs, "/d/log.1")
	if txns, _, err := read(t, b[:len(b)-1]); txns != 2 || !errors.Is(err, ErrTorn) {
		t.Errorf("%d, %v", txns, err)
	}
}

// TestHugeLength: nothing is allocated for a length that the file cannot have.
func TestHugeLength(t *testing.T) {
	b, _ := file(t, 0, 3)
	b = append(b, 0, 0, 0, 0, 1, 2, 3, 4, 0x0f, 0xff, 0xff, 0xff, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	txns, _, err := read(t, b)
	runtime.ReadMemStats(&after)
	if txns != 1 || !errors.Is(err, ErrTorn) {
		t.Errorf("%d, %v", txns, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes are allocated", n)
	}
}
