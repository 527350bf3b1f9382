// Package store is the disk of a server: its logs, snapshots and epoch files, and how the state comes back from them.
//
//	snapDir/snapshot.<zxid>               see package snap
//	snapDir/acceptedEpoch, currentEpoch   decimal, without newline
//	logDir/log.<zxid>                     see package txnlog
//
// Small files and snapshots are replaced as a whole: written under another name, synced, renamed, and the directory
// synced. What cannot be read back without a hole is an error, never a shorter history: the server might have
// acknowledged what is missing. After an error of a method that writes, the store must not be used any more.
package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// Options are the settings of a store.
type Options struct {
	Tree tree.Options
	// PreallocBytes is how much space a log reserves at a time; 0 for none (zookeeper.preAllocSize, in KB).
	PreallocBytes int64
	// TrustEmpty lets a server start that has logs and no snapshot (zookeeper.snapshot.trust.empty).
	TrustEmpty bool
}

// Store is the disk of one server. It is not safe for concurrent use, but for a Snapshot that is being written.
type Store struct {
	fs      vfs.FS
	logDir  string
	snapDir string
	opts    Options
	log     *txnlog.Writer
}

const (
	acceptedEpochFile = "acceptedEpoch"
	currentEpochFile  = "currentEpoch"
	tmpPrefix         = "tmp."
	// snapBatch is how many nodes a snapshot in the foreground writes at a time.
	snapBatch = 1000
)

