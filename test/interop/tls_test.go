//go:build interop

package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/zkctl/zkctl/test/authority"
	"github.com/zkctl/zkctl/test/ensemble"
)

const storePassword = "sec ret"

// stores writes a key store and a trust store in a format, and returns the lines that name them for clients ("ssl.") or
// members ("ssl.quorum.").
func stores(t *testing.T, format string, trusted *authority.Authority, own authority.Identity) func(prefix string) []string {
	t.Helper()
	dir := t.TempDir()
	var key, trust string
	switch format {
	case "PEM":
		key = authority.Write(t, dir, "key.pem", own.PEM(t))
		trust = authority.Write(t, dir, "trust.pem", trusted.PEM())
	default:
		keys, err := pkcs12.Modern.Encode(own.Key, own.Certificate, []*x509.Certificate{own.Authority}, storePassword)
		must(t, err)
		trusts, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{trusted.Certificate}, storePassword)
		must(t, err)
		key = authority.Write(t, dir, "key.p12", keys)
		trust = authority.Write(t, dir, "trust.p12", trusts)
	}
	if format == "JKS" {
		key, trust = toJKS(t, key), toJKS(t, trust)
	}
	return func(prefix string) []string {
		return []string{
			prefix + "keyStore.location=" + key, prefix + "keyStore.password=" + storePassword,
			prefix + "trustStore.location=" + trust, prefix + "trustStore.password=" + storePassword,
		}
	}
}

// toJKS makes a JKS store of one in PKCS #12, as keytool does.
func toJKS(t *testing.T, from string) string {
	t.Helper()
	need(t, "keytool", "default-jre-headless")
	to := strings.TrimSuffix(from, ".p12") + ".jks"
	out, err := exec.Command("keytool", "-importkeystore", "-noprompt", "-srckeystore", from, "-srcstoretype", "PKCS12",
		"-srcstorepass", storePassword, "-destkeystore", to, "-deststoretype", "JKS", "-deststorepass", storePassword).CombinedOutput()
	if err != nil {
		t.Fatalf("keytool: %v\n%s", err, out)
	}
	return to
}

func appendLines(t *testing.T, m *ensemble.Member, lines ...string) {
	t.Helper()
	edit(t, m, "", strings.Join(lines, "\n"))
}

// formats are those of the stores of members 1, 2 and 3.
var formats = []string{"PEM", "JKS", "PKCS12"}

// withStores gives each member of an ensemble certificates for clients and members, in one format each. Apache ZooKeeper
// reads PEM keys without a password only, and needs Netty for clients.
func withStores(t *testing.T, good *authority.Authority, kinds ...ensemble.Kind) *ensemble.Ensemble {
	t.Helper()
	e := layOut(t, kinds...)
	for i, m := range e.Members() {
		lines := stores(t, formats[i], good, good.Named(t, fmt.Sprint("member ", m.ID)))
		for _, line := range append(lines("ssl."), lines("ssl.quorum.")...) {
			if formats[i] != "PEM" || !strings.Contains(line, "keyStore.password") {
				appendLines(t, m, line)
			}
		}
		appendLines(t, m, "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory")
	}
	return e
}

// TestQuorumTLS has members of both kinds speak TLS only, either kind leading: each dials the other.
func TestQuorumTLS(t *testing.T) {
	for _, kinds := range thirdLeads {
		t.Run(kinds[2].String()+" leads", func(t *testing.T) {
			e := withStores(t, authority.New(t, "good"), kinds...)
			for _, m := range e.Members() {
				appendLines(t, m, "sslQuorum=true")
			}
			startLed(t, e, 3, 1, 3)
			replicate(t, e)
			startEmpty(t, e)
			leaderDeath(t, e)
			for _, m := range e.Members() {
				if m.Kind == apache && (!m.LogHas("Accepted TLS connection from") || m.LogHas("Accepted plaintext connection")) {
					t.Errorf("member %d has accepted no TLS, or others", m.ID)
				}
				if m.LogHas(storePassword) {
					t.Errorf("member %d logs the password", m.ID)
				}
			}
		})
	}
}

