#!/bin/bash
# lab.sh: real test hosts on one Linux machine, as root: systemd, sshd, firewalld, a disk and an address each.
#
#	lab/lab.sh up [N]            N bare hosts (default 3): master, slave1, slave2, ...; existing ones stay as they are
#	lab/lab.sh fresh [N]         down, then up: bare hosts for certain
#	lab/lab.sh down              remove hosts, disks, network, control groups (the cached base image stays)
#	lab/lab.sh status            what runs
#	lab/lab.sh ssh NAME [CMD]    root shell or command on a host
#	lab/lab.sh kill NAME...      power cut: cable out, unsynced data lost, every process gone, all hosts at once
#	lab/lab.sh stop NAME...      orderly power off
#	lab/lab.sh start NAME...     power on
#	lab/lab.sh pause NAME        freeze every process of the host; resume NAME thaws them
#	lab/lab.sh cable NAME out|in pull or plug the network cable
#	lab/lab.sh partition A B     no packet between two hosts any more; "partition A B oneway" stops only A's to B
#	lab/lab.sh heal              end of all partitions
#	lab/lab.sh variant NAME V... change a host, as hosts are found in the field; "plain" takes it all back:
#	                             sshd: no-sftp max-sessions-1 max-startups-2 password-only keyboard-interactive
#	                             no-forwarding no-root-login root-login new-host-key
#	                             shells, accounts: chatty fish tcsh nologin expired home-not-ours
#	                             root: sudo-password requiretty doas-password
#	                             machine: no-firewalld ufw nftables bind-hosts immutable-hosts read-only full-disk clock-off
#	                             foreign-data closed-ports behind
#
# Environment: ZKCTL_LAB (lab number 0..9, default 0: each has its own network 10.99.<number>.0/24 and hosts),
# ZKCTL_LAB_CACHE (base image, default /var/cache/zkctl-lab), ZKCTL_LAB_DIR (disks, default /var/lib/zkctl-lab),
# ZKCTL_LAB_INIT (what new hosts boot: systemd; sysv: init scripts only, without systemd and firewalld; or openrc, likewise;
# one word, or one for each host, with commas between), ZKCTL_LAB_JAVA (not empty: new hosts have the Java of this machine).
#
# A host is a systemd-nspawn container in its own network namespace, control group and loop-mounted ext4 file system.
# Where hosts cannot run, "up" prints "SKIP: reason" and ends with status 77.
set -u

lab_source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_number=${ZKCTL_LAB:-0}
lab_cache=${ZKCTL_LAB_CACHE:-/var/cache/zkctl-lab}
lab_dir=${ZKCTL_LAB_DIR:-/var/lib/zkctl-lab}/$lab_number
lab_out=$lab_source/out-$lab_number
lab_bridge=zklab$lab_number
lab_net=10.99.$lab_number
disk_size=4G # sparse

