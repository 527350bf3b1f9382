package secure

import (
	"context"
	"crypto/tls"
	"os"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/test/authority"
)

// shows is the common name that a context shows, "" if a client with a certificate of an authority cannot connect.
func shows(t *testing.T, c *Context, trusted, own *authority.Authority) string {
	t.Helper()
	near, far := sockets(t)
	defer near.Close()
	go func() {
		defer far.Close()
		if secured, err := c.Server(far); err == nil {
			secured.Write([]byte("x"))
		}
	}()
	client := tls.Client(near, &tls.Config{RootCAs: trusted.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{own.Named(t, "client").TLS()}})
	if _, err := client.Read(make([]byte, 1)); err != nil {
		return ""
	}
	return client.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestReload(t *testing.T) {
	first, second := authority.New(t, "first"), authority.New(t, "second")
	dir := t.TempDir()
	key := authority.Write(t, dir, "key.pem", first.Named(t, "one").PEM(t))
	trust := authority.Write(t, dir, "trust.pem", first.PEM())
	c, log := newContext(t, first.Named(t, "one"), first, func(s *Settings) {
		s.KeyStore = Store{Location: key, Type: keystore.PEM}
		s.TrustStore = Store{Location: trust, Type: keystore.PEM}
		s.Reload = true
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(ended)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if got := shows(t, c, first, first); got != "one" {
		t.Fatalf("at first it shows %q", got)
	}
	authority.Write(t, dir, "key.pem", second.Named(t, "two").PEM(t))
	waitFor(t, "the second certificate", func() bool { return shows(t, c, second, first) == "two" })
	authority.Write(t, dir, "trust.pem", second.PEM())
	waitFor(t, "the second authority", func() bool { return shows(t, c, second, second) == "two" })
	if got := shows(t, c, second, first); got != "" {
		t.Error("the first authority is trusted still")
	}

	// Broken stores are told of once, and nothing changes.
	for i, break_ := range []func(){
		func() { authority.Write(t, dir, "key.pem", []byte("broken")) },
		func() { authority.Write(t, dir, "trust.pem", nil) },
		func() { os.Remove(key) },
	} {
		break_()
		waitFor(t, "the error", func() bool { return log.count("level=ERROR") == i+1 })
		if got := shows(t, c, second, second); got != "two" {
			t.Errorf("with a broken store it shows %q", got)
		}
	}
	authority.Write(t, dir, "trust.pem", second.PEM())
	authority.Write(t, dir, "key.pem", second.Named(t, "three").PEM(t))
	waitFor(t, "the third certificate", func() bool { return shows(t, c, second, second) == "three" })
	if n := log.count("level=ERROR"); n > 4 { // one more if the moment between the two writes was seen
		t.Errorf("%d errors in\n%s", n, log)
	}
}

// A file that is written slowly is not taken for a broken one.
func TestReloadWaitsForTheEnd(t *testing.T) {
	good := authority.New(t, "good")
	c, log := newContext(t, good.Named(t, "one"), good, func(s *Settings) { s.Reload = true })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.Run(ctx)
	data := good.Named(t, "two").PEM(t)
	f, err := os.OpenFile(c.settings.KeyStore.Location, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		f.Write(data[i*len(data)/20 : (i+1)*len(data)/20])
		time.Sleep(150 * time.Millisecond)
	}
	f.Close()
	waitFor(t, "the second certificate", func() bool { return shows(t, c, good, good) == "two" })
	if n := log.count("level=ERROR"); n != 0 {
		t.Errorf("%d errors in\n%s", n, log)
	}
}

// Handshakes go on while stores are read again.
func TestReloadUnderHandshakes(t *testing.T) {
	good := authority.New(t, "good")
	c, _ := newContext(t, good.Named(t, "one"), good, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			m, err := load(c.settings)
			if err != nil {
				t.Error(err)
				return
			}
			c.current.Store(m)
		}
	}()
	for range 20 {
		if got := shows(t, c, good, good); got != "one" {
			t.Fatalf("it shows %q", got)
		}
	}
	<-done
}

// A session that is resumed is verified anew: whoever is no longer trusted does not get in with a ticket of before.
func TestResumedSessionsAreVerified(t *testing.T) {
	good, next := authority.New(t, "good"), authority.New(t, "next")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, _ := newContext(t, good.Named(t, "server"), good, nil)
		client := clientOf(good, good.Named(t, "client"))
		client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		resumed := false
		client.VerifyConnection = func(state tls.ConnectionState) error {
			resumed = state.DidResume
			return nil
		}
		for i := range 2 {
			if serverErr, clientErr := meet(t, c, client); serverErr != nil || clientErr != nil || resumed != (i == 1) {
				t.Errorf("%s: connection %d, resumed %t: %v, %v", tls.VersionName(version), i+1, resumed, serverErr, clientErr)
			}
		}
		settings := c.settings
		settings.TrustStore.Location = authority.Write(t, t.TempDir(), "trust.pem", next.PEM())
		m, err := load(settings)
		if err != nil {
			t.Fatal(err)
		}
		c.current.Store(m)
		if serverErr, clientErr := meet(t, c, client); serverErr == nil || clientErr == nil || !resumed {
			t.Errorf("%s: resumed %t with a certificate that is no longer trusted: %v, %v", tls.VersionName(version), resumed, serverErr, clientErr)
		}
	}
}
