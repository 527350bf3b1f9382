// Package listing compares listings of files, one line a file, before and after something was done to them.
package listing

import (
	"fmt"
	"strings"
)

// Differences are the lines that one listing has and the other has not, "" where they have the same ones. Their order does
// not count.
func Differences(before, after string) string {
	var b strings.Builder
	old := map[string]bool{}
	for line := range strings.Lines(before) {
		old[line] = true
	}
	for line := range strings.Lines(after) {
		if !old[line] {
			fmt.Fprintf(&b, "is now:     %s", line)
		}
		delete(old, line)
	}
	for line := range strings.Lines(before) {
		if old[line] {
			fmt.Fprintf(&b, "was before: %s", line)
		}
	}
	return b.String()
}
