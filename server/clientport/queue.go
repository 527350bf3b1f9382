package clientport

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// Small frames are copied into chunks of this size, one after the other; a frame of more than half of it is sent from
// where it is.
const chunkBytes = 4 << 10

// chunks are lent to queues while they hold something to send.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

type chunk struct {
	used int
	data [chunkBytes]byte
}

// outQueue holds what waits to be written to one connection. While empty it holds no memory.
type outQueue struct {
	parts net.Buffers
	// lent are the chunks behind some of the parts; the last of them may have room, if it is also the last part.
	lent  []*chunk
	open  bool
	bytes int
}

// addFrame appends a frame behind its length. The frame must not change until it was sent.
func (q *outQueue) addFrame(frame []byte) {
	var prefix [4]byte
	binary.BigEndian.PutUint32(prefix[:], uint32(len(frame)))
	q.add(prefix[:])
	q.add(frame)
}

// add appends bytes, which must not change until they were sent.
func (q *outQueue) add(b []byte) {
	q.bytes += len(b)
	if len(b) > chunkBytes/2 {
		q.parts = append(q.parts, b)
		q.open = false
		return
	}
	if !q.open || chunkBytes-q.lent[len(q.lent)-1].used < len(b) {
		c := chunks.Get().(*chunk)
		c.used = 0
		q.lent = append(q.lent, c)
		q.parts = append(q.parts, nil)
		q.open = true
	}
	c := q.lent[len(q.lent)-1]
	c.used += copy(c.data[c.used:], b)
	last := len(q.parts) - 1
	q.parts[last] = c.data[c.used-len(q.parts[last])-len(b) : c.used]
}

// take moves everything to a new queue.
func (q *outQueue) take() outQueue {
	taken := *q
	*q = outQueue{}
	return taken
}

// drop forgets everything.
func (q *outQueue) drop() { q.writeTo(io.Discard) }

// writeTo writes everything and gives the chunks back.
func (q *outQueue) writeTo(w io.Writer) error {
	var err error
	if len(q.parts) == 1 {
		_, err = w.Write(q.parts[0])
	} else if len(q.parts) > 1 {
		_, err = q.parts.WriteTo(w)
	}
	for _, c := range q.lent {
		chunks.Put(c)
	}
	*q = outQueue{}
	return err
}
