package provision

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

const stepNetwork = "names and ports between the hosts"

// probeGrace is how long so many hosts try to reach one another. All begin at about the same time; where everything is
// open, it takes as long as a connection does.
func probeGrace(hosts int) time.Duration {
	return 8*time.Second + time.Duration(hosts)*100*time.Millisecond
}

// Reach is whether one host reaches a port of another member.
type Reach struct {
	From string `json:"from"`
	To   string `json:"to"`
	Port int    `json:"port"`
	// Use is what the port is for: client, peer or election.
	Use string `json:"use"`
	// Result is "ok" or why not.
	Result string `json:"result"`
}

// Matrix is what all hosts say of all others.
type Matrix struct {
	Hosts []string `json:"hosts"`
	Reach []Reach  `json:"reach"`
	// Names are the addresses that a name means, by the host that was asked and the name.
	Names map[string]map[string][]string `json:"names"`
	// Closed are ports that a host could not open itself, with the reason.
	Closed []Reach `json:"closed"`
}

// network lets the members, before they run, open their ports and reach one another, all at once. servers has the path of
// the server program on each member's host. failed says of each member why it could not say anything, if so.
func (r *Run) network(ctx context.Context, members []member, servers []string) (_ *Matrix, failed []error) {
	m := &Matrix{Names: map[string]map[string][]string{}}
	var mu sync.Mutex
	errs := make([]error, len(members))
	var group sync.WaitGroup
	for i := range members {
		m.Hosts = append(m.Hosts, members[i].Host.Name)
		// Not by each, which bounds how many hosts work at a time: they wait for one another.
		group.Go(func() {
			reach, closed, names, err := r.probeFrom(ctx, members, i, servers[i])
			if err != nil {
				errs[i] = err
				return
			}
			mu.Lock()
			defer mu.Unlock()
			m.Reach = append(m.Reach, reach...)
			m.Closed = append(m.Closed, closed...)
			m.Names[members[i].Host.Name] = names
		})
	}
	group.Wait()
	at := func(name string) int { return slices.Index(m.Hosts, name) }
	order := func(a, b Reach) int {
		return 1e6*(at(a.From)-at(b.From)) + 1e3*(at(a.To)-at(b.To)) + strings.Compare(a.Use, b.Use)
	}
	slices.SortFunc(m.Reach, order)
	slices.SortFunc(m.Closed, order)
	return m, errs
}

// portUse are the ports that others dial.
func (m member) portUse() map[int]string {
	p := m.Host.Server.Ports
	use := map[int]string{p.Peer: "peer", p.Election: "election"}
	for _, port := range m.clientPorts() {
		use[port] = "client"
	}
	return use
}

// clientPorts are the ports that the member has open for clients, or will have.
func (m member) clientPorts() []int {
	stage, running := m.stage()
	if !running {
		stage = m.Stage()
	}
	return portsAt(m.Host, stage)
}

func portsAt(h inventory.Host, stage templates.Stage) []int {
	p := h.Server.Ports
	return [][]int{{p.Client}, {p.Client, p.Secure}, {p.Secure}}[stage.Client]
}

