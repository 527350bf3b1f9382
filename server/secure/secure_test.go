package secure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/test/authority"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newContext makes a context of an identity that trusts an authority.
func newContext(t testing.TB, own authority.Identity, trusted *authority.Authority, change func(*Settings)) (*Context, *lines) {
	t.Helper()
	dir := t.TempDir()
	s := Defaults(true)
	s.ReverseLookup = false
	s.KeyStore = Store{Location: authority.Write(t, dir, "key.pem", own.PEM(t)), Type: keystore.PEM}
	s.TrustStore = Store{Location: authority.Write(t, dir, "trust.pem", trusted.PEM()), Type: keystore.PEM}
	if change != nil {
		change(&s)
	}
	log := new(lines)
	c, err := New(s, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

// sockets are the two ends of a connection over loopback.
func sockets(t testing.TB) (dialed, accepted *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	deadline := time.Now().Add(20 * time.Second)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	return near.(*net.TCPConn), far.(*net.TCPConn)
}

// meet lets a context accept a client of crypto/tls, which sends a word after its handshake and reads one.
func meet(t testing.TB, c *Context, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	near, far := sockets(t)
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		secured, err := c.Server(far)
		if err == nil {
			_, err = io.Copy(secured, io.LimitReader(secured, 4))
		}
		done <- err
	}()
	defer near.Close()
	secured := tls.Client(near, client)
	clientErr = secured.Handshake()
	if clientErr == nil {
		io.WriteString(secured, "ruok")
		_, clientErr = io.ReadFull(secured, make([]byte, 4))
	}
	if clientErr != nil {
		near.Close()
	}
	return <-done, clientErr
}

func TestClientsAreVerified(t *testing.T) {
	good, evil := authority.New(t, "good"), authority.New(t, "evil")
	server := good.Named(t, "server")
	for _, test := range []struct {
		name  string
		shown *authority.Identity
		auth  ClientAuth
		hosts bool // the host is checked
		want  string
	}{
		{name: "good", shown: ptr(good.Named(t, "client"))},
		{name: "good, host checked", shown: ptr(good.Named(t, "client")), hosts: true},
		{name: "none", want: "didn't provide a certificate"},
		{name: "none, where one is wanted", auth: Want},
		{name: "none, where none is wanted", auth: None},
		{name: "of somebody else", shown: ptr(evil.Named(t, "client")), want: "unknown authority"},
		{name: "of somebody else, where one is wanted", shown: ptr(evil.Named(t, "client")), auth: Want, want: "unknown authority"},
		{name: "expired", shown: ptr(good.Issue(t, authority.Wish{Subject: named("client"), End: time.Now().Add(-time.Minute)})), want: "it has expired or is not yet valid: good from"},
		{name: "of a server", shown: ptr(good.Issue(t, authority.Wish{Subject: named("client"), Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})), want: "key usage"},
		{name: "of another host", shown: ptr(good.Issue(t, authority.Wish{Subject: named("client"), Hosts: []string{"10.9.8.7", "zk9"}})), hosts: true,
			want: "one of 10.9.8.7, zk9, not of 127.0.0.1"},
		{name: "of another host, which is not checked", shown: ptr(good.Issue(t, authority.Wish{Subject: named("client"), Hosts: []string{"10.9.8.7"}}))},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newContext(t, server, good, func(s *Settings) { s.ClientAuth, s.VerifyClientHost = test.auth, test.hosts })
			client := &tls.Config{RootCAs: good.Pool(), ServerName: "localhost"}
			if test.shown != nil {
				shown := test.shown.TLS()
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
			}
			for range 3 {
				serverErr, clientErr := meet(t, c, client)
				if test.want == "" {
					if serverErr != nil || clientErr != nil {
						t.Fatalf("%v, %v", serverErr, clientErr)
					}
					continue
				}
				if serverErr == nil || !strings.Contains(serverErr.Error(), test.want) || clientErr == nil {
					t.Fatalf("%v, %v; want %q", serverErr, clientErr, test.want)
				}
			}
			if test.want == "" && log.String() != "" {
				t.Errorf("the log has %s", log)
			}
			// One line names the peer and the reason, however often it tries.
			if test.want != "" && (log.count("\n") != 1 || log.count("remote=127.0.0.1:") != 1 || log.count(test.want) != 1) {
				t.Errorf("the log has %s", log)
			}
		})
	}
}

// clientOf is a client with an identity.
func clientOf(trusted *authority.Authority, own authority.Identity) *tls.Config {
	return &tls.Config{RootCAs: trusted.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{own.TLS()}}
}

func ptr(i authority.Identity) *authority.Identity { return &i }

func named(name string) pkix.Name { return pkix.Name{CommonName: name} }

