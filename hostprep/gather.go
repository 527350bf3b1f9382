package hostprep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

// Wanted says which facts of a host to gather. The zero value gathers what every
// host has.
type Wanted struct {
	Root      bool     // gather as the superuser; without it owners of ports stay unknown
	LoginUser string   // whose home directory to report; empty means the user that runs the script
	DiskPaths []string // free space of the file systems that hold, or would hold, these
	Ports     []int    // who listens on these TCP ports
	DataDirs  []string // myid and data present
	Files     []string // state, and SHA-256 of what is no link
	Contents  []string // content, of files that exist
	Units     []string // systemd units
	Users     []string // existence of accounts
	Sysctls   []string // kernel parameters
	Names     []string // what addresses these have on the host
	// Firewall says how much of the packet filters matters: what firewalld and ufw let in takes about a second to list.
	Firewall FirewallPolicy

	// Extra are script fragments of other packages. They report by the functions of
	// remote.FieldsScript; what they report is found in Facts.Fields.
	Extra []string
}

// gatherScript reports everything by fields. It gets LoginUser as $1; lists are
// set in front of it as shell functions by Gather.
//
// A process takes a millisecond, and so does each command in $( ) or a pipe half of one: what a host is asked each time
// is told by the shell itself where it can, and a program is called once for all that it is needed for.
const gatherScript = `
# line FILE: sets l to its first line, without a process.
line() { l=; [ ! -r "$1" ] || { IFS= read -r l <"$1"; } 2>/dev/null || :; }
now; field time0 "$t"
# file NAME PATH: as that of remote.FieldsScript, but contents_of reports all together. (In a pipe it would be lost.)
files=0
file() { if [ -f "$2" ] && [ -r "$2" ]; then files=$((files + 1)); eval "name$files=\$1 path$files=\$2"; fi; }
contents_of() {
	for p; do file "content.$p" "$p"; done
	set --; n=0
	while [ $n != $files ]; do n=$((n + 1)); eval "set -- \"\$@\" \"\$path$n\"; field contents.as \"\$name$n\""; done
	[ $# = 0 ] && return
	stat -L -c 'contents.of	=%s %n' -- "$@"
	printf 'contents\t%s\n' "$(cat -- "$@" | enc)"
}
[ -n "$1" ] || set -- "$(id -un)"
file os_release /etc/os-release
kernel() { field kernel "$1"; field hostname "$2"; field release "$3"; field machine "$4"; }
kernel $(uname -s -n -r -m)
field bits "$(getconf LONG_BIT 2>/dev/null)"
uid=
while read -r name _ l _; do case $name in Uid:) uid=$l; break ;; esac; done </proc/self/status
field uid "${uid:-$(id -u)}"
field user "$1"
line /etc/machine-id; field machine_id "$l"
while read -r name l _; do
	case $name in MemTotal:) field memory "$l" ;; MemAvailable:) field memory_available "$l"; break ;; esac
done </proc/meminfo
cpus=0
for p in /sys/devices/system/cpu/cpu[0-9]*; do
	l=1 # the first one cannot be off, and does not say so
	[ ! -e "$p/online" ] || line "$p/online"
	[ ! -d "$p" ] || cpus=$((cpus + l))
done
[ $cpus != 0 ] || cpus=$(grep -c '^processor' /proc/cpuinfo)
field cpus "$cpus"

user=$1
home=$(getent passwd "$1" 2>/dev/null || grep "^$1:" /etc/passwd)
home=${home%:*} home=${home##*:}
field home "$home"
accounts() {
	for u; do
		# uid=0(root) gid=0(root) groups=0(root)
		l=$(id "$u" 2>/dev/null) || continue
		gid=${l#* gid=} gid=${gid%% *} group=${gid#*\(} l=${l#uid=}
		field account "$u ${l%%[!0-9]*} ${gid%%[!0-9]*} ${group%\)}"
	done
}
with_users accounts

disks() {
	[ $# != 0 ] || return 0
	for p; do
		while [ ! -e "$p" ]; do p=${p%/*}; [ -n "$p" ] || p=/; done
		set -- "$@" "$p"; shift
	done
	sizes=$(stat -L -f -c '%S %b %a' -- "$@" 2>/dev/null)$nl
}
disk_fields() { for p; do field disk "${sizes%%"$nl"*} $p"; sizes=${sizes#*"$nl"}; done; }
with_disks disks
with_disks disk_fields

p=/sys/kernel/mm/transparent_hugepage/enabled
[ -e "$p" ] && [ ! -w "$p" ] && field huge_pages_fixed yes
line "$p"; field huge_pages "$l"
while read -r s; do case $s in /*) field swap "$s" ;; esac; done 2>/dev/null </proc/swaps
sysctls() { for s; do
	p=/proc/sys/$(echo "$s" | tr . /)
	[ -r "$p" ] && field sysctl "$s $(tr '\n\t' '  ' <"$p")"
	[ -e "$p" ] && [ ! -w "$p" ] && field sysctl_fixed "$s"
	for p in /usr/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.d/*.conf /etc/sysctl.conf; do
		case $p in
		*/90-zkctl.conf) continue ;;
		/etc/sysctl.conf) [ ! -d /run/systemd/system ] || continue ;; # there it counts by a link only
		*) [ "$(printf '%s\n' "${p##*/}" 90-zkctl.conf | sort | head -n 1)" = 90-zkctl.conf ] || continue ;;
		esac
		sed -n "s#^[ 	-]*\($s[ 	]*=.*\)#\1#p" "$p" 2>/dev/null | while IFS= read -r l; do field sysctl_later "$p $l"; done
	done
done; }
with_sysctls sysctls
names() { for n; do getent ahosts "$n" 2>/dev/null | while read -r a _; do field resolved "$n $a"; done; done; }
with_names names

data() { for d; do
	[ -d "$d" ] || continue
	field data "$d"
	file "myid.$d" "$d/myid"
	for f in "$d"/version-2/*; do
		[ -e "$f" ] && { field "holds.$d" "${f##*/}"; break; }
	done
done; }
with_data data

# Many files are looked at together: processes for each would be felt.
look_at() {
	for p; do
		shift
		if [ -L "$p" ]; then field kind "link $p"; field "link.$p" "$(readlink -- "$p")"
		elif [ -f "$p" ]; then field kind "file $p"
		elif [ -d "$p" ]; then field kind "dir $p"
		elif [ -e "$p" ]; then field kind "other $p"
		else continue; fi
		set -- "$@" "$p"
	done
	[ $# = 0 ] || stat -c 'stat	=%a %U %G %s %Y %n' -- "$@" 2>/dev/null
	for p; do shift; if [ -f "$p" ] && [ -r "$p" ] && [ ! -L "$p" ]; then set -- "$@" "$p"; fi; done
	[ $# = 0 ] || { openssl dgst -sha256 -r "$@" 2>/dev/null || sha256sum -- "$@"; } | while IFS= read -r l; do field sum "$l"; done
}
with_files look_at

# show_units reports units, a field each, with tabs between their properties.
show_units() {
	shown=$(systemctl show -p LoadState -p ActiveState -p SubState -p UnitFileState -p MainPID -p NeedDaemonReload -p ExecMainStartTimestampMonotonic "$@" 2>/dev/null)
	properties= units=$nl
	while IFS= read -r l; do
		if [ -n "$l" ]; then properties="$properties	$l"; continue; fi
		[ -z "$properties" ] || field "unit.$1" "$properties"
		units="$units$1$properties$nl"
		case $properties in *"	MainPID="[1-9]*) l=${properties#*MainPID=}; main_pids="$main_pids ${l%%"	"*}" ;; esac
		case $1/$properties in firewalld.service/*ActiveState=active*|firewalld.service/*ActiveState=reloading*) firewalld=yes ;; esac
		properties=; shift
	done <<END
$shown

END
}
# properties_of UNIT: sets l to what was shown of it, each property between tabs. (A shell takes the square of a text's length
# to find a place in it, but splits it in one go.)
properties_of() {
	IFS=$nl; set -f; set -- "$1" $units; set +f; unset IFS
	unit_asked=$1 l=; shift
	for s; do case $s in "$unit_asked	"*) l=${s#"$unit_asked"}"	" ;; esac; done
}
firewalld= units= main_pids=
if [ -d /run/systemd/system ]; then
	field systemd yes
	with_units show_units
elif command -v firewall-cmd >/dev/null 2>&1; then
	firewall-cmd --state >/dev/null 2>&1 && field unit.firewalld.service 'LoadState=loaded
ActiveState=active'
fi
# The table of all sockets is read once: that takes the kernel a while, however few there are.
listeners() {
	for p; do
		set -- "$@" -e "s/^ *[0-9]*: \([0-9A-F]*\):${p#*:} [0-9A-F]*:[0-9A-F]* 0A .*\$/${p%:*} \1 &/p"; shift
	done
	[ $# = 0 ] || sed -n "$@" /proc/net/tcp /proc/net/tcp6 2>/dev/null
}
listening=$(with_ports listeners)
if [ -n "$listening" ]; then
	# Those sockets with their processes, a line each: inode and process.
	set -- "$1" -e 's#^/proc/\([0-9]*\)/.*#\1#; /^[0-9][0-9]*$/h'
	while read -r _ _ _ _ _ _ _ _ _ _ _ inode _; do set -- "$@" -e "/socket:.$inode]/{s/.*/$inode/;G;s/\n/ /;p;}"; done <<END
$listening
END
	login=$1; shift
	sockets_of() { processes=$1; shift; sockets=$nl$(ls -l $processes /proc/self/fd 2>/dev/null | sed -n "$@")$nl; }
	# Those of the services first: where there are many processes, a look at all takes long.
	services=
	for p in $main_pids; do services="$services /proc/$p/fd"; done
	sockets_of "$services" "$@"
	while read -r _ _ _ _ _ _ _ _ _ _ _ inode _; do
		case $sockets in *"$nl$inode "*) ;; *) sockets_of '/proc/[0-9]*/fd' "$@"; break ;; esac
	done <<END
$listening
END
	set -- "$login"
	told=
	printf '%s\n' "$listening" | while read -r p addr _ _ _ _ _ _ _ _ _ inode _; do
		case $sockets in
		*"$nl$inode "*)
			pid=${sockets#*"$nl$inode "}; pid=${pid%%"$nl"*}
			line "/proc/$pid/comm"; field port "$p $addr $pid $l"
			case $told in *" $pid "*) continue ;; esac
			told="$told $pid "
			field "cmdline.$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
			while IFS= read -r l; do case $l in *.service*) field "cgroup.$pid" "$l" ;; esac; done 2>/dev/null <"/proc/$pid/cgroup" ;;
		*) # of somebody that cannot be seen, unless it has ended by now
			case $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null) in *" $inode "*) field port "$p $addr 0 -" ;; esac ;;
		esac
	done
fi
if [ -x /sbin/openrc-run ] && [ -d /run/openrc ]; then
	field openrc yes
	for p in /etc/runlevels/*/*; do [ -L "$p" ] && field starts "${p#/etc/runlevels/}"; done
fi
line /proc/1/comm; field init "$l"
ufw=
if command -v ufw >/dev/null 2>&1; then
	# ufw is slow, and asks the same first.
	iptables -L ufw-user-input -n >/dev/null 2>&1
	if [ $? = 1 ]; then ufw="Status: inactive"; else ufw=$(ufw status 2>/dev/null | head -n 1); fi
	field ufw "$ufw"
	case $ufw in *": active") want_firewall && field ufw_rules "$(ufw show added 2>/dev/null)" ;; esac
fi
if [ ! -d /run/systemd/system ] && command -v firewall-cmd >/dev/null 2>&1 && firewall-cmd --state >/dev/null 2>&1; then firewalld=yes; fi
if [ -n "$firewalld" ] && want_firewall && firewall-cmd --state >/dev/null 2>&1; then
	zones=$(firewall-cmd --get-active-zones 2>/dev/null | sed -n 's/^\([^ ][^ ]*\).*$/\1/p')
	[ -n "$zones" ] || zones=$(firewall-cmd --get-default-zone)
	for z in $zones; do
		field zone "$z"
		field "target.$z" "$(firewall-cmd --permanent --zone="$z" --get-target 2>/dev/null)"
		field "open.$z" "$(firewall-cmd --zone="$z" --list-ports)"
		field "permanent.$z" "$(firewall-cmd --permanent --zone="$z" --list-ports 2>/dev/null)"
		field "rich.$z" "$(firewall-cmd --zone="$z" --list-rich-rules)"
		field "permanent_rich.$z" "$(firewall-cmd --permanent --zone="$z" --list-rich-rules 2>/dev/null)"
	done
fi
# nft_included shows what the file $1 includes; $2 is as long as this is deep.
nft_included() {
	sed -n "s/^[[:space:]]*include[[:space:]]*[\"']\([^\"']*\)[\"'].*/\1/p" "$1" 2>/dev/null | while IFS= read -r pattern; do
		case $pattern in /*) ;; *) pattern=/etc/$pattern ;; esac
		for p in $pattern; do
			case $p in */zkctl-*.nft) continue ;; esac
			[ -f "$p" ] && [ "$2" != xxxxx ] && { cat "$p"; echo; nft_included "$p" "x$2"; }
		done
	done
}
if want_nft && command -v nft >/dev/null 2>&1; then
	properties_of nftables.service
	boots=
	case $l in *=enabled*|*=active*|*=activating*|*=reloading*) boots=yes ;; esac
	for p in /etc/runlevels/*/nftables; do [ -L "$p" ] && boots=yes; done
	# Beside another filter it is not looked at, unless all are disabled and it is at work or will be.
	case $firewalld/$ufw in yes/*|*": active") beside=yes ;; *) beside= ;; esac
	if [ -z "$beside" ] || { [ -n "$boots" ] && ! want_firewall; }; then
		nft=$(nft -s list ruleset 2>/dev/null)
		field nft "$nft"
		# Where it filters nothing, and will not, its configuration does not matter.
		[ -z "$nft$boots" ] || for p in "$(systemctl cat nftables.service 2>/dev/null | sed -n 's/^ExecStart=.*-f *\(\/[^ ;}]*\).*/\1/p' | head -n 1)" \
			/etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables.nft; do
			[ -n "$p" ] && [ -f "$p" ] && { field nft_config "$p"; file nft_text "$p"; field nft_included "$(nft_included "$p" x)"; break; }
		done
		# Each directory of /etc is looked into.
		if want_firewall; then for p in /etc/*/zkctl-*.nft /etc/*/*/zkctl-*.nft; do file "content.$p" "$p"; done; fi
	fi
fi

command -v getenforce >/dev/null 2>&1 && field getenforce "$(getenforce 2>/dev/null)"
[ -e /sys/fs/selinux/enforce ] && { line /sys/fs/selinux/enforce; field selinux_enforce "$l"; }
file selinux_config /etc/selinux/config
[ -L /etc/selinux/config ] && field selinux_link "$(readlink -f /etc/selinux/config)"

file hosts /etc/hosts
for p in /etc/nsswitch.conf /usr/etc/nsswitch.conf; do
	[ -f "$p" ] || continue
	while read -r name l; do case $name in hosts:*) field nsswitch "${name#hosts:}$l"; break ;; esac; done <"$p"
	break
done
[ -L /etc/hosts ] && field hosts_link "$(readlink -f /etc/hosts)"
grep -q ' /etc/hosts ' /proc/self/mountinfo 2>/dev/null && field hosts_mount yes
command -v lsattr >/dev/null 2>&1 && field hosts_immutable "$(lsattr -d /etc/hosts 2>/dev/null)"
# What the user says counts more than what the provider or the image says.
for p in /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg /var/lib/cloud/instance/vendor-cloud-config.txt /var/lib/cloud/instance/cloud-config.txt; do
	[ ! -f "$p" ] || sed -n 's/^ *manage_etc_hosts: *\([^ #]*\).*$/\1/p' "$p" 2>/dev/null
done | while IFS= read -r l; do field cloud_hosts "$l"; done
# Its signs are those of its documentation, "boot stages".
[ ! -e /run/cloud-init/enabled ] || [ -e /run/cloud-init/result.json ] || field cloud_init yes
[ ! -d /etc/cloud/templates ] || for p in /etc/cloud/templates/hosts.*.tmpl; do file "content.$p" "$p"; done
line /proc/cmdline
case " $l " in *" enforcing=1 "*) field selinux_forced yes ;; esac

for t in systemctl supervise-daemon restorecon crontab ssh ssh-keygen logger gzip; do
	command -v "$t" >/dev/null 2>&1 && field tool "$t"
done
`

