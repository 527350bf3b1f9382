#!/bin/bash
# image.sh: the base image that every test host is an overlay of. Sourced by lab.sh.
#
# A minimal Debian 12 with systemd, sshd and firewalld, dressed as the box of the classic three-machine walk-through:
# firewalld active, SELinux configured as enforcing, a user "vagrant" with passwordless sudo, the own name on 127.0.1.1
# (lab.sh writes that one, it differs between hosts). Built once (about 90 s) and cached outside the repository; the
# name carries a checksum of the recipe, so a changed recipe builds a new image.

image_suite=bookworm
image_first_stage=systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,sudo,ca-certificates
# Configured in the running root only: polkitd cannot be in debootstrap's first stage, and firewalld reads
# /etc/protocols, which is netbase's.
image_second_stage="firewalld polkitd netbase ufw nftables busybox opendoas fish tcsh"

# image_path prints the directory of the base image, existing or not.
image_path() {
	local sum
	sum=$(cat "$lab_source/image.sh" "$lab_source"/image/* | sha256sum | cut -c1-12)
	echo "$lab_cache/base-$sum"
}

# image_ensure builds the base image unless it is there. Two labs may come up at once: one builds, the other waits.
image_ensure() {
	local base=$1 work
	mkdir -p "$lab_cache"
	exec 9>"$lab_cache/lock"
	flock 9
	if [ ! -d "$base" ]; then
		work="$base.building"
		note "building the base image (once, about 90 s): $base"
		image_unmount "$work"
		rm -rf "$work"
		if ! image_build "$work" >"$lab_cache/build.log" 2>&1; then
			image_unmount "$work"
			tail -n 20 "$lab_cache/build.log" >&2
			fail "the base image could not be built; the whole log: $lab_cache/build.log"
		fi
		mv "$work" "$base"
	fi
	exec 9>&-
}

image_build() (
	set -e
	root=$1
	debootstrap --variant=minbase --include="$image_first_stage" "$image_suite" "$root"

	# The second stage uses the package sources of this machine, whatever mirror they name.
	mkdir -p "$root/run/lab-apt"
	mount --bind /etc/apt "$root/run/lab-apt"
	mount -t proc proc "$root/proc"
	cp "$root/etc/resolv.conf" "$root/etc/resolv.conf.image" 2>/dev/null || :
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts in the chroot
	chmod 755 "$root/usr/sbin/policy-rc.d"
	cp -r /usr/share/keyrings/. "$root/usr/share/keyrings/"
	apt="apt-get -q -o Dir::Etc=/run/lab-apt"
	chroot "$root" $apt update
	DEBIAN_FRONTEND=noninteractive chroot "$root" $apt install -y --no-install-recommends $image_second_stage
	# OpenRC beside systemd: which of them runs is a matter of what a host boots. Its package would not have it so.
	chroot "$root" sh -c "cd /run && $apt download openrc librc1 libeinfo1 insserv && for f in *.deb; do dpkg-deb --fsys-tarfile \$f | tar -x --keep-directory-symlink -C / || exit 1; done &&
		rm -f *.deb && mkdir -p /etc/runlevels/sysinit /etc/runlevels/boot /etc/runlevels/default && ldconfig"
	chroot "$root" apt-get clean
	image_unmount "$root"
	rm -rf "$root"/var/lib/apt/lists/* "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf" "$root/etc/resolv.conf.image"
	rm -rf "$root/run/lab-apt"

	image_dress "$root"
)

# image_dress makes a plain Debian the host that bootstrap has to prepare.
image_dress() {
	local root=$1 tool
	# Identities belong to a host, not to the image.
	rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
	chroot "$root" systemctl enable ssh.service firewalld.service
	chroot "$root" systemctl mask systemd-networkd.service systemd-timesyncd.service apt-daily.timer \
		apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer console-getty.service \
		systemd-logind-varlink.socket
	chroot "$root" useradd --create-home --shell /bin/bash --groups sudo vagrant
	echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
	chmod 440 "$root/etc/sudoers.d/vagrant"
	echo 'root:lab-root
vagrant:lab-vagrant' | chroot "$root" chpasswd
	printf '%s\n' 'PermitRootLogin yes' 'PasswordAuthentication yes' >"$root/etc/ssh/sshd_config.d/10-lab.conf"

	mkdir -p "$root/etc/selinux"
	install -m 644 "$lab_source/image/selinux-config" "$root/etc/selinux/config"
	install -m 755 "$lab_source/image/selinux-stand-in" "$root/usr/sbin/selinux-stand-in"
	for tool in getenforce setenforce sestatus selinuxenabled restorecon; do
		ln -s selinux-stand-in "$root/usr/sbin/$tool"
	done
	install -m 666 /dev/null "$root/var/log/selinux-stand-in.log" # anyone may label files of their own
	install -m 644 "$lab_source/image/selinux-stand-in.service" "$root/etc/systemd/system/selinux-stand-in.service"
	chroot "$root" systemctl enable selinux-stand-in.service
}

image_unmount() {
	local mounted
	for mounted in "$1/run/lab-apt" "$1/proc"; do
		if mountpoint -q "$mounted"; then umount "$mounted"; fi
	done
}
