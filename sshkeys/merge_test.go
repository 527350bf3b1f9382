package sshkeys

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// key makes a public key from a seed.
func key(t *testing.T, seed byte, comment string) PublicKey {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return PublicKey{key: public, comment: comment}
}

func TestMergeAuthorized(t *testing.T) {
	a, b := key(t, 1, "root@master"), key(t, 2, "root@slave1")
	both := a.Line() + "\n" + b.Line() + "\n"
	for _, c := range []struct {
		name, in, want string
		restricted     int
	}{
		{"empty", "", both, 0},
		{"complete", both, both, 0},
		{"foreign lines stay", "# mine\n\nssh-rsa broken me\n", "# mine\n\nssh-rsa broken me\n" + both, 0},
		{"no final newline", "# mine", "# mine\n" + both, 0},
		{"CRLF", a.Line() + "\r\n# x\r\n", a.Line() + "\r\n# x\r\n" + b.Line() + "\n", 0},
		{"other comment", a.text() + " someone else\n", a.text() + " someone else\n" + b.Line() + "\n", 0},
		{"options", `from="10.0.0.*",no-pty ` + a.Line() + "\n", `from="10.0.0.*",no-pty ` + a.Line() + "\n" + b.Line() + "\n", 1},
		{"foreign duplicates stay", a.Line() + "\n" + a.Line() + "\n", a.Line() + "\n" + a.Line() + "\n" + b.Line() + "\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, restricted := MergeAuthorized([]byte(c.in), []PublicKey{a, b, a})
			if string(got) != c.want || len(restricted) != c.restricted {
				t.Fatalf("got\n%s%d restricted; want\n%s%d", got, len(restricted), c.want, c.restricted)
			}
			if again, _ := MergeAuthorized(got, []PublicKey{b, a}); string(again) != c.want {
				t.Fatalf("not stable:\n%s", again)
			}
		})
	}
}

func TestMergeKnown(t *testing.T) {
	m, s, old := key(t, 1, ""), key(t, 2, ""), key(t, 3, "")
	hosts := []Known{
		{Names: []string{"master", "10.0.0.1"}, Keys: []PublicKey{m}},
		{Names: []string{"[slave1]:2222", "[10.0.0.2]:2222"}, Keys: []PublicKey{s}},
	}
	lineM, lineS := "master,10.0.0.1 "+m.text()+"\n", "[slave1]:2222,[10.0.0.2]:2222 "+s.text()+"\n"
	hash := func(name string) string {
		salt := []byte("0123456789abcdefghij")
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	for _, c := range []struct {
		name, in, want string
		stale          int
	}{
		{"empty", "", lineM + lineS, 0},
		{"foreign lines stay", "# x\ngithub.com " + old.text() + " c\nbroken\n", "# x\ngithub.com " + old.text() + " c\nbroken\n" + lineM + lineS, 0},
		{"no final newline", "db " + old.text(), "db " + old.text() + "\n" + lineM + lineS, 0},
		{"a name is there", "master " + m.text() + " note\n", "master " + m.text() + " note\n10.0.0.1 " + m.text() + "\n" + lineS, 0},
		{"hashed", hash("10.0.0.1") + " " + m.text() + "\n", hash("10.0.0.1") + " " + m.text() + "\nmaster " + m.text() + "\n" + lineS, 0},
		{"stale", "master " + old.text() + "\n", lineM + lineS, 1},
		{"stale, with another name", "master,db " + old.text() + " note\n", "db " + old.text() + " note\n" + lineM + lineS, 1},
		{"stale, hashed", hash("master") + " " + old.text() + "\n", lineM + lineS, 1},
		{"other port", "[master]:2200 " + old.text() + "\n", "[master]:2200 " + old.text() + "\n" + lineM + lineS, 0},
		{"markers stay", "@revoked * " + m.text() + "\n", "@revoked * " + m.text() + "\n" + lineM + lineS, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stale := MergeKnown([]byte(c.in), hosts)
			if string(got) != c.want || len(stale) != c.stale {
				t.Fatalf("got\n%s%q; want\n%s", got, stale, c.want)
			}
			if again, stale := MergeKnown(got, hosts); string(again) != c.want || len(stale) > 0 {
				t.Fatalf("not stable:\n%s", again)
			}
		})
	}
}
