#!/bin/bash
# host.sh: one test host: its disk, network end, control group, boot and power cut. Sourced by lab.sh.
#
# Under $lab_dir/NAME:  number, disk.ext4 (sparse image, loop-mounted at disk/, holds the upper layer of the overlay),
# root/ (the overlay: base image below, disk above), console.log, pid (the process that holds the host).
#
# The whole root of a host lies on its own ext4, so a power cut is a real one: EXT4_IOC_SHUTDOWN throws away what was
# not synced, and the next boot replays the journal. (What the loop device has taken survives: the cut is that of a disk
# that keeps its promises.)

host_name() { if [ "$1" = 1 ]; then echo master; else echo "slave$(($1 - 1))"; fi; }
host_number() { cat "$lab_dir/$1/number" 2>/dev/null || fail "$1: no such host"; }
host_address() { echo "$lab_net.$((10 + $(host_number "$1")))"; }
host_link() { echo "zkl${lab_number}h$(host_number "$1")"; }
host_netns() { echo "zklab$lab_number-$1"; }

# --- making and removing ---------------------------------------------------------------------------------------------

host_create() {
	local number=$1 name=$2 dir=$lab_dir/$2 link ns
	mkdir -p "$dir/disk" "$dir/root"
	[ -f "$dir/number" ] || echo "$number" >"$dir/number"
	[ -f "$dir/init" ] || host_init_wanted "$number" >"$dir/init"
	[ -z "${ZKCTL_LAB_JAVA:-}" ] || [ -f "$dir/java" ] || java_layer >"$dir/java" || return 1
	link=$(host_link "$name") ns=$(host_netns "$name")
	if [ ! -f "$dir/disk.ext4" ]; then
		truncate -s "$disk_size" "$dir/disk.ext4.new" &&
			mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 "$dir/disk.ext4.new" || return 1
		mv "$dir/disk.ext4.new" "$dir/disk.ext4"
	fi
	if ! ip netns list | grep -qw "$ns"; then
		ip netns add "$ns" &&
			ip link add "$link" type veth peer name eth0 netns "$ns" &&
			ip link set "$link" master "$lab_bridge" &&
			ip -n "$ns" addr add "$(host_address "$name")/24" dev eth0 &&
			ip -n "$ns" link set lo up && ip -n "$ns" link set eth0 up || return 1
	fi
	host_mount "$name" || return 1
	[ -f "$dir/root/etc/machine-id" ] || host_dress "$name"
}

# host_init_wanted prints what a new host boots: ZKCTL_LAB_INIT has one word for all hosts, or one for each.
host_init_wanted() {
	local words
	IFS=, read -r -a words <<<"${ZKCTL_LAB_INIT:-systemd}"
	echo "${words[$1 - 1]:-${words[-1]}}"
}

# java_layer prints the directory of a layer that gives hosts the Java of this machine, copied once.
java_layer() {
	local home layer etc
	home=$(readlink -f "$(command -v java)") || skip "this machine has no Java to give to hosts"
	home=${home%/bin/java}
	layer=$lab_cache/java-$(sha256sum <"$home/release" | cut -c1-12)
	if [ ! -d "$layer" ]; then
		rm -rf "$layer.copying"
		mkdir -p "$layer.copying$home" "$layer.copying/usr/bin" || return 1
		cp -a "$home/bin" "$home/conf" "$home/lib" "$home/release" "$layer.copying$home/" || return 1
		for etc in /etc/java-*; do # where Debian keeps what conf links to
			[ ! -d "$etc" ] || { mkdir -p "$layer.copying/etc" && cp -a "$etc" "$layer.copying/etc/"; } || return 1
		done
		ln -s "$home/bin/java" "$layer.copying/usr/bin/java"
		mv "$layer.copying" "$layer" || return 1
	fi
	echo "$layer"
}

# host_dress gives a new host its identity: names, keys, and the line that maps the own name to loopback as the usual
# boxes have it.
host_dress() {
	local name=$1 root=$lab_dir/$1/root user home
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id.new"
	echo "$name" >"$root/etc/hostname"
	printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s.localdomain\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n' \
		"$name" "$name" >"$root/etc/hosts"
	ssh-keygen -A -f "$root" >/dev/null
	for user in root vagrant; do
		home=$root/root
		[ "$user" = root ] || home=$root/home/$user
		mkdir -m 700 -p "$home/.ssh"
		cp "$lab_out/id_ed25519.pub" "$home/.ssh/authorized_keys"
		chmod 600 "$home/.ssh/authorized_keys"
		chroot "$root" chown -R "$user:$user" "${home#"$root"}/.ssh"
	done
	mv "$root/etc/machine-id.new" "$root/etc/machine-id"
	sync -f "$root/etc/machine-id"
}

