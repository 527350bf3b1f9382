package hostprep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

func checkPlan(t *testing.T, changes []Change, findings []Finding, want, note string) {
	t.Helper()
	if got := summaries(changes); got != want {
		t.Errorf("changes: %q\nwant     %q", got, want)
	}
	var text string
	for _, f := range findings {
		text += f.String() + "\n"
		if f.Severity != Note && f.Remedy == "" {
			t.Errorf("no remedy: %v", f)
		}
	}
	if !strings.Contains(text, note) || note == "" && text != "" {
		t.Errorf("findings: %q, want %q", text, note)
	}
}

func TestPlanSysctl(t *testing.T) {
	const written = "# Written by zkctl.\nnet.ipv4.ip_local_port_range = 32768 60999\nvm.swappiness = 1\n"
	wanted := map[string]string{"vm.swappiness": "1", "net.ipv4.ip_local_port_range": "32768 60999"}
	set := map[string]string{"vm.swappiness": "1", "net.ipv4.ip_local_port_range": "32768  60999"}
	for _, c := range []struct {
		name, file string
		is         map[string]string
		later      []string
		want, note string
	}{
		{"new", "", map[string]string{"vm.swappiness": "60", "net.ipv4.ip_local_port_range": "32768 60999"}, nil,
			"write /etc/sysctl.d/90-zkctl.conf; set vm.swappiness=1", ""},
		{"set already", written, set, []string{"/etc/sysctl.d/99-x.conf vm.swappiness = 1"}, "", ""},
		{"overridden", written, set, []string{"/etc/sysctl.d/99-sysctl.conf vm.swappiness= 60"}, "", "99-sysctl.conf sets vm.swappiness to 60, and is read after"},
		{"a container", written, map[string]string{"vm.swappiness": "60 ", "net.ipv4.ip_local_port_range": "32768 60999"}, nil, "",
			"vm.swappiness is 60, and cannot be set here"},
		{"unknown", written, map[string]string{"vm.swappiness": "1"}, nil, "", "no parameter net.ipv4.ip_local_port_range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Facts{Host: "h", Contents: map[string][]byte{}, Tuning: Tuning{Sysctls: c.is, Later: c.later}}
			if c.name == "a container" {
				f.Tuning.Fixed = []string{"vm.swappiness", "net.ipv4.ip_local_port_range"}
			}
			if c.file != "" {
				f.Contents[SysctlFile] = []byte(c.file)
			}
			changes, findings := PlanSysctl(f, wanted)
			checkPlan(t, changes, findings, c.want, c.note)
		})
	}
}

func TestPlanHugePages(t *testing.T) {
	host := func(now string) *Facts {
		return &Facts{Host: "h", Systemd: true, Tuning: Tuning{HugePages: now}, Contents: map[string][]byte{}, Units: map[string]Unit{}}
	}
	const all = "set transparent huge pages from always to never; write " + HugePagesUnit + "; set transparent huge pages at boot"
	f := host("[always] madvise never")
	changes, findings := PlanHugePages(f, "never")
	checkPlan(t, changes, findings, all, "")
	done := host("always madvise [never]")
	done.Contents[HugePagesUnit] = changes[1].After
	done.Units["zkctl-huge-pages.service"] = Unit{Enabled: "enabled"}
	changes, findings = PlanHugePages(done, "never")
	checkPlan(t, changes, findings, "", "")
	changes, findings = PlanHugePages(f, "leave")
	checkPlan(t, changes, findings, "", "")
	changes, findings = PlanHugePages(host(""), "never")
	checkPlan(t, changes, findings, "", "no transparent huge pages")
	fixed := host("[always] madvise never")
	fixed.Tuning.HugePagesFixed = true
	changes, findings = PlanHugePages(fixed, "never")
	checkPlan(t, changes, findings, "", "set to always, and cannot be set here")
	openrc := host("[always] madvise never")
	openrc.Systemd, openrc.OpenRC = false, true
	changes, findings = PlanHugePages(openrc, "madvise")
	checkPlan(t, changes, findings, "set transparent huge pages from always to madvise; write "+HugePagesStart+"; set transparent huge pages at boot", "")
	if changes[1].Mode != 0o755 {
		t.Error("OpenRC runs executable files only")
	}
	openrc.OpenRC = false
	changes, findings = PlanHugePages(openrc, "madvise")
	checkPlan(t, changes, findings, "set transparent huge pages from always to madvise", "until the next boot only")
}

