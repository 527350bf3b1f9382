package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// validate reports what is wrong between hosts. Conflicts name both places. What a host lacks was reported before, and
// is in conflict with nothing.
func (l *loader) validate(inv *Inventory) {
	l.unique(inv, "name", func(h Host) string { return strings.ToLower(h.Name) })
	l.unique(inv, "id", func(h Host) string {
		if h.ID == 0 {
			return ""
		}
		return fmt.Sprint(h.ID)
	})
	for i := range inv.Hosts {
		l.ownPorts(inv.Hosts[i])
		l.tls(inv.Hosts[0], inv.Hosts[i])
		l.openSecrets(inv.Hosts[i])
		for j := range i {
			l.sameMachine(inv.Hosts[j], inv.Hosts[i])
		}
	}
	l.groups(inv)
	l.voters(inv)
}

func (l *loader) problem(place Place, format string, args ...any) {
	l.problems.add(Problem{place, fmt.Sprintf(format, args...)})
}

func (l *loader) warn(place Place, format string, args ...any) {
	l.warnings = append(l.warnings, Problem{place, fmt.Sprintf(format, args...)})
}

// unique refuses two hosts with the same value.
func (l *loader) unique(inv *Inventory, key string, value func(Host) string) {
	first := map[string]Host{}
	for _, h := range inv.Hosts {
		v := value(h)
		if v == "" {
			continue
		}
		if other, taken := first[v]; taken {
			l.problem(h.place(key), "%s: %s %s is already the %s of %s (%s)", h.Name, key, v, key, other.Name, other.place(key))
			continue
		}
		first[v] = h
	}
}

// portNames are the ports of a member in the order in which conflicts are reported.
func portNames(h Host) []struct {
	name string
	port int
} {
	p := h.Server.Ports
	secure := p.Secure
	if h.TLS.Client == "off" {
		secure = 0
	}
	return []struct {
		name string
		port int
	}{{"client", p.Client}, {"secure", secure}, {"peer", p.Peer}, {"election", p.Election}, {"metrics", p.Metrics}}
}

// ownPorts refuses two uses of one port by one member.
func (l *loader) ownPorts(h Host) {
	taken := map[int]string{}
	for _, p := range portNames(h) {
		if p.port < 1 || p.port > 65535 {
			continue // off, or reported where it stands
		}
		if other := taken[p.port]; other != "" {
			l.problem(h.place("server"), "%s: server.ports.%s and server.ports.%s are both %d", h.Name, other, p.name, p.port)
		}
		taken[p.port] = p.name
	}
}

// openSecrets refuses passwords on a command line, which everybody on the host can read.
func (l *loader) openSecrets(h Host) {
	for _, flag := range h.Server.JVMFlags {
		if key, _, _ := strings.Cut(strings.TrimPrefix(flag, "-D"), "="); IsSecret(key) {
			l.problem(h.place("server"), "%s: server.jvm_flags: everybody on the host can read %s in the list of processes: put it in zoo_cfg_extra, without zookeeper. in front", h.Name, key)
		}
	}
}

// SameMachine reports whether two members are on one machine (a pseudo-cluster): both are local, or have the same address and
// ssh port, and the same way there.
func (h Host) SameMachine(o Host) bool {
	if h.Connection != o.Connection || h.Connection == Local {
		return h.Connection == o.Connection
	}
	return strings.EqualFold(h.Address, o.Address) && h.SSH.Port == o.SSH.Port && h.SSH.ProxyCommand == o.SSH.ProxyCommand &&
		h.jumpNames() == o.jumpNames()
}

