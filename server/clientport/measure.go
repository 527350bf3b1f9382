package clientport

import (
	"time"

	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/wire"
)

// measureOneIn is of how many reads that are answered at once one is measured by itself.
const measureOneIn = 64

// reads collects what is to be noted of reads that are answered at once, so that busy connections touch what all share
// once for many reads. It belongs to one goroutine.
type reads struct {
	m *metrics.Metrics

	n                  int
	micros             [viewReads]int32
	ops                [viewReads]wire.OpCode
	received, answered int64 // bytes
}

// note notes a read.
func (r *reads) note(op wire.OpCode, latency time.Duration, requestBytes, replyBytes int) {
	if r.n == len(r.micros) {
		r.flush()
	}
	r.micros[r.n] = int32(min(latency.Microseconds(), 1<<31-1))
	r.ops[r.n] = op
	r.n++
	r.received += int64(requestBytes + lengthBytes)
	r.answered += int64(replyBytes + lengthBytes)
}

// flush hands over what was collected.
func (r *reads) flush() {
	if r.n == 0 {
		return
	}
	r.m.ReadLatency.AddAll(r.micros[:r.n])
	same := int64(0)
	for i, op := range r.ops[:r.n] {
		if same++; i == r.n-1 || r.ops[i+1] != op {
			countOp(r.m, op, same)
			same = 0
		}
	}
	r.m.BytesReceivedCount.Add(r.received)
	r.m.ResponseBytes.Add(r.answered)
	r.n, r.received, r.answered = 0, 0, 0
}

// measureAnswer notes an answer that came from the node.
func measureAnswer(m *metrics.Metrics, op wire.OpCode, latency time.Duration, replyBytes int) {
	if isUpdate(op) {
		m.UpdateLatency.Took(latency)
	} else {
		m.ReadLatency.Took(latency)
	}
	countOp(m, op, 1)
	if op != wire.OpCreateSession { // as FinalRequestProcessor counts
		m.ResponseBytes.Add(int64(replyBytes + lengthBytes))
	}
}

// isUpdate tells whether a request makes a txn.
func isUpdate(op wire.OpCode) bool {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData,
		wire.OpSetACL, wire.OpMulti, wire.OpReconfig, wire.OpCreateSession, wire.OpCloseSession:
		return true
	}
	return false
}

// countOp counts n answers to requests of a type.
func countOp(m *metrics.Metrics, op wire.OpCode, n int64) {
	m.OpCountTotal.Add(n)
	if c := counterOf(m, op); c != nil {
		c.Add(n)
	}
}

func counterOf(m *metrics.Metrics, op wire.OpCode) *metrics.Counter {
	switch op {
	case wire.OpPing:
		return &m.OpCountPing
	case wire.OpGetData:
		return &m.OpCountGetData
	case wire.OpExists:
		return &m.OpCountExists
	case wire.OpGetChildren, wire.OpGetChildren2:
		return &m.OpCountGetChildren
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return &m.OpCountCreate
	case wire.OpSetData:
		return &m.OpCountSetData
	case wire.OpDelete:
		return &m.OpCountDelete
	case wire.OpMulti:
		return &m.OpCountMulti
	case wire.OpMultiRead:
		return &m.OpCountMultiRead
	case wire.OpSync:
		return &m.OpCountSync
	case wire.OpGetACL:
		return &m.OpCountGetACL
	case wire.OpSetACL:
		return &m.OpCountSetACL
	case wire.OpCheck:
		return &m.OpCountCheck
	case wire.OpReconfig:
		return &m.OpCountReconfig
	case wire.OpCreateSession:
		return &m.OpCountCreateSession
	case wire.OpCloseSession:
		return &m.OpCountCloseSession
	case wire.OpSetWatches, wire.OpSetWatches2:
		return &m.OpCountSetWatches
	case wire.OpAddWatch:
		return &m.OpCountAddWatch
	case wire.OpCheckWatches:
		return &m.OpCountCheckWatches
	case wire.OpRemoveWatches:
		return &m.OpCountRemoveWatches
	case wire.OpGetEphemerals:
		return &m.OpCountGetEphemerals
	case wire.OpGetAllChildrenNumber:
		return &m.OpCountGetAllChildrenNumber
	case wire.OpWhoAmI:
		return &m.OpCountWhoAmI
	}
	return nil
}
