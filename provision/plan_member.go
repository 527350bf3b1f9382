package provision

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/bundle"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote/shell"
	"github.com/zkctl/zkctl/templates"
)

// restoreLabels ends scripts that make files: where SELinux is on, "$@" get the labels that the policy wants.
const restoreLabels = `
relabel() { if command -v restorecon >/dev/null 2>&1; then restorecon -R "$@" 2>/dev/null || :; fi; }
`

// file plans a file with the given content, or nothing where it is as it should be. owner "" means whoever writes it.
func (m member) file(p string, content []byte, mode fs.FileMode, owner string) []hostprep.Change {
	return m.fileOfGroup(p, content, mode, owner, "")
}

// fileOfGroup is file with a group; "" is for whichever it has, or the owner's.
func (m member) fileOfGroup(p string, content []byte, mode fs.FileMode, owner, group string) []hostprep.Change {
	state := m.facts.Files[p]
	before, exists := m.facts.Contents[p]
	if exists && before == nil {
		before = []byte{}
	}
	// Of a link these are its own; what counts is what it leads to, as with the myid of Debian's package zookeeper.
	proper := state.Kind == "link" || state.Mode == mode && (owner == "" || state.Owner == owner) && (group == "" || state.Group == group)
	if state.Exists && proper && exists && bytes.Equal(before, content) {
		return nil
	}
	summary := "write " + p
	if state.Exists {
		summary = "change " + p
		if !proper && state.Mode != mode {
			summary += fmt.Sprintf(", mode from %04o to %04o", state.Mode, mode)
		}
		if !proper && owner != "" && state.Owner != owner {
			summary += fmt.Sprintf(", owner from %s to %s", state.Owner, owner)
		}
		if !proper && group != "" && state.Group != group {
			summary += fmt.Sprintf(", group from %s to %s", state.Group, group)
		}
	}
	if !exists {
		before = nil
	}
	return []hostprep.Change{{
		Kind: hostprep.WriteFile, Target: p, Summary: summary, Before: before, After: content,
		Mode: mode, Owner: owner, Group: group, Root: privileged(m.Member),
	}}
}

// configAccess is mode and group of zoo.cfg: where passwords are in it, it is for the service alone.
func (m member) configAccess() (mode fs.FileMode, group string) {
	user := m.User()
	switch {
	case !m.Secrets():
		return 0o644, ""
	case m.root() == "" || user == "":
		return 0o600, "" // whose it is runs the server
	}
	if account, ok := m.facts.Accounts[user]; ok {
		return 0o640, account.Group
	}
	return 0o640, user // as planUser makes it
}

// root is the owner of files that the service must not change.
func (m member) root() string {
	if privileged(m.Member) {
		return "root"
	}
	return ""
}

