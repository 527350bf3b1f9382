package store

import (
	"fmt"
	"path"

	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// minRetained is the smallest number of snapshots that stay (autopurge.snapRetainCount).
const minRetained = 3

// Purge deletes what the newest snapshots make superfluous: all snapshots that are older than the newest retain, at
// least 3, that were written to their end, and the logs that end before the oldest of these. It returns how many files
// it deleted. Snapshots that look damaged do not count; with too few others nothing is deleted.
func (s *Store) Purge(retain int) (int, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	n, err := s.purge(max(retain, minRetained))
	if err != nil {
		return n, s.writes(fmt.Errorf("purge: %w", err))
	}
	return n, nil
}

// PurgeFiles does what Purge does to the directories of a server that may be running, and tells of each file before it
// deletes it.
func PurgeFiles(fs vfs.FS, logDir, snapDir string, retain int, removing func(name string)) error {
	s := &Store{fs: fs, logDir: path.Clean(logDir), snapDir: path.Clean(snapDir), removing: removing}
	if _, err := s.purge(max(retain, minRetained)); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

func (s *Store) purge(retain int) (int, error) {
	snapshots, err := s.snapshots()
	if err != nil {
		return 0, err
	}
	oldest, good := wire.Zxid(-1), 0
	for _, f := range snapshots {
		if good < retain && f.zxid != oldest && s.whole(f) {
			oldest = f.zxid
			good++
		}
	}
	if good < retain {
		return 0, nil
	}
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
		func(first wire.Zxid) bool { return count(first < covering) },
		func(f snapshotFile) bool { return count(f.zxid < oldest) },
	)
	return n, err
}
