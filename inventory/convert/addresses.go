package convert

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// Addresses reads one host a line: an address or name alone, NAME=ADDRESS, or an address followed by names as in
// /etc/hosts; or several addresses, or NAME=ADDRESS, in a line. "#" begins a comment.
func Addresses(text []byte) ([]Host, error) {
	var hosts []Host
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		alias := ""
		if len(words) > 1 && !(isHost(words[0]) && isHost(words[1])) {
			if !isHost(words[0]) || strings.Contains(words[0], "=") {
				return nil, fmt.Errorf("line %d: %q is no address; a line is ADDRESS, NAME=ADDRESS, or ADDRESS NAME, the address as in [USER@]ADDRESS[:PORT]", number, words[0])
			}
			words, alias = words[:1], words[1]
		}
		for _, word := range words {
			name, address, named := strings.Cut(word, "=")
			if !named {
				address = word
			}
			h, err := login(address)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if !named {
				name = cmp.Or(alias, Name(h.Address, len(hosts)))
			}
			h.Name = hostName(name)
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// isHost tells a word that is a host by itself, NAME=ADDRESS or with an IP address, from a name for one.
func isHost(word string) bool {
	if strings.Contains(word, "=") {
		return true
	}
	h, err := login(word)
	return err == nil && net.ParseIP(h.Address) != nil
}

// login reads [USER@]ADDRESS[:PORT]; an IPv6 address before a port is in brackets.
func login(text string) (h Host, err error) {
	h.Address = text
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		h.User, h.Address = text[:i], text[i+1:]
	}
	if host, port, split := net.SplitHostPort(h.Address); split == nil {
		if h.Port, err = strconv.Atoi(port); err != nil || h.Port < 1 || h.Port > 65535 {
			return h, fmt.Errorf("%q: %q is no port", text, port)
		}
		h.Address = host
	}
	h.Address = strings.TrimSuffix(strings.TrimPrefix(h.Address, "["), "]")
	return h, nil
}

// Name is what a host is called about which only its address is known: the first label of a name, or its place in the list.
func Name(address string, index int) string {
	if net.ParseIP(address) != nil {
		return fmt.Sprintf("zk%d", index+1)
	}
	name, _, _ := strings.Cut(address, ".")
	return name
}
