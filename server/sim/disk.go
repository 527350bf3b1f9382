package sim

import (
	"bufio"
	"bytes"
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
	"github.com/zkctl/zkctl/wire"
)

// disk is the storage of one machine: the real log, snapshots and recovery on a disk in memory that loses what was not
// synced when the machine crashes. Effects are done strictly in order, consecutive appends with one sync, and take time.
type disk struct {
	m     *machine
	files files
	queue []node.Effect
	busy  bool
	doing node.Effect   // while busy
	slow  time.Duration // added to every operation
	// repairs undo the damage that was done to files.
	repairs []func()

	// What is known to be on disk.
	durableZxid   wire.Zxid
	acceptedEpoch wire.Epoch
	currentEpoch  wire.Epoch
}

// open recovers what is on disk.
func (d *disk) open() (*node.Database, error) {
	d.queue, d.busy = nil, false
	db, err := d.files.open()
	if err != nil {
		return nil, err
	}
	d.durableZxid, d.acceptedEpoch, d.currentEpoch = db.LastZxid, db.AcceptedEpoch, db.CurrentEpoch
	return db, nil
}

// crash loses what was not synced.
func (d *disk) crash() {
	if d.busy && d.m.w.opts.More {
		d.halfDo(d.doing)
	}
	d.queue, d.busy = nil, false
	d.files.crash(d.m.w.rand)
}

// kill loses only what the process had in mind.
func (d *disk) kill() {
	d.queue, d.busy = nil, false
	d.files.mem.Kill()
}

func (d *disk) enqueue(e node.Effect) {
	if s, ok := e.(node.TakeSnapshot); ok && s.Background {
		d.snapshotInBackground(s)
		return
	}
	if r, ok := e.(node.ReadLog); ok {
		d.readLog(r)
		return
	}
	d.queue = append(d.queue, e)
	d.work()
}

func (d *disk) latency() time.Duration {
	w := d.m.w
	l := w.between(100*time.Microsecond, 2*time.Millisecond) + d.slow
	if w.chance(0.01) {
		l += w.between(0, 100*time.Millisecond)
	}
	return l
}

// work begins the next operation.
func (d *disk) work() {
	if d.busy || len(d.queue) == 0 {
		return
	}
	d.busy = true
	n := 1
	if _, ok := d.queue[0].(node.Append); ok {
		for n < len(d.queue) {
			if _, ok := d.queue[n].(node.Append); !ok {
				break
			}
			n++
		}
	}
	batch := append([]node.Effect(nil), d.queue[:n]...)
	d.queue = d.queue[n:]
	d.doing = batch[n-1]
	for _, e := range batch {
		if err := d.begin(e); err != nil {
			d.failed(fmt.Sprintf("%T", e), err)
			return
		}
	}
	life := d.m.life
	d.m.w.after(d.latency(), func() {
		if d.m.life != life {
			return
		}
		done, err := d.end(batch[len(batch)-1])
		if err != nil {
			d.failed(fmt.Sprintf("%T", batch[0]), err)
			return
		}
		d.busy = false
		d.m.step(done)
		if d.m.life == life {
			d.work()
		}
	})
}

// begin does what a crash from now on may leave half done.
func (d *disk) begin(e node.Effect) error {
	switch e := e.(type) {
	case node.Append:
		d.m.w.checks.members.logs(d.m, e)
		return d.files.store.Append(e.Zxid, e.Txn)
	case node.RollLog:
		return d.files.store.Roll()
	case node.SaveEpoch:
		return d.files.store.SaveEpoch(e.Current, e.Epoch)
	case node.TakeSnapshot:
		d.m.w.checks.members.snapshots(d.m, e.Tree)
		if e.Supersede {
			d.durableZxid = min(d.durableZxid, e.Zxid)
		}
		return d.files.snapshot(e.Tree, e.Zxid, e.Supersede)
	case node.Truncate, node.Reload, node.SaveMembers:
		return nil
	}
	return fmt.Errorf("unknown effect")
}

