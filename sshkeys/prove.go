package sshkeys

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
)

// Target is a host that is logged in to.
type Target struct {
	Member  string // in the inventory
	Address string // what is given to ssh
	Name    string // leads to the same host; empty means that only the address is given to ssh
	User    string // empty means the user that calls
	Port    int    // zero means 22
}

// proveScript logs in to each target, five words each after the private key's file or
// "-": label, user or "-", port, address, name or "-". It goes on after failures and prints
// a line for each. A server under many logins at once drops some (MaxStartups), so those
// are tried again. Each login is a fresh one, whatever ssh_config says of sharing.
//
// A login by name proves one by address as well, where sshd says that it is this address which was
// called, ssh knows no other key for it (CheckHostIP), and ssh_config does not tell one
// destination from another. Otherwise there is a second login.
//
// The keys of a connection are agreed on by nistp256, or curve25519: with OpenSSL's the two ends of a login compute 8 ms less than
// with ssh's own curve25519, and a tenth of what they do with its first choice. An ssh or sshd that knows or wants neither is asked
// again as ssh does by itself.
const proveScript = `
key=$1; shift
apart=$(grep -hisE '^[[:space:]]*(host|match|include)[[:space:]=]' ~/.ssh/config /etc/ssh/ssh_config /etc/ssh/ssh_config.d/*.conf |
	grep -viE '^[[:space:]]*(host[[:space:]=]+\*|match[[:space:]]+(final[[:space:]]+)?all|include[[:space:]]+/etc/(ssh/ssh_config\.d|crypto-policies)/[^[:space:]]*)[[:space:]]*$')
# login OPTION: ends the subshell in which it is called.
login() {
	set -- ssh -n -o BatchMode=yes -o StrictHostKeyChecking=yes -o CheckHostIP=yes -o ConnectTimeout=10 -o LogLevel=ERROR \
		-o ControlMaster=no -o ControlPath=none -o PasswordAuthentication=no "$@" -p "$port" -l "$user" "$host"
	if [ "$key" != - ]; then shift; set -- ssh -i "$key" -o IdentitiesOnly=yes "$@"; fi
	exec "$@" 'echo called $SSH_CONNECTION'
}
at() {
	host=$1 tries=0 quick=-oKexAlgorithms=^ecdh-sha2-nistp256,curve25519-sha256
	while :; do
		said=$(login $quick 2>&1) && return
		case $quick$said in
		-o*KexAlgorithms*KexAlgorithms*|-o*"key exchange method"*|-o*libcrypto*) quick=; continue ;;
		*onnection*closed*|*onnection*reset*|*exchange_identification*)
			tries=$((tries+1))
			[ $tries -lt 8 ] && sleep 1 && continue ;;
		esac
		field failed "$label $host $said"
		return 1
	done
}
prove() {
	label=$1 user=$2 port=$3 address=$4 name=$5 ok=yes
	[ "$user" != - ] || user=$(id -un)
	if [ "$name" != - ]; then
		at "$name" || ok=
		case $ok:$apart:$said in yes::*"called "*" "*" $address "[0-9]*) field ok "$label"; return ;; esac
	fi
	at "$address" && [ -n "$ok" ] && field ok "$label"
}
# A login is mostly waiting, so that several go side by side.
lane() {
	mine=$1 at=0; shift
	while [ $# -ge 5 ]; do
		[ $((at % 4)) != "$mine" ] || prove "$1" "$2" "$3" "$4" "$5"
		at=$((at+1)); shift 5
	done
}
for lane in 0 1 2 3; do lane $lane "$@" & done
wait
:
`

// Failure is a login that did not work.
type Failure struct {
	From   string // member that called
	Target Target
	Host   string // the name or address of the target
	Said   string // by ssh
}

// Error names both hosts and what ssh said.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s: ssh %s: %s", f.From, f.Host, strings.Join(strings.Fields(f.Said), " "))
}

// Hint is the remedy.
func (f *Failure) Hint() string {
	switch {
	case strings.Contains(f.Said, "Permission denied"):
		return "look at sshd's log on " + f.Target.Member + ": PubkeyAuthentication, AllowUsers, modes of the home directory, SELinux labels (where keys are not wanted, set system.ssh_keys to leave)"
	case strings.Contains(f.Said, "Could not resolve"):
		return "the name is missing in /etc/hosts of " + f.From
	case strings.Contains(f.Said, "Host key verification failed"), strings.Contains(f.Said, "IDENTIFICATION HAS CHANGED"):
		return "another machine may answer at " + f.Host + ", or sshd serves a key that is not in /etc/ssh"
	}
	return ""
}

// Prove logs in from a host to all targets, in one round trip, and returns the failures: with the private key in the file
// identity of that host alone, or with "-" as ssh does by itself. The error tells that the proof itself could not be made.
func Prove(ctx context.Context, from remote.Host, identity string, targets []Target) ([]*Failure, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	args := []string{identity}
	for i, t := range targets {
		user, port, name := t.User, t.Port, t.Name
		if user == "" {
			user = "-"
		}
		if port == 0 {
			port = 22
		}
		if name == "" {
			name = "-"
		}
		args = append(args, strconv.Itoa(i), user, strconv.Itoa(port), t.Address, name)
	}
	res, err := from.Run(ctx, remote.Command{
		Label: "log in to the other members", Script: remote.FieldsScript + proveScript, Args: args, ReadOnly: true,
		Timeout: time.Minute + time.Duration(len(targets))*30*time.Second,
	})
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%s: log in to the other members: %w", from.Name(), err)
	}
	ok := make(map[string]bool)
	for _, label := range fields.Texts("ok") {
		ok[label] = true
	}
	said := make(map[string][][2]string)
	for _, f := range fields.Texts("failed") {
		label, text, _ := strings.Cut(f, " ")
		host, text, _ := strings.Cut(text, " ")
		said[label] = append(said[label], [2]string{host, text})
	}
	var failures []*Failure
	for i, t := range targets {
		label := strconv.Itoa(i)
		if !ok[label] && said[label] == nil {
			failures = append(failures, &Failure{From: from.Name(), Target: t, Host: t.Address})
		}
		for _, f := range said[label] {
			failures = append(failures, &Failure{From: from.Name(), Target: t, Host: f[0], Said: f[1]})
		}
	}
	return failures, nil
}
