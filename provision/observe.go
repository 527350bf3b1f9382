package provision

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote/shell"
	"github.com/zkctl/zkctl/templates"
)

// member is one member as it was found: its host's facts and the state of its service.
type member struct {
	templates.Member
	facts *hostprep.Facts
	// running says that the service runs, or is being started again and again.
	running bool
	// pid is the server's process id, 0 where it does not run.
	pid int
	// exe is the file that the process runs, wanted the one that it would run if it were started now; of Apache ZooKeeper the
	// directories of the releases.
	exe, wanted string
	// runs is the kind of server that the process is.
	runs inventory.Kind
	// archive is what the member's Apache ZooKeeper is unpacked from; nil for all others.
	archive *apache.Release
	// started is what it was started with, nil if unknown; see templates.StartedWith.
	started []byte
	// reload says that systemd has not read the unit since it was changed, boots that OpenRC or init will start the
	// supervisor at boot.
	reload, boots bool
	// boot is how a supervised server is started at boot: service (of OpenRC, which supervises it), openrc (which only starts
	// the supervisor), sysv, cron or none.
	boot string
	// certificate is what its files say of TLS.
	certificate shownCertificate
}

// privileged reports whether the member's host is worked on as root: everywhere but for members on this machine that
// run as whoever calls zkctl.
func privileged(m templates.Member) bool { return m.User() != "" }

// serviceFragment reports the state of the service, by the functions of remote.FieldsScript and those of hostprep.Gather. Its arguments, as shell
// variables: unit, link, program, config, pid_file, supervisor_pid_file, supervisor, started, marked, manager, and those of certificateFragment.
const serviceFragment = certificateFragment + `
lives() {
	line "$1"; pid=$l; [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$2"
}
supervised=
[ -d /run/openrc ] && [ -x /sbin/openrc-run ] && command -v supervise-daemon >/dev/null 2>&1 && supervised=yes
pid=0
if [ "$manager" = systemd ] || { [ "$manager" = auto ] && [ -d /run/systemd/system ]; }; then
	# What was shown among other units needs not be asked for again.
	properties_of "$unit.service"
	[ -n "$l" ] || l="	$(systemctl show -p ActiveState -p MainPID -p NeedDaemonReload "$unit" 2>/dev/null | tr '\n' '\t')"
	case $l in *"	ActiveState=active	"*|*"	ActiveState=activating	"*|*"	ActiveState=reloading	"*) field member.running yes ;; esac
	case $l in *"	NeedDaemonReload=yes	"*) field member.reload yes ;; esac
	case $l in *"	MainPID="*) pid=${l#*"	MainPID="}; pid=${pid%%"	"*} ;; esac
elif [ "$manager" = openrc ] || { [ "$manager" = auto ] && [ -n "$supervised" ]; }; then
	rc-service -q "$unit" status >/dev/null 2>&1 && field member.running yes
	lives "$pid_file" "$config" || pid=0
else
	if lives "$supervisor_pid_file" "$supervisor"; then field member.running yes; fi
	if ! lives "$pid_file" "$config"; then pid=0; fi
fi
field member.pid "${pid:-0}"
if [ "${pid:-0}" != 0 ]; then
	exe=$(readlink "/proc/$pid/exe" 2>/dev/null)
	field member.exe "$exe"
	case $exe in
	*/zkserver) ;;
	*) field member.release "$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -n 's/^-Dzkctl\.release=//p')" ;;
	esac
fi
wanted=
if [ "$pid" != 0 ] && [ "$program" -ef "/proc/$pid/exe" ]; then wanted=$exe; elif [ -e "$program" ]; then wanted=$(readlink -f "$program"); fi
field member.wanted "$wanted"
[ ! -L "$link" ] || field member.link "$(readlink "$link")"
file member.started "$started"
[ -e "$marked" ] && field member.marked yes
if [ -x /sbin/openrc-run ] && { [ -d /run/openrc ] || ! command -v update-rc.d; } >/dev/null 2>&1; then
	field member.boot openrc
	rc-update show default 2>/dev/null | grep -qw local && field member.boots yes
elif [ -d /etc/init.d ] && { command -v update-rc.d || command -v chkconfig; } >/dev/null 2>&1; then
	field member.boot sysv
	for s in /etc/rc[2-5].d/S[0-9][0-9]"$unit" /etc/rc.d/rc[2-5].d/S[0-9][0-9]"$unit"; do
		[ -e "$s" ] && { field member.boots yes; break; }
	done
elif [ -d /etc/cron.d ]; then field member.boot cron
else field member.boot none; fi
`