// end makes it durable and says so.
func (d *disk) end(e node.Effect) (node.StorageDone, error) {
	switch e := e.(type) {
	case node.Append:
		err := d.files.store.Sync()
		if err == nil {
			d.durableZxid = e.Zxid
		}
		return node.StorageDone{ID: e.ID}, err
	case node.RollLog:
		return node.StorageDone{ID: e.ID}, nil
	case node.SaveEpoch:
		if e.Current {
			d.currentEpoch = e.Epoch
		} else {
			d.acceptedEpoch = e.Epoch
		}
		return node.StorageDone{ID: e.ID}, nil
	case node.TakeSnapshot:
		if e.Supersede {
			d.durableZxid = e.Zxid
			d.m.model.restart(e.Zxid)
		}
		return node.StorageDone{ID: e.ID}, nil
	case node.SaveMembers:
		d.m.w.checks.members.saved(d.m, e)
		return node.StorageDone{ID: e.ID}, d.files.members.Save(e.Members, e.LastSeen)
	case node.Truncate:
		db, err := d.files.store.Truncate(e.Zxid)
		if err == nil {
			d.durableZxid = db.LastZxid
			d.m.model.restart(db.LastZxid)
		}
		if d.impaired(err) {
			d.durableZxid = min(d.durableZxid, e.Zxid) // some of it may be cut off
			return node.StorageDone{}, err
		}
		return node.StorageDone{ID: e.ID, Database: db, Err: err}, nil
	case node.Reload:
		d.m.w.tracef("%s TAINTED reload", d.m.name)
		db, err := d.files.store.Reload()
		if err == nil {
			d.m.model.restart(db.LastZxid)
		}
		return node.StorageDone{ID: e.ID, Database: db}, err
	}
	return node.StorageDone{}, fmt.Errorf("unknown effect")
}

// snapshotInBackground writes the tree in pieces, while it changes.
func (d *disk) snapshotInBackground(e node.TakeSnapshot) {
	w := d.m.w
	life := d.m.life
	p, err := d.files.store.NewSnapshot(e.Tree, e.Zxid)
	var next func()
	next = func() {
		if d.m.life != life {
			return
		}
		more := false
		if err == nil {
			more, err = p.Next(1 + w.rand.IntN(10))
		}
		if more {
			w.after(w.between(0, 10*time.Millisecond), next)
			return
		}
		if err == nil {
			err = p.Seal()
		}
		w.after(d.latency(), func() {
			if d.m.life != life {
				return
			}
			if err == nil {
				err = p.Commit()
			}
			if err != nil {
				d.failed("snapshot", err)
				return
			}
			if w.opts.More && w.more.IntN(2) == 0 {
				if _, err := d.files.store.Purge(3); err != nil {
					d.failed("purge", err)
					return
				}
			}
			d.m.step(node.StorageDone{ID: e.ID})
		})
	}
	w.after(d.latency(), next)
}

// readLog reads what a learner lacks, beside everything else.
func (d *disk) readLog(e node.ReadLog) {
	life := d.m.life
	d.m.w.after(d.latency(), func() {
		if d.m.life != life {
			return
		}
		txns, err := d.files.store.Missed(e.After, e.UpTo, d.m.w.rand.Float64()*10)
		if err != nil {
			txns = nil
		} else if len(txns) > 0 {
			d.m.w.logDiffs++
		}
		d.m.w.after(d.latency(), func() {
			if d.m.life == life {
				d.m.step(node.LogRead{Conn: e.Conn, Txns: txns})
			}
		})
	})
}

// sendSnapshot streams the tree to a learner while it changes.
func (m *machine) sendSnapshot(e *end, s node.SendSnapshot) {
	w := m.w
	life := m.life
	p := &parcel{packet: wire.QuorumPacket{Type: wire.PacketSnap, Zxid: s.Zxid}}
	w.net.send(e, p)
	var stream bytes.Buffer
	enc, err := snap.NewStream(&stream, s.Tree)
	var next func()
	next = func() {
		if m.life != life || !e.conn.open || e.closed {
			return
		}
		more := false
		if err == nil {
			more, err = enc.Next(1 + w.rand.IntN(10))
		}
		if more {
			w.after(w.between(0, 10*time.Millisecond), next)
			return
		}
		if err == nil {
			err = enc.Finish()
		}
		var t *tree.Tree
		if err == nil {
			t, err = snap.ReadStream(bufio.NewReader(&stream), s.Zxid, s.Tree.Options())
		}
		if err != nil {
			w.fail("snapshot", "%s sends a stream that cannot be read: %v", m.name, err)
			return
		}
		p.snapshot = &node.Database{Tree: t, LastZxid: s.Zxid}
		p.ready = true
		w.net.move(e)
		m.step(node.SnapshotSent{Conn: e.id})
	}
	w.after(w.between(0, 5*time.Millisecond), next)
}
