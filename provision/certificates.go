package provision

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// stepCertificates is the step in which certificates come to the hosts.
const stepCertificates = "certificates"

// The files of a member besides key store and trust store: the key that is to follow, and the key store of before.
func (m member) nextKey() string  { return path.Join(m.Certificates(), "next.key") }
func (m member) lastKeys() string { return m.KeyStore() + ".last" }

// certificateFiles are all files in the directory of certificates that zkctl may have put there.
func (m member) certificateFiles() []string {
	return []string{m.KeyStore(), m.KeyStore() + ".new", m.lastKeys(), m.TrustStore(), m.nextKey(), m.nextKey() + ".csr"}
}

// certificateFragment reports the certificate of a member, never its key. Its variables: key_store, trust_store, next_key.
const certificateFragment = `
if [ -r "$key_store" ]; then
	field member.certificate "$(sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' "$key_store")"
	field member.certificate_file "$(stat -c '%a %U' -- "$key_store")"
fi
file member.trust "$trust_store"
[ -e "$next_key" ] && field member.next_key yes
`

// shownCertificate is what the member's files say about its certificate.
type shownCertificate struct {
	// chain is nil where there is none that can be read.
	chain []*x509.Certificate
	// file is mode and owner of the key store, trust the content of the trust store.
	file  string
	trust []byte
	// renewing says that a rotation has yet to come by.
	renewing bool
}

func certificateOf(f remote.Fields) shownCertificate {
	chain, err := certs.Parse(f.Bytes("member.certificate"))
	if err != nil {
		chain = nil // as good as none
	}
	return shownCertificate{chain, f.Text("member.certificate_file"), f.Bytes("member.trust"), f.Has("member.next_key")}
}

// hostsOf are the names and addresses that the certificate of a member is for.
func hostsOf(h inventory.Host) []string {
	var hosts []string
	for _, s := range append([]string{h.Name, h.Address, h.PeerAddress}, h.TLS.Names...) {
		if a, err := netip.ParseAddr(s); err == nil {
			s = a.Unmap().String()
		}
		if !slices.Contains(hosts, s) {
			hosts = append(hosts, s)
		}
	}
	return hosts
}

// trusted are the authorities that members trust.
func (r *Run) trusted(h inventory.Host) ([]*x509.Certificate, error) {
	if h.TLS.Authority == "own" {
		return r.Authority.Certificates()
	}
	text, err := os.ReadFile(h.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	all, err := certs.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.TLS.CAFile, err)
	}
	return all, nil
}

// given reads the certificate and key of a host from the files of the inventory. text is what goes into the key store.
func given(h inventory.Host, trusted []*x509.Certificate) (chain []*x509.Certificate, text []byte, err error) {
	certificate, err := os.ReadFile(h.TLS.CertificateFile)
	if err != nil {
		return nil, nil, err
	}
	key, err := os.ReadFile(h.TLS.KeyFile)
	if err != nil {
		return nil, nil, err
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return nil, nil, fmt.Errorf("%s and %s: %w", h.TLS.CertificateFile, h.TLS.KeyFile, err)
	}
	if chain, err = certs.Parse(certificate); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", h.TLS.CertificateFile, err)
	}
	need := []string{h.PeerAddress} // which the other members dial
	if h.TLS.Quorum != "on" {
		need = nil
	}
	if err := certs.Check(chain, trusted, need, time.Now()); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", h.TLS.CertificateFile, err)
	}
	if !namesOne(chain[0], hostsOf(h)) {
		return nil, nil, fmt.Errorf("%s is for %s, not for any of %s", h.TLS.CertificateFile, strings.Join(certs.Hosts(chain[0]), ", "), strings.Join(hostsOf(h), ", "))
	}
	return chain, append(bytes.TrimRight(key, "\n"), append([]byte("\n"), certs.PEM(chain...)...)...), nil
}

func namesOne(c *x509.Certificate, hosts []string) bool {
	return slices.ContainsFunc(hosts, func(h string) bool { return c.VerifyHostname(h) == nil })
}

// wantsCertificate says why the member needs another certificate, "" if it does not.
func (m member) wantsCertificate(trusted []*x509.Certificate) string {
	c := m.certificate
	owner := m.User()
	if c.chain == nil {
		return "it has none"
	}
	if end := c.chain[0].NotAfter; time.Now().After(end) {
		return "the one that it has ended on " + end.UTC().Format(time.DateOnly)
	}
	at := time.Now()
	if begin := c.chain[0].NotBefore; at.Before(begin) { // clocks differ
		at = begin
	}
	if err := certs.Check(c.chain, trusted, nil, at); err != nil {
		return err.Error()
	}
	has := certs.Hosts(c.chain[0])
	for _, h := range hostsOf(m.Host) {
		if !slices.Contains(has, h) {
			return "it does not name " + h
		}
	}
	if mode, who, _ := strings.Cut(c.file, " "); mode != "600" || owner != "" && who != owner {
		return "its key has mode " + mode + " and belongs to " + who
	}
	return ""
}

