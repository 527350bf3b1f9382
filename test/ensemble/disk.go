package ensemble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// Propose adds a proposal, that this znode be created, to the log of a stopped member: the next one of the epoch that it
// knows, as its leader might have logged it just before it died. Nobody else has it.
func (m *Member) Propose(path string) error {
	if m.Running() {
		return fmt.Errorf("proposal of member %d: it runs", m.ID)
	}
	dir := filepath.Join(m.DataDir(), "version-2")
	s, db, err := store.Open(vfs.OS, dir, dir, store.Options{Tree: tree.Options{ExtendedTypes: true}, TrustEmpty: true})
	if err != nil {
		return fmt.Errorf("proposal of member %d: %w", m.ID, err)
	}
	root, _ := db.Tree.Lookup("/")
	h := txn.Header{Zxid: db.LastZxid + 1, Time: root.Stat().Mtime, Type: wire.OpCreate}
	record := &txn.Create{Path: path, ACL: wire.OpenACL(), ParentCversion: root.Stat().Cversion + 1}
	db.Tree.Apply(h, record, nil)
	e := txn.New(h, record, &txn.Digest{Version: tree.DigestVersion, Tree: db.Tree.Digest()})
	return errors.Join(s.Append(h.Zxid, e.Bytes), s.Sync())
}

// Backup copies the data of a stopped member to a new directory.
func (m *Member) Backup(to string) error {
	return os.CopyFS(to, os.DirFS(filepath.Join(m.DataDir(), "version-2")))
}

// Restore puts a backup in the place of what a stopped member has stored.
func (m *Member) Restore(from string) error {
	if err := m.Wipe(); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(m.DataDir(), "version-2"), os.DirFS(from))
}
