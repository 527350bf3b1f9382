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
want='%s' tty='%t' forbidden='%t'
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
if [ -n "$want" ]; then
	[ -z "$noninteractive" ] || { echo 'sudo: a password is required' >&2; exit 1; }
	tries=0
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

func (s *Sudo) install(bin string) error {
	for name, text := range map[string]string{
		"id":   idStub,
		"sudo": fmt.Sprintf(sudoStub, s.Password, s.RequireTTY, s.Forbidden),
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// SudoPasswords returns the file in which the sudo stand-in notes what it was
// given, one password a line.
func (s *Server) SudoPasswords() string { return filepath.Join(s.bin, "passwords") }
