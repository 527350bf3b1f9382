package ensemble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Line is the member's line in a membership.
func (m *Member) Line() string {
	role := "participant"
	if m.observer {
		role = "observer"
	}
	line := fmt.Sprintf("server.%d=%s:%d:%d:%s", m.ID, m.host, m.peerPort, m.electionPort, role)
	if m.dynamic {
		line += ";" + m.Addr()
	}
	return line
}

// Observe makes the member one that observes, or votes, in its line; nobody is told.
func (m *Member) Observe(observer bool) { m.observer = observer }

// Add makes members that are not configured yet, with the ids that follow.
func (e *Ensemble) Add(kinds ...Kind) error {
	ports, err := FreePorts(4 * len(kinds))
	if err != nil {
		return err
	}
	next := len(e.members) + 1
	for i, kind := range kinds {
		e.add(next+i, kind, [4]int(ports[4*i:]))
	}
	return nil
}

// Drop kills a member and forgets it.
func (e *Ensemble) Drop(id int) error {
	err := e.members[id].Kill()
	delete(e.members, id)
	return err
}

// Join starts a member with a new zoo.cfg that lists these members and itself.
func (e *Ensemble) Join(m *Member, members ...*Member) error {
	lines := []string{m.Line()}
	for _, other := range members {
		if other != m {
			lines = append(lines, other.Line())
		}
	}
	if err := m.configure(e.settings, lines); err != nil {
		return err
	}
	return m.Start()
}

// Listed tells whether the files of a member have it in its membership. A member that a reconfiguration has removed does not
// start from files that say so, even if another one has added it again since.
func (m *Member) Listed() (bool, error) {
	static, err := os.ReadFile(filepath.Join(m.Dir, "zoo.cfg"))
	if err != nil {
		return false, err
	}
	text := string(static)
	for line := range strings.Lines(text) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "dynamicConfigFile="); ok {
			dynamic, err := os.ReadFile(file)
			if err != nil {
				return false, err
			}
			text = string(dynamic)
		}
	}
	return strings.Contains("\n"+text, fmt.Sprintf("\nserver.%d=", m.ID)), nil
}

// MoveClients gives the member another client port in its line; nobody is told.
func (m *Member) MoveClients() error {
	ports, err := FreePorts(1)
	if err == nil {
		m.ClientPort = ports[0]
	}
	return err
}

// MoveQuorum gives it other ports for the ensemble in the same way.
func (m *Member) MoveQuorum() error {
	ports, err := FreePorts(2)
	if err == nil {
		m.peerPort, m.electionPort = ports[0], ports[1]
	}
	return err
}

// CheckFiles demands that the member's files hold the membership in text, which is that of /zookeeper/config: zoo.cfg names
// a file that has it, and there is no file of one that was only proposed.
func (m *Member) CheckFiles(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	version, ok := strings.CutPrefix(lines[len(lines)-1], "version=")
	if !ok {
		return fmt.Errorf("membership %q ends in no version", text)
	}
	static, err := os.ReadFile(filepath.Join(m.Dir, "zoo.cfg"))
	if err != nil {
		return err
	}
	name := filepath.Join(m.Dir, "zoo.cfg.dynamic."+version)
	named := slices.Contains(strings.Split(string(static), "\n"), "dynamicConfigFile="+name)
	dynamic, err := os.ReadFile(name)
	_, next := os.Stat(filepath.Join(m.Dir, "zoo.cfg.dynamic.next"))
	switch {
	case err != nil:
		return err
	case !named || strings.Contains(string(static), "\nserver.") || strings.Contains(string(static), "\nclientPort"):
		return fmt.Errorf("zoo.cfg of member %d does not go with %s:\n%s", m.ID, name, static)
	case string(dynamic) != strings.Join(lines[:len(lines)-1], "\n"):
		return fmt.Errorf("%s holds %q, not %q", name, dynamic, text)
	case !errors.Is(next, os.ErrNotExist):
		return fmt.Errorf("member %d keeps a proposed membership: %v", m.ID, next)
	}
	return nil
}