// wanted lists what to ask a host for, so that everything that follows can be decided from one answer.
func (r *Run) wanted(m templates.Member) hostprep.Wanted {
	s := m.Host.Server
	contents := []string{m.Identity(), m.IdentityCheck(), r.rosterFile(m.Host), m.Config(), path.Join(s.Paths.Data, "myid"), m.ServerScript(), m.ClientScript(), m.Supervisor(),
		m.UnitFile(), profilePath(m), bootPath(m, "openrc"), bootPath(m, "sysv"), bootPath(m, "cron")}
	contents = append(append(contents, m.ToolPaths()...), m.Stamps()...)
	programs := []string{m.Server(), m.Client()}
	program := m.Server()
	var more []string
	if m.RunsApache() {
		program, programs = m.Current(), nil
		contents = append(append(contents, m.LauncherPath()), m.LogConfigPaths()...)
		more = append(more, m.FindJava()+"\n"+packageJars+"package="+shell.Quote(s.Package)+apacheFragment)
		if r, err := release(m.Host); err == nil && r != nil {
			for _, j := range r.Jars {
				programs = append(programs, path.Join(s.Paths.Install, "releases", r.Name(), j.Path))
			}
		}
	}
	files := append([]string{m.Certificates(), s.Paths.Data, s.Paths.TxnLog, s.Paths.Install, s.Paths.Config, s.Paths.Log,
		path.Join(s.Paths.Install, "bin"), path.Join(s.Paths.Install, "releases")}, append(programs, contents...)...)
	variables := ""
	for _, v := range [][2]string{
		{"unit", s.Service}, {"link", m.Current()}, {"program", program}, {"config", m.Config()}, {"pid_file", m.PidFile()}, {"supervisor_pid_file", m.SupervisorPidFile()},
		{"supervisor", m.Supervisor()}, {"started", m.Started()}, {"marked", (member{Member: m}).markFile()},
		{"manager", m.Host.System.Service},
		{"key_store", m.KeyStore()}, {"trust_store", m.TrustStore()}, {"next_key", (member{Member: m}).nextKey()},
	} {
		variables += v[0] + "=" + shell.Quote(v[1]) + "\n"
	}
	ports := []int{s.Ports.Client, s.Ports.Peer, s.Ports.Election}
	if s.Ports.Metrics != 0 {
		ports = append(ports, s.Ports.Metrics)
	}
	if m.Host.TLS.Client != "off" {
		ports = append(ports, s.Ports.Secure)
	}
	want := hostprep.Wanted{
		Root:      privileged(m),
		DiskPaths: []string{s.Paths.Data, s.Paths.TxnLog, s.Paths.Install},
		Ports:     ports,
		DataDirs:  slices.Compact([]string{s.Paths.Data, s.Paths.TxnLog}),
		Files:     files,
		Contents:  contents,
		Units:     []string{s.Service + ".service"},
		Firewall:  hostprep.FirewallPolicy(m.Host.System.Firewall),
		Extra:     slices.Concat([]string{variables + serviceFragment}, more, r.keyFragments(m), []string{lockFragment(r.lockDir(m.Host))}),
	}
	for key := range m.Host.System.Sysctl {
		want.Sysctls = append(want.Sysctls, key)
	}
	slices.Sort(want.Sysctls)
	want.Contents = append(want.Contents, "/etc/hostname", "/etc/fstab", hostprep.SysctlFile, hostprep.HugePagesUnit, hostprep.HugePagesStart, hostprep.LimitsFile(m.User()))
	want.Files = append(want.Files, "/etc/security/limits.d")
	want.Units = append(want.Units, "zkctl-huge-pages.service")
	if want.Firewall.Opens() {
		for _, h := range r.Inventory.Hosts {
			if _, err := netip.ParseAddr(h.PeerAddress); err != nil {
				want.Names = append(want.Names, h.PeerAddress)
			}
		}
		want.Contents = append(want.Contents, r.firewallRecord(m.Host))
	}
	if m.Host.Connection == inventory.OverSSH {
		want.LoginUser = m.Host.SSH.User
	}
	if privileged(m) {
		want.Users = []string{m.User()}
	}
	return want
}

