package hostprep

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

// sandbox gives the rest of the test, and what it starts, a network, a host name and an /etc of its own, with little more than
// programs need. It returns this machine as a host.
func sandbox(t *testing.T) remote.Host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	etc := filepath.Join(t.TempDir(), "etc")
	if out, err := exec.Command("sh", "-c", `mkdir -m 755 "$1" && cd /etc && for f in alternatives ld.so.* passwd group hosts nsswitch.conf os-release; do
		[ ! -e "$f" ] || cp -a "$f" "$1" || exit 1; done`, "sh", etc).CombinedOutput(); err != nil {
		t.Fatalf("copy of /etc: %v\n%s", err, out)
	}
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_FS); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
	if err := syscall.Mount(etc, "/etc", "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
	host := remote.NewLocal("h", remote.Become{None: true})
	if inside := sh(t, host, "readlink /proc/self/ns/net; ip link set lo up"); inside == outside || inside == "" {
		t.Fatal("commands run outside of the sandbox")
	}
	return host
}

// sh runs a script that must succeed and returns what it says.
func sh(t *testing.T, host remote.Host, script string) string {
	t.Helper()
	res, err := host.Run(t.Context(), remote.Command{Label: "test", Script: script})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(res.Stdout))
}

// converges applies a plan until there is nothing to do, which must be after once, and returns what was done.
func converges(t *testing.T, host remote.Host, journal string, w FirewallWish, facts func() *Facts) string {
	t.Helper()
	changes, findings := PlanFirewall(facts(), w)
	for _, f := range findings {
		if f.Severity != Note {
			t.Logf("%v", f)
		}
	}
	if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if again, _ := PlanFirewall(facts(), w); len(again) > 0 {
		t.Errorf("after %q there is still to do: %q", summaries(changes), summaries(again))
	}
	return summaries(changes)
}

func undo(t *testing.T, host remote.Host, journal string) {
	t.Helper()
	changes, findings := PlanUndo("h", journalOf(t, host, journal), nil)
	if len(findings) > 0 {
		t.Errorf("findings of the undo: %v", findings)
	}
	if err := (Batch{Changes: changes}).Exec(t.Context(), host); err != nil {
		t.Fatal(err)
	}
}