// works reports whether the member's certificate is good at the moment, be it for fewer names than it should.
func (m member) works(trusted []*x509.Certificate) bool {
	return m.certificate.chain != nil && certs.Check(m.certificate.chain, trusted, nil, time.Now()) == nil
}

// keyless reports whether, in a change of the authority, nothing can be issued that clients of before would trust: what works is
// left until its end.
func (r *Run) keyless() bool { return r.Authority.Changing() && !r.Authority.HasKey() }

// planCertificates plans what the members need for TLS, for those that are chosen.
func (r *Run) planCertificates(members []member, p *Plan, chosen func(member) bool) error {
	for _, m := range members {
		if !chosen(m) {
			continue
		}
		trusted, err := r.trusted(m.Host)
		if err != nil {
			return err
		}
		if m.stageOrNone() != (templates.Stage{}) && !m.issuedBy(trusted) {
			remedy := "to replace that authority by the one in tls.ca_file: " + newGivenAuthority
			if m.Host.TLS.Authority == "own" {
				remedy = r.notOurs()
			}
			return &RefusedError{Host: m.Host.Name, Text: "it runs with a certificate by " + m.certificate.chain[0].Issuer.String() + ", which it and the others would no longer trust", Remedy: remedy}
		}
		var changes []hostprep.Change
		if m.Host.TLS.Authority == "files" {
			chain, text, err := given(m.Host, trusted)
			if err != nil {
				return fmt.Errorf("%s: %w", m.Host.Name, err)
			}
			if c := m.certificate; c.chain == nil || !bytes.Equal(certs.PEM(c.chain...), certs.PEM(chain...)) {
				changes = append(changes, m.install(text, chain))
			}
		} else if why := m.wantsCertificate(trusted); why != "" && !(r.keyless() && m.works(trusted)) {
			changes = append(changes, m.issue(why))
		}
		p.add(stepCertificates, m.Host, append(m.planTrust(trusted, len(changes) > 0), changes...))
	}
	return nil
}

// planTrust plans the directory of certificates and whom the member trusts. With keys, the key store is going to be
// replaced: what it is before the first time is kept for an undo.
func (m member) planTrust(trusted []*x509.Certificate, keys bool) []hostprep.Change {
	var changes []hostprep.Change
	if keys || m.facts.Files[m.Certificates()].Kind != "dir" {
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: m.Certificates(), Summary: "see that there is a directory " + m.Certificates(), Root: privileged(m.Member),
			Args: []string{m.Certificates()}, Saves: []string{m.Certificates(), m.KeyStore()},
			Script: `mkdir -p -- "$1" && chmod 755 "$1"`, Verify: `[ -d "$1" ]`,
		})
	}
	if trust := certs.PEM(trusted...); !bytes.Equal(m.certificate.trust, trust) {
		changes = append(changes, m.writeTrust(trust))
	}
	return changes
}

func (m member) writeTrust(trust []byte) hostprep.Change {
	return hostprep.Change{Kind: hostprep.WriteFile, Target: m.TrustStore(), Summary: "write " + m.TrustStore(), Before: m.certificate.trust, After: trust,
		Mode: 0o644, Owner: m.root(), Root: privileged(m.Member)}
}

// issue stands in plans for making a key on the host and a certificate for it; putCertificates does it.
func (m member) issue(why string) hostprep.Change {
	return hostprep.Change{Kind: hostprep.RunScript, Target: m.KeyStore(), Root: privileged(m.Member),
		Summary: fmt.Sprintf("make a key and a certificate for %s (%d days): %s", strings.Join(hostsOf(m.Host), ", "), m.Host.TLS.Days, why)}
}

// installScript replaces the key store by what it reads from $3, if that is a file, and from its standard input, and keeps
// the one of before.
const installScript = `set -e
umask 077
{ [ -z "$3" ] || cat "$3"; cat; } >"$1.new"
if [ -n "$2" ]; then chown "$2:$(id -gn "$2")" "$1.new"; fi
chmod 600 "$1.new"
if command -v restorecon >/dev/null 2>&1; then restorecon "$1.new" 2>/dev/null || :; fi
sync -- "$1.new" 2>/dev/null || sync
if [ -f "$1" ]; then ln -f "$1" "$1.last"; fi
mv -f "$1.new" "$1"
`

