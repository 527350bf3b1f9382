package server

import (
	"sync"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/node"
)

// stepMeasured lets the node take an input and notes how long what it did has taken. begun is when the step begins; the
// result, when it has ended.
func (s *Server) stepMeasured(begun node.Now, in node.Input) node.Now {
	before := s.node.Work()
	s.node.Step(begun, in)
	ended, after := s.now(), s.node.Work()
	m, took := s.metrics, ended.Mono-begun.Mono
	if n := after.Applied - before.Applied; n > 0 {
		m.WriteFinalProcTime.TookTimes(took/time.Duration(n), n)
		m.WriteBatchTimeInCommitProcessor.Took(took)
		m.WriteCommitProcIssued.Add(n)
		m.CommitCommitProcReqQueued.Add(n)
	} else if n := after.Made - before.Made; n > 0 {
		m.PrepProcessTime.TookTimes(took/time.Duration(n), n)
		if closed := after.Closed - before.Closed; closed > 0 {
			m.CloseSessionPrepTime.TookTimes(took/time.Duration(n), closed)
		}
	}
	return ended
}

// measureTurn notes what a turn of the loop has done since it began, and waited for before.
func (s *Server) measureTurn(waiting time.Duration, begun, ended node.Now, before node.Work) {
	m := s.metrics
	m.TimeWaitingEmptyPoolInCommitProcessorRead.Took(waiting)
	m.CommitProcessTime.Took(ended.Mono - begun.Mono)
	m.ReadCommitProcIssued.Add(s.node.Work().Read - before.Read)
	reads, writes := s.node.Waiting()
	m.ReadCommitProcReqQueued.Add(int64(reads))
	m.WriteCommitProcReqQueued.Add(int64(writes))
}

// measureInputs notes how many inputs the loop takes together, and how long the oldest has waited.
func (s *Server) measureInputs(count int, oldest time.Duration) {
	if count == 0 {
		return
	}
	switch s.role {
	case node.Leading, node.Standalone:
		s.metrics.PrepProcessorQueueSize.Add(int64(count))
		s.metrics.PrepProcessorQueueTime.Took(oldest)
	case node.Following, node.Observing:
		s.metrics.LearnerRequestProcessorQueueSize.Add(int64(count))
	}
}

// proposals are the sizes of a leader's proposals.
type proposals struct {
	mu    sync.Mutex
	sizes admin.Sizes
}

func (p *proposals) add(bytes int) {
	p.mu.Lock()
	p.sizes.Add(bytes)
	p.mu.Unlock()
}

func (p *proposals) report() admin.Sizes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sizes
}

func (p *proposals) reset() {
	p.mu.Lock()
	p.sizes = admin.Sizes{}
	p.mu.Unlock()
}