host_mount() {
	local dir=$lab_dir/$1 layers=$lab_base
	[ ! -f "$dir/java" ] || layers=$(cat "$dir/java"):$layers
	if ! mountpoint -q "$dir/disk"; then
		mount -o loop "$dir/disk.ext4" "$dir/disk" || return 1
		mkdir -p "$dir/disk/upper" "$dir/disk/work"
	fi
	mountpoint -q "$dir/root" ||
		mount -t overlay overlay -o "lowerdir=$layers,upperdir=$dir/disk/upper,workdir=$dir/disk/work" "$dir/root"
}

host_unmount() {
	local dir=$lab_dir/$1 mounted tries
	for mounted in "$dir/root" "$dir/disk"; do
		for ((tries = 0; tries < 50; tries++)); do
			mountpoint -q "$mounted" || break
			umount "$mounted" 2>/dev/null || sleep 0.1 # the last process may still be leaving
		done
		if mountpoint -q "$mounted"; then umount -l "$mounted"; fi
	done
}

host_remove() {
	local name=$1
	ip link del "$(host_link "$name")" 2>/dev/null
	ip netns del "$(host_netns "$name")" 2>/dev/null
	cgroup_remove "$name"
	rm -rf "${lab_dir:?}/$name"
}

# --- power -----------------------------------------------------------------------------------------------------------

host_running() { local pid; pid=$(cat "$lab_dir/$1/pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }

host_boot() {
	local name=$1 dir=$lab_dir/$1
	host_number "$name" >/dev/null
	host_running "$name" && return 0
	host_mount "$name" || return 1
	ip link set "$(host_link "$name")" up
	cgroup_make "$name" || return 1
	# Its own session, so that it outlives the shell that called lab.sh; without the files which that one has open, or a lock
	# that the caller holds would be held as long as the host runs.
	(
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -le 2 ] || eval "exec $fd>&-"
		done
		exec setsid "$lab_source/lab.sh" run-host "$name" </dev/null >"$dir/console.log" 2>&1
	) &
	echo $! >"$dir/pid"
}

# sysv_boot is what process 2 of a host without systemd does, under a process 1 that only reaps: run level 2, as System V
# init would enter it.
sysv_boot='mkdir -p /run/sshd /run/lock; selinux-stand-in; for script in /etc/rc2.d/S*; do "$script" start; done; exec sleep infinity'

# openrc_boot is the same with OpenRC in charge of what is in its runlevel default. It would move its services out of the
# host's control group, where a power cut does not find them.
openrc_boot='umount -l /sys/fs/cgroup/* /sys/fs/cgroup 2>/dev/null; mkdir -p /run/openrc; touch /run/openrc/softlevel; '${sysv_boot%exec *}'openrc default; exec sleep infinity'

# host_run holds a host: it enters the host's control group and boots it again after each reboot, which nspawn reports
# as status 133.
host_run() {
	local name=$1 dir=$lab_dir/$1 status=133
	echo $$ >"$dir/pid"
	cgroup_enter "$name" $$
	while [ "$status" = 133 ]; do
		case $(cat "$dir/init") in
		systemd) set -- --boot ;;
		openrc) set -- --as-pid2 /bin/sh -c "$openrc_boot" ;;
		*) set -- --as-pid2 /bin/sh -c "$sysv_boot" ;;
		esac
		systemd-nspawn --directory="$dir/root" --quiet --register=no --keep-unit --hostname="$name" \
			--machine="lab$lab_number-$name" --capability=CAP_NET_ADMIN,CAP_NET_RAW \
			--network-namespace-path="/run/netns/$(host_netns "$name")" \
			--resolv-conf=off --timezone=off --link-journal=no --console=pipe "$@"
		status=$?
	done
}

