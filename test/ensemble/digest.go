package ensemble

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/vfs"
)

// DigestMismatches is how often the member, while it served, found that a txn's digest was not that of its tree.
func (m *Member) DigestMismatches() (int, error) {
	value, err := m.Figure("zk_digest_mismatches_count")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

// DiskDigest is the digest of the tree that a stopped member has on disk, computed from all of its znodes. It is an error
// if the digest recorded with a txn is not that of the tree after it.
func (m *Member) DiskDigest() (uint64, error) {
	if m.Running() {
		return 0, fmt.Errorf("digest of member %d: it runs", m.ID)
	}
	dir, err := os.MkdirTemp("", "zk-digest-") // a copy, because recovery tidies up
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(m.DataDir(), "version-2"))); err != nil {
		return 0, fmt.Errorf("digest of member %d: %w", m.ID, err)
	}
	var warnings bytes.Buffer
	_, db, err := store.Open(vfs.OS, dir, dir, store.Options{
		Tree: tree.Options{ExtendedTypes: true}, TrustEmpty: true,
		Log: slog.New(slog.NewTextHandler(&warnings, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return 0, fmt.Errorf("digest of member %d: %w", m.ID, err)
	}
	if strings.Contains(strings.ReplaceAll(warnings.String(), dir, ""), "digest") { // the name of dir has the word
		return 0, fmt.Errorf("digest of member %d: %s", m.ID, warnings.String())
	}
	if kept, computed := db.Tree.Digest(), db.Tree.CheckedDigest(); kept != computed {
		return 0, fmt.Errorf("digest of member %d: %#x was kept up to date, all znodes give %#x", m.ID, kept, computed)
	}
	return db.Tree.Digest(), nil
}

// NoDigestMismatches demands that no running member has seen a txn whose digest was not that of its tree.
func (e *Ensemble) NoDigestMismatches() error {
	var errs []error
	for _, m := range e.Members() {
		if !m.Running() {
			continue
		}
		if n, err := m.DigestMismatches(); err != nil {
			errs = append(errs, err)
		} else if n != 0 {
			errs = append(errs, fmt.Errorf("member %d (%v) saw %d txns with another digest than its tree's", m.ID, m.Kind, n))
		}
	}
	return errors.Join(errs...)
}

// StopIdle stops all members when none of them knows of a session any more. A member that is stopped earlier may miss the end
// of a session that somebody else has closed, or that expires.
func (e *Ensemble) StopIdle(limit time.Duration) error {
	if err := Until(limit, "all sessions are over at each member", e.idle); err != nil {
		return err
	}
	for _, m := range e.Members() {
		if err := m.Stop(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Ensemble) idle() bool {
	for _, m := range e.Members() {
		if !m.Running() {
			continue
		}
		if sessions, err := m.Figure("zk_global_sessions"); err != nil || sessions != "0" {
			return false
		}
	}
	return true
}

// SameDiskDigests demands that all members, which must have been stopped by StopIdle, have the same tree on disk.
func (e *Ensemble) SameDiskDigests() (uint64, error) {
	digests := make(map[uint64][]int)
	var last uint64
	for _, m := range e.Members() {
		digest, err := m.DiskDigest()
		if err != nil {
			return 0, err
		}
		digests[digest], last = append(digests[digest], m.ID), digest
	}
	if len(digests) != 1 {
		return 0, fmt.Errorf("members have different trees on disk (digest: members): %#v", digests)
	}
	return last, nil
}
