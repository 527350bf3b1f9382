//go:build interop

package interop

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

var open = zk.WorldACL(zk.PermAll)

// patience is how long an ensemble may take to serve, on a machine that has other things to do.
const patience = 2 * time.Minute

// start runs an ensemble of the given kinds and waits until it serves; it ends with the test.
func start(t *testing.T, kinds ...ensemble.Kind) *ensemble.Ensemble {
	t.Helper()
	e := layOut(t, kinds...)
	must(t, e.Start())
	must(t, e.Await(patience))
	return e
}

// layOut makes an ensemble and starts nothing.
func layOut(t *testing.T, kinds ...ensemble.Kind) *ensemble.Ensemble {
	t.Helper()
	return layOutWith(t, ensemble.Settings{}, kinds...)
}

func layOutWith(t *testing.T, settings ensemble.Settings, kinds ...ensemble.Kind) *ensemble.Ensemble {
	t.Helper()
	for _, kind := range kinds {
		if kind == ensemble.Apache {
			if err := ensemble.HaveApache(); err != nil {
				t.Skip(err)
			}
		}
	}
	e, err := ensemble.New(settings, kinds...)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(e.Logs(25))
		}
		e.Close()
	})
	return e
}

// three is an ensemble of three members of the implementation under test.
func three(t *testing.T) *ensemble.Ensemble {
	t.Helper()
	kind := ensemble.Against()
	return start(t, kind, kind, kind)
}

// dial opens a session at one of the servers, which ends with the test.
func dial(t *testing.T, servers ...string) *zk.Conn {
	t.Helper()
	conn, err := ensemble.Dial(6*time.Second, servers...)
	must(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need skips the test where a program of another project is not installed. In CI (environment variable CI) that is a
// failure: there it has to be installed.
func need(t *testing.T, file, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(file); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: Debian package %s", file, debianPackage)
	}
	t.Skipf("%s is missing: Debian package %s", file, debianPackage)
}

// memberOfOnlyClient finds the member that holds the only client session.
func memberOfOnlyClient(t *testing.T, e *ensemble.Ensemble) *ensemble.Member {
	t.Helper()
	var found *ensemble.Member
	must(t, ensemble.Until(patience, "a member with a client", func() bool {
		for _, m := range e.Members() {
			if cons, err := m.Ask("cons"); err == nil && strings.Contains(cons, "sid=0x") {
				found = m
				return true
			}
		}
		return false
	}))
	return found
}
