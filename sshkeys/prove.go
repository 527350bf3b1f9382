package sshkeys

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
)

// Target is a way to call a host: a name or an address.
type Target struct {
	Member string // in the inventory
	Host   string // what is given to ssh
	User   string // empty means the user that calls
	Port   int    // zero means 22
}

// proveScript logs in to each target, four words each after the private key's file or
// "-": label, host, user or "-", port, four at a time. It goes on after failures and prints
// one line for each. A server under many logins at once drops some (MaxStartups), so those
// are tried again. Each login is a fresh one, whatever ssh_config says of sharing.
const proveScript = `
key=$1; shift
login() {
	set -- ssh -n -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o LogLevel=ERROR \
		-o ControlMaster=no -o ControlPath=none -o PasswordAuthentication=no -p "$port" -l "$user" "$host"
	if [ "$key" != - ]; then shift; set -- ssh -i "$key" -o IdentitiesOnly=yes "$@"; fi
	"$@" true
}
prove() {
	label=$1 host=$2 user=$3 port=$4 tries=0
	[ "$user" != - ] || user=$(id -un)
	while :; do
		said=$(login 2>&1 >/dev/null) && { field ok "$label"; break; }
		tries=$((tries+1))
		case $said in *onnection*closed*|*onnection*reset*|*exchange_identification*) [ $tries -lt 8 ] && sleep 1 && continue ;; esac
		field failed "$label $said"
		break
	done
}
# A login is mostly waiting, so that several go side by side.
lane() {
	mine=$1 at=0; shift
	while [ $# -ge 4 ]; do
		[ $((at % 4)) != "$mine" ] || prove "$1" "$2" "$3" "$4"
		at=$((at+1)); shift 4
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
	Said   string // by ssh
}

// Error names both hosts and what ssh said.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s: ssh %s: %s", f.From, f.Target.Host, strings.Join(strings.Fields(f.Said), " "))
}

// Hint is the remedy.
func (f *Failure) Hint() string {
	switch {
	case strings.Contains(f.Said, "Permission denied"):
		return "look at sshd's log on " + f.Target.Member + ": PubkeyAuthentication, AllowUsers, modes of the home directory, SELinux labels (where keys are not wanted, set system.ssh_keys to leave)"
	case strings.Contains(f.Said, "Could not resolve"):
		return "the name is missing in /etc/hosts of " + f.From
	case strings.Contains(f.Said, "Host key verification failed"), strings.Contains(f.Said, "IDENTIFICATION HAS CHANGED"):
		return "another machine may answer at " + f.Target.Host + ", or sshd serves a key that is not in /etc/ssh"
	}
	return ""
}

// Prove logs in from a host to all targets, in one round trip, and returns the
// failures. The error tells that the proof itself could not be made.
func Prove(ctx context.Context, from remote.Host, targets []Target) ([]*Failure, error) {
	return ProveWith(ctx, from, "-", targets)
}

// ProveWith is Prove with the private key in a file of the host alone.
func ProveWith(ctx context.Context, from remote.Host, identity string, targets []Target) ([]*Failure, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	args := []string{identity}
	for i, t := range targets {
		user, port := t.User, t.Port
		if user == "" {
			user = "-"
		}
		if port == 0 {
			port = 22
		}
		args = append(args, strconv.Itoa(i), t.Host, user, strconv.Itoa(port))
	}
	res, err := from.Run(ctx, remote.Command{
		Label: "log in to the other members", Script: remote.FieldsScript + proveScript, Args: args, ReadOnly: true,
		Timeout: time.Minute + time.Duration(len(targets))*15*time.Second,
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
	said := make(map[string]string)
	for _, f := range fields.Texts("failed") {
		label, text, _ := strings.Cut(f, " ")
		said[label] = text
	}
	var failures []*Failure
	for i, t := range targets {
		if !ok[strconv.Itoa(i)] {
			failures = append(failures, &Failure{From: from.Name(), Target: t, Said: said[strconv.Itoa(i)]})
		}
	}
	return failures, nil
}