// TestQuorumTLSRolling switches an ensemble of both kinds to TLS while clients write: member by member, stage by stage.
func TestQuorumTLSRolling(t *testing.T) {
	e := withStores(t, authority.New(t, "good"), ours, apache, ours)
	rollOut(t, e, []string{"portUnification=true", "sslQuorum=true", "portUnification=false"})
}

// TestQuorumTLSRefuses adds a member whose certificate is not good to an ensemble that speaks TLS: it does not get in, and
// one line of ours tells why.
func TestQuorumTLSRefuses(t *testing.T) {
	good, evil := authority.New(t, "good"), authority.New(t, "evil")
	for _, c := range []struct {
		name   string
		own    authority.Identity
		reason string
	}{
		{"of somebody else", evil.Named(t, "stranger"), "unknown authority"},
		{"expired", good.Issue(t, authority.Wish{End: time.Now().Add(-time.Minute)}), "expired"},
		{"of another host", good.Issue(t, authority.Wish{Hosts: []string{"10.9.8.7"}}), "not of 127.0.0.1"},
	} {
		for _, stranger := range []ensemble.Kind{ours, apache} {
			t.Run(fmt.Sprint(c.name, ", ", stranger), func(t *testing.T) {
				e := layOut(t, ours, apache, stranger)
				for i, m := range e.Members() {
					own := good.Named(t, "member")
					if i == 2 {
						own = c.own
					}
					appendLines(t, m, append(stores(t, "PKCS12", good, own)("ssl.quorum."), "sslQuorum=true")...)
				}
				must(t, e.Start(1, 2))
				must(t, e.Await(patience))
				must(t, e.Member(3).Start())
				conn := dial(t, e.Member(1).Addr(), e.Member(2).Addr())
				first := e.Member(1)
				refusals := func() (told []string) {
					for line := range strings.Lines(first.LogTail(10_000)) {
						// Who is refused as a server, too, says so with an alert of its own.
						if strings.Contains(line, "TLS handshake") && strings.Contains(line, c.reason) {
							told = append(told, line)
						}
					}
					return told
				}
				must(t, ensemble.Until(patience, "a line that tells why", func() bool { return len(refusals()) > 0 }))
				for i := range 20 {
					_, err := conn.Create(fmt.Sprintf("/n%d", i), nil, 0, open)
					must(t, err)
					time.Sleep(100 * time.Millisecond)
					if mode := e.Member(3).Mode(); mode != "" {
						t.Fatalf("the stranger is a %s", mode)
					}
				}
				if told := refusals(); len(told) > 2 { // once as a client, once as a server
					t.Errorf("told %d times:\n%s", len(told), strings.Join(told, ""))
				}
			})
		}
	}
}

// secureEnsemble is three members of the implementation under test with a secure client port each, and their addresses.
func secureEnsemble(t *testing.T, good *authority.Authority) (*ensemble.Ensemble, []string) {
	t.Helper()
	kind := ensemble.Against()
	e := withStores(t, good, kind, kind, kind)
	ports, err := ensemble.FreePorts(3)
	must(t, err)
	var addresses []string
	for i, m := range e.Members() {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		appendLines(t, m, fmt.Sprint("secureClientPort=", ports[i]), "sslQuorum=true")
	}
	must(t, e.Start())
	must(t, e.Await(patience))
	return e, addresses
}

