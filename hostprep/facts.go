package hostprep

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/remote"
)

// Facts are what one host said about itself in one round trip.
type Facts struct {
	Host      string // name in the inventory
	OS        OS
	Arch      string // as Go names it: "amd64", "arm64"; the machine's own word if Go has none
	Kernel    string // release
	IsRoot    bool   // the facts were gathered as the superuser
	User      string // login user
	Home      string // of the login user
	Hostname  string
	MachineID string
	MemoryKiB int64
	CPUs      int

	Skew            time.Duration // the host's clock minus ours
	SkewUncertainty time.Duration // half the time during which the host may have read its clock

	Disks    []Disk
	Ports    []Listener
	Data     []DataDir
	Files    map[string]remote.FileState // of those asked for; absent ones have Exists false
	Contents map[string][]byte           // of those asked for that exist
	Units    map[string]Unit
	Accounts map[string]Account
	// Addresses are what names mean on the host, of those asked for.
	Addresses map[string][]netip.Addr

	Systemd   bool
	OpenRC    bool
	Init      string // name of process 1
	CloudInit bool   // it is at work: the machine's first configuration is not done
	Firewall  Firewall
	SELinux   SELinux
	Tuning    Tuning
	Runlevels map[string][]string // of OpenRC: those in which a service is started at boot
	Hosts     HostsFile
	Tools     []string // of systemctl, supervise-daemon, restorecon, crontab, ssh, ssh-keygen, logger, gzip: those present

	Fields remote.Fields // all that was reported, for the fragments of other packages
}

// OS is the content of /etc/os-release that matters; see os-release(5).
type OS struct {
	Kernel  string // "Linux"
	ID      string // "debian", "centos"
	Version string
	Pretty  string
}

// Disk is the file system that holds a path.
type Disk struct {
	Path     string
	SizeKiB  int64
	AvailKiB int64 // for an ordinary user
}

// Listener is a TCP port in use.
type Listener struct {
	Port    int
	Address netip.Addr // unspecified for all addresses
	PID     int        // 0 if the owner could not be seen
	Process string     // short name
	Command string     // command line
	Unit    string     // systemd unit of the process, if its cgroup shows one
}

// DataDir is an existing data directory.
type DataDir struct {
	Path    string
	MyID    string // content of myid, trimmed; empty if there is none
	HasData bool   // there are txn logs or snapshots
}

// Unit is a systemd unit's state.
type Unit struct {
	Loaded  bool   // the unit exists
	Masked  bool   // it is masked
	Active  string // "active", "inactive", "failed", "activating", …
	Sub     string
	Enabled string // "enabled", "disabled", "static", …
	MainPID int
	Started string // monotonic timestamp of the main process in µs; changes with every restart
}

// Account is a user that exists.
type Account struct {
	UID, GID int
	Group    string
}

// Firewall is what is known of the host's packet filters.
type Firewall struct {
	Firewalld Unit
	Runlevels []string // of OpenRC, in which firewalld is started
	Zones     []Zone   // active zones of firewalld, if asked for
	UFW       string   // first line of `ufw status`
	UFWRules  []string // lines of `ufw show added`, if asked for
	Nft       Nftables
}

// SELinux is its state on the host.
type SELinux struct {
	Present bool   // there is a configuration or a tool
	Runtime string // "Enforcing", "Permissive", "Disabled"; empty if not present
	Config  []byte // content of /etc/selinux/config; nil if there is none
	Path    string // of the file that the configuration really is
	// Forced says that the kernel was started with enforcing=1, which counts more than the configuration.
	Forced bool
}

// On reports whether files carry labels at present.
func (s SELinux) On() bool { return s.Runtime == "Enforcing" || s.Runtime == "Permissive" }

