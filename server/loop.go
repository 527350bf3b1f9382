package server

import (
	"context"
	"errors"
	"time"

	"github.com/zkctl/zkctl/server/node"
)

const (
	// batchLimit is how many inputs the node takes under one lock.
	batchLimit = 1 << 10
	// touchTicks is how often the node is told of sessions that are alive by what they read.
	touchTicks = 4
	// stopTimeout bounds a clean stop: what the disk has not taken by then is lost, and was not acknowledged.
	stopTimeout = 5 * time.Second
)

var errStopTimeout = errors.New("the disk did not finish in time")

func (s *Server) now() node.Now {
	now := time.Now()
	return node.Now{Mono: now.Sub(s.began), WallMillis: now.UnixMilli()}
}

// loop drives the node until it has stopped.
func (s *Server) loop(ctx context.Context) error {
	ticker := time.NewTicker(node.TickInterval)
	defer ticker.Stop()
	s.step(nil, true)
	var inputs []node.Input
	var timeout <-chan time.Time
	done := ctx.Done()
	for !s.stopped {
		tick := false
		select {
		case <-done:
			done = nil
			timeout = time.After(stopTimeout)
			s.stop()
			continue
		case <-timeout:
			return errStopTimeout
		case err := <-s.failure:
			return err
		case <-ticker.C:
			tick = true
		case <-s.inbox.ready:
		}
		clear(inputs)
		var oldest time.Duration
		inputs, oldest = s.inbox.take(inputs)
		s.measureInputs(len(inputs), oldest)
		rest := inputs
		for {
			batch := rest[:min(len(rest), batchLimit)]
			rest = rest[len(batch):]
			s.step(batch, tick)
			tick = false
			if len(rest) == 0 {
				break
			}
		}
	}
	return nil
}

// step lets the node take inputs, and carries out what it wants.
func (s *Server) step(inputs []node.Input, tick bool) {
	asked := s.now()
	s.mu.Lock()
	now := s.now()
	begun, before := now, s.node.Work()
	for _, in := range inputs {
		now = s.stepMeasured(now, in)
	}
	if len(inputs) > 0 {
		s.measureTurn(begun.Mono-asked.Mono, begun, now, before)
	}
	if tick {
		if s.ticks++; s.ticks%touchTicks == 0 && s.clients != nil {
			if touched := s.clients.Touched(); len(touched) > 0 {
				s.node.Step(s.now(), node.ClientsTouched{Clients: touched})
			}
		}
		s.node.Step(s.now(), node.Tick{})
	}
	if s.role == node.Leading && s.disk.backlog() > s.leaderBacklogBytes {
		// Without its disk there is a quorum, or there would not be so much.
		s.node.StepDown(s.now(), "the disk is too slow for a leader")
	}
	s.settle()
}

// stop begins a clean stop.
func (s *Server) stop() {
	s.log.Info("stopping")
	s.mu.Lock()
	s.node.Stop(s.now())
	s.settle()
}

// settle carries out the effects of the node. The caller holds mu, which settle gives back: frames for clients are queued
// before that, so that who reads the tree next cannot be answered before those who were told of its change.
func (s *Server) settle() {
	s.effects = s.node.Effects(s.effects[:0])
	for _, e := range s.effects {
		switch e := e.(type) {
		case node.SendFrame:
			s.clients.Send(e.Client, e.Frame)
		case node.CloseClient:
			s.clients.Close(e.Client)
		}
	}
	s.mu.Unlock()
	if s.clients != nil {
		s.clients.Flush()
	}
	for _, e := range s.effects {
		s.carryOut(e)
	}
	clear(s.effects)
}

// carryOut hands on an effect that does not concern clients.
func (s *Server) carryOut(e node.Effect) {
	switch e := e.(type) {
	case node.SendFrame, node.CloseClient:
	case node.Operated:
		s.operations.end(e.Request, outcome{e.Zxid, e.Err})
	case node.Append:
		if s.role == node.Leading {
			s.proposals.add(len(e.Txn))
		}
		s.disk.add(e)
	case node.SendNotification:
		s.peers.SendNotification(e)
	case node.OpenQuorumPort:
		s.peers.OpenQuorumPort()
	case node.CloseQuorumPort:
		s.peers.CloseQuorumPort()
	case node.OpenObserverPort:
		s.peers.OpenObserverPort()
	case node.CloseObserverPort:
		s.peers.CloseObserverPort()
	case node.DialLeader:
		s.peers.DialLeader(e)
	case node.SendPacket:
		s.peers.SendPacket(e)
	case node.SendSnapshot:
		s.peers.SendSnapshot(e)
	case node.CloseConn:
		s.peers.CloseConn(e)
	case node.MembersChanged:
		s.membersChanged(e)
	case node.RoleChanged:
		s.roleChanged(e.Status)
	case node.Audited:
		s.audit.add(e.Event)
	case node.ClientRefused:
		s.often.Warn("client refused", "remote", e.Remote, "session", e.Session, "reason", e.Reason)
	case node.QuotaExceeded:
		s.quotaExceeded(e)
	case node.Halt:
		s.fail(e.Err)
	default:
		s.disk.add(e)
	}
}

// roleChanged notes what the server has become.
func (s *Server) roleChanged(status node.Status) {
	s.role = status.Role
	attrs := []any{"role", status.Role, "epoch", status.Epoch, "zxid", status.Zxid}
	if status.Leader != 0 {
		attrs = append(attrs, "leader", status.Leader)
	}
	switch {
	case status.Serving:
		s.log.Info("serving", append(attrs, "election", status.ElectionTime.Round(time.Millisecond))...)
	case status.ReadOnly:
		s.log.Info("serving read-only", attrs...)
	case status.Role == node.Stopping:
		s.log.Info("role ended", append(attrs, "reason", status.Reason)...)
	default:
		s.log.Info("role", attrs...)
	}
	if status.DigestMismatches > s.mismatches {
		s.mismatches = status.DigestMismatches
		s.log.Error("digest of the tree is not that of the txn: this member differs from its leader", "mismatches", s.mismatches)
	}
	s.stopped = status.Role == node.Stopped
	if !s.ready && !s.stopped && (status.Serving || status.Role == node.Looking) {
		s.ready = true
		if s.opts.Ready != nil {
			s.opts.Ready()
		}
	}
}
