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

	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/vfs"
)

// DigestMismatches is how often the member, while it served, found that a txn's digest was not that of its tree.
func (m *Member) DigestMismatches() (int, error) {
	answer, err := m.Ask("mntr")
	if err != nil {
		return 0, fmt.Errorf("member %d: %w", m.ID, err)
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, "zk_digest_mismatches_count"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("member %d: mntr has no zk_digest_mismatches_count", m.ID)
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

// SameDiskDigests demands that all members, which must be stopped after a time without changes, have the same tree on disk.
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