// install puts a key store in place. It travels on standard input: it may be secret.
func (m member) install(text []byte, chain []*x509.Certificate) hostprep.Change {
	return hostprep.Change{
		Kind: hostprep.RunScript, Target: m.KeyStore(), Root: privileged(m.Member), Args: []string{m.KeyStore(), m.User(), ""},
		Summary: fmt.Sprintf("put the certificate %.16s of %s in place", certs.Fingerprint(chain[0]), strings.Join(certs.Hosts(chain[0]), ", ")),
		Stdin:   text, Script: installScript, Verify: `[ "$(stat -c %a "$1")" = 600 ]`,
	}
}

// makeKey makes the next key of the member on its host, by the server program there, and returns the request for its
// certificate.
func (r *Run) makeKey(ctx context.Context, m member) (request []byte, err error) {
	next := m.nextKey()
	err = r.change(ctx, stepCertificates, m.Host, hostprep.Change{
		Kind: hostprep.RunScript, Target: next, Summary: "make the next private key", Root: privileged(m.Member), Args: []string{m.Server(), next},
		Script: `"$1" make-key "$2"`, Verify: `[ -s "$2" ] && [ -s "$2.csr" ]`,
	})
	if err != nil || r.DryRun {
		return nil, err
	}
	host, err := r.host(m.Host)
	if err != nil {
		return nil, err
	}
	return remote.ReadFile(ctx, host, next+".csr", privileged(m.Member))
}

// replaceCertificate gives the member a certificate by the authority for the key that waits on its host; the one of before
// is kept until settle or giveBack.
func (r *Run) replaceCertificate(ctx context.Context, a *certs.Authority, m member, request []byte) (*x509.Certificate, error) {
	c, err := a.Sign(request, certs.Wish{Name: m.Host.Name, Ensemble: r.Inventory.Name, Hosts: hostsOf(m.Host), Days: m.Host.TLS.Days})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Host.Name, err)
	}
	change := m.install(certs.PEM(c), []*x509.Certificate{c})
	change.Args[2] = m.nextKey()
	return c, r.change(ctx, stepCertificates, m.Host, change)
}

// settle removes what a replaced certificate has left.
func (r *Run) settle(ctx context.Context, m member) error {
	return r.changeAs(ctx, Marked, stepCertificates, m.Host, hostprep.Change{
		Kind: hostprep.RunScript, Target: m.lastKeys(), Summary: "forget the key of before", Root: privileged(m.Member),
		Args: []string{m.lastKeys(), m.nextKey(), m.nextKey() + ".csr"}, Script: `rm -f -- "$@"`,
	})
}

// giveBack puts the key store of before in place again.
func (r *Run) giveBack(ctx context.Context, m member) error {
	return r.change(ctx, stepCertificates, m.Host, hostprep.Change{
		Kind: hostprep.RunScript, Target: m.KeyStore(), Summary: "put the certificate of before in place again", Root: privileged(m.Member),
		Args: []string{m.lastKeys(), m.KeyStore()}, Script: `[ ! -f "$1" ] || mv -f "$1" "$2"`,
	})
}

// putCertificates carries out what planCertificates has planned: first whom to trust, on all hosts, then keys and certificates, so
// that nobody is shown one that it does not know yet. Members that run take them at once.
func (r *Run) putCertificates(ctx context.Context, members []member, p *Plan) error {
	all := byHost(p)
	hosts := make([]inventory.Host, len(all))
	var authority *certs.Authority
	for i, h := range all {
		hosts[i] = h.host
		if authority == nil && slices.ContainsFunc(h.changes, isIssue) {
			var err error
			if authority, err = r.Authority.Issuer(); err != nil {
				return err
			}
		}
	}
	return r.step(ctx, stepCertificates, func(ctx context.Context) error {
		err := r.each(ctx, stepCertificates, hosts, func(ctx context.Context, i int) error {
			return r.putTrust(ctx, find(members, hosts[i].Name), all[i].changes)
		})
		if err != nil {
			return err
		}
		return r.each(ctx, stepCertificates, hosts, func(ctx context.Context, i int) error {
			return r.putCertificate(ctx, authority, find(members, hosts[i].Name), all[i].changes)
		})
	})
}

// putTrust makes the changes before those of the key store, and waits until a running member has taken them.
func (r *Run) putTrust(ctx context.Context, m member, changes []hostprep.Change) error {
	changes = slices.DeleteFunc(slices.Clone(changes), m.isKey)
	if err := r.changeAll(ctx, repeated(stepCertificates, len(changes)), m.Host, changes); err != nil || len(changes) == 0 {
		return err
	}
	trusted, err := r.trusted(m.Host)
	if err != nil {
		return err
	}
	return r.awaitTrust(ctx, m, trusted)
}

