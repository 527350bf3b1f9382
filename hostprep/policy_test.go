package hostprep

import (
	"strings"
	"testing"
	"time"
)

func summaries(cs []Change) string {
	var s []string
	for _, c := range cs {
		s = append(s, c.Summary)
	}
	return strings.Join(s, "; ")
}

func TestPlanFirewall(t *testing.T) {
	running := Firewall{Firewalld: Unit{Loaded: true, Active: "active", Enabled: "enabled"}}
	zoned := running
	zoned.Zones = []Zone{
		{Name: "public", Open: []string{"2000-3000/tcp"}, Permanent: []string{"2181/tcp"}},
		{Name: "internal", Open: []string{"2181/tcp", "2888/tcp"}, Permanent: []string{"2181/tcp", "2888/tcp"}},
	}
	for _, c := range []struct {
		name   string
		fw     Firewall
		policy FirewallPolicy
		want   string // summaries
		note   string // in the findings
	}{
		{"disable", running, FirewallDisable, "stop and disable firewalld", ""},
		{"stopped but enabled", Firewall{Firewalld: Unit{Loaded: true, Active: "inactive", Enabled: "enabled"}}, FirewallDisable, "stop and disable firewalld", ""},
		{"absent", Firewall{}, FirewallDisable, "", "not installed: nothing to do"},
		{"masked", Firewall{Firewalld: Unit{Masked: true, Active: "inactive"}}, FirewallDisable, "", "masked"},
		{"off already", Firewall{Firewalld: Unit{Loaded: true, Active: "inactive", Enabled: "disabled"}}, FirewallDisable, "", "stopped and disabled"},
		{"open ports", zoned, FirewallOpenPorts, "open 2888/tcp in firewalld, zone public", ""},
		{"leave", running, FirewallLeave, "", "left alone"},
		{"ufw", Firewall{UFW: "Status: active"}, FirewallDisable, "", "ufw is active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, findings := PlanFirewall(&Facts{Host: "h", Firewall: c.fw}, c.policy, []int{2181, 2888})
			if got := summaries(changes); got != c.want {
				t.Errorf("changes: %q", got)
			}
			var text string
			for _, f := range findings {
				text += f.String() + "\n"
			}
			if !strings.Contains(text, c.note) || c.note == "" && text != "" {
				t.Errorf("findings: %q", text)
			}
		})
	}
}

func TestPlanSELinux(t *testing.T) {
	const path = "/etc/selinux/config"
	state := func(runtime, config string) SELinux {
		return SELinux{Present: true, Runtime: runtime, Config: []byte("SELINUX=" + config + "\n"), Path: path}
	}
	set, now := "set SELINUX=disabled in "+path, "switch SELinux to permissive at once"
	for _, c := range []struct {
		name   string
		s      SELinux
		policy SELinuxPolicy
		want   string
	}{
		{"enforcing", state("Enforcing", "enforcing"), SELinuxDisabled, set + "; " + now},
		{"reboot pending", state("Permissive", "disabled"), SELinuxDisabled, ""},
		{"set in the file but still enforcing", state("Enforcing", "disabled"), SELinuxDisabled, now},
		{"disabled until the reboot", state("Disabled", "enforcing"), SELinuxDisabled, set},
		{"absent", SELinux{}, SELinuxDisabled, ""},
		{"permissive", state("Enforcing", "enforcing"), SELinuxPermissive, "set SELINUX=permissive in " + path + "; " + now},
		{"permissive does not revive", state("Disabled", "disabled"), SELinuxPermissive, ""},
		{"leave", state("Enforcing", "enforcing"), SELinuxLeave, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, _ := PlanSELinux(&Facts{Host: "h", SELinux: c.s}, c.policy)
			if got := summaries(changes); got != c.want {
				t.Errorf("got %q", got)
			}
			for _, ch := range changes {
				if ch.Kind == WriteFile && !ch.InPlace {
					t.Error("the configuration would lose its inode and with it its label")
				}
			}
		})
	}
}

func TestChecks(t *testing.T) {
	good := Facts{Host: "h", OS: OS{Kernel: "Linux"}, Arch: "amd64", IsRoot: true, Disks: []Disk{{Path: "/d", AvailKiB: 4 << 20}}}
	need := Requirements{ID: 2, Arches: []string{"amd64"}, NeedRoot: true, DataDir: "/d", MinAvailKiB: 1 << 20, Ports: []int{2181},
		Ours: func(l Listener) bool { return l.Unit == "zookeeper.service" }}
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string // "check severity"; empty for none
	}{
		{"good", func(*Facts) {}, ""},
		{"other system", func(f *Facts) { f.OS.Kernel = "FreeBSD" }, "os error"},
		{"other machine", func(f *Facts) { f.Arch = "riscv64" }, "arch error"},
		{"not root", func(f *Facts) { f.IsRoot = false }, "privilege error"},
		{"disk full", func(f *Facts) { f.Disks = []Disk{{Path: "/d", AvailKiB: 100}} }, "disk error"},
		{"disk nearly full", func(f *Facts) { f.Disks = []Disk{{Path: "/d", AvailKiB: 3 << 19}} }, "disk warning"},
		{"port taken", func(f *Facts) { f.Ports = []Listener{{Port: 2181, PID: 9, Process: "java"}} }, "ports error"},
		{"port ours", func(f *Facts) { f.Ports = []Listener{{Port: 2181, PID: 9, Unit: "zookeeper.service"}} }, ""},
		{"other id", func(f *Facts) { f.Data = []DataDir{{Path: "/d", MyID: "3"}} }, "data error"},
		{"placeholder", func(f *Facts) { f.Data = []DataDir{{Path: "/d", MyID: "replace this text"}} }, ""},
		{"data under a placeholder", func(f *Facts) { f.Data = []DataDir{{Path: "/d", MyID: "replace", HasData: true}} }, "data warning"},
		{"one disk twice", func(f *Facts) { f.Disks = append(f.Disks, f.Disks...); f.Disks[0].AvailKiB, f.Disks[1].AvailKiB = 1, 1 }, "disk error"},
		{"same id", func(f *Facts) { f.Data = []DataDir{{Path: "/d", MyID: "2", HasData: true}} }, ""},
		{"data without id", func(f *Facts) { f.Data = []DataDir{{Path: "/d", HasData: true}} }, "data warning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good
			c.change(&f)
			var got string
			for _, x := range Check(&f, need) {
				got += x.Check + " " + x.Severity.String()
				if x.Severity == Error && x.Remedy == "" {
					t.Errorf("no remedy: %v", x)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckTogether(t *testing.T) {
	hosts := []*Facts{{Host: "a"}, {Host: "b", Skew: 100 * time.Millisecond}, {Host: "c", Skew: -7 * time.Second},
		{Host: "d", Skew: 1500 * time.Millisecond, SkewUncertainty: time.Second}}
	found := CheckTogether(hosts, time.Second)
	if len(found) != 1 || found[0].Host != "c" || !strings.Contains(found[0].Text, "behind") {
		t.Errorf("%v", found)
	}
}
