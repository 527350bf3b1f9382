package hostprep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/remote/shell"
)

// HealthFragment is the script that reports what Examine looks at, for Wanted.Extra. dirs are those of data and txn logs,
// scratch those in which a run that was cut off may have left files.
func HealthFragment(dirs, scratch []string) string {
	return "health_dirs() { printf '%s\\n' " + shell.Join(dirs...) + "; }\nhealth_scratch() { printf '%s\\n' " + shell.Join(scratch...) + "; }\n" + `
field health.swap "$(sed -n 's/^SwapTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
field health.available "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
field health.swappiness "$(cat /proc/sys/vm/swappiness 2>/dev/null)"
field health.nr_open "$(cat /proc/sys/fs/nr_open 2>/dev/null)"
field health.nofile "$(ulimit -Hn)"
field health.file_max "$(cat /proc/sys/fs/file-max 2>/dev/null)"
health_dirs | while IFS= read -r p; do
	q=$p
	while [ ! -e "$q" ]; do q=${q%/*}; [ -n "$q" ] || q=/; done
	mount=$(df -Pk "$q" 2>/dev/null | sed -n '2s/^.*% //p')
	field health.fs "$(awk -v m="$mount" '$2 == m { t = $3; o = $4 } END { print t, o }' /proc/mounts) $p"
	field health.inodes "$(df -Pi "$q" 2>/dev/null | awk 'NR == 2 { print $4 }') $p"
done
command -v systemd-detect-virt >/dev/null 2>&1 && field health.container "$(systemd-detect-virt -c 2>/dev/null)"
[ -f /.dockerenv ] && field health.container docker
synced=
for p in /proc/[0-9]*/comm; do
	read -r comm <"$p" 2>/dev/null || continue
	case $comm in chronyd | ntpd | systemd-timesyn* | openntpd | ptp4l | phc2sys | VBoxService | vmtoolsd) field health.timesync "$comm" ;; esac
	case $comm in
	zkserver)
		p=${p%/comm}
		field health.server "${p#/proc/} $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)" ;;
	java)
		p=${p%/comm}
		line=$(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)
		case $line in *QuorumPeerMain*) field health.server "${p#/proc/} java QuorumPeerMain ${line##*QuorumPeerMain}" ;; esac ;;
	esac
done
if command -v systemctl >/dev/null 2>&1; then
	for u in chrony chronyd systemd-timesyncd ntpsec ntp ntpd; do
		case $(systemctl is-enabled $u.service 2>/dev/null) in enabled | disabled) field health.timeunit "$u.service" ;; esac
	done
fi
health_scratch | while IFS= read -r d; do
	for f in "$d"/.zkctl[-.]*; do
		[ -e "$f" ] && [ -n "$(find "$f" -maxdepth 0 -mmin +10 2>/dev/null)" ] && field health.scratch "$f"
	done
done
for f in /tmp/zkctl.* /tmp/zkctl-probe.* /var/tmp/zkctl-probe.* /var/lib/zkctl-probe.* "${HOME:-/root}"/zkctl-probe.*; do
	[ -e "$f" ] && [ -n "$(find "$f" -maxdepth 0 -mmin +10 2>/dev/null)" ] && field health.scratch "$f"
done
self=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)
field health.self "$(getent hosts "${self%%.*}" 2>/dev/null | sed -n '1s/[ \t].*//p')"
`
}

// remoteFileSystems do not promise what a txn log relies on: that a synced write is on a disk.
var remoteFileSystems = []string{"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs", "vboxsf", "virtiofs"}