// putCertificate replaces the key store where that is planned. A running member has to show the new certificate, or the one of
// before comes back.
func (r *Run) putCertificate(ctx context.Context, authority *certs.Authority, m member, changes []hostprep.Change) error {
	for _, change := range changes {
		if !m.isKey(change) {
			continue
		}
		c, err := r.putKey(ctx, authority, m, change)
		if err == nil {
			err = r.awaitCertificate(ctx, m, c)
		}
		if err != nil {
			return restored(err, "the certificate of before is in place, if there was one", r.giveBack(context.WithoutCancel(ctx), m))
		}
	}
	return r.settle(ctx, m)
}

// putKey makes a change that issue or install has made.
func (r *Run) putKey(ctx context.Context, authority *certs.Authority, m member, change hostprep.Change) (*x509.Certificate, error) {
	if isIssue(change) {
		request, err := r.makeKey(ctx, m)
		if err != nil {
			return nil, err
		}
		return r.replaceCertificate(ctx, authority, m, request)
	}
	chain, err := certs.Parse(change.Stdin)
	if err != nil {
		return nil, err
	}
	return chain[0], r.changeAll(ctx, []string{stepCertificates}, m.Host, []hostprep.Change{change})
}

// isKey recognizes what issue and install make.
func (m member) isKey(c hostprep.Change) bool {
	return c.Kind == hostprep.RunScript && c.Target == m.KeyStore()
}

// isIssue recognizes what issue makes.
func isIssue(c hostprep.Change) bool { return c.Kind == hostprep.RunScript && c.Script == "" }

func find(members []member, name string) member {
	for _, m := range members {
		if m.Host.Name == name {
			return m
		}
	}
	panic("provision: no member " + name)
}

// HostCertificate is the certificate of a member's host.
type HostCertificate struct {
	Host inventory.Host
	// Leaf is nil where there is none.
	Leaf *x509.Certificate
	// Trusted says that the host's own trust store has its authority.
	Trusted bool
	// Next says that it is by the authority that is to follow, in a change of the authority.
	Next bool
}

// Certificates looks at the certificates on the named hosts, all if none is named. Hosts that cannot be reached are left out, and missing says why.
func (r *Run) Certificates(ctx context.Context, names []string) (all []HostCertificate, missing, err error) {
	hosts, err := r.chosen(names)
	if err != nil {
		return nil, nil, err
	}
	members, missing, err := r.reachable(ctx, hosts)
	if err != nil {
		return nil, nil, err
	}
	var next []*x509.Certificate
	if r.Inventory.Hosts[0].TLS.Authority == "own" && r.Authority.Changing() {
		if next, err = r.Authority.Certificates(); err != nil {
			return nil, nil, err
		}
		next = next[len(next)-1:]
	}
	for _, m := range members {
		c := HostCertificate{Host: m.Host}
		if m.certificate.chain != nil {
			c.Leaf = m.certificate.chain[0]
			trust, err := certs.Parse(m.certificate.trust)
			c.Trusted = err == nil && certs.Check(m.certificate.chain, trust, nil, c.Leaf.NotBefore) == nil
			c.Next = m.issuedBy(next)
		}
		all = append(all, c)
	}
	return all, missing, nil
}

// InitCertificates makes the authority where there is none, and certificates for the hosts that lack one and have the
// server already; later, a bootstrap makes them. Hosts outside the limit get none, but are looked at as far as they can be reached:
// they may have certificates of another authority.
func (r *Run) InitCertificates(ctx context.Context) error {
	if r.Inventory.Hosts[0].TLS.Authority != "own" {
		return errors.New("the inventory says tls.ca: files: there is no authority to make")
	}
	members, err := r.observe(ctx, r.Inventory.Hosts)
	if err != nil {
		return err
	}
	if err := r.noOtherAuthority(members); err != nil {
		return err
	}
	if unseen := r.unseen(members); len(unseen) > 0 && !r.Authority.Exists() {
		return &RefusedError{Host: r.Inventory.Name, Text: "whether there is an authority already is not known: these hosts cannot be looked at: " + strings.Join(unseen, ", "),
			Remedy: "bring them back, or take them out of the inventory"}
	}
	if err := r.initAuthority(); err != nil {
		return err
	}
	if r.DryRun && !r.Authority.Exists() {
		return nil // nothing could be planned with it
	}
	p := &Plan{}
	err = r.planCertificates(members, p, func(m member) bool {
		if !r.within(m.Host) {
			return false
		}
		if m.wanted == "" {
			r.note(stepCertificates, m.Host.Name, "has no server yet: zkctl bootstrap makes its certificate, if the inventory turns TLS on")
		}
		return m.wanted != ""
	})
	if err != nil || p.Len() == 0 {
		return err
	}
	if r.DryRun {
		return r.apply(ctx, stepCertificates, p)
	}
	return r.locked(ctx, nil, nil, func(ctx context.Context) error {
		r.report(Event{Kind: Intended, Changes: (&intent{out: &Outcome{Plan: p}}).summaries()})
		return r.putCertificates(ctx, members, p)
	})
}