// sameMachine refuses what two members on one machine cannot share.
func (l *loader) sameMachine(a, b Host) {
	if a.Address == "" || b.Address == "" || !a.SameMachine(b) {
		return
	}
	local := a.Connection == Local
	found := false
	conflict := func(key, format string, args ...any) {
		found = true
		l.problem(b.place(key), "%s: %s as %s (%s), which is on the same machine (%s)", b.Name, fmt.Sprintf(format, args...),
			a.Name, a.place(key), a.Address)
	}
	if a.Server.Ports == b.Server.Ports && a.Address == b.Address {
		l.problem(b.place("address"), "%s: address %s with the same ports is already that of %s (%s)", b.Name, b.Address,
			a.Name, a.place("address"))
		return
	}
	if !local || a.Address == b.Address {
		for _, p := range portNames(a) {
			for _, q := range portNames(b) {
				if p.port != 0 && p.port == q.port {
					conflict("server", "server.ports.%s is %d, the same port", q.name, q.port)
				}
			}
		}
	}
	for _, p := range []struct{ name, a, b string }{
		{"data", a.Server.Paths.Data, b.Server.Paths.Data},
		{"txn_log", a.Server.Paths.TxnLog, b.Server.Paths.TxnLog},
		{"config", a.Server.Paths.Config, b.Server.Paths.Config},
		{"install", a.Server.Paths.Install, b.Server.Paths.Install},
	} {
		if p.a == p.b && (p.name != "txn_log" || !found) {
			conflict("server", "server.paths.%s is %s, the same directory", p.name, p.a)
		}
	}
	ofHost := func(h Host) bool { return h.System.Service == "systemd" || h.System.Service == "openrc" }
	if a.Server.Service == b.Server.Service && !(local && !ofHost(a) && !ofHost(b)) {
		conflict("server", "server.service is %s, the same service", a.Server.Service)
	}
}

// jumpNames are the jump hosts on the way: behind different ones, one address may be two machines.
func (h Host) jumpNames() string {
	var names []string
	for _, j := range h.SSH.Jumps {
		names = append(names, j.Name)
	}
	return strings.Join(names, " ")
}

// groups completes the groups of voters, and refuses those that cannot elect.
func (l *loader) groups(inv *Inventory) {
	given := func(h Host, key string) bool { _, ok := h.places[key]; return ok }
	var grouped, weighted *Host
	for i, h := range inv.Hosts {
		for _, key := range []string{"group", "weight"} {
			if given(h, key) && h.Role == Observer {
				l.problem(h.place(key), "%s: %s: an observer has no vote", h.Name, key)
				return
			}
		}
		if given(h, "group") && grouped == nil {
			grouped = &inv.Hosts[i]
		}
		if given(h, "weight") && weighted == nil {
			weighted = &inv.Hosts[i]
		}
	}
	if grouped == nil && weighted == nil {
		return
	}
	for i := range inv.Hosts {
		switch h := &inv.Hosts[i]; {
		case h.Role != Voter:
		case grouped == nil:
			h.Group = 1
		case !given(*h, "group"):
			l.problem(h.place(""), "%s: has no group, but %s has (%s): either all voters have one, or none", h.Name, grouped.Name, grouped.place("group"))
		}
	}
	if q := QuorumOf(inv.Hosts); len(q.groups) == 0 {
		l.problem(weighted.place("weight"), "the votes of all hosts weigh 0: nobody can be elected")
	} else if q.FailuresLeft(everybody) == 0 {
		l.warn(cmp.Or(grouped, weighted).place(""), "with these groups and weights there is a voter whose failure alone ends the service")
	}
}

// voters refuses an ensemble that cannot elect, and warns of one that tolerates less than it seems to.
func (l *loader) voters(inv *Inventory) {
	if len(inv.Hosts) == 0 {
		return
	}
	n := inv.Voters()
	place := inv.Hosts[0].place("")
	switch {
	case n == 0:
		l.problem(place, "no host has the role voter: observers alone cannot elect a leader")
	case n == 1 && len(inv.Hosts) == 1:
		l.warn(place, "one voter: the ensemble survives no failure")
	case slices.ContainsFunc(inv.Hosts, func(h Host) bool { return h.Group != 0 }): // numbers alone say nothing
	case n%2 == 0:
		l.warn(place, "%d voters survive no more failures than %d would (%d): an odd number of voters is better", n, n-1, (n-1)/2)
	case n == 1:
		l.warn(place, "one voter: the ensemble survives no failure of it")
	}
}
