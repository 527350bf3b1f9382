package provision

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// An authority is replaced in two halves, between which clients are brought along. BeginAuthority makes the next one and
// has all members trust both: nobody notices. FinishAuthority gives members certificates by the next one and then has them trust
// that alone; CancelAuthority does so with the present one. How far it is, directory and hosts say themselves.

// The steps of a change of the authority.
const (
	stepTrustBoth    = "trust the next authority, too"
	stepTrustNext    = "trust the next authority only"
	stepTrustPresent = "trust the present authority only"
)

// The commands of a change of the authority.
const (
	beginCommand  = "zkctl certs rotate --ca"
	finishCommand = "zkctl certs rotate --ca --finish"
	// CancelCommand takes a change of the authority back, as long as the key of the present one is here.
	CancelCommand = "zkctl certs rotate --ca --cancel"
)

// nextCommand goes on with a change of the authority.
func (r *Run) nextCommand() string {
	if r.Authority.Bundled() {
		return finishCommand + " ends it"
	}
	return beginCommand + " goes on with it"
}

// forAuthority looks at all members, and refuses where their authority is not zkctl's to replace.
func (r *Run) forAuthority(ctx context.Context) ([]member, error) {
	if r.Inventory.Hosts[0].TLS.Authority == "files" {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "the authority is not zkctl's: the inventory says tls.ca: files", Remedy: newGivenAuthority}
	}
	members, err := r.observeServices(ctx, r.Inventory.Hosts)
	if err != nil {
		return nil, err
	}
	return members, haveCertificates(members)
}

// newGivenAuthority is how an authority follows another one where certificates are those of files.
const newGivenAuthority = "give clients both authorities, put both in tls.ca_file, and run zkctl apply with the new certificates: members trust both before they show them; " +
	"when all clients have certificates by the new one, put that alone in tls.ca_file, and run zkctl apply"

// BeginAuthority makes the next authority and has all members trust both. Then there is the bundle for clients. A begin that
// was cut off is gone on with. With takeOver, those whom the hosts trust take the place of the present authority, the key of which
// is not on this machine: it was lost, or was never zkctl's.
func (r *Run) BeginAuthority(ctx context.Context, takeOver bool) (Phase, error) {
	members, err := r.forAuthority(ctx)
	if err != nil {
		return Unchanging, err
	}
	if err := r.mayBegin(members, takeOver); err != nil {
		return Unchanging, err
	}
	if !r.Authority.Changing() {
		if r.DryRun {
			r.here("would make the next authority in " + r.Authority.Dir)
			return Unchanging, r.spreadTrust(ctx, stepTrustBoth, members, nil)
		}
		if err := r.Authority.BeginChange(); err != nil {
			return Unchanging, err
		}
		r.here("make the next authority in " + r.Authority.Dir)
	}
	both, err := r.Authority.Certificates()
	if err == nil {
		err = r.spreadTrust(ctx, stepTrustBoth, members, both)
	}
	if err != nil || r.DryRun {
		return Begun, err
	}
	a, err := r.Authority.Issuer()
	if err == nil {
		err = r.keepClient(a)
	}
	if err == nil && !r.Authority.Bundled() {
		if err = r.Authority.WriteBundle(); err == nil {
			r.here("write both authorities to " + r.Authority.Bundle())
		}
	}
	if err != nil {
		return Begun, err
	}
	phase := BothTrusted
	if slices.ContainsFunc(members, func(m member) bool { return m.issuedBy(both[len(both)-1:]) }) {
		phase = Finishing
	}
	return phase, r.stillReady(ctx, members)
}

// mayBegin refuses where a change of the authority cannot be begun from this machine.
func (r *Run) mayBegin(members []member, takeOver bool) error {
	if r.Authority.Changing() {
		return r.noOtherAuthority(members)
	}
	if takeOver {
		return r.takeOver(members)
	}
	if err := r.noOtherAuthority(members); err != nil {
		return err
	}
	_, err := r.Authority.Authority() // who cannot sign does not begin
	return err
}

