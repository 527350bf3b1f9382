package hostprep

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Entry is a line that /etc/hosts must have.
type Entry struct {
	Address netip.Addr
	Names   []string // the first is the canonical one
}

// The marks of what is ours in /etc/hosts. A neutralised line keeps its text after
// the mark, so that removing the mark restores it.
const (
	hostsBegin   = "# BEGIN zkctl: ensemble members, written by zkctl; edits between these lines are lost"
	hostsEnd     = "# END zkctl"
	hostsNeutral = "# zkctl: was: "
	hostsPartial = "# zkctl: was, with the next line in its place: "
)

// HostsContent returns /etc/hosts with exactly one block that holds the entries,
// at the place of the old block or at the end. Other lines stay byte for byte,
// with one exception: where a loopback line carries one of own, this host's names,
// the line is commented out, and put again without that name if it has others.
// A server that resolves its own name to 127.0.1.1, as Debian's installer
// arranges it, listens where no other member can reach it.
//
// An empty list of entries removes the block and restores what was commented out.
func HostsContent(content []byte, entries []Entry, own ...string) []byte {
	lines := splitLines(content)
	eol := "\n"
	if len(lines) > 0 && strings.HasSuffix(strings.TrimSuffix(lines[0], "\n"), "\r") {
		eol = "\r\n"
	}
	var out []string
	at, inside := -1, false
	for i := 0; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], "\r\n")
		switch {
		case strings.HasPrefix(text, "# BEGIN zkctl"):
			if closes(lines[i+1:]) {
				inside = true
			}
			if at < 0 {
				at = len(out)
			}
		case strings.HasPrefix(text, hostsEnd):
			inside = false
		case inside:
		case strings.HasPrefix(text, hostsNeutral):
			out = append(out, strings.TrimPrefix(lines[i], hostsNeutral))
		case strings.HasPrefix(text, hostsPartial):
			out = append(out, strings.TrimPrefix(lines[i], hostsPartial))
			i++
		default:
			out = append(out, lines[i])
		}
	}
	if len(entries) == 0 {
		return []byte(strings.Join(out, ""))
	}

	block := []string{hostsBegin + eol}
	for _, e := range entries {
		block = append(block, fmt.Sprintf("%s\t%s%s", e.Address, strings.Join(e.Names, " "), eol))
	}
	block = append(block, hostsEnd+eol)

	var b bytes.Buffer
	put := func(line string) {
		rest, ok := withoutNames(line, own, eol)
		if !ok {
			b.WriteString(line)
			return
		}
		mark := hostsNeutral
		if rest != "" {
			mark = hostsPartial
		}
		b.WriteString(mark + line + missingEnd(line, eol))
		b.WriteString(rest)
	}
	for i, line := range out {
		if i == at {
			b.WriteString(strings.Join(block, ""))
		}
		put(line)
	}
	if at < 0 || at >= len(out) {
		if len(out) > 0 {
			b.WriteString(missingEnd(b.String(), eol))
		}
		b.WriteString(strings.Join(block, ""))
	}
	return b.Bytes()
}

// missingEnd is what text lacks to end a line.
func missingEnd(text, eol string) string {
	switch {
	case strings.HasSuffix(text, "\n"):
		return ""
	case strings.HasSuffix(text, "\r"):
		return "\n"
	}
	return eol
}

// closes reports whether an opened block is closed before another one opens. One
// that is not was damaged by hand; what follows it is not ours to remove.
func closes(lines []string) bool {
	for _, l := range lines {
		if strings.HasPrefix(l, hostsEnd) {
			return true
		}
		if strings.HasPrefix(l, "# BEGIN zkctl") {
			return false
		}
	}
	return false
}

// withoutNames tells whether a line maps a name of own to a loopback address, and
// what remains of it without such names; empty if it has no others. Names of
// localhost never count as own. What remains ends with eol.
func withoutNames(line string, own []string, eol string) (rest string, maps bool) {
	body := strings.TrimRight(line, "\r\n")
	text, _, _ := strings.Cut(body, "#")
	words := strings.Fields(text)
	if len(words) < 2 {
		return "", false
	}
	addr, err := netip.ParseAddr(words[0])
	if err != nil || !addr.IsLoopback() {
		return "", false
	}
	isOwn := func(name string) bool {
		short, _, _ := strings.Cut(name, ".")
		return !strings.HasPrefix(name, "localhost") && slices.ContainsFunc(own, func(o string) bool {
			return strings.EqualFold(name, o) || strings.EqualFold(short, o)
		})
	}
	if !slices.ContainsFunc(words[1:], isOwn) {
		return "", false
	}
	kept := slices.DeleteFunc(slices.Clone(words[1:]), isOwn)
	if len(kept) == 0 {
		return "", true
	}
	return words[0] + "\t" + strings.Join(kept, " ") + eol, true
}

