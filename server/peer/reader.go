package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/snap"
	"github.com/zkctl/zkctl/wire"
)

const (
	readBytes = 128 << 10
	// maxBatch is how many packets are delivered in one go.
	maxBatch = 512
)

// read delivers what arrives until the connection ends, and returns why; nil if the other side closed it.
func (c *conn) read(in *bufio.Reader, batch []node.Input) error {
	for {
		if len(batch) > 0 && (len(batch) >= maxBatch || !nextIsWhole(in)) {
			c.deliver(batch)
			batch = nil
		}
		if c.isClosing() {
			// The other side may still be reading what was sent to it: a socket that is closed before all that arrived
			// has been read resets the connection.
			_, err := io.Copy(io.Discard, in)
			return err
		}
		packet, err := wire.ReadQuorumPacket(in, c.p.cfg.MaxPacketBytes)
		if err != nil {
			c.deliver(batch)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		c.p.packetsRead.Add(1)
		c.learner.receives(packet)
		batch = append(batch, node.PacketReceived{Conn: c.id, Packet: packet})
		if packet.Type == wire.PacketSnap && c.dialed {
			c.deliver(batch)
			received, err := c.readSnapshot(in, packet.Zxid)
			if err != nil {
				return fmt.Errorf("snapshot %v: %w", packet.Zxid, err)
			}
			batch = []node.Input{received}
		}
	}
}

func (c *conn) deliver(batch []node.Input) {
	if !c.isClosing() {
		c.p.deliver(batch...)
	}
}

// readSnapshot reads the stream behind SNAP. The node cannot tell a leader that is gone from one whose tree is large, so
// this is the place to give up.
func (c *conn) readSnapshot(in *bufio.Reader, zxid wire.Zxid) (node.Input, error) {
	begun := time.Now()
	c.limitReads(c.p.cfg.stallTimeout())
	t, err := snap.ReadStream(in, zxid, c.p.cfg.Tree)
	c.limitReads(0)
	if err != nil {
		return nil, err
	}
	c.p.snapshotsRead.Add(1)
	c.p.log.Info("snapshot received", "conn", uint64(c.id), "zxid", zxid.String(), "nodes", t.NodeCount(),
		"took", time.Since(begun))
	return node.SnapshotReceived{Conn: c.id, Database: &node.Database{Tree: t, LastZxid: zxid}}, nil
}

// limitReads sets how long the socket may bring nothing; 0 for as long as it likes.
func (c *conn) limitReads(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readLimit = d
	if d == 0 && !c.closing {
		_ = c.sock.SetReadDeadline(time.Time{}) // of a socket that has failed, which the next read notices
	}
}

// Read reads from the socket.
func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	if c.readLimit > 0 && !c.closing {
		_ = c.sock.SetReadDeadline(time.Now().Add(c.readLimit)) // as above
	}
	c.mu.Unlock()
	return c.sock.Read(b)
}

// nextIsWhole tells whether reading a packet now would not wait for the network.
func nextIsWhole(in *bufio.Reader) bool {
	b, err := in.Peek(in.Buffered())
	if err != nil || len(b) < 20 {
		return false
	}
	b = b[12:]
	if b, err = skipBuffer(b); err != nil || len(b) < 4 {
		return errors.Is(err, errLength)
	}
	n := int32(binary.BigEndian.Uint32(b))
	for b = b[4:]; n > 0 && err == nil; n-- {
		if b, err = skipBuffer(b); err == nil {
			b, err = skipBuffer(b)
		}
	}
	return err == nil || errors.Is(err, errLength)
}

var (
	errLength = errors.New("negative length")
	errShort  = errors.New("more is to come")
)

func skipBuffer(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	switch b = b[4:]; {
	case n == -1:
		return b, nil
	case n < 0:
		return nil, errLength
	case n > len(b):
		return nil, errShort
	}
	return b[n:], nil
}
