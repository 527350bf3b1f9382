package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"
)

// mover carries bytes to a host as the login user.
type mover interface {
	// what names the means, for errors: "sftp".
	what() string
	// put creates the file at path, which must not exist, with mode 0600. An
	// error that wraps errNoMover means that the host does not offer this means.
	put(ctx context.Context, path string, content []byte) error
}

// errNoMover tells that a host does not offer a way to move files.
var errNoMover = errors.New("not offered by the host")

// uploader puts files on a host: it moves the bytes to a private place, then one
// script verifies them and puts them in force. Where no mover works, the
// script reads the bytes from its standard input.
type uploader struct {
	host   *runner
	movers []mover

	mu     sync.Mutex
	failed map[string]bool // movers that did not work on this host
}

// Upload implements Host.
func (u *uploader) Upload(ctx context.Context, file File) error {
	if !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || file.Path == "/" {
		return fmt.Errorf("%s: write %q: not a clean absolute path", u.host.name, file.Path)
	}
	for _, m := range u.movers {
		if u.hasFailed(m) {
			continue
		}
		staged, err := u.stage(ctx, m, file)
		if err == nil {
			err = u.install(ctx, file, staged)
			if !errors.Is(err, errStagedGone) {
				return err
			}
		}
		if ctx.Err() != nil || errors.Is(err, ErrLost) || errors.Is(err, ErrUnreachable) {
			return err
		}
		var ran *ExitError
		if errors.As(err, &ran) {
			return err // no private place on the host: no other mover will find one
		}
		u.mu.Lock()
		if u.failed == nil {
			u.failed = make(map[string]bool)
		}
		u.failed[m.what()] = true
		u.mu.Unlock()
	}
	return u.install(ctx, file, "")
}

func (u *uploader) hasFailed(m mover) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed[m.what()]
}

// stage moves the content to the host and returns where it lies. If the login
// user is the one to write the destination, that is beside it; otherwise in a
// private directory from which root will take it.
func (u *uploader) stage(ctx context.Context, m mover, file File) (string, error) {
	var staged string
	direct := (!file.Root || u.host.isRoot) && !file.InPlace && plainPath(file.Path)
	if direct {
		staged = path.Dir(file.Path)
		staged = strings.TrimSuffix(staged, "/") + "/" + tempName(file.Path) + newMarker()[len("zkctl-"):]
	} else {
		res, err := u.host.Run(ctx, Command{
			Label:  "make a private directory for " + file.Path,
			Script: `umask 077; mktemp -d "${TMPDIR:-/tmp}/zkctl.XXXXXXXXXX"`,
		})
		if err != nil {
			return "", err
		}
		staged = strings.TrimSpace(string(res.Stdout)) + "/staged"
	}
	if err := m.put(ctx, staged, file.Content); err != nil {
		if !errors.Is(err, ErrLost) && ctx.Err() == nil && !direct {
			u.host.Run(ctx, Command{Label: "remove the private directory", Script: `rm -rf -- "$1"`, Args: []string{path.Dir(staged)}})
		}
		return "", fmt.Errorf("%s: write %s: %s: %w", u.host.name, file.Path, m.what(), err)
	}
	return staged, nil
}

func tempName(p string) string { return ".zkctl-" + path.Base(p) + "." }

// plainPath reports whether a path survives scp's second round of quoting.
func plainPath(p string) bool {
	for _, r := range p {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("/._-+@", r):
		default:
			return false
		}
	}
	return true
}

// errStagedGone: the script does not see what the mover wrote, as with an sftp
// subsystem confined to a directory of its own.
var errStagedGone = errors.New("the staged file is not where it was put")

const stagedGoneStatus = 95

