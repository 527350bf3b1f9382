package server

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zkctl/zkctl/server/admin"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/secure"
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
	port := admin.Port{Idle: s.cfg.Admin.IdleTimeout}
	if s.adminTLS != nil {
		port.Handshake = handshake(s.adminTLS, !s.cfg.Admin.ForceHTTPS, &s.metrics.InsecureAdminCount)
	}
	if err := admin.Serve(ctx, s.adminPort, admin.CommandHandler(source{s}, s.log), port, s.log); err != nil {
		return fmt.Errorf("serve the AdminServer: %w", err)
	}
	return nil
}

// handshakeTimeout bounds the handshakes of operators and monitors.
const handshakeTimeout = 15 * time.Second

// handshake speaks TLS with who connects, or if plain is allowed whatever it begins with. counter counts plain connections;
// it may be nil.
func handshake(c *secure.Context, plain bool, counter *metrics.Counter) func(*net.TCPConn) (net.Conn, error) {
	return func(sock *net.TCPConn) (net.Conn, error) {
		conn, err := c.Accept(sock, plain, time.Now().Add(handshakeTimeout))
		if _, secured := conn.(*secure.Conn); err == nil && !secured && counter != nil {
			counter.Add(1)
		}
		return conn, err
	}
}

// serveMetrics serves the Prometheus endpoints.
func (s *Server) serveMetrics(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	open := func(address string, handshake func(*net.TCPConn) (net.Conn, error)) {
		group.Go(func() error {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("open the metrics port: %w", err)
			}
			port := admin.Port{Idle: metricsIdleTimeout, Handshake: handshake}
			if err := admin.Serve(ctx, listener, admin.MetricsHandler(source{s}), port, s.log); err != nil {
				return fmt.Errorf("serve metrics: %w", err)
			}
			return nil
		})
	}
	plain, secured := s.cfg.Metrics.Address, s.cfg.Metrics.SecureAddress
	if secured != "" {
		open(secured, handshake(s.metricsTLS, plain == secured, nil))
	}
	if plain != "" && plain != secured {
		open(plain, nil)
	}
	group.Go(func() error {
		s.rotateMetrics(ctx)
		return nil
	})
	return group.Wait()
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
