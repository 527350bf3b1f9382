//go:build lab

package lab

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/ensemble"
)

// setTLS writes the section tls of the inventory.
func (h *hosts) setTLS(section string) {
	h.t.Helper()
	text, err := os.ReadFile(h.inventory)
	must(h.t, err)
	text = regexp.MustCompile(`(?m)^tls: .*\n`).ReplaceAll(text, nil)
	must(h.t, os.WriteFile(h.inventory, append([]byte("tls: "+section+"\n"), text...), 0o600))
}

// TestTLS switches hosts with systemd to TLS under load, rotates their certificates without a restart, and takes all back.
func TestTLS(t *testing.T) {
	h := bare(t)
	before := make(map[string]string)
	for _, name := range h.names {
		before[name] = belongings(h, name)
	}
	h.must("bootstrap")
	was := epoch(t, h)
	h.must("certs", "init")
	h.setTLS("{client: optional, quorum: on}")
	l := load(t, h)
	r := h.must("apply")
	t.Log(l.Stop())
	if n := strings.Count(r.stderr, "TLS: "); n != 3 {
		t.Errorf("%d rounds: %v", n, r)
	}
	if now := epoch(t, h); now != was+3 {
		t.Errorf("epoch %d before, %d after: want three elections", was, now)
	}
	kept(t, h, l)
	if r := h.must("apply"); !strings.Contains(r.stdout, "nothing to do") {
		t.Errorf("a second apply: %v", r)
	}
	for _, name := range h.names {
		if got := h.run(name, "stat -c '%a %U:%G' /etc/zookeeper/tls/server.pem; ls /etc/zookeeper/tls"); got != "600 zookeeper:zookeeper\nserver.pem\ntrust.pem" {
			t.Errorf("%s: %s", name, got)
		}
		if out := h.run("master", "/opt/zookeeper/current/bin/zkserver probe-tls "+h.address(name)+":3888"); !strings.HasPrefix(out, "tls.shown") {
			t.Errorf("%s speaks no TLS among members: %q", name, out)
		}
	}
	h.setTLS("{client: required, quorum: on}")
	h.must("apply")
	for _, name := range h.names {
		if out, err := h.try(name, "ss -Hltn | grep ':2181 '"); err == nil {
			t.Errorf("%s: the plain port is open: %s", name, out)
		}
	}
	if out := h.run("slave1", "/opt/zookeeper/bin/zkServer.sh status 2>&1"); !strings.Contains(out, "Mode: ") {
		t.Errorf("zkServer.sh status: %s", out)
	}
	if out := h.run("slave1", "/opt/zookeeper/bin/zkCli.sh ls / 2>&1"); !strings.Contains(out, "[load") && !strings.Contains(out, "zookeeper]") {
		t.Errorf("zkCli.sh ls: %s", out)
	}
	processes, shown := h.processes(), h.fingerprints()
	h.must("certs", "rotate")
	rotated := h.fingerprints()
	old := h.client("old")
	h.must("certs", "rotate", "--ca")
	between := h.fingerprints()
	h.answers("trusts the old authority alone, before the end", old, true)
	both := h.client("both")
	h.answers("was brought along, before the end", both, true)
	h.must("certs", "rotate", "--ca", "--finish")
	h.answers("trusts the old authority alone, at the end", old, false)
	h.answers("was brought along, at the end", both, true)
	last := h.fingerprints()
	for _, name := range h.names {
		if h.process(name) != processes[name] {
			t.Errorf("%s was restarted", name)
		}
		if shown[name] == "" || shown[name] == rotated[name] || rotated[name] != between[name] || rotated[name] == last[name] {
			t.Errorf("%s shows %s, %s, %s, %s", name, shown[name], rotated[name], between[name], last[name])
		}
		if out := h.run(name, "journalctl -q -u zookeeper --no-pager; cat /var/lib/zkctl/lab/history"); strings.Contains(out, "PRIVATE KEY") {
			t.Errorf("%s: a private key is in a log", name)
		}
	}
	h.must("rolling-restart")
	h.must("reset", "--undo-host-changes", "--yes-i-mean", "lab")
	for _, name := range h.names {
		compare(t, name, before[name], belongings(h, name))
	}
}

// client is how a client speaks TLS that was given what certs client makes now.
func (h *hosts) client(name string) *tls.Config {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), name)
	h.must("certs", "client", name, "--out", file+".pem")
	own, err := tls.LoadX509KeyPair(file+".pem", file+".pem")
	must(h.t, err)
	text, err := os.ReadFile(file + ".ca.pem")
	must(h.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}
}

// answers has a client connect anew to each member.
func (h *hosts) answers(who string, cfg *tls.Config, wanted bool) {
	h.t.Helper()
	for _, name := range h.names {
		if _, err := ensemble.AskTLS(net.JoinHostPort(h.address(name), "2281"), "srvr", cfg); (err == nil) != wanted {
			h.t.Errorf("%s and a client that %s: %v", name, who, err)
		}
	}
}

// fingerprints are those of the certificates that members show, as status says.
func (h *hosts) fingerprints() map[string]string {
	h.t.Helper()
	var s struct {
		Members []struct {
			Host        string
			Certificate struct{ Fingerprint string }
		}
	}
	must(h.t, json.Unmarshal([]byte(h.must("status", "--json").stdout), &s))
	all := map[string]string{}
	for _, m := range s.Members {
		all[m.Host] = m.Certificate.Fingerprint
	}
	return all
}
