package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// Store is the directory of an ensemble's authority.
type Store struct {
	// Dir is made by Init.
	Dir string
	// Ensemble is the ensemble's name.
	Ensemble string
	// Passphrase fetches that of the authority's key. Where it is nil, keys are written without encryption.
	Passphrase func() (string, error)
}

// MissingError says that an authority, its key or zkctl's own certificate is not on this machine.
type MissingError struct{ Ensemble, File string }

// Error has the file.
func (e *MissingError) Error() string {
	return fmt.Sprintf("this machine has no authority for the certificates of %s: there is no %s", e.Ensemble, e.File)
}

// Hint says where it comes from.
func (e *MissingError) Hint() string {
	return "zkctl certs init makes one; if there is one on another machine, copy the directory " + filepath.Dir(e.File) + " from there; " +
		"if it is lost, or that of the members was never zkctl's, zkctl certs rotate --ca --take-over puts another one in its place"
}

func (s *Store) file(name string) string { return filepath.Join(s.Dir, name) }

func (s *Store) has(name string) bool {
	_, err := os.Stat(s.file(name))
	return err == nil
}

// Exists reports whether there is an authority, Changing whether the one that is to follow it is there.
func (s *Store) Exists() bool   { return s.has("ca.pem") }
func (s *Store) Changing() bool { return s.has("next-ca.pem") }

// Bundle is the file from which clients trust both authorities during a change. It is there as soon as all members do.
func (s *Store) Bundle() string { return s.file("bundle.pem") }

// Bundled reports whether a change has come so far that there is the bundle: what the next authority issues is good everywhere.
func (s *Store) Bundled() bool {
	text, err := os.ReadFile(s.Bundle())
	both, missing := s.Certificates()
	return err == nil && missing == nil && s.Changing() && bytes.Equal(text, PEM(both...))
}

// Init makes the authority. One that is there is kept, and made is false.
func (s *Store) Init() (made bool, err error) {
	if s.Exists() {
		return false, nil
	}
	return true, s.make("ca")
}

// TakeOver puts certificates that others have made in the place of the present authority, without a key: a change can begin
// with them.
func (s *Store) TakeOver(authorities []*x509.Certificate) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	return s.write("ca.pem", PEM(authorities...))
}

// BeginChange makes the authority that is to follow. One that is there is kept.
func (s *Store) BeginChange() error {
	if s.Changing() {
		return nil
	}
	return s.make("next-ca")
}

// WriteBundle makes the bundle.
func (s *Store) WriteBundle() error {
	both, err := s.Certificates()
	if err != nil {
		return err
	}
	return s.write("bundle.pem", PEM(both...))
}

