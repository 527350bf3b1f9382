package hostprep

import (
	"fmt"
	"slices"
	"strings"
)

// FirewallPolicy says what to do about firewalld.
type FirewallPolicy string

// The policies.
const (
	FirewallDisable   FirewallPolicy = "disable"    // stop it, and keep it from starting at boot
	FirewallOpenPorts FirewallPolicy = "open-ports" // let it run and open the ensemble's ports
	FirewallLeave     FirewallPolicy = "leave"      // touch nothing
)

const disableFirewalld = `
if [ -d /run/systemd/system ]; then
	systemctl disable --now firewalld.service
else
	firewall-cmd --state >/dev/null 2>&1 && kill "$(cat /run/firewalld.pid)"
fi
`

// enableFirewalld gets whether it was enabled and whether it ran.
const enableFirewalld = `
if [ -d /run/systemd/system ]; then
	[ "$1" != true ] || systemctl enable -q firewalld.service
	[ "$2" != true ] || systemctl start firewalld.service
elif [ "$2" = true ]; then firewalld || service firewalld start
fi
`

// closePorts takes openPorts back.
const closePorts = `
zones=$1; shift
firewall-cmd --state >/dev/null 2>&1 || exit 0
set -- $(printf -- '--remove-port=%s ' "$@")
for zone in $zones; do
	firewall-cmd -q --zone="$zone" "$@" || :
	firewall-cmd -q --permanent --zone="$zone" "$@" || :
done
`

const firewalldIsOff = `
if [ -d /run/systemd/system ]; then
	case $(systemctl is-active firewalld.service) in active|activating|reloading) exit 1 ;; esac
	case $(systemctl is-enabled firewalld.service 2>/dev/null) in enabled*) exit 1 ;; esac
fi
! firewall-cmd --state >/dev/null 2>&1
`

// openPorts gets zones as one argument and the ports as the others.
const openPorts = `
set -e
zones=$1; shift
set -- $(printf -- '--add-port=%s ' "$@")
for zone in $zones; do
	firewall-cmd -q --zone="$zone" "$@"
	firewall-cmd -q --permanent --zone="$zone" "$@"
done
`

const portsAreOpen = `
set -e
zones=$1; shift
for zone in $zones; do
	for port; do
		firewall-cmd -q --zone="$zone" --query-port="$port"
		firewall-cmd -q --permanent --zone="$zone" --query-port="$port"
	done
done
`

// PlanFirewall plans firewalld for a host. For FirewallOpenPorts the facts must
// have been gathered with Wanted.Firewall; ports are opened in every active zone,
// since the zone of the interface that members use may not be the default one.
func PlanFirewall(f *Facts, policy FirewallPolicy, ports []int) ([]Change, []Finding) {
	note := func(severity Severity, text, remedy string) Finding {
		return Finding{Host: f.Host, Check: "firewall", Severity: severity, Text: text, Remedy: remedy}
	}
	var findings []Finding
	if strings.Contains(f.Firewall.UFW, "Status: active") {
		findings = append(findings, note(Warning, "ufw is active", fmt.Sprintf("allow TCP ports %s between the members, or disable it", words(ports))))
	}
	for _, unit := range []string{"nftables.service", "iptables.service"} {
		if f.Units[unit].Active == "active" {
			findings = append(findings, note(Warning, unit+" is active", fmt.Sprintf("see that its rules let TCP ports %s through between the members", words(ports))))
		}
	}
	fw := f.Firewall.Firewalld
	running := fw.Active == "active" || fw.Active == "activating" || fw.Active == "reloading"
	starts := strings.HasPrefix(fw.Enabled, "enabled")
	if !running && !starts {
		text := "firewalld is not installed: nothing to do"
		if fw.Masked {
			text = "firewalld is masked: nothing to do"
		} else if fw.Loaded {
			text = "firewalld is stopped and disabled: nothing to do"
		}
		return nil, append(findings, note(Note, text, ""))
	}
	switch policy {
	case FirewallDisable:
		return []Change{{
			Kind: RunScript, Target: "firewalld.service", Summary: "stop and disable firewalld",
			Script: disableFirewalld, Verify: firewalldIsOff, Root: true,
			Undo: &Undo{Script: enableFirewalld, Args: []string{fmt.Sprint(starts), fmt.Sprint(running)}},
		}}, findings
	case FirewallOpenPorts:
		if !running {
			return nil, append(findings, note(Warning, "firewalld is stopped but will start at the next boot, without the ensemble's ports",
				"start it and run again, or disable it"))
		}
		var zones, wanted, missing []string
		for _, p := range ports {
			wanted = append(wanted, fmt.Sprintf("%d/tcp", p))
		}
		for _, z := range f.Firewall.Zones {
			lacks := false
			for _, p := range wanted {
				if !covers(z.Open, p) || !covers(z.Permanent, p) {
					lacks = true
					if !slices.Contains(missing, p) {
						missing = append(missing, p)
					}
				}
			}
			if lacks {
				zones = append(zones, z.Name)
			}
		}
		if len(zones) == 0 {
			return nil, findings
		}
		var saves []string
		for _, z := range zones {
			saves = append(saves, "/etc/firewalld/zones/"+z+".xml", "/etc/firewalld/zones/"+z+".xml.old")
		}
		return []Change{{
			Kind: RunScript, Target: "firewalld.service", Saves: saves,
			Undo:    &Undo{Script: closePorts, Args: append([]string{strings.Join(zones, " ")}, missing...)},
			Summary: fmt.Sprintf("open %s in firewalld, zone %s", strings.Join(missing, ", "), strings.Join(zones, ", ")),
			Script:  openPorts, Verify: portsAreOpen, Args: append([]string{strings.Join(zones, " ")}, missing...), Root: true,
		}}, findings
	}
	return nil, append(findings, note(Warning, "firewalld is active and left alone", fmt.Sprintf("see that it lets TCP ports %s through between the members", words(ports))))
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

func words(ports []int) string {
	var s []string
	for _, p := range ports {
		s = append(s, fmt.Sprint(p))
	}
	return strings.Join(s, ", ")
}
