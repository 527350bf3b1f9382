package hostprep

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Entry is a line that /etc/hosts must have.
type Entry struct {
	Address netip.Addr
	Names   []string // the first is the canonical one
}

// The marks of what is ours in /etc/hosts. Each ensemble has a block of its own. A neutralised line keeps its text after
// the mark, so that removing the mark restores it.
const (
	hostsBegin   = "# BEGIN zkctl %s: ensemble members, written by zkctl; edits between these lines are lost"
	hostsEnd     = "# END zkctl"
	hostsNeutral = "# zkctl: was: "
	hostsPartial = "# zkctl: was, with the next line in its place: "
)

var hostsBegins = regexp.MustCompile(`^# BEGIN zkctl(?: ([^ :]+))?`)

// hostsBlockOf tells whether a line begins a block, and of which ensemble it is; "" stands for any.
func hostsBlockOf(line string) (ensemble string, begins bool) {
	m := hostsBegins.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// HasHostsBlock reports whether /etc/hosts has the block of an ensemble.
func HasHostsBlock(content []byte, ensemble string) bool {
	return slices.ContainsFunc(splitLines(content), func(l string) bool {
		of, begins := hostsBlockOf(strings.TrimRight(l, "\r\n"))
		return begins && (of == ensemble || of == "")
	})
}

// HostsContent returns /etc/hosts with exactly one block of the ensemble that holds the entries,
// at the place of the old block or at the end. Other lines stay byte for byte,
// with one exception: where a loopback line carries one of own, this host's names,
// the line is commented out, and put again without that name if it has others.
// A server that resolves its own name to 127.0.1.1, as Debian's installer
// arranges it, listens where no other member can reach it.
//
// An empty list of entries removes the block and restores what was commented out. While another ensemble has a block, names that
// are off loopback stay so: they may be that one's.
func HostsContent(content []byte, ensemble string, entries []Entry, own ...string) []byte {
	lines := splitLines(content)
	eol := "\n"
	if len(lines) > 0 && strings.HasSuffix(strings.TrimSuffix(lines[0], "\n"), "\r") {
		eol = "\r\n"
	}
	type kept struct {
		text   string
		theirs bool // in the block of another ensemble
	}
	var out []kept
	var off []string // names that were taken off loopback
	at, inside, within, others := -1, false, false, false
	for i := 0; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], "\r\n")
		of, begins := hostsBlockOf(text)
		switch {
		case begins && of != "" && of != ensemble:
			within, inside = closes(lines[i+1:]), false
			others = others || within
			out = append(out, kept{lines[i], true})
		case begins:
			within, inside = false, closes(lines[i+1:])
			if at < 0 {
				at = len(out)
			}
		case strings.HasPrefix(text, hostsEnd):
			if within {
				out = append(out, kept{lines[i], true})
			}
			inside, within = false, false
		case inside:
		case within:
			out = append(out, kept{lines[i], true})
		case strings.HasPrefix(text, hostsNeutral):
			was := strings.TrimPrefix(lines[i], hostsNeutral)
			off = append(off, namesOf(was)...)
			out = append(out, kept{text: was})
		case strings.HasPrefix(text, hostsPartial):
			was := strings.TrimPrefix(lines[i], hostsPartial)
			i++
			if i < len(lines) {
				rest := namesOf(lines[i])
				off = append(off, slices.DeleteFunc(namesOf(was), func(n string) bool { return slices.Contains(rest, n) })...)
			}
			out = append(out, kept{text: was})
		default:
			out = append(out, kept{text: lines[i]})
		}
	}
	if others {
		own = slices.Concat(own, off)
	} else if len(entries) == 0 {
		own = nil
	}

	var b bytes.Buffer
	block := func() {
		if len(entries) == 0 {
			return
		}
		fmt.Fprintf(&b, hostsBegin+"%s", ensemble, eol)
		for _, e := range entries {
			fmt.Fprintf(&b, "%s\t%s%s", e.Address, strings.Join(e.Names, " "), eol)
		}
		b.WriteString(hostsEnd + eol)
	}
	for i, line := range out {
		if i == at {
			block()
		}
		rest, maps := withoutNames(line.text, own, eol)
		if line.theirs || !maps {
			b.WriteString(line.text)
			continue
		}
		mark := hostsNeutral
		if rest != "" {
			mark = hostsPartial
		}
		b.WriteString(mark + line.text + missingEnd(line.text, eol) + rest)
	}
	if at < 0 || at >= len(out) {
		if len(out) > 0 && len(entries) > 0 {
			b.WriteString(missingEnd(b.String(), eol))
		}
		block()
	}
	return b.Bytes()
}

