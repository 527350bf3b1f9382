package client

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode/utf16"
)

// ArgumentError is about an argument that is wrong by itself, so that no server is asked. Its text is that of Apache
// ZooKeeper.
type ArgumentError string

func (e ArgumentError) Error() string { return string(e) }

// checkPath accepts the paths of znodes (org.apache.zookeeper.common.PathUtils). It looks at UTF-16 code units as that
// does, and so refuses every character beyond the basic plane.
func checkPath(path string) error {
	switch {
	case path == "":
		return ArgumentError("Path length must be > 0")
	case path[0] != '/':
		return ArgumentError("Path must start with / character")
	case path == "/":
		return nil
	case strings.HasSuffix(path, "/"):
		return ArgumentError("Path must not end with / character")
	}
	units := utf16.Encode([]rune(path))
	last := func(i int) bool { return i+1 == len(units) || units[i+1] == '/' }
	reason := ""
	for i := 1; i < len(units) && reason == ""; i++ {
		c := units[i]
		switch {
		case c == 0:
			reason = "null character not allowed"
		case c == '/' && units[i-1] == '/':
			reason = "empty node name specified"
		case c == '.' && last(i) && (units[i-1] == '/' || units[i-1] == '.' && units[i-2] == '/'):
			reason = "relative paths not allowed"
		case c <= 0x1f, c >= 0x7f && c <= 0x9f, c >= 0xd800 && c <= 0xf8ff, c >= 0xfff0:
			reason = "invalid character"
		}
		if reason != "" {
			reason = fmt.Sprintf("%s @%d", reason, i)
		}
	}
	if reason != "" {
		return ArgumentError(fmt.Sprintf("Invalid path string \"%s\" caused by %s", path, reason))
	}
	return nil
}

// parseServers splits a connect string (org.apache.zookeeper.client.ConnectStringParser).
func parseServers(text string) (addresses []string, chroot string, err error) {
	if i := strings.IndexByte(text, '/'); i >= 0 {
		text, chroot = text[:i], text[i:]
		if chroot == "/" {
			chroot = ""
		} else if err := checkPath(chroot); err != nil {
			return nil, "", err
		}
	}
	for _, server := range strings.Split(text, ",") {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		host, port := server, "2181"
		bracket := strings.IndexByte(server, ']')
		if server[0] == '[' && bracket > 0 {
			host = server[1:bracket]
			if rest := server[bracket+1:]; strings.HasPrefix(rest, ":") {
				port = rest[1:]
			}
		} else if i := strings.LastIndexByte(server, ':'); i >= 0 {
			host = server[:i]
			if i+1 < len(server) {
				port = server[i+1:]
			}
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, "", ArgumentError(fmt.Sprintf("For input string: \"%s\"", port))
		}
		if n < 0 || n > 65535 {
			return nil, "", ArgumentError(fmt.Sprintf("port out of range:%d", n))
		}
		addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(n)))
	}
	if len(addresses) == 0 {
		return nil, "", ArgumentError("A HostProvider may not be empty!")
	}
	return addresses, chroot, nil
}

// serverPath puts the chroot in front of a path.
func (c *Client) serverPath(path string) string {
	if c.chroot != "" && path == "/" {
		return c.chroot
	}
	return c.chroot + path
}

// clientPath takes the chroot off a path that a server sent. Outside of the chroot there is nothing to take off.
func (c *Client) clientPath(path string) string {
	rest, ok := strings.CutPrefix(path, c.chroot)
	switch {
	case !ok:
		return path
	case rest == "":
		return "/"
	}
	return rest
}
