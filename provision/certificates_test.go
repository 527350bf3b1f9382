package provision

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// authorityIn makes an authority in a directory, and a certificate by it.
func authorityIn(t *testing.T, dir string) (*certs.Store, *certs.Authority, *x509.Certificate) {
	t.Helper()
	store := &certs.Store{Dir: dir, Ensemble: "lab"}
	if _, err := store.Init(); err != nil {
		t.Fatal(err)
	}
	a, err := store.Authority()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Sign(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), certs.Wish{Name: "a", Hosts: []string{"a", "10.0.0.11"}, Days: 30})
	if err != nil {
		t.Fatal(err)
	}
	return store, a, c
}

// A machine without the authority of the hosts makes no second one, and brings no trust to members that run which would part them.
func TestAnotherCertificateAuthority(t *testing.T) {
	_, theirs, certificate := authorityIn(t, t.TempDir())
	ours, _, _ := authorityIn(t, t.TempDir())
	inv, err := inventory.Parse("inventory.yaml", []byte(`
name: lab
tls: {client: optional, quorum: on}
hosts: [{name: a, address: 10.0.0.11, id: 1}]
`))
	if err != nil {
		t.Fatal(err)
	}
	m := member{Member: templates.Member{Ensemble: inv, Host: inv.Hosts[0]}, facts: &hostprep.Facts{}, running: true}
	m.started = templates.ZooCfg(m.Member)
	bare := m
	m.certificate = shownCertificate{chain: []*x509.Certificate{certificate}, trust: certs.PEM(theirs.Certificate)}
	trusting := bare
	trusting.certificate.trust = m.certificate.trust
	nowhere := &certs.Store{Dir: filepath.Join(t.TempDir(), "none"), Ensemble: "lab"}
	var refused *RefusedError
	for what, c := range map[string]struct {
		store *certs.Store
		m     member
	}{"none here": {nowhere, m}, "another one here": {ours, m}, "only trusted there": {ours, trusting}, "only trusted there, none here": {nowhere, trusting}} {
		r := &Run{Inventory: inv, Authority: c.store}
		if err := r.noOtherAuthority([]member{bare, c.m}); !errors.As(err, &refused) || !strings.Contains(refused.Remedy, c.store.Dir) {
			t.Errorf("%s: %v", what, err)
		}
		if err := r.noOtherAuthority([]member{bare}); err != nil {
			t.Errorf("%s, hosts without certificates: %v", what, err)
		}
	}
	all := func(member) bool { return true }
	r := &Run{Inventory: inv, Authority: ours}
	if err := r.planCertificates([]member{m}, &Plan{}, all); !errors.As(err, &refused) || !strings.Contains(refused.Remedy, "certs rotate --ca") {
		t.Errorf("planned for a member that runs with TLS: %v", err)
	}
	m.running = false
	if err := r.planCertificates([]member{m}, &Plan{}, all); err != nil {
		t.Errorf("planned for a member that does not run: %v", err)
	}
	if err := r.takeOver([]member{m}); !errors.As(err, &refused) || !strings.Contains(refused.Remedy, "leave --take-over away") {
		t.Errorf("taken over where there is a key: %v", err)
	}
	r.Authority = nowhere
	if err := r.takeOver([]member{m, trusting}); err != nil {
		t.Error(err)
	}
	if got, err := nowhere.Certificates(); err != nil || len(got) != 1 || !got[0].Equal(theirs.Certificate) {
		t.Errorf("taken over: %v, %v", got, err)
	}
}

