package remote

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func testKey(t testing.TB, seed string) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed([]byte(strings.Repeat(seed, 32))[:32]).Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hashed(name string) string {
	salt := []byte("0123456789abcdefghij")
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestKnownHosts(t *testing.T) {
	key, other := testKey(t, "a"), testKey(t, "b")
	k, o := " "+string(ssh.MarshalAuthorizedKey(key)), " "+string(ssh.MarshalAuthorizedKey(other))
	for _, c := range []struct {
		name, text, address string
		want                string // in the error; empty for success
	}{
		{"plain", "zk1" + k, "zk1:22", ""},
		{"several names", "a,zk1,10.0.0.1" + k, "10.0.0.1:22", ""},
		{"upper case", "ZK1" + k, "zk1:22", ""},
		{"hashed", hashed("zk1") + k, "zk1:22", ""},
		{"hashed with port", hashed("[zk1]:2222") + k, "zk1:2222", ""},
		{"port", "[zk1]:2222" + k, "zk1:2222", ""},
		{"IPv6", "fd00::1" + k, "[fd00::1]:22", ""},
		{"IPv6 with port", "[fd00::1]:2222" + k, "[fd00::1]:2222", ""},
		{"other port", "[zk1]:2222" + k, "zk1:22", "not on record"},
		{"known without the port", "zk1" + k, "zk1:2222", ""},
		{"another key without the port says nothing", "zk1" + o, "zk1:2222", "not on record"},
		{"pattern", "*.lab" + k, "zk1.lab:22", ""},
		{"question mark", "zk?" + k, "zk1:22", ""},
		{"negated", "*.lab,!zk1.lab" + k, "zk1.lab:22", "not on record"},
		{"a second key", "zk1" + o + "zk1" + k, "zk1:22", ""},
		{"changed", "# a comment\nzk1" + o, "zk1:22", "known_hosts:2 (ssh-ed25519"},
		{"revoked", "zk1" + k + "@revoked *" + k, "zk1:22", "is revoked by"},
		{"lines that nobody can read", "zk1 1024 35 1234567890\nzk1 ssh-tomorrow AAAA\n@strange zk1" + o + "nonsense\nzk1" + k, "zk1:22", ""},
		{"an authority is no key of the host", "@cert-authority *" + o, "zk1:22", "not on record"},
		{"CRLF", "zk1" + strings.TrimSpace(k) + "\r\n", "zk1:22", "not on record"},
		{"CRLF and blank", "zk1 " + strings.TrimSpace(k) + "\r\n", "zk1:22", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			h := hostKeys{policy: HostKeyStrict, files: []string{file, "/no/such/file"}}
			err := h.check(c.address, nil, key)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func FuzzKnownHosts(f *testing.F) {
	f.Add([]byte("a,!b*?," + hashed("zk1") + " " + string(ssh.MarshalAuthorizedKey(testKey(f, "a")))))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := readKnownHosts([]string{file})
		if err != nil {
			t.Fatal(err)
		}
		k.algorithms("zk1:22")
		k.revoked(testKey(t, "a"))
	})
}
