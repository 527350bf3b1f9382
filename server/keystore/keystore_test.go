package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const password = "changeit"

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func typeOf(t testing.TB, name string) Type {
	t.Helper()
	of, err := TypeOf("", name)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

func TestTypeOf(t *testing.T) {
	for _, test := range []struct {
		property, file string
		want           Type
		err            error
	}{
		{"", "/etc/zk/key.jks", JKS, nil},
		{"", "key.pem", PEM, nil},
		{"", "key.p12", PKCS12, nil},
		{"", "key.bcfks", BCFKS, ErrBCFKS},
		{"", "key.pfx", "", ErrType},
		{"", "key.PEM", "", ErrType},
		{"", "pem", "", ErrType},
		{"jks", "key.pem", JKS, nil},
		{"Pkcs12", "key", PKCS12, nil},
		{"PEM", "key.jks", PEM, nil},
		{"BCFKS", "key.jks", BCFKS, ErrBCFKS},
		{"p12", "key.p12", "", ErrType},
	} {
		if got, err := TypeOf(test.property, test.file); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q, %q: %v, %v", test.property, test.file, got, err)
		}
	}
}

// Every store of a key has the chain in order, and a handshake with it succeeds.
func TestKeys(t *testing.T) {
	trusted, err := Trusted(PEM, read(t, "trust.pem"), "")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(trusted[0])
	for name, want := range map[string]string{
		"ec.pem": "ec", "rsa.pem": "rsa", "ed25519.pem": "ed25519", "disordered.pem": "ec", "sec1.pem": "ec", "pkcs1.pem": "rsa",
		"encrypted.pem": "ec", "encrypted-aes128-sha512.pem": "ec", "encrypted-3des.pem": "ec",
		"openssl.p12": "ec", "openssl-legacy.p12": "rsa", "keytool.p12": "ec", "pkcs12.jks": "ec", "mixed.p12": "ec",
		"ec.jks": "ec", "mixed.jks": "ec", "both.jks": "rsa ec",
	} {
		keys, err := Keys(typeOf(t, name), read(t, name), password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var names []string
		for _, key := range keys {
			names = append(names, key.Leaf.Subject.CommonName)
			if len(key.Certificate) < 2 {
				t.Errorf("%s: a chain of %d certificates", name, len(key.Certificate))
			}
			for _, err := range handshake(&tls.Config{Certificates: []tls.Certificate{key}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}) {
				if err != nil {
					t.Errorf("%s: handshake: %v", name, err)
				}
			}
		}
		if got := strings.Join(names, " "); got != want && got != "ec rsa" {
			t.Errorf("%s: keys of %s, want %s", name, got, want)
		}
	}
}

func TestTrusted(t *testing.T) {
	for name, want := range map[string]string{
		"trust.pem": "Root", "trust.p12": "Root", "trust.jks": "Root Middle", "mixed.jks": "Root", "ec.pem": "ec Middle",
	} {
		trusted, err := Trusted(typeOf(t, name), read(t, name), password)
		var names []string
		for _, c := range trusted {
			names = append(names, c.Subject.CommonName)
		}
		if got := strings.Join(names, " "); err != nil || got != want && got != "Middle Root" {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	if _, err := Trusted(JKS, read(t, "unicode.jks"), "pässwörd€"); err != nil {
		t.Errorf("a password that is not of ASCII: %v", err)
	}
}

// What cannot be used is refused with a reason that helps.
func TestRefused(t *testing.T) {
	keys := func(t Type, data []byte, password string) error {
		_, err := Keys(t, data, password)
		return err
	}
	trusted := func(t Type, data []byte, password string) error {
		_, err := Trusted(t, data, password)
		return err
	}
	for _, test := range []struct {
		name, password string
		load           func(Type, []byte, string) error
		want           string
	}{
		{"ec.jks", "wrong", keys, ErrPassword.Error()},
		{"ec.jks", "", keys, ErrPassword.Error()},
		{"trust.jks", "wrong", trusted, ErrPassword.Error()},
		{"keytool.p12", "wrong", keys, ErrPassword.Error()},
		{"openssl.p12", "", keys, ErrPassword.Error()},
		{"trust.p12", "wrong", trusted, ErrPassword.Error()},
		{"encrypted.pem", "wrong", keys, ErrPassword.Error()},
		{"encrypted-3des.pem", "wrong", keys, ErrPassword.Error()},
		{"encrypted.pem", "", keys, "there is no password"},
		{"other-password.jks", password, keys, "another password than the store"},
		{"trust.jks", password, keys, ErrNoKey.Error()},
		{"trust.pem", "", keys, ErrNoKey.Error()},
		{"trust.p12", password, keys, "private key missing"},
		{"ec.jks", password, trusted, ErrNotTrusted.Error()},
		{"unmarked.p12", password, trusted, "not marked as trusted"},
		{"mixed.p12", password, trusted, "a store of their own"},
		{"keytool.p12", password, trusted, "a store of their own"},
		{"encrypted-scrypt.pem", password, keys, "openssl pkcs8 -topk8 -v2 aes256"},
		{"encrypted-pbes1.pem", password, keys, "openssl pkcs8 -topk8 -v2 aes256"},
		{"encrypted-old.pem", password, keys, "openssl pkcs8 -topk8 -v2 aes256"},
	} {
		err := test.load(typeOf(t, test.name), read(t, test.name), test.password)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with password %q: %v", test.name, test.password, err)
		}
	}
	if err := keys(PEM, append(read(t, "trust.pem"), pemPart(t, "ec.pem", "PRIVATE KEY")...), ""); err == nil {
		t.Error("a key with the certificate of another is accepted")
	}
	for _, of := range []Type{PEM, JKS, PKCS12} {
		for _, data := range [][]byte{nil, []byte("x"), []byte("\xfe\xed\xfe\xed"), read(t, "make.sh")} {
			if keys(of, data, "") == nil || trusted(of, data, "") == nil {
				t.Errorf("%s: %.20q is accepted", of, data)
			}
		}
	}
}

// A store that lost its end or got another byte is refused.
func TestDamaged(t *testing.T) {
	for _, name := range []string{"ec.jks", "keytool.p12", "trust.jks", "trust.p12"} {
		whole := read(t, name)
		load := func(data []byte) error {
			if strings.HasPrefix(name, "trust") {
				_, err := Trusted(typeOf(t, name), data, password)
				return err
			}
			_, err := Keys(typeOf(t, name), data, password)
			return err
		}
		for at := 0; at < len(whole); at += 7 {
			if load(whole[:at]) == nil {
				t.Errorf("%s: %d bytes of %d are accepted", name, at, len(whole))
			}
		}
		for at := 4; at < len(whole); at += 31 {
			changed := append([]byte(nil), whole...)
			changed[at] ^= 0x10
			if err := load(changed); err == nil && isJKS(whole) {
				t.Errorf("%s: another byte %d is accepted", name, at)
			}
		}
	}
}

// pemPart is a block of a file.
func pemPart(t *testing.T, name, kind string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(string(read(t, name)), "-----BEGIN "+kind)
	part, _, _ := strings.Cut(rest, "-----END "+kind)
	return []byte("-----BEGIN " + kind + part + "-----END " + kind + "-----\n")
}
