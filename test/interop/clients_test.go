//go:build interop

package interop

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestKazoo runs the checks of testdata/kazoo_check.py.
func TestKazoo(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's kazoo
	need(t, python, "python3")
	if err := exec.Command(python, "-c", "import kazoo").Run(); err != nil {
		need(t, "python3-kazoo", "python3-kazoo")
	}
	e := three(t)
	check := func(name string) *exec.Cmd {
		return exec.Command(python, "testdata/kazoo_check.py", strings.Join(e.Servers(), ","), name)
	}
	names, err := check("list").Output()
	must(t, err)
	for _, name := range strings.Fields(string(names)) {
		t.Run(name, func(t *testing.T) {
			d := talk(t, check(name))
			if name == "reconnect" {
				d.expect("kill my member")
				victim := memberOfOnlyClient(t, e)
				must(t, victim.Kill())
				d.say("killed")
				defer func() {
					must(t, victim.Start())
					must(t, e.Await(patience))
				}()
			}
			must(t, d.ended())
			if !strings.HasSuffix(d.all(), "passed\n") {
				t.Error("the check did not reach its end")
			}
		})
	}
	if _, err := e.SameTrees(); err != nil {
		t.Error(err)
	}
}

// closes is how long a close may take to be seen elsewhere: less than a session of twenty ticks lives without one.
const closes = 8 * time.Second

// TestJavaCLI types at Apache ZooKeeper's zkCli.
func TestJavaCLI(t *testing.T) {
	if err := ensemble.HaveApache(); err != nil {
		need(t, "zkCli.sh", "zookeeper")
	}
	e := three(t)
	shell(t, e, ensemble.Zkcli(e.Connection()))
}

// TestCLI types the same at zkcli.
func TestCLI(t *testing.T) {
	zkcli, err := ensemble.ClientBinary()
	must(t, err)
	e := three(t)
	shell(t, e, exec.Command(zkcli, "-server", e.Connection()))
}

// shell types commands, and goes on when the member that serves it is gone.
func shell(t *testing.T, e *ensemble.Ensemble, cmd *exec.Cmd) {
	t.Helper()
	d := talk(t, cmd)
	d.expect(`SyncConnected`)
	d.say("create /java one")
	d.expect(`Created /java\b`)
	d.say("get -w /java")
	d.expect(`(?m)^one$`)
	d.say("ls -w /java")
	d.expect(`\[\]`)
	d.say("set /java two")
	d.expect(`NodeDataChanged path:/java`)
	d.say("get -s /java")
	d.expect(`(?m)^two$`)
	d.expect(`dataVersion = 1`)
	d.say("create -s /java/seq- x")
	d.expect(`NodeChildrenChanged path:/java`)
	d.say("ls /java")
	d.expect(`\[seq-0000000000\]`)
	d.say("create -s /java/seq- x")
	d.expect(`Created /java/seq-0000000001`)
	d.say("create -e /java/mine x")
	d.expect(`Created /java/mine`)
	d.say("create /java again")
	d.expect(`Node already exists: /java`)
	d.say("set -v 9 /java x")
	d.expect(`version No is not valid`)
	d.say("delete /java")
	d.expect(`Node not empty: /java`)
	d.say("create -c /java/container")
	d.expect(`Created /java/container`)
	d.say("addWatch -m PERSISTENT_RECURSIVE /java")
	d.say("create /java/container/x 1")
	d.expect(`NodeCreated path:/java/container/x`)
	d.say("addauth digest joe:pw")
	d.say("setAcl /java/container auth::cdrwa,world:anyone:r")
	d.say("getAcl /java/container")
	d.expect(`'digest,'joe:\S+\s+: cdrwa`)
	d.say("sync /java")
	d.expect(`Sync is OK`)
	d.say("getEphemerals /java")
	d.expect(`/java/mine`)
	d.say("getAllChildrenNumber /java")
	d.expect(`(?m)^5$`)

	victim := memberOfOnlyClient(t, e)
	must(t, victim.Kill())
	d.retry("get -s /java/mine", `ephemeralOwner = 0x[1-9a-f]`)
	d.retry("set /java/mine moved", `NodeDataChanged path:/java/mine`)
	observer := dial(t, others(e, victim)...)
	d.say("quit")
	must(t, d.ended())
	gone(t, observer, "/java/mine", closes)
	data, _, err := observer.Get("/java")
	must(t, err)
	if string(data) != "two" {
		t.Errorf("/java holds %q", data)
	}
	must(t, victim.Start())
	must(t, e.Await(patience))
	if _, err := e.SameTrees(); err != nil {
		t.Error(err)
	}
}

// TestCClient types at cli_mt, the C library's client.
func TestCClient(t *testing.T) {
	const cli = "/usr/lib/zookeeper/bin/cli_mt"
	need(t, cli, "zookeeper-bin")
	e := three(t)
	d := talk(t, exec.Command(cli, "-h", e.Connection()))
	d.expect(`SESSION_EVENT state = CONNECTED_STATE`)
	d.say("create /c")
	d.expect(`Creating \[/c\] node`)
	d.expect(`name = /c\b`)
	d.say("get /c")
	d.expect(`value_len = \d+`)
	d.say("set /c two")
	d.expect(`version=1\b|version = 1\b`)
	d.say("get /c")
	d.expect(`(?s)value_len = 3\s+two`)
	d.say("create +s /c/seq-")
	d.expect(`name = /c/seq-0000000000`)
	d.say("create +e /c/mine")
	d.expect(`name = /c/mine`)
	d.say("ls /c")
	d.expect(`seq-0000000000`)
	d.say("exists /c/seq-0000000000") // sets a watch, and prints only errors
	d.say("get /c/none")
	d.expect(`/c/none: rc = -101`)
	writer := dial(t, e.Servers()...)
	must(t, writer.Delete("/c/seq-0000000000", -1))
	writer.Close()
	d.expect(`DELETED_EVENT state = CONNECTED_STATE for path /c/seq-0000000000`)
	d.say("sync /c")
	d.expect(`\[/c\]: rc = 0`)

	victim := memberOfOnlyClient(t, e)
	must(t, victim.Kill())
	d.expect(`CONNECTED_STATE`)
	d.retry("get /c", `(?s)value_len = 3\s+two`)
	d.retry("get /c/mine", `ephemeralOwner = [1-9a-f]`)
	observer := dial(t, others(e, victim)...)
	if exists, _, err := observer.Exists("/c/mine"); err != nil || !exists {
		t.Errorf("the ephemeral node after the move: %v %v", exists, err)
	}
	d.say("quit")
	must(t, d.ended())
	gone(t, observer, "/c/mine", closes)
	must(t, victim.Start())
	must(t, e.Await(patience))
	if _, err := e.SameTrees(); err != nil {
		t.Error(err)
	}
}

// others are the addresses of all members but one.
func others(e *ensemble.Ensemble, without *ensemble.Member) []string {
	var servers []string
	for _, m := range e.Members() {
		if m != without {
			servers = append(servers, m.Addr())
		}
	}
	return servers
}
