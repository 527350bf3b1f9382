package sshkeys

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

// Observed is what a host has in the way of SSH keys.
type Observed struct {
	User, Group string
	Home        string
	HomeMode    fs.FileMode
	HasSSH      bool // the programs ssh and ssh-keygen are there

	Keys   []UserKey // usable key pairs of the user, the preferred one first
	Locked []string  // key files that need a passphrase or cannot be read
	Next   []UserKey // keys that a rotation has made and not yet put in place
	Last   []UserKey // keys that a rotation has replaced and not yet removed; File is where it was

	Dir            Entry // ~/.ssh
	AuthorizedPath string
	Authorized     Entry
	Also           map[string][]byte // further files of sshd's AuthorizedKeysFile, by path; they are left alone
	KnownPath      string
	Known          Entry

	HostKeys []PublicKey
}

// Entry is a file or directory as it was found.
type Entry struct {
	Exists  bool
	Mode    fs.FileMode
	Owner   string
	Content []byte
}

// UserKey is a key pair that works without a passphrase.
type UserKey struct {
	File   string // of the private key
	Public PublicKey
}

// pairsScript reports the key pairs in $ssh_home.
const pairsScript = `
for f in id_ed25519 id_ecdsa id_rsa; do
	f=$ssh_home/.ssh/$f
	[ -f "$f" ] || continue
	if pub=$(ssh-keygen -y -P '' -f "$f" </dev/null 2>/dev/null); then field ssh.key "$f $pub"
	else field ssh.locked "$f"; fi
done
`

// observeScript reports by the functions of remote.FieldsScript; $ssh_user is set
// in front of it. It runs as that user or as root.
const observeScript = `
if [ "$ssh_user" = "${user-}" ] && [ -n "${home-}" ]; then ssh_home=$home # of the login user
else
	ssh_home=$(getent passwd "$ssh_user" 2>/dev/null || grep "^$ssh_user:" /etc/passwd)
	ssh_home=${ssh_home%:*}; ssh_home=${ssh_home##*:}
fi
field ssh.user "$ssh_user"
field ssh.group "$(id -gn "$ssh_user")"
field ssh.home "$ssh_home"
command -v ssh >/dev/null 2>&1 && command -v ssh-keygen >/dev/null 2>&1 && field ssh.client yes
` + pairsScript + `
for f in "$ssh_home"/.ssh/id_*.zkctl-next "$ssh_home"/.ssh/id_*.zkctl-last; do
	[ -f "$f" ] || continue
	pub=$(ssh-keygen -y -P '' -f "$f" </dev/null 2>/dev/null) && field "ssh.${f##*.zkctl-}" "${f%.zkctl-*} $pub"
done
ssh_auth= ssh_hostkeys=
# sshd itself is asked where its configuration may say something of this, which takes ten times as long.
ssh_said=
[ ! -r /etc/ssh/sshd_config ] || ssh_said=$(grep -hisE '^[[:space:]]*"?(authorizedkeysfile|hostkey|match|include)' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf)$nl
case $ssh_said in
"$nl"|"Include /etc/ssh/sshd_config.d/*.conf$nl")
	ssh_said="authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2"
	for f in rsa ecdsa ed25519; do ssh_said="$ssh_said${nl}hostkey /etc/ssh/ssh_host_${f}_key"; done ;;
*) ssh_said=$(sshd -T -C "user=$ssh_user,host=localhost,addr=127.0.0.1" 2>/dev/null) ;;
esac
IFS=$nl; set -f
for l in $ssh_said; do
	case $l in
	'authorizedkeysfile '*) ssh_auth=${l#* } ;;
	'hostkey '*) [ ! -f "${l#* }.pub" ] || { file ssh.hostkey "${l#* }.pub"; ssh_hostkeys=yes; } ;;
	esac
done
set +f; unset IFS
[ -n "$ssh_auth" ] || ssh_auth=$(sed -n 's/^[ \t]*[Aa]uthorized[Kk]eys[Ff]ile[ \t]*//p' /etc/ssh/sshd_config 2>/dev/null | head -n 1)
# authorized_at FILE: sets p to its path; see sshd_config(5), AuthorizedKeysFile.
authorized_at() {
	p=$1
	case $p in *%*) p=$(printf '%s' "$p" | sed "s|%h|$ssh_home|g; s|%u|$ssh_user|g; s|%%|%|g") ;; esac
	case $p in /*) ;; *) p=$ssh_home/$p ;; esac
}
ssh_also=
case $ssh_auth in *' '*) ssh_also=${ssh_auth#* } ssh_auth=${ssh_auth%% *} ;; esac
[ -n "$ssh_auth" ] && [ "$ssh_auth" != none ] || ssh_auth=.ssh/authorized_keys
authorized_at "$ssh_auth"; ssh_auth=$p
field ssh.authpath "$ssh_auth"
for f in $ssh_also; do authorized_at "$f"; [ "$p" = "$ssh_auth" ] || file "ssh.also.$p" "$p"; done
ssh_stat() {
	for f; do [ ! -e "$f" ] || set -- "$@" "$f"; shift; done
	[ $# = 0 ] || stat -L -c 'ssh.stat.%n	=%a %U' -- "$@"
}
ssh_stat "$ssh_home" "$ssh_home/.ssh" "$ssh_auth" "$ssh_home/.ssh/known_hosts"
file ssh.authorized "$ssh_auth"
file ssh.known "$ssh_home/.ssh/known_hosts"
[ -n "$ssh_hostkeys" ] || for f in /etc/ssh/ssh_host_*_key.pub; do file ssh.hostkey "$f"; done
`

