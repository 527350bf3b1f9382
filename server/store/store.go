// Package store is the disk of a server: its logs, snapshots and epoch files, and how the state comes back from them.
//
//	snapDir/snapshot.<zxid>[.gz|.snappy]  see package snap
//	snapDir/acceptedEpoch, currentEpoch   decimal, without newline
//	snapDir/superseding                   while a snapshot replaces everything else, see Supersede
//	logDir/log.<zxid>                     see package txnlog
//
// Small files and snapshots are replaced as a whole: written under another name, synced, renamed, and the directory
// synced. What cannot be read back without a hole is an error, never a shorter history: the server might have
// acknowledged what is missing. After an error of a method that writes, every later one fails with the same error: what
// it wrote is in doubt, and a sync that is tried again may succeed without having written anything.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// Options are the settings of a store.
type Options struct {
	Tree tree.Options
	// PreallocBytes is how much space a log reserves at a time; 0 for none (zookeeper.preAllocSize, in KB).
	PreallocBytes int64
	// TrustEmpty lets a server start that has logs and no snapshot (zookeeper.snapshot.trust.empty).
	TrustEmpty bool
	// Compression is how snapshots are written; those that are there are read whatever it says
	// (zookeeper.snapshot.compression.method).
	Compression snap.Compression
	// Metrics is told how long it takes to read the state back; nil for nobody.
	Metrics *metrics.Metrics
	// Log hears what recovery passed over or repaired; nil for nobody.
	Log *slog.Logger
}

// Store is the disk of one server. It is not safe for concurrent use, but for a Snapshot that is being written.
type Store struct {
	fs      vfs.FS
	logDir  string
	snapDir string
	opts    Options
	log     *txnlog.Writer
	last    wire.Zxid // of the history, durable or not
	temps   atomic.Int64
	failed  atomic.Pointer[failure]

	mu      sync.Mutex
	synced  wire.Zxid   // of the history that is durable
	waiting []*Snapshot // which show txns above synced
}

// failure ends the use of a store.
type failure struct{ err error }

const (
	acceptedEpochFile = "acceptedEpoch"
	currentEpochFile  = "currentEpoch"
	tmpPrefix         = "tmp."
)

// Open reads back what is on disk, or begins an empty state. The directories are made if need be.
func Open(fs vfs.FS, logDir, snapDir string, opts Options) (*Store, *node.Database, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = metrics.New()
	}
	s := &Store{fs: fs, logDir: path.Clean(logDir), snapDir: path.Clean(snapDir), opts: opts}
	s.log = txnlog.NewWriter(fs, s.logDir, opts.PreallocBytes)
	for _, dir := range s.dirs() {
		if err := fs.MkdirAll(dir); err != nil {
			return nil, nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	if err := s.checkPlaces(); err != nil {
		return nil, nil, err
	}
	if err := s.removeLeftovers(); err != nil {
		return nil, nil, err
	}
	if err := s.resumeSupersede(); err != nil {
		return nil, nil, err
	}
	if err := s.begin(); err != nil {
		return nil, nil, s.advise(err)
	}
	got, err := s.recover(maxZxid)
	if err != nil {
		return nil, nil, s.advise(err)
	}
	db := got.db
	if err := s.recoverEpochs(db); err != nil {
		return nil, nil, err
	}
	s.restart(db.LastZxid)
	return s, db, nil
}

func (s *Store) dirs() []string {
	if s.logDir == s.snapDir {
		return []string{s.snapDir}
	}
	return []string{s.snapDir, s.logDir}
}

// checkPlaces refuses files in the wrong directory: they would not be read, as when dataLogDir was set later on.
func (s *Store) checkPlaces() error {
	if s.logDir == s.snapDir {
		return nil
	}
	logs, err := txnlog.Files(s.fs, s.snapDir)
	if err != nil {
		return err
	}
	if len(logs) > 0 {
		return fmt.Errorf("%s holds %s, but logs belong into %s: move them there: %w", s.snapDir, txnlog.Name(logs[0]), s.logDir, ErrIncomplete)
	}
	snapshots, err := snapshotsIn(s.fs, s.logDir)
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		return fmt.Errorf("%s holds %s, but snapshots belong into %s: move them there: %w", s.logDir, snapshots[0].name(), s.snapDir, ErrIncomplete)
	}
	return nil
}

// removeLeftovers deletes files that were not finished.
func (s *Store) removeLeftovers() error {
	for _, dir := range s.dirs() {
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

// usable is the error that ended the use of the store.
func (s *Store) usable() error {
	if f := s.failed.Load(); f != nil {
		return fmt.Errorf("the storage failed before: %w", f.err)
	}
	return nil
}

// writes ends the use of the store if a method that writes failed.
func (s *Store) writes(err error) error {
	if err != nil {
		s.failed.CompareAndSwap(nil, &failure{err})
	}
	return err
}

// Append writes a txn to the log; it is durable after Sync. It must be the one that follows the last.
func (s *Store) Append(zxid wire.Zxid, b []byte) error {
	if err := s.usable(); err != nil {
		return err
	}
	if !zab.Follows(s.last, zxid) {
		return s.writes(fmt.Errorf("append %v to a log that ends with %v: %w", zxid, s.last, ErrIncomplete))
	}
	s.last = zxid
	return s.writes(s.log.Append(zxid, b))
}

// Sync makes everything appended durable.
func (s *Store) Sync() error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.log.Sync(); err != nil {
		return s.writes(err)
	}
	return s.publishWaiting()
}

// Roll lets the next txn begin a new file.
func (s *Store) Roll() error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.log.Roll(); err != nil {
		return s.writes(err)
	}
	return s.publishWaiting()
}

// SaveEpoch replaces currentEpoch or acceptedEpoch.
func (s *Store) SaveEpoch(current bool, epoch wire.Epoch) error {
	if err := s.usable(); err != nil {
		return err
	}
	name := acceptedEpochFile
	if current {
		name = currentEpochFile
	}
	return s.writes(s.replace(name, strconv.AppendInt(nil, int64(epoch), 10)))
}

// replace writes a small file of the snapshot directory as a whole.
func (s *Store) replace(name string, content []byte) error {
	tmp := s.temp(name)
	f, err := s.fs.Create(tmp)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(content)
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

// temp is a name for a file of the snapshot directory until it is finished, which no other has.
func (s *Store) temp(name string) string {
	return path.Join(s.snapDir, fmt.Sprintf("%s%d.%s", tmpPrefix, s.temps.Add(1), name))
}

func (s *Store) removeFile(dir, name string) error {
	if err := s.fs.Remove(path.Join(dir, name)); err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}

func (s *Store) syncFile(name string) error {
	f, err := s.fs.Append(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
