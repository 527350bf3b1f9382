//go:build diff

package diff

import (
	"fmt"
	"testing"
)

// TestSettings generates requests for servers with settings that change what comes of them.
func TestSettings(t *testing.T) {
	for _, one := range []struct {
		name  string
		size  int
		lines []string
	}{
		{"NoExtendedTypes", 1, []string{"extendedTypesEnabled=false"}},
		{"SkipACL", 1, []string{"skipACL=yes"}},
		{"EnforceQuota", 1, []string{"enforceQuota=true"}},
		{"NoDigest", 1, []string{"digest.enabled=false"}},
		{"SmallFrames", 1, []string{"jute.maxbuffer=4096"}},
		{"LocalSessions", 3, []string{"localSessionsEnabled=true", "localSessionsUpgradingEnabled=true"}},
	} {
		t.Run(one.name, func(t *testing.T) {
			p := servers(t, one.size, one.lines...)
			p.repeat = fmt.Sprintf("go test -tags diff ./test/diff -run %s -v -requests %d -seed %d", t.Name(), *requests, *seed)
			t.Log(p.repeat)
			g := newGenerator(*seed)
			g.readable = one.name == "LocalSessions" // Apache ZooKeeper takes a multi for an empty one that it cannot read
			p.generate(t, g, *requests/20/one.size)
			t.Logf("%s", p.summary())
		})
	}
}

// TestEnsembleScripts plays scripts on ensembles of three: slots 0, 1, 3 and 4 are at followers, 2 is at the leader.
func TestEnsembleScripts(t *testing.T) {
	p := servers(t, 3)
	p.repeat = "go test -tags diff ./test/diff -v -run " + t.Name()
	for _, one := range scripts {
		t.Run(one.name, func(t *testing.T) { p.playScript(t, one.play) })
	}
	t.Logf("%s", p.summary())
}
