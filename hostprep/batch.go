package hostprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

// batchFileLimit is the size up to which a file travels inside a script.
const batchFileLimit = 64 << 10

// Batch are changes of one host that are made together, in as few round trips as they allow.
type Batch struct {
	// Journal is the directory on the host in which what the changes replace is kept for Undo; "" keeps nothing.
	Journal string
	Changes []Change
	// Guard is a script that ends with an error where nothing may be changed any more.
	Guard string
	// Made is called after each change, with its index; it may be nil.
	Made func(i int)
	// Look is a script that reports what the host looks like after the last change, by the functions of remote.FieldsScript;
	// Seen gets the report. It runs as what that change was made. There is no report without a change.
	Look string
	Seen func(remote.Fields) error
}

// Exec makes the changes in order and stops at the first that fails. Each is verified before the next one begins; of files
// that follow one another, all are complete and verified beside their places before the first is put there.
func (b Batch) Exec(ctx context.Context, host remote.Host) error {
	for at := 0; at < len(b.Changes); {
		end, fed := at, false // a script has one standard input
		for end < len(b.Changes) && b.Changes[end].batchable() && b.Changes[end].Root == b.Changes[at].Root {
			if feeds := len(b.Changes[end].Stdin) > 0; feeds && fed {
				break
			} else if feeds {
				fed = true
			}
			end++
		}
		var err error
		switch {
		case end > at:
			err = b.together(ctx, host, at, end)
		default:
			end = at + 1
			if err = b.Changes[at].Exec(ctx, host); err == nil {
				b.made(at)
			}
			if err == nil && b.Look != "" && end == len(b.Changes) {
				err = b.lookAround(ctx, host, b.Changes[at].Root)
			}
		}
		if err != nil {
			return err
		}
		at = end
	}
	return nil
}

func (b Batch) made(i int) {
	if b.Made != nil {
		b.Made(i)
	}
}

// batchable reports whether a change can be a part of a longer script: text of moderate size.
func (c Change) batchable() bool {
	switch c.Kind {
	case WriteFile:
		return len(c.After) <= batchFileLimit && bytes.IndexByte(c.After, 0) < 0
	case RunScript:
		return true
	}
	return false
}

// together makes the changes from at to end in one script.
func (b Batch) together(ctx context.Context, host remote.Host, at, end int) error {
	changes := b.Changes[at:end]
	journal := b.Journal
	if journal != "" && !changes[0].Root {
		// The journal is root's.
		if script := savesOf(changes); script != "" {
			_, err := host.Run(ctx, remote.Command{Label: "keep what is going to be replaced", Script: batchScript(journal) + script, Root: true})
			if err != nil {
				return err
			}
		}
		journal = ""
	}
	var script strings.Builder
	script.WriteString(b.Guard + batchScript(journal))
	timeout := remote.DefaultCommandTimeout
	var stdin []byte
	paced := false
	for i, c := range changes {
		if len(c.Stdin) > asideFrom {
			paced = true
			fmt.Fprintf(&script, "at=%d blocks=%d\n%s", i, (len(c.Stdin)+remote.StdinBlock-1)/remote.StdinBlock, asideScript)
		}
	}
	if journal != "" {
		script.WriteString(savesOf(changes))
	}
	for i := 0; i < len(changes); {
		end := i + 1
		for changes[i].groups() && end < len(changes) && changes[end].groups() &&
			!slices.ContainsFunc(changes[i:end], func(c Change) bool { return c.Target == changes[end].Target }) {
			end++
		}
		group := changes[i:end]
		if group[0].groups() {
			script.WriteString(groupScript(group, i))
		} else {
			fmt.Fprintf(&script, "at=%d\n%s", i, group[0].script())
		}
		if journal != "" && group[0].Shared {
			fmt.Fprintf(&script, "left %s\n", shell.Join(group[0].Saves...))
		}
		for _, c := range group {
			if len(c.Stdin) > 0 {
				stdin = c.Stdin
			}
			timeout += max(c.Timeout, 30*time.Second)
			fmt.Fprintf(&script, "echo made %d\n", i)
			i++
		}
	}
	look := b.Look != "" && end == len(b.Changes)
	if look {
		script.WriteString(remote.FieldsScript + b.Look + "\n:\n")
	}
	label := changes[0].Summary
	if len(changes) > 1 {
		label = fmt.Sprintf("%s, and %d more", label, len(changes)-1)
	}
	res, err := host.Run(ctx, remote.Command{Label: label, Script: script.String(), Stdin: stdin, Paced: paced, Root: changes[0].Root, Timeout: min(timeout, 10*time.Minute)})
	done, failed := 0, 0
	report := ""
	for line := range strings.Lines(string(res.Stdout)) {
		if done == len(changes) {
			report += line
		} else if strings.TrimSpace(line) == fmt.Sprintf("made %d", done) {
			b.made(at + done)
			done++
		}
		fmt.Sscanf(line, "failed %d", &failed)
	}
	if err == nil && done != len(changes) {
		err = fmt.Errorf("%s: %s: the script ended early", host.Name(), changes[done].Summary)
	}
	if done < len(changes) {
		return about(err, changes[min(max(done, failed), len(changes)-1)].Summary)
	}
	if err == nil && look {
		err = b.read(host, []byte(report))
	}
	return err
}

