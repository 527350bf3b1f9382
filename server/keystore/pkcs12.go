package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

func pkcs12Keys(data []byte, password string) ([]tls.Certificate, error) {
	key, first, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, pkcs12Error(err)
	}
	paired, err := pair(key, append([]*x509.Certificate{first}, others...))
	if err != nil {
		return nil, err
	}
	return []tls.Certificate{paired}, nil
}

// pkcs12Trusted takes certificates that keytool has marked as trusted, and none that are there only to complete a chain,
// as Java does.
func pkcs12Trusted(data []byte, password string) ([]*x509.Certificate, error) {
	trusted, err := pkcs12.DecodeTrustStore(data, password)
	if err == nil || errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return trusted, pkcs12Error(err)
	}
	if _, _, _, keyErr := pkcs12.DecodeChain(data, password); keyErr == nil {
		return nil, errors.New("there is a private key in it: keep trusted certificates in a store of their own (keytool -importcert)")
	}
	return nil, pkcs12Error(err)
}

func pkcs12Error(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return ErrPassword
	}
	return fmt.Errorf("PKCS #12: %s", strings.TrimPrefix(err.Error(), "pkcs12: "))
}
