package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/store"
	"github.com/zkctl/zkctl/wire"
)

// backlogBytes is how long the txns that wait for the disk may be together before nothing more is taken from the network.
const backlogBytes = 64 << 20

// leaderBacklogBytes is how long they may be together on a leader. It commits what the others have logged, and what they want
// it to propose does not wait for its disk.
const leaderBacklogBytes = 2 * backlogBytes

// snapPiece is how many nodes of a tree are read at a time for a snapshot in the background, while nothing else can
// change the tree.
const snapPiece = 256

// disk carries out storage effects on one goroutine, in order; what has been appended while it was busy shares one sync.
// Snapshots in the background have a goroutine of their own.
type disk struct {
	store   *store.Store
	members *config.Files // nil where memberships do not change
	cfg     *config.Config
	log     *slog.Logger
	view    sync.Locker
	metrics *metrics.Metrics
	// deliver hands StorageDone to the loop, and may wait.
	deliver func([]node.Input)
	// taken is told of a snapshot that somebody asked for.
	taken func(request uint64, zxid wire.Zxid)
	// failed takes the error after which nothing is written any more.
	failed func(error)

	// Of the goroutine alone: the last append that is not durable yet, when those that are not came, and the last sync.
	appended uint64
	since    []time.Time
	synced   time.Time

	ready chan struct{}
	mu    sync.Mutex
	queue []queued
	// bytes are those of the txns that are queued, or taken and not in the log yet; room tells of fewer, and of the end.
	bytes int
	room  sync.Cond
	ended bool
}

// queued is an effect and when it came.
type queued struct {
	node.Effect
	at time.Time
}

// purge deletes old snapshots and logs; it is an effect of the clock, not of the node.
type purge struct{ node.Effect }

func newDisk(s *store.Store, cfg *config.Config, log *slog.Logger, view sync.Locker, m *metrics.Metrics) *disk {
	d := &disk{store: s, cfg: cfg, log: log, view: view, metrics: m, ready: make(chan struct{}, 1)}
	d.room.L = &d.mu
	return d
}

// add queues an effect. It does not wait.
func (d *disk) add(e node.Effect) {
	now := time.Now()
	d.mu.Lock()
	d.queue = append(d.queue, queued{e, now})
	if a, ok := e.(node.Append); ok {
		d.bytes += len(a.Txn)
	}
	d.mu.Unlock()
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// awaitRoom waits while too much waits for the disk. Nobody does whom the disk waits for.
func (d *disk) awaitRoom() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes > backlogBytes && !d.ended {
		d.room.Wait()
	}
}

// backlog is how long the txns are together that wait for the disk.
func (d *disk) backlog() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

// appendedBytes notes that a txn of that length is in the log.
func (d *disk) appendedBytes(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes > backlogBytes && d.bytes-n <= backlogBytes {
		d.room.Broadcast()
	}
	d.bytes -= n
}

// end lets everybody go who waits for room.
func (d *disk) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.room.Broadcast()
}

func (d *disk) take(into []queued) []queued {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(into)
	queue := d.queue
	d.queue = into[:0]
	return queue
}

// run works until ctx ends or something fails.
func (d *disk) run(ctx context.Context) {
	defer d.end()
	var aside sync.WaitGroup
	defer aside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var batch []queued
	for {
		var late <-chan time.Time
		if d.appended != 0 {
			late = time.After(d.patience())
		}
		var err error
		select {
		case <-ctx.Done():
			return
		case <-d.ready:
			batch = d.take(batch)
			d.metrics.SyncProcessorQueueSize.Add(int64(len(batch)))
			err = d.work(ctx, batch, &aside)
		case <-late:
			err = d.sync()
		}
		if err != nil {
			d.failed(err)
			return
		}
	}
}

// patience is how long appended txns may still wait for others that share their sync: as in Apache ZooKeeper's
// SyncRequestProcessor, for the next one WriteQueuePollTime, and for all of them FlushDelay since the last sync.
func (d *disk) patience() time.Duration {
	return min(d.cfg.Storage.WriteQueuePollTime, d.cfg.Storage.FlushDelay-time.Since(d.synced))
}

// work carries out effects in order.
func (d *disk) work(ctx context.Context, batch []queued, aside *sync.WaitGroup) error {
	now := time.Now()
	for i, q := range batch {
		batch[i] = queued{} // which would hold what the log has
		switch e := q.Effect.(type) {
		case node.Append:
			d.metrics.SyncProcessorRequestQueued.Add(1)
			d.metrics.SyncProcessorQueueTime.Took(now.Sub(q.at))
			if err := d.store.Append(e.Zxid, e.Txn); err != nil {
				return err
			}
			d.appendedBytes(len(e.Txn))
			d.appended, d.since = e.ID, append(d.since, q.at)
			began := now
			now = time.Now()
			d.metrics.SyncProcessTime.Took(now.Sub(began))
			if limit := d.cfg.Storage.MaxBatchSize; limit > 0 && len(d.since) >= limit {
				if err := d.sync(); err != nil {
					return err
				}
			}
			continue
		case node.TakeSnapshot:
			if e.Background {
				aside.Go(func() { d.snapshot(ctx, e) })
				continue
			}
		case node.ReadLog:
			aside.Go(func() { d.readLog(e) })
			continue
		}
		if err := d.sync(); err != nil {
			return err
		}
		done, err := d.do(q.Effect)
		if err != nil {
			return err
		}
		if done.ID != 0 {
			d.deliver([]node.Input{done})
		}
		now = time.Now()
	}
	if d.cfg.Storage.FlushDelay > 0 && d.patience() > 0 {
		return nil
	}
	return d.sync()
}