// planUser plans the service's user and the directories.
func (m member) planUser(release string) []hostprep.Change {
	var changes []hostprep.Change
	user := m.User()
	if user != "" && user != "root" {
		if _, ok := m.facts.Accounts[user]; !ok {
			changes = append(changes, hostprep.Change{
				Kind: hostprep.RunScript, Target: user, Summary: "create user " + user, Root: true,
				Args: []string{user, m.Host.Server.Paths.Data},
				Script: `
nologin=$(command -v nologin || echo /bin/false)
if command -v useradd >/dev/null 2>&1; then useradd -r -U -M -d "$2" -s "$nologin" "$1"
else addgroup -S "$1"; adduser -S -D -H -h "$2" -s "$nologin" -G "$1" "$1"; fi
`,
				Verify: `id -u "$1" >/dev/null`,
				Undo:   &hostprep.Undo{Args: []string{user}, Script: `id -u "$1" >/dev/null 2>&1 || exit 0; if command -v userdel >/dev/null 2>&1; then userdel "$1"; else deluser "$1"; fi`},
			})
		}
	}
	type directory struct {
		path, owner string
		mode        fs.FileMode
	}
	paths := m.Host.Server.Paths
	wanted := []directory{
		{paths.Install, m.root(), 0o755},
		{path.Join(paths.Install, "bin"), m.root(), 0o755},
		{path.Join(paths.Install, "releases"), m.root(), 0o755},
		{paths.Config, m.root(), 0o755},
		{paths.Data, user, 0o750},
	}
	if paths.TxnLog != paths.Data {
		wanted = append(wanted, directory{paths.TxnLog, user, 0o750})
	}
	if release != "" {
		wanted = append(wanted, directory{path.Join(release, "bin"), m.root(), 0o755})
	}
	if m.Manager != templates.Systemd || m.LogsToFile() {
		wanted = append(wanted, directory{paths.Log, user, 0o755})
	}
	var missing []directory
	var names []string
	for _, d := range wanted {
		state := m.facts.Files[d.path]
		// A directory that is a link is somebody's decision; what counts is that it leads to one.
		if state.Kind == "link" || state.Kind == "dir" && state.Mode == d.mode && (d.owner == "" || state.Owner == d.owner) {
			continue
		}
		missing = append(missing, d)
		names = append(names, d.path)
	}
	if len(missing) > 0 {
		// Those that become alike are made so together.
		var script strings.Builder
		for _, alike := range missing {
			var paths []string
			missing = slices.DeleteFunc(slices.Clone(missing), func(d directory) bool {
				same := d.owner == alike.owner && d.mode == alike.mode
				if same {
					paths = append(paths, d.path)
				}
				return same
			})
			if paths != nil {
				fmt.Fprintf(&script, "become %o %s %s\n", alike.mode, shell.Quote(alike.owner), shell.Join(paths...))
			}
		}
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: strings.Join(names, " "), Summary: "make directories " + strings.Join(names, " "),
			Args: names, Saves: names, Root: privileged(m.Member),
			// Data that an earlier server left under another owner follows its directory; what others have put beside our programs
			// and files stays theirs.
			Script: restoreLabels + `
set -e
mkdir -p -- "$@"
become() {
	mode=$1 owner=$2; shift 2
	case $owner in '') ;; root) chown root: "$@" ;; *) chown -R "$owner:" "$@" ;; esac
	chmod "$mode" "$@"
}
` + script.String() + `relabel "$@"
`,
			Verify: `for d; do [ -d "$d" ] || exit 1; done`,
		})
	}
	return changes
}

// release is the directory of the server: named by version and content, so that it never changes.
func (m member) release(version string, server bundle.Program) string {
	return path.Join(m.Host.Server.Paths.Install, "releases", fmt.Sprintf("%s-%.12s", version, server.SHA256))
}

// hasServer reports whether the server is there and in use.
func (m member) hasServer(release string, server bundle.Program) bool {
	program := m.facts.Files[m.Server()]
	linked := m.facts.Fields.Text("member.link") == path.Join("releases", path.Base(release))
	return linked && program.SHA256 == server.SHA256 && program.Mode == 0o755
}

// planClient plans zkcli where the server is there: it is that under another name.
func (m member) planClient() []hostprep.Change {
	if m.facts.Files[m.Client()].Target == "zkserver" {
		return nil
	}
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: m.Client(), Summary: "link " + m.Client() + " to zkserver", Root: privileged(m.Member),
		Args: []string{m.Client()}, Script: `ln -sfn zkserver "$1"`, Verify: `[ "$(readlink "$1")" = zkserver ]`,
	}}
}

// parcel is the server as it travels: packed where the host can unpack it, which takes less time there than the bytes that it
// saves take on any line but the fastest.
type parcel struct {
	bytes   []byte
	unpack  string // a command of the host
	summary string
}

// parcels are what is pushed to hosts, of which those with the same server share the bytes.
type parcels map[[2]string]parcel

func (p parcels) of(server bundle.Program, packed bool) (parcel, error) {
	key := [2]string{server.SHA256, "plain"}
	get, made, how := server.Plain, parcel{unpack: "cat"}, ""
	if packed {
		key[1], get, made.unpack, how = "gzip", server.Gzip, "gzip -dc", " by gzip"
	}
	if there, ok := p[key]; ok {
		return there, nil
	}
	var err error
	if made.bytes, err = get(); err != nil {
		return parcel{}, err
	}
	made.summary = fmt.Sprintf("push zkserver, which is also zkcli (%d KiB, sha256 %.12s), %d KiB%s",
		server.Size/1024, server.SHA256, len(made.bytes)/1024, how)
	p[key] = made
	return made, nil
}