// Open reads back what is on disk, or begins an empty state. The directories are made if need be.
func Open(fs vfs.FS, logDir, snapDir string, opts Options) (*Store, *node.Database, error) {
	s := &Store{fs: fs, logDir: logDir, snapDir: snapDir, opts: opts}
	s.log = txnlog.NewWriter(fs, logDir, opts.PreallocBytes)
	for _, dir := range []string{logDir, snapDir} {
		if err := fs.MkdirAll(dir); err != nil {
			return nil, nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	if err := s.removeLeftovers(); err != nil {
		return nil, nil, err
	}
	db, err := s.recover(maxZxid)
	if err != nil {
		return nil, nil, err
	}
	if err := s.recoverEpochs(db); err != nil {
		return nil, nil, err
	}
	return s, db, nil
}

// removeLeftovers deletes files that were not finished.
func (s *Store) removeLeftovers() error {
	for _, dir := range []string{s.snapDir, s.logDir} {
		names, err := s.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasPrefix(name, tmpPrefix) {
				if err := s.fs.Remove(path.Join(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Append writes a txn to the log; it is durable after Sync.
func (s *Store) Append(zxid wire.Zxid, b []byte) error { return s.log.Append(zxid, b) }

// Sync makes everything appended durable.
func (s *Store) Sync() error { return s.log.Sync() }

// Roll lets the next txn begin a new file.
func (s *Store) Roll() error { return s.log.Roll() }

// SaveEpoch replaces currentEpoch or acceptedEpoch.
func (s *Store) SaveEpoch(current bool, epoch wire.Epoch) error {
	name := acceptedEpochFile
	if current {
		name = currentEpochFile
	}
	return s.replace(name, func(f vfs.File) error {
		_, err := f.Write(strconv.AppendInt(nil, int64(epoch), 10))
		return err
	})
}

// replace writes a file of the snapshot directory as a whole.
func (s *Store) replace(name string, write func(vfs.File) error) error {
	tmp := path.Join(s.snapDir, tmpPrefix+name)
	f, err := s.fs.Create(tmp)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.fs.Rename(tmp, path.Join(s.snapDir, name))
	}
	if err == nil {
		err = s.fs.SyncDir(s.snapDir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// readEpoch reads an epoch file; -1 if there is none.
func (s *Store) readEpoch(name string) (wire.Epoch, error) {
	f, err := s.fs.Open(path.Join(s.snapDir, name))
	if vfs.IsNotExist(err) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, 64)
	n, _ := f.ReadAt(b, 0)
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	epoch, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path.Join(s.snapDir, name), err)
	}
	return wire.Epoch(epoch), nil
}

// recoverEpochs reads the epochs. The log can be of a later epoch than currentEpoch if the power went between the two:
// the txns of an epoch are only ever logged behind the whole history with which it began, so the history is that of the
// later epoch, and currentEpoch is corrected, provided that the epoch was promised.
func (s *Store) recoverEpochs(db *node.Database) error {
	var err error
	if db.AcceptedEpoch, err = s.readEpoch(acceptedEpochFile); err != nil {
		return err
	}
	if db.CurrentEpoch, err = s.readEpoch(currentEpochFile); err != nil {
		return err
	}
	last := db.LastZxid.Epoch()
	if db.AcceptedEpoch == -1 {
		db.AcceptedEpoch = max(last, db.CurrentEpoch)
		if err := s.SaveEpoch(false, db.AcceptedEpoch); err != nil {
			return err
		}
	}
	switch {
	case db.CurrentEpoch == -1, last > db.CurrentEpoch && db.AcceptedEpoch >= last:
		db.CurrentEpoch = last
		if err := s.SaveEpoch(true, last); err != nil {
			return err
		}
	case last > db.CurrentEpoch:
		return fmt.Errorf("%s: the log is of epoch %d, but currentEpoch is %d and acceptedEpoch %d", s.snapDir, last, db.CurrentEpoch, db.AcceptedEpoch)
	}
	if db.AcceptedEpoch < db.CurrentEpoch {
		return fmt.Errorf("%s: acceptedEpoch %d is below currentEpoch %d", s.snapDir, db.AcceptedEpoch, db.CurrentEpoch)
	}
	return nil
}

// Snapshot is a snapshot that is being written piece by piece, in the background if the caller wants. The tree must not
// change while a method runs, and may between them.
type Snapshot struct {
	s    *Store
	zxid wire.Zxid
	file vfs.File
	enc  *snap.Encoder
}

func (p *Snapshot) tmp() string { return path.Join(p.s.snapDir, tmpPrefix+snap.Name(p.zxid)) }

// NewSnapshot begins a snapshot of the tree, up to zxid.
func (s *Store) NewSnapshot(t *tree.Tree, zxid wire.Zxid) (*Snapshot, error) {
	p := &Snapshot{s: s, zxid: zxid}
	f, err := s.fs.Create(p.tmp())
	if err != nil {
		return nil, fmt.Errorf("write snapshot %v: %w", zxid, err)
	}
	p.file = f
	if p.enc, err = snap.NewFile(f, t); err != nil {
		return nil, p.abort(err)
	}
	return p, nil
}

// Next writes up to max nodes and tells whether there may be more.
func (p *Snapshot) Next(max int) (more bool, err error) {
	more, err = p.enc.Next(max)
	if err != nil {
		return false, p.abort(err)
	}
	return more, nil
}

// Seal writes the end; the tree is not needed any more after it.
func (p *Snapshot) Seal() error {
	if err := p.enc.Finish(); err != nil {
		return p.abort(err)
	}
	return nil
}

// Commit makes the snapshot durable under its name.
func (p *Snapshot) Commit() error {
	if err := p.file.Sync(); err != nil {
		return p.abort(err)
	}
	if err := p.file.Close(); err != nil {
		return fmt.Errorf("write snapshot %v: %w", p.zxid, err)
	}
	if err := p.s.fs.Rename(p.tmp(), path.Join(p.s.snapDir, snap.Name(p.zxid))); err != nil {
		return fmt.Errorf("write snapshot %v: %w", p.zxid, err)
	}
	return p.s.fs.SyncDir(p.s.snapDir)
}

func (p *Snapshot) abort(err error) error {
	err = errors.Join(err, p.file.Close(), p.s.fs.Remove(p.tmp()))
	return fmt.Errorf("write snapshot %v: %w", p.zxid, err)
}

// WriteSnapshot writes a snapshot at once.
func (s *Store) WriteSnapshot(t *tree.Tree, zxid wire.Zxid) error {
	p, err := s.NewSnapshot(t, zxid)
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = p.Next(snapBatch); err != nil {
			return err
		}
	}
	if err := p.Seal(); err != nil {
		return err
	}
	return p.Commit()
}

// Supersede writes a snapshot in the place of everything else: once it is durable, every log and every other snapshot is
// deleted. They may hold txns of a lost branch, which must neither be replayed nor be sent to a learner.
func (s *Store) Supersede(t *tree.Tree, zxid wire.Zxid) error {
	if err := s.log.Roll(); err != nil {
		return err
	}
	if err := s.WriteSnapshot(t, zxid); err != nil {
		return err
	}
	return s.remove(func(wire.Zxid) bool { return true }, func(z wire.Zxid) bool { return z != zxid })
}

// remove deletes the logs and snapshots that are named by these zxids: the newest first, and each for good before the
// next, so that a loss of power in between leaves no hole.
func (s *Store) remove(log, snapshot func(wire.Zxid) bool) error {
	snapshots, err := s.snapshots()
	if err != nil {
		return err
	}
	for _, z := range snapshots {
		if snapshot(z) {
			if err := s.removeFile(s.snapDir, snap.Name(z)); err != nil {
				return err
			}
		}
	}
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return err
	}
	for _, z := range slices.Backward(logs) {
		if log(z) {
			if err := s.removeFile(s.logDir, txnlog.Name(z)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) removeFile(dir, name string) error {
	if err := s.fs.Remove(path.Join(dir, name)); err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}

// Purge deletes what the newest snapshots make superfluous: all but retain (at least 3) snapshots, and the logs that
// are older than the oldest of these. It returns how many files it deleted.
func (s *Store) Purge(retain int) (int, error) {
	snapshots, err := s.snapshots()
	if err != nil || len(snapshots) <= max(retain, 3) {
		return 0, err
	}
	oldest := snapshots[max(retain, 3)-1]
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return 0, err
	}
	covering := wire.Zxid(0)
	for _, first := range logs {
		if first <= oldest {
			covering = first
		}
	}
	n := 0
	count := func(gone bool) bool {
		if gone {
			n++
		}
		return gone
	}
	err = s.remove(
		func(z wire.Zxid) bool { return count(z < covering) },
		func(z wire.Zxid) bool { return count(z < oldest) },
	)
	return n, err
}
