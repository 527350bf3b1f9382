package store

import (
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/zab"
	"github.com/zkctl/zkctl/wire"
)

// errNotInLog says that the log does not have what was asked for.
var errNotInLog = errors.New("the log does not have it")

// Missed reads the txns behind after, up to upTo, for a learner: as many of them as follow each other without a hole. They
// are refused if they take more bytes than can be sent at once, or than factor (zookeeper.snapshotSizeFactor) times the newest snapshot, or if it is
// not certain that the history with after in it is this server's. It may run beside everything else.
func (s *Store) Missed(after, upTo wire.Zxid, factor float64) ([]txn.Entry, error) {
	s.mu.Lock()
	ours := s.ours
	s.mu.Unlock()
	if after < ours {
		return nil, fmt.Errorf("%v: the history before %v may be another one: %w", after, ours, errNotInLog)
	}
	limit, err := s.missedLimit(factor)
	if err != nil {
		return nil, err
	}
	logs, err := txnlog.Files(s.fs, s.logDir)
	if err != nil {
		return nil, err
	}
	first := 0
	for i, z := range logs {
		if z <= after {
			first = i
		}
	}
	m := missed{last: after, upTo: upTo, limit: limit}
	for _, z := range logs[first:] {
		if z > upTo {
			break
		}
		if err := m.file(s, path.Join(s.logDir, txnlog.Name(z))); err != nil {
			return nil, err
		}
	}
	return m.txns, nil
}

// missedLimit is how many bytes may be read.
func (s *Store) missedLimit(factor float64) (int64, error) {
	snapshots, err := s.snapshots()
	if err != nil || len(snapshots) == 0 {
		return 0, err
	}
	f, err := s.fs.Open(path.Join(s.snapDir, snapshots[0].name()))
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return int64(min(factor*float64(size), zab.MaxSyncBytes)), nil
}

// missed collects txns behind a zxid.
type missed struct {
	last, upTo wire.Zxid
	limit      int64
	found      bool // the txn with which the collection began, or one that comes directly behind it
	torn       bool // the end of the file before: an epoch that begins in the next one could follow any txn
	txns       []txn.Entry
}

func (m *missed) file(s *Store, name string) error {
	r, err := txnlog.OpenReader(s.fs, name)
	if err != nil {
		return err
	}
	defer r.Close()
	for m.last < m.upTo {
		e, err := r.Next()
		if err == io.EOF || errors.Is(err, txnlog.ErrTorn) {
			m.torn = m.torn || err != io.EOF
			return nil // the next file goes on, or what has not been written yet is in memory
		}
		if err != nil {
			return err
		}
		switch zxid := e.Header.Zxid; {
		case zxid == m.last:
			m.found = true
			continue
		case zxid < m.last:
			continue
		case zxid > m.upTo:
			return nil
		// Who was in sync when an epoch began has no txn of it, and the history that its first txn continues.
		case (!m.found || m.torn) && zxid != m.last+1, !zab.Follows(m.last, zxid):
			return fmt.Errorf("%v comes after %v: %w", zxid, m.last, errNotInLog)
		}
		m.found, m.torn, m.last = true, false, e.Header.Zxid
		m.limit -= int64(len(e.Bytes) + 2*zab.PacketBytes) // PROPOSAL and COMMIT
		if m.limit < 0 {
			return fmt.Errorf("more than a snapshot is worth: %w", errNotInLog)
		}
		m.txns = append(m.txns, e)
	}
	return nil
}