// observe connects to the hosts and asks each for everything that the operation needs to know, in one round trip.
func (r *Run) observe(ctx context.Context, hosts []inventory.Host) ([]member, error) {
	members := make([]member, len(hosts))
	const step = "connect and gather facts"
	err := r.step(ctx, step, func(ctx context.Context) error {
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) (err error) {
			m := templates.Member{Ensemble: r.Inventory, Host: hosts[i]}
			members[i], err = r.find(ctx, m, r.wanted(m))
			if err != nil && context.Cause(ctx) == nil && r.leftOut(step, hosts[i], err) {
				return nil
			}
			if err == nil {
				err = members[i].know()
			}
			return err
		})
	})
	return slices.DeleteFunc(members, func(m member) bool { return m.facts == nil }), err
}

// find connects to a member's host and asks for what is wanted.
func (r *Run) find(ctx context.Context, m templates.Member, want hostprep.Wanted) (member, error) {
	host, err := r.host(m.Host)
	if err != nil {
		return member{}, err
	}
	facts, err := hostprep.Gather(ctx, host, want)
	if err != nil {
		return member{}, err
	}
	got, err := found(m, facts)
	if err == nil && got.running {
		r.setCount(m.Host, got.started)
	}
	return got, err
}

// found reads a member's state from its host's facts.
func found(m templates.Member, facts *hostprep.Facts) (member, error) {
	m.Manager = templates.Supervisor
	if m.Host.System.Service == "systemd" || m.Host.System.Service == "auto" && facts.Systemd {
		if !facts.Systemd {
			return member{}, fmt.Errorf("%s: service_manager is systemd, but the host does not run it", m.Host.Name)
		}
		m.Manager = templates.Systemd
	}
	if supervises := facts.OpenRC && facts.HasTool("supervise-daemon"); m.Host.System.Service == "openrc" && !supervises {
		return member{}, fmt.Errorf("%s: service_manager is openrc, but the host does not run it, or it has no supervise-daemon", m.Host.Name)
	} else if m.Host.System.Service == "openrc" || m.Host.System.Service == "auto" && supervises && privileged(m) {
		m.Manager = templates.OpenRC
	}
	f := facts.Fields
	got := member{
		Member: m, facts: facts, running: f.Has("member.running"), exe: f.Text("member.exe"), wanted: f.Text("member.wanted"),
		started: f.Bytes("member.started"), boot: f.Text("member.boot"),
		reload: f.Has("member.reload"), boots: f.Has("member.boots"), certificate: certificateOf(f),
	}
	got.runs = kindOf(got.exe, f.Text("member.release"))
	if got.runs == inventory.Apache {
		got.exe = f.Text("member.release")
	}
	fmt.Sscan(f.Text("member.pid"), &got.pid)
	if !privileged(m) {
		got.boot = "none"
	}
	if m.Manager == templates.OpenRC {
		got.boot, got.boots = "service", facts.HasService(m.Host.Server.Service)
	}
	return got, nil
}

// observeServices connects to the hosts and asks each for the state of its service only.
func (r *Run) observeServices(ctx context.Context, hosts []inventory.Host) ([]member, error) {
	members := make([]member, len(hosts))
	const step = "connect"
	err := r.step(ctx, step, func(ctx context.Context) error {
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) (err error) {
			m := templates.Member{Ensemble: r.Inventory, Host: hosts[i]}
			members[i], err = r.findService(ctx, m)
			return err
		})
	})
	return members, err
}

// findService asks for the state of a member's service only.
func (r *Run) findService(ctx context.Context, m templates.Member) (member, error) {
	return r.find(ctx, m, hostprep.Wanted{Root: privileged(m), Extra: r.wanted(m).Extra[:1]})
}
