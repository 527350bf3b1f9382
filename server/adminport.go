package server

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/metrics"
)

// metricsIdleTimeout is how long a connection to the metrics port may bring and take nothing.
const metricsIdleTimeout = 30 * time.Second

// openAdmin opens the port of the AdminServer. A member of an ensemble goes on without it (QuorumPeer.start), a standalone
// server does not (ZooKeeperServerMain.main).
func (s *Server) openAdmin() error {
	a := &s.cfg.Admin
	if !a.Enabled {
		return nil
	}
	var err error
	if s.adminPort, err = net.Listen("tcp", a.Address()); err == nil {
		s.log.Info("AdminServer port open", "address", s.adminPort.Addr(), "commands", a.CommandURL)
		return nil
	}
	err = fmt.Errorf("open the AdminServer's port: %w; set admin.serverPort or admin.enableServer=false", err)
	if !s.cfg.Distributed {
		return &Failure{ExitAdminServer, err}
	}
	s.log.Warn("going on without the AdminServer", "error", err)
	return nil
}

func (s *Server) serveAdmin(ctx context.Context) error {
	err := admin.Serve(ctx, s.adminPort, admin.CommandHandler(source{s}, s.log), s.cfg.Admin.IdleTimeout, s.log)
	if err != nil {
		return fmt.Errorf("serve the AdminServer: %w", err)
	}
	return nil
}

// serveMetrics serves the Prometheus endpoint.
func (s *Server) serveMetrics(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.cfg.Metrics.Address)
	if err != nil {
		return fmt.Errorf("open the metrics port: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.rotateMetrics(ctx)
	if err := admin.Serve(ctx, listener, admin.MetricsHandler(source{s}), metricsIdleTimeout, s.log); err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// rotateMetrics lets quantiles be those of the last minutes.
func (s *Server) rotateMetrics(ctx context.Context) {
	ticker := time.NewTicker(metrics.WindowStep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.metrics.Rotate()
		}
	}
}
