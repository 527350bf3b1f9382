package hostprep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Requirements are what a host must meet before a server is put on it.
type Requirements struct {
	ID          int      // server id
	Arches      []string // that a server is there for, as Go names them
	NeedRoot    bool     // host preparation and system directories need it
	DataDir     string
	MinAvailKiB int64 // free space wanted under each of Facts.Disks; zero means none
	Ports       []int // must be free or ours
	// Ours tells whether a listener is the server that was put there before.
	Ours func(Listener) bool
}

// Check looks at one host's facts.
func Check(f *Facts, need Requirements) []Finding {
	var out []Finding
	add := func(check string, severity Severity, remedy, format string, args ...any) {
		out = append(out, Finding{Host: f.Host, Check: check, Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if f.OS.Kernel != "Linux" {
		add("os", Error, "use a Linux host", "the host runs %s; servers run on Linux", f.OS.Kernel)
	}
	if f.CloudInit {
		add("connect", Warning, "wait until it is done: --wait-ssh 5m, or ssh.wait in the inventory",
			"cloud-init is at work: it may still change users, keys and /etc/hosts, and hold the package manager")
	}
	if len(need.Arches) > 0 && !slices.Contains(need.Arches, f.Arch) {
		add("arch", Error, "use a host of these, or give a server binary for this one in the inventory",
			"the host is %s; there is a server for %s", f.Arch, strings.Join(need.Arches, ", "))
	}
	if need.NeedRoot && !f.IsRoot {
		add("privilege", Error, "set become to sudo, or log in as root", "preparing the host needs root, and %s is not", f.User)
	}
	seen := make(map[string]bool)
	for _, d := range f.Disks {
		if seen[d.Path] {
			continue // snapshots and txn logs in one directory
		}
		seen[d.Path] = true
		switch {
		case d.AvailKiB < need.MinAvailKiB:
			add("disk", Error, "free some space, or choose another path in the inventory",
				"%s has %s free and needs %s", d.Path, mebibytes(d.AvailKiB), mebibytes(need.MinAvailKiB))
		case d.AvailKiB < 2*need.MinAvailKiB:
			add("disk", Warning, "txn logs and snapshots grow; set autopurge", "%s has only %s free", d.Path, mebibytes(d.AvailKiB))
		}
	}
	for _, l := range f.Ports {
		if !slices.Contains(need.Ports, l.Port) || need.Ours != nil && need.Ours(l) {
			continue
		}
		who := "a process that cannot be seen from here"
		if l.PID != 0 {
			who = fmt.Sprintf("process %d (%s)", l.PID, l.Process)
			if l.Unit != "" {
				who += " of " + l.Unit
			}
		}
		add("ports", Error, "stop it, or choose another port in the inventory", "port %d is taken by %s", l.Port, who)
	}
	for _, d := range f.Data {
		if d.Path != need.DataDir {
			continue
		}
		found := d.MyID
		if _, err := strconv.Atoi(found); err != nil {
			found = "" // a package's placeholder is no id
		}
		switch id := fmt.Sprint(need.ID); {
		case found != "" && found != id:
			add("data", Error, fmt.Sprintf("give this host id %s in the inventory, or move %s away", d.MyID, d.Path),
				"%s/myid says %s, the inventory says %s", d.Path, d.MyID, id)
		case found == "" && d.HasData:
			add("data", Warning, "make sure that this data belongs to this ensemble",
				"%s holds data but no id in myid", d.Path)
		}
	}
	return out
}

// CheckTogether looks at the facts of all hosts: clocks apart from the median by
// more than maxSkew, and machines that are one.
func CheckTogether(hosts []*Facts, maxSkew time.Duration) []Finding {
	var out []Finding
	if len(hosts) == 0 {
		return nil
	}
	skews := make([]time.Duration, len(hosts))
	for i, f := range hosts {
		skews[i] = f.Skew
	}
	slices.Sort(skews)
	median := skews[(len(skews)-1)/2]
	if len(skews)%2 == 0 {
		median += (skews[len(skews)/2] - median) / 2
	}
	seen := make(map[string]*Facts)
	for _, f := range hosts {
		// What the measurement cannot tell is not held against the host.
		off := f.Skew - median
		if apart := off.Abs() - f.SkewUncertainty; apart > maxSkew {
			way := "ahead of"
			if off < 0 {
				way = "behind"
			}
			out = append(out, Finding{Host: f.Host, Check: "clock", Severity: Warning,
				Text:   fmt.Sprintf("the clock is %v %s the hosts' median (allowed: %v)", off.Abs().Round(time.Millisecond), way, maxSkew),
				Remedy: "run a time service (chrony, systemd-timesyncd) on every host"})
		}
		if f.MachineID == "" {
			continue
		}
		key := f.MachineID + " " + f.Hostname
		if other := seen[key]; other != nil {
			out = append(out, Finding{Host: f.Host, Check: "machine-id", Severity: Warning,
				Text:   fmt.Sprintf("has the machine id and host name of %s: one machine under two names, or an unedited clone", other.Host),
				Remedy: "correct the address of one of them; a clone needs a machine id (systemd-machine-id-setup) and a name of its own"})
		}
		seen[key] = f
	}
	return out
}

func mebibytes(kib int64) string { return fmt.Sprintf("%d MiB", kib/1024) }
