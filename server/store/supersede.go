package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// supersedingFile says, while it exists, that a snapshot is to replace everything else: its name and the CRC-32 of the
// file. If that snapshot is there, it does; otherwise nothing has happened yet.
const supersedingFile = "superseding"

// Supersede writes a snapshot in the place of everything else: once it is durable, every log and every other snapshot is
// deleted. They may hold txns of a lost branch, which must neither be replayed nor be sent to a learner. A loss of power
// leaves all of the old or all of the new, never the snapshot with txns of another branch behind it.
func (s *Store) Supersede(t *tree.Tree, zxid wire.Zxid) error {
	if err := s.Roll(); err != nil {
		return err
	}
	p, err := s.prepareSnapshot(t, zxid)
	if err != nil {
		return err
	}
	sum, err := s.checksum(p.tmp)
	if err == nil {
		err = s.replace(supersedingFile, fmt.Appendf(nil, "%s %08x\n", p.file.name(), sum))
	}
	if err != nil {
		return p.fail(err)
	}
	if err := p.publish(); err != nil {
		return err
	}
	if err := s.supersede(p.file); err != nil {
		return s.writes(fmt.Errorf("delete what %s replaces: %w", p.file.name(), err))
	}
	s.restart(zxid, zxid)
	return nil
}

// supersede deletes everything but a snapshot.
func (s *Store) supersede(by snapshotFile) error {
	err := s.remove(func(wire.Zxid) bool { return true }, func(f snapshotFile) bool { return f != by })
	if err != nil {
		return err
	}
	return s.removeFile(s.snapDir, supersedingFile)
}

// resumeSupersede finishes what a loss of power interrupted.
func (s *Store) resumeSupersede() error {
	f, err := s.fs.Open(path.Join(s.snapDir, supersedingFile))
	if vfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b := make([]byte, 200)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", supersedingFile, err)
	}
	var name string
	var want uint32
	if _, err := fmt.Sscanf(string(b[:n]), "%s %08x\n", &name, &want); err != nil {
		return fmt.Errorf("read %s: %q: %w", path.Join(s.snapDir, supersedingFile), b[:n], err)
	}
	zxid, compression, ok := snap.ParseName(name)
	if !ok {
		return fmt.Errorf("read %s: %q is no snapshot", path.Join(s.snapDir, supersedingFile), name)
	}
	got, err := s.checksum(path.Join(s.snapDir, name))
	if err != nil && !vfs.IsNotExist(err) {
		return err
	}
	if err != nil || got != want {
		return s.removeFile(s.snapDir, supersedingFile)
	}
	s.opts.Log.Info("snapshot replaces the history before it", "zxid", zxid)
	return s.supersede(snapshotFile{zxid, compression})
}

func (s *Store) checksum(name string) (uint32, error) {
	f, err := s.fs.Open(name)
	if err != nil {
		return 0, err
	}
	sum := crc32.NewIEEE()
	_, err = io.Copy(sum, f)
	return sum.Sum32(), errors.Join(err, f.Close())
}

// remove deletes the logs and snapshots that are chosen: the newest first, and each for good before the next, so that a
// loss of power in between leaves no hole.
func (s *Store) remove(log func(first wire.Zxid) bool, snapshot func(snapshotFile) bool) error {
	snapshots, err := s.snapshots()
	if err != nil {
		return err
	}
	for _, f := range snapshots {
		if snapshot(f) {
			if err := s.removeFile(s.snapDir, f.name()); err != nil {
				return err
			}
		}
	}
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return err
	}
	for i := len(logs) - 1; i >= 0; i-- {
		if log(logs[i]) {
			if err := s.removeFile(s.logDir, txnlog.Name(logs[i])); err != nil {
				return err
			}
		}
	}
	return nil
}
