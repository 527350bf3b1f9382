package sshkeys

import (
	"fmt"
	"slices"

	"github.com/zkctl/zkctl/hostprep"
)

// A rotation replaces a member's key pair in steps, each of which can be repeated: the
// next key is made beside the present one (PlanNext); it is put in its place, and
// the present one becomes the last one (PlanSwap); the last one is removed
// (PlanForget), or put back (PlanBack). Private keys are made and moved on their
// host only.

const (
	nextSuffix = ".zkctl-next"
	lastSuffix = ".zkctl-last"
)

// Current is the key pair that the member logs in with, nil if it has none.
func (o Observed) Current() *UserKey {
	if len(o.Keys) == 0 {
		return nil
	}
	return &o.Keys[0]
}

// next is the file in whose place the next key will be: the one named for its type,
// unless that is another key.
func (o Observed) next(kind KeyType) string {
	file := fmt.Sprintf("%s/.ssh/id_%s", o.Home, kind)
	taken := slices.Contains(o.Locked, file) || slices.ContainsFunc(o.Keys, func(k UserKey) bool { return k.File == file })
	if present := o.Current(); present != nil && taken {
		return present.File
	}
	return file
}

// NextKey is the next key while it is not in place; ok is false where there is none.
func (m Member) NextKey() (key UserKey, ok bool) {
	if len(m.Observed.Next) == 0 {
		return UserKey{}, false
	}
	key = m.Observed.Next[0]
	key.File += nextSuffix
	return key, true
}

// Rotating reports whether a rotation has put the member's new key in place and has yet
// to remove the old one.
func (m Member) Rotating() bool { return len(m.Observed.Last) > 0 }

// PlanNext plans the next key of a member, unless an earlier rotation has left one.
func PlanNext(m Member, kind KeyType) []hostprep.Change {
	if _, ok := m.NextKey(); ok {
		return nil
	}
	o := m.Observed
	file := o.next(kind) + nextSuffix
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: file, Summary: fmt.Sprintf("make the next key %s", file),
		Script: `rm -f -- "$1" "$1.pub"` + makeKey, Verify: keyWorks, Args: []string{file, string(kind), o.User + "@" + m.Name, o.User},
	}}
}

// swapScript gets the present key's file and the one that the next key will have. Cut
// off anywhere, it goes on where it stopped.
const swapScript = `
set -e
old=$1 new=$2
if [ -e "$new.zkctl-next" ]; then
	if [ -e "$old" ] && ! [ -e "$old.zkctl-last" ]; then
		if [ -e "$old.pub" ]; then mv -f -- "$old.pub" "$old.zkctl-last.pub"; fi
		mv -f -- "$old" "$old.zkctl-last"
	fi
	if [ -e "$new.zkctl-next.pub" ]; then mv -f -- "$new.zkctl-next.pub" "$new.pub"; fi
	mv -f -- "$new.zkctl-next" "$new"
fi
sync -- "${new%/*}" 2>/dev/null || sync
`

// PlanSwap plans that the next key takes the place of the present one. A member that
// was cut off between the two has only the last and the next one.
func PlanSwap(m Member) []hostprep.Change {
	o := m.Observed
	next, ok := m.NextKey()
	if !ok {
		return nil
	}
	var old string
	switch {
	case m.Rotating():
		old = o.Last[0].File
	case o.Current() != nil:
		old = o.Current().File
	default:
		return nil
	}
	file := o.Next[0].File
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: file, Summary: fmt.Sprintf("put the next key %s in the place of %s", next.Public.Fingerprint(), old),
		Script: swapScript, Verify: `ssh-keygen -y -P '' -f "$2" </dev/null >/dev/null`, Args: []string{old, file},
	}}
}

// PlanForget plans the end of a rotation: the replaced private key is removed.
func PlanForget(m Member) []hostprep.Change {
	var changes []hostprep.Change
	for _, k := range m.Observed.Last {
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: k.File + lastSuffix, Summary: fmt.Sprintf("remove the replaced key %s", k.Public.Fingerprint()),
			Script: `rm -f -- "$1" "$1.pub"`, Verify: `[ ! -e "$1" ]`, Args: []string{k.File + lastSuffix},
		})
	}
	return changes
}

// backScript gets the file of the replaced key and that of the key which took its
// place, and undoes swapScript, cut off or not, and the making of the next key. The public half comes first: as long as
// the private one is to be moved, the script goes on where it stopped.
const backScript = `
set -e
old=$1 new=$2
rm -f -- "$new.zkctl-next" "$new.zkctl-next.pub"
if [ "$old" != "$new" ] && [ -e "$old.zkctl-last" ]; then rm -f -- "$new" "$new.pub"; fi
if [ -e "$old.zkctl-last.pub" ]; then mv -f -- "$old.zkctl-last.pub" "$old.pub"; fi
if [ -e "$old.zkctl-last" ]; then mv -f -- "$old.zkctl-last" "$old"; fi
sync -- "${old%/*}" 2>/dev/null || sync
`

// PlanBack plans that the member has again the key that it had before the rotation, of
// which it was observed with that key in place.
func PlanBack(before Member, kind KeyType) []hostprep.Change {
	present := before.Observed.Current()
	if present == nil {
		return nil
	}
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: present.File, Summary: fmt.Sprintf("put the key %s back", present.Public.Fingerprint()),
		Script: backScript, Verify: keyWorks, Args: []string{present.File, before.Observed.next(kind)},
	}}
}