// HostsFile is /etc/hosts.
type HostsFile struct {
	Content   []byte
	Link      string // where it leads to, if it is a symbolic link
	Mounted   bool   // a mount of its own: it can be rewritten but not replaced
	Immutable bool   // chattr +i
	// CloudInit is what cloud-init is told by manage_etc_hosts, in lower case: "true" and "template" rewrite the file from a
	// template at each boot, "localhost" maps the host's name to 127.0.1.1; "" and "false" leave it.
	CloudInit string
	// Switch is the line `hosts:` of nsswitch.conf(5), "" where there is none.
	Switch string
}

func parseFacts(host string, fields remote.Fields) *Facts {
	f := &Facts{
		Host: host, Fields: fields,
		Arch: goArch(fields.Text("machine"), fields.Text("bits")), Kernel: fields.Text("release"),
		IsRoot: fields.Text("uid") == "0", User: fields.Text("user"), Home: fields.Text("home"),
		Hostname: fields.Text("hostname"), MachineID: fields.Text("machine_id"),
		Systemd: fields.Has("systemd"), Init: fields.Text("init"), CloudInit: fields.Has("cloud_init"),
		Tools: fields.Texts("tool"),
		Units: make(map[string]Unit), Accounts: make(map[string]Account),
		Addresses: make(map[string][]netip.Addr),
	}
	f.OpenRC, f.Runlevels = fields.Has("openrc") && !f.Systemd, make(map[string][]string)
	for _, s := range fields.Texts("starts") {
		runlevel, service, _ := strings.Cut(s, "/")
		f.Runlevels[service] = append(f.Runlevels[service], runlevel)
	}
	f.Tuning = parseTuning(fields.Texts, fields.Text)
	f.MemoryKiB, _ = strconv.ParseInt(fields.Text("memory"), 10, 64)
	f.CPUs, _ = strconv.Atoi(fields.Text("cpus"))
	f.OS = parseOS(fields)
	for _, d := range fields.Texts("disk") {
		words := strings.SplitN(d, " ", 4) // the size of a block, blocks, those available
		if len(words) != 4 {
			continue
		}
		block, _ := strconv.ParseFloat(words[0], 64)
		size, _ := strconv.ParseFloat(words[1], 64)
		avail, _ := strconv.ParseFloat(words[2], 64)
		if disk := (Disk{words[3], int64(size * block / 1024), int64(avail * block / 1024)}); disk.SizeKiB > 0 { // of a file system that has one
			f.Disks = append(f.Disks, disk)
		}
	}
	for _, p := range fields.Texts("port") {
		f.Ports = append(f.Ports, parseListener(p, fields))
	}
	for _, d := range fields.Texts("data") {
		f.Data = append(f.Data, DataDir{Path: d, MyID: fields.Text("myid." + d), HasData: fields.Has("holds." + d)})
	}
	f.Files = parseFiles(fields)
	for name := range fields {
		if unit, ok := strings.CutPrefix(name, "unit."); ok {
			f.Units[unit] = parseUnit(strings.FieldsFunc(fields.Text(name), func(r rune) bool { return r == '\t' || r == '\n' }))
		}
	}
	for _, a := range fields.Texts("account") {
		var name string
		var acc Account
		if n, _ := fmt.Sscan(a, &name, &acc.UID, &acc.GID, &acc.Group); n == 4 {
			f.Accounts[name] = acc
		}
	}
	f.Firewall = parseFirewall(fields, f.Units, f.Runlevels)
	for _, a := range fields.Texts("resolved") {
		name, address, _ := strings.Cut(a, " ")
		if addr, err := netip.ParseAddr(address); err == nil && !slices.Contains(f.Addresses[name], addr) {
			f.Addresses[name] = append(f.Addresses[name], addr)
		}
	}
	f.SELinux = parseSELinux(fields)
	f.Hosts = HostsFile{
		Content: fields.Bytes("hosts"), Link: fields.Text("hosts_link"), Mounted: fields.Has("hosts_mount"),
		Immutable: immutable(fields.Text("hosts_immutable")), Switch: fields.Text("nsswitch"),
	}
	for _, l := range fields.Texts("cloud_hosts") {
		f.Hosts.CloudInit = strings.ToLower(strings.Trim(l, `"'`))
	}
	return f
}