# host_shutdown begins an orderly end.
host_shutdown() {
	if [ "$(cat "$lab_dir/$1/init")" = systemd ]; then
		lab_ssh "$1" systemctl poweroff >/dev/null 2>&1
	else
		lab_ssh "$1" 'for script in $(ls -r /etc/rc2.d/S*); do [ "${script#*ssh}" != "$script" ] || "$script" stop; done' >/dev/null 2>&1
		host_end "$1"
	fi
}

# host_wait waits for a login, which is when a host counts as up, at most 60 s. firewalld is part of "up".
host_wait() {
	local name=$1 end=$((SECONDS + 60)) address
	address=$(host_address "$name")
	until (exec 3<>"/dev/tcp/$address/22" && read -r -t 2 banner <&3 && [[ $banner == SSH-* ]]) 2>/dev/null &&
		[ "$(cat "$(host_proc "$name")/root/run/nologin" 2>/dev/null)" = "" ] && host_settled "$name"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# host_settled tells whether the host has finished its boot, so that nothing starts behind a test's back.
host_settled() {
	[ "$(cat "$lab_dir/$1/init")" = systemd ] || return 0
	case $(nsenter --target "$(host_init "$1")" --all systemctl is-system-running 2>/dev/null) in
	running | degraded) return 0 ;;
	esac
	return 1
}

# host_init prints the process id, as this machine sees it, of the host's process 1.
host_init() {
	local pid
	pid=$(cat "$lab_dir/$1/pid" 2>/dev/null) || return 1
	pid=$(pgrep -P "$pid" -x systemd-nspawn) && pgrep -P "$pid"
}

host_proc() { echo "/proc/$(host_init "$1")"; }

# host_disk_cut makes the file system forget what was not synced (EXT4_IOC_SHUTDOWN without a flush of the log).
host_disk_cut() {
	perl -e 'open(my $dir, "<", $ARGV[0]) or die "$ARGV[0]: $!"; my $flags = pack("L", 2);
		ioctl($dir, 0x8004587d, $flags) or die "EXT4_IOC_SHUTDOWN: $!"' "$lab_dir/$1/disk" ||
		note "$1: this kernel cannot shut a file system down: the cut is only a kill of all processes"
}

# host_end kills every process of a host, last its keeper, and lets go of the disk.
host_end() {
	local name=$1 pid tries
	for ((tries = 0; tries < 100; tries++)); do
		pid=$(cat "$lab_dir/$name/pid" 2>/dev/null) && kill -KILL "$pid" 2>/dev/null
		cgroup_kill "$name" && break
		sleep 0.05
	done
	rm -f "$lab_dir/$name/pid"
	host_unmount "$name"
}

# --- control groups: one per host and hierarchy, or the hosts' systemds kill each other's services -------------------

cgroup_roots() {
	local root
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		echo /sys/fs/cgroup
		return
	fi
	for root in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup/freezer; do
		[ -f "$root/cgroup.procs" ] && echo "$root"
	done
}

cgroup_make() { local root; for root in $(cgroup_roots); do mkdir -p "$root/zkctl-lab/$lab_number-$1" || return 1; done; }
cgroup_enter() { local root; for root in $(cgroup_roots); do echo "$2" >"$root/zkctl-lab/$lab_number-$1/cgroup.procs"; done; }

# cgroup_kill sends SIGKILL to every process in the host's groups; true when none was left.
cgroup_kill() {
	local root pid none=0
	for root in $(cgroup_roots); do
		[ -d "$root/zkctl-lab/$lab_number-$1" ] || continue
		[ -f "$root/zkctl-lab/$lab_number-$1/freezer.state" ] && echo THAWED >"$root/zkctl-lab/$lab_number-$1/freezer.state"
		for pid in $(find "$root/zkctl-lab/$lab_number-$1" -name cgroup.procs -exec cat {} + 2>/dev/null); do
			none=1
			kill -KILL "$pid" 2>/dev/null
		done
	done
	return $none
}

cgroup_remove() {
	local root
	for root in $(cgroup_roots); do
		[ ! -d "$root/zkctl-lab/$lab_number-$1" ] || find "$root/zkctl-lab/$lab_number-$1" -depth -type d -exec rmdir {} +
	done
}

cgroup_remove_all() { local root; for root in $(cgroup_roots); do rmdir "$root/zkctl-lab" 2>/dev/null; done; return 0; }

