package sshtest

import (
	"fmt"
	"os"
	"path/filepath"
)

const idStub = `#!/bin/sh
if [ "$*" = -u ]; then
	if [ -n "$STUB_ROOT" ]; then echo 0; else echo 1000; fi
else
	exec /usr/bin/id "$@"
fi
`

// sudoStub speaks as sudo 1.9 does, to the options that matter. It notes each
// password that it was given.
const sudoStub = `#!/bin/sh
want='%s' tty='%t' forbidden='%t' lecture='%t' expired='%t'
noninteractive= stdin= prompt='Password:'
while :; do
	case $1 in
	-n) noninteractive=1; shift ;;
	-S) stdin=1; shift ;;
	-p) prompt=$2; shift 2 ;;
	--) shift; break ;;
	*) break ;;
	esac
done
if $tty && ! [ -t 0 ]; then echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; fi
if $forbidden; then echo 'guest is not in the sudoers file.' >&2; exit 1; fi
if $expired; then
	echo 'sudo: Account or password is expired, reset your password and try again' >&2
	echo 'sudo: a password is required' >&2
	exit 1
fi
if [ -n "$want" ]; then
	[ -z "$noninteractive" ] || { echo 'sudo: a password is required' >&2; exit 1; }
	tries=0
	if $lecture; then printf '\nWe trust you have received the usual lecture.\n    #1) Respect the privacy of others.\n\n' >&2; fi
	while :; do
		printf %%s "$prompt" >&2
		IFS= read -r got || { echo 'sudo: no password was provided' >&2; exit 1; }
		echo "$got" >>"${0%%/*}/passwords"
		[ "$got" = "$want" ] && break
		tries=$((tries+1))
		[ $tries -lt 3 ] || { echo 'sudo: 3 incorrect password attempts' >&2; exit 1; }
		echo 'Sorry, try again.' >&2
	done
fi
STUB_ROOT=1 exec "$@"
`

// doasStub speaks as OpenDoas does: it asks on the terminal, once.
const doasStub = `#!/bin/sh
want='%s' forbidden='%t'
noninteractive=
while :; do
	case $1 in
	-n) noninteractive=1; shift ;;
	--) shift; break ;;
	*) break ;;
	esac
done
if $forbidden; then echo 'doas: Operation not permitted' >&2; exit 1; fi
if [ -n "$want" ]; then
	[ -z "$noninteractive" ] || { echo 'doas: Authentication required' >&2; exit 1; }
	(: </dev/tty) 2>/dev/null || { echo 'doas: a tty is required' >&2; exit 1; }
	printf '\rdoas (guest@host) password: ' >/dev/tty
	IFS= read -r got </dev/tty
	echo "$got" >>"${0%%/*}/passwords"
	[ "$got" = "$want" ] || { echo 'doas: Authentication failed' >&2; exit 1; }
fi
STUB_ROOT=1 exec "$@"
`

// install writes the stand-ins.
func (s *Sudo) install(bin string) error {
	stubs := map[string]string{"id": idStub}
	if s.Doas {
		stubs["doas"] = fmt.Sprintf(doasStub, s.Password, s.Forbidden)
	} else {
		stubs["sudo"] = fmt.Sprintf(sudoStub, s.Password, s.RequireTTY, s.Forbidden, s.Lecture, s.Expired)
	}
	for name, text := range stubs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// SudoPasswords returns the file in which the sudo stand-in notes what it was
// given, one password a line.
func (s *Server) SudoPasswords() string { return filepath.Join(s.bin, "passwords") }
