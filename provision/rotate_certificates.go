package provision

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

const stepNextCertKeys = "make the next private keys"

// reloadWait is how long a server may take to read its stores again: it looks once a second, and waits for files to settle.
const reloadWait = 15 * time.Second

// RotatedCertificate is one certificate that was replaced.
type RotatedCertificate struct {
	Host string `json:"host"`
	// Old and New are fingerprints; Old is "" where there was none.
	Old      string    `json:"old"`
	New      string    `json:"new"`
	NotAfter time.Time `json:"not_after"`
	// Proved says that the running member showed the new one; false where it does not run or speaks no TLS.
	Proved bool `json:"proved"`
}

// RotateCertificates gives the named hosts, all if none is named, new keys and certificates, one host after the other:
// made, put in place, and proved by a handshake with the running member, which reads them without a restart. What is not
// proved is taken back, and ends the rotation. A rotation that was cut off goes on with the hosts that are left.
func (r *Run) RotateCertificates(ctx context.Context, names []string) ([]RotatedCertificate, error) {
	chosen, err := r.chosen(names)
	if err != nil {
		return nil, err
	}
	members, err := r.observeServices(ctx, r.Inventory.Hosts)
	if err != nil {
		return nil, err
	}
	var turn []member
	for _, m := range members {
		if slices.ContainsFunc(chosen, func(h inventory.Host) bool { return h.Name == m.Host.Name }) {
			turn = append(turn, m)
		}
	}
	if err := haveCertificates(turn); err != nil {
		return nil, err
	}
	if r.Inventory.Hosts[0].TLS.Authority == "files" {
		return r.rotateGiven(ctx, members, turn)
	}
	if r.Authority.Changing() {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "a change of the authority goes on, by which all get new certificates", Remedy: r.nextCommand()}
	}
	a, err := r.Authority.Authority()
	if err == nil {
		err = r.noOtherAuthority(members)
	}
	if err != nil {
		return nil, err
	}
	if left := slices.DeleteFunc(slices.Clone(turn), func(m member) bool { return !m.certificate.renewing }); len(left) > 0 && len(left) < len(turn) {
		r.note(stepCertificates, "", "going on with an earlier rotation: %s", strings.Join(namesOf(left), ", "))
		turn = left
	}
	rotated, err := r.rotateAll(ctx, a, turn)
	if err == nil && !r.DryRun {
		if err = r.renewClient(a); err == nil {
			err = r.stillReady(ctx, members)
		}
	}
	return rotated, err
}

// haveCertificates refuses where there is nothing to be replaced.
func haveCertificates(members []member) error {
	for _, m := range members {
		if m.certificate.chain == nil {
			return &RefusedError{Host: m.Host.Name, Text: "it has no certificate to be replaced", Remedy: "zkctl apply makes it where the inventory turns TLS on, zkctl certs init in any case"}
		}
	}
	return nil
}

// renewClient gives zkctl itself a new certificate, however long the one of before would have lasted.
func (r *Run) renewClient(a *certs.Authority) error {
	err := r.Authority.RenewClient(a)
	if err == nil {
		r.here("make a certificate for zkctl itself")
	}
	return err
}

