package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

const (
	maxZxid = wire.Zxid(math.MaxInt64)
	// recentLimit is how many txns are handed over for learners that missed a few.
	recentLimit = zab.HistoryLimit
)

// ErrIncomplete says that what is on disk is no whole history.
var ErrIncomplete = errors.New("the history on disk is not complete")

// Reload reads the state back; what was appended before is part of it.
func (s *Store) Reload() (*node.Database, error) {
	if err := s.log.Roll(); err != nil {
		return nil, err
	}
	return s.recover(maxZxid)
}

// Truncate removes every txn above zxid, from logs and snapshots, and reads the rest back. If what would remain does not
// end with zxid, nothing is removed, and the error is ErrIncomplete.
func (s *Store) Truncate(zxid wire.Zxid) (*node.Database, error) {
	if err := s.log.Roll(); err != nil {
		return nil, err
	}
	db, err := s.recover(zxid)
	if err != nil {
		return nil, err
	}
	if db.LastZxid != zxid {
		return nil, fmt.Errorf("truncate to %v: the history ends at %v: %w", zxid, db.LastZxid, ErrIncomplete)
	}
	if err := s.remove(
		func(first wire.Zxid) bool { return first > zxid },
		func(z wire.Zxid) bool { return z > zxid || s.newest(z) > zxid },
	); err != nil {
		return nil, fmt.Errorf("truncate to %v: %w", zxid, err)
	}
	if err := s.cut(zxid); err != nil {
		return nil, fmt.Errorf("truncate to %v: %w", zxid, err)
	}
	return db, nil
}

// cut removes the records above zxid from the last log.
func (s *Store) cut(zxid wire.Zxid) error {
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil || len(logs) == 0 {
		return err
	}
	name := path.Join(s.logDir, txnlog.Name(logs[len(logs)-1]))
	r, err := txnlog.OpenReader(s.fs, name)
	if err != nil {
		return err
	}
	keep := int64(0)
	for {
		e, err := r.Next()
		if err != nil || e.Header.Zxid > zxid {
			break
		}
		keep = r.End()
	}
	if err := r.Close(); err != nil {
		return err
	}
	f, err := s.fs.Append(name)
	if err != nil {
		return err
	}
	err = f.Truncate(keep)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// snapshots lists the snapshots by zxid, the newest first.
func (s *Store) snapshots() ([]wire.Zxid, error) {
	names, err := s.fs.List(s.snapDir)
	if err != nil {
		return nil, err
	}
	var list []wire.Zxid
	for _, name := range names {
		if z, ok := snap.ParseName(name); ok {
			list = append(list, z)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list, nil
}

func (s *Store) readSnapshot(z wire.Zxid) (snap.Snapshot, error) {
	f, err := s.fs.Open(path.Join(s.snapDir, snap.Name(z)))
	if err != nil {
		return snap.Snapshot{}, err
	}
	defer f.Close()
	got, err := snap.ReadFile(f, z, s.opts.Tree)
	if err != nil {
		return got, fmt.Errorf("%s: %w", snap.Name(z), err)
	}
	return got, nil
}

// newest is the last txn of which a snapshot may show effects; everything, if it cannot be read.
func (s *Store) newest(z wire.Zxid) wire.Zxid {
	got, err := s.readSnapshot(z)
	if err != nil {
		return maxZxid
	}
	return max(z, got.Newest)
}

// recover builds the state up to zxid from the newest snapshot that can be read and holds nothing above, and the logs.
func (s *Store) recover(upTo wire.Zxid) (*node.Database, error) {
	base, damaged, err := s.base(upTo)
	if err != nil {
		return nil, err
	}
	db := &node.Database{Tree: base, LastZxid: base.LastZxid()}
	if err := s.replay(db, upTo); err != nil {
		return nil, err
	}
	if db.LastZxid < damaged {
		return nil, fmt.Errorf("%s is damaged, and without it the history ends at %v: %w", snap.Name(damaged), db.LastZxid, ErrIncomplete)
	}
	return db, nil
}

// base reads the newest snapshot that can be used; damaged is the newest one that is passed over since it cannot be read,
// 0 for none.
func (s *Store) base(upTo wire.Zxid) (t *tree.Tree, damaged wire.Zxid, err error) {
	snapshots, err := s.snapshots()
	if err != nil {
		return nil, 0, err
	}
	var reasons error
	for _, z := range snapshots {
		if z > upTo {
			continue
		}
		got, err := s.readSnapshot(z)
		switch {
		case err != nil && !errors.Is(err, snap.ErrInvalid):
			return nil, 0, err
		case err != nil:
			damaged = max(damaged, z)
			reasons = errors.Join(reasons, err)
		case upTo != maxZxid && got.Newest > upTo:
		default:
			return got.Tree, damaged, nil
		}
	}
	if len(snapshots) > 0 {
		return nil, 0, fmt.Errorf("%s: no snapshot can be used: %w", s.snapDir, errors.Join(ErrIncomplete, reasons))
	}
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return nil, 0, err
	}
	if len(logs) > 0 && !s.opts.TrustEmpty {
		return nil, 0, fmt.Errorf("%s has logs, but %s no snapshot: %w", s.logDir, s.snapDir, ErrIncomplete)
	}
	empty := tree.New(s.opts.Tree)
	if len(logs) == 0 {
		err = s.WriteSnapshot(empty, 0)
	}
	return empty, 0, err
}

// replay applies what the logs hold above the snapshot. What was read is made durable, since it counts from now on: a
// process that died may have left it in the memory of the machine only.
func (s *Store) replay(db *node.Database, upTo wire.Zxid) error {
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return err
	}
	base := db.LastZxid
	first := 0
	for i, z := range logs {
		if z <= base {
			first = i
		}
	}
	for _, z := range logs[max(first-1, 0):] {
		if z > upTo {
			break
		}
		name := path.Join(s.logDir, txnlog.Name(z))
		if err := s.replayFile(db, base, name, upTo); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return s.fs.SyncDir(s.logDir)
}

func (s *Store) replayFile(db *node.Database, base wire.Zxid, name string, upTo wire.Zxid) error {
	r, err := txnlog.OpenReader(s.fs, name)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF || errors.Is(err, txnlog.ErrTorn) {
			break // a hole behind it would show in the next file
		}
		if err != nil {
			return err
		}
		zxid := e.Header.Zxid
		switch {
		case zxid > upTo:
			return s.syncFile(name)
		case zxid <= base:
			// Of an earlier epoch it could be from a branch that lost, before the snapshot came.
			if zxid.Epoch() == base.Epoch() {
				remember(db, e)
			}
			continue
		case !zab.Follows(db.LastZxid, zxid):
			return fmt.Errorf("%v comes after %v: %w", zxid, db.LastZxid, ErrIncomplete)
		}
		db.Tree.Apply(e.Header, e.Record, nil)
		db.LastZxid = zxid
		remember(db, e)
	}
	return s.syncFile(name)
}

// remember keeps the last txns.
func remember(db *node.Database, e txn.Entry) {
	if len(db.Recent) >= 2*recentLimit {
		db.Recent = append(db.Recent[:0:0], db.Recent[len(db.Recent)-recentLimit:]...)
	}
	db.Recent = append(db.Recent, e)
}

func (s *Store) syncFile(name string) error {
	f, err := s.fs.Append(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
