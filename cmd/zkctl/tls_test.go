package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/certs"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/provision"
	"github.com/zkctl/zkctl/test/authority"
	"github.com/zkctl/zkctl/test/ensemble"
)

// setTLS writes the section tls of the inventory, in the place of the one that was there.
func (l *local) setTLS(section string) {
	l.t.Helper()
	text, err := os.ReadFile(l.inventory)
	if err != nil {
		l.t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^tls: .*\n`).ReplaceAll(text, nil)
	if section != "" {
		text = append([]byte("tls: "+section+"\n"), text...)
	}
	if err := os.WriteFile(l.inventory, text, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *local) store() *certs.Store {
	return &certs.Store{Dir: filepath.Join(l.dir, "state/desk/tls"), Ensemble: "desk"}
}

// clientTLS is how a client with a certificate by the ensemble's authority comes to a member, as of now.
func (l *local) clientTLS() (*tls.Config, error) {
	trusted, err := l.store().Certificates()
	if err != nil {
		return nil, err
	}
	own, err := l.store().Client()
	if err != nil {
		return nil, err
	}
	return provision.ClientTLS(inventory.Host{Name: "m", Address: "127.0.0.1", PeerAddress: "127.0.0.1"}, trusted, &own), nil
}

// given is how a client comes to a member with what certs client has written for it.
func (l *local) given(name string) *tls.Config {
	l.t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(l.dir, name+".pem"), filepath.Join(l.dir, name+".pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(l.dir, name+".ca.pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	trusted, err := certs.Parse(text)
	if err != nil {
		l.t.Fatal(err)
	}
	return provision.ClientTLS(inventory.Host{Name: "m", Address: "127.0.0.1", PeerAddress: "127.0.0.1"}, trusted, &own)
}

// reach tries to be answered by each member as the client that the configuration is of.
func (l *local) reach(who string, cfg *tls.Config, answered bool) {
	l.t.Helper()
	for _, address := range l.secure {
		if _, err := ensemble.AskTLS(address, "srvr", cfg); (err == nil) != answered {
			l.t.Errorf("a client that %s, at %s: %v", who, address, err)
		}
	}
}

// dialTLS connects to one of the ports for TLS.
func (l *local) dialTLS(address string) (net.Conn, error) {
	cfg, err := l.clientTLS()
	if err != nil {
		return nil, err
	}
	return tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", address, cfg)
}

// steady is a client that creates one node after the other, and one whose answer was lost with the connection again. Nothing
// else may happen to it.
type steady struct {
	name    string
	conn    *zk.Conn
	end     context.CancelFunc
	running sync.WaitGroup

	mu           sync.Mutex
	acknowledged []string
	lost         int
	strange      []error
}

// steady begins; dial is given the number of the member.
func (l *local) steady(name string, dial func(member int) (net.Conn, error)) *steady {
	l.t.Helper()
	conn, events, err := zk.Connect(l.clients, 10*time.Second, zk.WithLogger(ensemble.Quiet{}), zk.WithLogInfo(false),
		zk.WithDialer(func(_, address string, _ time.Duration) (net.Conn, error) {
			return dial(slices.Index(l.clients, address))
		}))
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	s := &steady{name: name, conn: conn, end: end}
	l.t.Cleanup(func() { s.stop() })
	s.running.Go(func() {
		for {
			select {
			case e := <-events:
				if e.State == zk.StateExpired {
					s.note("", errors.New("the session has expired"))
				}
			case <-ctx.Done():
				return
			}
		}
	})
	s.running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			node := fmt.Sprintf("/%s-%d", name, i)
			for again := false; ; again = true {
				_, err := conn.Create(node, nil, 0, zk.WorldACL(zk.PermAll))
				if again && errors.Is(err, zk.ErrNodeExists) {
					err = nil
				}
				s.note(node, err)
				if err == nil || ctx.Err() != nil {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return s
}

func (s *steady) note(node string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.acknowledged = append(s.acknowledged, node)
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrNoServer), errors.Is(err, zk.ErrClosing):
		s.lost++
	default:
		s.strange = append(s.strange, fmt.Errorf("%s: %s %w", s.name, node, err))
	}
}

// progress waits until more was acknowledged.
func (s *steady) progress(t *testing.T) {
	t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.acknowledged)
	}
	before := count()
	if err := ensemble.Until(20*time.Second, s.name+" to write", func() bool { return count() > before+2 }); err != nil {
		t.Fatal(err)
	}
}

func (s *steady) stop() {
	s.end()
	s.conn.Close()
	s.running.Wait()
}

// check stops the client and looks for what it was acknowledged at the plain port of a member.
func (s *steady) check(t *testing.T, address string) {
	t.Helper()
	s.stop()
	tree, err := ensemble.Dump(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range s.acknowledged {
		if _, ok := tree[node]; !ok {
			t.Errorf("lost: %s", node)
		}
	}
	for _, err := range s.strange {
		t.Error(err)
	}
	t.Logf("%s: %d writes acknowledged, %d done again", s.name, len(s.acknowledged), s.lost)
}

// certificates is what certs show says, by host.
func (l *local) certificates() map[string]certificateLine {
	l.t.Helper()
	var got struct{ Certificates []certificateLine }
	out := l.must("certs", "show", "--json")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, `{"certificates"`) {
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	all := map[string]certificateLine{}
	for _, c := range got.Certificates {
		all[c.Host] = c
	}
	return all
}

// An ensemble is switched to TLS, gets new certificates, then a new authority, and is switched back, while clients write:
// nothing that was acknowledged is lost, and no write fails but for the connections that break.
func TestTLSUnderLoad(t *testing.T) {
	l := newLocal(t)
	l.must("bootstrap", "--server-binary", l.server)
	plain := l.steady("plain", func(m int) (net.Conn, error) { return net.DialTimeout("tcp", l.clients[m], time.Second) })
	either := l.steady("either", func(m int) (net.Conn, error) {
		conn, err := l.dialTLS(l.secure[m])
		if err != nil {
			conn, err = net.DialTimeout("tcp", l.clients[m], time.Second)
		}
		return conn, err
	})
	l.setTLS("{client: optional, quorum: on}")
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitUsage || !strings.Contains(out, "zkctl certs init") {
		t.Errorf("apply without an authority: exit code %d\n%s", code, out)
	}
	if out := l.must("certs", "init"); !strings.Contains(out, "make an authority") || !strings.Contains(out, "m3: put the certificate") {
		t.Errorf("certs init:\n%s", out)
	}
	if out := l.must("certs", "init"); !strings.Contains(out, "nothing to do") {
		t.Errorf("certs init once more:\n%s", out)
	}
	out := l.must("plan", "--server-binary", l.server)
	for _, want := range []string{
		"TLS is switched in 3 rounds", "1. members take TLS from one another, and speak plain still; clients may speak TLS",
		"2. members speak TLS, and take plain still", "3. members speak nothing but TLS", "3 elections expected",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not say %q:\n%s", want, out)
		}
	}
	l.must("plan", "--server-binary", l.server, "--out", filepath.Join(l.dir, "plan.json"))
	l.must("apply", filepath.Join(l.dir, "plan.json"), "--server-binary", l.server)
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply once more:\n%s", out)
	}
	plain.progress(t)
	either.progress(t)
	for _, address := range l.secure {
		if answer, err := ensemble.AskTLS(address, "srvr", &tls.Config{InsecureSkipVerify: true}); err == nil {
			t.Errorf("%s answers a client without a certificate: %s", address, answer)
		}
	}
	plain.check(t, l.clients[0])

	l.setTLS("{client: required, quorum: on}")
	l.must("apply", "--server-binary", l.server)
	for _, address := range l.clients {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s is open still", address)
		}
	}
	if out := l.must("status"); !strings.Contains(out, "healthy") || !strings.Contains(out, l.secure[0]) {
		t.Errorf("status over TLS:\n%s", out)
	}
	for _, script := range []string{"zkServer.sh status", "zkCli.sh ls /"} {
		words := strings.Fields(script)
		if out, err := exec.Command(filepath.Join(l.dir, "m1/install/bin", words[0]), words[1:]...).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Mode: ")) && !bytes.Contains(out, []byte("either-0")) {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	l.must("certs", "client", "billing")
	l.reach("has a certificate of its own", l.given("billing"), true)
	if out, code := l.ctl("certs", "client", "billing"); code != exitFailed || !strings.Contains(out, "exists") {
		t.Errorf("a file that is there: exit code %d\n%s", code, out)
	}
	before := l.certificates()
	out = l.must("certs", "rotate")
	if strings.Count(out, "proved by a handshake") != 3 {
		t.Errorf("certs rotate:\n%s", out)
	}
	after := l.certificates()
	for _, m := range []string{"m1", "m2", "m3"} {
		if before[m].Fingerprint == after[m].Fingerprint || before[m].Issuer != after[m].Issuer || !after[m].Trusted || after[m].DaysLeft != 364 {
			t.Errorf("%s after the rotation: %+v", m, after[m])
		}
	}
	either.progress(t)
	old, err := l.clientTLS()
	if err != nil {
		t.Fatal(err)
	}
	if out, code := l.ctl("certs", "rotate", "--ca", "--finish"); code != exitRefused || !strings.Contains(out, "no change of the authority has begun") {
		t.Errorf("a finish without a begin: exit code %d\n%s", code, out)
	}
	bundle := filepath.Join(l.dir, "state/desk/tls/bundle.pem")
	if out := l.must("certs", "rotate", "--ca"); !strings.Contains(out, bundle) || !strings.Contains(out, "next                 zkctl certs rotate --ca --finish") {
		t.Errorf("certs rotate --ca:\n%s", out)
	}
	if out := l.must("certs", "rotate", "--ca"); !strings.Contains(out, "nothing to do") {
		t.Errorf("certs rotate --ca once more:\n%s", out)
	}
	for m, c := range l.certificates() {
		if m != "authority" && c.Fingerprint != after[m].Fingerprint {
			t.Errorf("%s between the two halves: %+v, before %+v", m, c, after[m])
		}
	}
	l.reach("trusts the old authority alone, between the two halves", old, true)
	if out, code := l.ctl("certs", "rotate"); code != exitRefused || !strings.Contains(out, "certs rotate --ca --finish") {
		t.Errorf("certs rotate between the two halves: exit code %d\n%s", code, out)
	}
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply between the two halves:\n%s", out)
	}
	for _, verb := range [][]string{{"certs", "show"}, {"status"}} {
		if out := l.must(verb...); !strings.Contains(out, "is being replaced") {
			t.Errorf("%v between the two halves:\n%s", verb, out)
		}
	}
	l.must("certs", "client", "shop")
	brought := l.given("shop")
	l.reach("was brought along, before the end", brought, true)
	shop := l.steady("shop", func(m int) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", l.secure[m], brought)
	})
	shop.progress(t)
	l.must("certs", "rotate", "--ca", "--finish")
	l.reach("was brought along, at the end", brought, true)
	l.reach("trusts the old authority alone, at the end", old, false)
	shop.progress(t)
	if _, err := os.Stat(bundle); err == nil {
		t.Error("the bundle is there still")
	}
	if out := l.must("certs", "show"); strings.Contains(out, "being replaced") {
		t.Errorf("certs show at the end:\n%s", out)
	}
	last := l.certificates()
	for _, m := range []string{"m1", "m2", "m3", "zkctl"} {
		if last[m].Issuer == after[m].Issuer || !last[m].Trusted {
			t.Errorf("%s after the rotation of the authority: %+v", m, last[m])
		}
	}
	if trust, err := os.ReadFile(filepath.Join(l.dir, "m1/conf/tls/trust.pem")); err != nil || bytes.Count(trust, []byte("BEGIN")) != 1 {
		t.Errorf("trusted in the end: %s, %v", trust, err)
	}
	either.progress(t)
	l.must("rolling-restart")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply after the rotations:\n%s", out)
	}
	l.setTLS("")
	out = l.must("apply", "--server-binary", l.server)
	if !strings.Contains(out, "TLS: the last round") || !strings.Contains(out, "healthy") {
		t.Errorf("back to plain:\n%s", out)
	}
	either.progress(t)
	either.check(t, l.clients[0])
	shop.check(t, l.clients[0])
	for _, m := range []string{"m1", "m2", "m3"} {
		if cfg, err := os.ReadFile(filepath.Join(l.dir, m, "conf/zoo.cfg")); err != nil || bytes.Contains(bytes.ToLower(cfg), []byte("ssl")) {
			t.Errorf("%s: %v\n%s", m, err, cfg)
		}
		for _, file := range []string{"conf/tls/next.key", "conf/tls/server.pem.last"} {
			if _, err := os.Stat(filepath.Join(l.dir, m, file)); err == nil {
				t.Errorf("%s: %s is left", m, file)
			}
		}
	}
	l.noKeys()
	l.must("reset", "--yes-i-mean", "desk")
	if left, err := filepath.Glob(filepath.Join(l.dir, "m*/conf")); err != nil || len(left) > 0 {
		t.Errorf("reset leaves %v", left)
	}
}

// noKeys looks for private keys where none may be: in what zkctl and servers have written besides the key stores.
func (l *local) noKeys() {
	l.t.Helper()
	for _, pattern := range []string{"m*/log/*", "state/desk/audit/*", "m*/install/.zkctl/*", "m*/conf/zoo.cfg"} {
		files, _ := filepath.Glob(filepath.Join(l.dir, pattern))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("PRIVATE KEY-")) {
				l.t.Errorf("%s has a private key", file)
			}
		}
	}
	stores, _ := filepath.Glob(filepath.Join(l.dir, "m*/conf/tls/server.pem"))
	for _, file := range stores {
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			l.t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
	}
	if len(stores) != 3 {
		l.t.Errorf("%d key stores", len(stores))
	}
}

// A switch that is killed in the middle of its second round, when one member is ahead of the others, goes on from there,
// and so does one that is turned round instead.
func TestTLSCutOff(t *testing.T) {
	for _, wanted := range []string{"{client: required, quorum: on}", "{client: off, quorum: off}"} {
		t.Run(wanted, func(t *testing.T) {
			l := newLocal(t)
			l.must("bootstrap", "--server-binary", l.server)
			l.must("certs", "init")
			either := l.steady("either", func(m int) (net.Conn, error) {
				conn, err := l.dialTLS(l.secure[m])
				if err != nil {
					conn, err = net.DialTimeout("tcp", l.clients[m], time.Second)
				}
				return conn, err
			})
			l.setTLS("{client: required, quorum: on}")
			rounds, restarted := 0, 0
			killed := l.killWhen(func(e provision.Event) bool {
				if e.Step == "rolling restart" && e.Kind == provision.StepBegins {
					rounds++
				}
				if rounds == 2 && e.Step == "rolling restart" && e.Kind == provision.HostEnds {
					restarted++
				}
				return restarted == 1
			}, "apply", "--server-binary", l.server)
			if !killed {
				t.Fatal("it was through before")
			}
			l.setTLS(wanted)
			l.must("apply", "--server-binary", l.server)
			if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
				t.Errorf("afterwards:\n%s", out)
			}
			either.progress(t)
			conn, err := l.dialTLS(l.secure[0])
			if (err == nil) != strings.Contains(wanted, "required") {
				t.Errorf("TLS at the end: %v", err)
			}
			if err == nil {
				conn.Close()
			}
			l.setTLS("")
			l.must("apply", "--server-binary", l.server)
			either.check(t, l.clients[1])
		})
	}
}

// A certificate that a member does not come to show is taken back, and the rotation goes on with the rest when it can.
func TestRotationIsTakenBack(t *testing.T) {
	l := newLocal(t)
	l.must("certs", "init")
	l.setTLS("{client: optional, quorum: on}")
	l.must("bootstrap", "--server-binary", l.server)
	before := l.certificates()
	text, err := os.ReadFile(filepath.Join(l.dir, "m2/data/zookeeper_server.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	out, code := l.ctl("certs", "rotate")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	after := l.certificates()
	if code != exitPartial || !strings.Contains(out, "the certificate of before is in place") || !strings.Contains(out, "done: m1; left: m2, m3") {
		t.Errorf("with a member that hangs: exit code %d\n%s", code, out)
	}
	if after["m1"].Fingerprint == before["m1"].Fingerprint || after["m2"].Fingerprint != before["m2"].Fingerprint || after["m3"].Fingerprint != before["m3"].Fingerprint {
		t.Errorf("before %v\nafter %v", before, after)
	}
	out = l.must("certs", "rotate")
	last := l.certificates()
	if !strings.Contains(out, "going on with an earlier rotation: m2, m3") || last["m1"].Fingerprint != after["m1"].Fingerprint ||
		last["m2"].Fingerprint == before["m2"].Fingerprint || last["m3"].Fingerprint == before["m3"].Fingerprint {
		t.Errorf("going on:\n%s\n%v", out, last)
	}
}

// Certificates of somebody else's authority are put in place, refused where they are not the host's, and replaced.
func TestGivenCertificates(t *testing.T) {
	l := newLocal(t)
	theirs := authority.New(t, "theirs")
	pki := filepath.Join(l.dir, "pki")
	if err := os.Mkdir(pki, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, id authority.Identity) {
		text := id.PEM(t)
		at := bytes.Index(text, []byte("-----BEGIN CERTIFICATE"))
		authority.Write(t, pki, name+".key", text[:at])
		authority.Write(t, pki, name+".pem", text[at:])
	}
	authority.Write(t, pki, "ca.pem", theirs.PEM())
	for _, m := range []string{"m1", "m2", "m3", "zkctl"} {
		write(m, theirs.Named(t, m))
	}
	write("m2", theirs.Issue(t, authority.Wish{Hosts: []string{"10.1.2.3"}}))
	l.setTLS(`{client: required, quorum: on, ca: files, ca_file: pki/ca.pem, certificate_file: "pki/{{ .name }}.pem", key_file: "pki/{{ .name }}.key", zkctl_certificate_file: pki/zkctl.pem, zkctl_key_file: pki/zkctl.key}`)
	if out, code := l.ctl("bootstrap", "--server-binary", l.server); code != exitFailed || !strings.Contains(out, "m2.pem: ") {
		t.Errorf("with a certificate of another host: exit code %d\n%s", code, out)
	}
	write("m2", theirs.Named(t, "m2"))
	out := l.must("bootstrap", "--server-binary", l.server)
	if !strings.Contains(out, "healthy") || strings.Contains(out, "PRIVATE") {
		t.Errorf("bootstrap:\n%s", out)
	}
	if out := l.must("certs", "rotate"); !strings.Contains(out, "nothing to do") {
		t.Errorf("with the same files:\n%s", out)
	}
	write("m3", theirs.Named(t, "m3"))
	if out := l.must("certs", "rotate"); strings.Count(out, "proved by a handshake") != 1 {
		t.Errorf("with one new certificate:\n%s", out)
	}
	if out, code := l.ctl("certs", "init"); code != exitUsage {
		t.Errorf("certs init: exit code %d\n%s", code, out)
	}
	l.noKeys()

	files := `{client: required, quorum: on, ca: files, ca_file: %s, certificate_file: "pki/{{ .name }}.pem", key_file: "pki/{{ .name }}.key", zkctl_certificate_file: pki/zkctl.pem, zkctl_key_file: pki/zkctl.key}`
	id := theirs.Named(t, "client").TLS()
	their := provision.ClientTLS(inventory.Host{Name: "m", Address: "127.0.0.1", PeerAddress: "127.0.0.1"}, []*x509.Certificate{theirs.Certificate}, &id)
	l.reach("is theirs", their, true)
	l.setTLS("{client: required, quorum: on}")
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitUsage && code != exitRefused || !strings.Contains(out, "certs rotate --ca --take-over") {
		t.Errorf("to an authority of our own, without more: exit code %d\n%s", code, out)
	}
	l.must("certs", "rotate", "--ca", "--take-over")
	l.reach("is theirs, before the end", their, true)
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply between the two halves:\n%s", out)
	}
	l.must("certs", "rotate", "--ca", "--finish")
	l.reach("is theirs, at the end", their, false)
	l.must("certs", "client", "shop")
	own := l.given("shop")
	l.reach("is ours", own, true)
	l.must("rolling-restart")

	l.setTLS(fmt.Sprintf(files, "pki/ca.pem"))
	if out, code := l.ctl("apply", "--server-binary", l.server); code != exitRefused || !strings.Contains(out, "put both in tls.ca_file") {
		t.Errorf("back to files, without more: exit code %d\n%s", code, out)
	}
	ours, err := l.store().Certificates()
	if err != nil {
		t.Fatal(err)
	}
	authority.Write(t, pki, "both.pem", append(theirs.PEM(), certs.PEM(ours...)...))
	l.setTLS(fmt.Sprintf(files, "pki/both.pem"))
	l.must("apply", "--server-binary", l.server)
	l.reach("is theirs, with both", their, true)
	l.setTLS(fmt.Sprintf(files, "pki/ca.pem"))
	l.must("apply", "--server-binary", l.server)
	l.reach("is theirs, with theirs alone", their, true)
	l.reach("is ours, with theirs alone", own, false)
	l.must("rolling-restart")
}

// A change of the authority that is killed in either half goes on from there.
func TestChangeOfAuthorityCutOff(t *testing.T) {
	l := newLocal(t)
	l.must("certs", "init")
	l.setTLS("{client: required, quorum: on}")
	l.must("bootstrap", "--server-binary", l.server)
	old, err := l.clientTLS()
	if err != nil {
		t.Fatal(err)
	}
	after := func(step string) func(provision.Event) bool {
		return func(e provision.Event) bool { return e.Step == step && e.Kind == provision.HostEnds }
	}
	if !l.killWhen(after("trust the next authority, too"), "certs", "rotate", "--ca", "--parallel", "1") {
		t.Fatal("the first half was through before")
	}
	l.reach("trusts the old authority alone, after half of the first half", old, true)
	if out := l.must("certs", "show"); !strings.Contains(out, "next                 zkctl certs rotate --ca\n") {
		t.Errorf("certs show, after half of the first half:\n%s", out)
	}
	for _, verb := range [][]string{{"certs", "client", "shop"}, {"certs", "rotate", "--ca", "--finish"}, {"certs", "rotate"}} {
		if out, code := l.ctl(verb...); code != exitRefused || !strings.Contains(out, "zkctl certs rotate --ca goes on with it") {
			t.Errorf("%v, after half of the first half: exit code %d\n%s", verb, code, out)
		}
	}
	l.must("certs", "rotate", "--ca")
	l.must("certs", "client", "shop")
	shop := l.given("shop")
	l.reach("was brought along", shop, true)
	for _, step := range []string{"certificates", "trust the next authority only"} {
		if !l.killWhen(after(step), "certs", "rotate", "--ca", "--finish", "--parallel", "1") {
			t.Fatal("the second half was through before")
		}
		l.reach("was brought along, after a part of the second half", shop, true)
		if out := l.must("certs", "show"); !strings.Contains(out, "members are getting certificates by the next one") {
			t.Errorf("certs show, after %s:\n%s", step, out)
		}
		l.must("status")
	}
	l.must("certs", "rotate", "--ca", "--finish")
	l.reach("was brought along, at the end", shop, true)
	l.reach("trusts the old authority alone, at the end", old, false)
	l.must("rolling-restart")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply at the end:\n%s", out)
	}
}

// A change of the authority is taken back from wherever it is: nobody is trusted then who was not before.
func TestChangeOfAuthorityIsCancelled(t *testing.T) {
	l := newLocal(t)
	l.must("certs", "init")
	l.setTLS("{client: required, quorum: on}")
	l.must("bootstrap", "--server-binary", l.server)
	for text, args := range map[string][]string{"go with --ca": nil, "--cancel stays with": {"--ca", "--finish"}, "are for the end": {"--ca", "--take-over"}} {
		if out, code := l.ctl(append([]string{"certs", "rotate", "--cancel"}, args...)...); code != exitUsage || !strings.Contains(out, text) {
			t.Errorf("--cancel %v: exit code %d\n%s", args, code, out)
		}
	}
	if out, code := l.ctl("certs", "rotate", "--ca", "--cancel"); code != exitRefused || !strings.Contains(out, "no change of the authority has begun") {
		t.Errorf("without a change: exit code %d\n%s", code, out)
	}
	old, err := l.clientTLS()
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.store().Certificates()
	if err != nil {
		t.Fatal(err)
	}
	after := func(step string) func(provision.Event) bool {
		return func(e provision.Event) bool { return e.Step == step && e.Kind == provision.HostEnds }
	}
	shops := 0
	cancelled := func(what string) {
		t.Helper()
		shops++
		name := fmt.Sprintf("shop%d", shops)
		l.must("certs", "client", name)
		shop := l.given(name)
		if out := l.must("certs", "show"); !strings.Contains(out, "take it back         zkctl certs rotate --ca --cancel\n") {
			t.Errorf("certs show, %s:\n%s", what, out)
		}
		l.must("certs", "rotate", "--ca", "--cancel", "--dry-run")
		if !l.killWhen(after("trust the present authority only"), "certs", "rotate", "--ca", "--cancel", "--parallel", "1") {
			t.Fatal("it was through before")
		}
		l.reach("is of before, in the middle, "+what, old, true)
		if out := l.must("certs", "rotate", "--ca", "--cancel"); !strings.Contains(out, "the authority        stays") {
			t.Errorf("cancel, %s:\n%s", what, out)
		}
		l.reach("is of before, at the end, "+what, old, true)
		l.reach("got a certificate by the next one, "+what, shop, false)
		if now, err := l.store().Certificates(); err != nil || len(now) != 1 || !now[0].Equal(before[0]) {
			t.Errorf("%s: trusted are %d, %v", what, len(now), err)
		}
		if out := l.must("certs", "show"); strings.Contains(out, "is being replaced") {
			t.Errorf("certs show at the end, %s:\n%s", what, out)
		}
		l.must("status")
	}
	l.must("certs", "rotate", "--ca")
	cancelled("with both trusted")
	for _, step := range []string{"certificates", "trust the next authority only"} {
		l.must("certs", "rotate", "--ca")
		if !l.killWhen(after(step), "certs", "rotate", "--ca", "--finish", "--parallel", "1") {
			t.Fatal("the second half was through before")
		}
		cancelled("after " + step)
	}
	l.must("certs", "rotate")
	l.must("rolling-restart")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply at the end:\n%s", out)
	}
}

// An authority that is lost with its directory is replaced by another one, while clients of before are served until the end.
func TestAuthorityIsLost(t *testing.T) {
	l := newLocal(t)
	l.must("certs", "init")
	l.setTLS("{client: required, quorum: on}")
	l.must("bootstrap", "--server-binary", l.server)
	if out, code := l.ctl("certs", "rotate", "--ca", "--take-over"); code != exitRefused || !strings.Contains(out, "leave --take-over away") {
		t.Errorf("with the key at hand: exit code %d\n%s", code, out)
	}
	old, err := l.clientTLS()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(l.dir, "state/desk/tls")); err != nil {
		t.Fatal(err)
	}
	for _, verb := range [][]string{{"certs", "init"}, {"certs", "rotate"}, {"certs", "rotate", "--ca"}, {"apply", "--server-binary", l.server}, {"status"}} {
		if out, code := l.ctl(verb...); code == exitOK || !strings.Contains(out, "certs rotate --ca --take-over") {
			t.Errorf("%v without the directory: exit code %d\n%s", verb, code, out)
		}
	}
	l.must("certs", "rotate", "--ca", "--take-over")
	l.reach("is of before, before the end", old, true)
	if out, code := l.ctl("certs", "rotate", "--ca", "--cancel"); code != exitRefused || !strings.Contains(out, "put ca.key in ") {
		t.Errorf("--cancel without the key: exit code %d\n%s", code, out)
	}
	l.must("status")
	l.must("certs", "client", "shop")
	shop := l.given("shop")
	l.reach("was brought along, before the end", shop, true)
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply between the two halves:\n%s", out)
	}
	l.must("certs", "rotate", "--ca", "--finish")
	l.reach("was brought along, at the end", shop, true)
	l.reach("is of before, at the end", old, false)
	l.must("certs", "rotate")
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply at the end:\n%s", out)
	}
}

// What ends soon is told of, what lasts is not.
func TestExpiries(t *testing.T) {
	now := time.Now()
	inv := &inventory.Inventory{Hosts: []inventory.Host{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}}
	ends := func(days int) *x509.Certificate {
		return &x509.Certificate{NotAfter: now.Add(time.Duration(days)*24*time.Hour + time.Hour)}
	}
	lines := expiries(inv, []*x509.Certificate{ends(29), nil, ends(30), ends(-3)}, now)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "a: its certificate ends in 29 days") || !strings.HasPrefix(lines[1], "d: its certificate ended on ") {
		t.Errorf("told are %q", lines)
	}
}

// So is what is on this machine: zkctl's own certificate after a year, the authority after ten.
func TestExpiriesHere(t *testing.T) {
	store := &certs.Store{Dir: t.TempDir(), Ensemble: "lab"}
	inv := &inventory.Inventory{Name: "lab", Hosts: []inventory.Host{{Name: "a", TLS: inventory.TLS{Client: "off", Quorum: "on", Authority: "own"}}}}
	if lines := expiriesHere(inv, store, time.Now()); lines != nil {
		t.Errorf("without an authority: %q", lines)
	}
	if _, err := store.Init(); err != nil {
		t.Fatal(err)
	}
	a, err := store.Authority()
	if err == nil {
		err = store.RenewClient(a)
	}
	if err != nil {
		t.Fatal(err)
	}
	if lines := expiriesHere(inv, store, time.Now()); lines != nil {
		t.Errorf("at first: %q", lines)
	}
	if lines := expiriesHere(inv, store, time.Now().AddDate(0, 0, 340)); len(lines) != 1 || !strings.HasPrefix(lines[0], "zkctl: its own certificate ends in ") {
		t.Errorf("after 340 days: %q", lines)
	}
	if lines := expiriesHere(inv, store, time.Now().AddDate(11, 0, 0)); len(lines) != 2 || !strings.HasSuffix(lines[1], "zkctl certs rotate --ca") {
		t.Errorf("after 11 years: %q", lines)
	}
}

// The authority is that of all; within a limit the chosen hosts get certificates.
func TestCertsInitWithinALimit(t *testing.T) {
	l := newLocal(t)
	l.must("bootstrap", "--server-binary", l.server)
	l.must("certs", "init", "--limit", "m2")
	if out := l.must("certs", "show", "--json"); !strings.Contains(out, `"host":"m2"`) || !strings.Contains(out, `"host":"authority"`) || !strings.Contains(out, `"without":["m1","m3"]`) {
		t.Errorf("after m2:\n%s", out)
	}
	l.must("certs", "init")
	if out := l.must("certs", "show", "--json"); !strings.Contains(out, `"without":[]`) {
		t.Errorf("after all:\n%s", out)
	}
}
