package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/test/authority"
)

// secured are members that have certificates, each with a port for TLS beside the plain one.
type secured struct {
	t       *testing.T
	good    *authority.Authority
	dir     string // key.pem and trust.pem of all members
	members []*member
	base    map[*member]string // zoo.cfg without what is added
	ports   map[*member]int
}

func newSecured(t *testing.T, n int) *secured {
	t.Helper()
	s := &secured{t: t, good: authority.New(t, "good"), dir: t.TempDir(), members: newEnsemble(t, n, ""),
		base: make(map[*member]string), ports: make(map[*member]int)}
	authority.Write(t, s.dir, "key.pem", s.good.Named(t, "server").PEM(t))
	authority.Write(t, s.dir, "trust.pem", s.good.PEM())
	for i, port := range freePorts(t, n) {
		m := s.members[i]
		text, err := os.ReadFile(m.cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.base[m], s.ports[m] = string(text), port
	}
	return s
}

// stores are the lines that name the files for clients ("ssl.") or members ("ssl.quorum.").
func (s *secured) stores(prefix string) string {
	return fmt.Sprintf("%skeyStore.location=%s\n%strustStore.location=%s\n",
		prefix, filepath.Join(s.dir, "key.pem"), prefix, filepath.Join(s.dir, "trust.pem"))
}

// configure adds lines to the zoo.cfg of a member; PORT stands for its secure port.
func (s *secured) configure(m *member, lines string) {
	s.t.Helper()
	lines = strings.ReplaceAll(lines, "PORT", fmt.Sprint(s.ports[m]))
	if err := os.WriteFile(m.cfg, []byte(s.base[m]+lines), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *secured) start(lines string) {
	s.t.Helper()
	for _, m := range s.members {
		s.configure(m, lines)
	}
	startAll(s.t, s.members)
}

// roll restarts one member after the other with other lines.
func (s *secured) roll(lines string) {
	s.t.Helper()
	for _, m := range s.members {
		m.stop()
		s.configure(m, lines)
		m.start()
		waitFor(s.t, "the member to be back", func() bool { return m.mode() == "follower" || m.mode() == "leader" })
	}
}

func (s *secured) address(m *member) string { return fmt.Sprintf("127.0.0.1:%d", s.ports[m]) }

// as is the TLS of a client with a certificate of this name, or, without a name, none.
func (s *secured) as(name string) *tls.Config {
	s.t.Helper()
	cfg := &tls.Config{RootCAs: s.good.Pool(), ServerName: "localhost"}
	if name != "" {
		cfg.Certificates = []tls.Certificate{s.good.Named(s.t, name).TLS()}
	}
	return cfg
}

// connect opens a session over TLS.
func (s *secured) connect(cfg *tls.Config, members ...*member) *zk.Conn {
	s.t.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, s.address(m))
	}
	c, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, cfg)
		}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// TestTLSWithoutDowntime turns TLS on, for clients and between members, by restarts of one member after the other, under a