// lookAround is Look on its own, after a change that is made by no script.
func (b Batch) lookAround(ctx context.Context, host remote.Host, root bool) error {
	res, err := host.Run(ctx, remote.Command{Label: "look at what was done", Script: remote.FieldsScript + b.Look + "\n:\n", Root: root, ReadOnly: true})
	if err != nil {
		return err
	}
	return b.read(host, res.Stdout)
}

func (b Batch) read(host remote.Host, report []byte) error {
	seen, err := remote.ParseFields(report)
	if err == nil {
		err = b.Seen(seen)
	}
	if err != nil {
		return fmt.Errorf("%s: look at what was done: %w", host.Name(), err)
	}
	return nil
}

// asideFrom is from which size on the standard input of a script is put aside before the changes begin: nothing of it waits then
// until its turn comes.
const asideFrom = 64 << 10

// asideScript puts standard input into a file that has no name any more, which becomes file descriptor 4.
var asideScript = fmt.Sprintf(`
room=${TMPDIR:-/tmp}
[ -z "$journal" ] || { open_journal && room=${journal%%/*}; }
take() {
	if dd bs=1 count=0 iflag=fullblock,count_bytes </dev/null 2>/dev/null; then
		while [ $blocks != 0 ]; do
			dd bs=65536 count=%d iflag=fullblock,count_bytes 2>/dev/null >&3 || return
			took; blocks=$((blocks - 1))
		done
	else
		while [ $blocks != 0 ]; do took; blocks=$((blocks - 1)); done
		cat >&3
	fi
}
aside=$(mktemp "$room/zkctl.XXXXXXXXXX") && exec 3>"$aside" 4<"$aside" && rm -f -- "$aside" && take && exec 3>&- ||
	fail "what arrives cannot be put aside in $room: is the disk full?"
`, remote.StdinBlock)

// about makes an error speak of one change instead of all of them.
func about(err error, step string) error {
	var ran *remote.ExitError
	var killed *remote.SignalError
	switch {
	case errors.As(err, &ran):
		e := *ran
		e.Step = step
		return &e
	case errors.As(err, &killed):
		e := *killed
		e.Step = step
		return &e
	}
	return err
}

