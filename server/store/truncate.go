package store

import (
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/wire"
)

// Truncate removes every txn above zxid, from logs and snapshots, and reads the rest back. If what would remain does not
// end with zxid, nothing is removed, and the error is ErrIncomplete; the store can be used on.
func (s *Store) Truncate(zxid wire.Zxid) (*node.Database, error) {
	if err := s.Roll(); err != nil {
		return nil, err
	}
	got, err := s.recover(zxid)
	if errors.Is(err, ErrIncomplete) {
		return nil, fmt.Errorf("truncate to %v: %w", zxid, err)
	}
	if err != nil {
		return nil, s.writes(fmt.Errorf("truncate to %v: %w", zxid, err))
	}
	if end := got.db.LastZxid; end != zxid {
		return nil, fmt.Errorf("truncate to %v: the history ends at %v: %w", zxid, end, ErrIncomplete)
	}
	err = s.remove(
		func(first wire.Zxid) bool { return first > zxid },
		func(f snapshotFile) bool { return f.zxid > zxid || f != got.from && s.newest(f) > zxid },
	)
	if err == nil {
		err = s.cutAbove(zxid, got)
	}
	if err != nil {
		return nil, s.writes(fmt.Errorf("truncate to %v: %w", zxid, err))
	}
	s.restart(zxid, got.ours())
	return got.db, nil
}

// newest is the last txn of which a snapshot may show effects; everything, if it cannot be read or does not say.
func (s *Store) newest(f snapshotFile) wire.Zxid {
	got, err := s.readSnapshot(f)
	if err != nil || got.Newest < 0 {
		return maxZxid
	}
	return max(f.zxid, got.Newest)
}

// cutAbove removes the records above zxid from the last log, and if logs go back, from those before it as well: from
// the oldest first, so that whatever is left in between can be read back.
func (s *Store) cutAbove(zxid wire.Zxid, got *replay) error {
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil || len(logs) == 0 {
		return err
	}
	first := len(logs) - 1
	for got.repeated.goesBack && first > 0 && logs[first] > got.base {
		first--
	}
	for _, z := range logs[first:] {
		if err := s.cutLog(path.Join(s.logDir, txnlog.Name(z)), zxid); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) cutLog(name string, zxid wire.Zxid) error {
	r, err := txnlog.OpenReader(s.fs, name)
	if err != nil {
		return err
	}
	keep, last := int64(0), wire.Zxid(-1)
	for {
		e, err := r.Next()
		if err == io.EOF || errors.Is(err, txnlog.ErrTorn) || err == nil && e.Header.Zxid > zxid {
			break
		}
		if err != nil && last < zxid { // behind zxid it does not matter
			return errors.Join(fmt.Errorf("%s: %w", name, err), r.Close())
		}
		if err != nil {
			break
		}
		keep, last = r.End(), e.Header.Zxid
	}
	if err := r.Close(); err != nil {
		return err
	}
	return s.cut(name, keep)
}

// cut shortens a log to its records; without any, it is deleted: Apache ZooKeeper 3.8 does not start with an empty log.
func (s *Store) cut(name string, sizeBytes int64) error {
	if sizeBytes == 0 {
		return s.removeFile(s.logDir, path.Base(name))
	}
	f, err := s.fs.Append(name)
	if err != nil {
		return err
	}
	err = f.Truncate(sizeBytes)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
