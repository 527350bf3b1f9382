package certs

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func request(t *testing.T) []byte {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"evil.example.org"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// What is signed is for whom zkctl says, whatever the request asks for.
func TestSign(t *testing.T) {
	s := &Store{Dir: filepath.Join(t.TempDir(), "tls/lab"), Ensemble: "lab"}
	must[bool](t)(s.Init())
	a := must[*Authority](t)(s.Authority())
	c := must[*x509.Certificate](t)(a.Sign(request(t), Wish{Name: "m1", Ensemble: "lab", Hosts: []string{"m1", "10.0.0.1", "fd00::1"}, Days: 30}))
	if got := Hosts(c); !slices.Equal(got, []string{"m1", "10.0.0.1", "fd00::1"}) {
		t.Errorf("it is for %v", got)
	}
	trusted := []*x509.Certificate{a.Certificate}
	now := time.Now()
	if err := Check([]*x509.Certificate{c}, trusted, []string{"m1", "fd00::1"}, now); err != nil {
		t.Error(err)
	}
	other := must[*Authority](t)(newAuthority("lab"))
	for what, err := range map[string]error{
		"another host":      Check([]*x509.Certificate{c}, trusted, []string{"10.0.0.2"}, now),
		"another authority": Check([]*x509.Certificate{c}, []*x509.Certificate{other.Certificate}, nil, now),
		"too late":          Check([]*x509.Certificate{c}, trusted, nil, now.AddDate(0, 0, 31)),
	} {
		if err == nil {
			t.Errorf("%s: good", what)
		}
	}
	for days, at := range map[int]time.Time{29: now, 0: now.AddDate(0, 0, 30).Add(-time.Hour), -1: now.AddDate(0, 0, 30).Add(time.Hour), -2: now.AddDate(0, 0, 31).Add(time.Hour)} {
		if got := DaysLeft(c, at); got != days {
			t.Errorf("at %v %d days are left, not %d", at, got, days)
		}
	}
	a.Certificate.NotAfter = now.AddDate(0, 0, 10).Truncate(time.Second)
	if short := must[*x509.Certificate](t)(a.Sign(request(t), Wish{Name: "m1", Days: 30})); !short.NotAfter.Equal(a.Certificate.NotAfter) {
		t.Errorf("it ends on %v, its authority on %v", short.NotAfter, a.Certificate.NotAfter)
	}
	a.Certificate.NotAfter = now.Add(-time.Minute)
	if _, err := a.Sign(request(t), Wish{Name: "m1", Days: 30}); err == nil || !strings.Contains(err.Error(), "rotate --ca") {
		t.Errorf("by an authority that has ended: %v", err)
	}
	broken := bytes.Replace(request(t), []byte("REQUEST"), []byte("NOTHING"), 1)
	if _, err := a.Sign(broken, Wish{}); err == nil {
		t.Error("a broken request is signed")
	}
}

// Keys and directory are for their owner alone; a key with a passphrase needs it.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls/lab")
	phrase := "correct horse"
	s := &Store{Dir: dir, Ensemble: "lab", Passphrase: func() (string, error) { return phrase, nil }}
	var missing *MissingError
	if _, err := s.Certificates(); !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "certs init") {
		t.Errorf("without an authority: %v", err)
	}
	if made := must[bool](t)(s.Init()); !made {
		t.Error("it was there before it was made")
	}
	if made := must[bool](t)(s.Init()); made {
		t.Error("it was made twice")
	}
	a := must[*Authority](t)(s.Authority())
	must[bool](t)(s.KeepClient(a))
	if made := must[bool](t)(s.KeepClient(a)); made {
		t.Error("a client's certificate that lasts is made anew")
	}
	lasting := must[tls.Certificate](t)(s.Client())
	if err := s.RenewClient(a); err != nil {
		t.Error(err)
	}
	if renewed := must[tls.Certificate](t)(s.Client()); renewed.Leaf.Equal(lasting.Leaf) {
		t.Error("a client's certificate that lasts is not renewed")
	}
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o700, "ca.key": 0o600, "client.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	text := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "ca.key")))
	if bytes.Contains(text, []byte("BEGIN PRIVATE KEY")) {
		t.Error("the key is not encrypted")
	}
	phrase = "wrong horse"
	if _, err := s.Authority(); err == nil || strings.Contains(err.Error(), phrase) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	s.Passphrase = nil
	if _, err := s.Authority(); err == nil || !strings.Contains(err.Error(), "tls.passphrase") {
		t.Errorf("without a passphrase: %v", err)
	}
	if _, err := s.Client(); err != nil {
		t.Errorf("its own certificate needs no passphrase: %v", err)
	}
}