// goArch translates uname -m. A 32-bit userland under a 64-bit kernel needs the
// 32-bit program, which is why the word size of the C library counts.
func goArch(machine, bits string) string {
	switch machine {
	case "x86_64", "amd64":
		if bits == "32" {
			return "386"
		}
		return "amd64"
	case "aarch64", "arm64":
		if bits == "32" {
			return "arm"
		}
		return "arm64"
	case "i386", "i486", "i586", "i686":
		return "386"
	case "armv6l", "armv7l", "armv8l":
		return "arm"
	}
	return machine
}

func parseFirewall(fields remote.Fields, units map[string]Unit, runlevels map[string][]string) Firewall {
	fw := Firewall{Firewalld: units["firewalld.service"], UFW: fields.Text("ufw"), Runlevels: runlevels["firewalld"]}
	if fw.Runlevels != nil {
		fw.Firewalld.Loaded, fw.Firewalld.Enabled = true, "enabled"
	}
	for _, z := range fields.Texts("zone") {
		fw.Zones = append(fw.Zones, Zone{
			Name: z, Target: fields.Text("target." + z), Open: strings.Fields(fields.Text("open." + z)), Permanent: strings.Fields(fields.Text("permanent." + z)),
			Rich: fields.Lines("rich." + z), PermanentRich: fields.Lines("permanent_rich." + z)})
	}
	fw.UFWRules = fields.Lines("ufw_rules")
	unit := units["nftables.service"]
	fw.Nft = Nftables{
		Ruleset: string(fields.Bytes("nft")), Config: fields.Text("nft_config"), Text: string(fields.Bytes("nft_text")),
		Included: string(fields.Bytes("nft_included")),
		Boots:    strings.HasPrefix(unit.Enabled, "enabled") || runlevels["nftables"] != nil, Active: running(unit) || runlevels["nftables"] != nil,
		Runlevels: runlevels["nftables"],
	}
	return fw
}

func parseOS(fields remote.Fields) OS {
	o := OS{Kernel: fields.Text("kernel")}
	for _, line := range fields.Lines("os_release") {
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			o.ID = value
		case "VERSION_ID":
			o.Version = value
		case "PRETTY_NAME":
			o.Pretty = value
		}
	}
	return o
}

func parseListener(s string, fields remote.Fields) Listener {
	words := strings.SplitN(s, " ", 4)
	var l Listener
	if len(words) < 4 {
		return l
	}
	l.Port, _ = strconv.Atoi(words[0])
	l.Address = procAddr(words[1])
	l.PID, _ = strconv.Atoi(words[2])
	if l.PID == 0 {
		return l
	}
	l.Process = words[3]
	l.Command = fields.Text("cmdline." + words[2])
	for _, line := range fields.Lines("cgroup." + words[2]) {
		for part := range strings.SplitSeq(line, "/") {
			if strings.HasSuffix(part, ".service") {
				l.Unit = part
			}
		}
	}
	return l
}