// planServer plans the server: pushed beside the one in use, then switched to.
func (m member) planServer(release string, server bundle.Program, pushed parcel) []hostprep.Change {
	bin := path.Join(release, "bin")
	changes := []hostprep.Change{{
		Kind: hostprep.RunScript, Target: bin, Root: privileged(m.Member), Timeout: 10 * time.Minute, Summary: pushed.summary,
		Args:  []string{bin, server.SHA256},
		Stdin: pushed.bytes,
		// What is put in force is verified before; the rest of a push that was cut off is overwritten.
		Script: `set -e
umask 077
` + pushed.unpack + ` >"$1/zkserver.new"
# openssl takes a quarter of the time that sha256sum needs.
has=$(openssl dgst -sha256 -r "$1/zkserver.new" 2>/dev/null) || has=
[ "${has%% *}" = "$2" ] || [ "$(hash <"$1/zkserver.new")" = "$2" ] || fail "the bytes that arrived are not the bytes that were sent"
chmod 755 "$1/zkserver.new"
flush "$1/zkserver.new"
mv -f "$1/zkserver.new" "$1/zkserver"
ln -sfn zkserver "$1/zkcli"
flush "$1"`,
	}}
	return append(changes, hostprep.Change{
		Kind: hostprep.RunScript, Target: m.Current(), Summary: "switch " + m.Current() + " to " + path.Base(release),
		Root: privileged(m.Member), Args: []string{m.Current(), path.Join("releases", path.Base(release)), release},
		Timeout: time.Minute,
		// The server must run here before anything points to it: a wrong architecture or a noexec mount shows now.
		Script: restoreLabels + `
set -e
relabel "$3"
"$3/bin/zkserver" --version >/dev/null
[ ! -L "$1.new" ] || rm -f "$1.new"
ln -s "$2" "$1.new"
mv -fT "$1.new" "$1" 2>/dev/null || { ln -sfn "$2" "$1"; rm -f "$1.new"; }
`,
		Verify: `[ "$(readlink "$1")" = "$2" ] && [ -x "$1/bin/zkserver" ]`,
	})
}

// planFiles plans configuration, commands and what starts the service at boot.
func (m member) planFiles(ensembleID string) (changes []hostprep.Change, notes []string) {
	t := m.Member
	user := m.User()
	mode, group := m.configAccess()
	changes = append(changes, m.planStamps(ensembleID)...)
	changes = append(changes, m.file(path.Join(m.Host.Server.Paths.Data, "myid"), templates.MyID(t), 0o644, user)...)
	changes = append(changes, m.fileOfGroup(t.Config(), templates.ZooCfg(t), mode, m.root(), group)...)
	changes = append(changes, m.planIdentity(ensembleID)...)
	changes = append(changes, m.file(t.ServerScript(), templates.ServerScript(t), 0o755, m.root())...)
	changes = append(changes, m.file(t.ClientScript(), templates.ClientScript(t), 0o755, m.root())...)
	if m.RunsApache() {
		changes = append(changes, m.file(t.LauncherPath(), templates.Launcher(t), 0o755, m.root())...)
		for _, f := range templates.LogConfigs(t) {
			changes = append(changes, m.file(f.Path, f.Content, 0o644, m.root())...)
		}
		notes = t.LeftOut()
	}
	for _, tool := range templates.Tools(t) {
		changes = append(changes, m.file(tool.Path, tool.Content, 0o755, m.root())...)
	}
	if m.Host.System.Profile == "manage" && privileged(t) {
		changes = append(changes, m.file(profilePath(t), templates.Profile(t), 0o644, "root")...)
	}
	if m.Manager == templates.Systemd {
		return append(changes, m.planUnit()...), notes
	}
	changes = append(changes, m.file(t.Supervisor(), templates.SupervisorScript(t), 0o755, m.root())...)
	if !privileged(t) {
		return changes, notes
	}
	boot := bootPath(t, m.boot)
	switch m.boot {
	case "service":
		written := m.file(boot, templates.OpenRCService(t), 0o755, "root")
		changes = append(changes, written...)
		if len(written) > 0 || !m.boots {
			changes = append(changes, m.enable(`rc-update -q add "$1" default`, `rc-update show default | grep -qw -- "$1"`,
				unless(m.boots, `rc-update -q del "$1" default || :`)))
		}
	case "openrc":
		written := m.file(boot, templates.OpenRCScript(t), 0o755, "root")
		changes = append(changes, written...)
		if len(written) > 0 || !m.boots {
			changes = append(changes, m.enable("rc-update add local default", "rc-update show default | grep -qw local",
				unless(m.boots, "rc-update del local default || :")))
		}
	case "sysv":
		written := m.file(boot, templates.SysVScript(t), 0o755, "root")
		changes = append(changes, written...)
		if len(written) > 0 || !m.boots {
			changes = append(changes, m.enable(`if command -v update-rc.d >/dev/null 2>&1; then update-rc.d "$1" defaults >/dev/null; else chkconfig --add "$1"; fi`, ":",
				`if command -v update-rc.d >/dev/null 2>&1; then update-rc.d -f "$1" remove >/dev/null; else chkconfig --del "$1"; fi || :`))
		}
	case "cron":
		changes = append(changes, m.file(boot, templates.CronTab(t), 0o644, "root")...)
	default:
		notes = append(notes, "nothing on this host can start the server at boot (no systemd, OpenRC, init scripts or cron)")
	}
	return changes, notes
}