note() { echo "lab: $*" >&2; }
fail() { echo "lab: error: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }

. "$lab_source/image.sh"
. "$lab_source/host.sh"

# --- what the machine must offer -------------------------------------------------------------------------------------

lab_packages() {
	local missing=() pair
	for pair in debootstrap:debootstrap systemd-nspawn:systemd-container ip:iproute2 ssh-keygen:openssh-client \
		nft:nftables mkfs.ext4:e2fsprogs perl:perl-base flock:util-linux; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
	done
	[ ${#missing[@]} -eq 0 ] && return
	command -v apt-get >/dev/null || skip "missing programs and no apt-get to install: ${missing[*]}"
	note "installing ${missing[*]}"
	{
		apt-get update -q &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
	} >/tmp/zkctl-lab-apt.log 2>&1 || skip "cannot install ${missing[*]} (log: /tmp/zkctl-lab-apt.log)"
}

lab_check() {
	[ "$(id -u)" = 0 ] || skip "test hosts need root"
	lab_packages
	grep -qw overlay /proc/filesystems || skip "the kernel has no overlay file system"
	[ -e /dev/loop-control ] || skip "the machine has no loop devices"
	unshare --net --mount --pid --fork true 2>/dev/null || skip "the machine does not allow namespaces"
	[ -d /sys/fs/cgroup/systemd ] || [ -f /sys/fs/cgroup/cgroup.controllers ] ||
		skip "no control group hierarchy that systemd could use at /sys/fs/cgroup"
}

# --- the network: one bridge, the machine itself is .1 ---------------------------------------------------------------

network_up() {
	if ! ip link show "$lab_bridge" >/dev/null 2>&1; then
		ip link add "$lab_bridge" type bridge || skip "the kernel has no bridges"
		ip addr add "$lab_net.1/24" dev "$lab_bridge"
	fi
	ip link set "$lab_bridge" up
	# Bridged packets stay out of the machine's own IP filter, if it has one.
	[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
	# Each systemd takes inotify instances; the default of 128 is enough for few hosts only.
	[ "$(cat /proc/sys/fs/inotify/max_user_instances)" -ge 4096 ] || echo 4096 >/proc/sys/fs/inotify/max_user_instances
}

network_down() {
	nft delete table bridge "$lab_bridge" 2>/dev/null
	ip link del "$lab_bridge" 2>/dev/null
	return 0
}

lab_partition() {
	local a b
	a=$(host_link "$1") b=$(host_link "$2")
	nft -f - <<-RULES || fail "nftables refused the partition"
		add table bridge $lab_bridge
		add chain bridge $lab_bridge forward { type filter hook forward priority 0; }
		add rule bridge $lab_bridge forward iifname "$a" oifname "$b" drop
	RULES
	if [ "${3:-}" != oneway ]; then
		nft add rule bridge "$lab_bridge" forward iifname "$b" oifname "$a" drop || fail "nftables refused the partition"
	fi
}

# --- verbs -----------------------------------------------------------------------------------------------------------

lab_up() {
	local count=$1 name names=() begin=$SECONDS i
	[[ "$count" =~ ^[1-9][0-9]?$ ]] || fail "up: number of hosts 1..99, not \"$count\""
	lab_check
	lab_base=$(image_path)
	image_ensure "$lab_base"
	mkdir -p "$lab_dir"
	# A shared mount, so that an unmount here reaches the namespaces of the other hosts and a dead host's disk is free.
	if ! mountpoint -q "$lab_dir"; then
		mount --bind "$lab_dir" "$lab_dir" && mount --make-shared "$lab_dir" || fail "cannot make $lab_dir a shared mount"
	fi
	lab_keys
	network_up
	for ((i = 1; i <= count; i++)); do
		name=$(host_name "$i")
		names+=("$name")
		host_create "$i" "$name" || fail "$name: cannot create the host"
	done
	lab_start "${names[@]}"
	lab_inventory
	note "${#names[@]} hosts up in $((SECONDS - begin)) s"
	lab_status
	echo "inventory: $lab_out/inventory.yaml"
	echo "ssh:       ssh -F $lab_out/ssh_config ${names[0]}"
}

lab_start() {
	local name
	[ $# -gt 0 ] || fail "start: which host?"
	lab_base=$(cat "$lab_dir/base") || fail "no lab is up"
	for name in "$@"; do host_boot "$name" || fail "$name: cannot boot"; done
	for name in "$@"; do
		if ! host_wait "$name"; then
			tail -n 20 "$lab_dir/$name/console.log" >&2
			fail "$name: no ssh at $(host_address "$name") after 60 s (console: $lab_dir/$name/console.log)"
		fi
	done
}

# lab_kill cuts the power of several hosts as near to at once as one machine can: all cables, all disks, all processes.
lab_kill() {
	local name
	[ $# -gt 0 ] || fail "kill: which host?"
	for name in "$@"; do ip link set "$(host_link "$name")" down || fail "$name: no such host"; done
	for name in "$@"; do host_disk_cut "$name"; done
	for name in "$@"; do host_end "$name"; done
}

lab_stop() {
	local name tries
	[ $# -gt 0 ] || fail "stop: which host?"
	for name in "$@"; do host_shutdown "$name"; done
	for name in "$@"; do
		for ((tries = 0; tries < 300; tries++)); do
			host_running "$name" || break
			sleep 0.1
		done
		host_end "$name"
	done
}

lab_down() {
	local name
	[ "$(id -u)" = 0 ] || fail "needs root"
	for name in $(lab_hosts); do
		ip link set "$(host_link "$name")" down 2>/dev/null
		host_end "$name"
		host_remove "$name"
	done
	network_down
	if mountpoint -q "$lab_dir" 2>/dev/null; then umount "$lab_dir" || umount -l "$lab_dir"; fi
	rm -rf "$lab_dir" "$lab_out"
	rmdir "${lab_dir%/*}" 2>/dev/null
	cgroup_remove_all
	return 0
}

lab_status() {
	local name
	printf '%-10s %-14s %s\n' NAME ADDRESS STATE
	for name in $(lab_hosts); do
		printf '%-10s %-14s %s\n' "$name" "$(host_address "$name")" "$(host_running "$name" && echo running || echo off)"
	done
}

lab_ssh() {
	local name=$1
	shift
	[ -f "$lab_out/ssh_config" ] || fail "no lab is up"
	ssh -F "$lab_out/ssh_config" "$name" "$@"
}

# lab_hosts prints the names of the existing hosts in the order of their numbers.
lab_hosts() {
	local file
	for file in "$lab_dir"/*/number; do
		[ -f "$file" ] && echo "$(cat "$file") $(basename "$(dirname "$file")")"
	done | sort -n | cut -d' ' -f2
}

# --- how to reach the hosts: key pair, ssh_config, inventory ---------------------------------------------------------

lab_keys() {
	mkdir -p "$lab_out"
	[ -f "$lab_out/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C "zkctl-lab-$lab_number" -f "$lab_out/id_ed25519"
	echo "$lab_base" >"$lab_dir/base"
}

lab_inventory() {
	local name
	{
		for name in $(lab_hosts); do printf 'Host %s\n  HostName %s\n' "$name" "$(host_address "$name")"; done
		printf '%s\n' 'Host *' '  User root' "  IdentityFile $lab_out/id_ed25519" '  IdentitiesOnly yes' \
			'  StrictHostKeyChecking no' '  UserKnownHostsFile /dev/null' '  LogLevel ERROR' '  ConnectTimeout 5'
	} >"$lab_out/ssh_config"
	{
		cat <<-YAML
			# The hosts of lab $lab_number, written by lab/lab.sh.
			name: lab
			ssh:
			  user: root
			  identity_files: [$lab_out/id_ed25519]
			  agent: false
			  host_key_policy: accept-new
			  known_hosts: [$lab_out/known_hosts]
			hosts:
		YAML
		for name in $(lab_hosts); do
			echo "  - {name: $name, address: $(host_address "$name"), id: $(cat "$lab_dir/$name/number")}"
		done
	} >"$lab_out/inventory.yaml"
}

main() {
	local verb=${1:-help}
	[ $# -gt 0 ] && shift
	case $verb in
	up) lab_up "${1:-3}" ;;
	fresh) lab_down && lab_up "${1:-3}" ;;
	down) lab_down ;;
	status) lab_status ;;
	ssh) lab_ssh "$@" ;;
	kill) lab_kill "$@" ;;
	stop) lab_stop "$@" ;;
	start) lab_start "$@" ;;
	pause) host_freeze "$1" FROZEN ;;
	resume) host_freeze "$1" THAWED ;;
	cable)
		case ${2:-} in
		out) ip link set "$(host_link "$1")" down ;;
		in) ip link set "$(host_link "$1")" up ;;
		*) fail "cable NAME out|in" ;;
		esac
		;;
	partition) lab_partition "$@" ;;
	heal) nft delete table bridge "$lab_bridge" 2>/dev/null || : ;;
	variant) host_variant "$@" ;;
	run-host) host_run "$1" ;; # internal: the process that holds a booted host
	*) sed -n '2,/^set -u/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
	esac
}

main "$@"
exit
