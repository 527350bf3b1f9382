package provision

import (
	"fmt"
	"net/netip"
	"path"
	"slices"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// firewallRecord is the file in which a host keeps the rules of firewalld that are ours.
func (r *Run) firewallRecord(h inventory.Host) string { return path.Join(r.stateDir(h), "firewall") }

// firewallWish is what a machine's packet filter has to let in: of the members that it has, the ports for clients from
// clients, and those for members from the other machines. All hosts of the inventory count, whatever an operation is limited
// to: it shuts nobody out.
func (r *Run) firewallWish(m member, members []member) hostprep.FirewallWish {
	wish := hostprep.FirewallWish{
		Policy: hostprep.FirewallPolicy(m.Host.System.Firewall), Ensemble: r.Inventory.Name,
		Clients: m.Host.System.FirewallClients, Record: r.firewallRecord(m.Host),
	}
	if m.Manager == templates.Systemd && !m.unitEnabled() {
		wish.Enables = m.Host.Server.Service + ".service"
	}
	for _, h := range r.Inventory.Hosts {
		if len(machines([]member{m, {Member: templates.Member{Ensemble: r.Inventory, Host: h}}})) == 1 {
			ports := h.Server.Ports
			clients := portsAt(h, templates.WantedStage(h.TLS))
			if i := slices.IndexFunc(members, func(o member) bool { return o.Host.Name == h.Name }); i >= 0 {
				clients = members[i].allClientPorts()
			}
			wish.ClientPorts = append(wish.ClientPorts, clients...)
			if ports.Metrics != 0 {
				wish.ClientPorts = append(wish.ClientPorts, ports.Metrics)
			}
			wish.MemberPorts = append(wish.MemberPorts, ports.Peer, ports.Election)
			continue
		}
		addresses := m.facts.Addresses[h.PeerAddress]
		if a, err := netip.ParseAddr(h.PeerAddress); err == nil {
			addresses = []netip.Addr{a}
		}
		if len(addresses) == 0 {
			wish.Unknown = append(wish.Unknown, fmt.Sprintf("%s (%s)", h.Name, h.PeerAddress))
		}
		for _, a := range addresses {
			if !a.IsLoopback() {
				wish.Members = append(wish.Members, a.Unmap().WithZone(""))
			}
		}
	}
	return wish
}
