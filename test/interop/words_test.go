//go:build interop

package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zkctl/zkctl/test/ensemble"
)

var (
	figures = regexp.MustCompile(`0x[0-9a-f]+|-?\d+(\.\d+)*|/\S+|version: .*`)
	perKey  = regexp.MustCompile(`^zk_(\w+?)_(ack_latency|\w+_per_namespace)$`)
)

// outline is an answer without its figures.
func outline(t *testing.T, m *ensemble.Member, word string) []string {
	t.Helper()
	answer, err := m.Ask(word)
	must(t, err)
	var lines []string
	for line := range strings.Lines(strings.TrimRight(answer, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		if word == "mntr" {
			if line, _, _ = strings.Cut(line, "\t"); perKey.MatchString(line) || strings.Contains(line, "namespace") || strings.Contains(line, "ack_latency") {
				continue // there are as many as keys have been seen
			}
		}
		lines = append(lines, figures.ReplaceAllString(line, "N"))
	}
	return lines
}

// TestWords compares the answers to four-letter words in each role: they are built alike, and mntr lacks no line.
func TestWords(t *testing.T) {
	words := []string{"ruok", "isro", "gtmk", "wchs", "dirs", "srvr", "conf", "hash", "mntr"}
	roles := make(map[ensemble.Kind]map[string]map[string][]string) // by kind, role and word
	for _, kinds := range [][]ensemble.Kind{{ours, ours, apache}, {apache, apache, ours}} {
		e := layOut(t, kinds...)
		must(t, e.Start(1, 3)) // the last one leads, and is alone of its kind
		must(t, e.Await(30*time.Second))
		must(t, e.Start(2))
		must(t, e.Await(30*time.Second))
		c := dial(t, e.Members()[0].Addr())
		for i := range 300 {
			_, err := c.Create(fmt.Sprintf("/words%03d", i), nil, 0, zk.WorldACL(zk.PermAll))
			must(t, err)
		}
		_, err := e.SameTrees() // everybody has everything
		must(t, err)
		var hashes []string
		for _, m := range e.Members() {
			role := m.Mode()
			if roles[m.Kind] == nil {
				roles[m.Kind] = make(map[string]map[string][]string)
			}
			answers := make(map[string][]string)
			for _, word := range words {
				answers[word] = outline(t, m, word)
			}
			roles[m.Kind][role] = answers
			hash, err := m.Ask("hash")
			must(t, err)
			hashes = append(hashes, hash)
		}
		if hashes[0] != hashes[1] || hashes[1] != hashes[2] || strings.Count(hashes[0], "\n") < 2 {
			t.Errorf("hash: %q", hashes)
		}
	}
	for role, theirs := range roles[apache] {
		for _, word := range words {
			got, want := roles[ours][role][word], theirs[word]
			if word == "mntr" {
				if len(want) < 100 {
					t.Errorf("%s, mntr: only %d lines of Apache ZooKeeper", role, len(want))
				}
				for _, line := range want {
					if !slices.Contains(got, line) {
						t.Errorf("%s, mntr: no %s", role, line)
					}
				}
				continue
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s:\n%s\nwant\n%s", role, word, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if len(roles[apache]) != 2 {
		t.Errorf("roles of Apache ZooKeeper: %v", len(roles[apache]))
	}
}