// fake puts a program at the front of the path.
func fake(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// gathered are the facts of a host as the policy wants them. Where this machine runs systemd, its units are not the sandbox's.
func gathered(t *testing.T, host remote.Host, w FirewallWish) *Facts {
	t.Helper()
	f, err := Gather(t.Context(), host, Wanted{Firewall: w.Policy, Contents: []string{w.Record}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The real nft, in a network of the test's own: who gets in is tried out.
func TestNftablesOpened(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	host := sandbox(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft")
	}
	journal := filepath.Join(t.TempDir(), "journal")
	// One of its tables is in a file that it includes.
	filter, mangle, _ := strings.Cut(debianRules, "table ip mangle")
	if err := os.MkdirAll("/etc/nftables", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/nftables/tables.nft", []byte(filter), 0o640); err != nil {
		t.Fatal(err)
	}
	conf := "#!/usr/sbin/nft -f\nflush ruleset\ninclude \"/etc/nftables/t*.nft\"\ntable ip mangle" + mangle
	conf = strings.TrimSuffix(conf, "\n") // as somebody's editor left it
	if err := os.WriteFile("/etc/nftables.conf", []byte(conf), 0o640); err != nil {
		t.Fatal(err)
	}
	if out, err := host.Run(t.Context(), remote.Command{Label: "load", Script: "nft -f /etc/nftables.conf"}); err != nil {
		t.Skipf("nft does not work here: %v %s", err, out.Stderr)
	}
	before := sh(t, host, "nft list ruleset; ls -la --time-style=full-iso /etc/nftables.conf; cat /etc/nftables.conf; ls -d /etc/nftables.d 2>&1 || :")
	facts := func(w FirewallWish) func() *Facts {
		return func() *Facts {
			f := gathered(t, host, w)
			f.Units = map[string]Unit{}
			f.Firewall.Firewalld, f.Firewall.UFW = Unit{}, ""
			f.Firewall.Nft.Boots, f.Firewall.Nft.Active = true, true
			return f
		}
	}
	// Another host on a wire, with two addresses: a member's and a stranger's.
	other := fmt.Sprintf("zkctl-test-%d", os.Getpid())
	t.Cleanup(func() { exec.Command("ip", "netns", "del", other).Run() })
	sh(t, host, "other="+other+`; set -e
ip netns add $other
ip link add one type veth peer name two netns $other
ip addr add 10.0.0.1/24 dev one; ip link set one up
for a in 10.0.0.2 10.0.0.9; do ip -n $other addr add $a/24 dev two; done
ip -n $other link set two up`)
	reaches := func(from string, port int) bool {
		// A refused connection has passed the filter: nobody listens.
		script := fmt.Sprintf(`ip netns exec %s perl -MIO::Socket::INET -e '
			my $s = IO::Socket::INET->new(PeerAddr => "10.0.0.1", PeerPort => %d, LocalAddr => "%s", Timeout => 0.4); print $s || $!{ECONNREFUSED} ? "yes" : "no"'`, other, port, from)
		return sh(t, host, script) == "yes"
	}
	expect := func(state string, member, stranger map[int]bool) {
		t.Helper()
		for port, want := range member {
			if got := reaches("10.0.0.2", port); got != want {
				t.Errorf("%s: a member reaches port %d: %v", state, port, got)
			}
		}
		for port, want := range stranger {
			if got := reaches("10.0.0.9", port); got != want {
				t.Errorf("%s: a stranger reaches port %d: %v", state, port, got)
			}
		}
	}
	expect("before", map[int]bool{22: true, 2181: false, 2888: false}, map[int]bool{2181: false})
	w := wish(FirewallOpenPorts)
	t.Log(converges(t, host, journal, w, facts(w)))
	expect("open-ports", map[int]bool{22: true, 2181: true, 2888: true, 3888: true, 9999: false}, map[int]bool{22: true, 2181: true, 2888: false, 3888: false})
	// What is loaded at boot has the same effect.
	sh(t, host, "nft -f /etc/nftables.conf")
	if c, _ := PlanFirewall(facts(w)(), w); len(c) > 0 {
		t.Errorf("after a boot there is to do: %s", summaries(c))
	}
	// A chain that somebody makes after the boot gets rules, but not from what is loaded at boot.
	const ban = "set -e; nft add table inet bans; nft 'add chain inet bans in { type filter hook input priority -1; policy accept; }'; nft add rule inet bans in tcp dport 1000-4000 drop"
	sh(t, host, ban)
	expect("with bans", map[int]bool{2181: false}, nil)
	t.Log(converges(t, host, journal, w, facts(w)))
	expect("opened beside bans", map[int]bool{22: true, 2181: true, 2888: true}, map[int]bool{2181: true, 2888: false})
	d := wish(FirewallDisable)
	if c, found := PlanFirewall(facts(d)(), d); len(c) > 0 || len(found) != 1 || found[0].Severity != Warning {
		t.Errorf("disable beside a table of somebody else: %q %v", summaries(c), found)
	}
	sh(t, host, "nft -f /etc/nftables.conf")
	sh(t, host, ban)
	converges(t, host, journal, w, facts(w))
	w.Policy, w.Clients = FirewallTrustPeers, prefixes("192.0.2.0/24")
	t.Log(converges(t, host, journal, w, facts(w)))
	expect("trust-peers", map[int]bool{2181: true, 2888: true, 9999: true}, map[int]bool{22: true, 2181: false, 2888: false})
	w.Members = w.Members[1:]
	converges(t, host, journal, w, facts(w))
	expect("a member left", map[int]bool{2181: false, 2888: false, 9999: false}, nil)
	undo(t, host, journal)
	if left := sh(t, host, "nft list table inet bans"); strings.Contains(left, "comment") {
		t.Errorf("after the undo: %s", left)
	}
	sh(t, host, "nft delete table inet bans")
	if after := sh(t, host, "nft list ruleset; ls -la --time-style=full-iso /etc/nftables.conf; cat /etc/nftables.conf; ls -d /etc/nftables.d 2>&1 || :"); !sameButTimes(before, after) {
		t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
	}
	journal += "2"
	changes, _ := PlanFirewall(facts(d)(), d)
	fake(t, "systemctl", "exit 1\n")
	if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	expect("disable", map[int]bool{9999: true}, map[int]bool{9999: true})
	rules, _, _ := strings.Cut(before, "-rw")
	undo(t, host, journal)
	if after := sh(t, host, "nft list ruleset"); after != strings.TrimSpace(rules) {
		t.Errorf("after the undo of disable\n%s\nbefore\n%s", after, rules)
	}
}

// fakeUFW behaves as ufw 0.36 was seen to.
const fakeUFW = `
rules=/etc/ufw/user.rules
case $* in
status) echo "Status: $(sed 's/ENABLED=yes/active/; s/ENABLED=no/inactive/' /etc/ufw/ufw.conf)" ;;
"show added") echo "Added user rules (see 'ufw status' for running firewall):"; cat $rules ;;
"--force enable") echo ENABLED=yes >/etc/ufw/ufw.conf ;;
"--force disable") echo ENABLED=no >/etc/ufw/ufw.conf ;;
allow*)
	shift; spec=
	while [ $# -gt 0 ]; do
		if [ "$1" = comment ]; then spec="$spec comment '$2'"; shift; else spec="$spec $1"; fi
		shift
	done
	grep -qFx -- "ufw allow$spec" $rules || echo "ufw allow$spec" >>$rules ;;
"--force delete allow"*)
	shift 3
	grep -q "^ufw allow $*\( comment .*\)*\$" $rules || { echo "Could not delete non-existent rule"; exit 1; }
	sed -i "\|^ufw allow $*\( comment .*\)*\$|d" $rules ;;
*) echo "ufw: what is $*?" >&2; exit 1 ;;
esac
`

func TestUFWOpened(t *testing.T) {
	host := sandbox(t)
	fake(t, "ufw", fakeUFW)
	fake(t, "iptables", "grep -q ENABLED=yes /etc/ufw/ufw.conf\n")
	journal := filepath.Join(t.TempDir(), "journal")
	sh(t, host, `mkdir /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf; printf "ufw allow 22/tcp\nufw allow from 10.0.0.7 comment 'zkctl other'\n" >/etc/ufw/user.rules; chmod 640 /etc/ufw/user.rules`)
	state := "cd /etc/ufw; stat -c '%a %Y %n' *; grep . *"
	before := sh(t, host, state)
	facts := func(w FirewallWish) func() *Facts {
		return func() *Facts {
			f := gathered(t, host, w)
			f.Firewall.Firewalld, f.Firewall.Nft = Unit{}, Nftables{}
			return f
		}
	}
	w := wish(FirewallOpenPorts)
	converges(t, host, journal, w, facts(w))
	w.Policy, w.Clients = FirewallTrustPeers, prefixes("192.0.2.0/24")
	converges(t, host, journal, w, facts(w))
	w.Members = w.Members[:1]
	converges(t, host, journal, w, facts(w))
	if got := sh(t, host, "cat /etc/ufw/user.rules"); got != `ufw allow 22/tcp
ufw allow from 10.0.0.7 comment 'zkctl other'
ufw allow from 10.0.0.2 to any port 2181 proto tcp comment 'zkctl lab'
ufw allow from 192.0.2.0/24 to any port 2181 proto tcp comment 'zkctl lab'
ufw allow from 10.0.0.2 comment 'zkctl lab'` {
		t.Errorf("rules:\n%s", got)
	}
	w.Policy = FirewallDisable
	if done := converges(t, host, journal, w, facts(w)); done != "disable ufw" {
		t.Errorf("done: %s", done)
	}
	undo(t, host, journal)
	if after := sh(t, host, state); after != before {
		t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
	}
}

// fakeFirewallCmd keeps what is open at runtime in /run, and permanently where firewalld has it.
const fakeFirewallCmd = `
where=/etc/zone.runtime zone=public
case $* in *--add-port*--add-rich-rule* | *--add-rich-rule*--add-port*) echo "argument --add-rich-rule: not allowed with argument --add-port" >&2; exit 2 ;; esac
save() { [ ! -f "$where" ] || cp "$where" "$where.old"; }
for a; do case $a in
	-q) ;;
	--permanent) where=/etc/firewalld/zones/public.xml ;;
	--zone=*) zone=${a#*=} ;;
	--state) ;;
	--get-active-zones) printf 'public\n  interfaces: eth0\n' ;;
	--get-target) echo default ;;
	--list-ports) sed -n 's/^port=//p' $where 2>/dev/null | tr '\n' ' ' ;;
	--list-rich-rules) sed -n 's/^rich-rule=//p' $where 2>/dev/null ;;
	--query-*) grep -qFx -- "${a#--query-}" $where 2>/dev/null || exit 1 ;;
	--add-*) save; grep -qFx -- "${a#--add-}" $where 2>/dev/null || echo "${a#--add-}" >>$where ;;
	--remove-*) save; grep -vFx -- "${a#--remove-}" $where >$where.new; mv $where.new $where ;;
	*) echo "firewall-cmd: what is $a?" >&2; exit 1 ;;
esac; done
`

func TestFirewalldOpened(t *testing.T) {
	host := sandbox(t)
	fake(t, "firewall-cmd", fakeFirewallCmd)
	journal := filepath.Join(t.TempDir(), "journal")
	record := filepath.Join(t.TempDir(), "state", "firewall")
	sh(t, host, `mkdir -p /etc/firewalld/zones; echo port=22/tcp >/etc/zone.runtime; : >/etc/firewalld/zones/public.xml`)
	state := "cat /etc/zone.runtime; ls /etc/firewalld/zones; cat /etc/firewalld/zones/*"
	before := sh(t, host, state)
	facts := func(w FirewallWish) func() *Facts {
		return func() *Facts {
			f := gathered(t, host, w)
			f.Firewall.Firewalld = Unit{Loaded: true, Active: "active", Enabled: "enabled"}
			return f
		}
	}
	w := wish(FirewallOpenPorts)
	w.Record = record
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("this machine's systemd knows whether firewalld runs")
	}
	converges(t, host, journal, w, facts(w))
	w.Policy, w.Clients = FirewallTrustPeers, prefixes("192.0.2.0/24")
	converges(t, host, journal, w, facts(w))
	w.Members = w.Members[:1]
	converges(t, host, journal, w, facts(w))
	const rules = `port=22/tcp
rich-rule=rule family="ipv4" source address="10.0.0.2" port port="2181" protocol="tcp" accept
rich-rule=rule family="ipv4" source address="192.0.2.0/24" port port="2181" protocol="tcp" accept
rich-rule=rule family="ipv4" source address="10.0.0.2" accept`
	if got := sh(t, host, "cat /etc/zone.runtime"); got != rules {
		t.Errorf("rules:\n%s", got)
	}
	if got := sh(t, host, "cat /etc/firewalld/zones/public.xml"); "port=22/tcp\n"+got != rules {
		t.Errorf("permanent rules:\n%s", got)
	}
	undo(t, host, journal)
	if after := sh(t, host, state); after != before {
		t.Errorf("after the undo\n%s\nbefore\n%s", after, before)
	}
}

// systemd reads its units once: after a unit has been enabled that was about to be, whichever of the two is done first.
func TestUnitsAreReadAfterFirewalldIsDisabled(t *testing.T) {
	host := sandbox(t)
	if _, err := host.Run(t.Context(), remote.Command{Label: "mount", Script: "mount -t tmpfs none /run && mkdir -p /run/systemd/system"}); err != nil {
		t.Skip(err)
	}
	fake(t, "systemctl", `echo "$@" >>/run/calls
case "$* $(cat /run/systemd/version)" in *--now*219) exit 1 ;; esac`)
	const wants = "/etc/systemd/system/multi-user.target.wants"
	for _, c := range []struct{ name, enables, before, want string }{
		{"no unit", "", ":", "disable -q --now firewalld.service"},
		{"a unit that is yet to come", "zookeeper.service", ":", "--no-reload disable -q --now firewalld.service"},
		{"an old systemd", "zookeeper.service", "echo 219 >/run/systemd/version",
			"--no-reload disable -q --now firewalld.service\nstop firewalld.service\n--no-reload disable -q firewalld.service"},
		{"a unit that has come meanwhile", "zookeeper.service", "mkdir -p " + wants + "; ln -s /there " + wants + "/zookeeper.service",
			"--no-reload disable -q --now firewalld.service\ndaemon-reload"},
	} {
		sh(t, host, "rm -f /run/calls; echo 252 >/run/systemd/version; "+c.before)
		w := wish(FirewallDisable)
		w.Enables = c.enables
		changes, _ := PlanFirewall(&Facts{Firewall: Firewall{Firewalld: Unit{Loaded: true, Active: "active", Enabled: "enabled"}}}, w)
		if len(changes) != 1 {
			t.Fatalf("%s: %q", c.name, summaries(changes))
		}
		if _, err := host.Run(t.Context(), remote.Command{Label: "disable", Script: changes[0].Script, Args: changes[0].Args}); err != nil {
			t.Fatal(err)
		}
		if got := sh(t, host, "cat /run/calls"); got != c.want {
			t.Errorf("%s: systemctl was called so:\n%s", c.name, got)
		}
	}
}

// fakeRCUpdate is rc-update of OpenRC: without runlevels and without -a, a service is taken out of the present one only.
const fakeRCUpdate = `
all=
for a; do case $a in -q) shift ;; -a) all=yes; shift ;; esac; done
verb=$1 service=$2; shift 2
[ $# -gt 0 ] || set -- default
[ -z "$all" ] || set -- $(ls /etc/runlevels)
for r; do case $verb in
	add) ln -s /etc/init.d/$service /etc/runlevels/$r/ ;;
	del) rm -f /etc/runlevels/$r/$service ;;
esac; done
`

// OpenRC starts filters in the runlevel boot: a service that is only taken out of the present runlevel is back after a reboot.
func TestFiltersOfOpenRCAreDisabled(t *testing.T) {
	host := sandbox(t)
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("this machine runs systemd")
	}
	bin := t.TempDir()
	for name, script := range map[string]string{
		"openrc-run": "", "rc-update": fakeRCUpdate,
		"rc-service": "",
		// nft keeps its rules in a file; what this test needs of it.
		"nft": `case $* in "-s list ruleset" | "list ruleset") cat /run/rules ;; "flush ruleset") : >/run/rules ;; "-f -") sed 1d >/run/rules ;; esac; :`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := host.Run(t.Context(), remote.Command{Label: "mount", Script: "mount -t tmpfs none /run && mount -t overlay -o lowerdir=" + bin + ":/usr/sbin none /usr/sbin"}); err != nil {
		t.Skip(err)
	}
	sh(t, host, `mkdir -p /run/openrc /etc/init.d /etc/runlevels/boot /etc/runlevels/default
for s in nftables firewalld; do : >/etc/init.d/$s; done
printf 'flush ruleset\n%s' '`+debianRules+`' >/etc/nftables.nft; : >/run/rules`)
	w := wish(FirewallDisable)
	for service, c := range map[string]struct{ begin, want string }{
		"firewalld": {":", "stop and disable firewalld"},
		"nftables":  {"sed 1d /etc/nftables.nft >/run/rules", "disable nftables, and drop its rules"},
		"*":         {"sed 1d /etc/nftables.nft >/run/rules", "stop and disable firewalld; disable nftables, and drop its rules"},
	} {
		const state = "ls -l --time-style=+ /etc/runlevels/*; cat /run/rules"
		sh(t, host, "for s in /etc/init.d/"+service+"; do ln -s $s /etc/runlevels/boot/; done; "+c.begin)
		before := sh(t, host, state)
		journal := filepath.Join(t.TempDir(), "journal")
		if done := converges(t, host, journal, w, func() *Facts { return gathered(t, host, w) }); done != c.want {
			t.Errorf("%s: %q", service, done)
		}
		if left := sh(t, host, "ls /etc/runlevels/*/"+service+" 2>/dev/null; cat /run/rules"); left != "" {
			t.Errorf("%s: left: %s", service, left)
		}
		undo(t, host, journal)
		if after := sh(t, host, state); after != before {
			t.Errorf("%s: after the undo\n%s\nbefore\n%s", service, after, before)
		}
		sh(t, host, "rm /etc/runlevels/boot/"+service+"; : >/run/rules")
	}
}

// sameButTimes compares listings; fractions of seconds do not come back.
func sameButTimes(a, b string) bool {
	cut := func(s string) string {
		var out []string
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "-rw") {
				line, _, _ = strings.Cut(line, ".")
			}
			out = append(out, line)
		}
		return strings.Join(out, "")
	}
	return cut(a) == cut(b)
}
