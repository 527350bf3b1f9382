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
	// AddApplied adds the zxid of the last txn to snapshots, as Apache ZooKeeper 3.9 does
	// (zookeeper.serializeLastProcessedZxid.enabled).
	AddApplied bool
	// LogSizeLimitBytes is the length of a log after which the next one begins (zookeeper.txnLogSizeLimitInKb); not positive
	// for any length.
	LogSizeLimitBytes int64
	// NoDirCreate refuses to make the directories (zookeeper.datadir.autocreate=false).
	NoDirCreate bool
	// NoEmptyDB takes an empty disk for one that has lost its data (zookeeper.db.autocreate=false), unless there is a file
	// InitializeFile next to one of the directories.
	NoEmptyDB bool
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
	// removing is told of each file that is about to be deleted; nil for nobody.
	removing func(name string)
	failed   atomic.Pointer[failure]

	mu      sync.Mutex
	synced  wire.Zxid   // of the history that is durable
	ours    wire.Zxid   // from where on the logs are certainly of this history
	waiting []*Snapshot // which show txns above synced
}

// failure ends the use of a store.
type failure struct{ err error }

// InitializeFile, in dataDir or dataLogDir, says that an empty disk has lost nothing. It is for one start.
const InitializeFile = "initialize"

// ErrDirectory says that a directory for data cannot be used.
var ErrDirectory = errors.New("the data directory cannot be used")

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
	if err := s.makeDirs(); err != nil {
		return nil, nil, err
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
	if err := s.removeInitialize(); err != nil {
		return nil, nil, err
	}
	got, err := s.recover(maxZxid)
	if err != nil {
		return nil, nil, s.advise(err)
	}
	db := got.db
	if err := s.recoverEpochs(db); err != nil {
		return nil, nil, err
	}
	s.restart(db.LastZxid, got.ours())
	return s, db, nil
}

func (s *Store) dirs() []string {
	if s.logDir == s.snapDir {
		return []string{s.snapDir}
	}
	return []string{s.snapDir, s.logDir}
}

// makeDirs makes the directories, or checks that they are there.
func (s *Store) makeDirs() error {
	for _, dir := range s.dirs() {
		if !s.opts.NoDirCreate {
			if err := s.fs.MkdirAll(dir); err != nil {
				return fmt.Errorf("%w: make it: %w", ErrDirectory, err)
			}
		}
		if _, err := s.fs.List(dir); vfs.IsNotExist(err) {
			return fmt.Errorf("%w: %s is missing, and datadir.autocreate=false keeps this server from making it", ErrDirectory, dir)
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrDirectory, err)
		}
	}
	return nil
}

// initializeFiles are the places in which InitializeFile counts.
func (s *Store) initializeFiles() []string {
	var files []string
	for _, dir := range s.dirs() {
		files = append(files, path.Join(path.Dir(dir), InitializeFile))
	}
	return files
}

// initialized tells whether an empty disk has lost nothing.
func (s *Store) initialized() (bool, error) {
	for _, name := range s.initializeFiles() {
		f, err := s.fs.Open(name)
		if err == nil {
			return true, f.Close()
		}
		if !vfs.IsNotExist(err) {
			return false, err
		}
	}
	return false, nil
}

// removeInitialize removes what counts for this start alone.
func (s *Store) removeInitialize() error {
	for _, name := range s.initializeFiles() {
		if err := s.fs.Remove(name); err != nil && !vfs.IsNotExist(err) {
			return err
		}
	}
	return nil
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
		return fmt.Errorf("%w: %s holds %s, but logs belong into %s: move them there: %w", ErrDirectory, s.snapDir, txnlog.Name(logs[0]), s.logDir, ErrIncomplete)
	}
	snapshots, err := snapshotsIn(s.fs, s.logDir)
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		return fmt.Errorf("%w: %s holds %s, but snapshots belong into %s: move them there: %w", ErrDirectory, s.logDir, snapshots[0].name(), s.snapDir, ErrIncomplete)
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
	if limit := s.opts.LogSizeLimitBytes; limit > 0 && s.log.SizeBytes() > limit {
		return s.Roll()
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
	if s.removing != nil {
		s.removing(path.Join(dir, name))
	}
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