// namesOf are the names in a line of /etc/hosts.
func namesOf(line string) []string {
	text, _, _ := strings.Cut(line, "#")
	if words := strings.Fields(text); len(words) > 1 {
		return words[1:]
	}
	return nil
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
		if _, begins := hostsBlockOf(l); begins {
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

// PlanHosts plans /etc/hosts for a host of an ensemble. A line that maps the host's name, or the
// first name of its own entry, to loopback is neutralised. Findings tell what
// stands in the way or would undo the change.
func PlanHosts(f *Facts, ensemble string, entries []Entry, self Entry) ([]Change, []Finding) {
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
	after := HostsContent(f.Hosts.Content, ensemble, entries, own...)
	changes, more := planHostsTemplate(f, ensemble, entries)
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
		InPlace: f.Hosts.Mounted, Merged: f.Hosts.Content != nil,
	}), findings
}

// hostsTemplates are the names of cloud-init's templates of /etc/hosts, by distribution; see its module update_etc_hosts.
var hostsTemplates = map[string]string{
	"debian": "debian", "ubuntu": "debian", "alpine": "alpine", "arch": "arch", "sles": "suse", "opensuse-leap": "suse", "opensuse-tumbleweed": "suse",
	"rhel": "redhat", "centos": "redhat", "fedora": "redhat", "rocky": "redhat", "almalinux": "redhat", "ol": "redhat", "amzn": "redhat",
}

const hostsTemplateDir = "/etc/cloud/templates"

// IsHostsTemplate reports whether a file is a template from which cloud-init writes /etc/hosts.
func IsHostsTemplate(file string) bool {
	return path.Dir(file) == hostsTemplateDir && strings.HasPrefix(path.Base(file), "hosts.")
}

// planHostsTemplate plans the template from which cloud-init writes /etc/hosts anew at each boot, where it is told to, so that
// the block is there after a boot, too, and the own name is on no loopback address.
func planHostsTemplate(f *Facts, ensemble string, entries []Entry) ([]Change, []Finding) {
	mode := f.Hosts.CloudInit
	if mode == "" || mode == "false" {
		return nil, nil
	}
	name := hostsTemplateDir + "/hosts." + hostsTemplates[f.OS.ID] + ".tmpl"
	content, exists := f.Contents[name]
	if mode == "localhost" || !exists {
		return nil, []Finding{{Host: f.Host, Check: "hosts-file", Severity: Warning,
			Text:   fmt.Sprintf("cloud-init is told to change /etc/hosts at boot (manage_etc_hosts: %s)", mode),
			Remedy: "set `manage_etc_hosts: false` in /etc/cloud/cloud.cfg.d and in the user data, or what is written there is gone after a reboot"}}
	}
	after := HostsContent(content, ensemble, entries, "{{hostname}}", "{{fqdn}}", "$hostname", "$fqdn")
	if bytes.Equal(after, content) {
		return nil, nil
	}
	return []Change{{
		Kind: WriteFile, Target: name, Summary: "write the ensemble's block in cloud-init's template of /etc/hosts",
		Before: content, After: after, Mode: 0o644, Owner: "root", Group: "root", Root: true, Merged: true,
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