// client that writes all the time.
func TestTLSWithoutDowntime(t *testing.T) {
	s := newSecured(t, 3)
	s.start("")
	plainOf := make(map[string]string) // secure address to plain one
	var addresses []string
	for _, m := range s.members {
		plainOf[s.address(m)] = m.client
		addresses = append(addresses, s.address(m))
	}
	var overTLS atomic.Bool
	var tlsDials atomic.Int64
	cfg := s.as("writer")
	c, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			dialer := &net.Dialer{Timeout: timeout}
			if !overTLS.Load() {
				return dialer.Dial(network, plainOf[address])
			}
			tlsDials.Add(1)
			return tls.DialWithDialer(dialer, network, address, cfg)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create("/n", nil, 0, open); err != nil {
		t.Fatal(err)
	}
	session := c.SessionID()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var written atomic.Int64
	var longest time.Duration
	var group sync.WaitGroup
	group.Go(func() {
		for ; ctx.Err() == nil; written.Add(1) {
			began := time.Now()
			for {
				_, err := c.Create(fmt.Sprintf("/n/%d", written.Load()), []byte("x"), 0, open)
				if err == nil || errors.Is(err, zk.ErrNodeExists) { // done before the connection was lost
					break
				}
				var network net.Error
				if !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) && !errors.As(err, &network) {
					t.Errorf("write %d: %v", written.Load(), err)
					return
				}
				time.Sleep(time.Millisecond)
			}
			longest = max(longest, time.Since(began))
		}
	})

	quorum, clients := s.stores("ssl.quorum."), s.stores("ssl.")
	s.roll(quorum + clients + "portUnification=true\nsecureClientPort=PORT\n")
	overTLS.Store(true)
	s.roll(quorum + clients + "portUnification=true\nsslQuorum=true\nsecureClientPort=PORT\n")
	s.roll(quorum + clients + "sslQuorum=true\nsecureClientPort=PORT\n")
	last := written.Load()
	waitFor(t, "writes after the last step", func() bool { return written.Load() > last+10 })
	cancel()
	group.Wait()

	if c.SessionID() != session {
		t.Errorf("session %x became %x", session, c.SessionID())
	}
	if tlsDials.Load() == 0 {
		t.Error("no connection over TLS")
	}
	if longest > 15*time.Second {
		t.Errorf("a write took %v", longest)
	}
	t.Logf("%d writes, the longest took %v", written.Load(), longest.Round(time.Millisecond))
	for _, m := range s.members {
		own := s.connect(cfg, m)
		if _, err := own.Sync("/n"); err != nil {
			t.Fatal(err)
		}
		if children, _, err := own.Children("/n"); err != nil || len(children) < int(written.Load()) {
			t.Errorf("%s has %d children, want %d: %v", m.client, len(children), written.Load(), err)
		}
	}
	for _, address := range s.quorumAddresses() {
		speaksOnlyTLS(t, address)
	}
}

// quorumAddresses are the election ports of all members, and the quorum port of the leader.
func (s *secured) quorumAddresses() []string {
	var addresses []string
	leader := leaderOf(s.members)
	for _, m := range s.members {
		cfg, err := config.Load(m.cfg)
		if err != nil {
			s.t.Fatal(err)
		}
		self, _ := cfg.Self()
		addresses = append(addresses, self.ElectionAddress())
		if m == leader {
			addresses = append(addresses, self.QuorumAddress())
		}
	}
	return addresses
}

func speaksOnlyTLS(t *testing.T, address string) {
	t.Helper()
	sock, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(10 * time.Second))
	sock.Write(make([]byte, 100)) // what a member says that does without
	if _, err := sock.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: a plain connection stays open: %v", address, err)
	}
}

// shown is the certificate that a port shows.
func shown(t *testing.T, address string, cfg *tls.Config) string {
	t.Helper()
	sock, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return err.Error()
	}
	defer sock.Close()
	return sock.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestReloadedCertificates: new certificates of another authority come into use on every port without a restart.