// takeOver makes those whom the hosts trust the present authority, without its key.
func (r *Run) takeOver(members []member) error {
	if r.Authority.HasKey() {
		return &RefusedError{Host: r.Inventory.Name, Text: "this machine has the key of an authority, in " + r.Authority.Dir,
			Remedy: "if it is the one of the hosts, leave --take-over away; if it is not, move that directory away"}
	}
	var theirs []*x509.Certificate
	for _, m := range members {
		trusted, err := certs.Parse(m.certificate.trust)
		if err != nil {
			return &RefusedError{Host: m.Host.Name, Text: "whom it trusts cannot be read: " + m.TrustStore() + ": " + err.Error(), Remedy: "zkctl certs init, if TLS was never on"}
		}
		for _, c := range trusted {
			if !slices.ContainsFunc(theirs, c.Equal) {
				theirs = append(theirs, c)
			}
		}
	}
	if r.DryRun {
		r.here(fmt.Sprintf("would take over whom the hosts trust (%d certificates) in %s", len(theirs), r.Authority.Dir))
		return nil
	}
	if err := r.Authority.TakeOver(theirs); err != nil {
		return err
	}
	r.here(fmt.Sprintf("take over whom the hosts trust (%d certificates) in %s", len(theirs), r.Authority.Dir))
	return nil
}

// FinishAuthority gives all members certificates by the next authority, then has them trust that alone, and forgets the one of
// before. It needs BeginAuthority; one that was cut off is gone on with.
func (r *Run) FinishAuthority(ctx context.Context) ([]RotatedCertificate, error) {
	members, err := r.forAuthority(ctx)
	if err != nil {
		return nil, err
	}
	if !r.Authority.Changing() {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "no change of the authority has begun", Remedy: beginCommand + " begins one"}
	}
	if !r.Authority.Bundled() {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "not all members have come to trust both authorities", Remedy: r.nextCommand()}
	}
	if err := r.noOtherAuthority(members); err != nil {
		return nil, err
	}
	next, err := r.Authority.Next()
	if err != nil {
		return nil, err
	}
	return r.goOver(ctx, members, next, []*x509.Certificate{next.Certificate}, stepTrustNext, func() error {
		err := r.Authority.EndChange()
		if err == nil {
			r.here("forget the authority of before")
		}
		return err
	})
}

// CancelAuthority takes a change of the authority back, also one that has begun to be finished: members that show certificates by the
// next one get others, all trust the present one alone, and the next one is forgotten. What that has issued to clients is good for nothing
// then. One that was cut off is gone on with.
func (r *Run) CancelAuthority(ctx context.Context) ([]RotatedCertificate, error) {
	members, err := r.forAuthority(ctx)
	if err != nil {
		return nil, err
	}
	if !r.Authority.Changing() {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "no change of the authority has begun, or it is through", Remedy: "zkctl certs show tells of one that goes on"}
	}
	if !r.Authority.HasKey() {
		return nil, &RefusedError{Host: r.Inventory.Name, Text: "the key of the present authority is not on this machine, so that nothing could be issued, not even to zkctl itself",
			Remedy: "put ca.key in " + r.Authority.Dir + " if it was found again, or go on with the next authority"}
	}
	if err := r.noOtherAuthority(members); err != nil {
		return nil, err
	}
	present, err := r.Authority.Authority()
	if err != nil {
		return nil, err
	}
	trusted, err := r.Authority.Present()
	if err != nil {
		return nil, err
	}
	return r.goOver(ctx, members, present, trusted, stepTrustPresent, func() error {
		err := r.Authority.CancelChange()
		if err == nil {
			r.here("forget the next authority")
		}
		return err
	})
}

