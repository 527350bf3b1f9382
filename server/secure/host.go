package secure

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lookupTimeout bounds the question for the name of an address.
const lookupTimeout = 5 * time.Second

// resolver answers what DNS knows.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// verifyHost checks that a certificate is one of the address, or of the host as it is configured, or, if that may be
// asked, of a name of the address (ZKTrustManager.performHostVerification).
func (c *Context) verifyHost(certificate *x509.Certificate, p peer) error {
	err := matchHost(certificate, p.addr.String())
	if err == nil {
		return nil
	}
	if _, notName := netip.ParseAddr(p.host); p.host != "" && notName != nil {
		if hostErr := matchHost(certificate, p.host); hostErr != nil {
			return hostErr
		}
		return nil
	}
	if !c.settings.ReverseLookup {
		return err
	}
	for _, name := range c.namesOf(p.addr) {
		if matchHost(certificate, name) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w, nor of a name of that address", err)
}

// namesOf are the names that DNS has for an address and that lead back to it.
func (c *Context) namesOf(addr netip.Addr) []string {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	names, err := c.resolver.LookupAddr(ctx, addr.String())
	if err != nil {
		return nil // no name is no match, whatever the reason
	}
	return slices.DeleteFunc(names, func(name string) bool {
		addresses, err := c.resolver.LookupHost(ctx, name)
		return err != nil || !slices.ContainsFunc(addresses, func(text string) bool {
			a, err := netip.ParseAddr(text)
			return err == nil && a.Unmap().WithZone("") == addr
		})
	})
}

// matchHost checks a certificate for an address or a name as ZKHostnameVerifier does: by its alternative names, or, if it
// has none of either kind, by its common name.
func matchHost(certificate *x509.Certificate, host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	if len(certificate.DNSNames) == 0 && len(certificate.IPAddresses) == 0 {
		common := certificate.Subject.CommonName
		switch {
		case common == "":
			return errors.New("it has neither alternative names nor a common name")
		case !matchName(host, common):
			return fmt.Errorf("it is one of %s, not of %s", common, host)
		}
		return nil
	}
	var of []string
	for _, ip := range certificate.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		if isAddr && a.Unmap() == addr.Unmap() {
			return nil
		}
		of = append(of, ip.String())
	}
	for _, name := range certificate.DNSNames {
		if !isAddr && matchName(host, name) {
			return nil
		}
		of = append(of, name)
	}
	return fmt.Errorf("it is one of %s, not of %s", strings.Join(of, ", "), host)
}

// matchName compares a name with one that may have a wildcard for a part of a label.
func matchName(host, pattern string) bool {
	pattern = strings.ToLower(pattern)
	before, behind, wild := strings.Cut(pattern, "*")
	if !wild {
		return host == pattern
	}
	return len(host) >= len(before)+len(behind) && strings.HasPrefix(host, before) && strings.HasSuffix(host, behind) &&
		!strings.Contains(host[len(before):len(host)-len(behind)], ".")
}
