package hostprep

import (
	"net/netip"
	"strings"
	"testing"
)

var members = []Entry{
	{netip.MustParseAddr("10.0.0.1"), []string{"master"}},
	{netip.MustParseAddr("10.0.0.2"), []string{"slave1", "slave1.lab"}},
}

const block = "# BEGIN zkctl lab: ensemble members, written by zkctl; edits between these lines are lost\n10.0.0.1\tmaster\n10.0.0.2\tslave1 slave1.lab\n" + hostsEnd + "\n"

func TestHostsContent(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", block},
		{"others stay", "127.0.0.1 localhost\n# mine\n\n10.9.9.9  db", "127.0.0.1 localhost\n# mine\n\n10.9.9.9  db\n" + block},
		{"old block", "a\n# BEGIN zkctl: old\n1.1.1.1 x\n# END zkctl\nb\n", "a\n" + block + "b\n"},
		{"two blocks", "# BEGIN zkctl\nx\n# END zkctl\nb\n# BEGIN zkctl\ny\n# END zkctl\n", block + "b\n"},
		{"damaged block", "# BEGIN zkctl\n10.9.9.9 db\n", block + "10.9.9.9 db\n"},
		{"own name alone", "127.0.1.1\tmaster\n", hostsNeutral + "127.0.1.1\tmaster\n" + block},
		{"own name in full", "127.0.1.1 master.lab master\n", hostsNeutral + "127.0.1.1 master.lab master\n" + block},
		{"own name among others", "127.0.0.1 localhost master # x\n",
			hostsPartial + "127.0.0.1 localhost master # x\n127.0.0.1\tlocalhost\n" + block},
		{"IPv6", "::1 master localhost6\n", hostsPartial + "::1 master localhost6\n::1\tlocalhost6\n" + block},
		{"own name elsewhere stays", "10.0.0.1 master\n", "10.0.0.1 master\n" + block},
		{"CRLF", "127.0.0.1 localhost\r\n", "127.0.0.1 localhost\r\n" + strings.ReplaceAll(block, "\n", "\r\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(HostsContent([]byte(c.in), "lab", members, "master"))
			if got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
			if again := string(HostsContent([]byte(got), "lab", members, "master")); again != got {
				t.Fatalf("not stable:\n%s", again)
			}
		})
	}
}

func TestHostsContentIsReversible(t *testing.T) {
	for _, in := range []string{
		"127.0.0.1\tlocalhost\n127.0.1.1\tmaster.lab master\n::1 localhost ip6-localhost\n",
		"127.0.0.1 localhost master zk1\n10.0.0.9 other\n",
	} {
		changed := HostsContent([]byte(in), "lab", members, "master", "zk1")
		if got := string(HostsContent(changed, "lab", nil)); got != in {
			t.Errorf("got\n%s\nwant\n%s", got, in)
		}
	}
}

// Ensembles that share a host have a block each, and the first that goes takes nothing of the other's along.
func TestHostsContentOfTwoEnsembles(t *testing.T) {
	const original = "127.0.0.1 localhost\n127.0.1.1 master b1 alias\n"
	others := []Entry{{netip.MustParseAddr("10.0.0.1"), []string{"b1"}}, {netip.MustParseAddr("10.0.0.9"), []string{"b2"}}}
	first := HostsContent([]byte(original), "lab", members, "master")
	both := HostsContent(first, "other", others, "b1")
	for _, want := range []string{"# BEGIN zkctl lab:", "10.0.0.2\tslave1", "# BEGIN zkctl other:", "10.0.0.9\tb2", "\n127.0.1.1\talias\n"} {
		if strings.Count(string(both), want) != 1 {
			t.Errorf("no %q in\n%s", want, both)
		}
	}
	if !HasHostsBlock(both, "lab") || !HasHostsBlock(both, "other") || HasHostsBlock(first, "other") {
		t.Error("which blocks there are is not told")
	}
	if again := HostsContent(both, "lab", members, "master"); string(again) != string(both) {
		t.Errorf("the first has to do what the second undoes:\n%s\nwas\n%s", again, both)
	}
	one, _ := RestoreHosts("lab")([]byte(original), both)
	if want := HostsContent([]byte(original), "other", others, "b1", "master"); string(one) != string(want) {
		t.Errorf("without the first\n%s\nwant\n%s", one, want)
	}
	if none, _ := RestoreHosts("other")(first, one); string(none) != original {
		t.Errorf("without both\n%s", none)
	}
}

func TestSELinuxContent(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"enforcing", "# comment\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", "# comment\n#SELINUX=enforcing\nSELINUX=disabled\nSELINUXTYPE=targeted\n"},
		{"already", "SELINUX=disabled\nSELINUXTYPE=targeted\n", "SELINUX=disabled\nSELINUXTYPE=targeted\n"},
		{"blanks", "  SELINUX = permissive\n", "#  SELINUX = permissive\nSELINUX=disabled\n"},
		{"twice", "SELINUX=disabled\nSELINUX=enforcing\n", "#SELINUX=disabled\nSELINUX=disabled\n#SELINUX=enforcing\n"},
		{"missing", "SELINUXTYPE=targeted", "SELINUXTYPE=targeted\nSELINUX=disabled\n"},
		{"commented only", "#SELINUX=enforcing\n", "#SELINUX=enforcing\nSELINUX=disabled\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(SELinuxContent([]byte(c.in), "disabled"))
			if got != c.want {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
			if again := string(SELinuxContent([]byte(got), "disabled")); again != got {
				t.Fatalf("not stable:\n%s", again)
			}
		})
	}
}

// A host that does not look in /etc/hosts, or not there first, is warned of; most have nothing to be said about.
func TestNameServiceSwitch(t *testing.T) {
	for line, want := range map[string]string{
		"":          "",
		"files dns": "",
		"files mdns4_minimal [NOTFOUND=return] dns myhostname":      "",
		"mymachines resolve [!UNAVAIL=return] files myhostname dns": "",
		"files resolve [!UNAVAIL=return] dns":                       "",
		"dns files":                                                 "asks DNS for hosts before /etc/hosts",
		"dns":                                                       "no `files` for hosts",
	} {
		_, findings := PlanHosts(&Facts{Host: "h", Hosts: HostsFile{Switch: line}}, "lab", members, members[0])
		if len(findings) > 1 || (len(findings) == 0) != (want == "") || want != "" && !strings.Contains(findings[0].Text, want) {
			t.Errorf("%q: %v", line, findings)
		}
	}
}