// TestGoClientTLS is github.com/go-zookeeper/zk over TLS: its certificate is who it is, and it goes on elsewhere when its
// member dies.
func TestGoClientTLS(t *testing.T) {
	good := authority.New(t, "good")
	e, addresses := secureEnsemble(t, good)
	cfg := &tls.Config{RootCAs: good.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{good.Named(t, "go client").TLS()}}
	conn, _, err := zk.Connect(addresses, 6*time.Second, zk.WithLogger(ensemble.Quiet{}), zk.WithDialer(
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, cfg)
		}))
	must(t, err)
	defer conn.Close()
	_, err = conn.Create("/mine", []byte(strings.Repeat("x", 500_000)), 0, zk.AuthACL(zk.PermAll))
	must(t, err)
	list, _, err := conn.GetACL("/mine")
	must(t, err)
	if len(list) != 1 || list[0].Scheme != "x509" || list[0].ID != "CN=go client" {
		t.Errorf("the list is %v", list)
	}
	must(t, e.Member(1+indexOf(addresses, conn.Server())).Kill())
	must(t, ensemble.Until(patience, "the client to go on", func() bool {
		data, _, err := conn.Get("/mine")
		return err == nil && len(data) == 500_000
	}))
	if _, _, err := dial(t, others(e, e.Member(1+indexOf(addresses, conn.Server())))...).Get("/mine"); err == nil {
		t.Error("somebody without a certificate reads it")
	}
}

func indexOf(list []string, text string) int {
	for i, s := range list {
		if s == text {
			return i
		}
	}
	return -1
}

// TestKazooTLS runs a few checks of testdata/kazoo_tls.py.
func TestKazooTLS(t *testing.T) {
	const python = "/usr/bin/python3"
	need(t, python, "python3")
	if err := exec.Command(python, "-c", "import kazoo").Run(); err != nil {
		need(t, "python3-kazoo", "python3-kazoo")
	}
	good := authority.New(t, "good")
	_, addresses := secureEnsemble(t, good)
	dir := t.TempDir()
	ca := authority.Write(t, dir, "ca.pem", good.PEM())
	own := authority.Write(t, dir, "own.pem", good.Named(t, "kazoo").PEM(t))
	out, err := exec.Command(python, "testdata/kazoo_tls.py", strings.Join(addresses, ","), ca, own).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "passed\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestJavaClientTLS types at Apache ZooKeeper's own client with its Netty connections.
func TestJavaClientTLS(t *testing.T) {
	if err := ensemble.HaveApache(); err != nil {
		need(t, "zkCli.sh", "zookeeper")
	}
	good := authority.New(t, "good")
	_, addresses := secureEnsemble(t, good)
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			args := []string{"-XX:TieredStopAtLevel=1", "-Dzookeeper.client.secure=true",
				"-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
				"-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar:" + ensemble.NettyJars}
			for _, line := range stores(t, format, good, good.Named(t, "java "+format))("ssl.") {
				if format != "PEM" || !strings.Contains(line, "keyStore.password") {
					args = append(args, "-Dzookeeper."+line)
				}
			}
			d := talk(t, exec.Command("java", append(args, "org.apache.zookeeper.ZooKeeperMain", "-server", strings.Join(addresses, ","))...))
			d.expect(`SyncConnected`)
			d.say("create /%s one", format)
			d.expect(`Created /` + format)
			d.say("get -w /%s", format)
			d.expect(`(?m)^one$`)
			d.say("set /%s two", format)
			d.expect(`NodeDataChanged path:/` + format)
			d.say("setAcl /%s auth::cdrwa", format)
			d.say("getAcl /%s", format)
			d.expect(`'x509,'CN=java ` + format)
			d.say("quit")
			must(t, d.ended())
		})
	}
}

// TestCClientTLS needs a C client that speaks TLS, which Debian's does not.
func TestCClientTLS(t *testing.T) {
	libraries, err := filepath.Glob("/usr/lib/*/libzookeeper_mt.so.2")
	if err != nil || len(libraries) == 0 {
		t.Skip("no C client here: Debian package libzookeeper-mt2")
	}
	text, err := os.ReadFile(libraries[0])
	must(t, err)
	if !strings.Contains(string(text), "zookeeper_init_ssl") {
		t.Skipf("%s is built without OpenSSL", libraries[0])
	}
	t.Error("it is built with OpenSSL now: write this test")
}