// procAddr reads an address of /proc/net/tcp: 32-bit words in the host's byte
// order, little-endian on all that we run on; see proc_net_tcp in the kernel's
// documentation.
func procAddr(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// parseFiles joins what was reported of files: kind, state and checksum.
func parseFiles(fields remote.Fields) map[string]remote.FileState {
	files := make(map[string]remote.FileState)
	for _, line := range fields.Texts("kind") {
		kind, path, _ := strings.Cut(line, " ")
		files[path] = remote.FileState{Path: path, Exists: true, Kind: kind, Target: fields.Text("link." + path)}
	}
	for _, line := range fields.Texts("stat") {
		w := strings.SplitN(line, " ", 6)
		if len(w) != 6 {
			continue
		}
		if st, there := files[w[5]]; there {
			mode, _ := strconv.ParseUint(w[0], 8, 32)
			st.Mode, st.Owner, st.Group = fs.FileMode(mode&0o777), w[1], w[2]
			st.Size, _ = strconv.ParseInt(w[3], 10, 64)
			st.ModTime, _ = strconv.ParseInt(w[4], 10, 64)
			files[w[5]] = st
		}
	}
	for _, line := range fields.Texts("sum") {
		sum, path, _ := strings.Cut(line, " ")
		path = strings.TrimLeft(path, " *") // paths are absolute
		if st, there := files[path]; there {
			st.SHA256 = sum
			files[path] = st
		}
	}
	return files
}

// errMoving says that somebody else is at work on the host.
var errMoving = errors.New("has changed while it was read: run it again")

// parseContents divides the contents of several files, which were reported as one. Those that were asked for by path it
// returns, the others become fields.
func parseContents(fields remote.Fields, files map[string]remote.FileState) (map[string][]byte, error) {
	contents := make(map[string][]byte)
	rest, names := fields.Bytes("contents"), fields.Texts("contents.as")
	sizes := fields.Texts("contents.of")
	if len(sizes) != len(names) {
		return nil, fmt.Errorf("a file %w", errMoving)
	}
	for i, line := range sizes {
		text, path, _ := strings.Cut(line, " ")
		size, err := strconv.Atoi(text)
		if err != nil || size < 0 || size > len(rest) {
			return nil, fmt.Errorf("%s %w", path, errMoving)
		}
		content := rest[:size:size]
		rest = rest[size:]
		if p, ok := strings.CutPrefix(names[i], "content."); ok {
			contents[p] = content
		} else {
			fields[names[i]] = append(fields[names[i]], content)
		}
		sum := sha256.Sum256(content)
		if known := files[path].SHA256; known != "" && known != hex.EncodeToString(sum[:]) {
			return nil, fmt.Errorf("%s %w", path, errMoving)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("a file %w", errMoving)
	}
	return contents, nil
}

func parseUnit(lines []string) Unit {
	var u Unit
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "LoadState":
			u.Loaded = value == "loaded"
			u.Masked = value == "masked"
		case "ActiveState":
			u.Active = value
		case "SubState":
			u.Sub = value
		case "UnitFileState":
			u.Enabled = value
		case "MainPID":
			u.MainPID, _ = strconv.Atoi(value)
		case "ExecMainStartTimestampMonotonic":
			u.Started = value
		}
	}
	return u
}

func parseSELinux(fields remote.Fields) SELinux {
	s := SELinux{Config: fields.Bytes("selinux_config"), Path: "/etc/selinux/config", Runtime: fields.Text("getenforce")}
	if link := fields.Text("selinux_link"); link != "" {
		s.Path = link
	}
	if s.Runtime == "" {
		switch fields.Text("selinux_enforce") {
		case "1":
			s.Runtime = "Enforcing"
		case "0":
			s.Runtime = "Permissive"
		}
	}
	s.Forced = fields.Has("selinux_forced")
	s.Present = s.Config != nil || s.Runtime != ""
	if s.Present && s.Runtime == "" {
		s.Runtime = "Disabled"
	}
	return s
}

// immutable reads a line of lsattr(1).
func immutable(s string) bool {
	flags, _, _ := strings.Cut(s, " ")
	return strings.Contains(flags, "i")
}

// setClock compares the middle of the host's reading with the middle of ours.
func (f *Facts) setClock(fields remote.Fields, before, after time.Time) {
	t0, err0 := strconv.ParseInt(fields.Text("time0"), 10, 64)
	t1, err1 := strconv.ParseInt(fields.Text("time1"), 10, 64)
	if err0 != nil || err1 != nil {
		return
	}
	theirs := time.Duration(t1 - t0)
	elapsed := after.Sub(before)
	f.Skew = time.Unix(0, t0+int64(theirs/2)).Sub(before.Add(elapsed / 2).Round(0))
	f.SkewUncertainty = max(0, (elapsed-theirs)/2)
}

// HasTool reports whether a program is there.
func (f *Facts) HasTool(name string) bool { return slices.Contains(f.Tools, name) }

// HasService reports whether OpenRC starts a service at boot.
func (f *Facts) HasService(name string) bool { return f.Runlevels[name] != nil }
