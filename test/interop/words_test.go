//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	figures = regexp.MustCompile(`0x[0-9a-f]+|-?\d+(\.\d+)*|/\S+|version: .*|"version" : .*`)
	// clients send pings when they like
	lastOp = regexp.MustCompile(`("last_operation" : )"(NA|PING)"`)
	lists  = regexp.MustCompile(`\[( N(, N)*)? \]`)
	perKey = regexp.MustCompile(`^zk_(\w+?)_(ack_latency|\w+_per_namespace)$`)
)

// outline is an answer without its figures, and without lines that are then like the one before: of connections there are
// now two, now three.
func outline(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		lines = append(lines, figures.ReplaceAllString(strings.TrimSuffix(line, "\n"), "N"))
	}
	return slices.Compact(lines)
}

// membersOf are the lines of JSON in outline, sorted: the order of some members is another with each start of a JVM.
func membersOf(answer []byte) []string {
	lines := outline(string(answer))
	for i, line := range lines {
		lines[i] = lists.ReplaceAllString(lastOp.ReplaceAllString(strings.TrimSuffix(line, ","), `$1"N"`), "[ N ]")
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// outlines are the answers of a member to four-letter words and commands, in outline.
func outlines(t *testing.T, m *ensemble.Member) map[string][]string {
	t.Helper()
	answers := make(map[string][]string)
	for _, word := range []string{"ruok", "isro", "gtmk", "wchs", "wchc", "wchp", "dirs", "srvr", "conf", "hash", "cons", "crst", "srst"} {
		answer, err := m.Ask(word)
		must(t, err)
		answers[word] = outline(answer)
	}
	answer, err := m.Ask("mntr")
	must(t, err)
	for line := range strings.Lines(answer) {
		if name, _, _ := strings.Cut(line, "\t"); isShared(name) {
			answers["mntr"] = append(answers["mntr"], name)
		}
	}
	for _, name := range []string{
		"configuration", "connections", "dirs", "dump", "get_trace_mask", "hash", "is_read_only", "last_snapshot", "leader",
		"observers", "ruok", "server_stats", "set_trace_mask", "set_trace_mask?traceMask=0", "stats", "voting_view", "watch_summary", "watches",
		"watches_by_path", "zabstate", "nosuch", "connection_stat_reset", "stat_reset", "observer_connection_stat_reset",
	} {
		answer, err := m.Command(name)
		must(t, err)
		answers["/commands/"+name] = membersOf(answer)
	}
	body, err := m.Command("monitor")
	must(t, err)
	var monitored map[string]any
	must(t, json.Unmarshal(body, &monitored))
	for _, name := range slices.Sorted(maps.Keys(monitored)) {
		if isShared("zk_" + name) {
			answers["/commands/monitor"] = append(answers["/commands/monitor"], name)
		}
	}
	return answers
}

// isShared tells whether a metric is always there: of those by key there are as many as keys have been seen.
func isShared(name string) bool {
	return !perKey.MatchString(name) && !strings.Contains(name, "namespace") && !strings.Contains(name, "ack_latency")
}

// TestWords compares the answers to four-letter words, and to the same commands over HTTP, in each role: they are built
// alike, and no metric is missing.
func TestWords(t *testing.T) {
	roles := make(map[ensemble.Kind]map[string]map[string][]string) // by kind, role and word
	settings := ensemble.Settings{Admin: true}
	for _, kinds := range [][]ensemble.Kind{{ours, ours, apache, ours}, {apache, apache, ours, apache}, {ours}, {apache}} {
		settings.Observers = len(kinds) / 4
		e := layOutWith(t, settings, kinds...)
		if len(kinds) > 1 {
			must(t, e.Start(1, 3)) // the last voter leads, and is alone of its kind
			must(t, e.Await(patience))
		}
		must(t, e.Start())
		must(t, e.Await(patience))
		c := dial(t, e.Members()[0].Addr())
		for i := range 300 {
			_, err := c.Create(fmt.Sprintf("/words%03d", i), nil, 0, zk.WorldACL(zk.PermAll))
			must(t, err)
		}
		_, err := e.SameTrees() // everybody has everything
		must(t, err)
		hashes := make(map[string]bool)
		for _, m := range e.Members() {
			c := dial(t, m.Addr())
			_, _, _, err := c.ExistsW("/words000")
			must(t, err)
			role := m.Mode()
			if roles[m.Kind] == nil {
				roles[m.Kind] = make(map[string]map[string][]string)
			}
			if roles[m.Kind][role] == nil {
				roles[m.Kind][role] = outlines(t, m)
			}
			hash, err := m.Ask("hash")
			must(t, err)
			hashes[hash] = true
			if strings.Count(hash, "\n") < 2 {
				t.Errorf("hash: %q", hash)
			}
		}
		if len(hashes) != 1 {
			t.Errorf("hashes: %v", hashes)
		}
	}
	for role, theirs := range roles[apache] {
		for word, want := range theirs {
			got := roles[ours][role][word]
			if word == "mntr" || word == "/commands/monitor" {
				if len(want) < 100 {
					t.Errorf("%s, %s: only %d lines of Apache ZooKeeper", role, word, len(want))
				}
				for _, line := range want {
					if !slices.Contains(got, line) {
						t.Errorf("%s, %s: no %s", role, word, line)
					}
				}
				continue
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s:\n%s\nwant\n%s", role, word, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if len(roles[apache]) != 4 || len(roles[ours]) != 4 {
		t.Errorf("%d roles of Apache ZooKeeper, %d of zkserver", len(roles[apache]), len(roles[ours]))
	}
}
