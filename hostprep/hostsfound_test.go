package hostprep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

// planned gathers, and plans /etc/hosts for the host that is called master.
func planned(t *testing.T, host remote.Host) ([]Change, []Finding) {
	t.Helper()
	f, err := Gather(t.Context(), host, Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	f.Hostname, f.OS.ID = "master", "debian"
	return PlanHosts(f, "lab", members, members[0])
}

// Who comes while a machine is being made is told so.
func TestCloudInitAtWork(t *testing.T) {
	host := sandbox(t)
	sh(t, host, "mount -t tmpfs none /run; mkdir /run/cloud-init")
	for _, c := range []struct {
		change string
		want   bool
	}{{":", false}, {": >/run/cloud-init/enabled", true}, {": >/run/cloud-init/result.json", false}} {
		sh(t, host, c.change)
		f, err := Gather(t.Context(), host, Wanted{})
		if err != nil {
			t.Fatal(err)
		}
		warned := false
		for _, finding := range Check(f, Requirements{}) {
			warned = warned || finding.Severity == Warning && strings.Contains(finding.Text, "cloud-init is at work") && strings.Contains(finding.Remedy, "--wait-ssh")
		}
		if warned != c.want {
			t.Errorf("after %q: %v", c.change, warned)
		}
	}
}

// /etc/hosts is written whatever it is, and is again what it was after the undo.
func TestHostsFileAsFound(t *testing.T) {
	const original = "127.0.0.1\tlocalhost\n127.0.1.1\tmaster.lab master"
	for name, prepare := range map[string]string{
		"a file":         "",
		"a bind mount":   "cp /etc/hosts /etc/hosts.real; mount --bind /etc/hosts.real /etc/hosts",
		"a link":         "mkdir -p /etc/real; mv /etc/hosts /etc/real/hosts; ln -s real/hosts /etc/hosts",
		"a link to away": "mv /etc/hosts /etc/hosts.elsewhere; ln -s /etc/hosts.elsewhere /etc/hosts",
	} {
		t.Run(name, func(t *testing.T) {
			host := sandbox(t)
			if err := os.WriteFile("/etc/hosts", []byte(original), 0o640); err != nil {
				t.Fatal(err)
			}
			sh(t, host, "rm -rf /etc/cloud; "+prepare)
			defer sh(t, host, "umount /etc/hosts 2>/dev/null || :")
			const state = "readlink /etc/hosts; stat -Lc '%a %u %g' /etc/hosts; cat /etc/hosts; grep -c ' /etc/hosts ' /proc/self/mountinfo || :"
			before := sh(t, host, state)
			changes, findings := planned(t, host)
			if len(changes) != 1 || len(findings) != 0 {
				t.Fatalf("changes %q, findings %v", summaries(changes), findings)
			}
			journal := filepath.Join(t.TempDir(), "journal")
			if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
				t.Fatal(err)
			}
			if got := sh(t, host, "cat /etc/hosts"); got+"\n" != "127.0.0.1\tlocalhost\n"+hostsNeutral+"127.0.1.1\tmaster.lab master\n"+block {
				t.Errorf("/etc/hosts is\n%s", got)
			}
			if again, _ := planned(t, host); len(again) > 0 {
				t.Errorf("still to do: %s", summaries(again))
			}
			real := sh(t, host, "readlink -f /etc/hosts")
			undo, _ := PlanUndo("h", journalOf(t, host, journal), map[string]Restored{real: RestoreHosts("lab")})
			if err := (Batch{Changes: undo}).Exec(t.Context(), host); err != nil {
				t.Fatal(err)
			}
			if after := sh(t, host, state); after != before {
				t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

func TestImmutableHostsFileIsRefused(t *testing.T) {
	host := sandbox(t)
	sh(t, host, "chattr +i /etc/hosts 2>/dev/null || :")
	defer sh(t, host, "chattr -i /etc/hosts 2>/dev/null || :")
	if !strings.Contains(sh(t, host, "lsattr -d /etc/hosts 2>/dev/null || :"), "i") {
		// A file system that knows no such thing: what its tool would say.
		fake(t, "lsattr", "echo '----i---------e------- /etc/hosts'\n")
	}
	changes, findings := planned(t, host)
	if len(changes) > 0 || len(findings) != 1 || findings[0].Severity != Error || !strings.Contains(findings[0].Remedy, "chattr -i") {
		t.Errorf("changes %q, findings %v", summaries(changes), findings)
	}
}

// Where cloud-init writes the file anew at each boot, the template has the block, and a boot leaves nothing to do.
func TestCloudInitTemplate(t *testing.T) {
	host := sandbox(t)
	const template = "## template:jinja\n{# a comment #}\n127.0.1.1 {{fqdn}} {{hostname}}\n127.0.0.1 localhost\n\n::1 localhost ip6-localhost\n"
	rendered := func(text string) string {
		text = strings.NewReplacer("## template:jinja\n", "", "{# a comment #}\n", "", "{{fqdn}}", "master.lab", "{{hostname}}", "master").Replace(text)
		return text
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, host, "rm -rf /etc/cloud")
	write("/etc/cloud/cloud.cfg", "manage_etc_hosts: false\n")
	write("/etc/cloud/cloud.cfg.d/50-provider.cfg", "#cloud-config\nmanage_etc_hosts: True # so it is\n")
	const path = "/etc/cloud/templates/hosts.debian.tmpl"
	write(path, template)
	write("/etc/hosts", rendered(template))
	changes, findings := planned(t, host)
	if summaries(changes) != "write the ensemble's block in cloud-init's template of /etc/hosts; write the ensemble's block in /etc/hosts" || len(findings) > 0 {
		t.Fatalf("changes %q, findings %v", summaries(changes), findings)
	}
	journal := filepath.Join(t.TempDir(), "journal")
	if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	now := sh(t, host, "cat /etc/hosts")
	write("/etc/hosts", rendered(sh(t, host, "cat "+path)+"\n"))
	if boot := sh(t, host, "cat /etc/hosts"); boot != now {
		t.Errorf("after a boot\n%s\nbefore\n%s", boot, now)
	}
	if again, _ := planned(t, host); len(again) > 0 {
		t.Errorf("still to do: %s", summaries(again))
	}
	undo(t, host, journal)
	if got := sh(t, host, "cat "+path); got+"\n" != template {
		t.Errorf("the template is\n%s", got)
	}
	for value, want := range map[string]string{"localhost": "manage_etc_hosts: localhost", "false": ""} {
		write("/etc/cloud/cloud.cfg.d/60-user.cfg", "manage_etc_hosts: "+value+"\n")
		changes, findings := planned(t, host)
		if summaries(changes) != "write the ensemble's block in /etc/hosts" || (len(findings) == 1) != (want != "") || want != "" && !strings.Contains(findings[0].Text, want) {
			t.Errorf("%s: changes %q, findings %v", value, summaries(changes), findings)
		}
	}
}
