package sshkeys

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Cut off at any of their moves, the scripts of a rotation are finished by being run again.
func TestCutOffBetweenMoves(t *testing.T) {
	for _, new := range []string{"id_ed25519", "id_rsa"} {
		const old = "id_ed25519"
		last := map[string]string{old + ".zkctl-last": "old", old + ".zkctl-last.pub": "old pub", new: "next", new + ".pub": "next pub"}
		before := map[string]string{old: "old", old + ".pub": "old pub", new + ".zkctl-next": "next", new + ".zkctl-next.pub": "next pub"}
		first := map[string]string{old: "old", old + ".pub": "old pub"}
		for _, c := range []struct {
			name, script string
			from, to     map[string]string
		}{
			{"swap", swapScript, before, last},
			{"back", backScript, last, first},
			{"back from the middle", backScript, nil, first}, // of a swap that was cut off
		} {
			for cut := 1; cut <= 4; cut++ {
				dir := t.TempDir()
				run := func(script string, cut int) {
					t.Helper()
					counted := fmt.Sprintf("moves=0\nmv() { moves=$((moves + 1)); [ $moves != %d ] || exit 9; command mv \"$@\"; }\n", cut)
					said, err := exec.Command("sh", "-c", counted+script, "sh", filepath.Join(dir, old), filepath.Join(dir, new)).CombinedOutput()
					if err != nil && (cut == 0 || !strings.Contains(err.Error(), "status 9")) {
						t.Fatalf("%s to %s, cut at move %d: %v: %s", c.name, new, cut, err, said)
					}
				}
				from := c.from
				if from == nil {
					from = before
				}
				for name, text := range from {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if c.from == nil {
					run(swapScript, cut)
				} else {
					run(c.script, cut)
				}
				run(c.script, 0)
				now := map[string]string{}
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					text, err := os.ReadFile(filepath.Join(dir, e.Name()))
					if err != nil {
						t.Fatal(err)
					}
					now[e.Name()] = string(text)
				}
				if fmt.Sprint(now) != fmt.Sprint(c.to) {
					t.Errorf("%s to %s, cut at move %d:\n%v, want\n%v", c.name, new, cut, now, c.to)
				}
			}
		}
	}
}
