package hostprep

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// FirewallPolicy says what to do about the packet filter of a host, whichever it has: firewalld, ufw or nftables.
type FirewallPolicy string

// The policies.
const (
	FirewallDisable    FirewallPolicy = "disable"     // stop it, and keep it from starting at boot
	FirewallOpenPorts  FirewallPolicy = "open-ports"  // let it run: client ports for clients, the others for members
	FirewallTrustPeers FirewallPolicy = "trust-peers" // let it run: client ports for clients, everything for members
	FirewallLeave      FirewallPolicy = "leave"       // touch nothing
)

// Opens reports whether the policy lets the filter run and opens ports in it.
func (p FirewallPolicy) Opens() bool { return p == FirewallOpenPorts || p == FirewallTrustPeers }

// FirewallWish is what the inventory wants of a host's packet filter.
type FirewallWish struct {
	Policy   FirewallPolicy
	Ensemble string // marks rules as ours, where the filter has room for that
	// Clients may reach ClientPorts, and so may Members; nil stands for everybody.
	Clients     []netip.Prefix
	ClientPorts []int
	// Members are the addresses of the members on other machines; they alone need MemberPorts.
	Members     []netip.Addr
	MemberPorts []int
	// Unknown are members whose address the host does not know; with one of them nothing can be planned.
	Unknown []string
	// Enables is a unit that is going to be enabled on the host after this or meanwhile, "" for none: then systemd will read all
	// units again anyway.
	Enables string
	// Record is a file on the host that remembers which rules of firewalld are ours.
	Record string
}

// opening lets TCP connections in: to some ports, or to all where there are none, from some networks, or from everywhere
// where that is nil.
type opening struct {
	ports []int
	from  []netip.Prefix
}

// openings are what has to be let in. One from an empty list of networks is left out.
func (w FirewallWish) openings() []opening {
	var members []netip.Prefix
	for _, a := range w.Members {
		members = append(members, netip.PrefixFrom(a, a.BitLen()))
	}
	clients := w.Clients
	if clients != nil {
		clients = slices.Concat(clients, members)
	}
	all := []opening{{w.ClientPorts, clients}, {w.MemberPorts, members}}
	if w.Policy == FirewallTrustPeers {
		all[1].ports = nil
	}
	if members == nil {
		all = all[:1]
	}
	if clients != nil && len(clients) == 0 {
		all = all[1:]
	}
	return all
}

// networks writes networks as packet filters do: a single address has no length.
func networks(from []netip.Prefix) []string {
	var out []string
	for _, p := range from {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.Masked().String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func family(network string) string {
	if strings.Contains(network, ":") {
		return "ipv6"
	}
	return "ipv4"
}

// describe says in words what is opened.
func describe(all []opening) string {
	var out []string
	for _, o := range all {
		what, who := "everything", "everybody"
		if o.ports != nil {
			what = "TCP ports " + words(o.ports)
		}
		if o.from != nil {
			who = strings.Join(networks(o.from), ", ")
		}
		out = append(out, what+" for "+who)
	}
	return strings.Join(out, "; ")
}

// PlanFirewall plans the packet filters of a host. For policies that open ports the facts must have been gathered with
// Wanted.Firewall.
func PlanFirewall(f *Facts, w FirewallWish) ([]Change, []Finding) {
	p := &firewallPlan{Facts: f, wish: w}
	fw := f.Firewall.Firewalld
	firewalld := running(fw) || strings.HasPrefix(fw.Enabled, "enabled")
	ufw := strings.Contains(f.Firewall.UFW, "Status: active")
	severity := Warning
	if w.Policy == FirewallLeave {
		severity = Note
	}
	for _, unit := range []string{"iptables.service", "SuSEfirewall2.service"} {
		if f.Units[unit].Active == "active" {
			p.find(severity, "see that its rules let "+describe(w.openings())+" through", "%s is active, and left alone", unit)
		}
	}
	if p.Firewall.Filter() != "" && w.Policy.Opens() && w.Unknown != nil {
		p.find(Error, "set peer_address to an IP address, or make the name known on the host",
			"%s has to let %s in, but the host does not know that address", p.Firewall.Filter(), strings.Join(w.Unknown, ", "))
		return nil, p.findings
	}
	switch {
	case firewalld:
		p.firewalld()
	case fw.Masked:
		p.find(Note, "", "firewalld is masked: nothing to do")
	case fw.Loaded:
		p.find(Note, "", "firewalld is stopped and disabled: nothing to do")
	}
	if ufw {
		p.ufw()
	}
	nft := f.Firewall.Nft
	if firewalld || ufw {
		nft.Ruleset = withoutFilters(nft.Ruleset)
	}
	if (!firewalld && !ufw || w.Policy == FirewallDisable) && nft.filters() {
		p.nftables(nft)
	} else if !firewalld && !ufw && !fw.Masked && !fw.Loaded {
		p.find(Note, "", "neither firewalld nor ufw nor nftables is active: nothing to do")
	}
	return p.changes, p.findings
}

// Filter is the name of what filters packets on the host, or will do so after the next boot; "" where nothing is known to.
func (f Firewall) Filter() string {
	switch {
	case running(f.Firewalld) || strings.HasPrefix(f.Firewalld.Enabled, "enabled"):
		return "firewalld"
	case strings.Contains(f.UFW, "Status: active"):
		return "ufw"
	case f.Nft.filters():
		return "nftables"
	}
	return ""
}

// firewallPlan is what PlanFirewall has come to so far.
type firewallPlan struct {
	*Facts
	wish     FirewallWish
	changes  []Change
	findings []Finding
}

func (p *firewallPlan) find(severity Severity, remedy, format string, args ...any) {
	p.findings = append(p.findings, Finding{Host: p.Host, Check: "firewall", Severity: severity, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

// leftAlone is the finding about a filter that the policy does not touch. Whether it lets through what it must is for the check
// of the network to find out.
func (p *firewallPlan) leftAlone(name string) {
	p.find(Note, "", "%s is active and left alone; it has to let through: %s", name, describe(p.wish.openings()))
}

// mark is what our rules carry, where a filter has comments.
func (w FirewallWish) mark() string { return "zkctl " + w.Ensemble }

func running(u Unit) bool {
	return u.Active == "active" || u.Active == "activating" || u.Active == "reloading"
}

func words(ports []int) string {
	var s []string
	for _, p := range ports {
		s = append(s, fmt.Sprint(p))
	}
	return strings.Join(s, ", ")
}
