package txnlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/server/vfs/outage"
	"github.com/zkctl/zkctl/wire"
)

// TestWriterFails fails each operation in turn. The error is told, again by every later call, and what was synced before
// is there.
func TestWriterFails(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for fail := 0; ; fail++ {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		n := 0
		failed := ""
		fs.Fail = func(op, name string) error {
			if n++; n-1 == fail {
				failed = op
				return syscall.ENOSPC
			}
			return nil
		}
		w := NewWriter(fs, "/d", 8192)
		var err error
		synced := 0
		zxid := wire.Zxid(0)
		for _, step := range []string{"a", "a", "s", "a", "s", "r", "a", "a", "a", "s", "r"} {
			switch step {
			case "a":
				zxid++
				err = w.Append(zxid, entry(r, zxid, 5000).Bytes)
			case "s":
				if err = w.Sync(); err == nil {
					synced = int(zxid)
				}
			case "r":
				if err = w.Roll(); err == nil {
					synced = int(zxid)
				}
			}
			if err != nil {
				break
			}
		}
		if failed == "" {
			if err != nil || fail < 10 {
				t.Fatalf("without a failure: %v after %d", err, fail)
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s fails: %v", failed, err)
		}
		for name, again := range map[string]error{"append": w.Append(zxid+1, entry(r, zxid+1, 1).Bytes), "sync": w.Sync(), "roll": w.Roll()} {
			if !errors.Is(again, syscall.ENOSPC) {
				t.Errorf("%s after %s failed: %v", name, failed, again)
			}
		}
		if fs.OpenFiles() > 0 {
			t.Errorf("%s fails: %d files are open", failed, fs.OpenFiles())
		}
		fs.Fail = nil
		fs.Crash(r)
		logs, err := Files(fs, "/d")
		if err != nil {
			t.Fatal(err)
		}
		got := wire.Zxid(0)
		for _, first := range logs {
			in, err := OpenReader(fs, "/d/"+Name(first))
			if err != nil {
				t.Fatal(err)
			}
			for {
				e, err := in.Next()
				if err != nil {
					if err != io.EOF && !errors.Is(err, ErrTorn) {
						t.Errorf("%s fails: %v", failed, err)
					}
					break
				}
				if e.Header.Zxid != got+1 {
					t.Errorf("%s fails: %v after %v", failed, e.Header.Zxid, got)
				}
				got = e.Header.Zxid
			}
			in.Close()
		}
		if got < wire.Zxid(synced) || got > zxid {
			t.Errorf("%s fails: %v of %d synced", failed, got, synced)
		}
	}
}

// TestWriterSyncsInBetween: no more than the limit is ever unsynced, on which the reader relies.
func TestWriterSyncsInBetween(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	syncs, written, most := 0, 0, 0
	fs.Fail = func(op, name string) error {
		if op == "sync" {
			syncs++
			written = 0
		}
		return nil
	}
	w := NewWriter(fs, "/d", 0)
	r := rand.New(rand.NewPCG(5, 5))
	for zxid := wire.Zxid(1); zxid <= 200; zxid++ {
		e := entry(r, zxid, 100_000)
		if err := w.Append(zxid, e.Bytes); err != nil {
			t.Fatal(err)
		}
		written += len(e.Bytes) + frameBytes
		most = max(most, written)
	}
	if syncs < 4 || most > maxUnsyncedBytes {
		t.Errorf("%d syncs, %d bytes at most between two", syncs, most)
	}
}

// TestWriterRefuses what could not be read back.
func TestWriterRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":      nil,
		"another zxid": txn.New(txn.Header{Zxid: 2, Type: wire.OpDelete}, &txn.Delete{Path: "/a"}, nil).Bytes,
	} {
		fs := vfs.NewMem()
		w := NewWriter(fs, "/d", 0)
		if err := w.Append(1, b); err == nil {
			t.Errorf("%s is written", name)
		}
	}
}

