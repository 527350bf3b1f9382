package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/vfs"
)

// readDynamic takes the membership from the file that dynamicConfigFile names. Its version is the hexadecimal suffix of
// its name.
func (p *parser) readDynamic() {
	for _, at := range p.members {
		p.refuse(at, "in this file and not in the one that dynamicConfigFile names", "move it there")
	}
	p.members, p.membersFile = nil, p.dynamicFile.value
	text, err := vfs.ReadFile(p.disk, p.dynamicFile.value)
	if err != nil {
		p.membersUnknown = true
		p.refuse(p.dynamicFile, fmt.Sprintf("cannot be read: %v", withoutPath(err)), "name the file with the server lines, or remove the key and put them here")
		return
	}
	if i := strings.LastIndexByte(p.membersFile, '.'); i >= 0 {
		if version, err := strconv.ParseInt(p.membersFile[i+1:], 16, 64); err == nil {
			p.version = version
		}
	}
	properties, bad := readProperties(text)
	for _, m := range bad {
		p.refuseMember(m.property, m.err.Error(), "write a backslash as two")
	}
	for _, at := range properties {
		switch {
		case isMemberKey(at.key):
			p.members = append(p.members, at)
		case at.key == "version":
			p.refuseMember(at, "the version of a dynamic file is the end of its name", "remove the line")
		default:
			p.refuseMember(at, "not a key of a dynamic file", "move it to "+p.config.File)
		}
	}
}

// readMyID says which of the members this server is.
func (p *parser) readMyID() {
	c := p.config
	if c.DataDir == "" {
		return // refused already
	}
	file := filepath.Join(c.DataDir, "myid")
	refuse := func(line int, what, remedy string) {
		p.problems = append(p.problems, Problem{File: file, Line: line, What: what, Remedy: remedy})
	}
	example := fmt.Sprintf("write the N of this server's line server.N into it: echo %d > %s", c.Servers[0].ID, file)
	text, err := vfs.ReadFile(p.disk, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		refuse(0, "missing, and a member of an ensemble needs it", example)
		return
	case err != nil:
		refuse(0, fmt.Sprintf("cannot be read: %v", withoutPath(err)), "let the user that runs the server read it")
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	id, err := parseServerID(strings.TrimSpace(first))
	if err != nil {
		refuse(1, fmt.Sprintf("%.40q is %v", first, err), example)
		return
	}
	c.ServerID = id
	p.findSelf(refuse)
}

// findSelf takes from the own line what it says about this server.
func (p *parser) findSelf(refuse func(line int, what, remedy string)) {
	c := p.config
	self, ok := c.Self()
	if !ok && c.LastSeen != nil {
		// It was about to join when it stopped, and may be needed for that.
		self, ok = c.LastSeen.Member(c.ServerID)
	}
	if !ok {
		remedy := "add the line, or "
		if c.ReconfigEnabled && c.DynamicFile != "" {
			remedy = "if it is to join the ensemble (again), put the lines of all members and its own into zoo.cfg, and remove dynamicConfigFile there; or "
		}
		ids := make([]string, len(c.Servers))
		for i, m := range c.Servers {
			ids[i] = strconv.FormatInt(int64(m.ID), 10)
		}
		refuse(1, fmt.Sprintf("this is server %d, but %s has no line server.%d", c.ServerID, p.membersFile, c.ServerID),
			remedy+"write one of "+strings.Join(ids, ", "))
		return
	}
	if c.ExtendedTypes && c.ServerID == maxServerID {
		refuse(1, "extendedTypesEnabled leaves no room for server 255", "use an id from 1 to 254")
	}
	c.Observer = self.Observer
	if p.peerType.line > 0 && strings.EqualFold(p.peerType.value, "observer") != self.Observer {
		p.notice(p.peerType, fmt.Sprintf("server.%d says otherwise, which counts", c.ServerID), "let both say the same")
	}
	p.adoptClientPort(self)
	p.noticeNoClientPort()
}

// adoptClientPort takes the client port of the own line, which must not differ from clientPort.
func (p *parser) adoptClientPort(self quorum.Member) {
	c := p.config
	if self.ClientPort == 0 {
		return
	}
	if at := p.seen["clientPort"]; at.line > 0 {
		if c.ClientPort != self.ClientPort || !isAnyHost(c.ClientHost) && c.ClientHost != self.ClientHost {
			p.refuse(at, fmt.Sprintf("server.%d has the client address %s", self.ID,
				net.JoinHostPort(self.ClientHost, strconv.Itoa(self.ClientPort))), "remove one of them")
			return
		}
	}
	c.ClientPort, c.ClientHost = self.ClientPort, self.ClientHost
}

func (p *parser) noticeNoClientPort() {
	if p.config.ClientPort == 0 && p.config.TLS.SecureClientPort == 0 && p.seen["clientPort"].line == 0 {
		p.notice(property{key: "clientPort"}, "missing, clients cannot connect", "add a line such as clientPort=2181")
	}
}

func isAnyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// Self is the own line of a member of an ensemble.
func (c *Config) Self() (quorum.Member, bool) {
	for _, m := range c.Servers {
		if m.ID == c.ServerID {
			return m, true
		}
	}
	return quorum.Member{}, false
}

// ConfigText is the membership as votes, NEWLEADER and /zookeeper/config carry it; nil for a standalone server. It must
// not be changed.
func (c *Config) ConfigText() []byte { return c.Members.Text() }

// withoutPath leaves the file's name out of an error that is told with it.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
