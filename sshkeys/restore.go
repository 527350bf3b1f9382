package sshkeys

import (
	"bytes"
	"slices"
	"strings"
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

// TakeAuthorized takes lines out of authorized_keys that MergeAuthorized has put there for these keys since it was original. Every
// other line stays byte for byte, also one that lets in such a key with options.
func TakeAuthorized(original, now []byte, keys []PublicKey) []byte {
	return take(original, now, func(line string) bool {
		return slices.ContainsFunc(keys, func(k PublicKey) bool { return line == k.text() || strings.HasPrefix(line, k.text()+" ") })
	})
}

// TakeKnown takes lines out of known_hosts that MergeKnown has put there for these hosts since it was original. Every other line stays
// byte for byte, also one that gives a host another name, or is hashed.
func TakeKnown(original, now []byte, hosts []Known) []byte {
	return take(original, now, func(line string) bool {
		names, key, _ := strings.Cut(line, " ")
		return slices.ContainsFunc(hosts, func(h Known) bool {
			return slices.ContainsFunc(h.Keys, func(k PublicKey) bool { return key == k.text() }) &&
				!slices.ContainsFunc(strings.Split(names, ","), func(n string) bool { return !slices.Contains(h.Names, n) })
		})
	})
}

// take leaves lines out that are ours and were not in original.
func take(original, now []byte, ours func(line string) bool) []byte {
	var before []string
	for line := range strings.Lines(string(original)) {
		before = append(before, strings.TrimRight(line, "\r\n"))
	}
	rest := []byte{}
	for line := range strings.Lines(string(now)) {
		if bare := strings.TrimRight(line, "\r\n"); !ours(bare) || slices.Contains(before, bare) {
			rest = append(rest, line...)
		}
	}
	return rest
}