func TestFiles(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log.a", "log.1000000ff", "log.", "log.x", "log.0a", "log.A", "log.+a", "snapshot.a", "tmp.1.log.b", "log.a.gz", "log.ffffffffffffffff1"} {
		if _, err := fs.Create("/d/" + name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Files(fs, "/d")
	if err != nil || fmt.Sprint(got) != "[0xa 0x1000000ff]" {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzReader reads any bytes as a log. What it returns, written again, is what was read.
func FuzzReader(f *testing.F) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		f.Fatal(err)
	}
	w := NewWriter(fs, "/d", 600)
	r := rand.New(rand.NewPCG(6, 6))
	for zxid := wire.Zxid(1); zxid <= 4; zxid++ {
		if err := w.Append(zxid, entry(r, zxid, 30).Bytes); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Sync(); err != nil {
		f.Fatal(err)
	}
	in, err := fs.Open("/d/log.1")
	if err != nil {
		f.Fatal(err)
	}
	whole, err := io.ReadAll(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:200])
	f.Add(append(bytes.Clone(whole[:100]), whole[150:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		out, err := fs.Create("/d/log.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(b); err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(fs, "/d/log.1")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		again := NewWriter(fs, "/d/again", 0)
		if err := fs.MkdirAll("/d/again"); err != nil {
			t.Fatal(err)
		}
		for {
			e, err := r.Next()
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrTorn) && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			if err := again.Append(e.Header.Zxid, e.Bytes); err != nil {
				t.Fatal(err)
			}
		}
		if err := again.Sync(); err != nil {
			t.Fatal(err)
		}
		logs, err := Files(fs, "/d/again")
		if err != nil || len(logs) == 0 {
			return
		}
		in, err := fs.Open("/d/again/" + Name(logs[0]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(got[headerBytes:], b[headerBytes:r.End()]) {
			t.Fatalf("read\n%x, wrote\n%x: %v", b[:r.End()], got, err)
		}
	})
}

// TestFailedSyncIsNotShown: after a failed fsync the memory of the machine still shows what is not on disk. Whoever reads
// the log must not.
func TestFailedSyncIsNotShown(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for synced := range 4 {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(fs, "/d", 8192)
		for zxid := wire.Zxid(1); zxid <= 4; zxid++ {
			if err := w.Append(zxid, entry(r, zxid, 100).Bytes); err != nil {
				t.Fatal(err)
			}
			fs.Fail = func(op, name string) error {
				if op == "sync" && int(zxid) > synced {
					return syscall.EIO
				}
				return nil
			}
			if err := w.Sync(); (err != nil) != (int(zxid) > synced) {
				t.Fatalf("sync of %v: %v", zxid, err)
			} else if err != nil {
				break
			}
		}
		fs.Kill()
		got, err := OpenReader(fs, "/d/"+Name(1))
		if synced == 0 && vfs.IsNotExist(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			if _, err = got.Next(); err != nil {
				break
			}
			n++
		}
		if n != synced || err != io.EOF && !errors.Is(err, ErrTorn) {
			t.Errorf("%d txns and %v, %d were synced", n, err, synced)
		}
	}
}

// TestLogsAppearWithRecords kills and cuts the power at each operation: a file with the name of a log begins with a
// whole header and a record at any time.
func TestLogsAppearWithRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	disk := outage.New()
	if err := disk.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	points := 0
	check := func(left vfs.FS) {
		points++
		logs, err := Files(left, "/d")
		if err != nil && !vfs.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, first := range logs {
			log, err := OpenReader(left, "/d/"+Name(first))
			if err != nil {
				t.Fatal(err)
			}
			if e, err := log.Next(); err != nil || e.Header.Zxid != first {
				t.Fatalf("%s begins with %v: %v", Name(first), e.Header, err)
			}
			log.Close()
		}
	}
	disk.Before = func(op, name string) {
		check(disk)
		for o := range disk.Outcomes(r, 40) {
			left, err := disk.After(o).Restart()
			if err != nil {
				t.Fatal(err)
			}
			check(left)
		}
	}
	w := NewWriter(disk, "/d", 8192)
	for zxid := wire.Zxid(1); zxid <= 12; zxid++ {
		if err := w.Append(zxid, entry(r, zxid, 60_000).Bytes); err != nil {
			t.Fatal(err)
		}
		if zxid%2 == 0 {
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if zxid%4 == 0 {
			if err := w.Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if points < 100 {
		t.Errorf("only %d points", points)
	}
}