host_freeze() {
	local group=/sys/fs/cgroup/freezer/zkctl-lab/$lab_number-$1
	if [ -d "$group" ]; then
		echo "$2" >"$group/freezer.state"
	else
		[ "$2" = FROZEN ] && echo 1 >"/sys/fs/cgroup/zkctl-lab/$lab_number-$1/cgroup.freeze" ||
			echo 0 >"/sys/fs/cgroup/zkctl-lab/$lab_number-$1/cgroup.freeze"
	fi
}

# --- variants: hosts as they are found in the field ------------------------------------------------------------------

# in_host runs a command in a running host, without ssh.
in_host() { local name=$1; shift; nsenter --target "$(host_init "$name")" --all "$@"; }

host_variant() {
	local name=$1 variant root ns
	shift
	root=$(host_proc "$name")/root ns=$(host_netns "$name")
	[ -d "$root/etc" ] || fail "$name: not running"
	for variant in "$@"; do
		case $variant in
		# sshd
		no-sftp) sed -i '/^Subsystem.*sftp/d' "$root/etc/ssh/sshd_config" ;;
		max-sessions-1) echo 'MaxSessions 1' >"$root/etc/ssh/sshd_config.d/01-sessions.conf" ;;
		max-startups-2) echo 'MaxStartups 2' >"$root/etc/ssh/sshd_config.d/01-startups.conf" ;;
		password-only) printf 'PubkeyAuthentication no\nKbdInteractiveAuthentication no\n' >"$root/etc/ssh/sshd_config.d/01-auth.conf" ;;
		keyboard-interactive)
			printf 'PubkeyAuthentication no\nPasswordAuthentication no\nKbdInteractiveAuthentication yes\n' \
				>"$root/etc/ssh/sshd_config.d/01-auth.conf"
			;;
		no-forwarding) echo 'AllowTcpForwarding no' >"$root/etc/ssh/sshd_config.d/01-forward.conf" ;;
		no-root-login) echo 'PermitRootLogin no' >"$root/etc/ssh/sshd_config.d/01-root.conf" ;;
		root-login) rm -f "$root/etc/ssh/sshd_config.d/01-root.conf" ;;
		new-host-key) rm -f "$root"/etc/ssh/ssh_host_*; in_host "$name" ssh-keygen -A >/dev/null ;;
		# shells and accounts
		chatty)
			# Debian's own .bashrc ends early for shells that are not interactive; noise comes first here.
			for user in root home/vagrant; do
				[ ! -f "$root/$user/.bashrc" ] || sed -i '1i echo "Welcome to $(hostname)!"; echo "mind the step" >&2' "$root/$user/.bashrc"
			done
			printf 'A banner of two\nlines\n' >"$root/etc/issue.lab"
			echo 'Banner /etc/issue.lab' >"$root/etc/ssh/sshd_config.d/01-chatty.conf"
			;;
		fish | tcsh) in_host "$name" usermod --shell "/usr/bin/$variant" vagrant ;;
		nologin) in_host "$name" usermod --shell /usr/sbin/nologin vagrant ;;
		expired) in_host "$name" chage -d 0 vagrant ;;
		home-not-ours) in_host "$name" chown root:root /home/vagrant ;;
		# becoming root
		sudo-password) echo 'vagrant ALL=(ALL) ALL' >"$root/etc/sudoers.d/vagrant" ;;
		requiretty) printf 'Defaults requiretty\nvagrant ALL=(ALL) ALL\n' >"$root/etc/sudoers.d/vagrant" ;;
		doas-password)
			mv "$root/usr/bin/sudo" "$root/usr/bin/sudo.away"
			echo 'permit vagrant as root' >"$root/etc/doas.conf"
			;;
		# the machine
		no-firewalld) in_host "$name" systemctl disable --now firewalld >/dev/null 2>&1 ;;
		ufw) # instead of firewalld
			in_host "$name" sh -c 'systemctl disable --now firewalld; ufw allow 22/tcp; ufw --force enable' >/dev/null 2>&1
			;;
		nftables) # instead of firewalld: with nothing but ssh open
			printf '%s\n' '#!/usr/sbin/nft -f' 'flush ruleset' 'table inet filter {' '	chain input {' \
				'		type filter hook input priority filter; policy drop;' '		iif "lo" accept' \
				'		ct state established,related accept' '		tcp dport 22 accept' '	}' '}' >"$root/etc/nftables.conf"
			in_host "$name" sh -c 'systemctl disable --now firewalld; systemctl enable --now nftables' >/dev/null 2>&1
			;;
		bind-hosts) in_host "$name" sh -c 'cp /etc/hosts /run/hosts.lab; mount --bind /run/hosts.lab /etc/hosts' ;;
		immutable-hosts) # an overlay knows no immutable files; a read-only mount of the one file refuses as they do
			in_host "$name" sh -c 'mount --bind /etc/hosts /etc/hosts; mount -o remount,bind,ro /etc/hosts'
			;;
		read-only) # the root itself has writers; what a bootstrap wants to write to has not
			in_host "$name" sh -c 'for d in /etc /opt /usr /root /home /var/lib; do mount --bind $d $d; mount -o remount,bind,ro $d; done'
			;;
		full-disk) fallocate -l "$(df --output=avail -B1 "$lab_dir/$name/disk" | tail -n 1)" "$lab_dir/$name/disk/filler" 2>/dev/null ||
			dd if=/dev/zero of="$lab_dir/$name/disk/filler" bs=1M 2>/dev/null || : ;;
		clock-off) # a stand-in: the hosts share the kernel and its clock
			printf '#!/bin/sh\nexec /usr/bin/date -d "+1 hour" "$@"\n' >"$root/usr/local/bin/date"
			chmod 755 "$root/usr/local/bin/date"
			;;
		foreign-data)
			mkdir -p "$root/var/lib/zookeeper/version-2"
			echo 77 >"$root/var/lib/zookeeper/myid"
			echo somebody else >"$root/var/lib/zookeeper/version-2/snapshot.100000000"
			;;
		closed-ports) host_filter "$ns" closed 'iifname != "lo" tcp dport { 2181, 2888, 3888 } drop' ;;
		behind) host_filter "$ns" behind "ip saddr $lab_net.1 drop" ;; # this machine cannot reach it: only the other hosts can
		plain) host_plain "$name" "$root" "$ns" ;;
		*) fail "unknown variant \"$variant\"" ;;
		esac
	done
	in_host "$name" systemctl reset-failed ssh.service >/dev/null 2>&1 || : # so many restarts are a limit of systemd
	in_host "$name" service ssh restart
}

