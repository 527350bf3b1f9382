//go:build interop

package transcript

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/test/ensemble"
)

// TestRestart: a server that comes back knows the session.
func TestRestart(t *testing.T) {
	p := servers(t, 1)
	s := script{lines: `
create -e /mine x
get -w /mine
1! @restart
get /mine
1! set /mine y
quit
`, acts: map[string]func(*process, way){"@restart": func(_ *process, w way) {
		m := p[w.server].Member(1)
		must(t, m.Kill())
		must(t, m.Start())
		must(t, p[w.server].Await(patience))
	}}}
	p.compare(t, "", func(t *testing.T, w way) transcript { return s.play(t, w, nil, 1, p[w.server].Connection()) })
}

// TestLostSession: a client that was silent for too long has no session any more.
func TestLostSession(t *testing.T) {
	p := servers(t, 1)
	s := script{lines: `
create -e /mine x
1! @sleep
ls /
getEphemerals
close
1! connect
ls /
quit
`, acts: map[string]func(*process, way){"@sleep": func(client *process, w way) {
		signalGroup(client.cmd, syscall.SIGSTOP)
		defer signalGroup(client.cmd, syscall.SIGCONT)
		must(t, ensemble.Until(patience, "the session ends", func() bool {
			answer, err := p[w.server].Member(1).Ask("dump")
			return err == nil && !strings.Contains(answer, "/mine")
		}))
	}}}
	p.compare(t, "", func(t *testing.T, w way) transcript {
		return s.play(t, w, nil, 1, p[w.server].Connection(), "-timeout", "6000")
	})
}

// TestReadOnly types at a member that has lost the others.
func TestReadOnly(t *testing.T) {
	t.Setenv("JAVA_TOOL_OPTIONS", "-Dreadonlymode.enabled=true")                 // a property that zoo.cfg cannot give
	p := servers(t, 3, "readonlymode.enabled=true", "localSessionsEnabled=true") // no other sessions there
	os.Unsetenv("JAVA_TOOL_OPTIONS")
	for _, e := range p {
		for _, id := range []int{2, 3} {
			must(t, e.Member(id).Kill())
		}
	}
	for kind, e := range p {
		must(t, ensemble.Until(patience, kind.String()+" in read-only mode", func() bool { return e.Member(1).Mode() == "read-only" }))
	}
	s := script{lines: `
ls /
create /a x
set /zookeeper x
delete /zookeeper
setAcl /zookeeper world:anyone:r
sync /
deleteall /zookeeper
getAllChildrenNumber /
get -w /zookeeper
addWatch /
stat /zookeeper/quota
addauth digest u:p
whoami
quit
`, forgets: map[string]string{ // ZKUtil.deleteInBatch lets go of those who wait before it notes what they wait for
		"deleteall /zookeeper": "Failed to delete some node(s) in the subtree!\n",
	}}
	p.compareAsIs(t, "", func(t *testing.T, w way) transcript {
		return s.play(t, w, nil, 1, p[w.server].Member(1).Addr(), "-r")
	})
}

// TestLocalSession has sessions that may not own anything.
func TestLocalSession(t *testing.T) {
	p := servers(t, 3, "localSessionsEnabled=true", "localSessionsUpgradingEnabled=false")
	s := script{lines: `
create /a x
create -e /a/e
create -s -e /a/e
get -s /a
quit
`}
	p.compare(t, "", func(t *testing.T, w way) transcript { return s.play(t, w, nil, 1, p[w.server].Connection()) })
}

// TestSuper opens what is closed to everybody else.
func TestSuper(t *testing.T) {
	p := servers(t, 1, "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=") // super:test
	s := script{lines: `
create /closed x digest:nobody:none:r
get /closed
getAcl /closed
addauth digest super:test
get /closed
set /closed y
getAcl /closed
whoami
setAcl /closed world:anyone:cdrwa
delete /closed
quit
`}
	p.compare(t, "", func(t *testing.T, w way) transcript { return s.play(t, w, nil, 1, p[w.server].Connection()) })
}

// TestConfig looks at the membership of an ensemble that may not be changed.
func TestConfig(t *testing.T) {
	p := servers(t, 3)
	s := script{lines: `
config -c
config -w -c
reconfig -remove 3
reconfig -add server.4=127.0.0.1:1:2;3
reconfig -s -v 100 -members server.1=127.0.0.1:1:2;3
getAcl /zookeeper/config
set /zookeeper/config x
quit
`}
	p.compare(t, "", func(t *testing.T, w way) transcript { return s.play(t, w, nil, 1, p[w.server].Connection()) })
}
