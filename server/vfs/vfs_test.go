package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"testing"
)

// TestMemIsLikeOS does the same to a directory of the machine and to one in memory.
func TestMemIsLikeOS(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			real, mem := path.Join(t.TempDir(), "a/b"), "/a/b"
			m := NewMem()
			check := func(what string, os, mem error) bool {
				t.Helper()
				if (os == nil) != (mem == nil) || IsNotExist(os) != IsNotExist(mem) {
					t.Fatalf("%s: %v, in memory %v", what, os, mem)
				}
				return os == nil
			}
			_, err1 := OS.List(real)
			_, err2 := m.List(mem)
			check("list", err1, err2)
			check("mkdir", OS.MkdirAll(real), m.MkdirAll(mem))
			for range 200 {
				name := string(rune('a' + r.IntN(4)))
				in, out := path.Join(real, name), path.Join(mem, name)
				switch op := r.IntN(7); op {
				case 0, 1:
					open := []func(FS, string) (File, error){FS.Create, FS.Append}[op]
					f1, err1 := open(OS, in)
					f2, err2 := open(m, out)
					if !check("open", err1, err2) {
						continue
					}
					for range r.IntN(4) {
						switch r.IntN(3) {
						case 0:
							b := make([]byte, r.IntN(2000))
							for i := range b {
								b[i] = byte(r.Uint32())
							}
							_, err1 := f1.Write(b)
							_, err2 := f2.Write(b)
							check("write", err1, err2)
						case 1:
							size := int64(r.IntN(3000))
							check("truncate", f1.Truncate(size), f2.Truncate(size))
						case 2:
							check("sync", f1.Sync(), f2.Sync())
						}
					}
					size := int64(r.IntN(4000))
					check("preallocate", f1.Preallocate(size), f2.Preallocate(size))
					check("close", f1.Close(), f2.Close())
					check("close again", f1.Close(), f2.Close())
				case 2:
					check("remove", OS.Remove(in), m.Remove(out))
				case 3:
					to := string(rune('a' + r.IntN(4)))
					check("rename", OS.Rename(in, path.Join(real, to)), m.Rename(out, path.Join(mem, to)))
				case 4:
					check("syncdir", OS.SyncDir(real), m.SyncDir(mem))
				default:
					b1, err1 := content(OS, in)
					b2, err2 := content(m, out)
					if check("read", err1, err2) && !bytes.Equal(b1, b2) {
						t.Fatalf("%s has %d bytes, in memory %d, or others", name, len(b1), len(b2))
					}
				}
				n1, err1 := OS.List(real)
				n2, err2 := m.List(mem)
				if check("list", err1, err2) && fmt.Sprint(n1) != fmt.Sprint(n2) {
					t.Fatalf("files %v, in memory %v", n1, n2)
				}
			}
			if m.OpenFiles() != 0 {
				t.Errorf("%d files are open", m.OpenFiles())
			}
		})
	}
}

// TestAppendWritesAtTheEnd holds for both.
func TestAppendWritesAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		fs  FS
		dir string
	}{"os": {OS, t.TempDir()}, "mem": {NewMem(), "/d"}} {
		t.Run(name, func(t *testing.T) {
			file := path.Join(c.dir, "f")
			if err := c.fs.MkdirAll(c.dir); err != nil {
				t.Fatal(err)
			}
			write(t, c.fs.Create, file, "one")
			write(t, c.fs.Append, file, "two")
			if got, err := content(c.fs, file); err != nil || string(got) != "onetwo" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func write(t *testing.T, open func(string) (File, error), name, text string) {
	t.Helper()
	f, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func content(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	if size, sizeErr := f.Size(); err == nil && (sizeErr != nil || size != int64(b.Len())) {
		err = fmt.Errorf("size %d, read %d: %v", size, b.Len(), sizeErr)
	}
	return b.Bytes(), err
}

// TestCrash: what was synced is there, each byte of the rest is the old one or the new one.
func TestCrash(t *testing.T) {
	outcomes := make(map[string]int)
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := NewMem()
		if err := m.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		f, err := m.Create("/d/f")
		if err != nil {
			t.Fatal(err)
		}
		synced := bytes.Repeat([]byte{1}, r.IntN(3000))
		f.Write(synced)
		f.Sync()
		m.SyncDir("/d")
		added := bytes.Repeat([]byte{2}, 1+r.IntN(3000))
		f.Write(added)
		write(t, m.Create, "/d/new", "new")
		m.Crash(r)
		if _, err := f.Write([]byte{3}); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("a file of the former life can be written: %v", err)
		}
		got, err := content(m, "/d/f")
		if err != nil || !bytes.HasPrefix(got, synced) || len(got) > len(synced)+len(added) {
			t.Fatalf("seed %d: %d bytes of %d and %d: %v", seed, len(got), len(synced), len(added), err)
		}
		rest := got[len(synced):]
		lost, kept := bytes.Count(rest, []byte{0}), bytes.Count(rest, []byte{2})
		if lost+kept != len(rest) {
			t.Fatalf("seed %d: bytes that nobody wrote", seed)
		}
		switch {
		case len(rest) == 0:
			outcomes["nothing"]++
		case kept == len(added):
			outcomes["everything"]++
		case lost == 0:
			outcomes["beginning"]++
		case bytes.IndexByte(rest, 0) < bytes.LastIndexByte(rest, 2):
			outcomes["hole"]++
		}
		if _, err := content(m, "/d/new"); err == nil {
			outcomes["name"]++
		} else {
			outcomes["no name"]++
		}
		again, _ := content(m, "/d/f")
		m.Crash(r)
		if after, _ := content(m, "/d/f"); !bytes.Equal(again, after) {
			t.Fatalf("seed %d: a second loss of power changes what the first left", seed)
		}
	}
	for _, want := range []string{"nothing", "everything", "beginning", "hole", "name", "no name"} {
		if outcomes[want] < 100 {
			t.Errorf("%s is left %d times", want, outcomes[want])
		}
	}
}

// TestFail: a sync that failed makes doubtful what was written before, whatever later ones say.
func TestFail(t *testing.T) {
	broken := errors.New("broken")
	lost := 0
	for seed := range uint64(50) {
		m := NewMem()
		m.MkdirAll("/d")
		f, err := m.Create("/d/f")
		if err != nil {
			t.Fatal(err)
		}
		m.SyncDir("/d")
		m.Fail = func(op, name string) error {
			if op == "sync" && name == "/d/f" {
				return broken
			}
			return nil
		}
		f.Write([]byte("text"))
		if err := f.Sync(); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		m.Fail = func(op, _ string) error {
			if op == "write" {
				return broken
			}
			return nil
		}
		if n, err := f.Write([]byte("more")); n != 2 || !errors.Is(err, broken) {
			t.Fatalf("%d, %v", n, err)
		}
		m.Fail = nil
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		m.Crash(rand.New(rand.NewPCG(seed, 2)))
		if got, _ := content(m, "/d/f"); string(got) != "textmo" {
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing was ever lost")
	}
}
