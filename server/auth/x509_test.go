package auth

import (
	"bufio"
	"crypto/x509"
	"encoding/hex"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// The files of testdata were made with javax.security.auth.x500.X500Principal of OpenJDK 17.

// table reads lines of a word, a blank and a quoted text.
func table(t testing.TB, name string, each func(word, text string)) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		word, quoted, _ := strings.Cut(lines.Text(), " ")
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, lines.Text(), err)
		}
		each(word, text)
	}
	if n < 50 {
		t.Errorf("%s has only %d lines", name, n)
	}
}

func TestNameText(t *testing.T) {
	table(t, "x509-names.txt", func(word, want string) {
		der, err := hex.DecodeString(word)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := nameText(der); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", word, got, err, want)
		}
	})
	for _, bad := range []string{"", "30", "3001", "300000", "3100", "30023100ff"} {
		der, _ := hex.DecodeString(bad)
		if got, err := nameText(der); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}

func TestValidName(t *testing.T) {
	table(t, "x509-valid.txt", func(word, text string) {
		if got := validName(text); got != (word == "1") {
			t.Errorf("%q: %t", text, got)
		}
	})
}

// shown is a connection whose client has shown a certificate of this name.
func shown(t *testing.T, der string) Conn {
	t.Helper()
	name, err := hex.DecodeString(der)
	if err != nil {
		t.Fatal(err)
	}
	c := remote
	c.Certificates = []*x509.Certificate{{RawSubject: name}}
	return c
}

const (
	adminName = "300f310d300b06035504030c0461646d69"     // CN=admi
	userName  = "300f310d300b06035504030c0475736572"     // CN=user
	noName    = "300f310d300b06035504030c04757365720000" // not one
)

func TestX509(t *testing.T) {
	p := New(Options{Schemes: []Scheme{X509("CN=admi")}})
	user := wire.ID{Scheme: "x509", ID: "CN=user"}
	ids := p.Initial(shown(t, userName))
	if want := []wire.ID{home, user}; !reflect.DeepEqual(ids, want) {
		t.Errorf("a client is %v", ids)
	}
	admin := p.Initial(shown(t, adminName))
	if want := []wire.ID{home, {Scheme: "super", ID: "CN=admi"}, {Scheme: "x509", ID: "CN=admi"}}; !reflect.DeepEqual(admin, want) {
		t.Errorf("the superuser is %v", admin)
	}
	for _, c := range []Conn{remote, shown(t, noName)} {
		if ids := p.Initial(c); len(ids) != 1 {
			t.Errorf("without a name there are %v", ids)
		}
		if _, v := p.Add(nil, c, "x509", nil); v != Failed {
			t.Errorf("without a name one authenticates oneself: %v", v)
		}
	}
	if again, v := p.Add(ids, shown(t, userName), "x509", []byte("whatever")); v != Accepted || !reflect.DeepEqual(again, ids) {
		t.Errorf("authenticated again: %v, %v", again, v)
	}
	list := []wire.ACL{{Perms: wire.PermRead, ID: user}}
	if fixed, ok := p.fixedUp([]wire.ACL{acl(wire.PermRead, "auth", "")}, ids); !ok || !reflect.DeepEqual(fixed, list) {
		t.Errorf("auth is %v", fixed)
	}
	if _, ok := p.fixedUp([]wire.ACL{acl(1, "x509", "user")}, ids); ok {
		t.Error("what is no name may stand in a list")
	}
	other := []wire.ID{{Scheme: "x509", ID: "CN=other"}}
	for _, test := range []struct {
		ids   []wire.ID
		perms wire.Perms
		want  bool
	}{{ids, wire.PermRead, true}, {ids, wire.PermWrite, false}, {other, wire.PermRead, false}, {admin, wire.PermWrite, true},
		{admin[2:], wire.PermRead, true}, {admin[2:], wire.PermWrite, false}} {
		if got := p.Allowed(list, test.perms, test.ids); got != test.want {
			t.Errorf("%v: %t", test.ids, got)
		}
	}
	if ids := New(Options{}).Initial(shown(t, userName)); len(ids) != 1 {
		t.Errorf("a server without the scheme has %v", ids)
	}
	if New(Options{Schemes: []Scheme{X509("")}}).Allowed(list, wire.PermRead, []wire.ID{{Scheme: "x509"}}) {
		t.Error("a nameless client is the superuser that there is not")
	}
}

func FuzzName(f *testing.F) {
	table(f, "x509-names.txt", func(word, text string) {
		der, _ := hex.DecodeString(word)
		f.Add(der, text)
	})
	table(f, "x509-valid.txt", func(_, text string) { f.Add([]byte{0x30, 0}, text) })
	f.Fuzz(func(t *testing.T, der []byte, text string) {
		validName(text)
		// What a certificate says may stand in a list, but where Java itself writes what it cannot read.
		if name, err := nameText(der); err == nil && !validName(name) && !strings.ContainsAny(name, "\r\n\x00#") {
			t.Errorf("%q is written, and cannot be read", name)
		}
	})
}
