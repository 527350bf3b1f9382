package sshkeys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Known are the host keys of one host with all names by which it is called, as
// they stand in known_hosts: "master", "10.0.0.1", "[10.0.0.1]:2222".
type Known struct {
	Names []string
	Keys  []PublicKey
}

// KnownName gives a host name or address with its SSH port the form that it has in
// known_hosts.
func KnownName(host string, port int) string {
	if port == 0 || port == 22 {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

// MergeKnown returns known_hosts with a line for each host key. Present lines stay
// byte for byte, with one exception: where a line gives one of the names another
// key of the same type, the name is taken out of that line, or the line
// goes if it has no other name; each such case is described in stale. Hashed
// names are recognised; lines with a marker (@cert-authority, @revoked) and
// patterns stay. The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
func MergeKnown(content []byte, hosts []Known) (merged []byte, stale []string) {
	want := make(map[string]map[string]PublicKey) // name, key type
	for _, h := range hosts {
		for _, n := range h.Names {
			if want[n] == nil {
				want[n] = make(map[string]PublicKey)
			}
			for _, k := range h.Keys {
				want[n][k.Type()] = k
			}
		}
	}
	have := make(map[string]bool) // name, blank, blob
	var out bytes.Buffer
	for raw := range bytes.Lines(content) {
		line, ok := parseKnown(string(raw))
		if !ok {
			out.Write(raw)
			continue
		}
		kept := slices.Clone(line.names)
		for name, keys := range want {
			i := slices.IndexFunc(kept, func(n string) bool { return matchesName(n, name) })
			k, typed := keys[line.key.Type()]
			switch {
			case i < 0:
			case typed && k.blob() != string(line.key.Marshal()):
				kept = slices.Delete(kept, i, i+1)
				stale = append(stale, fmt.Sprintf("%s had another %s key", name, k.Type()))
			default:
				have[name+" "+string(line.key.Marshal())] = true
			}
		}
		switch {
		case len(kept) == len(line.names):
			out.Write(raw)
		case len(kept) > 0:
			out.WriteString(strings.Join(kept, ",") + line.rest)
		}
	}
	slices.Sort(stale)
	stale = slices.Compact(stale)
	for _, h := range hosts {
		for _, k := range h.Keys {
			var missing []string
			for _, n := range h.Names {
				if !have[n+" "+k.blob()] && !slices.Contains(missing, n) {
					missing = append(missing, n)
					have[n+" "+k.blob()] = true
				}
			}
			if len(missing) == 0 {
				continue
			}
			if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
				out.WriteByte('\n')
			}
			fmt.Fprintf(&out, "%s %s\n", strings.Join(missing, ","), k.text())
		}
	}
	return out.Bytes(), stale
}

type knownLine struct {
	names []string
	key   ssh.PublicKey
	rest  string // from the blank after the names to the end, newline included
}

// parseKnown reads a line without a marker.
func parseKnown(raw string) (knownLine, bool) {
	text := strings.TrimSpace(raw)
	if text == "" || text[0] == '#' || text[0] == '@' || raw[0] == ' ' || raw[0] == '\t' {
		return knownLine{}, false
	}
	i := strings.IndexAny(raw, " \t")
	if i < 0 {
		return knownLine{}, false
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(raw[i:]))
	if err != nil {
		return knownLine{}, false
	}
	return knownLine{names: strings.Split(raw[:i], ","), key: key, rest: raw[i:]}, true
}

// matchesName compares a name of known_hosts, perhaps hashed (|1|salt|HMAC-SHA1),
// with a plain one. Patterns match nothing: they are somebody's own rule.
func matchesName(entry, name string) bool {
	hashed, ok := strings.CutPrefix(entry, "|1|")
	if !ok {
		return strings.EqualFold(entry, name)
	}
	saltText, sumText, ok := strings.Cut(hashed, "|")
	if !ok {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(saltText)
	if err != nil {
		return false
	}
	sum, err := base64.StdEncoding.DecodeString(sumText)
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(strings.ToLower(name)))
	return hmac.Equal(mac.Sum(nil), sum)
}
