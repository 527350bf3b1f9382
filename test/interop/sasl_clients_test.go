//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

// saslEnsemble is one of three members of the implementation under test, whose clients may authenticate by SASL.
func saslEnsemble(t *testing.T, more ...string) *ensemble.Ensemble {
	t.Helper()
	line := useLogins(t, fmt.Sprintf("Server { %s required user_bob=\"b,o=b\" user_admin=\"a\" user_super=\"s\"; };\n", digestModule))
	extra := append([]string{line, "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "superUser=admin"}, more...)
	kind := ensemble.Against()
	e := layOutWith(t, ensemble.Settings{Extra: extra}, kind, kind, kind)
	must(t, e.Start())
	must(t, e.Await(patience))
	t.Setenv("JAVA_TOOL_OPTIONS", "")
	return e
}

// enforced are the lines with which every client has to authenticate by SASL.
var enforced = []string{"enforce.auth.enabled=true", "enforce.auth.schemes=sasl"}

// TestKazooSASL authenticates kazoo, with and without enforcement.
func TestKazooSASL(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's kazoo
	need(t, python, "python3")
	if err := exec.Command(python, "-c", "import kazoo, puresasl").Run(); err != nil {
		need(t, "python3-pure-sasl", "python3-pure-sasl")
	}
	for name, lines := range map[string][]string{"all may connect": nil, "enforced": enforced} {
		t.Run(name, func(t *testing.T) {
			e := saslEnsemble(t, lines...)
			// Followers, since kazoo gives up for good where a connection ends while it authenticates, as a loss of the
			// leader may end it.
			d := talk(t, exec.Command(python, "testdata/kazoo_sasl.py", strings.Join(others(e, e.Leader()), ","), "bob", "b,o=b"))
			d.say(name)
			d.expect("kill my member")
			victim := memberOfOnlyClient(t, e)
			must(t, victim.Kill())
			d.say("killed")
			must(t, d.ended())
			if !strings.Contains(d.all(), "\npassed\n") {
				t.Error("the check did not reach its end")
			}
		})
	}
}

// javaClient is zkCli.sh as a user of SASL; without a user it does not try.
func javaClient(t *testing.T, server, user, password string) *dialogue {
	t.Helper()
	cmd := ensemble.Zkcli(server)
	if user != "" {
		file := filepath.Join(t.TempDir(), "client.conf")
		must(t, os.WriteFile(file, []byte(fmt.Sprintf("Client { %s required username=%q password=%q; };\n", digestModule, user, password)), 0o600))
		cmd.Env = append(cmd.Env, "CLIENT_JVMFLAGS=-XX:TieredStopAtLevel=1 -Djava.security.auth.login.config="+file)
	}
	return talk(t, cmd)
}

// TestJavaSASL authenticates Apache ZooKeeper's Java client.
func TestJavaSASL(t *testing.T) {
	if err := ensemble.HaveApache(); err != nil {
		need(t, "zkCli.sh", "zookeeper")
	}
	e := saslEnsemble(t)
	d := javaClient(t, e.Connection(), "bob", "b,o=b")
	d.expect(`SaslAuthenticated`)
	d.say("create /bob one auth::cdrwa")
	d.expect(`Created /bob\b`)
	d.say("getAcl /bob")
	d.expect(`'sasl,'bob\s+: cdrwa`)
	d.say("whoami")
	d.expect(`sasl: bob`)
	d.say("create /eve one sasl:eve:cdrwa")
	d.expect(`Created /eve\b`)
	d.say("get /eve")
	d.expect(`Insufficient permission|Authentication is not valid|NoAuth`)
	victim := memberOfOnlyClient(t, e)
	must(t, victim.Kill())
	d.retry("get -s /bob", `dataLength = 3`)
	d.say("quit")
	must(t, d.ended())

	d = javaClient(t, strings.Join(others(e, victim), ","), "admin", "a")
	d.expect(`SaslAuthenticated`)
	d.say("set /eve two")
	d.say("get -s /eve")
	d.expect(`dataVersion = 1`)
	d.say("quit")
	must(t, d.ended())

	d = javaClient(t, strings.Join(others(e, victim), ","), "bob", "wrong")
	d.expect(`AuthFailed`)
	d.say("quit")
	must(t, d.ended())

	// A client that does not know SASL goes on without.
	conn := dial(t, others(e, victim)...)
	if _, _, err := conn.Get("/bob"); err != zk.ErrNoAuth {
		t.Errorf("everybody may read: %v", err)
	}
}

// TestEnforcedSASL lets only the Java client in that authenticates.
func TestEnforcedSASL(t *testing.T) {
	if err := ensemble.HaveApache(); err != nil {
		need(t, "zkCli.sh", "zookeeper")
	}
	e := saslEnsemble(t, enforced...)
	d := javaClient(t, e.Connection(), "bob", "b,o=b")
	d.expect(`SaslAuthenticated`)
	d.say("create /bob one")
	d.expect(`Created /bob\b`)
	d.say("quit")
	must(t, d.ended())
	d = javaClient(t, e.Connection(), "", "")
	d.expect(`SyncConnected`)
	d.say("get /bob")
	d.expect(`SESSIONCLOSEDREQUIRESASLAUTH|Session closed because client failed to authenticate|ConnectionLoss|KeeperErrorCode`)
	d.say("quit")
}
