// Package certs is the certificate authority of an ensemble: its key stays on the machine from which zkctl works, and it
// signs requests that the hosts have made for keys of their own.
//
// Everything is in one directory, which is the ensemble's and its owner's alone:
//
//	ca.pem  ca.key            the authority
//	next-ca.pem  next-ca.key  the one that is to follow, while a change of the authority goes on
//	bundle.pem                both, for clients, as soon as all members trust both
//	client.pem                key and certificate with which zkctl itself comes to members
//
// Whoever copies the directory to another machine works on from there.
//
// Not here: bringing certificates to hosts, and who is given which; see package provision.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

// authorityYears is how long an authority is good for.
const authorityYears = 10

// skew is by how much certificates begin before they are made: clocks differ.
const skew = time.Hour

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Wish is what a certificate is to say.
type Wish struct {
	// Name is the common name, Ensemble the organization.
	Name, Ensemble string
	// Hosts are the names and addresses that it is for.
	Hosts []string
	// Days is for how long it is valid, at most as long as its authority.
	Days int
	// Client makes it one of a client only.
	Client bool
}

// newAuthority makes an authority whose name no other one has.
func newAuthority(ensemble string) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{ensemble}, CommonName: fmt.Sprintf("%s CA %s", ensemble, strings.ToLower(rand.Text()[:8]))},
		NotBefore: now.Add(-skew), NotAfter: now.AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certificate, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key}, nil
}

// Sign issues a certificate for the key of a request (PKCS #10, PEM). Of what the request says besides, nothing counts.
func (a *Authority) Sign(request []byte, w Wish) (*x509.Certificate, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return nil, errors.New("no certificate request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return a.issue(csr.PublicKey, w)
}

func (a *Authority) issue(public any, w Wish) (*x509.Certificate, error) {
	now := time.Now()
	end, last := now.AddDate(0, 0, w.Days), a.Certificate.NotAfter
	if now.After(last) {
		return nil, fmt.Errorf("the authority itself ended on %s: zkctl certs rotate --ca makes another one", last.UTC().Format(time.DateOnly))
	}
	if end.After(last) {
		end = last // nothing that it has issued counts afterwards
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{w.Ensemble}, CommonName: w.Name},
		NotBefore: now.Add(-skew), NotAfter: end,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if w.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, host := range w.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return sign(template, a.Certificate, public, a.key)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func sign(template, parent *x509.Certificate, public, by any) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Parse reads all certificates of a text in PEM. It is an error if there are none.
func Parse(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return all, nil
}

// PEM is certificates as text.
func PEM(all ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// Fingerprint is the SHA-256 of a certificate.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// DaysLeft is for how many more days a certificate is valid: 0 on its last one, less afterwards.
func DaysLeft(c *x509.Certificate, now time.Time) int {
	left := c.NotAfter.Sub(now)
	if left < 0 {
		return -1 - int(-left/(24*time.Hour))
	}
	return int(left / (24 * time.Hour))
}

// Hosts are the names and addresses that a certificate is for.
func Hosts(c *x509.Certificate) []string {
	hosts := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// Check says what keeps a certificate with its chain from being one for all of the hosts, now, by one of the authorities;
// nil if nothing does.
func Check(chain, trusted []*x509.Certificate, hosts []string, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if err != nil {
			return err
		}
	}
	for _, host := range hosts {
		if err := chain[0].VerifyHostname(host); err != nil {
			return err
		}
	}
	return nil
}
