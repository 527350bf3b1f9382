package secure

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/zkctl/zkctl/test/authority"
)

// office is the place where an authority says what it has revoked.
type office struct {
	*httptest.Server
	asked  atomic.Int64
	list   atomic.Pointer[[]byte]
	online atomic.Pointer[func(serial *big.Int) []byte]
}

func newOffice(t *testing.T) *office {
	o := new(office)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if list := o.list.Load(); r.URL.Path == "/list" && list != nil {
			w.Write(*list)
			return
		}
		if answer := o.online.Load(); r.URL.Path == "/ocsp" && answer != nil {
			body, _ := io.ReadAll(r.Body)
			request, err := ocsp.ParseRequest(body)
			if err != nil {
				t.Error(err)
				return
			}
			w.Write((*answer)(request.SerialNumber))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// publish makes a list.
func (o *office) publish(t *testing.T, a *authority.Authority, until time.Time, extra []pkix.Extension, revoked ...*x509.Certificate) {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour * 48), NextUpdate: until, ExtraExtensions: extra,
	}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	o.list.Store(&der)
}

// answer has the status of every certificate told, signed by somebody.
func (o *office) answer(t *testing.T, issuer *x509.Certificate, status int, by *x509.Certificate, key crypto.Signer, until time.Time) {
	f := func(serial *big.Int) []byte {
		template := ocsp.Response{Status: status, SerialNumber: serial, ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: until, RevokedAt: time.Now().Add(-time.Hour)}
		if !by.Equal(issuer) {
			template.Certificate = by
		}
		der, err := ocsp.CreateResponse(issuer, by, template, key)
		if err != nil {
			t.Error(err)
		}
		return der
	}
	o.online.Store(&f)
}

func point(t *testing.T, p issuingDistributionPoint) []pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return []pkix.Extension{{Id: oidIssuingDistributionPoint, Critical: true, Value: der}}
}

func uri(text string) distributionPointName {
	return distributionPointName{FullName: []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(text)}}}
}

func TestLists(t *testing.T) {
	good, evil, namesake := authority.New(t, "good"), authority.New(t, "evil"), authority.New(t, "good")
	later := time.Now().Add(time.Hour)
	for _, test := range []struct {
		name    string
		publish func(o *office, c *x509.Certificate)
		want    string
	}{
		{"not on the list", func(o *office, c *x509.Certificate) { o.publish(t, good, later, nil, good.Certificate) }, ""},
		{"on the list", func(o *office, c *x509.Certificate) { o.publish(t, good, later, nil, c) }, "is revoked"},
		{"no list", func(*office, *x509.Certificate) {}, "404 Not Found"},
		{"a list of somebody else", func(o *office, c *x509.Certificate) { o.publish(t, evil, later, nil) }, "cannot be found out"},
		{"a list of a namesake", func(o *office, c *x509.Certificate) { o.publish(t, namesake, later, nil) }, "cannot be found out"},
		{"an old list", func(o *office, c *x509.Certificate) { o.publish(t, good, time.Now().Add(-time.Hour), nil) }, "good from"},
		{"no list at all", func(o *office, c *x509.Certificate) { garbage := []byte("garbage"); o.list.Store(&garbage) }, "cannot be found out"},
		{"the part of the list for this place", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, point(t, issuingDistributionPoint{Point: uri(o.URL + "/list"), OnlyUsers: true}))
		}, ""},
		{"on the part of the list for this place", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, point(t, issuingDistributionPoint{Point: uri(o.URL + "/list")}), c)
		}, "is revoked"},
		{"the part for another place", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, point(t, issuingDistributionPoint{Point: uri(o.URL + "/other")}))
		}, "another place"},
		{"the part for authorities", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, point(t, issuingDistributionPoint{OnlyCAs: true}))
		}, "does not cover it"},
		{"the part for some reasons", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, point(t, issuingDistributionPoint{Reasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}}))
		}, "only some reasons"},
		{"the part since another list", func(o *office, c *x509.Certificate) {
			o.publish(t, good, later, []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}})
		}, "not known here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice(t)
			c := good.Issue(t, authority.Wish{Subject: named("client"), Lists: []string{o.URL + "/list"}}).Certificate
			test.publish(o, c)
			r := newRevocation(false)
			for range 3 {
				err := r.check([]*x509.Certificate{c, good.Certificate})
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Fatalf("%v, want %q", err, test.want)
				}
			}
			if n := o.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	r := newRevocation(false)
	if err := r.check([]*x509.Certificate{good.Named(t, "x").Certificate, good.Certificate}); err == nil || !strings.Contains(err.Error(), "where to ask") {
		t.Errorf("a certificate that does not say where to ask: %v", err)
	}
	ldap := good.Issue(t, authority.Wish{Lists: []string{"ldap://127.0.0.1/x"}}).Certificate
	if err := r.check([]*x509.Certificate{ldap, good.Certificate}); err == nil || !strings.Contains(err.Error(), "only HTTP") {
		t.Errorf("a list that is not on HTTP: %v", err)
	}
	if err := r.check([]*x509.Certificate{good.Certificate}); err != nil {
		t.Errorf("an authority that is trusted itself: %v", err)
	}
}