// Clients get certificates by the authority that lasts, and trust whom members may show one of.
func TestIssueClient(t *testing.T) {
	dir := t.TempDir()
	store, old, _ := authorityIn(t, filepath.Join(dir, "tls"))
	inv, err := inventory.Parse("inventory.yaml", []byte("name: lab\nhosts: [{name: a, address: 10.0.0.11, id: 1}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Run{Inventory: inv, Authority: store}
	issue := func(name string) ([]*x509.Certificate, []*x509.Certificate) {
		t.Helper()
		file, trust := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".ca.pem")
		if err := r.IssueClient(name, file, trust); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
		var read [2][]*x509.Certificate
		for i, f := range []string{file, trust} {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if read[i], err = certs.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
		return read[0], read[1]
	}
	c, trusted := issue("before")
	if c[0].CheckSignatureFrom(old.Certificate) != nil || len(trusted) != 1 {
		t.Errorf("before a change: by %v, trusts %d", c[0].Issuer, len(trusted))
	}
	if err := r.IssueClient("before", filepath.Join(dir, "new.pem"), filepath.Join(dir, "before.ca.pem")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	if err := r.IssueClient("before", filepath.Join(dir, "before.pem"), filepath.Join(dir, "new.ca.pem")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "new*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	if err := store.BeginChange(); err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if err := r.IssueClient("early", filepath.Join(dir, "early.pem"), filepath.Join(dir, "early.ca.pem")); !errors.As(err, &refused) || r.Phase(nil) != Begun {
		t.Errorf("before all members trust the next authority: %v, %v", err, r.Phase(nil))
	}
	if err := store.WriteBundle(); err != nil {
		t.Fatal(err)
	}
	next, err := store.Next()
	if err != nil {
		t.Fatal(err)
	}
	c, trusted = issue("after")
	if c[0].CheckSignatureFrom(next.Certificate) != nil || len(trusted) != 2 {
		t.Errorf("in a change: by %v, trusts %d", c[0].Issuer, len(trusted))
	}
	for want, hosts := range map[Phase][]HostCertificate{BothTrusted: {{}, {}}, Finishing: {{}, {Next: true}}} {
		if got := r.Phase(hosts); got != want || got.Next() != finishCommand {
			t.Errorf("phase %q, want %q", got, want)
		}
	}
}

// What could not be written is not there afterwards, so that it can be tried again.
func TestWriteNewIsWholeOrNotAtAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.pem")
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := syscall.Rlimit{Cur: 100, Max: limit.Max}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := writeNew(file, make([]byte, 4096), 0o600)
	if back := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); back != nil {
		t.Fatal(back)
	}
	if err == nil {
		t.Error("a file that is larger than the limit was written")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
	if err := writeNew(file, []byte("all"), 0o600); err != nil {
		t.Error(err)
	}
}

// A certificate that would outlast its authority is good as long as it is, and is not replaced over and over.
func TestCertificateThatOutlastsItsAuthority(t *testing.T) {
	_, a, certificate := authorityIn(t, t.TempDir())
	inv, err := inventory.Parse("inventory.yaml", []byte("name: lab\nhosts: [{name: a, address: 10.0.0.11, id: 1}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := member{Member: templates.Member{Ensemble: inv, Host: inv.Hosts[0]}}
	m.certificate = shownCertificate{chain: []*x509.Certificate{certificate}, file: "600 " + m.User()}
	certificate.NotAfter = a.Certificate.NotAfter.AddDate(1, 0, 0)
	if why := m.wantsCertificate([]*x509.Certificate{a.Certificate}); why != "" {
		t.Errorf("replaced: %s", why)
	}
}

// Members become Apache ZooKeeper only when none speaks TLS by zkctl's certificates; what the operator gives is no obstacle.
func TestPlainBeforeApache(t *testing.T) {
	parse := func(text string) *inventory.Inventory {
		t.Helper()
		inv, err := inventory.Parse("inventory.yaml", []byte("name: lab\nhosts: [{name: a, address: 10.0.0.11, id: 1}]\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	secured, given := parse("tls: {client: optional, quorum: on}\n"), parse("zoo_cfg_extra: {secureClientPort: 2281, ssl.keyStore.location: /etc/own.pem}\n")
	wanted := parse("server: {kind: apache, archive: ./apache-zookeeper-3.8.4-bin.tar.gz}\n")
	for _, c := range []struct {
		from, to *inventory.Inventory
		running  bool
		allowed  bool
	}{{secured, wanted, true, false}, {secured, wanted, false, true}, {given, wanted, true, true}, {secured, secured, true, true}} {
		m := member{Member: templates.Member{Ensemble: c.to, Host: c.to.Hosts[0]}, running: c.running,
			started: templates.ZooCfg(templates.Member{Ensemble: c.from, Host: c.from.Hosts[0]})}
		var refused *RefusedError
		if err := plainBeforeApache([]member{m}); (err == nil) != c.allowed || err != nil && !errors.As(err, &refused) {
			t.Errorf("from %v, running %v: %v", c.from.Hosts[0].TLS, c.running, err)
		}
	}
}
