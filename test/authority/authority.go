// Package authority is a certificate authority for tests: it issues certificates that are good, expired, of other hosts,
// and writes them as the files that a server reads.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Authority issues certificates. Its methods end the test if they fail.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Wish is what a certificate is to be. Without an end it is good for an hour, without hosts it is one of 127.0.0.1 and
// localhost, without usages of servers and clients.
type Wish struct {
	Subject     pkix.Name
	Hosts       []string // names and addresses
	NoHosts     bool     // none at all
	End         time.Time
	Usages      []x509.ExtKeyUsage
	OCSP, Lists []string
}

// Identity is a certificate with its key and the certificate of its authority.
type Identity struct {
	Certificate, Authority *x509.Certificate
	Key                    crypto.Signer
}

var serials atomic.Int64

// New makes an authority that nobody has signed.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	return &Authority{sign(t, template, template, key, key), key}
}

// Issue issues a certificate.
func (a *Authority) Issue(t testing.TB, w Wish) Identity {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: w.Subject,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: w.End,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: w.Usages, OCSPServer: w.OCSP, CRLDistributionPoints: w.Lists,
	}
	if w.End.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	if w.Usages == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	hosts := w.Hosts
	if hosts == nil && !w.NoHosts {
		hosts = []string{"127.0.0.1", "::1", "localhost"}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return Identity{sign(t, template, a.Certificate, key, a.Key), a.Certificate, key}
}

// Named issues a certificate for a common name.
func (a *Authority) Named(t testing.TB, name string) Identity {
	t.Helper()
	return a.Issue(t, Wish{Subject: pkix.Name{CommonName: name}})
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Pool is the authority as somebody trusts it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// PEM is the certificate of the authority.
func (a *Authority) PEM() []byte { return block("CERTIFICATE", a.Certificate.Raw) }

// TLS is the identity as crypto/tls takes it.
func (i Identity) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.Certificate.Raw, i.Authority.Raw}, PrivateKey: i.Key, Leaf: i.Certificate}
}

// PEM is the key with its chain.
func (i Identity) PEM(t testing.TB) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		t.Fatal(err)
	}
	return append(block("PRIVATE KEY", key), append(block("CERTIFICATE", i.Certificate.Raw), block("CERTIFICATE", i.Authority.Raw)...)...)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Write puts a file in the place of what was there at once, and returns its path.
func Write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}
