package hostprep

import (
	"fmt"
	"slices"
	"strings"
)

// Zone is a firewalld zone with what it lets in.
type Zone struct {
	Name   string
	Target string // what becomes of the rest: "default", "ACCEPT", "DROP", "%%REJECT%%"
	// Open and Permanent are open ports, such as "2181/tcp", at runtime and after a reload; Rich and PermanentRich rules in
	// firewalld's language.
	Open, Permanent     []string
	Rich, PermanentRich []string
}

// disableFirewalld gets the unit that is about to be enabled, after which systemd reads its units: that takes longer than all
// the rest, and once is enough. Where the unit is enabled by now, that may have been too early.
const disableFirewalld = `
if [ -d /run/systemd/system ]; then
	# systemd before 220 does not know --now.
	systemctl ${1:+--no-reload} disable -q --now firewalld.service 2>/dev/null ||
		{ systemctl stop firewalld.service && systemctl ${1:+--no-reload} disable -q firewalld.service; } || exit
	for wanted in ${1:+/etc/systemd/system/*.wants/"$1"}; do [ ! -L "$wanted" ] || systemctl daemon-reload; done
else
	rc-service -q firewalld stop 2>/dev/null || :
	rc-update -q -a del firewalld 2>/dev/null || :
	! firewall-cmd --state >/dev/null 2>&1 || kill "$(cat /run/firewalld.pid)"
	# It takes its rules away before it ends.
	for i in 1 2 3 4 5 6 7 8 9 10; do firewall-cmd --state >/dev/null 2>&1 || break; sleep 1; done
fi
`

// enableFirewalld gets whether it was enabled, whether it ran, and OpenRC's runlevels. One that somebody has removed or masked since
// stays so.
const enableFirewalld = `
if [ -d /run/systemd/system ]; then
	systemctl cat firewalld.service >/dev/null 2>&1 || exit 0
	[ "$(systemctl is-enabled firewalld.service 2>/dev/null)" != masked ] || exit 0
	[ "$1" != true ] || systemctl enable -q firewalld.service
	[ "$2" != true ] || systemctl start firewalld.service
else
	[ -e /etc/init.d/firewalld ] || command -v firewalld >/dev/null 2>&1 || exit 0
	[ -z "$3" ] || rc-update -q add firewalld $3
	[ "$2" != true ] || rc-service -q firewalld start 2>/dev/null || firewalld
fi
`

const firewalldIsOff = `
if [ -d /run/systemd/system ]; then
	case $(systemctl is-active firewalld.service) in active|activating|reloading) exit 1 ;; esac
	# Where no link is left, systemctl needs not be asked.
	for s in /etc/systemd/system /run/systemd/system; do
		for s in "$s"/*.wants/firewalld.service "$s"/*.requires/firewalld.service "$s/dbus-org.fedoraproject.FirewallD1.service"; do
			[ -L "$s" ] || continue
			case $(systemctl is-enabled firewalld.service 2>/dev/null) in enabled*) exit 1 ;; esac
		done
	done
	# firewall-cmd is slow: it is asked where there may be a firewalld that systemd knows nothing of.
	found=
	for p in /proc/[0-9]*/comm; do { IFS= read -r l <"$p"; } 2>/dev/null && [ "$l" = firewalld ] && found=yes; done
	[ -n "$found" ] || exit 0
fi
for s in /etc/runlevels/*/firewalld; do [ ! -L "$s" ] || exit 1; done
! firewall-cmd --state >/dev/null 2>&1
`

// The scripts that change a zone get the record, the zone, and what is meant as firewall-cmd's options have it after the verb:
// port=2181/tcp, or rich-rule=RULE.
const (
	addToZone = `
set -e
record=$1 zone=$2; shift 2
(umask 077; mkdir -p "${record%/*}"; for r; do echo "$zone $r"; done >>"$record")
# firewall-cmd takes several of one kind, but not of two.
for kind in port rich-rule; do (
	n=$#
	while [ $n -gt 0 ]; do
		case $1 in "$kind"=*) set -- "$@" "--add-$1" ;; esac
		shift; n=$((n - 1))
	done
	[ $# = 0 ] || { firewall-cmd -q --zone="$zone" "$@" && firewall-cmd -q --permanent --zone="$zone" "$@"; }
) || exit 1; done
`
	zoneHas = `
zone=$2; shift 2
for when in --zone --permanent\ --zone; do
	has=$(firewall-cmd $when="$zone" --list-ports | tr ' ' '\n'; firewall-cmd $when="$zone" --list-rich-rules)
	for r; do
		printf '%s\n' "$has" | grep -qFx -- "${r#*=}" && continue
		firewall-cmd -q $when="$zone" "--query-$r" || exit 1
	done
done
`
	removeFromZone = `
record=$1 zone=$2; shift 2
if firewall-cmd --state >/dev/null 2>&1; then
	for r; do
		firewall-cmd -q --zone="$zone" "--remove-$r" || :
		firewall-cmd -q --permanent --zone="$zone" "--remove-$r" || :
	done
fi
[ ! -f "$record" ] || for r; do
	grep -vFx -- "$zone $r" "$record" >"$record.new" || :
	mv -f "$record.new" "$record"
done
`
	zoneHasNot = `
zone=$2; shift 2
for when in --zone --permanent\ --zone; do
	has=$(firewall-cmd $when="$zone" --list-ports 2>/dev/null | tr ' ' '\n'; firewall-cmd $when="$zone" --list-rich-rules 2>/dev/null)
	for r; do
		! printf '%s\n' "$has" | grep -qFx -- "${r#*=}" || exit 1
	done
done
`
)