// splitLines cuts after each newline; the last line may have none.
func splitLines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	return slices.DeleteFunc(strings.SplitAfter(string(content), "\n"), func(l string) bool { return l == "" })
}

// PlanHosts plans /etc/hosts for a host. A line that maps the host's name, or the
// first name of its own entry, to loopback is neutralised. Findings tell what
// stands in the way or would undo the change.
func PlanHosts(f *Facts, entries []Entry, self Entry) ([]Change, []Finding) {
	var own []string
	short, _, _ := strings.Cut(f.Hostname, ".")
	for _, n := range append([]string{short}, self.Names...) {
		if n != "" && !slices.Contains(own, n) {
			own = append(own, n)
		}
	}
	var findings []Finding
	if text := f.Hosts.ignored(); text != "" {
		findings = append(findings, Finding{Host: f.Host, Check: "hosts-file", Severity: Warning, Text: text,
			Remedy: "write `hosts: files dns` in /etc/nsswitch.conf"})
	}
	after := HostsContent(f.Hosts.Content, entries, own...)
	changes, more := planHostsTemplate(f, entries)
	findings = append(findings, more...)
	if bytes.Equal(after, f.Hosts.Content) {
		return changes, findings
	}
	if f.Hosts.Immutable {
		return nil, []Finding{{Host: f.Host, Check: "hosts-file", Severity: Error,
			Text: "/etc/hosts must be changed but is immutable", Remedy: "run `chattr -i /etc/hosts`, or set the policy to leave it alone"}}
	}
	return append(changes, Change{
		Kind: WriteFile, Target: "/etc/hosts", Summary: "write the ensemble's block in /etc/hosts",
		Before: f.Hosts.Content, After: after, Mode: 0o644, Owner: "root", Group: "root", Root: true,
		InPlace: f.Hosts.Mounted,
	}), findings
}

// hostsTemplates are the names of cloud-init's templates of /etc/hosts, by distribution; see its module update_etc_hosts.
var hostsTemplates = map[string]string{
	"debian": "debian", "ubuntu": "debian", "alpine": "alpine", "arch": "arch", "sles": "suse", "opensuse-leap": "suse", "opensuse-tumbleweed": "suse",
	"rhel": "redhat", "centos": "redhat", "fedora": "redhat", "rocky": "redhat", "almalinux": "redhat", "ol": "redhat", "amzn": "redhat",
}

// planHostsTemplate plans the template from which cloud-init writes /etc/hosts anew at each boot, where it is told to, so that
// the block is there after a boot, too, and the own name is on no loopback address.
func planHostsTemplate(f *Facts, entries []Entry) ([]Change, []Finding) {
	mode := f.Hosts.CloudInit
	if mode == "" || mode == "false" {
		return nil, nil
	}
	name := "/etc/cloud/templates/hosts." + hostsTemplates[f.OS.ID] + ".tmpl"
	content, exists := f.Contents[name]
	if mode == "localhost" || !exists {
		return nil, []Finding{{Host: f.Host, Check: "hosts-file", Severity: Warning,
			Text:   fmt.Sprintf("cloud-init is told to change /etc/hosts at boot (manage_etc_hosts: %s)", mode),
			Remedy: "set `manage_etc_hosts: false` in /etc/cloud/cloud.cfg.d and in the user data, or what is written there is gone after a reboot"}}
	}
	after := HostsContent(content, entries, "{{hostname}}", "{{fqdn}}", "$hostname", "$fqdn")
	if bytes.Equal(after, content) {
		return nil, nil
	}
	return []Change{{
		Kind: WriteFile, Target: name, Summary: "write the ensemble's block in cloud-init's template of /etc/hosts",
		Before: content, After: after, Mode: 0o644, Owner: "root", Group: "root", Root: true,
	}}, nil
}

// ignored says why programs do not find in /etc/hosts what is there, "" if they do.
func (h HostsFile) ignored() string {
	services := strings.Fields(h.Switch)
	files := slices.Index(services, "files")
	dns := slices.IndexFunc(services, func(s string) bool { return s == "dns" || s == "resolve" })
	switch {
	case h.Switch == "":
		return "" // without the line, or the file, files come first
	case files < 0 && !slices.Contains(services, "resolve"): // which reads /etc/hosts itself
		return "nsswitch.conf has no `files` for hosts: nobody reads /etc/hosts"
	case dns >= 0 && dns < files && services[dns] == "dns":
		return "nsswitch.conf asks DNS for hosts before /etc/hosts"
	}
	return ""
}