// sync makes appended txns durable.
func (d *disk) sync() error {
	if d.appended == 0 {
		return nil
	}
	began := time.Now()
	if err := d.store.Sync(); err != nil {
		return err
	}
	d.synced = time.Now()
	d.noteSync(d.synced.Sub(began))
	d.deliver([]node.Input{node.StorageDone{ID: d.appended}})
	d.appended, d.since = 0, d.since[:0]
	return nil
}

// noteSync counts a sync, and tells of a slow one.
func (d *disk) noteSync(took time.Duration) {
	d.metrics.FsyncTime.Took(took)
	d.metrics.SyncProcessorQueueFlushTime.Took(took)
	d.metrics.SyncProcessorBatchSize.Add(int64(len(d.since)))
	for _, at := range d.since {
		d.metrics.SyncProcessorQueueAndFlushTime.Took(d.synced.Sub(at))
	}
	if took > d.cfg.FsyncWarning {
		d.log.Warn("slow disk: writing the log took long", "took", took, "txns", len(d.since))
		d.metrics.FsyncThresholdExceedCount.Add(1)
	}
}

// do carries out an effect that is no append.
func (d *disk) do(e node.Effect) (node.StorageDone, error) {
	switch e := e.(type) {
	case node.RollLog:
		return node.StorageDone{ID: e.ID}, d.store.Roll()
	case node.SaveEpoch:
		return node.StorageDone{ID: e.ID}, d.store.SaveEpoch(e.Current, e.Epoch)
	case node.SaveMembers:
		if err := d.members.Save(e.Members, e.LastSeen); err != nil {
			return node.StorageDone{}, err
		}
		d.log.Info("membership saved", "version", fmt.Sprintf("%x", e.Members.Version()), "proposed", fmt.Sprintf("%x", e.LastSeen.Version()))
		return node.StorageDone{ID: e.ID}, nil
	case node.TakeSnapshot:
		began := time.Now()
		write := d.store.WriteSnapshot
		if e.Supersede {
			write = d.store.Supersede
		}
		err := write(e.Tree, e.Zxid)
		d.wroteSnapshot(e, began)
		return node.StorageDone{ID: e.ID}, err
	case node.Truncate:
		began := time.Now()
		db, err := d.store.Truncate(e.Zxid)
		d.metrics.DBInitTime.Took(time.Since(began))
		if err == nil {
			d.log.Info("truncated the log", "zxid", e.Zxid)
		} else {
			d.log.Warn("truncate the log", "zxid", e.Zxid, "error", err)
		}
		return node.StorageDone{ID: e.ID, Database: db, Err: err}, nil
	case node.Reload:
		began := time.Now()
		db, err := d.store.Reload()
		d.metrics.DBInitTime.Took(time.Since(began))
		return node.StorageDone{ID: e.ID, Database: db}, err
	case purge:
		n, err := d.store.Purge(d.cfg.SnapRetainCount)
		if n > 0 {
			d.log.Info("purged old snapshots and logs", "files", n)
		}
		return node.StorageDone{}, err
	}
	panic(fmt.Sprintf("server: effect %T", e))
}

// snapshot writes a snapshot while the tree changes. It is given up when the server stops; a failure stops the server,
// since a disk that cannot take a snapshot will soon not take a log.
func (d *disk) snapshot(ctx context.Context, e node.TakeSnapshot) {
	began := time.Now()
	err := d.writeFuzzy(ctx, e)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.failed(err)
		return
	}
	d.wroteSnapshot(e, began)
	for _, request := range e.Requests {
		d.taken(request, e.Zxid)
	}
	d.deliver([]node.Input{node.StorageDone{ID: e.ID}})
}

func (d *disk) writeFuzzy(ctx context.Context, e node.TakeSnapshot) error {
	viewed := func(f func() error) error {
		d.view.Lock()
		defer d.view.Unlock()
		return f()
	}
	var snapshot *store.Snapshot
	err := viewed(func() (err error) {
		snapshot, err = d.store.NewSnapshot(e.Tree, e.Zxid)
		return err
	})
	for more := true; err == nil && more; {
		if ctx.Err() != nil {
			return ctx.Err() // what was written is removed at the next start
		}
		err = viewed(func() (err error) {
			more, err = snapshot.Next(snapPiece)
			return err
		})
		if err == nil {
			err = snapshot.Write()
		}
	}
	if err == nil {
		err = viewed(snapshot.Seal)
	}
	if err == nil {
		err = snapshot.Commit()
	}
	return err
}

// readLog reads what a learner lacks.
func (d *disk) readLog(e node.ReadLog) {
	txns, err := d.store.Missed(e.After, e.UpTo, d.cfg.Storage.SnapshotSizeFactor)
	if err != nil {
		d.log.Info("a learner lacks more than the log has for it", "zxid", e.After, "error", err)
		txns = nil
	}
	d.deliver([]node.Input{node.LogRead{Conn: e.Conn, Txns: txns}})
}

func (d *disk) wroteSnapshot(e node.TakeSnapshot, began time.Time) {
	took := time.Since(began)
	d.log.Debug("snapshot written", "zxid", e.Zxid, "took", took)
	d.metrics.SnapshotTime.Took(took)
}
