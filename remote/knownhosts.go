package remote

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// knownHosts are the lines of known_hosts files, as described in sshd(8),
// "SSH_KNOWN_HOSTS FILE FORMAT". As with ssh, a line that cannot be read (an
// old format, a key type of tomorrow) counts for nothing and spoils nothing.
type knownHosts struct{ lines []knownLine }

// knownLine is one line.
type knownLine struct {
	file   string
	number int    // from 1
	marker string // "cert-authority", "revoked" or empty
	names  []string
	key    ssh.PublicKey
}

// readKnownHosts reads the files that exist.
func readKnownHosts(files []string) (knownHosts, error) {
	var k knownHosts
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, err
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			marker, names, key, _, _, err := ssh.ParseKnownHosts(line)
			if err != nil {
				continue
			}
			k.lines = append(k.lines, knownLine{file, number, marker, names, key})
		}
	}
	return k, nil
}

// revoked returns the line that revokes the key, or nil. For a certificate that
// is its key or that of its authority.
func (k knownHosts) revoked(key ssh.PublicKey) *knownLine {
	for i, l := range k.lines {
		if l.marker != "revoked" {
			continue
		}
		if sameKey(l.key, key) {
			return &k.lines[i]
		}
		if cert, ok := key.(*ssh.Certificate); ok && (sameKey(l.key, cert.Key) || sameKey(l.key, cert.SignatureKey)) {
			return &k.lines[i]
		}
	}
	return nil
}

// keys are the lines that give the host a key of its own; authorities those
// that name who may certify its keys. address is host:port.
func (k knownHosts) keys(address string) []knownLine { return k.marked(address, "") }
func (k knownHosts) authorities(address string) []knownLine {
	return k.marked(address, "cert-authority")
}

func (k knownHosts) marked(address, marker string) []knownLine {
	var found []knownLine
	name := xknownhosts.Normalize(address)
	for _, l := range k.lines {
		if l.marker == marker && l.matches(name) {
			found = append(found, l)
		}
	}
	return found
}

// withoutPort is the address on the usual port. As with ssh, a host on another
// port may also be known by its bare name.
func withoutPort(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(host, "22")
}

// matches compares the line's names and patterns with a name as it stands in
// known_hosts. A negated pattern that matches rules the line out.
func (l knownLine) matches(name string) bool {
	name = strings.ToLower(name)
	found := false
	for _, p := range l.names {
		negated := strings.HasPrefix(p, "!")
		if p = strings.TrimPrefix(p, "!"); !matchName(p, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

func matchName(pattern, name string) bool {
	if hashed, ok := strings.CutPrefix(pattern, "|1|"); ok {
		return matchHash(hashed, name)
	}
	return wildcard(strings.ToLower(pattern), name)
}

// matchHash compares with salt|HMAC-SHA1, both in base64.
func matchHash(hashed, name string) bool {
	saltText, sumText, _ := strings.Cut(hashed, "|")
	salt, err := base64.StdEncoding.DecodeString(saltText)
	if err != nil {
		return false
	}
	sum, err := base64.StdEncoding.DecodeString(sumText)
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	io.WriteString(mac, name)
	return hmac.Equal(mac.Sum(nil), sum)
}

// wildcard matches * and ? as ssh does: a star takes dots, too. After a mismatch the
// last star takes one byte more.
func wildcard(pattern, name string) bool {
	p, n, star, taken := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, taken = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			taken++
			p, n = star+1, taken
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// algorithms orders the host key algorithms that we support: first those for
// which a key or an authority is on record, then plain keys, then certificates,
// which say nothing where no authority is known. A server chooses the first that it
// can serve, and a key of another type would look like a changed one
// (golang/go#29286).
func (k knownHosts) algorithms(address string) []string {
	supported := ssh.SupportedAlgorithms().HostKeys
	var order []string
	add := func(wanted func(algorithm string) bool) {
		for _, a := range supported {
			if wanted(a) && !slices.Contains(order, a) {
				order = append(order, a)
			}
		}
	}
	if len(k.authorities(address)) > 0 {
		add(isCertificate)
	}
	for _, l := range append(k.keys(address), k.keys(withoutPort(address))...) {
		add(func(a string) bool { return a == l.key.Type() || l.key.Type() == ssh.KeyAlgoRSA && isRSA(a) })
	}
	add(func(a string) bool { return !isCertificate(a) })
	add(func(string) bool { return true })
	return order
}

func isCertificate(algorithm string) bool { return strings.Contains(algorithm, "-cert-") }

func isRSA(algorithm string) bool {
	return algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512
}