// allClientPorts are those, and the ones that the inventory wants.
func (m member) allClientPorts() []int {
	ports := m.clientPorts()
	for _, p := range portsAt(m.Host, templates.WantedStage(m.Host.TLS)) {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// binds is the address on which the member opens a port.
func (m member) binds(use string) string {
	switch {
	case use == "client":
		return m.Host.ZooCfg["clientPortAddress"]
	case strings.EqualFold(m.Host.ZooCfg["quorumListenOnAllIPs"], "true"):
		return ""
	}
	return m.Host.PeerAddress
}

func (r *Run) probeFrom(ctx context.Context, members []member, i int, server string) (reach, closed []Reach, names map[string][]string, err error) {
	self := members[i]
	grace := probeGrace(len(members))
	args := []string{server, "probe-peers", "-name", self.Host.Name, "-grace", grace.String()}
	ports := append(self.clientPorts(), self.Host.Server.Ports.Peer, self.Host.Server.Ports.Election)
	if !self.running {
		for _, p := range ports {
			args = append(args, "-listen", net.JoinHostPort(self.binds(self.portUse()[p]), strconv.Itoa(p)))
		}
	}
	for j, m := range members {
		if _, err := netip.ParseAddr(m.Host.PeerAddress); err != nil {
			args = append(args, "-resolve", m.Host.PeerAddress)
		}
		if m.Host.System.HostsFile == "manage" && m.Host.Name != m.Host.PeerAddress {
			args = append(args, "-resolve", m.Host.Name)
		}
		if i == j {
			continue
		}
		flag, p := "-peer", m.Host.Server.Ports
		dial := append(m.clientPorts(), p.Peer, p.Election)
		if m.running {
			// Of the servers that run only the leader listens on its peer port.
			flag, dial = "-serving", append(m.clientPorts(), p.Election)
		}
		for _, port := range dial {
			args = append(args, flag, m.Host.Name+"="+net.JoinHostPort(m.Host.PeerAddress, strconv.Itoa(port)))
		}
	}
	host, err := r.host(self.Host)
	if err != nil {
		return nil, nil, nil, err
	}
	res, err := host.Run(ctx, remote.Command{
		Label: "try to reach the other members", Script: `server=$1; shift; exec "$server" "$@"`, Args: args, ReadOnly: true,
		Root: privileged(self.Member), Timeout: grace + 30*time.Second,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: try to reach the other members: %w", self.Host.Name, err)
	}
	use := map[string]map[int]string{}
	for _, m := range members {
		use[m.Host.Name] = m.portUse()
	}
	portOf := func(address string) int {
		_, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		return n
	}
	for _, line := range fields.Texts("peers.reach") {
		if w := strings.SplitN(line, " ", 3); len(w) == 3 {
			p := portOf(w[1])
			reach = append(reach, Reach{self.Host.Name, w[0], p, use[w[0]][p], w[2]})
		}
	}
	for _, line := range fields.Texts("peers.listen") {
		if address, result, _ := strings.Cut(line, " "); result != "ok" {
			p := portOf(address)
			closed = append(closed, Reach{self.Host.Name, self.Host.Name, p, self.portUse()[p], result + " (" + address + ")"})
		}
	}
	names = map[string][]string{}
	for _, line := range fields.Texts("peers.name") {
		w := strings.Fields(line)
		names[w[0]] = w[1:]
	}
	return reach, closed, names, nil
}

// findings says what is wrong in a matrix. Where the hosts are not prepared yet, what that will change is less than an error.
func (m *Matrix) findings(members []member, prepared bool) []hostprep.Finding {
	var out []hostprep.Finding
	hosts := map[string]member{}
	for _, h := range members {
		hosts[h.Host.Name] = h
	}
	for _, c := range m.Closed {
		f := hostprep.Finding{Host: c.From, Check: "network", Severity: hostprep.Error, Text: fmt.Sprintf("cannot open its %s port: %s", c.Use, c.Result)}
		switch {
		case strings.HasPrefix(c.Result, "in use"):
			f.Remedy = "stop what listens there, or choose another port in the inventory"
		case strings.HasPrefix(c.Result, "not an address"):
			f.Remedy = "set peer_address to an address of the host, or zoo_cfg.quorumListenOnAllIPs: true where addresses are translated"
		case strings.HasPrefix(c.Result, "unknown name"):
			f.Remedy = "set peer_address to an IP address, or make the name known on the host"
		}
		out = append(out, f)
	}
	// What one host says of another is one finding, whatever the number of ports.
	type pair struct{ from, to string }
	var order []pair
	failed := map[pair][]Reach{}
	for _, r := range m.Reach {
		if r.Result == "ok" {
			continue
		}
		p := pair{r.From, r.To}
		if failed[p] == nil {
			order = append(order, p)
		}
		failed[p] = append(failed[p], r)
	}
	for _, p := range order {
		var parts []string
		for _, r := range failed[p] {
			parts = append(parts, fmt.Sprintf("%s port %d: %s", r.Use, r.Port, r.Result))
		}
		target := hosts[p.to]
		f := hostprep.Finding{Host: p.from, Check: "network", Severity: hostprep.Error,
			Text:   fmt.Sprintf("does not reach %s (%s): %s", p.to, target.Host.PeerAddress, strings.Join(parts, ", ")),
			Remedy: "look for a packet filter between the two hosts, on " + p.to + ", or in the cloud's security group"}
		filter, policy := target.facts.Firewall.Filter(), target.Host.System.Firewall
		if filter != "" && policy != "leave" && !prepared {
			f.Severity, f.Remedy = hostprep.Warning, fmt.Sprintf("%s runs on %s; bootstrap will change that (system.firewall: %s)", filter, p.to, policy)
		} else if filter != "" && policy == "leave" {
			f.Remedy = fmt.Sprintf("%s runs on %s and is left alone: set system.firewall to open-ports, or open the ports there", filter, p.to)
		} else if slices.ContainsFunc(failed[p], func(r Reach) bool { return r.Result == "unknown name" }) {
			f.Remedy = "set peer_address to an IP address, or make the name known on " + p.from
		}
		out = append(out, f)
	}
	if !prepared && slices.ContainsFunc(members, member.namesPending) {
		return out
	}
	return append(out, m.nameFindings(members)...)
}

// namesPending reports whether /etc/hosts of the member's host is ours to write and is not written yet.
func (m member) namesPending() bool {
	return m.Host.System.HostsFile == "manage" && !hostprep.HasHostsBlock(m.facts.Hosts.Content, m.Ensemble.Name)
}

// nameFindings says which names mean different addresses, or a loopback address where others are meant to reach them.
func (m *Matrix) nameFindings(members []member) []hostprep.Finding {
	var out []hostprep.Finding
	if len(machines(members)) < 2 {
		return nil
	}
	for _, target := range members {
		for _, name := range slices.Compact([]string{target.Host.PeerAddress, target.Host.Name}) {
			said := map[string][]string{} // addresses to the hosts that say so
			var order []string
			for _, from := range m.Hosts {
				addresses, asked := m.Names[from][name]
				if !asked {
					continue
				}
				key := strings.Join(addresses, " ")
				if said[key] == nil {
					order = append(order, key)
				}
				said[key] = append(said[key], from)
				if slices.ContainsFunc(addresses, func(a string) bool { ip, err := netip.ParseAddr(a); return err == nil && ip.IsLoopback() }) {
					out = append(out, hostprep.Finding{Host: from, Check: "names", Severity: hostprep.Error,
						Text:   fmt.Sprintf("%s means %s here, a loopback address", name, key),
						Remedy: "take the name off that line of /etc/hosts on " + from + " (bootstrap does, with system.hosts_file: manage)"})
				}
			}
			if len(order) > 1 {
				var parts []string
				for _, key := range order {
					parts = append(parts, fmt.Sprintf("%s on %s", strings.ReplaceAll(key, "?", "nothing"), strings.Join(said[key], ", ")))
				}
				out = append(out, hostprep.Finding{Host: target.Host.Name, Check: "names", Severity: hostprep.Warning,
					Text: fmt.Sprintf("the name %s means %s", name, strings.Join(parts, "; ")), Remedy: "make it the same everywhere, or let zkctl manage /etc/hosts"})
			}
		}
	}
	return out
}

// checkNetwork lets members that are about to be started for the first time find out whether they will reach one another.
func (r *Run) checkNetwork(ctx context.Context, it *intent) error {
	members := r.membersWithin(it.members)
	if r.SkipNetwork || len(it.out.Starts) == 0 || len(machines(members)) < 2 {
		return nil
	}
	return r.step(ctx, stepNetwork, func(ctx context.Context) error {
		servers := make([]string, len(members))
		hosts := make([]inventory.Host, len(members))
		removes := make([]func(), len(members))
		for i, m := range members {
			servers[i], hosts[i], removes[i] = m.Server(), m.Host, func() {}
		}
		err := r.each(ctx, stepNetwork, hosts, func(ctx context.Context, i int) error {
			if !members[i].RunsApache() {
				return nil
			}
			server, remove, err := r.pushProbe(ctx, members[i])
			if err == nil {
				servers[i], removes[i] = server, remove
			}
			return err
		})
		defer func() {
			for _, remove := range removes {
				remove()
			}
		}()
		if err != nil {
			return fmt.Errorf("%w (--skip-network-check starts the members without that)", err)
		}
		matrix, failed := r.network(ctx, members, servers)
		if err := joined(failed); err != nil {
			return err
		}
		return r.findings(stepNetwork, matrix.findings(members, true))
	})
}

// probeDirectory makes a directory in the first of those given, or the user's own, in which programs may be started: hardened
// hosts mount those for temporary files noexec.
const probeDirectory = `
umask 077
set -- "$@" "${HOME:-/}"
for d; do
	dir=$(mktemp -d "$d/zkctl-probe.XXXXXX" 2>/dev/null) || continue
	echo '#!/bin/sh' >"$dir/try" && chmod 700 "$dir/try"
	if "$dir/try" 2>/dev/null; then rm -f "$dir/try"; echo "$dir"; exit 0; fi
	rm -rf "$dir"
done
echo "no program can be brought to the host for a moment: none of $* can be written to and is mounted without noexec" >&2
exit 1
`

// pushProbe makes the server available on a host on which it is not installed yet; the result removes it.
func (r *Run) pushProbe(ctx context.Context, m member) (server string, remove func(), err error) {
	program, err := r.Server(m.Host, m.facts.Arch)
	if err != nil {
		return "", nil, err
	}
	if m.facts.Files[m.Server()].SHA256 == program.SHA256 {
		return m.Server(), func() {}, nil
	}
	host, err := r.host(m.Host)
	if err != nil {
		return "", nil, err
	}
	root := privileged(m.Member)
	res, err := host.Run(ctx, remote.Command{Label: "make a directory for the probe", Root: root,
		Script: probeDirectory, Args: []string{"/var/tmp", "/tmp", "/var/lib"}})
	if err != nil {
		return "", nil, err
	}
	dir := strings.TrimSpace(string(res.Stdout))
	remove = func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		// A host that is gone keeps it; the check for leftovers finds it.
		_, _ = host.Run(limited, remote.Command{Label: "remove the probe", Root: root, Script: `rm -rf -- "$1"`, Args: []string{dir}})
	}
	plain, err := program.Plain()
	if err != nil {
		remove()
		return "", nil, err
	}
	server = path.Join(dir, "zkserver")
	if err := host.Upload(ctx, remote.File{Path: server, Content: plain, Mode: 0o700, Root: root}); err != nil {
		remove()
		return "", nil, err
	}
	return server, remove, nil
}
