//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

const digestModule = "org.apache.zookeeper.server.auth.DigestLoginModule"

// useLogins writes a JAAS file for the members of either kind that are started from here on. Java is told by its
// environment, zkserver by the line of zoo.cfg that is returned.
func useLogins(t *testing.T, text string) (line string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jaas.conf")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	t.Setenv("JAVA_TOOL_OPTIONS", "-Djava.security.auth.login.config="+file)
	return "java.security.auth.login.config=" + file
}

func quorumLogins(password string) string {
	return fmt.Sprintf("QuorumServer { %s required user_zk=\"s e,c=r\\\"et\"; };\nQuorumLearner { %s required username=\"zk\" password=\"%s\"; };\n",
		digestModule, digestModule, password)
}

const quorumPassword = `s e,c=r\"et`

// The stages on the way to SASL between all members.
var quorumStages = []string{
	"quorum.auth.enableSasl=true",
	"quorum.auth.learnerRequireSasl=true",
	"quorum.auth.serverRequireSasl=true",
}

// TestQuorumSASL demands SASL between members of both kinds, either kind leading.
func TestQuorumSASL(t *testing.T) {
	for _, kinds := range thirdLeads {
		t.Run(kinds[2].String()+" leads", func(t *testing.T) {
			line := useLogins(t, quorumLogins(quorumPassword))
			e := layOutWith(t, ensemble.Settings{Extra: append([]string{line}, quorumStages...)}, kinds...)
			startLed(t, e, 3, 1, 3)
			replicate(t, e)
			leaderDeath(t, e)
			for _, m := range e.Members() {
				if m.Kind == apache && !m.LogHas("Successfully completed the authentication using SASL") {
					t.Errorf("member %d has not authenticated anybody", m.ID)
				}
				if m.LogHas("s e,c") {
					t.Errorf("member %d logs the password", m.ID)
				}
			}
		})
	}
}

// TestQuorumSASLRefuses adds a member with a wrong password to an ensemble that demands SASL: it does not get in, and the
// others go on.
func TestQuorumSASLRefuses(t *testing.T) {
	for _, stranger := range []ensemble.Kind{ours, apache} {
		t.Run(stranger.String(), func(t *testing.T) {
			line := useLogins(t, quorumLogins(quorumPassword))
			e := layOutWith(t, ensemble.Settings{Extra: append([]string{line}, quorumStages...)}, ours, apache, stranger)
			must(t, e.Start(1, 2))
			must(t, e.Await(patience))
			wrong := useLogins(t, quorumLogins("wrong"))
			edit(t, e.Member(3), line, wrong)
			must(t, e.Member(3).Start())
			conn := dial(t, e.Member(1).Addr(), e.Member(2).Addr())
			for i := range 20 {
				_, err := conn.Create(fmt.Sprintf("/n%d", i), nil, 0, open)
				must(t, err)
				time.Sleep(100 * time.Millisecond)
				if mode := e.Member(3).Mode(); mode != "" {
					t.Fatalf("the stranger is a %s", mode)
				}
			}
			for _, m := range e.Members() {
				if m.LogHas("s e,c") {
					t.Errorf("member %d logs the password", m.ID)
				}
			}
		})
	}
}

// edit replaces a line of a member's zoo.cfg, or appends one in the place of none.
func edit(t *testing.T, m *ensemble.Member, line, by string) {
	t.Helper()
	file := filepath.Join(m.Dir, "zoo.cfg")
	text, err := os.ReadFile(file)
	must(t, err)
	if line == "" {
		must(t, os.WriteFile(file, append(text, by+"\n"...), 0o644))
		return
	}
	if !strings.Contains(string(text), line) {
		t.Fatalf("%s has no line %s", file, line)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(string(text), line, by, 1)), 0o644))
}

// TestQuorumSASLRolling switches an ensemble of both kinds to SASL while clients write: member by member, stage by stage.
func TestQuorumSASLRolling(t *testing.T) {
	line := useLogins(t, quorumLogins(quorumPassword))
	e := layOutWith(t, ensemble.Settings{Extra: []string{line}}, ours, apache, ours)
	rollOut(t, e, quorumStages)
}
