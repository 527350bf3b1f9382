package store

import (
	"bytes"
	"testing"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// FuzzOpen: a directory with any bytes in its newest log, snapshot and epoch files is opened or refused. What was opened
// can be written to, and is the same when it is opened again.
func FuzzOpen(f *testing.F) {
	b := newSite(&testing.T{}, Options{})
	b.append(3)
	b.snapshot()
	b.append(3)
	f.Add(b.read("log.4"), b.read("snapshot.3"), []byte("0"), []byte("0"))
	f.Add([]byte{}, b.read("snapshot.3"), []byte("1"), []byte("1\n"))
	f.Add(b.read("log.4"), []byte{}, []byte("1"), []byte("2"))
	f.Fuzz(func(t *testing.T, log, snapshot, accepted, current []byte) {
		s := &site{t: t, fs: vfs.NewMem(), rand: b.rand}
		s.must(s.fs.MkdirAll("/d"))
		for name, content := range map[string][]byte{
			"log.4": log, "snapshot.3": snapshot, "acceptedEpoch": accepted, "currentEpoch": current,
		} {
			file, err := s.fs.Create("/d/" + name)
			s.must(err)
			_, err = file.Write(bytes.Clone(content))
			s.must(err)
			s.must(file.Sync())
			s.must(file.Close())
		}
		db, err := s.tryOpen()
		if err != nil {
			if s.fs.OpenFiles() != 0 {
				t.Fatalf("%d files stay open after %v", s.fs.OpenFiles(), err)
			}
			return
		}
		before := summary(db)
		if db.LastZxid >= 0 && db.LastZxid < 1<<62 && db.LastZxid.Counter() < 1<<31 {
			s.append(1)
			before.last++
			before.nodes++
		}
		again := &site{t: t, fs: s.fs, rand: b.rand}
		if after := summary(again.open()); after != before {
			t.Fatalf("opened again it is %+v, was %+v", after, before)
		}
	})
}

type contents struct {
	last              wire.Zxid
	accepted, current wire.Epoch
	nodes             int
}

func summary(db *node.Database) contents {
	return contents{db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch, db.Tree.NodeCount()}
}