// goOver gives members, and zkctl itself, certificates by an authority where they are not by one of those that are to be trusted, has
// all members trust these alone, and ends the change.
func (r *Run) goOver(ctx context.Context, members []member, to *certs.Authority, trusted []*x509.Certificate, step string, end func() error) ([]RotatedCertificate, error) {
	var turn []member
	for _, m := range members {
		if m.certificate.renewing || certs.Check(m.certificate.chain, trusted, nil, time.Now()) != nil {
			turn = append(turn, m)
		}
	}
	if len(turn) > 0 { // else they may trust these alone by now
		both, err := r.Authority.Certificates()
		if err == nil {
			err = r.spreadTrust(ctx, stepTrustBoth, members, both)
		}
		if err != nil {
			return nil, err
		}
	}
	rotated, err := r.rotateAll(ctx, to, turn)
	if err == nil && !r.DryRun {
		err = r.renewClient(to)
	}
	if err == nil {
		err = r.spreadTrust(ctx, step, members, trusted)
	}
	if err != nil || r.DryRun {
		return rotated, err
	}
	if err := end(); err != nil {
		return rotated, err
	}
	return rotated, r.stillReady(ctx, members)
}

// keepClient sees that zkctl itself has a certificate, by the authority if it needs one.
func (r *Run) keepClient(a *certs.Authority) error {
	made, err := r.Authority.KeepClient(a)
	if made && err == nil {
		r.here("make a certificate for zkctl itself")
	}
	return err
}

// spreadTrust lets all members trust these authorities and no others, and waits until those that run do so.
func (r *Run) spreadTrust(ctx context.Context, step string, members []member, trusted []*x509.Certificate) error {
	return r.step(ctx, step, func(ctx context.Context) error {
		hosts := make([]inventory.Host, len(members))
		for i, m := range members {
			hosts[i] = m.Host
		}
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) error {
			m := &members[i]
			if trust := certs.PEM(trusted...); string(trust) != string(m.certificate.trust) {
				if err := r.changeAll(ctx, []string{step}, m.Host, []hostprep.Change{m.writeTrust(trust)}); err != nil {
					return err
				}
				m.certificate.trust = trust
			}
			if r.DryRun {
				return nil
			}
			return r.awaitTrust(ctx, *m, trusted)
		})
	})
}

// awaitTrust waits until a running member asks clients and members for certificates by these authorities.
func (r *Run) awaitTrust(ctx context.Context, m member, trusted []*x509.Certificate) error {
	return r.awaitTLS(ctx, m, "ask for certificates of the authorities that it is to trust", func(p tlsPort) bool {
		return !p.asks || sameNames(p.authorities, trusted)
	})
}

func sameNames(names []string, trusted []*x509.Certificate) bool {
	var wanted []string
	for _, c := range trusted {
		wanted = append(wanted, hex.EncodeToString(c.RawSubject))
	}
	sorted := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
	return slices.Equal(sorted(names), sorted(wanted))
}

// Phase is how far a change of the authority is.
type Phase string

// The phases of a change of the authority.
const (
	Unchanging Phase = ""
	// Begun: not all members are known to trust both.
	Begun Phase = "begun"
	// BothTrusted: members trust both and show certificates by the old one. Clients are to be brought along.
	BothTrusted Phase = "both trusted"
	// Finishing: members have begun to show certificates by the next one.
	Finishing Phase = "finishing"
)

// Phase is how far a change of the authority is with these hosts.
func (r *Run) Phase(hosts []HostCertificate) Phase {
	switch {
	case r.Inventory.Hosts[0].TLS.Authority != "own" || !r.Authority.Changing():
		return Unchanging
	case slices.ContainsFunc(hosts, func(c HostCertificate) bool { return c.Next }):
		return Finishing
	case r.Authority.Bundled():
		return BothTrusted
	}
	return Begun
}

// Next is the command that goes on.
func (p Phase) Next() string {
	switch p {
	case Begun:
		return beginCommand
	case BothTrusted, Finishing:
		return finishCommand
	}
	return ""
}
