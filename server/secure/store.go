package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/keystore"
)

// Password is a secret that does not show itself when it is printed.
type Password string

// String is never the secret.
func (p Password) String() string {
	if p == "" {
		return ""
	}
	return "(hidden)"
}

// GoString is never the secret.
func (p Password) GoString() string { return p.String() }

// Store is a file with keys or with trusted certificates.
type Store struct {
	// Location is the path; empty for no store.
	Location string
	Type     keystore.Type
	Password Password
	// PasswordPath is a file that holds the password and counts more than Password; empty for none.
	PasswordPath string
}

// StoreError tells which store cannot be used, and why.
type StoreError struct {
	Store Store
	// Trust tells that it is the trust store, Password that the file with the password is meant.
	Trust, Password bool
	Err             error
}

// Error names the file.
func (e *StoreError) Error() string {
	which, file := "key store", e.Store.Location
	if e.Trust {
		which = "trust store"
	}
	if e.Password {
		which, file = which+" password", e.Store.PasswordPath
	}
	return fmt.Sprintf("%s %s: %v", which, file, e.Err)
}

// Unwrap returns the reason.
func (e *StoreError) Unwrap() error { return e.Err }

// Check reads the stores as New does and forgets them. An error is a *StoreError.
func Check(settings Settings) error {
	_, err := load(settings)
	return err
}

// material is what the stores hold.
type material struct {
	keys []tls.Certificate
	pool *x509.CertPool
}

func load(settings Settings) (*material, error) {
	m := &material{pool: x509.NewCertPool()}
	if s := settings.KeyStore; s.Location != "" {
		data, password, err := s.read(false)
		if err != nil {
			return nil, err
		}
		if m.keys, err = keystore.Keys(s.Type, data, password); err != nil {
			return nil, &StoreError{Store: s, Err: err}
		}
	}
	if s := settings.TrustStore; s.Location != "" {
		data, password, err := s.read(true)
		if err != nil {
			return nil, err
		}
		trusted, err := keystore.Trusted(s.Type, data, password)
		if err != nil {
			return nil, &StoreError{Store: s, Trust: true, Err: err}
		}
		for _, c := range trusted {
			m.pool.AddCert(c)
		}
	}
	return m, nil
}

// maxStoreBytes is more than any store has; a device or a log named by mistake is not read to its end.
const maxStoreBytes = 16 << 20

func (s Store) read(trust bool) (data []byte, password string, err error) {
	if data, err = readFile(s.Location); err != nil {
		return nil, "", &StoreError{Store: s, Trust: trust, Err: err}
	}
	if s.PasswordPath == "" {
		return data, string(s.Password), nil
	}
	text, err := readFile(s.PasswordPath)
	if err != nil {
		return nil, "", &StoreError{Store: s, Trust: trust, Password: true, Err: err}
	}
	return data, strings.TrimSuffix(string(text), "\n"), nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxStoreBytes) {
		err = errors.New("it is no file, or too long for a store")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	var named *os.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return data, err
}

// clientCertificate is the one that a server asks for, or, if there is none, just the first: the server then can tell why
// it does not like it.
func (m *material) clientCertificate(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	for i := range m.keys {
		if asked.SupportsCertificate(&m.keys[i]) == nil {
			return &m.keys[i], nil
		}
	}
	if len(m.keys) > 0 {
		return &m.keys[0], nil
	}
	return new(tls.Certificate), nil
}

// verify finds the chain from a certificate, the first of those shown, to a trusted one.
func (m *material) verify(shown []*x509.Certificate, usage x509.ExtKeyUsage) ([]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{usage},
	})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired { // without the time of day, so that it is told once
		const day = "2006-01-02 15:04:05 MST"
		which := "it"
		if invalid.Cert != shown[0] {
			which = nameOf(invalid.Cert)
		}
		return nil, fmt.Errorf("%s has expired or is not yet valid: good from %s until %s",
			which, invalid.Cert.NotBefore.Format(day), invalid.Cert.NotAfter.Format(day))
	}
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}