// nowScript sets t to nanoseconds since 1970 where date knows them, else to seconds.
const nowScript = `
now() { t=$(date +%s%N); case $t in *[!0-9]*|??????????) t=$(date +%s)000000000 ;; esac; }
`

// Gather asks a host for its facts, in one round trip; in up to three if somebody writes to the files meanwhile. It changes nothing.
func Gather(ctx context.Context, host remote.Host, want Wanted) (*Facts, error) {
	var script strings.Builder
	script.WriteString(remote.FieldsScript)
	script.WriteString(nowScript)
	var ports []string // and what the kernel's table has for them
	for _, p := range want.Ports {
		ports = append(ports, fmt.Sprintf("%d:%04X", p, p))
	}
	// These call what they are given with the list.
	with := func(name string, items []string) {
		fmt.Fprintf(&script, "%s() { \"$@\" %s; }\n", name, shell.Join(items...))
	}
	with("with_disks", want.DiskPaths)
	with("with_ports", ports)
	with("with_files", want.Files)
	with("with_contents", want.Contents)
	with("with_data", want.DataDirs)
	with("with_units", slices.Concat(want.Units, []string{"firewalld.service", "ufw.service", "nftables.service", "iptables.service", "SuSEfirewall2.service"}))
	with("with_users", want.Users)
	with("with_names", want.Names)
	with("with_sysctls", want.Sysctls)
	fmt.Fprintf(&script, "want_firewall() { %t; }\nwant_nft() { %t; }\n", want.Firewall.Opens(), want.Firewall.Opens() || want.Firewall == FirewallDisable)
	script.WriteString(gatherScript)
	for _, extra := range want.Extra {
		script.WriteString(extra)
		script.WriteString("\n")
	}
	script.WriteString("with_contents contents_of\nnow; field time1 \"$t\"\n:\n")

	command := remote.Command{
		Label: "gather facts", Script: script.String(), Args: []string{want.LoginUser}, Root: want.Root, ReadOnly: true,
	}
	for again := 2; ; again-- {
		f, err := gather(ctx, host, command)
		if again == 0 || !errors.Is(err, errMoving) {
			return f, err
		}
	}
}

func gather(ctx context.Context, host remote.Host, command remote.Command) (*Facts, error) {
	before := time.Now()
	res, err := host.Run(ctx, command)
	after := time.Now()
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%s: gather facts: %w", host.Name(), err)
	}
	contents, err := parseContents(fields, parseFiles(fields))
	if err != nil {
		return nil, fmt.Errorf("%s: gather facts: %w", host.Name(), err)
	}
	f := parseFacts(host.Name(), fields)
	f.Contents = contents
	f.setClock(fields, before, after)
	return f, nil
}