func TestPlanSwap(t *testing.T) {
	const fstab = "UUID=1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n# /dev/sdb none swap sw 0 0\n/swap.img\tnone\tswap\tsw\t0\t0"
	const without = "UUID=1 / ext4 defaults 0 1\n" + swapMark + "/dev/sda2 none swap sw 0 0\n# /dev/sdb none swap sw 0 0\n" + swapMark + "/swap.img\tnone\tswap\tsw\t0\t0"
	if got := string(FstabWithoutSwap([]byte(fstab))); got != without {
		t.Errorf("got %q", got)
	}
	if got := string(FstabWithoutSwap([]byte(without))); got != without {
		t.Errorf("not stable: %q", got)
	}
	for _, c := range []struct {
		name, fstab string
		swaps       []Swap
		policy      string
		want, note  string
	}{
		{"on", fstab, []Swap{{"/dev/sda2", 5, -2}, {"/swap.img", 0, -2}}, "off", "take swap out of /etc/fstab; switch swap off: /dev/sda2, /swap.img", ""},
		{"on, left so", fstab, []Swap{{"/dev/sda2", 5, -2}}, "leave", "", ""},
		{"off", without, nil, "off", "", ""},
		{"on until now", without, []Swap{{"/dev/sda2", 5, -2}}, "off", "switch swap off: /dev/sda2", ""},
		{"compressed memory", without, []Swap{{"/dev/zram0", 5, -2}}, "off", "switch swap off: /dev/zram0", "/dev/zram0 is not in /etc/fstab"},
		{"no room", fstab, []Swap{{"/dev/sda2", 2 << 20, -2}}, "off", "", "2048 MiB are swapped out, and 1024 MiB of memory are left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Facts{Host: "h", Contents: map[string][]byte{"/etc/fstab": []byte(c.fstab)}, Tuning: Tuning{Swaps: c.swaps, AvailKiB: 1 << 20}}
			changes, findings := PlanSwap(f, c.policy)
			checkPlan(t, changes, findings, c.want, c.note)
		})
	}
}

