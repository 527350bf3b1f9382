package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/store/apache"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// specimen is a directory of which one byte after the other is damaged.
type specimen struct {
	files  map[string][]byte
	opts   Options
	states map[wire.Zxid]uint64 // of the tree after each txn that the newest logs hold
	last   wire.Zxid
	newest string // log
	ends   []int  // of its records, and of its header
	zxids  []wire.Zxid
}

// newSpecimen reads a directory that is whole.
func newSpecimen(t *testing.T, files map[string][]byte, opts Options) *specimen {
	t.Helper()
	opts.Metrics = metrics.New()
	sp := &specimen{files: files, opts: opts, states: make(map[wire.Zxid]uint64)}
	fs := sp.disk(t, "", nil)
	s := &Store{fs: fs, snapDir: "/d", logDir: "/d", opts: opts}
	snapshots, err := s.snapshots()
	if err != nil {
		t.Fatal(err)
	}
	base, err := s.readSnapshot(snapshots[0])
	if err != nil {
		t.Fatal(err)
	}
	sp.last = base.Tree.LastZxid()
	sp.states[sp.last] = state(base.Tree)
	logs, err := txnlog.Files(fs, "/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range logs {
		sp.newest = txnlog.Name(first)
		sp.log(t, fs, base.Tree)
	}
	return sp
}

// log reads the newest log up to now.
func (sp *specimen) log(t *testing.T, fs vfs.FS, applied *tree.Tree) {
	t.Helper()
	r, err := txnlog.OpenReader(fs, path.Join("/d", sp.newest))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sp.ends, sp.zxids = []int{16}, nil
	for {
		e, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sp.ends, sp.zxids = append(sp.ends, int(r.End())), append(sp.zxids, e.Header.Zxid)
		if e.Header.Zxid > sp.last {
			applied.Apply(e.Header, e.Record, nil)
			sp.last = e.Header.Zxid
			sp.states[sp.last] = state(applied)
		}
	}
}

// disk has the files, but for one of them another content.
func (sp *specimen) disk(t *testing.T, damaged string, content []byte) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	err := fs.MkdirAll("/d")
	for name, whole := range sp.files {
		if name == damaged {
			whole = content
		}
		f, createErr := fs.Create(path.Join("/d", name))
		if err = errors.Join(err, createErr); err == nil {
			_, err = f.Write(whole)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// outcomes of damage.
type outcomes struct {
	harmless, refused int
	shorter           int // the newest log ends earlier, as if something had not been finished
	told              int // an older log ends between two txns and before an epoch: the digest shows it, and there is a warning
}

// damage starts a server on the directory with one file damaged at an offset. It must have the whole history, or refuse
// and name the file that is to blame, unless the damage is where an unfinished record would be.
func (sp *specimen) damage(t *testing.T, got *outcomes, name string, content []byte, at int) {
	t.Helper()
	var told warnings
	opts := sp.opts
	opts.Log = slog.New(&told)
	_, db, err := Open(sp.disk(t, name, content), "/d", "/d", opts)
	what := fmt.Sprintf("%s, %d bytes of %d, damaged at %d", name, len(content), len(sp.files[name]), at)
	switch {
	case err != nil && !errors.Is(err, ErrIncomplete) && !errors.Is(err, txnlog.ErrCorrupt):
		t.Errorf("%s: refused with %v", what, err)
	case err != nil && !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "comes after"):
		t.Errorf("%s: the reason does not say so: %v", what, err)
	case err != nil:
		got.refused++
	case db.LastZxid == sp.last && state(db.Tree) == sp.states[sp.last]:
		got.harmless++
	case name != sp.newest && db.LastZxid == sp.last && len(content) < len(sp.files[name]) && told.warned:
		got.told++
	case name != sp.newest:
		t.Errorf("%s: read back %v of %v, the same tree: %v", what, db.LastZxid, sp.last, state(db.Tree) == sp.states[sp.last])
	case sp.states[db.LastZxid] != state(db.Tree):
		t.Errorf("%s: the tree at %v is not what it was", what, db.LastZxid)
	default:
		got.shorter++
		sp.unfinished(t, what, content, at, db.LastZxid, &told)
	}
}

// unfinished checks a history that is shorter: it ends with the last record before the damage, there was no other behind
// the damaged one, and it was said, unless the file ends there or is zero from there.
func (sp *specimen) unfinished(t *testing.T, what string, content []byte, at int, last wire.Zxid, told *warnings) {
	t.Helper()
	whole := 0
	for whole+1 < len(sp.ends) && sp.ends[whole+1] <= at {
		whole++
	}
	cut := len(content) < len(sp.files[sp.newest])
	rest := bytes.Trim(content[min(len(content), sp.ends[whole]):], "\x00")
	switch {
	case whole > 0 && last != sp.zxids[whole-1]:
		t.Errorf("%s: read back %v instead of %v", what, last, sp.zxids[whole-1])
	case !cut && whole < len(sp.zxids)-1:
		t.Errorf("%s: dropped whole transactions behind the damage", what)
	case !told.warned && len(rest) > 0:
		t.Errorf("%s: nobody was told", what)
	}
}

// warnings hears whether there were any.
type warnings struct{ warned bool }

func (*warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler     { return w }
func (w *warnings) WithGroup(string) slog.Handler          { return w }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.warned = w.warned || r.Level >= slog.LevelWarn
	return nil
}

// everyByte cuts and changes each file at each of its bytes, or at each step-th.
func (sp *specimen) everyByte(t *testing.T, step int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(sp.files)) {
		if strings.HasSuffix(name, "Epoch") {
			continue // a digit for another cannot be noticed
		}
		var cut, changed outcomes
		whole := sp.files[name]
		end := len(bytes.TrimRight(whole, "\x00")) + 40
		for at := 0; at < min(len(whole), end); at += step {
			sp.damage(t, &cut, name, whole[:at:at], at)
			for _, bits := range []byte{0x01, 0x80, 0xff} {
				content := bytes.Clone(whole)
				content[at] ^= bits
				sp.damage(t, &changed, name, content, at)
			}
		}
		t.Logf("%s: cut %+v, changed %+v", name, cut, changed)
	}
}