# host_filter adds a rule of its own to a host's network, behind the back of its firewalld.
host_filter() {
	ip netns exec "$1" nft -f - <<-RULES
		add table inet $2
		add chain inet $2 input { type filter hook input priority -20; }
		add rule inet $2 input $3
	RULES
}

# host_plain takes the variants back, but no-firewalld and what a bootstrap has made.
host_plain() {
	local name=$1 root=$2 ns=$3 file
	in_host "$name" sh -c 'for d in /etc/hosts /etc /opt /usr /root /home /var/lib; do
		while grep -q " $d " /proc/self/mounts; do umount -l $d || break; done
	done'
	rm -f "$root"/etc/ssh/sshd_config.d/01-* "$root/etc/doas.conf" "$root/usr/local/bin/date" "$lab_dir/$name/disk/filler"
	cp "$(cat "$lab_dir/base")/etc/ssh/sshd_config" "$root/etc/ssh/sshd_config"
	cp "$(cat "$lab_dir/base")/etc/sudoers.d/vagrant" "$root/etc/sudoers.d/vagrant"
	for file in root/.bashrc home/vagrant/.bashrc; do
		[ ! -f "$(cat "$lab_dir/base")/$file" ] || cat "$(cat "$lab_dir/base")/$file" >"$root/$file"
	done
	[ ! -e "$root/usr/bin/sudo.away" ] || mv "$root/usr/bin/sudo.away" "$root/usr/bin/sudo"
	in_host "$name" usermod --shell /bin/bash vagrant
	in_host "$name" chage -d "$(date +%F)" vagrant
	in_host "$name" chown vagrant:vagrant /home/vagrant
	if [ "$(cat "$root/var/lib/zookeeper/myid" 2>/dev/null)" = 77 ]; then rm -rf "$root/var/lib/zookeeper"; fi
	ip netns exec "$ns" nft delete table inet closed 2>/dev/null
	ip netns exec "$ns" nft delete table inet behind 2>/dev/null
	return 0
}
