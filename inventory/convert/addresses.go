package convert

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Addresses reads one host a line: an address or name alone, NAME=ADDRESS, or an address followed by names as in
// /etc/hosts. "#" begins a comment.
func Addresses(text []byte) ([]Host, error) {
	var hosts []Host
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name, address, named := strings.Cut(words[0], "=")
		if !named {
			address = words[0]
		}
		h, err := login(address)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		switch {
		case named:
		case len(words) > 1:
			name = words[1]
			if net.ParseIP(h.Address) == nil {
				return nil, fmt.Errorf("line %d: %q is no address; a line is ADDRESS, NAME=ADDRESS, or ADDRESS NAME, the address as in [USER@]ADDRESS[:PORT]", number, address)
			}
		default:
			name = Name(h.Address, len(hosts))
		}
		h.Name = hostName(name)
		hosts = append(hosts, h)
	}
	return hosts, nil
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
