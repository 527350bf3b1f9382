package server

import (
	"context"
	"time"
)

// watchPauses measures pauses of the process, be it for the garbage collector, a loaded machine or one that was
// suspended, by how much longer than wanted it sleeps (org.apache.zookeeper.server.util.JvmPauseMonitor).
func (s *Server) watchPauses(ctx context.Context) {
	p := s.cfg.Metrics.Pauses
	for {
		// Without the monotonic clock, which stands still in a machine that is suspended.
		began := time.Now().Round(0)
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.Sleep):
		}
		pause := time.Now().Round(0).Sub(began) - p.Sleep
		if pause < 0 {
			continue // the clock was set back
		}
		s.metrics.JVMPauseTime.Took(pause)
		switch {
		case pause > p.Warn:
			s.log.Warn("the process or its machine has paused", "pause", pause)
		case pause > p.Info:
			s.log.Info("the process or its machine has paused", "pause", pause)
		}
	}
}
