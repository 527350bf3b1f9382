package hostprep

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Tuning is how the kernel of a host is set, as far as servers care.
type Tuning struct {
	Sysctls map[string]string // of those asked for: present values
	Fixed   []string          // of those asked for: nobody may change them here
	// Later are settings, such as "/etc/sysctl.d/99-sysctl.conf vm.swappiness = 60", that count after ours at boot.
	Later []string
	// HugePages is the content of /sys/kernel/mm/transparent_hugepage/enabled: "always [madvise] never"; "" where there is none.
	HugePages      string
	HugePagesFixed bool // nobody may change them here
	Swaps          []Swap
	// AvailKiB is the memory that is left.
	AvailKiB int64
}

// Swap is a swap area in use.
type Swap struct {
	Device  string
	UsedKiB int64
	// Priority is negative where the kernel chose it, by the order in which areas came.
	Priority int
}

// SysctlFile holds the kernel parameters that zkctl sets.
const SysctlFile = "/etc/sysctl.d/90-zkctl.conf"

// PlanSysctl plans kernel parameters: in a file of our own for the next boot, and at once.
func PlanSysctl(f *Facts, wanted map[string]string) ([]Change, []Finding) {
	var findings []Finding
	var dropped []string
	for _, key := range sysctlsIn(f.Contents[SysctlFile]) {
		if _, asked := wanted[key]; !asked {
			dropped = append(dropped, key)
		}
	}
	if len(wanted) == 0 {
		if dropped != nil {
			findings = stays(f, "kernel", SysctlFile+" sets "+strings.Join(dropped, ", "))
		}
		return nil, findings
	}
	if dropped != nil {
		findings = []Finding{{Host: f.Host, Check: "kernel", Severity: Note, Text: fmt.Sprintf("%s: not in the inventory any more; taken out of %s, and as it is until the next boot",
			strings.Join(dropped, ", "), SysctlFile)}}
	}
	find := func(severity Severity, remedy, format string, args ...any) {
		findings = append(findings, Finding{Host: f.Host, Check: "kernel", Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	content := bytes.NewBufferString("# Written by zkctl.\n")
	var now, before []string
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		fmt.Fprintf(content, "%s = %s\n", key, wanted[key])
		is, known := f.Tuning.Sysctls[key]
		if !known {
			find(Error, "take it out of system.sysctl, or load the kernel module that brings it", "the kernel has no parameter %s", key)
			continue
		}
		if !slices.Equal(strings.Fields(is), strings.Fields(wanted[key])) {
			if slices.Contains(f.Tuning.Fixed, key) {
				find(Error, "set it on the machine that the container runs on, or take it out of system.sysctl",
					"%s is %s, and cannot be set here: /proc/sys is read-only, as in a container", key, strings.TrimSpace(is))
				continue
			}
			now = append(now, key+"="+wanted[key])
			before = append(before, key+"="+is)
		}
	}
	for _, later := range f.Tuning.Later {
		file, setting, _ := strings.Cut(later, " ")
		key, value, _ := strings.Cut(setting, "=")
		key = strings.TrimSpace(key)
		if want, ours := wanted[key]; ours && !slices.Equal(strings.Fields(value), strings.Fields(want)) {
			find(Warning, "take that line out of "+file, "%s sets %s to %s, and is read after %s at boot", file, key, strings.TrimSpace(value), SysctlFile)
		}
	}
	changes := fileChange(f, SysctlFile, content.Bytes())
	if now != nil {
		changes = append(changes, Change{
			Kind: RunScript, Target: "sysctl", Summary: "set " + strings.Join(now, ", "), Root: true, Args: now,
			Script: `for s; do sysctl -w "$s" || exit 1; done`,
			// A kernel may write a value in another way.
			Verify: `for s; do [ -n "$(sysctl -n "${s%%=*}")" ] || exit 1; done`,
			Undo:   &Undo{Script: `for s; do sysctl -w "$s" || :; done`, Args: before},
		})
	}
	return changes, findings
}

// sysctlsIn are the parameters that a file which zkctl has written sets.
func sysctlsIn(content []byte) []string {
	var keys []string
	for line := range strings.Lines(string(content)) {
		if key, _, ok := strings.Cut(line, " = "); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// stays says that a setting which zkctl made is not in the inventory, or not any more: another ensemble's may have it.
func stays(f *Facts, check, what string) []Finding {
	return []Finding{{Host: f.Host, Check: check, Severity: Note, Text: what + ", which the inventory does not ask for: that stays until reset --undo-host-changes"}}
}

// fileChange plans a file of root's with these bytes, where it has others. It must have been among Wanted.Contents.
func fileChange(f *Facts, path string, content []byte) []Change {
	before, exists := f.Contents[path]
	summary := "change " + path
	if !exists {
		summary, before = "write "+path, nil
	}
	if exists && bytes.Equal(before, content) {
		return nil
	}
	return []Change{{Kind: WriteFile, Target: path, Summary: summary, Before: before, After: content, Mode: 0o644, Owner: "root", Group: "root", Root: true}}
}

const hugePages = "/sys/kernel/mm/transparent_hugepage/enabled"

// The files that set huge pages at boot, by what boots the host.
const (
	HugePagesUnit  = "/etc/systemd/system/zkctl-huge-pages.service"
	HugePagesStart = "/etc/local.d/zkctl-huge-pages.start"
)

// PlanHugePages plans transparent huge pages: mode is "madvise" or "never"; "leave" plans nothing.
func PlanHugePages(f *Facts, mode string) ([]Change, []Finding) {
	if mode != "madvise" && mode != "never" {
		for _, file := range []string{HugePagesUnit, HugePagesStart} {
			if f.Contents[file] != nil {
				return nil, stays(f, "kernel", file+" sets transparent huge pages at boot")
			}
		}
		return nil, nil
	}
	if f.Tuning.HugePages == "" {
		return nil, []Finding{{Host: f.Host, Check: "kernel", Severity: Note, Text: "the kernel has no transparent huge pages: nothing to do"}}
	}
	var changes []Change
	var findings []Finding
	var was string
	for _, w := range strings.Fields(f.Tuning.HugePages) {
		if strings.HasPrefix(w, "[") {
			was = strings.Trim(w, "[]")
		}
	}
	if was != mode && f.Tuning.HugePagesFixed {
		return nil, []Finding{{Host: f.Host, Check: "kernel", Severity: Error,
			Text:   fmt.Sprintf("transparent huge pages are set to %s, and cannot be set here: /sys is read-only, as in a container", was),
			Remedy: "set them on the machine that the container runs on, or system.transparent_huge_pages to leave"}}
	}
	if was != mode {
		changes = append(changes, Change{
			Kind: RunScript, Target: hugePages, Summary: fmt.Sprintf("set transparent huge pages from %s to %s", was, mode), Root: true,
			Args: []string{hugePages, mode}, Script: `echo "$2" >"$1"`, Verify: `grep -qF "[$2]" "$1"`,
			Undo: &Undo{Script: `echo "$2" >"$1" || :`, Args: []string{hugePages, was}},
		})
	}
	set := fmt.Sprintf("echo %s >%s", mode, hugePages)
	switch {
	case f.Systemd:
		written := fileChange(f, HugePagesUnit, []byte("# Written by zkctl.\n[Unit]\nDescription=Transparent huge pages: "+mode+
			"\nConditionPathExists="+hugePages+"\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '"+set+
			"'\n\n[Install]\nWantedBy=multi-user.target\n"))
		changes = append(changes, written...)
		if enabled := f.Units["zkctl-huge-pages.service"].Enabled == "enabled"; len(written) > 0 || !enabled {
			changes = append(changes, Change{
				Kind: RunScript, Target: "zkctl-huge-pages.service", Summary: "set transparent huge pages at boot", Root: true,
				Script: `systemctl daemon-reload && systemctl enable -q zkctl-huge-pages.service`, Verify: `systemctl is-enabled -q zkctl-huge-pages.service`,
				Undo: &Undo{Script: `systemctl disable -q zkctl-huge-pages.service 2>/dev/null || :`},
			})
		}
	case f.OpenRC:
		written := fileChange(f, HugePagesStart, []byte("#!/bin/sh\n# Written by zkctl.\n"+set+"\n"))
		for i := range written {
			written[i].Mode = 0o755
		}
		changes = append(changes, written...)
		if !f.HasService("local") {
			changes = append(changes, Change{
				Kind: RunScript, Target: "local", Summary: "set transparent huge pages at boot", Root: true,
				Script: `rc-update -q add local default`, Verify: `rc-update show default | grep -qw local`,
				Undo: &Undo{Script: `rc-update -q del local default || :`},
			})
		}
	default:
		findings = append(findings, Finding{Host: f.Host, Check: "kernel", Severity: Warning,
			Text:   "transparent huge pages are set until the next boot only: the host has neither systemd nor OpenRC",
			Remedy: "boot the kernel with transparent_hugepage=" + mode})
	}
	return changes, findings
}

// swapMark stands in front of lines of /etc/fstab that zkctl has switched off.
const swapMark = "# zkctl: swap off: "

// FstabWithoutSwap is /etc/fstab with its swap areas commented out.
func FstabWithoutSwap(fstab []byte) []byte {
	var b bytes.Buffer
	for _, line := range splitLines(fstab) {
		if words := strings.Fields(line); len(words) >= 3 && !strings.HasPrefix(words[0], "#") && words[2] == "swap" {
			b.WriteString(swapMark)
		}
		b.WriteString(line)
	}
	return b.Bytes()
}

// PlanSwap plans that nothing is swapped out: policy is "off"; "leave" plans nothing.
func PlanSwap(f *Facts, policy string) ([]Change, []Finding) {
	fstab, exists := f.Contents["/etc/fstab"]
	if policy != "off" {
		if bytes.Contains(fstab, []byte(swapMark)) {
			return nil, stays(f, "swap", "/etc/fstab has swap switched off")
		}
		return nil, nil
	}
	var changes []Change
	var findings []Finding
	if after := FstabWithoutSwap(fstab); exists && !bytes.Equal(after, fstab) {
		changes = append(changes, Change{
			Kind: WriteFile, Target: "/etc/fstab", Summary: "take swap out of /etc/fstab", Before: fstab, After: after, Mode: 0o644,
			Owner: "root", Group: "root", Root: true, InPlace: true, Merged: true,
		})
	}
	if len(f.Tuning.Swaps) == 0 {
		return changes, nil
	}
	var used int64
	var devices, back []string
	for _, s := range f.Tuning.Swaps {
		used += s.UsedKiB
		devices = append(devices, s.Device)
		if !fromFstab(fstab, s.Device) {
			findings = append(findings, Finding{Host: f.Host, Check: "swap", Severity: Warning,
				Text:   s.Device + " is not in /etc/fstab: it is switched off now, but something may switch it on at the next boot",
				Remedy: "mask its unit (systemctl list-units --type=swap), or remove what makes it, such as zram-generator"})
		}
	}
	if f.Tuning.AvailKiB > 0 && used > f.Tuning.AvailKiB {
		return nil, []Finding{{Host: f.Host, Check: "swap", Severity: Error, Remedy: "stop something on this host, or set system.swap to leave",
			Text: fmt.Sprintf("%s are swapped out, and %s of memory are left for them: swap cannot be switched off", mebibytes(used), mebibytes(f.Tuning.AvailKiB))}}
	}
	for _, s := range slices.SortedStableFunc(slices.Values(f.Tuning.Swaps), func(a, b Swap) int { return b.Priority - a.Priority }) {
		back = append(back, strconv.Itoa(s.Priority), s.Device)
	}
	changes = append(changes, Change{
		Kind: RunScript, Target: "swap", Summary: "switch swap off: " + strings.Join(devices, ", "), Root: true, Args: devices,
		Script: `swapoff -a && for d; do ! grep -q "^$d " /proc/swaps || swapoff "$d" || exit 1; done`,
		Verify: `! grep -q '^/' /proc/swaps`,
		Undo:   &Undo{Script: swapOn, Args: back},
	})
	return changes, findings
}

// swapOn gets a priority and an area, over and over. One that the kernel chose cannot be asked for: areas get it in their order.
const swapOn = `
while [ $# -gt 1 ]; do
	case $1 in -*) swapon "$2" ;; *) swapon -p "$1" "$2" ;; esac || :
	shift 2
done
`

// fromFstab tells whether an area is probably one that /etc/fstab has: by its name, or by a label or UUID, of which we do not
// know whose it is.
func fromFstab(fstab []byte, device string) bool {
	for _, line := range splitLines(fstab) {
		line = strings.TrimPrefix(line, swapMark)
		words := strings.Fields(line)
		if len(words) >= 3 && words[2] == "swap" && !strings.HasPrefix(words[0], "#") {
			if words[0] == device || strings.Contains(words[0], "=") || strings.HasPrefix(words[0], "/dev/disk/") || strings.HasPrefix(words[0], "/dev/mapper/") {
				return !strings.HasPrefix(device, "/dev/zram")
			}
		}
	}
	return false
}

// LimitsFile is the file with the limits of a user's sessions.
func LimitsFile(user string) string { return "/etc/security/limits.d/zkctl-" + user + ".conf" }

// PlanLimits plans how many files sessions of a user may open, which counts from the next login; 0 plans nothing. What the
// server itself may open is its unit's.
func PlanLimits(f *Facts, user string, openFiles int) ([]Change, []Finding) {
	if user == "" {
		return nil, nil
	}
	if openFiles == 0 {
		if f.Contents[LimitsFile(user)] != nil {
			return nil, stays(f, "limits", LimitsFile(user)+" limits open files")
		}
		return nil, nil
	}
	if f.Files["/etc/security/limits.d"].Kind != "dir" {
		return nil, []Finding{{Host: f.Host, Check: "limits", Severity: Note, Text: "there is no /etc/security/limits.d: the limit is the server's only"}}
	}
	return fileChange(f, LimitsFile(user), fmt.Appendf(nil, "# Written by zkctl.\n%s soft nofile %d\n%[1]s hard nofile %[2]d\n", user, openFiles)), nil
}

// PlanHostname plans that a host calls itself by its name in the inventory; with its domain is as good.
func PlanHostname(f *Facts, name, policy string) ([]Change, []Finding) {
	short, _, _ := strings.Cut(f.Hostname, ".")
	kept := strings.TrimSpace(string(f.Contents["/etc/hostname"]))
	keptShort, _, _ := strings.Cut(kept, ".")
	is := func(a, b string) bool { return strings.EqualFold(a, name) || strings.EqualFold(b, name) }
	if policy != "set" || is(short, f.Hostname) && is(keptShort, kept) {
		return nil, nil
	}
	return []Change{{
		Kind: RunScript, Target: "hostname", Summary: fmt.Sprintf("change the host's name from %s to %s", f.Hostname, name), Root: true,
		Args: []string{name}, Saves: []string{"/etc/hostname"}, Shared: true, Script: setHostname, Verify: `[ "$(cat /proc/sys/kernel/hostname)" = "$1" ] && grep -qFx -- "$1" /etc/hostname`,
		// A name that somebody has given it since stays.
		Undo: &Undo{Script: `[ "$(cat /proc/sys/kernel/hostname)" = "$2" ] || exit 0` + setHostname, Args: []string{f.Hostname, name}},
	}}, nil
}

const setHostname = `
if [ -d /run/systemd/system ] && hostnamectl set-hostname --static --transient "$1" 2>/dev/null; then : # a pretty name is somebody's
else
	echo "$1" >/etc/hostname
	hostname "$1" || echo "$1" >/proc/sys/kernel/hostname
fi
`

func parseTuning(texts func(string) []string, text func(string) string) Tuning {
	t := Tuning{Sysctls: map[string]string{}, Fixed: texts("sysctl_fixed"), Later: texts("sysctl_later"), HugePages: text("huge_pages"),
		HugePagesFixed: text("huge_pages_fixed") != ""}
	for _, s := range texts("sysctl") {
		key, value, _ := strings.Cut(s, " ")
		t.Sysctls[key] = value
	}
	for _, s := range texts("swap") {
		if w := strings.Fields(s); len(w) == 5 {
			used, _ := strconv.ParseInt(w[3], 10, 64)
			priority, _ := strconv.Atoi(w[4])
			t.Swaps = append(t.Swaps, Swap{w[0], used, priority})
		}
	}
	t.AvailKiB, _ = strconv.ParseInt(text("memory_available"), 10, 64)
	return t
}
