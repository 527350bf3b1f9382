package server

import (
	"path"

	"github.com/zkctl/zkctl/server/txnlog"
	"github.com/zkctl/zkctl/server/vfs"
)

// lazyLogs is a file system on which txn logs are written but not synced (forceSync=no): the operating system writes
// them when it likes, and a power cut takes what it has not.
type lazyLogs struct{ vfs.FS }

// Create makes a file.
func (l lazyLogs) Create(name string) (vfs.File, error) {
	f, err := l.FS.Create(name)
	if err != nil || !txnlog.IsName(path.Base(name)) {
		return f, err
	}
	return lazyFile{f}, nil
}

type lazyFile struct{ vfs.File }

// Sync does nothing.
func (lazyFile) Sync() error { return nil }