// noOtherAuthority refuses where hosts have certificates by an authority that is not on this machine, or trust one: to trust
// ours instead would part them from the others and from clients.
func (r *Run) noOtherAuthority(members []member) error {
	var ours []*x509.Certificate
	if r.Authority.Exists() {
		var err error
		if ours, err = r.Authority.Certificates(); err != nil {
			return err
		}
	}
	for _, m := range members {
		theirs, err := certs.Parse(m.certificate.trust)
		trusts := err != nil || slices.ContainsFunc(theirs, func(c *x509.Certificate) bool { return slices.ContainsFunc(ours, c.Equal) })
		if m.issuedBy(ours) && trusts {
			continue
		}
		return &RefusedError{Host: m.Host.Name, Text: "it has certificates of another authority than that in " + r.Authority.Dir + " on this machine",
			Remedy: r.notOurs()}
	}
	return nil
}

// notOurs is what is to be done where hosts have certificates of another authority.
func (r *Run) notOurs() string {
	return fmt.Sprintf("copy the directory %s from the machine where the authority was made or last replaced; if it is lost, or was never zkctl's (tls.ca: files), "+
		"move what is there away, and zkctl certs rotate --ca --take-over puts another one in its place without downtime", r.Authority.Dir)
}

// issuedBy reports whether the member's certificate, if it has one, is by one of the authorities.
func (m member) issuedBy(authorities []*x509.Certificate) bool {
	chain := m.certificate.chain
	return chain == nil || certs.Check(chain, authorities, nil, chain[0].NotBefore) == nil
}

// initAuthority makes the authority and zkctl's own certificate on this machine.
func (r *Run) initAuthority() error {
	if r.DryRun {
		if !r.Authority.Exists() {
			r.here("would make an authority in " + r.Authority.Dir)
		}
		return nil
	}
	made, err := r.Authority.Init()
	if err != nil {
		return err
	}
	if made {
		r.here("make an authority in " + r.Authority.Dir)
	}
	a, err := r.Authority.Issuer()
	if err != nil {
		return err
	}
	return r.keepClient(a)
}

// IssueClient makes a key and a certificate for a client of the ensemble, and what it is to trust, in files that must not be there
// yet. During a change of the authority it is by the next one, and trusts both.
func (r *Run) IssueClient(name, file, trust string) error {
	sign := r.Authority.Authority
	if r.Authority.Changing() {
		if !r.Authority.Bundled() {
			return &RefusedError{Host: r.Inventory.Name, Text: "not all members have come to trust the next authority, and the present one is about to go", Remedy: r.nextCommand()}
		}
		sign = r.Authority.Next
	}
	a, err := sign()
	if err != nil {
		return err
	}
	authorities, err := r.Authority.Certificates()
	if err != nil {
		return err
	}
	if r.DryRun {
		r.here("would make a certificate for the client " + name + " in " + file + ", and whom it is to trust in " + trust)
		return nil
	}
	text, err := a.Client(name, r.Inventory.Name, r.Inventory.Hosts[0].TLS.Days)
	if err != nil {
		return err
	}
	if err := writeNew(trust, certs.PEM(authorities...), 0o644); err != nil {
		return err
	}
	if err := writeNew(file, text, 0o600); err != nil {
		return errors.Join(err, os.Remove(trust))
	}
	r.here("make a certificate for the client " + name + " in " + file + ", and whom it is to trust in " + trust)
	return nil
}

// writeNew writes a file that must not be there yet, whole or not at all.
func writeNew(file string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// here reports a change of this machine.
func (r *Run) here(what string) {
	r.mu.Lock()
	r.changes++
	r.mu.Unlock()
	r.report(Event{Kind: Changed, Step: stepCertificates, Text: what})
}

// stageOrNone is the stage of the member, the plain one where it does not run.
func (m member) stageOrNone() templates.Stage {
	s, _ := m.stage()
	return s
}
