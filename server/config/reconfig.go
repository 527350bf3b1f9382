package config

import (
	"fmt"
	"maps"
	"strings"

	"github.com/zkctl/zkctl/server/quorum"
	"github.com/zkctl/zkctl/server/vfs"
)

// Reconfig is how the membership of an ensemble may change while it runs.
type Reconfig struct {
	// ReconfigEnabled lets clients change the membership, and this server rewrite zoo.cfg accordingly.
	ReconfigEnabled bool
	// StandaloneEnabled makes an ensemble with one participant a standalone server.
	StandaloneEnabled bool
	// DynamicFile is the file that dynamicConfigFile names; "" where zoo.cfg itself has the membership.
	DynamicFile string
	// LastSeen is a membership that was proposed and is not known to be committed, nil without one.
	LastSeen *quorum.Config
}

var reconfigKeys = []key{
	{"reconfigEnabled", strictBool(func(c *Config) *bool { return &c.ReconfigEnabled })},
	{"standaloneEnabled", strictBool(func(c *Config) *bool { return &c.StandaloneEnabled })},
}

// readLastSeen reads the membership that was proposed last, unless zoo.cfg is for another ensemble than the one beside which
// it was written: one without dynamicConfigFile must have the members of the one that was copied at the start. (Apache
// ZooKeeper reads it only beside one with dynamicConfigFile. Of a member that never had a committed membership but the one
// in its zoo.cfg, this could lose a reconfiguration that others rely on.)
func (p *parser) readLastSeen() {
	c := p.config
	if !c.ReconfigEnabled || c.DynamicFile == "" && !p.hasCopiedMembers() {
		return
	}
	name := c.File + nextSuffix
	text, err := vfs.ReadFile(p.disk, name)
	if vfs.IsNotExist(err) {
		return
	}
	if err == nil {
		c.LastSeen, err = quorum.Parse(text)
	}
	if err != nil {
		p.problems = append(p.problems, Problem{
			File: name, What: fmt.Sprintf("cannot be read: %v", withoutPath(err)),
			Remedy: "it holds a membership that may have been agreed on; copy the file from another member",
		})
	}
}

// hasCopiedMembers tells whether the copy of zoo.cfg has its members. Whatever else has been edited since does not matter.
func (p *parser) hasCopiedMembers() bool {
	text, err := vfs.ReadFile(p.disk, p.config.File+backupSuffix)
	if err != nil {
		return false
	}
	copied := newParser(p.config.File)
	copied.takeAll(copied.static(text))
	return maps.Equal(memberLines(copied.members), memberLines(p.members))
}

func memberLines(properties []property) map[string]string {
	lines := make(map[string]string)
	for _, line := range properties {
		lines[line.key] = line.value
	}
	return lines
}

// CheckMembers refuses a membership that Load would refuse in the file of a member.
func CheckMembers(members *quorum.Config) error {
	const around = "dataDir=/\ninitLimit=1\nsyncLimit=1\nstandaloneEnabled=false\nmultiAddress.enabled=true\n"
	_, err := Parse("membership", []byte(around+strings.Join(members.Lines(), "\n")+"\n"))
	return err
}
