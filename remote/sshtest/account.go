package sshtest

import (
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// getentStub makes every user's home directory the server's.
const getentStub = `#!/bin/sh
echo "$2:x:1000:1000::$HOME:/bin/sh"
`

// sshStub is the ssh of this machine for somebody whose home directory is the server's;
// ssh itself goes by the password file.
const sshStub = `#!/bin/sh
case " $* " in
*" -i "*) ;;
*)
	set -- -o IdentitiesOnly=yes "$@"
	for f in id_rsa id_ecdsa id_ed25519; do
		[ ! -f "$HOME/.ssh/$f" ] || set -- -i "$HOME/.ssh/$f" "$@"
	done
	;;
esac
exec /usr/bin/ssh -F none -o UserKnownHostsFile="$HOME/.ssh/known_hosts" "$@"
`

// sshdStub tells where the server's keys are.
const sshdStub = `#!/bin/sh
echo authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2
echo "hostkey $HOME/hostkey"
`

func (s *Server) installAccount() error {
	for name, text := range map[string]string{"getent": getentStub, "ssh": sshStub, "sshd": sshdStub} {
		if err := os.WriteFile(filepath.Join(s.bin, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(s.Home, "hostkey.pub"), ssh.MarshalAuthorizedKey(s.HostKey()), 0o644); err != nil {
		return err
	}
	return os.Mkdir(filepath.Join(s.Home, ".ssh"), 0o700)
}

// authorized are the keys of authorized_keys at this moment.
func (s *Server) authorized() []ssh.PublicKey {
	file := s.opts.Authorized
	if file == "" && s.opts.Account {
		file = filepath.Join(s.Home, ".ssh", "authorized_keys")
	}
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var keys []ssh.PublicKey
	for len(text) > 0 {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			break
		}
		keys = append(keys, key)
		text = rest
	}
	return keys
}
