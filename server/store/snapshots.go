package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const (
	// snapBatch is how many nodes a snapshot in the foreground reads at a time.
	snapBatch = 1000
	// pieceBytes of nodes, and one node more, are read at a time at most.
	pieceBytes = 256 << 10
)

// snapshotFile is a snapshot on disk.
type snapshotFile struct {
	zxid        wire.Zxid
	compression snap.Compression
}

func (f snapshotFile) name() string { return snap.FileName(f.zxid, f.compression) }

// snapshotsIn lists the snapshots of a directory, the newest first.
func snapshotsIn(fs vfs.FS, dir string) ([]snapshotFile, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var list []snapshotFile
	for _, name := range names {
		if z, c, ok := snap.ParseName(name); ok {
			list = append(list, snapshotFile{z, c})
		}
	}
	slices.SortStableFunc(list, func(a, b snapshotFile) int { return cmp.Compare(b.zxid, a.zxid) })
	return list, nil
}

func (s *Store) snapshots() ([]snapshotFile, error) { return snapshotsIn(s.fs, s.snapDir) }

func (s *Store) readSnapshot(file snapshotFile) (snap.Snapshot, error) {
	f, err := s.fs.Open(path.Join(s.snapDir, file.name()))
	if err != nil {
		return snap.Snapshot{}, err
	}
	defer f.Close()
	got, err := snap.ReadFile(snap.Decompress(f, file.compression), file.zxid, s.opts.Tree)
	if err != nil {
		return got, fmt.Errorf("%s: %w", file.name(), err)
	}
	return got, nil
}

// whole tells whether a snapshot looks as if it had been written to its end.
func (s *Store) whole(file snapshotFile) bool {
	f, err := s.fs.Open(path.Join(s.snapDir, file.name()))
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	return err == nil && snap.Whole(f, size, file.compression)
}

// Snapshot is a snapshot that is being written piece by piece, in the background if the caller wants. The tree must not
// change while NewSnapshot, Next or Seal runs, and may otherwise: what these read is kept until Write or Commit puts it on
// disk, which can take long.
type Snapshot struct {
	s     *Store
	file  snapshotFile
	tmp   string
	out   vfs.File
	zip   io.WriteCloser
	piece bytes.Buffer
	enc   *snap.Encoder
}

// NewSnapshot begins a snapshot of the tree, up to zxid.
func (s *Store) NewSnapshot(t *tree.Tree, zxid wire.Zxid) (*Snapshot, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	p := &Snapshot{s: s, file: snapshotFile{zxid, s.opts.Compression}}
	p.tmp = s.temp(p.file.name())
	f, err := s.fs.Create(p.tmp)
	if err != nil {
		return nil, p.fail(err)
	}
	p.out = f
	p.zip = snap.Compress(f, p.file.compression)
	if p.enc, err = snap.NewFile(&p.piece, t); err != nil {
		return nil, p.fail(err)
	}
	if s.opts.AddApplied {
		p.enc.AddApplied()
	}
	return p, nil
}

// Next reads up to max nodes, fewer if they are large, and tells whether there may be more.
func (p *Snapshot) Next(max int) (more bool, err error) {
	if p.out == nil {
		return false, p.ended()
	}
	for more = true; more && max > 0 && p.piece.Len() < pieceBytes; max-- {
		if more, err = p.enc.Next(1); err != nil {
			return false, p.fail(err)
		}
	}
	return more, nil
}

// Write writes what was read.
func (p *Snapshot) Write() error {
	if p.out == nil {
		return p.ended()
	}
	_, err := p.zip.Write(p.piece.Bytes())
	p.piece.Reset()
	if err != nil {
		return p.fail(err)
	}
	return nil
}

// Seal reads the end; the tree is not needed any more after it.
func (p *Snapshot) Seal() error {
	if p.out == nil {
		return p.ended()
	}
	if err := p.enc.Finish(); err != nil {
		return p.fail(err)
	}
	return nil
}

// Commit makes the snapshot durable under its name, at once or, if it shows txns whose records are not durable yet, with
// the sync that makes them. Otherwise a loss of power could leave the effects of txns that were never logged.
func (p *Snapshot) Commit() error {
	if err := p.settle(); err != nil {
		return err
	}
	s := p.s
	s.mu.Lock()
	wait := p.enc.Newest() > s.synced
	if wait {
		s.waiting = append(s.waiting, p)
	}
	s.mu.Unlock()
	if wait {
		return nil
	}
	return p.publish()
}

// publishWaiting notes that everything appended is durable.
func (s *Store) publishWaiting() error {
	s.mu.Lock()
	s.synced = s.last
	var ready, waiting []*Snapshot
	for _, p := range s.waiting {
		if p.enc.Newest() <= s.synced {
			ready = append(ready, p)
		} else {
			waiting = append(waiting, p)
		}
	}
	s.waiting = waiting
	s.mu.Unlock()
	for _, p := range ready {
		if err := p.publish(); err != nil {
			return err
		}
	}
	return nil
}

// restart notes that the history, all of it durable, ends at zxid now, and from where on the logs are of it. Snapshots of
// what was before must not appear.
func (s *Store) restart(zxid, ours wire.Zxid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ours = ours
	s.last, s.synced, s.waiting = zxid, zxid, nil // the files are deleted when the server starts again
}

// settle makes the content durable.
func (p *Snapshot) settle() error {
	if err := p.Write(); err != nil {
		return err
	}
	err := p.zip.Close()
	if err == nil {
		err = p.out.Sync()
	}
	if err != nil {
		return p.fail(err)
	}
	out := p.out
	p.out = nil
	if err := out.Close(); err != nil {
		return p.fail(err)
	}
	return nil
}

// publish gives a settled snapshot its name.
func (p *Snapshot) publish() error {
	err := p.s.fs.Rename(p.tmp, path.Join(p.s.snapDir, p.file.name()))
	if err == nil {
		err = p.s.fs.SyncDir(p.s.snapDir)
	}
	if err != nil {
		return p.fail(err)
	}
	return nil
}

func (p *Snapshot) ended() error {
	return cmp.Or(p.s.usable(), fmt.Errorf("write snapshot %v: it has ended", p.file.zxid))
}

// fail ends the use of the store, too. What was written is deleted; if that fails, when the server starts again.
func (p *Snapshot) fail(err error) error {
	if p.out != nil {
		err = errors.Join(err, p.out.Close(), p.s.fs.Remove(p.tmp))
		p.out = nil
	}
	return p.s.writes(fmt.Errorf("write snapshot %v: %w", p.file.zxid, err))
}

// WriteSnapshot writes a snapshot at once. What was appended before becomes durable.
func (s *Store) WriteSnapshot(t *tree.Tree, zxid wire.Zxid) error {
	if err := s.Sync(); err != nil {
		return err
	}
	p, err := s.prepareSnapshot(t, zxid)
	if err != nil {
		return err
	}
	return p.publish()
}

// prepareSnapshot writes a snapshot at once, but for its name.
func (s *Store) prepareSnapshot(t *tree.Tree, zxid wire.Zxid) (*Snapshot, error) {
	p, err := s.NewSnapshot(t, zxid)
	if err != nil {
		return nil, err
	}
	for more := true; more; {
		if more, err = p.Next(snapBatch); err != nil {
			return nil, err
		}
		if err := p.Write(); err != nil {
			return nil, err
		}
	}
	if err := p.Seal(); err != nil {
		return nil, err
	}
	return p, p.settle()
}
