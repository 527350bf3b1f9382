package sshkeys

import (
	"bytes"
	"slices"
)

// Without takes lines that hold one of the keys out of a file that was original before the keys were merged into it, and
// puts back what original had. Lines that somebody else has added stay; edited says that there are such, or that somebody
// has removed lines of original, which then stay removed unless revive is set.
func Without(original, now []byte, keys []PublicKey, revive bool) (content []byte, edited bool) {
	ours := func(line []byte) bool {
		return slices.ContainsFunc(keys, func(k PublicKey) bool { return bytes.Contains(line, []byte(k.text())) })
	}
	lines := func(text []byte) (all []string) {
		for line := range bytes.Lines(text) {
			all = append(all, string(bytes.TrimRight(line, "\r\n")))
		}
		return all
	}
	before, after := lines(original), lines(now)
	var foreign []string
	for _, line := range after {
		if !slices.Contains(before, line) && !ours([]byte(line)) {
			foreign = append(foreign, line)
		}
	}
	gone := func(line string) bool { return !slices.Contains(after, line) }
	if len(foreign) == 0 && (revive || !slices.ContainsFunc(before, gone)) {
		return original, false
	}
	for _, line := range before {
		if revive || !gone(line) {
			content = append(content, line+"\n"...)
		}
	}
	for _, line := range foreign {
		content = append(content, line+"\n"...)
	}
	return content, true
}
