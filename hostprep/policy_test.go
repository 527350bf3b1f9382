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

func TestPlanSELinux(t *testing.T) {
	const path = "/etc/selinux/config"
	state := func(runtime, config string) SELinux {
		return SELinux{Present: true, Runtime: runtime, Config: []byte("SELINUX=" + config + "\n"), Path: path}
	}
	forced := state("Permissive", "permissive")
	forced.Forced = true
	set, now := "set SELINUX=disabled in "+path, "switch SELinux to permissive at once"
	for _, c := range []struct {
		name   string
		s      SELinux
		policy SELinuxPolicy
		want   string
		note   string
	}{
		{"enforcing", state("Enforcing", "enforcing"), SELinuxDisabled, set + "; " + now, "permissive now, disabled after the next reboot"},
		{"reboot pending", state("Permissive", "disabled"), SELinuxDisabled, "", "permissive now, disabled after the next reboot"},
		{"set in the file but still enforcing", state("Enforcing", "disabled"), SELinuxDisabled, now, "permissive now, disabled after the next reboot"},
		{"disabled until the reboot", state("Disabled", "enforcing"), SELinuxDisabled, set, ""},
		{"disabled", state("Disabled", "disabled"), SELinuxDisabled, "", ""},
		{"absent", SELinux{}, SELinuxDisabled, "", "no SELinux here"},
		{"to permissive", state("Enforcing", "enforcing"), SELinuxPermissive, "set SELINUX=permissive in " + path + "; " + now, ""},
		{"permissive", state("Permissive", "permissive"), SELinuxPermissive, "", ""},
		{"permissive does not revive", state("Disabled", "disabled"), SELinuxPermissive, "", ""},
		{"permissive until a reboot that disables", state("Enforcing", "disabled"), SELinuxPermissive, now, "permissive now, disabled after the next reboot"},
		{"permissive after a reboot", state("Disabled", "enforcing"), SELinuxPermissive, "set SELINUX=permissive in " + path, "disabled now, permissive after the next reboot"},
		{"without a file", SELinux{Present: true, Runtime: "Enforcing", Path: path}, SELinuxDisabled, now, "permissive now, whatever the kernel's parameters say after the next reboot"},
		{"forced", forced, SELinuxPermissive, "", "started with enforcing=1"},
		{"leave", state("Enforcing", "enforcing"), SELinuxLeave, "", "enforcing, and left so"},
		{"leave, reboot pending", state("Permissive", "disabled"), SELinuxLeave, "", "permissive now, disabled after the next reboot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, findings := PlanSELinux(&Facts{Host: "h", SELinux: c.s}, c.policy)
			if got := summaries(changes); got != c.want {
				t.Errorf("got %q", got)
			}
			for _, ch := range changes {
				if ch.Kind == WriteFile && !ch.InPlace {
					t.Error("the configuration would lose its inode and with it its label")
				}
			}
			var text string
			for _, f := range findings {
				text += f.Text + "\n"
			}
			if !strings.Contains(text, c.note) || c.note == "" && text != "" {
				t.Errorf("findings %q", text)
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
