package hostprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	// Made is called after each change, with its index; it may be nil.
	Made func(i int)
}

// Exec makes the changes in order and stops at the first that fails. Each is verified before the next one begins.
func (b Batch) Exec(ctx context.Context, host remote.Host) error {
	for at := 0; at < len(b.Changes); {
		end := at
		for end < len(b.Changes) && b.Changes[end].batchable() && b.Changes[end].Root == b.Changes[at].Root {
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

// batchable reports whether a change can be a part of a longer script: text of moderate size, and nothing secret.
func (c Change) batchable() bool {
	switch c.Kind {
	case WriteFile:
		return len(c.After) <= batchFileLimit && bytes.IndexByte(c.After, 0) < 0
	case RunScript:
		return len(c.Stdin) == 0
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
	script.WriteString(batchScript(journal))
	timeout := remote.DefaultCommandTimeout
	for i, c := range changes {
		if journal != "" {
			script.WriteString(c.saves())
		}
		script.WriteString(c.script())
		fmt.Fprintf(&script, "echo made %d\n", i)
		timeout += max(c.Timeout, 30*time.Second)
	}
	label := changes[0].Summary
	if len(changes) > 1 {
		label = fmt.Sprintf("%s, and %d more", label, len(changes)-1)
	}
	res, err := host.Run(ctx, remote.Command{Label: label, Script: script.String(), Root: changes[0].Root, Timeout: min(timeout, 10*time.Minute)})
	done := 0
	for line := range strings.Lines(string(res.Stdout)) {
		if strings.TrimSpace(line) == fmt.Sprintf("made %d", done) {
			b.made(at + done)
			done++
		}
	}
	if err == nil && done != len(changes) {
		err = fmt.Errorf("%s: %s: the script ended early", host.Name(), changes[done].Summary)
	}
	if done < len(changes) {
		return about(err, changes[done].Summary)
	}
	return err
}

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
fail() { echo "$1" >&2; exit 1; }
hash() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum
	elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
	else fail "neither sha256sum nor openssl is on this host"; fi | { read -r h _; echo "$h"; }
}
flush() { sync -- "$1" 2>/dev/null || sync; }
relabel() { if command -v restorecon >/dev/null 2>&1; then restorecon -R "$@" 2>/dev/null || :; fi; }

# put PATH MODE OWNER SUM inplace|rename CONTENT
put() (
	set -eu
	path=$1
	if [ -L "$path" ]; then path=$(readlink -f -- "$path") || fail "$1 is a symbolic link that leads nowhere"; fi
	[ ! -d "$path" ] || fail "$path is a directory"
	dir=${path%/*} base=${path##*/} how=$5
	[ -n "$dir" ] || dir=/
	[ -d "$dir" ] || fail "the directory $dir does not exist"
	[ -e "$path" ] || how=rename
	if [ "$how" = inplace ]; then tmp=$(umask 077; mktemp "${TMPDIR:-/tmp}/zkctl.XXXXXXXXXX")
	else
		rm -f -- "$dir/.zkctl-$base".*
		tmp=$dir/.zkctl-$base.$$
	fi
	trap 'rm -f -- "$tmp"' EXIT
	(umask 077; printf %s "$6" >"$tmp")
	[ "$(hash <"$tmp")" = "$4" ] || fail "$tmp does not hold what was written: is the disk full?"
	if [ "$how" = inplace ]; then
		cat <"$tmp" >"$path"
		[ "$(hash <"$path")" = "$4" ] || fail "$path does not hold what was written"
	else
		[ -z "$3" ] || chown -- "$3" "$tmp"
		chmod -- "$2" "$tmp"
		mv -f -- "$tmp" "$path"
	fi
	if command -v restorecon >/dev/null 2>&1; then restorecon -- "$path" 2>/dev/null || restorecon "$path" || :; fi
	flush "$path"
	[ "$how" = inplace ] || flush "$dir"
)
` + journalScript
}

// script is the change itself and its verification.
func (c Change) script() string {
	var b strings.Builder
	switch c.Kind {
	case WriteFile:
		mode := c.Mode.Perm()
		if mode == 0 {
			mode = 0o644
		}
		owner := c.Owner
		if owner != "" || c.Group != "" {
			owner += ":" + c.Group // "user:" means the user's own group
		}
		how := "rename"
		if c.InPlace {
			how = "inplace"
		}
		fmt.Fprintf(&b, "put %s\n", shell.Join(c.Target, fmt.Sprintf("%04o", mode), owner, hexSum(c.After), how, string(c.After)))
	case RunScript:
		fmt.Fprintf(&b, "( set -- %s\neval %s ) </dev/null >&2\n", shell.Join(c.Args...), shell.Quote(c.Script))
	}
	b.WriteString("rc=$?; [ $rc = 0 ] || exit $rc\n")
	if c.Verify != "" {
		fmt.Fprintf(&b, "( set -- %s\neval %s ) </dev/null >/dev/null\n", shell.Join(c.Args...), shell.Quote(c.Verify))
		fmt.Fprintf(&b, "rc=$?; [ $rc = 0 ] || fail %s\n", shell.Quote("it was done, but is not in force: "+c.Summary))
	}
	return b.String()
}
