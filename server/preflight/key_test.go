package preflight

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/zkctl/zkctl/server/keystore"
)

// A key is made once, for its owner's eyes only, and each request is one for it.
func TestMakeKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "next.key")
	run := func() (key []byte, request *x509.CertificateRequest) {
		t.Helper()
		program, _ := Find("make-key")
		var out, errs bytes.Buffer
		if code := program([]string{file}, &out, &errs); code != 0 || out.Len() > 0 {
			t.Fatalf("exit code %d, %q, %s", code, out.String(), errs.String())
		}
		key, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file + ".csr")
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if request, err = x509.ParseCertificateRequest(block.Bytes); err != nil {
			t.Fatal(err)
		}
		if err := request.CheckSignature(); err != nil {
			t.Error(err)
		}
		return key, request
	}
	key, first := run()
	again, second := run()
	if !bytes.Equal(key, again) || !bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) {
		t.Error("the second call makes another key")
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// A member must be able to read it: what is missing is the certificate.
	if _, err := keystore.Keys(keystore.PEM, key, ""); err == nil || err == keystore.ErrNoKey {
		t.Errorf("a server says of it: %v", err)
	}
}
