package sshkeys

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// MergeAuthorized returns authorized_keys with all keys in it. Present lines stay
// byte for byte, whatever they are; a key counts as present also on a line with
// options, which may have been restricted on purpose. restricted lists such keys.
// The format is that of sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
func MergeAuthorized(content []byte, keys []PublicKey) (merged []byte, restricted []PublicKey) {
	type present struct{ restricted bool }
	have := make(map[string]present)
	for line := range bytes.Lines(content) {
		k, ok := readAuthorizedLine(line)
		if !ok {
			continue // not ours to judge
		}
		if _, ok := have[k.blob()]; !ok { // sshd takes the first line that matches
			have[k.blob()] = present{restricted: len(k.Options) > 0}
		}
	}
	merged = bytes.Clone(content)
	for _, k := range keys {
		if p, ok := have[k.blob()]; ok {
			if p.restricted {
				restricted = append(restricted, k)
				have[k.blob()] = present{}
			}
			continue
		}
		if len(merged) > 0 && !bytes.HasSuffix(merged, []byte("\n")) {
			merged = append(merged, '\n')
		}
		merged = append(merged, k.Line()+"\n"...)
		have[k.blob()] = present{}
	}
	return merged, restricted
}

// AuthorizedKey is a line of authorized_keys: a key with the options in front of it.
type AuthorizedKey struct {
	PublicKey
	Options []string
}

// Authority reports whether the line does not let in a key but those who have a
// certificate of it.
func (k AuthorizedKey) Authority() bool {
	return slices.ContainsFunc(k.Options, func(o string) bool { return strings.EqualFold(o, "cert-authority") })
}

// ReadAuthorized returns the keys of authorized_keys in their order. Lines that cannot
// be read are left out.
func ReadAuthorized(content []byte) []AuthorizedKey {
	var keys []AuthorizedKey
	for line := range bytes.Lines(content) {
		if k, ok := readAuthorizedLine(line); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

func readAuthorizedLine(line []byte) (AuthorizedKey, bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return AuthorizedKey{}, false
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return AuthorizedKey{}, false
	}
	return AuthorizedKey{PublicKey{key, strings.TrimSpace(comment)}, options}, true
}

// RemoveAuthorized returns authorized_keys without the keys that are to go, and
// which those were. Everything else stays byte for byte.
func RemoveAuthorized(content []byte, gone func(AuthorizedKey) bool) (rest []byte, removed []AuthorizedKey) {
	rest = []byte{}
	for line := range bytes.Lines(content) {
		if k, ok := readAuthorizedLine(line); ok && gone(k) {
			removed = append(removed, k)
			continue
		}
		rest = append(rest, line...)
	}
	return rest, removed
}
