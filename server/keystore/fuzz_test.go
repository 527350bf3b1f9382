package keystore

import (
	"crypto/sha1"
	"testing"
)

func fuzz(f *testing.F, of Type, names ...string) {
	for _, name := range names {
		f.Add(read(f, name), password)
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		keys, err := Keys(of, data, password)
		if err == nil && (len(keys) == 0 || keys[0].Leaf == nil || keys[0].PrivateKey == nil) {
			t.Errorf("keys are %v", keys)
		}
		trusted, err := Trusted(of, data, password)
		if err == nil && len(trusted) == 0 {
			t.Error("nothing is trusted")
		}
	})
}

func FuzzPEM(f *testing.F) {
	fuzz(f, PEM, "ec.pem", "encrypted-3des.pem", "trust.pem", "encrypted-old.pem")
}

func FuzzPKCS12(f *testing.F) { fuzz(f, PKCS12, "trust.p12", "openssl-legacy.p12") }

// FuzzJKS leaves out the digest, which no random change survives.
func FuzzJKS(f *testing.F) {
	for _, name := range []string{"ec.jks", "mixed.jks", "trust.jks"} {
		data := read(f, name)
		f.Add(data[:len(data)-sha1.Size], password)
	}
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		entries, err := jksBody(data)
		if err != nil {
			return
		}
		for _, e := range entries {
			unprotect(e.protected, password)
		}
	})
}
