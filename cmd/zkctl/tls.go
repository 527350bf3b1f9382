package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
)

// expiryWarning is how many days before its end a certificate is told of unasked.
const expiryWarning = 30

// authority is the directory of the ensemble's certificate authority on this machine.
func (op *operation) authority() (*certs.Store, error) {
	dir, err := stateDir(op.Context)
	if err != nil {
		return nil, err
	}
	return &certs.Store{Dir: filepath.Join(dir, op.inv.Name, "tls"), Ensemble: op.inv.Name,
		Passphrase: op.secrets.reader("passphrase of the certificate authority of "+op.inv.Name, op.inv.Hosts[0].TLS.Passphrase)}, nil
}

// dialPort connects to a port of a member: from the last jump host where there is one.
func (c *connector) dialPort(ctx context.Context, h inventory.Host, port int) (net.Conn, error) {
	via, err := c.jump(h)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(h.Address, strconv.Itoa(port))
	if via == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return via.DialFrom(ctx, address)
}

// dial connects to a member as a client: at the port of which the inventory says that clients are served, else, because the
// member may not have come to be what the inventory says, at the other one, with or without TLS.
func (c *connector) dial(ctx context.Context, h inventory.Host) (net.Conn, error) {
	ways := []func(context.Context, inventory.Host) (net.Conn, error){c.dialPlain, c.dialTLS}
	switch {
	case h.TLS.Client == "required":
		ways[0], ways[1] = ways[1], ways[0]
	case h.TLS.Client == "off" && !c.authority.Exists():
		ways = ways[:1]
	}
	conn, err := ways[0](ctx, h)
	for _, way := range ways[1:] {
		if err != nil && ctx.Err() == nil {
			if other, failed := way(ctx, h); failed == nil {
				return other, nil
			}
		}
	}
	return conn, err
}

func (c *connector) dialPlain(ctx context.Context, h inventory.Host) (net.Conn, error) {
	return c.dialPort(ctx, h, h.Server.Ports.Client)
}

func (c *connector) dialTLS(ctx context.Context, h inventory.Host) (net.Conn, error) {
	cfg, err := c.clientTLS(h)
	if err != nil {
		return nil, err
	}
	conn, err := c.dialPort(ctx, h, h.Server.Ports.Secure)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// clientTLS is how zkctl speaks TLS with a member. It is read anew each time: an operation may change it.
func (c *connector) clientTLS(h inventory.Host) (*tls.Config, error) {
	trusted, err := c.trusted(h)
	if err != nil {
		return nil, err
	}
	own, err := c.ownCertificate(h)
	if err != nil {
		return nil, err
	}
	return provision.ClientTLS(h, trusted, own), nil
}

func (c *connector) trusted(h inventory.Host) ([]*x509.Certificate, error) {
	if h.TLS.Authority == "own" {
		return c.authority.Certificates()
	}
	text, err := os.ReadFile(h.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	return certs.Parse(text)
}

// ownCertificate is that with which zkctl comes to a member; nil where it comes without.
func (c *connector) ownCertificate(h inventory.Host) (*tls.Certificate, error) {
	var own tls.Certificate
	var err error
	switch {
	case h.TLS.Authority == "own":
		own, err = c.authority.Client()
	case h.TLS.ZkctlCertificateFile == "":
		return nil, nil
	default:
		own, err = tls.LoadX509KeyPair(h.TLS.ZkctlCertificateFile, h.TLS.ZkctlKeyFile)
	}
	return &own, err
}

// canDial refuses to go on where no member could be reached for lack of an authority.
func (c *connector) canDial(inv *inventory.Inventory) error {
	if h := inv.Hosts[0]; h.TLS.Client == "required" {
		_, err := c.clientTLS(h)
		return err
	}
	return nil
}

// certificateStatus is a member's certificate in JSON.
type certificateStatus struct {
	NotAfter    time.Time `json:"not_after"`
	DaysLeft    int       `json:"days_left"`
	Fingerprint string    `json:"fingerprint"`
}

// served looks which certificates the members show. It takes no longer than ctx.
func (c *connector) served(ctx context.Context, inv *inventory.Inventory) []*x509.Certificate {
	return provision.ServedCertificates(ctx, inv, c.dialPort, c.ownCertificate)
}

// expiries are the lines about certificates that end soon.
func expiries(inv *inventory.Inventory, served []*x509.Certificate, now time.Time) []string {
	var lines []string
	for i, leaf := range served {
		if leaf != nil {
			lines = append(lines, expiry(inv.Hosts[i].Name+": its certificate", leaf, "zkctl certs rotate", now)...)
		}
	}
	return lines
}

// expiriesHere are the lines about the authority and zkctl's own certificate, which are on this machine: what ends, and what is
// being replaced.
func expiriesHere(inv *inventory.Inventory, store *certs.Store, now time.Time) []string {
	if h := inv.Hosts[0]; !h.TLS.On() || h.TLS.Authority != "own" {
		return nil
	}
	var lines []string
	if own, err := store.Client(); err == nil {
		lines = expiry("zkctl: its own certificate", own.Leaf, "zkctl certs rotate", now)
	}
	if authorities, err := store.Certificates(); err == nil {
		lines = append(lines, expiry("the authority of "+inv.Name+": its certificate", authorities[0], "zkctl certs rotate --ca", now)...)
	}
	if store.Changing() {
		lines = append(lines, "the authority of "+inv.Name+" is being replaced: zkctl certs show says how far that is")
	}
	return lines
}

// expiry is the line about a certificate, none if it lasts.
func expiry(whose string, c *x509.Certificate, remedy string, now time.Time) []string {
	on := c.NotAfter.UTC().Format(time.DateOnly)
	switch days := certs.DaysLeft(c, now); {
	case days < 0:
		return []string{fmt.Sprintf("%s ended on %s: %s", whose, on, remedy)}
	case days < expiryWarning:
		return []string{fmt.Sprintf("%s ends in %s, on %s: %s", whose, counted(days, "day"), on, remedy)}
	}
	return nil
}
