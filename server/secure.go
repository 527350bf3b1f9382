package server

import (
	"fmt"

	"github.com/zkctl/zkctl/server/clientport"
	"github.com/zkctl/zkctl/server/peer"
	"github.com/zkctl/zkctl/server/secure"
)

// openStores reads the certificates of all ports.
func (s *Server) openStores() error {
	var err error
	if s.cfg.ClientTLS() {
		if s.clientTLS, err = secure.New(s.cfg.TLS.Client, s.log.With("port", "client")); err != nil {
			return fmt.Errorf("TLS for clients: %w", err)
		}
	}
	if s.cfg.QuorumTLS() {
		if s.quorumTLS, err = secure.New(s.cfg.TLS.Quorum, s.log.With("port", "quorum")); err != nil {
			return fmt.Errorf("TLS between members: %w", err)
		}
	}
	if s.cfg.AdminTLS() {
		if s.adminTLS, err = secure.New(s.cfg.AdminSettings(), s.log.With("port", "admin")); err != nil {
			return fmt.Errorf("TLS for the AdminServer: %w", err)
		}
	}
	if s.cfg.Metrics.SecureAddress != "" {
		if s.metricsTLS, err = secure.New(s.cfg.Metrics.TLS, s.log.With("port", "metrics")); err != nil {
			return fmt.Errorf("TLS for metrics: %w", err)
		}
	}
	return nil
}

// secureClients lets clients speak TLS.
func (s *Server) secureClients(c *clientport.Config) {
	if s.clientTLS == nil {
		return
	}
	c.SecureAddress, c.Unified = s.cfg.SecureClientAddress(), s.cfg.TLS.ClientUnified
	c.Handshake = s.clientTLS.Server
	c.HandshakeLimit, c.DropEarly = s.cfg.TLS.HandshakeLimit, s.cfg.TLS.DropEarly
	c.Serving = func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.node.Status().Serving
	}
}

// secureMembers lets members speak TLS with each other.
func (s *Server) secureMembers(c *peer.Config) {
	if s.quorumTLS == nil {
		return
	}
	c.TLS, c.DialTLS, c.AcceptPlain = s.quorumTLS, s.cfg.TLS.SSLQuorum, s.cfg.TLS.QuorumUnified
}
