package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
)

// ClientTLS is how we speak TLS with a member as a client: its certificate must come from one of the trusted authorities
// and name the host or one of its addresses. own may be nil.
func ClientTLS(h inventory.Host, trusted []*x509.Certificate, own *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	cfg := &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection verifies: the name that counts is one of several
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf, between := state.PeerCertificates[0], x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				between.AddCert(c)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
				return fmt.Errorf("TLS: the certificate of %s: %w", h.Name, err)
			}
			if !namesOne(leaf, hostsOf(h)) {
				return fmt.Errorf("TLS: the certificate of %s is one of %s", h.Name, strings.Join(certs.Hosts(leaf), ", "))
			}
			return nil
		},
	}
	if own != nil {
		// Whatever authorities a server asks for: it says itself what it does not like.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return cfg
}

// ServedCertificates looks which certificate each member shows, at the port for clients that speak TLS, or where there is
// none, at the election port; nil where there is no answer. It takes no longer than ctx, and verifies nothing.
func ServedCertificates(ctx context.Context, inv *inventory.Inventory, dial func(context.Context, inventory.Host, int) (net.Conn, error),
	own func(inventory.Host) (*tls.Certificate, error)) []*x509.Certificate {
	seen := make([]*x509.Certificate, len(inv.Hosts))
	var group sync.WaitGroup
	for i, h := range inv.Hosts {
		port := h.Server.Ports.Secure
		if h.TLS.Client == "off" {
			port = h.Server.Ports.Election
		}
		if h.TLS.On() {
			group.Go(func() { seen[i] = served(ctx, h, port, dial, own) })
		}
	}
	group.Wait()
	return seen
}

func served(ctx context.Context, h inventory.Host, port int, dial func(context.Context, inventory.Host, int) (net.Conn, error),
	own func(inventory.Host) (*tls.Certificate, error)) (leaf *x509.Certificate) {
	conn, err := dial(ctx, h, port)
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = tls.Client(conn, &tls.Config{ // refused or not, the certificate was shown
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf = state.PeerCertificates[0]
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c, err := own(h); err == nil && c != nil {
				return c, nil
			}
			return &tls.Certificate{}, nil
		},
	}).HandshakeContext(ctx)
	return leaf
}