func TestServersAreVerified(t *testing.T) {
	good, evil := authority.New(t, "good"), authority.New(t, "evil")
	own := good.Named(t, "client")
	for _, test := range []struct {
		name   string
		server authority.Identity
		host   string
		change func(*Settings)
		want   string
	}{
		{name: "good", server: good.Named(t, "server"), host: "localhost"},
		{name: "by its address", server: good.Issue(t, authority.Wish{Hosts: []string{"127.0.0.1"}}), host: "zk7.example.org"},
		{name: "by its name", server: good.Issue(t, authority.Wish{Hosts: []string{"*.example.org"}}), host: "zk7.example.org"},
		{name: "of another host", server: good.Issue(t, authority.Wish{Subject: named("s"), Hosts: []string{"zk9", "10.9.8.7"}}), host: "zk7", want: "one of 10.9.8.7, zk9, not of zk7"},
		{name: "of another host, not checked", server: good.Issue(t, authority.Wish{Hosts: []string{"zk9"}}), host: "zk7",
			change: func(s *Settings) { s.VerifyHost = false }},
		{name: "of somebody else", server: evil.Named(t, "server"), host: "localhost", want: "unknown authority"},
		{name: "of somebody else, host not checked", server: evil.Named(t, "server"), host: "localhost",
			change: func(s *Settings) { s.VerifyHost = false }, want: "unknown authority"},
		{name: "expired", server: good.Issue(t, authority.Wish{End: time.Now().Add(-time.Minute)}), host: "localhost", want: "it has expired or is not yet valid: good from"},
		{name: "of a client", server: good.Issue(t, authority.Wish{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), host: "localhost", want: "key usage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newContext(t, own, good, test.change)
			for range 2 {
				near, far := sockets(t)
				shown := make(chan int, 1)
				go func() {
					server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{test.server.TLS()}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
					server.Handshake()
					shown <- len(server.ConnectionState().PeerCertificates)
				}()
				conn, err := c.Client(context.Background(), near, test.host)
				if test.want == "" {
					if err != nil {
						t.Fatal(err)
					}
					if conn.Close(); <-shown == 0 {
						t.Error("no certificate was shown")
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("%v, want %q", err, test.want)
				}
			}
			if test.want != "" && (log.count("\n") != 1 || log.count("remote=127.0.0.1:") != 1 || log.count(test.want) != 1) {
				t.Errorf("the log has %s", log)
			}
		})
	}
}

// A port takes plain connections only where it is told to, and whoever says nothing is not waited for.
func TestAccept(t *testing.T) {
	good := authority.New(t, "good")
	c, log := newContext(t, good.Named(t, "server"), good, func(s *Settings) { s.DetectionTimeout = 50 * time.Millisecond })
	client := &tls.Config{RootCAs: good.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{good.Named(t, "client").TLS()}}
	for _, plain := range []bool{true, false} {
		near, far := sockets(t)
		go func() {
			secured := tls.Client(near, client)
			io.WriteString(secured, "hello")
		}()
		conn, err := c.Accept(far, plain, time.Now().Add(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if _, secured := conn.(*Conn); !secured {
			t.Errorf("a client of TLS has a %T", conn)
		}
		hello(t, conn)

		near, far = sockets(t)
		io.WriteString(near, "hello")
		conn, err = c.Accept(far, plain, time.Now().Add(10*time.Second))
		if plain {
			if err != nil {
				t.Fatal(err)
			}
			hello(t, conn)
		} else if !errors.Is(err, ErrPlain) {
			t.Errorf("a plain client: %v", err)
		}

		near, far = sockets(t)
		conn, err = c.Accept(far, plain, time.Now().Add(10*time.Second))
		if plain {
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(near, "hello")
			hello(t, conn)
		} else if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("a client that says nothing: %v", err)
		}

		near, far = sockets(t)
		near.Write([]byte{0x16, 3, 1})
		began := time.Now()
		if _, err = c.Accept(far, plain, began.Add(100*time.Millisecond)); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("a handshake that does not go on: %v after %v", err, time.Since(began))
		}
	}
	if log.count(ErrPlain.Error()) != 1 {
		t.Errorf("the log has %s", log)
	}
}

func hello(t *testing.T, conn net.Conn) {
	t.Helper()
	word := make([]byte, 5)
	if _, err := io.ReadFull(conn, word); err != nil || string(word) != "hello" {
		t.Errorf("read %q, %v", word, err)
	}
}

// CloseWrite ends the stream as TLS wants it.
func TestCloseWrite(t *testing.T) {
	good := authority.New(t, "good")
	c, _ := newContext(t, good.Named(t, "server"), good, nil)
	near, far := sockets(t)
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := c.Accept(far, false, time.Now().Add(10*time.Second))
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	dialed, err := c.Client(context.Background(), near, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	io.WriteString(dialed, "hello")
	if err := dialed.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(conn); string(all) != "hello" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
}
