package provision

import (
	"bytes"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// Effect is what a change means for a server that runs.
type Effect string

// The effects.
const (
	// Restart: it counts once the member is restarted.
	Restart Effect = "restart"
	// Live: it counts at once.
	Live Effect = "live"
	// NoEffect: servers do not look at it.
	NoEffect Effect = "none"
)

// SettingChange is a setting of zoo.cfg that changes on a member.
type SettingChange struct {
	Host string `json:"host"`
	Key  string `json:"key"`
	// Before and After are "" where the key is not there; secrets are shown as stars.
	Before string `json:"before"`
	After  string `json:"after"`
	Effect Effect `json:"effect"`
}

// effectOf is what a planned change means for the member's server.
func effectOf(m member, c hostprep.Change) Effect {
	if m.RunsApache() && slices.Contains(m.StartFiles()[2:], c.Target) {
		return Restart
	}
	switch c.Target {
	case m.Current(), m.UnitFile(), m.Supervisor(), m.Host.Server.Paths.Data + "/myid":
		return Restart
	case m.Config():
		if len(m.settingChanges()) > 0 && !m.runsAsWanted() {
			return Restart
		}
		return NoEffect // comments and order, or an edit that no server has seen
	case m.KeyStore(), m.TrustStore():
		if m.stageOrNone() != (templates.Stage{}) {
			return Live
		}
		return NoEffect
	case "/etc/hosts", "firewalld.service", "ufw", "nftables", "selinux", "sysctl", "hostname", "swap", m.facts.SELinux.Path:
		return Live
	}
	return NoEffect
}

// settingChanges are the settings that differ between the zoo.cfg that the host has and the one that it should have.
func (m member) settingChanges() []SettingChange {
	content, exists := m.facts.Contents[m.Config()]
	if !exists {
		return nil
	}
	before, after := settingsIn(content), settingsIn(templates.ZooCfg(m.Member))
	var keys []string
	for k, v := range before {
		if after[k] != v {
			keys = append(keys, k)
		}
	}
	for k := range after {
		if _, had := before[k]; !had {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var changes []SettingChange
	for _, k := range keys {
		// The server reads zoo.cfg when it starts, and at no other time.
		effect := Restart
		if m.runsAsWanted() {
			effect = NoEffect
		}
		changes = append(changes, SettingChange{m.Host.Name, k, concealed(k, before[k]), concealed(k, after[k]), effect})
	}
	return changes
}

// runsAsWanted reports whether the member was started with what the inventory says, whatever its files say now.
func (m member) runsAsWanted() bool {
	return m.running && m.started != nil && bytes.Equal(m.started, templates.StartedWith(m.Member))
}

// settingsIn are the settings in a zoo.cfg.
func settingsIn(zooCfg []byte) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(string(zooCfg)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return settings
}

const stars = "********"

func concealed(key, value string) string {
	if value != "" && inventory.IsSecret(key) {
		return stars
	}
	return value
}

// redacted is text with the values of secret settings as stars, in every form that java.util.Properties reads: others may have
// written it.
func redacted(text []byte) []byte {
	var b bytes.Buffer
	hidden := false // the line goes on with a value that is hidden
	for line := range strings.Lines(string(text)) {
		goesOn := strings.HasSuffix(strings.TrimRight(line, "\r\n"), `\`)
		if hidden {
			hidden = goesOn
			continue
		}
		if bare := strings.TrimLeft(line, " \t\f"); bare != "" && bare[0] != '#' && bare[0] != '!' {
			indent := len(line) - len(bare)
			if end := strings.IndexAny(bare, "=: \t\f"); end >= 0 && inventory.IsSecret(bare[:end]) {
				line, hidden = line[:indent+end]+bare[end:end+1]+stars+"\n", goesOn
			}
		}
		b.WriteString(line)
	}
	return b.Bytes()
}
