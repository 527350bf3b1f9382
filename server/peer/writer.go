package peer

import (
	"bytes"
	"fmt"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/server/tree"
)

const (
	// writeBytes are collected before they are written.
	writeBytes = 64 << 10
	// keepBytes is the largest buffer that is used again.
	keepBytes = 1 << 20
	// pieceNodes and pieceBytes bound what is read from a tree without letting others at it.
	pieceNodes = 512
	pieceBytes = 256 << 10
	stepNodes  = 16
)

// write writes what is queued until the connection ends.
func (c *conn) write() {
	var (
		buf   []byte
		batch []outgoing
	)
	for {
		var ok bool
		if batch, ok = c.take(batch); !ok {
			return
		}
		for i := range batch {
			o := &batch[i]
			buf = o.packet.Append(buf)
			c.p.packetsSent.Add(1)
			c.learner.sends(o.packet)
			if o.tree == nil && len(buf) < writeBytes && i < len(batch)-1 {
				continue
			}
			err := c.writeOut(buf)
			c.written(len(buf))
			if buf = buf[:0]; cap(buf) > keepBytes {
				buf = nil
			}
			if err == nil && o.tree != nil {
				err = c.writeSnapshot(o.tree)
			}
			if err != nil {
				c.fail(fmt.Errorf("write: %w", err))
				return
			}
		}
		clear(batch)
	}
}

// take waits for something to write. It is false when there is nothing and never will be; a connection that is being
// closed then has told the other side.
func (c *conn) take(done []outgoing) ([]outgoing, bool) {
	for {
		c.mu.Lock()
		switch {
		case c.ended:
			c.mu.Unlock()
			return nil, false
		case len(c.queue) > 0:
			batch := c.queue
			c.queue = done[:0]
			c.learner.takes(len(batch))
			c.mu.Unlock()
			return batch, true
		case c.closing:
			half, ok := c.sock.(interface{ CloseWrite() error })
			c.mu.Unlock()
			if !ok || half.CloseWrite() != nil { // over TLS it may wait for the socket
				c.fail(nil)
			}
			return nil, false
		}
		c.mu.Unlock()
		<-c.wake
	}
}

// writeOut writes to the socket, which has to take it in time.
func (c *conn) writeOut(b []byte) error {
	c.mu.Lock()
	deadline := time.Now().Add(c.p.cfg.stallTimeout())
	if c.closing && c.closeBy.Before(deadline) {
		deadline = c.closeBy
	}
	err := c.sock.SetWriteDeadline(deadline)
	c.mu.Unlock()
	if err == nil {
		_, err = c.sock.Write(b)
	}
	return err
}

// written takes note that encoded packets are no longer waiting.
func (c *conn) written(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.queuedBytes -= n
	}
}

// writeSnapshot writes the stream of a tree. The tree is read in pieces, in between others may change it; no piece waits
// for the socket while it keeps them from doing so.
func (c *conn) writeSnapshot(t *tree.Tree) error {
	begun := time.Now()
	var piece bytes.Buffer
	var enc *snap.Encoder
	for more := true; more; {
		c.p.cfg.View.Lock()
		var err error
		if enc == nil {
			enc, err = snap.NewStream(&piece, t)
		}
		for n := 0; more && err == nil && n < pieceNodes && piece.Len() < pieceBytes; n += stepNodes {
			more, err = enc.Next(stepNodes)
		}
		if err == nil && !more {
			err = enc.Finish()
		}
		c.p.cfg.View.Unlock()
		if err != nil {
			return err
		}
		if c.isClosing() {
			return fmt.Errorf("closed in the middle of a snapshot")
		}
		if !more {
			c.p.snapshotsSent.Add(1)
			c.p.log.Info("snapshot sent", "conn", uint64(c.id), "remote", c.remote, "took", time.Since(begun))
			c.p.deliver(node.SnapshotSent{Conn: c.id})
		}
		if err := c.writeOut(piece.Bytes()); err != nil {
			return err
		}
		piece.Reset()
	}
	c.mu.Lock()
	c.snapshots--
	c.mu.Unlock()
	return nil
}
