package store

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

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
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("read %s: %w", path.Join(s.snapDir, name), err)
	}
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	epoch, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32)
	if err != nil || epoch < 0 {
		return 0, fmt.Errorf("read %s: %q is no epoch", path.Join(s.snapDir, name), line)
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

// disclaimEpoch sets back a currentEpoch that was left behind when logs and snapshots were taken away: it claims a history
// that is gone, and with it the server could win an election against one that still has it. acceptedEpoch, which only
// makes it refuse, stays.
func (s *Store) disclaimEpoch() error {
	current, err := s.readEpoch(currentEpochFile)
	if err != nil || current <= 0 {
		return err
	}
	accepted, err := s.readEpoch(acceptedEpochFile)
	if err != nil {
		return err
	}
	s.opts.Log.Warn("there is no history: currentEpoch is set back", "epoch", current)
	if err := s.SaveEpoch(false, max(accepted, current)); err != nil {
		return err
	}
	return s.SaveEpoch(true, 0)
}