// planUnit plans the systemd unit, enabled.
func (m member) planUnit() []hostprep.Change {
	changes := m.file(m.UnitFile(), templates.Unit(m.Member), 0o644, "root")
	enabled := m.unitEnabled()
	if len(changes) > 0 || m.reload || !enabled {
		script := `systemctl enable -q "$1.service"` // and reads all units again
		if !m.running && !m.facts.Units[m.Host.Server.Service+".service"].Loaded {
			script = newUnit
		}
		changes = append(changes, m.enable(script, `[ -L "/etc/systemd/system/multi-user.target.wants/$1.service" ] || systemctl is-enabled -q "$1.service"`,
			unless(enabled, `systemctl disable -q "$1.service" 2>/dev/null || :`)))
	}
	return changes
}

// newUnit enables a unit that is about to be started for the first time. systemd reads it then; all its units, which takes far longer,
// it reads after the start. Versions that do not look for new files unasked are told now.
const newUnit = `systemctl --no-reload enable -q "$1.service" || exit
[ "$(systemctl show -p LoadState "$1.service")" = LoadState=loaded ] || systemctl daemon-reload`

// unitEnabled reports whether systemd starts the member at boot. Where it does not, a bootstrap ends with systemd reading its units.
func (m member) unitEnabled() bool {
	return m.facts.Units[m.Host.Server.Service+".service"].Enabled == "enabled"
}

// enable plans the script that makes the service start at boot.
func (m member) enable(script, verify, undo string) hostprep.Change {
	return hostprep.Change{
		Undo: &hostprep.Undo{Script: undo, Args: []string{m.Host.Server.Service}},
		Kind: hostprep.RunScript, Target: m.Host.Server.Service, Summary: enableAtBoot(m.Host.Server.Service),
		Args: []string{m.Host.Server.Service}, Root: true, Script: script, Verify: verify,
	}
}

// unless is the script, or none where what it takes back was there before.
func unless(before bool, script string) string {
	if before {
		return ":"
	}
	return script
}

func enableAtBoot(service string) string { return "enable " + service + " at boot" }

func profilePath(m templates.Member) string { return "/etc/profile.d/" + m.Host.Server.Service + ".sh" }

// bootPath is the file that starts a supervised server at boot.
func bootPath(m templates.Member, boot string) string {
	switch boot {
	case "openrc":
		return "/etc/local.d/" + m.Host.Server.Service + ".start"
	case "service", "sysv":
		return "/etc/init.d/" + m.Host.Server.Service
	case "cron":
		return "/etc/cron.d/" + strings.ReplaceAll(m.Host.Server.Service, ".", "-")
	}
	return ""
}

// kindName are the kinds of servers as people call them.
var kindName = map[inventory.Kind]string{inventory.Zkserver: "zkserver", inventory.Apache: "Apache ZooKeeper"}

func (m member) needsRestart(changes []hostprep.Change) string {
	if !m.running {
		return ""
	}
	if m.runs != "" && m.runs != m.Host.Server.Kind {
		return fmt.Sprintf("it becomes %s (is %s)", kindName[m.Host.Server.Kind], kindName[m.runs])
	}
	for _, c := range changes {
		switch {
		case c.Target == m.Current():
			return "the server changes"
		case m.started != nil:
			// What it was started with says more than what lies there now.
		case c.Target == m.Config() && len(m.settingChanges()) > 0:
			return "zoo.cfg changes"
		case c.Target == m.UnitFile(), c.Target == m.Supervisor(), m.RunsApache() && slices.Contains(m.StartFiles(), c.Target):
			return "the service changes"
		}
	}
	if m.started != nil && !bytes.Equal(m.started, templates.StartedWith(m.Member)) {
		if len(m.settingChanges()) > 0 {
			return "zoo.cfg changes"
		}
		return "it was started with another configuration"
	}
	if m.exe != "" && m.wanted != "" && m.exe != m.wanted {
		return "it runs another server: " + m.exe
	}
	return ""
}