func TestReloadedCertificates(t *testing.T) {
	s := newSecured(t, 3)
	s.start(s.stores("ssl.") + s.stores("ssl.quorum.") +
		"sslQuorum=true\nsecureClientPort=PORT\nclient.certReload=true\nsslQuorumReloadCertFiles=true\n")
	ports := s.quorumAddresses()
	for _, m := range s.members {
		ports = append(ports, s.address(m))
	}
	before := s.as("client")
	for _, port := range ports {
		if got := shown(t, port, before); got != "server" {
			t.Errorf("%s shows %q", port, got)
		}
	}
	c := s.connect(before, s.members...)
	if _, err := c.Create("/a", nil, 0, open); err != nil {
		t.Fatal(err)
	}

	next := authority.New(t, "next")
	authority.Write(t, s.dir, "trust.pem", append(s.good.PEM(), next.PEM()...))
	after := &tls.Config{RootCAs: next.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{next.Named(t, "client").TLS()}}
	trusts := func(port string) bool { // the server speaks only after it has looked at the certificate
		sock, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", port, &tls.Config{InsecureSkipVerify: true, Certificates: after.Certificates})
		if err != nil {
			return false
		}
		defer sock.Close()
		sock.SetDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = sock.Read(make([]byte, 1))
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	for _, port := range ports {
		waitFor(t, port+" to trust the next authority", func() bool { return trusts(port) })
	}
	authority.Write(t, s.dir, "key.pem", next.Named(t, "next server").PEM(t))
	for _, port := range ports {
		waitFor(t, port+" to show its new certificate", func() bool { return shown(t, port, after) == "next server" })
	}
	// The members find each other with them.
	leader := leaderOf(s.members)
	leader.stop()
	waitFor(t, "another leader", func() bool { return leaderOf(s.members) != nil })
	leader.start()
	waitFor(t, "the old one to follow", func() bool { return leader.mode() == "follower" })
	if _, err := s.connect(after, leader).Create("/b", nil, 0, open); err != nil {
		t.Error(err)
	}
}

// TestClientCertificates: who has to show a certificate and has none is refused; who has one is the name in it.
func TestClientCertificates(t *testing.T) {
	s := newSecured(t, 1)
	m := s.members[0]
	lines := s.stores("ssl.") + "secureClientPort=PORT\nX509AuthenticationProvider.superUser=CN=root\n"
	s.start(lines)
	if got := words(t, s.address(m), s.as(""), "ruok"); got != "" {
		t.Errorf("without a certificate one is told %q", got)
	}
	if got := words(t, s.address(m), s.as("alice"), "ruok"); got != "imok" {
		t.Errorf("with a certificate one is told %q", got)
	}
	if got := words(t, s.address(m), s.as("alice"), "conf"); !strings.Contains(got, fmt.Sprintf("\nsecureClientPort=%d\n", s.ports[m])) {
		t.Errorf("conf is %q", got)
	}

	alice, bob, root := s.connect(s.as("alice"), m), s.connect(s.as("bob"), m), s.connect(s.as("root"), m)
	list := []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: "CN=alice"}}
	if _, err := alice.Create("/private", []byte("x"), 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if got, _, err := alice.GetACL("/private"); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("the list is %v, %v", got, err)
	}
	if _, _, err := alice.Get("/private"); err != nil {
		t.Error(err)
	}
	for who, want := range map[*zk.Conn]error{bob: zk.ErrNoAuth, m.connect(): zk.ErrNoAuth, root: nil} {
		if _, _, err := who.Get("/private"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := m.connect().Create("/bad", nil, 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: "alice"}}); !errors.Is(err, zk.ErrInvalidACL) {
		t.Errorf("a list with what is no name: %v", err)
	}

	m.stop()
	s.configure(m, lines+"ssl.clientAuth=want\n")
	startAll(t, s.members)
	if got := words(t, s.address(m), s.as(""), "ruok"); got != "imok" {
		t.Errorf("without a certificate that is not needed one is told %q", got)
	}
	if _, _, err := s.connect(s.as(""), m).Get("/private"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("without a certificate: %v", err)
	}
	if _, _, err := s.connect(s.as("alice"), m).Get("/private"); err != nil {
		t.Error(err)
	}

	m.stop()
	s.configure(m, lines+"enforce.auth.enabled=true\nenforce.auth.schemes=x509\n")
	startAll(t, s.members)
	if _, _, err := s.connect(s.as("alice"), m).Get("/private"); err != nil {
		t.Error(err)
	}
	if _, _, err := m.connect().Get("/"); err == nil {
		t.Error("who has no certificate is served where one is demanded of everybody")
	}
}

// TestUnifiedClientPort: one port takes clients of both kinds, and a server without a plain port serves, too.
func TestUnifiedClientPort(t *testing.T) {
	s := newSecured(t, 1)
	m := s.members[0]
	s.start(s.stores("ssl.") + "client.portUnification=true\n")
	if got := words(t, m.client, s.as("alice"), "ruok"); got != "imok" {
		t.Errorf("over TLS one is told %q", got)
	}
	if got := m.word("ruok"); got != "imok" {
		t.Errorf("in the clear one is told %q", got)
	}
	if _, err := m.connect().Create("/a", nil, 0, open); err != nil {
		t.Error(err)
	}
	m.stop()
	var plain []string
	for line := range strings.Lines(s.base[m]) {
		if !strings.HasPrefix(line, "clientPort=") {
			plain = append(plain, line)
		}
	}
	s.base[m] = strings.Join(plain, "")
	s.configure(m, s.stores("ssl.")+"secureClientPort=PORT\n")
	m.start()
	waitFor(t, "the secure port", func() bool { return words(t, s.address(m), s.as("alice"), "ruok") == "imok" })
	if ok, _, err := s.connect(s.as("alice"), m).Exists("/a"); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
}

// words asks a four-letter word over TLS; "" if nobody answers.
func words(t *testing.T, address string, cfg *tls.Config, word string) string {
	t.Helper()
	sock, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return ""
	}
	defer sock.Close()
	sock.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(sock, word)
	answer, _ := io.ReadAll(sock)
	return string(answer)
}
