package sshkeys

import (
	"bytes"

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
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			continue // not ours to judge
		}
		blob := string(key.Marshal())
		if _, ok := have[blob]; !ok { // sshd takes the first line that matches
			have[blob] = present{restricted: len(options) > 0}
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
