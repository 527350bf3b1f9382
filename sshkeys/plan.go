package sshkeys

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
)

// KeyType is the type of key pairs that are made.
type KeyType string

// The key types.
const (
	Ed25519 KeyType = "ed25519"
	RSA     KeyType = "rsa" // of 3072 bits
)

// Member is a host of the ensemble as its peers call it.
type Member struct {
	Name      string   // in the inventory; also how peers call it
	Aliases   []string // other names
	Addresses []string
	Port      int // of SSH; zero means 22
	Observed  Observed
	Allowed   []PublicKey // of people, to be let in beside the members
}

// names are all names of the member in known_hosts.
func (m Member) names() []string {
	var names []string
	for _, n := range slices.Concat([]string{m.Name}, m.Aliases, m.Addresses) {
		if n = KnownName(n, m.Port); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// Known are the member's host keys under all its names.
func (m Member) Known() Known { return Known{Names: m.names(), Keys: m.Observed.HostKeys} }

// makeDir gets the directory and its owner; with the owner root makes it for
// another one.
const makeDir = `
set -e
umask 077
[ -d "$1" ] || mkdir "$1"
[ "$(id -u)" != 0 ] || chown -- "$2:" "$1"
chmod 0700 "$1"
! command -v restorecon >/dev/null 2>&1 || restorecon -R "$1" || :
`

const dirIsRight = `[ "$(stat -c '%a %U' "$1")" = "700 $2" ]`

// makeKey gets the private key's file, its type, comment and owner.
const makeKey = `
set -e
umask 077
[ ! -e "$1" ] || { echo "$1 exists" >&2; exit 1; }
if [ "$2" = rsa ]; then ssh-keygen -q -t rsa -b 3072 -N '' -C "$3" -f "$1" </dev/null
else ssh-keygen -q -t "$2" -N '' -C "$3" -f "$1" </dev/null; fi
[ "$(id -u)" != 0 ] || chown -- "$4:" "$1" "$1.pub"
chmod 0644 "$1.pub"
! command -v restorecon >/dev/null 2>&1 || restorecon "$1" "$1.pub" || :
sync -- "$1" "$1.pub" 2>/dev/null || sync
`

const keyWorks = `ssh-keygen -y -P '' -f "$1" </dev/null >/dev/null`

// PlanKeyPair plans ~/.ssh and a key pair for a member that has none that works
// without a passphrase. A file that is there is never overwritten. After the
// changes the host must be observed again, for its public key.
func PlanKeyPair(m Member, kind KeyType) ([]hostprep.Change, []hostprep.Finding) {
	o := m.Observed
	var changes []hostprep.Change
	var findings []hostprep.Finding
	note := func(severity hostprep.Severity, remedy, format string, args ...any) {
		findings = append(findings, hostprep.Finding{Host: m.Name, Check: "ssh-keys", Severity: severity,
			Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	dir := o.Home + "/.ssh"
	if !o.Dir.Exists || o.Dir.Mode != 0o700 || o.Dir.Owner != o.User {
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: dir, Summary: fmt.Sprintf("make %s, mode 0700, for %s", dir, o.User),
			Script: makeDir, Verify: dirIsRight, Args: []string{dir, o.User}, Saves: []string{dir},
			Root: o.Dir.Exists && o.Dir.Owner != o.User,
		})
	}
	if o.HomeMode&0o022 != 0 {
		note(hostprep.Warning, fmt.Sprintf("run `chmod go-w %s`", o.Home),
			"others may write to %s (mode %04o): sshd refuses keys from it", o.Home, o.HomeMode)
	}
	if len(o.Keys) > 0 {
		return changes, findings
	}
	if !o.HasSSH {
		note(hostprep.Error, "install the OpenSSH client", "ssh and ssh-keygen are not there")
		return changes, findings
	}
	for _, k := range []KeyType{kind, Ed25519, RSA, "ecdsa"} {
		file := fmt.Sprintf("%s/id_%s", dir, k)
		if slices.Contains(o.Locked, file) {
			continue
		}
		if len(o.Locked) > 0 {
			note(hostprep.Note, "", "%s needs a passphrase and stays; another key is made beside it", strings.Join(o.Locked, ", "))
		}
		return append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: file, Summary: fmt.Sprintf("make the key pair %s", file),
			Script: makeKey, Verify: keyWorks, Args: []string{file, string(k), o.User + "@" + m.Name, o.User},
			Saves: []string{file, file + ".pub"},
		}), findings
	}
	note(hostprep.Error, "make a key without passphrase, or remove one of them", "every key of %s needs a passphrase", o.User)
	return changes, findings
}

// PlanMesh plans the authorized_keys and known_hosts of one member, so that all
// members can log in to it and it knows all of them. Members without a key
// pair yet are left out, with a note.
func PlanMesh(self Member, all []Member) ([]hostprep.Change, []hostprep.Finding) {
	var keys []PublicKey
	var known []Known
	var findings []hostprep.Finding
	note := func(severity hostprep.Severity, remedy, format string, args ...any) {
		findings = append(findings, hostprep.Finding{Host: self.Name, Check: "ssh-keys", Severity: severity,
			Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	for _, m := range all {
		if len(m.Observed.Keys) > 0 {
			k := m.Observed.Keys[0].Public
			if !strings.Contains(k.comment, "@") {
				k.comment = m.Observed.User + "@" + m.Name
			}
			keys = append(keys, k)
		} else {
			note(hostprep.Note, "", "the key of %s joins authorized_keys once it is made", m.Name)
		}
		if len(m.Observed.HostKeys) == 0 {
			note(hostprep.Error, "make host keys: ssh-keygen -A", "%s has no readable host keys in /etc/ssh", m.Name)
			continue
		}
		known = append(known, m.Known())
	}
	o := self.Observed
	var changes []hostprep.Change
	file := func(p string, e Entry, after []byte, summary string) {
		right := e.Exists && (path.Dir(p) != o.Home+"/.ssh" || e.Owner == o.User && e.Mode == 0o600)
		if !right || !bytes.Equal(e.Content, after) {
			changes = append(changes, fileChange(o, p, e, after, summary))
		}
	}
	authorized, restricted := MergeAuthorized(o.Authorized.Content, slices.Concat(keys, self.Allowed))
	for _, k := range restricted {
		note(hostprep.Warning, "remove the options of that line if the login fails",
			"%s holds the key %s with options, and it is left so", o.AuthorizedPath, k.comment)
	}
	file(o.AuthorizedPath, o.Authorized, authorized, fmt.Sprintf("let all members log in to %s", self.Name))
	merged, stale := MergeKnown(o.Known.Content, known)
	for _, s := range stale {
		note(hostprep.Note, "", "%s: %s; replaced", o.KnownPath, s)
	}
	file(o.KnownPath, o.Known, merged, fmt.Sprintf("make the host keys of all members known on %s", self.Name))
	return changes, findings
}

// AuthorizedChange is the change of a user's authorized_keys.
func AuthorizedChange(o Observed, after []byte, summary string) hostprep.Change {
	return fileChange(o, o.AuthorizedPath, o.Authorized, after, summary)
}

// fileChange is the change of one of a user's SSH files, with the owner and mode that
// sshd wants.
func fileChange(o Observed, p string, e Entry, after []byte, summary string) hostprep.Change {
	c := hostprep.Change{Kind: hostprep.WriteFile, Target: p, Summary: summary, Before: e.Content, After: after, Mode: 0o600, Merged: e.Exists}
	if path.Dir(p) != o.Home+"/.ssh" {
		// A site that keeps the keys elsewhere has them owned by root.
		c.Root, c.Mode = true, 0o644
		if e.Exists {
			c.Mode, c.Owner = e.Mode, e.Owner
		}
	} else if e.Exists && e.Owner != o.User {
		c.Root, c.Owner, c.Group = true, o.User, o.Group
	}
	return c
}
