package convert

import (
	"fmt"
	"net"
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
		switch {
		case named:
		case len(words) > 1:
			address, name = words[0], words[1]
			if net.ParseIP(address) == nil {
				return nil, fmt.Errorf("line %d: %q is no address; a line is ADDRESS, NAME=ADDRESS, or ADDRESS NAME", number, address)
			}
		default:
			address = words[0]
			name = Name(address, len(hosts))
		}
		hosts = append(hosts, Host{Name: hostName(name), Address: address})
	}
	return hosts, nil
}

// Name is what a host is called about which only its address is known: the first label of a name, or its place in the list.
func Name(address string, index int) string {
	if net.ParseIP(address) != nil {
		return fmt.Sprintf("zk%d", index+1)
	}
	name, _, _ := strings.Cut(address, ".")
	return name
}