func TestSwapsFound(t *testing.T) {
	lines := func(key string) []string {
		return map[string][]string{"swap": {"/dev/sda2                               partition\t1048572\t\t512\t\t-2", "/swap.img file 1024 0 10"}}[key]
	}
	found := parseTuning(lines, func(string) string { return "" }).Swaps
	if want := []Swap{{"/dev/sda2", 512, -2}, {"/swap.img", 0, 10}}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

func TestPlanHostname(t *testing.T) {
	for _, c := range []struct{ now, file, policy, want string }{
		{"localhost", "localhost\n", "set", "change the host's name from localhost to zk1"},
		{"zk1", "zk1\n", "set", ""},
		{"ZK1.example.org", "zk1.example.org\n", "set", ""},
		{"zk1", "localhost\n", "set", "change the host's name from zk1 to zk1"},
		{"localhost", "localhost\n", "leave", ""},
	} {
		changes, findings := PlanHostname(&Facts{Host: "h", Hostname: c.now, Contents: map[string][]byte{"/etc/hostname": []byte(c.file)}}, "zk1", c.policy)
		checkPlan(t, changes, findings, c.want, "")
	}
}

func TestPlanLimits(t *testing.T) {
	f := &Facts{Host: "h", Contents: map[string][]byte{}, Files: map[string]remote.FileState{"/etc/security/limits.d": {Kind: "dir"}}}
	changes, findings := PlanLimits(f, "zookeeper", 70000)
	checkPlan(t, changes, findings, "write /etc/security/limits.d/zkctl-zookeeper.conf", "")
	if got := string(changes[0].After); got != "# Written by zkctl.\nzookeeper soft nofile 70000\nzookeeper hard nofile 70000\n" {
		t.Errorf("content %q", got)
	}
	f.Contents[LimitsFile("zookeeper")] = changes[0].After
	changes, findings = PlanLimits(f, "zookeeper", 70000)
	checkPlan(t, changes, findings, "", "")
	changes, findings = PlanLimits(&Facts{Host: "h"}, "zookeeper", 70000)
	checkPlan(t, changes, findings, "", "no /etc/security/limits.d")
}

// Settings that were taken out of the inventory are not taken back by themselves: it is said that they stay.
func TestSettingsThatStay(t *testing.T) {
	const sets = "# Written by zkctl.\nnet.core.somaxconn = 1024\nvm.swappiness = 1\n"
	f := &Facts{Host: "h", Systemd: true, Files: map[string]remote.FileState{"/etc/security/limits.d": {Kind: "dir"}}, Contents: map[string][]byte{
		SysctlFile: []byte(sets), HugePagesUnit: []byte("# Written by zkctl.\n"), "/etc/fstab": []byte(swapMark + "/swap.img none swap sw 0 0\n"),
		LimitsFile("zookeeper"): []byte("# Written by zkctl.\n"),
	}, Tuning: Tuning{Sysctls: map[string]string{"vm.swappiness": "1"}}}
	const until = ", which the inventory does not ask for: that stays until reset --undo-host-changes"
	changes, findings := PlanSysctl(f, nil)
	checkPlan(t, changes, findings, "", SysctlFile+" sets net.core.somaxconn, vm.swappiness"+until)
	changes, findings = PlanSysctl(f, map[string]string{"vm.swappiness": "1"})
	checkPlan(t, changes, findings, "change "+SysctlFile, "net.core.somaxconn: not in the inventory any more; taken out of "+SysctlFile+", and as it is until the next boot")
	changes, findings = PlanHugePages(f, "leave")
	checkPlan(t, changes, findings, "", HugePagesUnit+" sets transparent huge pages at boot"+until)
	changes, findings = PlanSwap(f, "leave")
	checkPlan(t, changes, findings, "", "/etc/fstab has swap switched off"+until)
	changes, findings = PlanLimits(f, "zookeeper", 0)
	checkPlan(t, changes, findings, "", LimitsFile("zookeeper")+" limits open files"+until)
}

// The scripts change the sandbox's kernel parameters, host name and files, and take it all back.
func TestTuned(t *testing.T) {
	host := sandbox(t)
	fake(t, "hostnamectl", "exit 1\n") // nobody to ask in a sandbox
	swaps := filepath.Join(t.TempDir(), "swaps")
	fake(t, "swapoff", `[ "$1" != -a ] || : >`+swaps+"\n")
	fake(t, "swapon", "echo $* >>"+swaps+"\n")
	sh(t, host, `printf 'old-name' >/etc/hostname; hostname old-name; mkdir -p /etc/sysctl.d; rm -f /etc/sysctl.conf
printf 'net.core.somaxconn=77 # mine\n' >/etc/sysctl.d/zz.conf; printf '/swap.img none swap sw 0 0\n' >/etc/fstab; chmod 600 /etc/fstab; printf '%s\n' '-p 5 /dev/vdb' /swap.img /dev/vdc >`+swaps)
	state := "hostname; cat /proc/sys/net/core/somaxconn; cd /etc; stat -c '%a %i %n' fstab; head -n 99 hostname fstab sysctl.d/*; cat " + swaps
	before := sh(t, host, state)
	journal := filepath.Join(t.TempDir(), "journal")
	plan := func() []Change {
		t.Helper()
		f, err := Gather(t.Context(), host, Wanted{Sysctls: []string{"net.core.somaxconn"}, Contents: []string{"/etc/hostname", "/etc/fstab", SysctlFile}})
		if err != nil {
			t.Fatal(err)
		}
		f.Tuning.Swaps = nil
		if b, err := os.ReadFile(swaps); err == nil && len(b) > 0 {
			f.Tuning.Swaps = []Swap{{"/dev/vdc", 0, -3}, {"/swap.img", 1, -2}, {"/dev/vdb", 0, 5}}
		}
		changes, findings := PlanSysctl(f, map[string]string{"net.core.somaxconn": "1024"})
		if len(findings) != 1 || !strings.Contains(findings[0].Text, "zz.conf sets net.core.somaxconn to 77") {
			t.Errorf("findings: %v", findings)
		}
		swap, _ := PlanSwap(f, "off")
		name, _ := PlanHostname(f, "zk1", "set")
		return append(append(changes, swap...), name...)
	}
	changes := plan()
	for i := range changes {
		if changes[i].Target == "swap" {
			changes[i].Verify = "" // the real /proc/swaps is not the sandbox's
		}
	}
	if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, host, "hostname; cat /etc/hostname /proc/sys/net/core/somaxconn"); got != "zk1\nzk1\n1024" {
		t.Errorf("now: %q", got)
	}
	if again := plan(); len(again) > 0 {
		t.Errorf("still to do: %s", summaries(again))
	}
	undo(t, host, journal)
	if after := sh(t, host, state); after != before {
		t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
	}
}