// Examine looks at what HealthFragment reported of one host. openFiles is the limit that the servers will be given; running
// are the process ids of the members that run there, configs the zoo.cfg of all members there.
func Examine(f *Facts, openFiles int, running []int, configs []string) []Finding {
	var out []Finding
	add := func(check string, severity Severity, remedy, format string, args ...any) {
		out = append(out, Finding{Host: f.Host, Check: check, Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(f.Fields.Text(name), 10, 64); return n }
	if f.CPUs == 1 {
		add("cpu", Note, "", "there is one processor only: a snapshot and the clients share it")
	}
	switch available := number("health.available"); {
	case f.MemoryKiB > 0 && f.MemoryKiB < 256<<10:
		add("memory", Error, "use a host with at least 512 MiB", "the host has %s of memory", mebibytes(f.MemoryKiB))
	case f.MemoryKiB > 0 && f.MemoryKiB < 512<<10:
		add("memory", Warning, "watch how much the tree needs: it is all in memory", "the host has only %s of memory", mebibytes(f.MemoryKiB))
	case available > 0 && available < 128<<10:
		add("memory", Warning, "stop something else on this host", "only %s of memory are available", mebibytes(available))
	}
	if swap, swappiness := number("health.swap"), number("health.swappiness"); swap > 0 && swappiness > 10 {
		add("swap", Warning, "set system.sysctl: {vm.swappiness: 1} or system.swap: off in the inventory",
			"there are %s of swap and vm.swappiness is %d: a server that is swapped out misses its peers' timeouts", mebibytes(swap), swappiness)
	}
	if hard := f.Fields.Text("health.nofile"); hard != "unlimited" && !f.IsRoot && number("health.nofile") > 0 && number("health.nofile") < int64(openFiles) {
		add("limits", Warning, "raise the hard limit in /etc/security/limits.conf, or lower server.open_files",
			"the hard limit of open files is %s; the inventory wants %d", hard, openFiles)
	}
	if max := number("health.nr_open"); max > 0 && max < int64(openFiles) {
		add("limits", Error, fmt.Sprintf("run `sysctl fs.nr_open=%d`, or lower server.open_files", openFiles),
			"fs.nr_open is %d: the server cannot be given %d open files", max, openFiles)
	}
	out = append(out, f.examineDisks()...)
	if services := f.Fields.Texts("health.timesync"); len(services) == 0 && f.Fields.Text("health.container") == "" {
		finding := Finding{Host: f.Host, Check: "timesync", Severity: Warning, Text: "nothing keeps the clock right (no chronyd, ntpd or systemd-timesyncd runs)",
			Remedy: "install and start chrony"}
		if units := f.Fields.Texts("health.timeunit"); len(units) > 0 && f.Systemd {
			finding.Remedy = "run `systemctl enable --now " + units[0] + "`"
			finding.Fix = []Change{{Kind: RunScript, Target: units[0], Summary: "enable and start " + units[0], Root: true, Args: []string{units[0]},
				Script: `systemctl enable -q "$1" && systemctl start "$1"`, Verify: `systemctl is-active -q "$1"`,
				Undo: &Undo{Script: `systemctl stop "$1"; systemctl disable -q "$1" || :`, Args: []string{units[0]}}}}
		}
		out = append(out, finding)
	}
	var others []string
	for _, s := range f.Fields.Texts("health.server") {
		// Of the command line only the program and the configuration, its last word: there may be secrets between.
		words := strings.Fields(s)
		n, _ := strconv.Atoi(words[0])
		if slices.Contains(running, n) || len(words) < 2 || len(words) > 2 && words[2] == "cli" { // which is zkcli, with words that may be secret
			continue
		}
		text := fmt.Sprintf("process %s (%s %s)", words[0], words[1], words[len(words)-1])
		if slices.Contains(configs, words[len(words)-1]) {
			add("leftovers", Warning, "stop it: kill "+words[0], "%s runs with a member's configuration, but is not its service", text)
		} else {
			others = append(others, text)
		}
	}
	if others != nil {
		add("leftovers", Note, "", "other servers run here: %s", strings.Join(others, ", "))
	}
	if files := f.Fields.Texts("health.scratch"); len(files) > 0 {
		out = append(out, Finding{Host: f.Host, Check: "leftovers", Severity: Warning,
			Text: "a run that was cut off has left " + strings.Join(files, ", "), Remedy: "remove it",
			Fix: []Change{{Kind: RunScript, Target: "leftovers", Summary: "remove " + strings.Join(files, ", "), Root: f.IsRoot, Args: files,
				Script: `rm -rf -- "$@"`}}})
	}
	if self := f.Fields.Text("health.self"); strings.HasPrefix(self, "127.") || self == "::1" {
		add("names", Warning, "let zkctl manage /etc/hosts (system.hosts_file: manage), or take the name off that line",
			"its own name means %s on this host: a server that binds to it is reached by nobody else", self)
	}
	return out
}

// examineDisks looks at the file systems of data and txn logs.
func (f *Facts) examineDisks() []Finding {
	var out []Finding
	seen := map[string]bool{}
	for _, line := range f.Fields.Texts("health.fs") {
		words := strings.SplitN(line, " ", 3)
		if len(words) != 3 || seen[words[2]] {
			continue
		}
		kind, options, path := words[0], strings.Split(words[1], ","), words[2]
		seen[path] = true
		add := func(severity Severity, remedy, format string, args ...any) {
			out = append(out, Finding{Host: f.Host, Check: "filesystem", Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
		}
		switch {
		case slices.Contains(options, "ro"):
			add(Error, "mount it for writing, or choose another path in the inventory", "%s is on a file system that is mounted read-only", path)
		case slices.Contains(remoteFileSystems, kind):
			add(Warning, "use a local disk", "%s is on %s, which may lose what a server has acknowledged", path, kind)
		case kind == "tmpfs" || kind == "ramfs":
			add(Warning, "use a disk: after a reboot of most hosts at once all data is gone", "%s is in memory (%s)", path, kind)
		}
	}
	for _, line := range f.Fields.Texts("health.inodes") {
		free, path, _ := strings.Cut(line, " ")
		if n, err := strconv.ParseInt(free, 10, 64); err == nil && n > 0 && n < 1000 {
			out = append(out, Finding{Host: f.Host, Check: "disk", Severity: Error, Text: fmt.Sprintf("%s has %d inodes left", path, n),
				Remedy: "remove files there, or choose another path in the inventory"})
		}
	}
	return out
}

// SlowDisk judges the times of synced writes, in µs: half of them at most median, 99 of 100 at most high. tick is
// the server's tickTime in ms.
func SlowDisk(host, path string, median, high, tick int) []Finding {
	text := fmt.Sprintf("a synced write to %s takes %.1f ms, and one of 100 more than %.1f ms", path, float64(median)/1000, float64(high)/1000)
	remedy := "give the txn logs a disk of their own (server.paths.txn_log); nothing is acknowledged before it is on a majority of disks"
	switch {
	case high > tick*1000:
		return []Finding{{Host: host, Check: "fsync", Severity: Error, Text: text + fmt.Sprintf(": longer than a tick (%d ms)", tick), Remedy: remedy}}
	case median > 20_000 || high > 200_000:
		return []Finding{{Host: host, Check: "fsync", Severity: Warning, Text: text, Remedy: remedy}}
	}
	return []Finding{{Host: host, Check: "fsync", Severity: Note, Text: text}}
}

// SameMachine looks for machine ids that several hosts have.
func SameMachine(hosts []*Facts) []Finding {
	var out []Finding
	first := map[string]*Facts{}
	for _, f := range hosts {
		if f.MachineID == "" {
			continue
		}
		other := first[f.MachineID]
		if other == nil {
			first[f.MachineID] = f
			continue
		}
		if other.Hostname == f.Hostname {
			continue // CheckTogether has that
		}
		out = append(out, Finding{Host: f.Host, Check: "machine-id", Severity: Warning,
			Text:   fmt.Sprintf("has the machine id of %s (%s): a cloned machine", other.Host, f.MachineID),
			Remedy: "run `rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup` there, and reboot"})
	}
	return out
}
