package config

import (
	"bytes"
	"fmt"
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

// readLastSeen reads the membership that was proposed last, unless zoo.cfg is another than the one beside which it was
// written: one without dynamicConfigFile must be the one that was copied at the start. (Apache ZooKeeper reads it only
// beside one with dynamicConfigFile. Of a member that never had a committed membership but the one in its zoo.cfg, this
// could lose a reconfiguration that others rely on.)
func (p *parser) readLastSeen(zooCfg []byte) {
	c := p.config
	if !c.ReconfigEnabled {
		return
	}
	if c.DynamicFile == "" {
		copied, err := vfs.ReadFile(p.disk, c.File+backupSuffix)
		if err != nil || !bytes.Equal(copied, zooCfg) {
			return
		}
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

// CheckMembers refuses a membership that Load would refuse in the file of a member.
func CheckMembers(members *quorum.Config) error {
	const around = "dataDir=/\ninitLimit=1\nsyncLimit=1\nstandaloneEnabled=false\nmultiAddress.enabled=true\n"
	_, err := Parse("membership", []byte(around+strings.Join(members.Lines(), "\n")+"\n"))
	return err
}