// EndChange lets the next authority take the place of the present one.
func (s *Store) EndChange() error {
	// Between the two the key is not that of the certificate, which is why the certificate comes last: it says that a
	// change goes on.
	if s.has("next-ca.key") {
		if err := os.Rename(s.file("next-ca.key"), s.file("ca.key")); err != nil {
			return err
		}
	}
	if err := os.Rename(s.file("next-ca.pem"), s.file("ca.pem")); err != nil {
		return err
	}
	if err := os.Remove(s.Bundle()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// CancelChange lets the present authority stay, and removes the next one. It can be called again if it was cut off.
func (s *Store) CancelChange() error {
	// The certificate says that a change goes on, and so comes last.
	for _, name := range []string{"bundle.pem", "next-ca.key", "next-ca.pem"} {
		if err := os.Remove(s.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Store) make(name string) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	a, err := newAuthority(s.Ensemble)
	if err != nil {
		return err
	}
	text, err := s.marshalKey(a.key)
	if err == nil {
		err = s.write(name+".key", text)
	}
	if err == nil {
		err = s.write(name+".pem", PEM(a.Certificate))
	}
	return err
}

func (s *Store) marshalKey(key crypto.Signer) ([]byte, error) {
	if s.Passphrase == nil {
		return marshalKey(key)
	}
	phrase, err := s.Passphrase()
	if err != nil {
		return nil, err
	}
	if phrase == "" {
		return nil, errors.New("the passphrase of the authority's key is empty")
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, s.Ensemble, []byte(phrase))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

func marshalKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Certificates are those of the authority and, during a change, of the next one behind it. Where others were taken over, the
// authority may be several.
func (s *Store) Certificates() ([]*x509.Certificate, error) {
	all, err := s.Present()
	if err != nil {
		return nil, err
	}
	next, err := s.read("next-ca.pem")
	if missing := (*MissingError)(nil); errors.As(err, &missing) {
		return all, nil
	}
	return append(all, next...), err
}

// Present are the certificates of the authority itself, also during a change.
func (s *Store) Present() ([]*x509.Certificate, error) { return s.read("ca.pem") }

func (s *Store) read(name string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{s.Ensemble, s.file(name)}
	}
	if err != nil {
		return nil, err
	}
	all, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file(name), err)
	}
	return all, nil
}

// Authority reads the authority with its key; Next the one that is to follow.
func (s *Store) Authority() (*Authority, error) { return s.authority("ca") }

// Next reads the authority that is to follow.
func (s *Store) Next() (*Authority, error) { return s.authority("next-ca") }

// HasKey reports whether the key of the authority is here: not where others were taken over.
func (s *Store) HasKey() bool { return s.has("ca.key") }

// Issuer is the authority by which certificates are made that are for now: the next one only where the present one was taken
// over without its key.
func (s *Store) Issuer() (*Authority, error) {
	if s.Changing() && !s.HasKey() {
		return s.Next()
	}
	return s.Authority()
}

func (s *Store) authority(name string) (*Authority, error) {
	all, err := s.read(name + ".pem")
	if err != nil {
		return nil, err
	}
	key, err := s.readKey(name + ".key")
	if errors.Is(err, fs.ErrNotExist) && name == "next-ca" {
		key, err = s.readKey("ca.key") // EndChange was cut off
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{s.Ensemble, s.file(name + ".key")}
	}
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(all[0].PublicKey) {
		if name == "ca" && s.Changing() && !s.has("next-ca.key") {
			return nil, errors.New("a change of the authority was cut off at its very end: zkctl certs rotate --ca --finish")
		}
		return nil, fmt.Errorf("%s is not the key of %s", s.file(name+".key"), s.file(name+".pem"))
	}
	return &Authority{all[0], key}, nil
}

func (s *Store) readKey(name string) (crypto.Signer, error) {
	text, err := os.ReadFile(s.file(name))
	if err != nil {
		return nil, err
	}
	var key any
	_, err = ssh.ParseRawPrivateKey(text)
	if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		if s.Passphrase == nil {
			return nil, fmt.Errorf("%s is encrypted: set tls.passphrase in the inventory, such as {prompt: true}", s.file(name))
		}
		phrase, err := s.Passphrase()
		if err != nil {
			return nil, err
		}
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(text, []byte(phrase))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.file(name), err)
		}
	} else {
		key, err = ssh.ParseRawPrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.file(name), err)
		}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of a kind that does not sign", s.file(name))
	}
	return signer, nil
}

// clientDays is how long zkctl's own certificate is valid, and how long before its end it is made anew.
const (
	clientDays   = 365
	clientMargin = 30 * 24 * time.Hour
)

// KeepClient sees that zkctl has a certificate of its own by one of Certificates, and that it lasts. A new one is by the given
// authority.
func (s *Store) KeepClient(a *Authority) (made bool, err error) {
	trusted, err := s.Certificates()
	if err != nil {
		return false, err
	}
	own, err := s.Client()
	if err == nil && time.Until(own.Leaf.NotAfter) > clientMargin &&
		slices.ContainsFunc(trusted, func(c *x509.Certificate) bool { return own.Leaf.CheckSignatureFrom(c) == nil }) {
		return false, nil
	}
	return true, s.RenewClient(a)
}

// RenewClient gives zkctl a new key and certificate by the given authority.
func (s *Store) RenewClient(a *Authority) error {
	text, err := a.Client("zkctl", s.Ensemble, clientDays)
	if err != nil {
		return err
	}
	return s.write("client.pem", text)
}

// Client makes a key and a certificate for a client, and returns both in PEM.
func (a *Authority) Client(name, ensemble string, days int) ([]byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	c, err := a.issue(key.Public(), Wish{Name: name, Ensemble: ensemble, Days: days, Client: true})
	if err != nil {
		return nil, err
	}
	text, err := marshalKey(key)
	return append(text, PEM(c)...), err
}

// Client is the certificate with which zkctl comes to members.
func (s *Store) Client() (tls.Certificate, error) {
	text, err := os.ReadFile(s.file("client.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, &MissingError{s.Ensemble, s.file("client.pem")}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return c, fmt.Errorf("%s: %w", s.file("client.pem"), err)
	}
	return c, nil
}

// write puts a file that only its owner can read there as a whole or not at all.
func (s *Store) write(name string, text []byte) (err error) {
	f, err := os.CreateTemp(s.Dir, "."+name+".") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), s.file(name)); err != nil {
		return err
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
