//go:build interop

package interop

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// asked is one reconfig. In its lists, [N] stands for the line of server N, [N:quorum] and [N:client] for parts of it.
type asked struct {
	name                   string
	joining, leaving, full *string
	version                int64 // 0 for any, current for the one that counts
	plain                  bool  // asked by a session without authentication
	// refused says why zkserver answers BadArguments where Apache ZooKeeper agrees.
	refused string
}

const current = -2

func list(s string) *string { return &s }

// notFor is a change that zkserver refuses.
func (q asked) notFor(reason string) asked {
	q.refused = reason
	return q
}

func joins(name, text string) asked  { return asked{name: name, joining: list(text)} }
func leaves(name, text string) asked { return asked{name: name, leaving: list(text)} }
func isAll(name, text string) asked  { return asked{name: name, full: list(text)} }

const three123 = "[1],[2],[3]"

// reconfigRequests go to an ensemble of members 1, 2 and 3, of which 3 leads; 4 runs beside them, 5, 6 and 7 do not run.
var reconfigRequests = []asked{
	{name: "nothing at all"},
	{name: "without authentication", joining: list("[4]"), plain: true},
	{name: "wrong and without authentication", joining: list("garbage"), plain: true},
	{name: "empty lists", joining: list(""), leaving: list("")},
	{name: "an empty membership", full: list("")},
	{name: "another version", joining: list("[4]"), version: 17},
	{name: "another version, and wrong", joining: list("garbage"), version: 17},

	joins("garbage", "garbage"),
	joins("no value", "server.5"), joins("an empty value", "server.5="), joins("only a host", "server.5=127.0.0.1"),
	joins("one port", "server.5=127.0.0.1:1"), joins("no client address", "server.5=127.0.0.1:1:2"),
	joins("an empty client address", "server.5=127.0.0.1:1:2;"), joins("an unknown role", "server.5=127.0.0.1:1:2:leader;3"),
	joins("a role in capitals", "server.5=127.0.0.1:1:2:OBSERVER;3"),
	joins("words for ports", "server.5=127.0.0.1:a:b;c"), joins("ports out of range", "server.5=127.0.0.1:99999:1;2"),
	joins("port 0", "server.5=127.0.0.1:0:1;2").notFor("nobody can listen there"), leaves("port 0 is gone", "5"), joins("a client port out of range", "server.5=127.0.0.1:1:2;99999"),
	joins("no host", "server.5=:1:2;3").notFor("a line with a forgotten host is not meant to say localhost"), leaves("no host is gone", "5"), joins("two client addresses", "server.5=127.0.0.1:1:2;3;4"),
	joins("two equals signs", "server.5=127.0.0.1:1:2=x;3"), joins("no number", "server.x=127.0.0.1:1:2;3"),
	joins("the same line twice", "[5],[5]"), leaves("and out", "5"),
	joins("another key", "client.5=127.0.0.1:1:2;3"), leaves("and out again", "5"),
	joins("only a number", "5=127.0.0.1:1:2;3"), leaves("and out once more", "5"),
	joins("spaces", " server.5 = 127.0.0.1:1:2:participant;127.0.0.1:3 , "), leaves("out, with spaces", " 5 , "),
	joins("a negative number", "server.-5=127.0.0.1:1:2;3").notFor("no server has such an id"), leaves("the negative one", "-5"),
	joins("a great number", "server.300=127.0.0.1:1:2;3").notFor("ids beyond 255 give sessions that cannot be told apart"), leaves("the great one", "300"),
	joins("an address of two joiners", "server.5=192.0.2.1:1:2;3,server.6=192.0.2.1:1:4;5"),
	joins("client ports of two joiners", "server.5=192.0.2.1:1:2;192.0.2.1:9,server.6=192.0.2.2:1:2;192.0.2.1:9"),
	joins("a quorum port that is a client port", "server.5=192.0.2.1:1:2;192.0.2.1:9,server.6=192.0.2.1:9:4;192.0.2.1:5"),
	joins("a wildcard of two joiners", "server.5=192.0.2.1:1:2;9,server.6=192.0.2.2:1:2;9"), leaves("both out", "5,6"),

	leaves("a word", "x"), leaves("a word behind a number", "1,x"), leaves("nobody", "9"), leaves("commas", ",,"),
	leaves("all", "1,2,3"), leaves("all but the observers there are not", "1, 2, 3, 4"),
	joins("too many dead", "[5],[6],[7],server.8=127.0.0.1:1:2;3"),
	{name: "too few left", joining: list("[5],[6]"), leaving: list("1,2")},

	joins("a member as it is", "[1]"),
	{name: "the version that counts", joining: list("[4]"), version: current},
	leaves("a member", "4"),
	{name: "both out and in", joining: list("[4]"), leaving: list("4,9")},
	joins("it observes", "server.4=[4:quorum]:observer;[4:client]"),
	{name: "lists and a membership", joining: list("[5]"), leaving: list("1"), full: list(three123)},

	isAll("garbage as a membership", "garbage"), isAll("a key of zoo.cfg", three123+",clientPort=1"),
	isAll("a version", three123+",version=100"), isAll("a member twice", three123+",[1]"),
	isAll("lines", "[1]\n[2]\n[3]\n"), isAll("an observer more", "[1],[2],[3],server.4=[4:quorum]:observer;[4:client]"),
	isAll("only observers", "server.1=[1:quorum]:observer;[1:client],server.2=[2:quorum]:observer;[2:client]"),
	isAll("no quorum", "[1],[5],[6]"), isAll("only the dead", "[5]"),
	isAll("no client addresses", "server.1=[1:quorum],server.2=[2:quorum],server.3=[3:quorum]"),
	isAll("with client addresses", three123),
	isAll("groups", three123+",group.1=1:2:3,weight.1=1,weight.2=1,weight.3=1"),
	joins("one more with groups", "[4]"), leaves("one less with groups", "1"),
	isAll("a group that lacks a member", three123+",group.1=1:2"),
	isAll("weights without groups", three123+",weight.1=1"),
	isAll("a group of strangers", three123+",group.1=1:2:3:9"),
	isAll("weights that are no numbers", three123+",group.1=1:2:3,weight.1=x"),
	isAll("no groups", three123),
}