// batchScript defines what the scripts of changes use. Scripts of changes run in a subshell each, where they may `set -e`.
func batchScript(journal string) string {
	return "journal=" + shell.Quote(journal) + "\n" + `
nl='
'
at=0
fail() { echo "failed $at"; echo "$1" >&2; exit 1; }
hash() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum
	elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
	else fail "neither sha256sum nor openssl is on this host"; fi | { read -r h _; echo "$h"; }
}
flush() { sync -- "$@" 2>/dev/null || sync; }
# sums FILE...: sets sums to their checksums, a line each.
sums() {
	if command -v sha256sum >/dev/null 2>&1; then sums=$(sha256sum -- "$@"); else sums=$(openssl dgst -sha256 -r "$@"); fi
	IFS=$nl; set -f; set -- $sums; set +f; unset IFS
	sums=
	for h; do sums=$sums${h%% *}$nl; done
}
relabel() { if command -v restorecon >/dev/null 2>&1; then restorecon -R "$@" 2>/dev/null || :; fi; }

# place PATH: sets path, where a file is to be, tmp, where it is made, and dir, the directory of both.
place() {
	path=$1
	if [ -L "$path" ]; then path=$(readlink -f -- "$path") || fail "$1 is a symbolic link that leads nowhere"; fi
	[ ! -d "$path" ] || fail "$path is a directory"
	dir=${path%/*} base=${path##*/}
	[ -n "$dir" ] || dir=/
	[ -d "$dir" ] || fail "the directory $dir does not exist"
	for old in "$dir/.zkctl-$base".*; do [ ! -e "$old" ] || rm -f -- "$old"; done
	for old in "$dir"/.zkctl.*; do [ ! -d "$old" ] || { [ "$old" != "$dir/.zkctl.$$" ] && [ -d "/proc/${old##*.}" ]; } || rm -rf -- "$old"; done
	tmp=$dir/.zkctl-$base.$$
}

# changed PATH: of a file that somebody has written since its new content was made of the old one.
changed() { fail "$1 is not any more what it was when it was looked at: run it again"; }

# put PATH MODE OWNER SUM inplace|rename CONTENT [SUM], the last one being what it must have now.
put() (
	set -eu
	umask 077
	how=$5
	place "$1"
	[ -e "$path" ] || how=rename
	if [ "$how" = inplace ]; then tmp=$(mktemp "${TMPDIR:-/tmp}/zkctl.XXXXXXXXXX"); fi
	trap 'rm -f -- "$tmp"' EXIT
	printf %s "$6" >"$tmp"
	sums "$tmp"
	[ "$sums" = "$4$nl" ] || fail "$tmp does not hold what was written: is the disk full?"
	if [ $# = 7 ]; then
		sums "$path" 2>/dev/null || :
		[ "$sums" = "$7$nl" ] || changed "$path"
	fi
	if [ "$how" = inplace ]; then
		cat <"$tmp" >"$path"
		sums "$path"
		[ "$sums" = "$4$nl" ] || fail "$path does not hold what was written"
	else
		[ -z "$3" ] || chown -- "$3" "$tmp"
		chmod -- "$2" "$tmp"
		mv -f -- "$tmp" "$path"
	fi
	if command -v restorecon >/dev/null 2>&1; then restorecon -- "$path" 2>/dev/null || restorecon "$path" || :; fi
	flush "$path"
	[ "$how" = inplace ] || flush "$dir"
)
` + journalScript + sharedScript
}

// groups reports whether a change can be made together with others of its kind: a file that is renamed into its place.
func (c Change) groups() bool { return c.Kind == WriteFile && !c.InPlace && c.Verify == "" }

// moveScript moves the files in the list $all, which are complete in .zkctl.PID beside their places, there: those of a
// directory together.
const moveScript = `moved=$nl
for n in $all; do
	eval "dir=\$d$n"
	case $moved in *"$nl$dir$nl"*) continue ;; esac
	moved=$moved$dir$nl
	set --
	for m in $all; do eval "[ \"\$d$m\" != \"\$dir\" ] || set -- \"\$@\" \"\$t$m\""; done
	at=$((first + n))
	mv -f -- "$@" "$dir/" || fail "cannot put $* into $dir"
done
`

