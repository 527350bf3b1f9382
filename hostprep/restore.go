package hostprep

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// RestoredFiles are the files of a journal that others edit as well, by path: of these only what zkctl wrote is taken out.
func RestoredFiles(ensemble string, journal []JournalEntry) map[string]Restored {
	restored := map[string]Restored{}
	for _, e := range journal {
		switch {
		case e.Path == "/etc/hosts" || IsHostsTemplate(e.Path):
			restored[e.Path] = RestoreHosts(ensemble)
		case e.Path == "/etc/fstab":
			restored[e.Path] = restoreFstab
		case e.Path == "/etc/selinux/config" || e.Path == "/etc/sysconfig/selinux":
			restored[e.Path] = restoreSELinux
		case ourInclude.Match(e.Now):
			restored[e.Path] = restoreIncludes
		}
	}
	return restored
}

// RestoreHosts is Restored for /etc/hosts, of the block of an ensemble.
func RestoreHosts(ensemble string) Restored {
	return func(original, now []byte) ([]byte, bool) {
		return unlessEdited(original, HostsContent(now, ensemble, nil))
	}
}

// restoreFstab is Restored for /etc/fstab.
func restoreFstab(original, now []byte) ([]byte, bool) {
	had := splitLines(original)
	var b bytes.Buffer
	for _, line := range splitLines(now) {
		if !slices.Contains(had, line) {
			line = strings.TrimPrefix(line, swapMark)
		}
		b.WriteString(line)
	}
	return unlessEdited(original, b.Bytes())
}

// ourInclude is the line that we add to the configuration of nftables.
var ourInclude = regexp.MustCompile(`(?m)^include "/[^"]*/zkctl-[^"/]+\.nft"$`)

// restoreIncludes is Restored for a configuration of nftables.
func restoreIncludes(original, now []byte) ([]byte, bool) {
	had := splitLines(original)
	var b bytes.Buffer
	for _, line := range splitLines(now) {
		if slices.Contains(had, line) || !ourInclude.MatchString(strings.TrimSuffix(line, "\n")) {
			b.WriteString(line)
		}
	}
	return unlessEdited(original, b.Bytes())
}

// restoreSELinux is Restored for SELinux's configuration. A mode that zkctl never sets is somebody else's wish, and stays.
func restoreSELinux(original, now []byte) ([]byte, bool) {
	without := func(content []byte) (b []byte) {
		for _, line := range splitLines(content) {
			if !setsSELinux(strings.TrimLeft(line, "#")) {
				b = append(b, line...)
			}
		}
		return b
	}
	mode := configMode(now)
	ours := mode == string(SELinuxDisabled) || mode == string(SELinuxPermissive)
	if _, edited := unlessEdited(without(original), without(now)); !edited && ours {
		return original, false
	}
	if was := configMode(original); ours && was != "" {
		return SELinuxContent(now, was), true
	}
	return now, true
}

// unlessEdited is the original, if a file has become the same without what zkctl wrote, but for the end of its last line.
func unlessEdited(original, without []byte) ([]byte, bool) {
	ends := func(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }
	if bytes.Equal(ends(without), ends(original)) {
		return original, false
	}
	return without, true
}
