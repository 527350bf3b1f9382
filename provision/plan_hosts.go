package provision

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// planNames plans /etc/hosts.
func (r *Run) planNames(members []member, p *Plan) []hostprep.Finding {
	var all []hostprep.Finding
	entries := r.hostsEntries()
	for _, m := range machines(members) {
		if m.Host.System.HostsFile == "manage" && privileged(m.Member) {
			changes, findings := hostprep.PlanHosts(m.facts, r.Inventory.Name, entries, entryOf(entries, m.Host.Name))
			p.add(stepHostsFile, m.Host, changes, notesOf(findings)...)
			all = append(all, findings...)
		}
	}
	return all
}

// planHosts plans the rest of the preparation of the hosts themselves: their names, firewall, SELinux, kernel and limits.
func (r *Run) planHosts(members []member, p *Plan) []hostprep.Finding {
	var all []hostprep.Finding
	r.planEach(members, p, stepHostname, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanHostname(m.facts, m.Host.Name, m.Host.System.Hostname)
	})
	for _, m := range machines(members) {
		if !privileged(m.Member) {
			continue
		}
		changes, findings := hostprep.PlanFirewall(m.facts, r.firewallWish(m, members))
		p.add(stepFirewall, m.Host, changes, notesOf(findings)...)
		all = append(all, findings...)
	}
	for _, m := range machines(members) {
		if m.Host.System.SELinux != "leave" && privileged(m.Member) {
			changes, findings := hostprep.PlanSELinux(m.facts, hostprep.SELinuxPolicy(m.Host.System.SELinux))
			p.add(stepSELinux, m.Host, changes, notesOf(findings)...)
			all = append(all, findings...)
		}
	}
	r.planEach(members, p, stepKernel, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		changes, findings := hostprep.PlanSysctl(m.facts, m.Host.System.Sysctl)
		pages, more := hostprep.PlanHugePages(m.facts, m.Host.System.HugePages)
		return append(changes, pages...), append(findings, more...)
	})
	r.planEach(members, p, stepSwapOff, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanSwap(m.facts, m.Host.System.Swap)
	})
	r.planEach(members, p, stepLimits, &all, func(m member) ([]hostprep.Change, []hostprep.Finding) {
		return hostprep.PlanLimits(m.facts, m.User(), m.Host.System.Limits.NoFile)
	})
	return all
}

// planEach plans a step on each machine on which we are root. Without changes or findings the host is not in the plan.
func (r *Run) planEach(members []member, p *Plan, step string, all *[]hostprep.Finding, plan func(member) ([]hostprep.Change, []hostprep.Finding)) {
	for _, m := range machines(members) {
		if !privileged(m.Member) {
			continue
		}
		changes, findings := plan(m)
		if len(changes)+len(findings) > 0 {
			p.add(step, m.Host, changes, notesOf(findings)...)
			*all = append(*all, findings...)
		}
	}
}

// notesOf are what a plan says beside its changes; what is more than a note is reported by itself.
func notesOf(findings []hostprep.Finding) []string {
	return texts(slices.DeleteFunc(slices.Clone(findings), func(f hostprep.Finding) bool { return f.Severity != hostprep.Note }))
}

func texts(findings []hostprep.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Text)
	}
	return out
}

// hostsEntries are the lines of the block in /etc/hosts: members whose address is an IP address, one line for each
// address, by server id: the order of hosts in the inventory may change.
func (r *Run) hostsEntries() []hostprep.Entry {
	var entries []hostprep.Entry
	for _, h := range slices.SortedFunc(slices.Values(r.Inventory.Hosts), func(a, b inventory.Host) int { return a.ID - b.ID }) {
		if h.System.HostsFile != "manage" {
			continue
		}
		address, err := netip.ParseAddr(h.PeerAddress)
		if err != nil {
			r.report(Event{Kind: Warning, Step: stepHostsFile, Host: h.Name,
				Text: fmt.Sprintf("%s is not an IP address: no line in /etc/hosts for it (set peer_address)", h.PeerAddress)})
			continue
		}
		merged := false
		for i := range entries {
			if entries[i].Address == address {
				entries[i].Names = append(entries[i].Names, h.Name)
				merged = true
			}
		}
		if !merged {
			entries = append(entries, hostprep.Entry{Address: address, Names: []string{h.Name}})
		}
	}
	return entries
}

func entryOf(entries []hostprep.Entry, name string) hostprep.Entry {
	for _, e := range entries {
		for _, n := range e.Names {
			if n == name {
				return hostprep.Entry{Address: e.Address, Names: []string{name}}
			}
		}
	}
	return hostprep.Entry{Names: []string{name}}
}
