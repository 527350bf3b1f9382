// Package keystore reads key stores and trust stores as Apache ZooKeeper takes them (PEMFileLoader, JKSFileLoader,
// PKCS12FileLoader): private keys with their chains, and certificates that are trusted.
//
// It writes none, and of the formats it knows those parts that hold keys of TLS. BCFKS needs the library of its inventors
// and is refused.
package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Type is a format of stores (org.apache.zookeeper.common.KeyStoreFileType).
type Type string

// The formats.
const (
	JKS    Type = "JKS"
	PEM    Type = "PEM"
	PKCS12 Type = "PKCS12"
	BCFKS  Type = "BCFKS"
)

// suffixes are those of file names by which a format is known.
var suffixes = map[string]Type{".jks": JKS, ".pem": PEM, ".p12": PKCS12, ".bcfks": BCFKS}

var (
	// ErrType is returned for a format that nobody knows and for a file name that does not tell the format.
	ErrType = errors.New("unknown store type: give JKS, PEM or PKCS12, or let the file name end in .jks, .pem or .p12")
	// ErrBCFKS is returned for the one format that cannot be read.
	ErrBCFKS = errors.New("BCFKS stores cannot be read by this server: convert it with keytool -importkeystore -deststoretype PKCS12")
	// ErrPassword is returned where a store cannot be opened with the password given.
	ErrPassword = errors.New("the password is wrong, or the file is damaged")
	// ErrNoKey and ErrNotTrusted are returned for stores without what is wanted.
	ErrNoKey      = errors.New("there is no private key in it")
	ErrNotTrusted = errors.New("there is no trusted certificate in it (keytool -importcert adds one)")
)

// TypeOf is the format that a property names, in any case; if it is empty the name of the file tells it.
func TypeOf(property, file string) (Type, error) {
	t := Type(strings.ToUpper(property))
	if property == "" {
		t = suffixes[filepath.Ext(file)]
	}
	switch t {
	case JKS, PEM, PKCS12:
		return t, nil
	case BCFKS:
		return t, ErrBCFKS
	}
	return "", ErrType
}

// Keys reads the private keys of a store, each with its chain, the own certificate first. The password, which may be
// empty, is that of the store and of its keys. Errors name neither the file nor the password; they wrap ErrPassword and
// ErrNoKey.
func Keys(t Type, data []byte, password string) ([]tls.Certificate, error) {
	var keys []tls.Certificate
	var err error
	switch {
	case t == PEM:
		keys, err = pemKeys(data, password)
	case isJKS(data):
		keys, err = jksKeys(data, password)
	default:
		keys, err = pkcs12Keys(data, password)
	}
	if err == nil && len(keys) == 0 {
		err = ErrNoKey
	}
	return keys, err
}

// Trusted reads the trusted certificates of a store. Certificates of private keys are not among them, but for PEM, which
// cannot tell them apart. Errors are as for Keys, with ErrNotTrusted.
func Trusted(t Type, data []byte, password string) ([]*x509.Certificate, error) {
	var trusted []*x509.Certificate
	var err error
	switch {
	case t == PEM:
		trusted, err = pemCertificates(data)
	case isJKS(data):
		trusted, err = jksTrusted(data, password)
	default:
		trusted, err = pkcs12Trusted(data, password)
	}
	if err == nil && len(trusted) == 0 {
		err = ErrNotTrusted
	}
	return trusted, err
}

// pair makes a key with its certificate, which may be any of the given ones, and their chain.
func pair(key any, certificates []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a private key of type %T is not one of TLS", key)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a private key of type %T is not one of TLS", key)
	}
	own := slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) })
	if own < 0 {
		return tls.Certificate{}, errors.New("there is no certificate of the private key in it")
	}
	paired := tls.Certificate{PrivateKey: signer, Leaf: certificates[own]}
	for _, c := range chain(certificates[own], certificates) {
		paired.Certificate = append(paired.Certificate, c.Raw)
	}
	return paired, nil
}

// chain puts a certificate and its issuers in order, as far as they are among others.
func chain(own *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	ordered := []*x509.Certificate{own}
	for {
		last := ordered[len(ordered)-1]
		next := slices.IndexFunc(others, func(c *x509.Certificate) bool {
			return string(c.RawSubject) == string(last.RawIssuer) && !slices.ContainsFunc(ordered, c.Equal) &&
				(len(last.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || string(last.AuthorityKeyId) == string(c.SubjectKeyId))
		})
		if next < 0 {
			return ordered
		}
		ordered = append(ordered, others[next])
	}
}