// firewalld plans firewalld. Ports are opened in every active zone, since the zone of the interface that members use may not
// be the default one.
func (p *firewallPlan) firewalld() {
	fw := p.Firewall.Firewalld
	runs, starts := running(fw), strings.HasPrefix(fw.Enabled, "enabled")
	switch {
	case p.wish.Policy == FirewallDisable:
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "firewalld.service", Summary: "stop and disable firewalld", Args: []string{p.wish.Enables},
			Script: disableFirewalld, Verify: firewalldIsOff, Root: true,
			Undo: &Undo{Script: enableFirewalld, Args: []string{fmt.Sprint(starts), fmt.Sprint(runs), strings.Join(p.Firewall.Runlevels, " ")}},
		})
		return
	case !p.wish.Policy.Opens():
		p.leftAlone("firewalld")
		return
	case !runs:
		p.find(Warning, "start it and run again, or disable it", "firewalld is stopped but will start at the next boot, without the ensemble's ports")
		return
	}
	var recorded []string
	for line := range strings.Lines(string(p.Contents[p.wish.Record])) {
		recorded = append(recorded, strings.TrimRight(line, "\n"))
	}
	var wanted []string
	for _, z := range p.Firewall.Zones {
		if z.Target == "ACCEPT" {
			continue
		}
		var missing, opened []string
		for _, o := range p.wish.openings() {
			lacks := false
			for _, what := range o.inFirewalld() {
				wanted = append(wanted, z.Name+" "+what)
				if !z.has(what) {
					missing = append(missing, what)
					lacks = true
				}
			}
			if lacks {
				opened = append(opened, describe([]opening{o}))
			}
		}
		for _, port := range p.wish.MemberPorts {
			if name := fmt.Sprintf("%d/tcp", port); covers(z.Open, name) || covers(z.Permanent, name) {
				p.find(Warning, fmt.Sprintf("firewall-cmd --zone=%s --remove-port=%s, also with --permanent", z.Name, name),
					"firewalld's zone %s has %s open for everybody; only members need it", z.Name, name)
			}
		}
		if missing != nil {
			p.changes = append(p.changes, p.inZone(z.Name, "open "+strings.Join(opened, "; ")+" in firewalld, zone "+z.Name, addToZone, zoneHas, missing))
			last := &p.changes[len(p.changes)-1]
			last.Undo = &Undo{Script: removeFromZone, Args: last.Args}
		}
	}
	stale := map[string][]string{}
	var zones []string
	for _, line := range recorded {
		zone, what, _ := strings.Cut(line, " ")
		if slices.Contains(wanted, line) || slices.Contains(stale[zone], what) {
			continue
		}
		if stale[zone] == nil {
			zones = append(zones, zone)
		}
		stale[zone] = append(stale[zone], what)
	}
	for _, z := range zones {
		p.changes = append(p.changes, p.inZone(z, fmt.Sprintf("take %d rules of earlier members or ports out of firewalld, zone %s", len(stale[z]), z),
			removeFromZone, zoneHasNot, stale[z]))
	}
}

func (p *firewallPlan) inZone(zone, summary, script, verify string, what []string) Change {
	file := "/etc/firewalld/zones/" + zone + ".xml"
	return Change{
		Kind: RunScript, Target: "firewalld.service", Summary: summary, Root: true, Saves: []string{file, file + ".old"}, Shared: true,
		Script: script, Verify: verify, Args: append([]string{p.wish.Record, zone}, what...),
	}
}

// inFirewalld is the opening as options of firewall-cmd, after the verb.
func (o opening) inFirewalld() []string {
	var out []string
	if o.from == nil {
		for _, port := range o.ports {
			out = append(out, fmt.Sprintf("port=%d/tcp", port))
		}
		return out
	}
	for _, n := range networks(o.from) {
		rule := fmt.Sprintf("rich-rule=rule family=%q source address=%q ", family(n), n)
		if o.ports == nil {
			out = append(out, rule+"accept")
		}
		for _, port := range o.ports {
			out = append(out, rule+fmt.Sprintf(`port port="%d" protocol="tcp" accept`, port))
		}
	}
	return out
}

// has reports whether a zone lets in what an option of firewall-cmd stands for, now and after a reload.
func (z Zone) has(what string) bool {
	kind, value, _ := strings.Cut(what, "=")
	if kind == "port" {
		return covers(z.Open, value) && covers(z.Permanent, value)
	}
	return slices.Contains(z.Rich, value) && slices.Contains(z.PermanentRich, value)
}

// covers reports whether a port such as "2181/tcp" is in a list of firewalld's,
// which may hold ranges such as "2000-3000/tcp".
func covers(list []string, port string) bool {
	var want int
	fmt.Sscanf(port, "%d/tcp", &want)
	for _, item := range list {
		var low, high int
		if n, _ := fmt.Sscanf(item, "%d-%d/tcp", &low, &high); n == 2 && low <= want && want <= high {
			return true
		}
		if item == port {
			return true
		}
	}
	return false
}