// groupScript writes files, the first of which has the index first. A process for each step of each file would be felt, so
// steps are taken for all files at once.
func groupScript(files []Change, first int) string {
	var b strings.Builder
	variables := func(letter string, some []int) string {
		var words []string
		for _, i := range some {
			words = append(words, fmt.Sprintf(`"$%s%d"`, letter, i))
		}
		return strings.Join(words, " ")
	}
	var all, there []int
	var sums, before []string
	owners, modes := map[string][]int{}, map[string][]int{}
	b.WriteString("(\nset -eu\numask 077\n")
	for i, c := range files {
		all = append(all, i)
		sums = append(sums, hexSum(c.After))
		if c.Merged {
			there, before = append(there, i), append(before, hexSum(c.Before))
		}
		if owner := c.ownerAndGroup(); owner != "" {
			owners[owner] = append(owners[owner], i)
		}
		mode := fmt.Sprintf("%04o", c.fileMode())
		modes[mode] = append(modes[mode], i)
		fmt.Fprintf(&b, "at=%d\nplace %s\np%d=$path d%[3]d=$dir w%[3]d=$dir/.zkctl.$$ t%[3]d=$dir/.zkctl.$$/$base\n", first+i, shell.Quote(c.Target), i)
	}
	fmt.Fprintf(&b, "trap 'rm -rf -- %s' EXIT\nmkdir -p -- %[1]s || fail \"no directory can be made there\"\n", variables("w", all))
	for i, c := range files {
		fmt.Fprintf(&b, "at=%d\nprintf %%s %s >\"$t%d\" || fail \"cannot write $t%[3]d: is the disk full?\"\n", first+i, shell.Quote(string(c.After)), i)
	}
	fmt.Fprintf(&b, "sums %s\n[ \"$sums\" = %s ] || {\n", variables("t", all), shell.Quote(strings.Join(sums, "\n")+"\n"))
	for i := range files {
		fmt.Fprintf(&b, "at=%d\n[ \"$(hash <\"$t%d\")\" = %s ] || fail \"$t%[2]d does not hold what was written: is the disk full?\"\n", first+i, i, sums[i])
	}
	b.WriteString("exit 1\n}\n")
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		fmt.Fprintf(&b, "at=%d\nchown -- %s %s || fail \"cannot give files to %[2]s\"\n", first+owners[owner][0], shell.Quote(owner), variables("t", owners[owner]))
	}
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		fmt.Fprintf(&b, "chmod -- %s %s\n", mode, variables("t", modes[mode]))
	}
	if there != nil {
		fmt.Fprintf(&b, "sums %s 2>/dev/null || :\n[ \"$sums\" = %s ] || {\n", variables("p", there), shell.Quote(strings.Join(before, "\n")+"\n"))
		for n, i := range there {
			fmt.Fprintf(&b, "at=%d\n[ \"$(hash <\"$p%d\" 2>/dev/null)\" = %s ] || changed \"$p%[2]d\"\n", first+i, i, before[n])
		}
		b.WriteString("exit 1\n}\n")
	}
	fmt.Fprintf(&b, "first=%d all=%s\n%s", first, shell.Quote(strings.Trim(fmt.Sprint(all), "[]")), moveScript)
	paths := variables("p", all)
	fmt.Fprintf(&b, "if command -v restorecon >/dev/null 2>&1; then restorecon -- %s 2>/dev/null || restorecon %[1]s || :; fi\n", paths)
	fmt.Fprintf(&b, "flush %s %s\n) </dev/null\nrc=$?; [ $rc = 0 ] || exit $rc\n", paths, variables("d", all))
	return b.String()
}

// fileMode is the mode of a file, 0644 where none is given.
func (c Change) fileMode() fs.FileMode {
	if m := c.Mode.Perm(); m != 0 {
		return m
	}
	return 0o644
}

// ownerAndGroup is what chown is given; "user:" means the user's own group.
func (c Change) ownerAndGroup() string {
	if c.Owner == "" && c.Group == "" {
		return ""
	}
	return c.Owner + ":" + c.Group
}

// script is the change itself and its verification.
func (c Change) script() string {
	var b strings.Builder
	switch c.Kind {
	case WriteFile:
		how := "rename"
		if c.InPlace {
			how = "inplace"
		}
		args := []string{c.Target, fmt.Sprintf("%04o", c.fileMode()), c.ownerAndGroup(), hexSum(c.After), how, string(c.After)}
		if c.Merged {
			args = append(args, hexSum(c.Before))
		}
		fmt.Fprintf(&b, "put %s\n", shell.Join(args...))
	case RunScript:
		from := " </dev/null"
		if len(c.Stdin) > asideFrom {
			from = " <&4 4<&-"
		} else if len(c.Stdin) > 0 {
			from = ""
		}
		fmt.Fprintf(&b, "( set -- %s\neval %s )%s >&2\n", shell.Join(c.Args...), shell.Quote(c.Script), from)
	}
	b.WriteString("rc=$?; [ $rc = 0 ] || exit $rc\n")
	if c.Verify != "" {
		fmt.Fprintf(&b, "( set -- %s\neval %s ) </dev/null >/dev/null\n", shell.Join(c.Args...), shell.Quote(c.Verify))
		fmt.Fprintf(&b, "rc=$?; [ $rc = 0 ] || fail %s\n", shell.Quote("it was done, but is not in force: "+c.Summary))
	}
	return b.String()
}
