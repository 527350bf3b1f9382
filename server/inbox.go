package server

import (
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

// inboxLimit is how many inputs may wait for the loop before those who bring more have to wait, inboxBytes how long the
// requests and packets among them may be together.
const (
	inboxLimit = 16 << 10
	inboxBytes = 16 << 20
)

// inbox is where everybody leaves inputs for the loop. It is bounded: put waits for the loop, and the loop never waits
// for those who put.
type inbox struct {
	ready chan struct{} // holds something while inputs wait

	mu     sync.Mutex
	room   sync.Cond
	inputs []node.Input
	bytes  int
	since  time.Time // when the first of them came
	closed bool
}

func newInbox() *inbox {
	b := &inbox{ready: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// put adds inputs. Once the inbox is closed they are forgotten.
func (b *inbox) put(inputs []node.Input) {
	bytes := inputsBytes(inputs)
	b.mu.Lock()
	for (len(b.inputs) >= inboxLimit || b.bytes >= inboxBytes) && !b.closed {
		b.room.Wait()
	}
	if !b.closed {
		if len(b.inputs) == 0 {
			b.since = time.Now()
		}
		b.inputs = append(b.inputs, inputs...)
		b.bytes += bytes
	}
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// inputsBytes is how long the requests and packets among inputs are together.
func inputsBytes(inputs []node.Input) int {
	bytes := 0
	for _, in := range inputs {
		switch in := in.(type) {
		case node.ClientRequest:
			bytes += len(in.Body)
		case node.PacketReceived:
			bytes += len(in.Packet.Data)
		}
	}
	return bytes
}

// take returns what waits, and for how long the first of it has, and makes into the place for what comes.
func (b *inbox) take(into []node.Input) (inputs []node.Input, oldest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if inputs = b.inputs; len(inputs) > 0 {
		oldest = time.Since(b.since)
	}
	b.inputs, b.bytes = into[:0], 0
	b.room.Broadcast()
	return inputs, oldest
}

// close lets everybody go.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.inputs = nil
	b.room.Broadcast()
}
