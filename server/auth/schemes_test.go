package auth

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/zkctl/zkctl/wire"
)

// The tables of this file were made with the providers of Apache ZooKeeper 3.8.0, but for IPv6, which they do not know.

func TestDigestIDs(t *testing.T) {
	for text, want := range map[string]string{
		"user:password": "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=",
		"alice:secret":  "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=",
		"super:x":       "super:eXJov8znpQ4dl1Mi6FnyKh1mSgw=",
		"a:b:c":         "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0=",
		"u:":            "u:IX23jg4I7W2/R//KoV8VL1UfuBM=",
		"u":             "u:UeaYkqtJ34XGIwzMV/jh0WBsrMw=",
		":p":            ":LlDE5iroUDDm9zdvmLsfjkUvn0k=",
		"":              ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
		"ü:ß":           "ü:vB6Co0vguxtrKN0lKrXliXiGJq4=",
	} {
		if got := DigestID(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestValidDigestIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"a:b": true, ":b": true, "a:b:": true, "a:b::": true,
		"": false, "a": false, "a:": false, "a::": false, ":": false, "::": false, "::c": false, "a:b:c": false,
	} {
		if got := (digest{}).Valid(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}

func TestValidIPs(t *testing.T) {
	for id, want := range map[string]bool{
		"1.2.3.4": true, "1.2.3.4/32": true, "1.2.3.4/0": true, "1.2.3.4/+8": true, "1.2.3.4/08": true, "01.002.3.4": true,
		"::1": true, "0:0:0:0:0:0:0:1/128": true, "2001:db8::/32": true, "::/0": true,
		"1.2.3.4/33": false, "1.2.3.4/-1": false, "1.2.3.4/": false, "1.2.3.4/8/9": false, "1.2.3": false, "1.2.3.4.5": false,
		"1.2.3.256": false, "1.2.3.-1": false, "1..3.4": false, "1.2.3.4.": false, "a.b.c.d": false, "": false, "/": false,
		"1.2.3.4 ": false, " 1.2.3.4": false, "1.2.3.4/ 8": false,
		"::1/129": false, "fe80::1%eth0": false, "::ffff:1.2.3.4": false, ":::": false, "1::2::3": false,
	} {
		if got := (ip{}).Valid(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}

func TestMatchingIPs(t *testing.T) {
	for _, test := range []struct {
		conn, acl string
		want      bool
	}{
		{"10.1.2.3", "10.0.0.0/8", true},
		{"10.1.2.3", "11.0.0.0/8", false},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.1.2.4/31", false},
		{"10.1.2.3", "10.1.2.2/31", true},
		{"10.1.2.3", "0.0.0.0/0", true},
		{"10.1.2.3", "1.2.3.4/0", true},
		{"10.1.2.3", "10.01.002.3", true},
		{"10.1.2.3", "10.255.255.255/9", false},
		{"10.128.2.3", "10.255.255.255/9", true},
		{"192.168.1.7", "192.168.1.0/29", true},
		{"192.168.1.8", "192.168.1.0/29", false},
		{"10.1.2.3", "bad", false},
		{"bad", "0.0.0.0/0", false},
		{"0:0:0:0:0:0:0:1", "10.0.0.0/0", false},
		{"0:0:0:0:0:0:0:1", "::1", true},
		{"2001:db8:0:0:0:0:0:10", "2001:db8::/32", true},
		{"2001:db9:0:0:0:0:0:10", "2001:db8::/32", false},
		{"fe80:0:0:0:0:0:0:1%eth0", "fe80::/10", true},
		{"10.1.2.3", "::/0", false},
	} {
		if got := (ip{}).Matches(test.conn, test.acl); got != test.want {
			t.Errorf("%s by %s: %t", test.conn, test.acl, got)
		}
	}
}

func TestAddrText(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "::1": "0:0:0:0:0:0:0:1", "2001:db8::10": "2001:db8:0:0:0:0:0:10", "::ffff:1.2.3.4": "1.2.3.4",
		"fe80::1": "fe80:0:0:0:0:0:0:1", "2001:db8:0:0:1:0:0:1": "2001:db8:0:0:1:0:0:1", "fe80::1%lo": "fe80:0:0:0:0:0:0:1%lo",
	} {
		a := netip.MustParseAddr(addr)
		if got := AddrText(a); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
		if !(ip{}).Matches(AddrText(a), AddrText(a.Unmap().WithZone(""))) {
			t.Errorf("%s does not match itself", addr)
		}
	}
}

func TestSuper(t *testing.T) {
	d := digest{super: DigestID("super:x")}
	if ids, v := d.Authenticate(Conn{}, []byte("super:x")); v != Accepted || !slices.Contains(ids, wire.ID{Scheme: SuperScheme}) {
		t.Errorf("the super user is %v", ids)
	}
	for _, wrong := range []string{"super:y", "super", "", "other:x"} {
		if ids, _ := d.Authenticate(Conn{}, []byte(wrong)); slices.Contains(ids, wire.ID{Scheme: SuperScheme}) {
			t.Errorf("%q is the super user", wrong)
		}
	}
	if ids, _ := (digest{}).Authenticate(Conn{}, []byte{}); len(ids) != 1 {
		t.Errorf("without a super user there are %v", ids)
	}
	if ids, v := d.Authenticate(Conn{}, nil); v != Failed || len(ids) != 0 {
		t.Errorf("null is %v", ids)
	}
}
