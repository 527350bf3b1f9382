package auth

import (
	"net/netip"
	"testing"
)

// The tables of this file were made with the provider of Apache ZooKeeper 3.8.0, but for IPv6, which it does not know.

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