// Fragment is the script that observes the keys of a user, for
// hostprep.Wanted.Extra. An empty user means the one that runs it.
func Fragment(user string) string {
	set := `ssh_user=$(id -un)`
	if user != "" {
		set = "ssh_user=" + shell.Quote(user)
	}
	return set + "\n" + observeScript
}

// PairsFragment is the part of Fragment that observes the key pairs in a home directory, for ParsePairs.
func PairsFragment(home string) string { return "ssh_home=" + shell.Quote(home) + pairsScript }

// ParsePairs takes over into o what PairsFragment reported.
func (o *Observed) ParsePairs(fields remote.Fields) (err error) {
	o.Locked = fields.Texts("ssh.locked")
	o.Keys, err = o.pairs(fields, "ssh.key")
	return err
}

// pairs are the key pairs that were reported under a name.
func (o *Observed) pairs(fields remote.Fields, name string) (keys []UserKey, err error) {
	for _, k := range fields.Texts(name) {
		file, line, _ := strings.Cut(k, " ")
		public, err := ParsePublicKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if public.comment == "" {
			public.comment = o.User
		}
		keys = append(keys, UserKey{File: file, Public: public})
	}
	return keys, nil
}

// Parse reads what the Fragment reported.
func Parse(fields remote.Fields) (Observed, error) {
	o := Observed{
		User: fields.Text("ssh.user"), Group: fields.Text("ssh.group"), Home: fields.Text("ssh.home"),
		HasSSH: fields.Has("ssh.client"), Locked: fields.Texts("ssh.locked"),
		AuthorizedPath: path.Clean(fields.Text("ssh.authpath")),
	}
	if o.Home == "" || !path.IsAbs(o.Home) {
		return o, fmt.Errorf("user %s has no home directory", o.User)
	}
	o.KnownPath = o.Home + "/.ssh/known_hosts"
	o.HomeMode = stat(fields, o.Home).Mode
	o.Dir = stat(fields, o.Home+"/.ssh")
	o.Authorized = stat(fields, o.AuthorizedPath)
	o.Authorized.Content = fields.Bytes("ssh.authorized")
	o.Also = map[string][]byte{}
	for name := range fields {
		if file, ok := strings.CutPrefix(name, "ssh.also."); ok {
			o.Also[file] = fields.Bytes(name)
		}
	}
	o.Known = stat(fields, o.KnownPath)
	o.Known.Content = fields.Bytes("ssh.known")
	if o.Authorized.Exists && o.Authorized.Content == nil || o.Known.Exists && o.Known.Content == nil {
		return o, fmt.Errorf("the SSH files of user %s cannot be read", o.User)
	}
	for name, keys := range map[string]*[]UserKey{"ssh.key": &o.Keys, "ssh.next": &o.Next, "ssh.last": &o.Last} {
		var err error
		if *keys, err = o.pairs(fields, name); err != nil {
			return o, err
		}
	}
	for _, line := range fields.Texts("ssh.hostkey") {
		if public, err := ParsePublicKey(line); err == nil {
			o.HostKeys = append(o.HostKeys, public)
		}
	}
	slices.SortStableFunc(o.HostKeys, func(a, b PublicKey) int { return strings.Compare(a.Type(), b.Type()) })
	return o, nil
}

func stat(fields remote.Fields, p string) Entry {
	words := strings.Fields(fields.Text("ssh.stat." + p))
	if len(words) != 2 {
		return Entry{}
	}
	mode, _ := strconv.ParseUint(words[0], 8, 32)
	return Entry{Exists: true, Mode: fs.FileMode(mode & 0o777), Owner: words[1]}
}