// installScript puts staged bytes in force. Its arguments: staged path or "-"
// for standard input, destination, mode, owner, SHA-256, "inplace" or "rename".
const installScript = `
set -eu
staged=$1 path=$2 mode=$3 owner=$4 sum=$5 how=$6
tmp=
fail() { echo "$1" >&2; exit 1; }
clean() {
	[ -z "$tmp" ] || rm -f -- "$tmp"
	[ "$staged" = - ] || rm -f -- "$staged"
	case $staged in */zkctl.??????????/staged) rmdir -- "${staged%/staged}" 2>/dev/null || : ;; esac
}
trap clean EXIT
trap 'exit 143' HUP INT TERM
hash() {
	if command -v sha256sum >/dev/null 2>&1; then sha256sum
	elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
	else fail "neither sha256sum nor openssl is on this host"; fi <"$1" | { read -r h _; echo "$h"; }
}
flush() { sync -- "$1" 2>/dev/null || sync; }

[ "$staged" = - ] || [ -f "$staged" ] || exit 95
if [ -L "$path" ]; then
	path=$(readlink -f -- "$path") || fail "$2 is a symbolic link that leads nowhere"
fi
[ ! -d "$path" ] || fail "$path is a directory"
dir=${path%/*} base=${path##*/}
[ -n "$dir" ] || dir=/
[ -d "$dir" ] || fail "the directory $dir does not exist"
[ -e "$path" ] || how=rename

if [ "$how" = inplace ]; then
	tmp=$(umask 077; mktemp "${TMPDIR:-/tmp}/zkctl.XXXXXXXXXX")
else
	for old in "$dir/.zkctl-$base".*; do
		[ "$old" = "$staged" ] || rm -f -- "$old"
	done
	tmp=$dir/.zkctl-$base.$$
fi
if [ "$how" = rename ] && [ "${staged%/*}" = "${dir%/}" ]; then
	tmp=$staged
elif [ "$staged" = - ]; then
	(umask 077; cat >"$tmp")
else
	(umask 077; cat <"$staged" >"$tmp")
fi
[ "$(hash "$tmp")" = "$sum" ] || fail "the bytes that arrived are not the bytes that were sent"

if [ "$how" = inplace ]; then
	cat <"$tmp" >"$path"
	flush "$path"
	[ "$(hash "$path")" = "$sum" ] || fail "$path does not hold what was written"
else
	[ -z "$owner" ] || chown -- "$owner" "$tmp"
	chmod -- "$mode" "$tmp"
	flush "$tmp"
	mv -f -- "$tmp" "$path"
	flush "$dir"
fi
if command -v restorecon >/dev/null 2>&1; then restorecon -- "$path" 2>/dev/null || restorecon "$path" || :; fi
`

// install runs installScript; staged is empty where the content goes by
// standard input.
func (u *uploader) install(ctx context.Context, file File, staged string) error {
	sum := sha256.Sum256(file.Content)
	mode := file.Mode.Perm()
	if mode == 0 {
		mode = 0o644
	}
	owner := file.Owner
	if owner != "" {
		owner += ":" + file.Group // "user:" means the user's own group
	} else if file.Group != "" {
		owner = ":" + file.Group
	}
	how := "rename"
	if file.InPlace {
		how = "inplace"
	}
	cmd := Command{
		Label: "write " + file.Path, Script: installScript, Root: file.Root,
		Args:    []string{staged, file.Path, fmt.Sprintf("%04o", mode), owner, hex.EncodeToString(sum[:]), how},
		Timeout: transferTimeout(len(file.Content)),
	}
	if staged == "" {
		cmd.Args[0] = "-"
		cmd.Stdin = file.Content
	}
	_, err := u.host.Run(ctx, cmd)
	var ran *ExitError
	if errors.As(err, &ran) && ran.Code == stagedGoneStatus {
		return fmt.Errorf("%s: write %s: %w", u.host.name, file.Path, errStagedGone)
	}
	return err
}

// transferTimeout allows for a slow line.
func transferTimeout(size int) time.Duration { return DefaultCommandTimeout + lineTime(size) }

// lineTime is what a slow line takes: 64 KiB a second.
func lineTime(size int) time.Duration { return time.Duration(size/(64<<10)) * time.Second }