// rotateAll gives members new certificates, one after the other. The next keys are made before the first one is replaced:
// they say who is yet to come.
func (r *Run) rotateAll(ctx context.Context, a *certs.Authority, turn []member) ([]RotatedCertificate, error) {
	requests := make([][]byte, len(turn))
	hosts := make([]inventory.Host, len(turn))
	for i, m := range turn {
		hosts[i] = m.Host
	}
	err := r.step(ctx, stepNextCertKeys, func(ctx context.Context) error {
		return r.each(ctx, stepNextCertKeys, hosts, func(ctx context.Context, i int) (err error) {
			requests[i], err = r.makeKey(ctx, turn[i])
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return r.oneByOne(ctx, turn, func(ctx context.Context, i int) (*x509.Certificate, error) {
		if r.DryRun {
			return nil, r.change(ctx, stepCertificates, turn[i].Host, turn[i].issue("rotation"))
		}
		return r.replaceCertificate(ctx, a, turn[i], requests[i])
	})
}

// rotateGiven puts the certificates of the inventory's files in place where they are not the ones that are there.
func (r *Run) rotateGiven(ctx context.Context, members, chosen []member) ([]RotatedCertificate, error) {
	var turn []member
	var texts [][]byte
	var chains [][]*x509.Certificate
	for _, m := range chosen {
		trusted, err := r.trusted(m.Host)
		if err != nil {
			return nil, err
		}
		chain, text, err := given(m.Host, trusted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Host.Name, err)
		}
		if string(certs.PEM(chain...)) != string(certs.PEM(m.certificate.chain...)) {
			turn, texts, chains = append(turn, m), append(texts, text), append(chains, chain)
		}
	}
	rotated, err := r.oneByOne(ctx, turn, func(ctx context.Context, i int) (*x509.Certificate, error) {
		return chains[i][0], r.change(ctx, stepCertificates, turn[i].Host, turn[i].install(texts[i], chains[i]))
	})
	if err == nil && !r.DryRun && len(turn) > 0 {
		err = r.stillReady(ctx, members)
	}
	return rotated, err
}

// oneByOne replaces certificates and proves each before the next one; replace returns the new one. What fails is taken
// back.
func (r *Run) oneByOne(ctx context.Context, turn []member, replace func(ctx context.Context, i int) (*x509.Certificate, error)) ([]RotatedCertificate, error) {
	var rotated []RotatedCertificate
	err := r.step(ctx, stepCertificates, func(ctx context.Context) error {
		for i, m := range turn {
			one, err := r.replaceOne(ctx, m, func(ctx context.Context) (*x509.Certificate, error) { return replace(ctx, i) })
			if err != nil && i > 0 {
				return &PartialError{Done: namesOf(turn[:i]), Left: namesOf(turn[i:]), Cause: err}
			}
			if err != nil {
				return err
			}
			if one != nil {
				rotated = append(rotated, *one)
			}
		}
		return nil
	})
	return rotated, err
}

func (r *Run) replaceOne(ctx context.Context, m member, replace func(ctx context.Context) (*x509.Certificate, error)) (*RotatedCertificate, error) {
	began := time.Now()
	r.report(Event{Kind: HostBegins, Step: stepCertificates, Host: m.Host.Name})
	var c *x509.Certificate
	err := context.Cause(ctx)
	if err == nil {
		// Once it is in place, it is proved or taken back.
		c, err = replace(context.WithoutCancel(ctx))
	}
	if err == nil && !r.DryRun {
		err = r.awaitCertificate(ctx, m, c)
	}
	if err != nil && !r.DryRun {
		err = restored(err, "the certificate of before is in place", r.giveBack(context.WithoutCancel(ctx), m))
	} else if err == nil && !r.DryRun {
		err = r.settle(ctx, m)
	}
	e := Event{Kind: HostEnds, Step: stepCertificates, Host: m.Host.Name, Elapsed: time.Since(began)}
	if err != nil {
		e.Error = err.Error()
	}
	r.report(e)
	if err != nil || r.DryRun {
		return nil, err
	}
	one := &RotatedCertificate{Host: m.Host.Name, New: certs.Fingerprint(c), NotAfter: c.NotAfter, Proved: len(m.tlsPorts()) > 0}
	if m.certificate.chain != nil {
		one.Old = certs.Fingerprint(m.certificate.chain[0])
	}
	return one, nil
}

// stillReady waits until all serve, as after any change.
func (r *Run) stillReady(ctx context.Context, members []member) error {
	if !slices.ContainsFunc(members, func(m member) bool { return m.running }) {
		return nil
	}
	return r.step(ctx, stepReady, func(ctx context.Context) error {
		_, err := r.awaitReady(ctx, members)
		return err
	})
}

// tlsPort is what a port of a member says in a handshake.
type tlsPort struct {
	// shown is the fingerprint of its certificate, failed why there was none.
	shown, failed string
	// authorities are the names of those whose certificates it asks for; asks says that it does.
	asks        bool
	authorities []string
}

// tlsPorts are the addresses at which the running member speaks TLS, as its own host reaches them.
func (m member) tlsPorts() []string {
	var ports []string
	stage := m.stageOrNone()
	if stage.Client != templates.ClientPlain {
		ports = append(ports, m.SecureServer())
	}
	if stage.Quorum != templates.QuorumPlain && len(m.Ensemble.Hosts) > 1 {
		host := m.binds("election")
		if host == "" {
			host = "127.0.0.1"
		}
		ports = append(ports, net.JoinHostPort(host, strconv.Itoa(m.Host.Server.Ports.Election)))
	}
	return ports
}

// awaitCertificate waits until a running member shows the certificate wherever it speaks TLS.
func (r *Run) awaitCertificate(ctx context.Context, m member, c *x509.Certificate) error {
	return r.awaitTLS(ctx, m, "show the new certificate", func(p tlsPort) bool { return p.shown == certs.Fingerprint(c) })
}

// awaitTLS does handshakes with a running member until what each port says is good. They come from the member's own host,
// where its ports can be reached whatever firewalls there are.
func (r *Run) awaitTLS(ctx context.Context, m member, what string, good func(tlsPort) bool) error {
	ports := m.tlsPorts()
	if len(ports) == 0 {
		return nil
	}
	host, err := r.host(m.Host)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	for {
		res, err := host.Run(limited, remote.Command{Label: "shake hands with the server", Root: privileged(m.Member), ReadOnly: true,
			Script: `server=$1; shift; exec "$server" probe-tls "$@"`, Args: append([]string{m.Server()}, ports...)})
		if err != nil && limited.Err() == nil {
			return err
		}
		var bad []string
		if err == nil {
			seen, err := tlsSeen(res.Stdout)
			if err != nil {
				return err
			}
			for _, p := range ports {
				if s := seen[p]; s.failed != "" || !good(s) {
					bad = append(bad, strings.TrimSpace(p+" "+s.failed))
				}
			}
			if len(bad) == 0 {
				return nil
			}
		}
		select {
		case <-limited.Done():
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fmt.Errorf("%s: it did not %s within %v: %s%s", m.Host.Name, what, reloadWait, strings.Join(bad, ", "), r.lastWords(ctx, m.Member))
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// tlsSeen reads what probe-tls says, by address.
func tlsSeen(out []byte) (map[string]tlsPort, error) {
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, err
	}
	seen := map[string]tlsPort{}
	change := func(field string, set func(*tlsPort, string)) {
		for _, text := range fields.Texts(field) {
			address, rest, _ := strings.Cut(text, " ")
			p := seen[address]
			set(&p, rest)
			seen[address] = p
		}
	}
	change("tls.shown", func(p *tlsPort, s string) { p.shown = s })
	change("tls.failed", func(p *tlsPort, s string) { p.failed = s })
	change("tls.asks", func(p *tlsPort, s string) { p.asks, p.authorities = true, append(p.authorities, s) })
	return seen, nil
}
