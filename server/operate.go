package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

const (
	// operationTimeout bounds what an operator waits for: the end of another snapshot, or an election.
	operationTimeout = 5 * time.Minute
	// nameTimeout bounds how long a snapshot that is complete may wait for the log to be durable as far as it shows, and so
	// for its name.
	nameTimeout = 10 * time.Second
)

var (
	errOperationTimeout = errors.New("it takes too long")
	errRestoring        = errors.New("another snapshot is being read")
)

// operations are what operators have asked the node for and wait for.
type operations struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan outcome
	// reading keeps a second snapshot from being read while memory holds another.
	reading sync.Mutex
}

type outcome struct {
	zxid wire.Zxid
	err  error
}

func (o *operations) begin() (id uint64, result chan outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	if o.waiting == nil {
		o.waiting = make(map[uint64]chan outcome)
	}
	result = make(chan outcome, 1)
	o.waiting[o.last] = result
	return o.last, result
}

// end tells who waits, if anybody still does.
func (o *operations) end(id uint64, result outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.waiting[id]; c != nil {
		c <- result
		delete(o.waiting, id)
	}
}

func (o *operations) forget(id uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, id)
}

// operate asks the node for something and waits for what comes of it.
func (s *Server) operate(ctx context.Context, ask func(id uint64) node.Input) (wire.Zxid, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, operationTimeout, errOperationTimeout)
	defer cancel()
	id, result := s.operations.begin()
	defer s.operations.forget(id)
	s.inbox.put([]node.Input{ask(id)})
	select {
	case r := <-result:
		return r.zxid, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// TakeSnapshot writes a snapshot while the tree changes, and returns its file.
func (a source) TakeSnapshot(ctx context.Context) (file string, zxid wire.Zxid, err error) {
	s := a.s
	zxid, err = s.operate(ctx, func(id uint64) node.Input { return node.SnapshotWanted{Request: id} })
	if err != nil {
		return "", 0, fmt.Errorf("take a snapshot: %w", err)
	}
	file = filepath.Join(s.cfg.SnapDir(), snap.FileName(zxid, snap.Compression(s.cfg.SnapshotCompression)))
	for deadline := time.Now().Add(nameTimeout); ; time.Sleep(5 * time.Millisecond) {
		if _, err = os.Stat(file); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return file, zxid, err
		}
	}
}

// Restore puts a snapshot in the place of the state; see node.Restore.
func (a source) Restore(ctx context.Context, from io.Reader) (wire.Zxid, error) {
	s := a.s
	if !s.operations.reading.TryLock() {
		return 0, fmt.Errorf("restore a snapshot: %w", errRestoring)
	}
	defer s.operations.reading.Unlock()
	began := time.Now()
	restored, err := readSnapshot(from, s.treeOptions())
	if err != nil {
		return 0, fmt.Errorf("restore a snapshot: %w", err)
	}
	s.log.Info("a snapshot is to be restored", "zxid", restored.LastZxid(), "nodes", restored.NodeCount(), "sessions", restored.SessionCount())
	zxid, err := s.operate(ctx, func(id uint64) node.Input { return node.Restore{Request: id, Tree: restored} })
	if err != nil {
		return 0, fmt.Errorf("restore a snapshot: %w", err)
	}
	s.log.Info("snapshot restored", "zxid", zxid, "took", time.Since(began).Round(time.Millisecond))
	s.metrics.RestoreTime.Took(time.Since(began))
	return zxid, nil
}

// readSnapshot reads a snapshot file, compressed or not. The zxid of the tree is the newest of which it may show effects.
func readSnapshot(from io.Reader, options tree.Options) (*tree.Tree, error) {
	in := bufio.NewReader(from)
	got, err := snap.ReadFile(snap.Decompress(in, snap.Detect(in)), 0, options)
	if err != nil {
		return nil, err
	}
	got.Tree.SetLastZxid(max(got.Newest, got.Tree.NewestChange()))
	return got.Tree, nil
}