// A new list is asked for when the one of before has been in use for a while.
func TestListsBecomeOld(t *testing.T) {
	good, o := authority.New(t, "good"), newOffice(t)
	c := good.Issue(t, authority.Wish{Lists: []string{o.URL + "/list"}}).Certificate
	r := newRevocation(false)
	now := time.Now()
	r.now = func() time.Time { return now }
	check := func() error { return r.check([]*x509.Certificate{c, good.Certificate}) }
	if check() == nil {
		t.Error("without a list it is good")
	}
	o.publish(t, good, now.Add(time.Hour), nil)
	if check() == nil {
		t.Error("asked again at once")
	}
	now = now.Add(failedFor + 1)
	if err := check(); err != nil {
		t.Error(err)
	}
	o.publish(t, good, now.Add(time.Hour), nil, c)
	if err := check(); err != nil {
		t.Errorf("asked again at once: %v", err)
	}
	now = now.Add(freshFor + 1)
	if err := check(); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("a while later: %v", err)
	}
}

func TestOnline(t *testing.T) {
	good := authority.New(t, "good")
	later := time.Now().Add(time.Hour)
	helper := good.Issue(t, authority.Wish{Subject: named("ocsp"), Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}})
	anybody := good.Named(t, "anybody")
	for _, test := range []struct {
		name   string
		answer func(o *office)
		list   bool
		want   string
	}{
		{"good", func(o *office) { o.answer(t, good.Certificate, ocsp.Good, good.Certificate, good.Key, later) }, false, ""},
		{"revoked", func(o *office) { o.answer(t, good.Certificate, ocsp.Revoked, good.Certificate, good.Key, later) }, true, "is revoked"},
		{"unknown", func(o *office) { o.answer(t, good.Certificate, ocsp.Unknown, good.Certificate, good.Key, later) }, false, "does not know it"},
		{"unknown, but there is a list", func(o *office) { o.answer(t, good.Certificate, ocsp.Unknown, good.Certificate, good.Key, later) }, true, ""},
		{"good, said by a helper", func(o *office) { o.answer(t, good.Certificate, ocsp.Good, helper.Certificate, helper.Key, later) }, false, ""},
		{"good, said by anybody", func(o *office) { o.answer(t, good.Certificate, ocsp.Good, anybody.Certificate, anybody.Key, later) }, false, "who may not"},
		{"good long ago", func(o *office) {
			o.answer(t, good.Certificate, ocsp.Good, good.Certificate, good.Key, time.Now().Add(-time.Hour))
		}, false, "good from"},
		{"no answer", func(*office) {}, false, "404 Not Found"},
		{"no answer, but there is a list", func(*office) {}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice(t)
			w := authority.Wish{Subject: named("client"), OCSP: []string{o.URL + "/ocsp"}}
			if test.list {
				w.Lists = []string{o.URL + "/list"}
				o.publish(t, good, later, nil)
			}
			c := good.Issue(t, w).Certificate
			test.answer(o)
			r := newRevocation(true)
			for range 2 {
				err := r.check([]*x509.Certificate{c, good.Certificate})
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Fatalf("%v, want %q", err, test.want)
				}
			}
		})
	}
}

// What a certificate says of where to ask is followed in a handshake.
func TestRevokedClient(t *testing.T) {
	good, o := authority.New(t, "good"), newOffice(t)
	wish := authority.Wish{Subject: named("client"), Lists: []string{o.URL + "/list"}}
	fine, revoked := good.Issue(t, wish), good.Issue(t, wish)
	o.publish(t, good, time.Now().Add(time.Hour), nil, revoked.Certificate)
	c, log := newContext(t, good.Named(t, "server"), good, func(s *Settings) { s.CRL = true })
	if serverErr, clientErr := meet(t, c, clientOf(good, fine)); serverErr != nil || clientErr != nil {
		t.Errorf("%v, %v", serverErr, clientErr)
	}
	if serverErr, clientErr := meet(t, c, clientOf(good, revoked)); serverErr == nil || clientErr == nil {
		t.Error("a revoked certificate is good")
	}
	if log.count("is revoked") != 1 {
		t.Errorf("the log has %s", log)
	}
}
