package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
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
				if failure := (*Failure)(nil); !errors.As(err, &failure) || failure.Code != ExitStorage {
					t.Errorf("the server ended with %#v", err)
				}
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

// gatedFS takes no byte of a snapshot, or of files that begin otherwise, while its gate is locked.
type gatedFS struct {
	vfs.FS
	begin   string
	gate    sync.RWMutex
	waiting atomic.Int32
}

type gatedFile struct {
	vfs.File
	fs *gatedFS
}

func (f *gatedFS) Create(name string) (vfs.File, error) {
	file, err := f.FS.Create(name)
	if err == nil && strings.Contains(name, cmp.Or(f.begin, "snapshot.")) {
		return gatedFile{file, f}, nil
	}
	return file, err
}

func (f gatedFile) Write(b []byte) (int, error) {
	f.fs.waiting.Add(1)
	defer f.fs.waiting.Add(-1)
	f.fs.gate.RLock()
	defer f.fs.gate.RUnlock()
	return f.File.Write(b)
}

// While the disk takes no byte of a snapshot in the background, clients are served, so long as it takes their txns.
func TestSlowSnapshotDelaysNobody(t *testing.T) {
	m := newEnsemble(t, 1, "snapCount=50\n")[0]
	cfg, err := config.Load(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	disk := &gatedFS{FS: vfs.OS}
	s := newServer(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err := s.open(disk); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	waitFor(t, "the server", func() bool { return m.mode() != "" })
	conn := m.connect()
	disk.gate.Lock()
	for i := 0; disk.waiting.Load() == 0; i++ {
		// Enough data that not all of the snapshot fits into buffers.
		if _, err := conn.Create(fmt.Sprintf("/n%d", i), make([]byte, 10<<10), 0, open); err != nil {
			t.Fatal(err)
		}
		if i > 1000 {
			t.Fatal("no snapshot is written")
		}
	}
	for range 10 {
		if _, err := conn.Set("/n1", nil, -1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Get("/n1"); err != nil {
			t.Fatal(err)
		}
	}
	if disk.waiting.Load() == 0 {
		t.Error("nothing was waiting for the disk")
	}
	disk.gate.Unlock()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A leader whose disk takes nothing any more, while the others go on logging, makes room for one of them before what it has not
// logged takes its memory.
func TestLeaderWithoutADisk(t *testing.T) {
	members := newEnsemble(t, 3, "")
	cfg, err := config.Load(members[2].cfg)
	if err != nil {
		t.Fatal(err)
	}
	disk := &gatedFS{FS: vfs.OS, begin: "log."}
	s := newServer(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	s.leaderBacklogBytes = 2 << 20
	if err := s.open(disk); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	members[0].start()
	waitFor(t, "the leader", func() bool { return members[2].mode() == "leader" })
	members[1].start()
	waitFor(t, "the third one", func() bool { return members[1].mode() == "follower" })
	conn := connect(t, members[:2]...)
	write := func() error {
		_, err := conn.Set("/a", make([]byte, 100<<10), -1)
		return err
	}
	if _, err := conn.Create("/a", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	disk.gate.Lock()
	for i := 0; leaderOf(members[:2]) == nil; i++ {
		if err := write(); err != nil && !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) {
			t.Fatal(err)
		}
		if i > 1000 {
			t.Fatalf("it goes on leading with %d bytes to write", s.disk.backlog())
		}
	}
	if err := write(); err != nil {
		t.Error(err)
	}
	disk.gate.Unlock()
	waitFor(t, "the leader to follow", func() bool { return members[2].mode() == "follower" })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