// A change of the authority that is cut off anywhere can be gone on with.
func TestChange(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Ensemble: "lab"}
	must[bool](t)(s.Init())
	old := must[*Authority](t)(s.Authority())
	for range 2 {
		if err := s.BeginChange(); err != nil {
			t.Fatal(err)
		}
	}
	next := must[*Authority](t)(s.Next())
	if all := must[[]*x509.Certificate](t)(s.Certificates()); len(all) != 2 || !all[0].Equal(old.Certificate) || !all[1].Equal(next.Certificate) {
		t.Errorf("trusted are %d", len(all))
	}
	if bytes.Equal(old.Certificate.RawSubject, next.Certificate.RawSubject) {
		t.Error("both have one name")
	}
	if s.Bundled() {
		t.Error("there is a bundle before it was written")
	}
	if err := s.WriteBundle(); err != nil || !s.Bundled() {
		t.Errorf("there is no bundle: %v", err)
	}
	if issuer := must[*Authority](t)(s.Issuer()); !issuer.Certificate.Equal(old.Certificate) {
		t.Error("what is for now is by the next authority")
	}
	if err := os.Rename(s.file("next-ca.key"), s.file("ca.key")); err != nil { // as far as EndChange came
		t.Fatal(err)
	}
	if again := must[*Authority](t)(s.Next()); !again.Certificate.Equal(next.Certificate) || !s.Bundled() {
		t.Error("the next authority is another one, or the bundle is gone")
	}
	if _, err := s.Authority(); err == nil || !strings.Contains(err.Error(), "--finish") {
		t.Errorf("the authority of before: %v", err)
	}
	if err := s.EndChange(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Bundle()); err == nil {
		t.Error("the bundle is left")
	}
	if now := must[*Authority](t)(s.Authority()); !now.Certificate.Equal(next.Certificate) || s.Changing() {
		t.Error("the change has not ended")
	}
}

// A change that is cancelled leaves what was there before; that may be cut off, too.
func TestCancelChange(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Ensemble: "lab"}
	must[bool](t)(s.Init())
	old := must[*Authority](t)(s.Authority())
	for _, cut := range []string{"", "bundle.pem", "next-ca.key"} {
		if err := errors.Join(s.BeginChange(), s.WriteBundle()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bundle.pem", "next-ca.key"} { // as far as CancelChange came
			if cut == "" {
				break
			}
			if err := os.Remove(s.file(name)); err != nil {
				t.Fatal(err)
			}
			if name == cut {
				break
			}
		}
		if now := must[*Authority](t)(s.Authority()); !now.Certificate.Equal(old.Certificate) || !s.Changing() {
			t.Errorf("cut off after %q: the present authority is another one, or the change is over", cut)
		}
		if err := s.CancelChange(); err != nil {
			t.Fatal(err)
		}
		if left := must[[]os.DirEntry](t)(os.ReadDir(s.Dir)); len(left) != 2 || s.Changing() || s.Bundled() {
			t.Errorf("cut off after %q: left are %v", cut, left)
		}
		if all := must[[]*x509.Certificate](t)(s.Certificates()); len(all) != 1 || !all[0].Equal(old.Certificate) {
			t.Errorf("cut off after %q: trusted are %d", cut, len(all))
		}
	}
}

// Authorities without a key are followed by one with a key; the bundle of an earlier change is none of this one.
func TestTakeOver(t *testing.T) {
	one, other := must[*Authority](t)(newAuthority("lab")), must[*Authority](t)(newAuthority("lab"))
	s := &Store{Dir: filepath.Join(t.TempDir(), "lab/tls"), Ensemble: "lab"}
	if err := s.TakeOver([]*x509.Certificate{one.Certificate, other.Certificate}); err != nil {
		t.Fatal(err)
	}
	if s.HasKey() {
		t.Error("it has a key")
	}
	if err := os.WriteFile(s.Bundle(), PEM(one.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.BeginChange(); err != nil {
		t.Fatal(err)
	}
	next := must[*Authority](t)(s.Next())
	if all := must[[]*x509.Certificate](t)(s.Certificates()); len(all) != 3 || !all[1].Equal(other.Certificate) || !all[2].Equal(next.Certificate) {
		t.Errorf("trusted are %d", len(all))
	}
	if s.Bundled() {
		t.Error("the bundle of before counts")
	}
	if issuer := must[*Authority](t)(s.Issuer()); !issuer.Certificate.Equal(next.Certificate) {
		t.Error("something else than the next authority issues")
	}
	if err := errors.Join(s.WriteBundle(), s.EndChange()); err != nil {
		t.Fatal(err)
	}
	if now := must[*Authority](t)(s.Authority()); !now.Certificate.Equal(next.Certificate) {
		t.Error("another authority is there")
	}
}
