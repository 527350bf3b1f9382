package hostprep

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// SELinuxPolicy says what to do about SELinux.
type SELinuxPolicy string

// The policies.
const (
	SELinuxDisabled   SELinuxPolicy = "disabled"   // permissive at once, disabled after the next reboot
	SELinuxPermissive SELinuxPolicy = "permissive" // permissive at once and after a reboot
	SELinuxLeave      SELinuxPolicy = "leave"      // touch nothing
)

// SELinuxContent returns /etc/selinux/config with SELINUX set to mode. Old lines
// that set it are commented out; the new one stands after the first of
// them, or at the end. Content that sets it already comes back unchanged.
func SELinuxContent(config []byte, mode string) []byte {
	want := "SELINUX=" + mode
	lines := splitLines(config)
	active, right := 0, 0
	for _, l := range lines {
		if setsSELinux(l) {
			active++
			if strings.TrimSpace(l) == want {
				right++
			}
		}
	}
	if active == 1 && right == 1 {
		return config
	}
	var b bytes.Buffer
	put := false
	for _, l := range lines {
		if !setsSELinux(l) {
			b.WriteString(l)
			continue
		}
		b.WriteString("#" + strings.TrimRight(l, "\r\n") + "\n")
		if !put {
			b.WriteString(want + "\n")
			put = true
		}
	}
	if !put {
		if b.Len() > 0 && !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
			b.WriteByte('\n')
		}
		b.WriteString(want + "\n")
	}
	return b.Bytes()
}

// setsSELinux reports whether a line sets SELINUX; libselinux skips white space
// before the key and knows SELINUXTYPE as another one.
func setsSELinux(line string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "SELINUX")
	return ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=")
}

// PlanSELinux plans SELinux for a host.
//
// The configuration is rewritten in place, so that the inode keeps its label:
// while SELinux is off new files get none, and a host whose configuration has no
// label does not come back if it is ever set to enforcing again.
func PlanSELinux(f *Facts, policy SELinuxPolicy) ([]Change, []Finding) {
	note := func(severity Severity, text, remedy string) Finding {
		return Finding{Host: f.Host, Check: "selinux", Severity: severity, Text: text, Remedy: remedy}
	}
	s := f.SELinux
	if !s.Present {
		return nil, []Finding{note(Note, "there is no SELinux here: nothing to do", "")}
	}
	if policy == SELinuxLeave {
		var findings []Finding
		if s.Runtime == "Enforcing" {
			findings = append(findings, note(Note, "enforcing, and left so; files written get their labels by restorecon", ""))
		}
		if mode := configMode(s.Config); mode != "" && mode != strings.ToLower(s.Runtime) {
			findings = append(findings, note(Note, fmt.Sprintf("%s now, %s after the next reboot", strings.ToLower(s.Runtime), mode), ""))
		}
		return nil, findings
	}
	var changes []Change
	mode := string(policy)
	// A host that is disabled in its file is not brought back to permissive.
	if s.Config != nil && !(policy == SELinuxPermissive && configMode(s.Config) == "disabled") {
		if after := SELinuxContent(s.Config, mode); !bytes.Equal(after, s.Config) {
			changes = append(changes, Change{
				Kind: WriteFile, Target: s.Path, Summary: fmt.Sprintf("set SELINUX=%s in %s", mode, s.Path),
				Before: s.Config, After: after, Mode: 0o644, Owner: "root", Group: "root", Root: true, InPlace: true, Merged: true,
			})
		}
	}
	if s.Runtime == "Enforcing" {
		changes = append(changes, Change{
			Kind: RunScript, Target: "selinux", Summary: "switch SELinux to permissive at once",
			Script: `PATH=$PATH:/usr/sbin:/sbin; setenforce 0`, Verify: `[ "$(getenforce)" != Enforcing ]`, Root: true,
			// Where it is disabled by now, it comes back with the next reboot, from the file.
			Undo: &Undo{Script: `PATH=$PATH:/usr/sbin:/sbin; [ "$(getenforce)" != Permissive ] || setenforce 1`},
		})
	}
	// What there will be now, and after a reboot.
	now, then := strings.ToLower(s.Runtime), mode
	if now == "enforcing" {
		now = "permissive"
	}
	if s.Config == nil || policy == SELinuxPermissive && configMode(s.Config) == "disabled" {
		then = cmp.Or(configMode(s.Config), "whatever the kernel's parameters say")
	}
	var findings []Finding
	if now != then {
		remedy := ""
		if then == "disabled" {
			remedy = "to undo, set SELINUX=permissive first and reboot, so that files get their labels; then enforcing"
		}
		findings = append(findings, note(Note, fmt.Sprintf("%s now, %s after the next reboot", now, then), remedy))
	}
	if s.Forced && then == "permissive" {
		findings = append(findings, note(Warning, "the kernel is started with enforcing=1, which counts more than the configuration: enforcing after the next reboot",
			"take enforcing=1 out of the kernel's parameters"))
	}
	return changes, findings
}

func configMode(config []byte) string {
	mode := ""
	for _, l := range splitLines(config) {
		if setsSELinux(l) {
			_, value, _ := strings.Cut(l, "=")
			mode = strings.ToLower(strings.TrimSpace(value))
		}
	}
	return mode
}
