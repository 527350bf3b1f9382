//go:build interop

package transcript

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/test/authority"
	"github.com/zkctl/zkctl/test/ensemble"
)

const storePassword = "secret"

// stores are the files of a client in one format, as properties of clients.
func stores(key, trust string) string {
	return fmt.Sprintf(`# of a client
zookeeper.clientCnxnSocket = org.apache.zookeeper.ClientCnxnSocketNetty
zookeeper.client.secure : true
zookeeper.ssl.keyStore.location=%s
zookeeper.ssl.keyStore.password=%s
zookeeper.ssl.trustStore.location=%s
zookeeper.ssl.trustStore.password=%s
`, key, storePassword, trust, storePassword)
}

// keytool runs a tool that makes stores.
func tool(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
}

// TestTLS compares connections with a properties file of each kind of store, and refusals.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, other := authority.New(t, "ca"), authority.New(t, "other")
	file := func(name string, data []byte) string { return authority.Write(t, dir, name, data) }
	path := func(name string) string { return filepath.Join(dir, name) }
	server, trust := file("server.pem", ca.Named(t, "server").PEM(t)), file("trust.pem", ca.PEM())
	id := file("client.pem", ca.Named(t, "client").PEM(t))
	tool(t, "openssl", "pkcs12", "-export", "-in", id, "-out", path("client.p12"), "-passout", "pass:"+storePassword)
	for _, kind := range []string{"JKS", "PKCS12"} {
		tool(t, "keytool", "-importcert", "-noprompt", "-file", trust, "-alias", "ca", "-keystore", path("trust."+kind), "-storetype", kind, "-storepass", storePassword)
	}
	tool(t, "keytool", "-importkeystore", "-srckeystore", path("client.p12"), "-srcstoretype", "PKCS12", "-srcstorepass", storePassword,
		"-destkeystore", path("client.jks"), "-deststoretype", "JKS", "-deststorepass", storePassword)
	must(t, os.Rename(path("trust.JKS"), path("trust.jks")))
	must(t, os.Rename(path("trust.PKCS12"), path("trust.p12")))
	for name, text := range map[string]string{
		"pem":     strings.ReplaceAll(stores(id, trust), "keyStore.password="+storePassword, "keyStore.password="),
		"p12":     stores(path("client.p12"), path("trust.p12")),
		"jks":     stores(path("client.jks"), path("trust.jks")),
		"none":    "zookeeper.clientCnxnSocket=ClientCnxnSocketNetty\nzookeeper.client.secure=true\nzookeeper.ssl.trustStore.location=" + trust + "\n",
		"strange": strings.ReplaceAll(stores(id, file("other.pem", other.PEM())), "keyStore.password="+storePassword, ""),
	} {
		file(name, []byte(text))
	}

	secure := make(map[ensemble.Kind]string)
	p := serversWith(t, 1, func(kind ensemble.Kind) []string {
		ports, err := ensemble.FreePorts(1)
		must(t, err)
		secure[kind] = fmt.Sprintf("127.0.0.1:%d", ports[0])
		return []string{fmt.Sprint("secureClientPort=", ports[0]), "secureClientPortAddress=127.0.0.1", "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
			"ssl.keyStore.location=" + server, "ssl.trustStore.location=" + trust}
	})
	p.compare(t, "", func(t *testing.T, w way) transcript {
		lines := []string{
			"-server SERVER -timeout 60000 -waitforconnection -client-configuration DIR/pem create /tls data auth::cdrwa",
			"-server SERVER -timeout 60000 -waitforconnection -client-configuration DIR/p12 get /tls",
			"-server SERVER -timeout 60000 -waitforconnection -client-configuration DIR/jks get /tls",
			"-server SERVER -timeout 60000 -waitforconnection -client-configuration DIR/pem getAcl /tls",
			"-server SERVER -timeout 60000 -waitforconnection -client-configuration DIR/pem deleteall /tls",
			"-server SERVER -timeout 4000 -client-configuration DIR/none ls /",
			"-server SERVER -timeout 4000 -client-configuration DIR/strange ls /",
			"-server SERVER -timeout 4000 ls /",
		}
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "DIR", dir)
		}
		return playOnce(t, w, secure[w.server], lines)
	})
	session := script{lines: `
whoami
create /tls x
get -w /tls
1! set /tls y
stat /tls
close
1! connect
get /tls
quit
`}
	p.compare(t, "", func(t *testing.T, w way) transcript {
		return session.play(t, w, nil, 1, secure[w.server], "-client-configuration", path("pem"))
	})
}

// TestSASL compares sessions of users of a JAAS file.
func TestSASL(t *testing.T) {
	dir := t.TempDir()
	module := "org.apache.zookeeper.server.auth.DigestLoginModule required"
	logins := authority.Write(t, dir, "server.conf", fmt.Appendf(nil, "Server { %s user_bob=\"b,o=b\" user_super=\"s\"; };\n", module))
	client := func(name, section, user, password string) []string {
		return []string{"-Djava.security.auth.login.config=" + authority.Write(t, dir, name, fmt.Appendf(nil,
			"%s { %s username=%q password=%q; };\n", section, module, user, password))}
	}
	t.Setenv("JAVA_TOOL_OPTIONS", "-Djava.security.auth.login.config="+logins)
	p := servers(t, 1, "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "java.security.auth.login.config="+logins)
	os.Unsetenv("JAVA_TOOL_OPTIONS")
	session := script{lines: `
whoami
create /bob x auth::cdrwa
getAcl /bob
create /eve x sasl:eve:r
get /eve
close
2! connect
set /bob y
quit
`}
	refused := script{lines: `
ls /
whoami
create /x
history
quit
`}
	for _, c := range []struct {
		name   string
		script script
		flags  []string
		events int
	}{
		{"user", session, client("bob", "Client", "bob", "b,o=b"), 2},
		{"section", session, append(client("other", "Other", "bob", "b,o=b"), "-Dzookeeper.sasl.clientconfig=Other"), 2},
		{"super", session, client("super", "Client", "super", "s"), 2},
		{"password", refused, client("wrong", "Client", "bob", "wrong"), 2},
		{"nobody", refused, client("nobody", "Client", "nobody", "x"), 2},
		{"disabled", refused, append(client("disabled", "Client", "bob", "wrong"), "-Dzookeeper.sasl.client=false"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.compare(t, "", func(t *testing.T, w way) transcript {
				return c.script.play(t, w, c.flags, c.events, p[w.server].Connection())
			})
		})
	}
}
