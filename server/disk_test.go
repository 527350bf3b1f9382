package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/vfs"
)

// failingFS is the machine's file system until something breaks.
type failingFS struct {
	vfs.FS
	syncFails, full atomic.Bool
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f *failingFS) Create(name string) (vfs.File, error) {
	if f.full.Load() {
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	file, err := f.FS.Create(name)
	return failingFile{file, f}, err
}

func (f failingFile) Write(b []byte) (int, error) {
	if f.fs.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(b)
}

func (f failingFile) Sync() error {
	if f.fs.syncFails.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

// A disk that fails stops the server with an error that says so; what was acknowledged is there afterwards, and nothing
// that was not synced has been acknowledged.
func TestDiskFailures(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(*failingFS)
		want error
	}{
		"sync": {func(f *failingFS) { f.syncFails.Store(true) }, syscall.EIO},
		"full": {func(f *failingFS) { f.full.Store(true) }, syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			m := newEnsemble(t, 1, "snapCount=50\n")[0]
			cfg, err := config.Load(m.cfg)
			if err != nil {
				t.Fatal(err)
			}
			disk := &failingFS{FS: vfs.OS}
			s := newServer(cfg, Options{Log: slog.New(slog.DiscardHandler)})
			if err := s.open(disk); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.run(context.Background()) }()
			waitFor(t, "the server", func() bool { return m.mode() != "" })
			conn := m.connect()
			acknowledged := 0
			for ; ; acknowledged++ {
				if acknowledged == 120 {
					c.fail(disk)
				}
				if _, err := conn.Create(fmt.Sprintf("/n%d", acknowledged), nil, 0, open); err != nil {
					break
				}
			}
			if acknowledged != 120 {
				t.Errorf("%d writes were acknowledged, want 120", acknowledged)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, c.want) {
					t.Errorf("the server ended with %v, want %v", err, c.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the server goes on")
			}
			startAll(t, []*member{m})
			var children []string
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				if children, _, err = conn.Children("/"); err == nil || !errors.Is(err, zk.ErrConnectionClosed) {
					break
				}
			}
			count := 0
			for _, child := range children {
				if strings.HasPrefix(child, "n") {
					count++
				}
			}
			if err != nil || count < acknowledged {
				t.Errorf("%d nodes after the restart, want %d: %v", count, acknowledged, err)
			}
		})
	}
}
