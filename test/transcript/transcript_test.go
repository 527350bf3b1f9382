//go:build interop

package transcript

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/test/ensemble"
)

// way is one client at one server.
type way struct {
	java   bool
	server ensemble.Kind
}

// reference is what the others are compared with.
var reference = way{true, ensemble.Apache}

var ways = []way{reference, {false, ensemble.Apache}, {true, ensemble.Zkserver}, {false, ensemble.Zkserver}}

func (w way) String() string {
	return fmt.Sprintf("%s at %v", map[bool]string{true: "zkCli.sh", false: "zkcli"}[w.java], w.server)
}

// flags are those of a JVM that starts faster, and does not complain that there is nothing to log to.
func (w way) flags() []string {
	if !w.java {
		return nil
	}
	return []string{"-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar:" + ensemble.NettyJars}
}

// command is the client's command line; flags are further ones of the JVM.
func (w way) command(t *testing.T, flags []string, server string, args ...string) *exec.Cmd {
	var cmd *exec.Cmd
	if w.java {
		cmd = ensemble.Zkcli(server, args...)
	} else {
		zkcli, err := ensemble.ClientBinary()
		must(t, err)
		cmd = exec.Command(zkcli, append([]string{"-server", server}, args...)...)
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "TZ=UTC", "CLIENT_JVMFLAGS="+strings.Join(append(w.flags(), flags...), " "))
	return cmd
}

// pair is a server of each kind, with the same configuration.
type pair map[ensemble.Kind]*ensemble.Ensemble

// servers starts a pair of ensembles of some size with further lines in their zoo.cfg. They end with the test.
func servers(t *testing.T, size int, extra ...string) pair {
	t.Helper()
	return serversWith(t, size, func(ensemble.Kind) []string { return extra })
}

// patientSessions keeps a session while a JVM gets no time, and the znodes of a process for those that come after it. Twenty
// ticks would be the limit otherwise.
const patientSessions = "maxSessionTimeout=600000"

func serversWith(t *testing.T, size int, extra func(ensemble.Kind) []string) pair {
	t.Helper()
	if err := ensemble.HaveApache(); err != nil {
		t.Skip(err)
	}
	p := make(pair)
	for _, kind := range []ensemble.Kind{ensemble.Zkserver, ensemble.Apache} {
		kinds := make([]ensemble.Kind, size)
		for i := range kinds {
			kinds[i] = kind
		}
		e, err := ensemble.New(ensemble.Settings{Extra: append(extra(kind), patientSessions)}, kinds...)
		must(t, err)
		t.Cleanup(func() { e.Close() })
		must(t, e.Start())
		p[kind] = e
	}
	for kind, e := range p {
		if err := e.Await(patience); err != nil {
			t.Fatalf("%v: %v\n%s", kind, err, e.Member(1).LogTail(20))
		}
	}
	return p
}

// session is one of the test's own.
func (p pair) session(t *testing.T, kind ensemble.Kind) (context.Context, *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, err := client.Connect(p[kind].Connection(), client.Options{})
	must(t, err)
	return ctx, c
}

// clean deletes what a script has left at the servers.
func (p pair) clean(t *testing.T, kind ensemble.Kind) {
	t.Helper()
	ctx, c := p.session(t, kind)
	defer c.Close(ctx)
	var walk func(path string)
	walk = func(path string) {
		children, _, _ := c.Children(ctx, path, false) // of what may not be read there are none in the scripts
		for _, child := range children {
			below := strings.TrimSuffix(path, "/") + "/" + child
			if below != "/zookeeper" {
				walk(below)
			}
		}
		if path != "/" && path != "/zookeeper/quota" {
			_ = c.Delete(ctx, path, -1) // what stays shows in the next script
		}
	}
	walk("/")
	walk("/zookeeper/quota")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compare plays a script in all ways. If the servers are known to differ, the clients are compared at each of them, and the
// difference must show.
func (p pair) compare(t *testing.T, differs string, play func(*testing.T, way) transcript) {
	t.Helper()
	p.compareAsIs(t, differs, func(t *testing.T, w way) transcript {
		p.clean(t, w.server)
		return play(t, w)
	})
}

// compareAsIs leaves it to the scripts to clean up.
func (p pair) compareAsIs(t *testing.T, differs string, play func(*testing.T, way) transcript) {
	t.Helper()
	all := make(map[way]transcript)
	for _, w := range ways {
		all[w] = play(t, w)
		against := reference
		if differs != "" {
			against.server = w.server
		}
		if diff := all[against].diff(all[w]); diff != "" {
			t.Errorf("%v and %v:\n%s", against, w, diff)
		}
	}
	if differs != "" && all[reference].diff(all[way{true, ensemble.Zkserver}]) == "" {
		t.Errorf("the servers do not differ any more: %s", differs)
	}
}
