package secure

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/zkctl/zkctl/test/authority"
)

// ZKHostnameVerifier of Apache ZooKeeper 3.8.0 was asked the same and answers so, but for the dot behind a name, which it
// never sees.
func TestMatchHost(t *testing.T) {
	for _, test := range []struct {
		common string
		names  []string
		addrs  []string
		host   string
		want   bool
	}{
		{"zk1", nil, nil, "zk1", true},
		{"ZK1", nil, nil, "zk1", true},
		{"zk1", nil, nil, "zk2", false},
		{"*.example.org", nil, nil, "zk1.example.org", true},
		{"10.0.0.1", nil, nil, "10.0.0.1", true},
		{"", nil, nil, "zk1", false},
		{"zk1", []string{"zk2"}, nil, "zk1", false}, // alternative names count alone
		{"zk1", nil, []string{"10.0.0.1"}, "zk1", false},
		{"", []string{"zk1", "zk2"}, nil, "zk2", true},
		{"", []string{"Zk1.Example.ORG"}, nil, "zk1.example.org", true},
		{"", []string{"zk1.example.org"}, nil, "zk1.example.org.", true},
		{"", []string{"*.example.org"}, nil, "zk1.example.org", true},
		{"", []string{"*.example.org"}, nil, "a.zk1.example.org", false},
		{"", []string{"*.example.org"}, nil, "example.org", false},
		{"", []string{"zk*.example.org"}, nil, "zk1.example.org", true},
		{"", []string{"zk*.example.org"}, nil, "a1.example.org", false},
		{"", []string{"a*a"}, nil, "a", false},
		{"", []string{"10.0.0.1"}, nil, "10.0.0.1", false}, // an address is no name
		{"", nil, []string{"10.0.0.1"}, "10.0.0.1", true},
		{"", nil, []string{"10.0.0.1"}, "10.0.0.2", false},
		{"", nil, []string{"2001:db8::1"}, "2001:db8:0:0:0:0:0:1", true},
		{"", nil, []string{"2001:db8::1"}, "2001:db8::2", false},
	} {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: test.common}, DNSNames: test.names}
		for _, a := range test.addrs {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
		if err := matchHost(c, test.host); (err == nil) != test.want {
			t.Errorf("%q %v %v for %s: %v", test.common, test.names, test.addrs, test.host, err)
		}
	}
}

// dns knows names of addresses, and addresses of names.
type dns struct{ names, addresses map[string][]string }

func (d dns) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return answerOf(d.names[addr])
}
func (d dns) LookupHost(_ context.Context, host string) ([]string, error) {
	return answerOf(d.addresses[host])
}

func answerOf(found []string) ([]string, error) {
	if found == nil {
		return nil, errors.New("no such host")
	}
	return found, nil
}

func TestReverseLookup(t *testing.T) {
	good := authority.New(t, "good")
	of := func(hosts ...string) *x509.Certificate {
		return good.Issue(t, authority.Wish{Hosts: hosts}).Certificate
	}
	known := dns{
		names:     map[string][]string{"10.0.0.1": {"other.", "zk1.example.org."}, "10.0.0.2": {"zk1.example.org."}},
		addresses: map[string][]string{"zk1.example.org.": {"10.0.0.9", "10.0.0.1"}, "other.": {"10.0.0.1"}},
	}
	for _, test := range []struct {
		name string
		cert *x509.Certificate
		peer peer
		off  bool
		want bool
	}{
		{"a name of the address", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.1"), client: true}, false, true},
		{"lookups are not allowed", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.1"), client: true}, true, false},
		{"a name that does not lead back", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.2"), client: true}, false, false},
		{"an address without a name", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.3"), client: true}, false, false},
		{"no lookup is needed", of("10.0.0.3"), peer{addr: netip.MustParseAddr("10.0.0.3"), client: true}, true, true},
		{"the name that was dialled", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.3"), host: "zk1.example.org"}, true, true},
		{"another name than was dialled", of("other"), peer{addr: netip.MustParseAddr("10.0.0.1"), host: "zk1.example.org"}, false, false},
		{"an address that was dialled", of("zk1.example.org"), peer{addr: netip.MustParseAddr("10.0.0.1"), host: "10.0.0.1"}, false, true},
	} {
		c := &Context{settings: Settings{ReverseLookup: !test.off}, resolver: known}
		if err := c.verifyHost(test.cert, test.peer); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