// TestEveryByte damages each byte of small logs and snapshots, and some of them without ZKCTL_CRASH_LIVES.
func TestEveryByte(t *testing.T) {
	step := 37
	if lives > 0 {
		step = 1
	}
	for _, c := range []snap.Compression{snap.None, snap.Gzip, snap.Snappy} {
		t.Run(cmpName(c), func(t *testing.T) {
			b := newSite(t, Options{Compression: c})
			fill := func(n int) {
				for range n {
					h, r := randomTxn(b.rand, b.tree, b.last+1, []byte("some data"))
					m := model{}
					e := m.apply(b.tree, h, r)
					b.must(b.s.Append(h.Zxid, e.Bytes))
					b.last++
				}
				b.must(b.s.Sync())
			}
			fill(8)
			b.snapshot()
			fill(5)
			b.must(b.s.Roll())
			fill(5)
			b.snapshot()
			fill(6)
			files := make(map[string][]byte)
			for _, name := range strings.Fields(b.names()) {
				files[name] = b.read(name)
			}
			t.Run("all", func(t *testing.T) { newSpecimen(t, files, b.opts).everyByte(t, step) })
			for _, only := range []wire.Zxid{0, b.last - 6} {
				t.Run(fmt.Sprintf("snapshot %x alone", int64(only)), func(t *testing.T) {
					some := maps.Clone(files)
					maps.DeleteFunc(some, func(name string, _ []byte) bool {
						return strings.HasPrefix(name, "snapshot") && name != snap.FileName(only, c)
					})
					newSpecimen(t, some, b.opts).everyByte(t, step)
				})
			}
		})
	}
}

func cmpName(c snap.Compression) string {
	if c == snap.None {
		return "plain"
	}
	return string(c)
}

// TestEveryByteOfApache damages many bytes of what Apache ZooKeeper wrote, and a few without ZKCTL_CRASH_LIVES.
func TestEveryByteOfApache(t *testing.T) {
	step := 4999
	if lives > 0 {
		step = 7
	}
	for _, name := range apache.Names {
		t.Run(name, func(t *testing.T) {
			files, err := apache.Files(name)
			if err != nil {
				t.Fatal(err)
			}
			for file := range files {
				if !strings.HasPrefix(file, "log.") && !strings.HasPrefix(file, "snapshot.") && !strings.HasSuffix(file, "Epoch") {
					delete(files, file)
				}
			}
			newSpecimen(t, files, Options{Tree: extended}).everyByte(t, step)
		})
	}
}