// TestReconfigRequests asks an ensemble of either kind the same, and compares everything that comes of it: codes,
// memberships, stats, events at a follower and at the leader, files, and what a restart finds.
func TestReconfigRequests(t *testing.T) {
	sides := []*reconfigSide{newReconfigSide(t, ours), newReconfigSide(t, apache)}
	var both sync.WaitGroup
	for _, s := range sides {
		both.Go(s.ask)
	}
	both.Wait()
	for i, want := range sides[1].seen {
		if i >= len(sides[0].seen) {
			t.Fatalf("zkserver did not get beyond %d of %d", i, len(sides[1].seen))
		}
		got := sides[0].seen[i]
		if want.refused != "" {
			if got.lines[0] != "code -8" || want.lines[0] != "code 0" {
				t.Errorf("%s: zkserver says %s, Apache ZooKeeper %s: no longer a difference", want.name, got.lines[0], want.lines[0])
			}
			t.Logf("differs: %s: %s", want.name, want.refused)
			continue
		}
		if got.name != want.name || !slices.Equal(got.lines, want.lines) {
			t.Errorf("%s\nzkserver:\n  %s\nApache ZooKeeper:\n  %s", want.name,
				strings.Join(without(got.lines, want.lines), "\n  "), strings.Join(without(want.lines, got.lines), "\n  "))
		}
	}
	t.Logf("%d requests and restarts compared", len(sides[1].seen))
}

// without are the lines that the other one does not have.
func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}

// observed is what came of one request.
type observed struct {
	name, refused string
	lines         []string
}
