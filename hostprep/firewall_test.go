package hostprep

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	out := []netip.Prefix{}
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// wish is that of the host 10.0.0.1 of three.
func wish(policy FirewallPolicy) FirewallWish {
	return FirewallWish{
		Policy: policy, Ensemble: "lab", ClientPorts: []int{2181}, MemberPorts: []int{2888, 3888}, Record: "/var/lib/zkctl/lab/firewall",
		Members: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::3")},
	}
}

// debianRules is what Debian's /etc/nftables.conf looks like once somebody has filled it in; the chain output drops nothing
// that comes in, and Docker's forward chain is none of ours.
const debianRules = `table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		tcp dport 22 accept
	}

	chain output {
		type filter hook output priority filter; policy drop;
		accept
	}
}
table ip mangle {
	chain INPUT {
		type filter hook input priority mangle; policy accept;
		meta mark set 0x1
	}
}
`

func TestPlanFirewall(t *testing.T) {
	active := Unit{Loaded: true, Active: "active", Enabled: "enabled"}
	rich := func(address, rest string) string {
		return `rule family="` + family(address) + `" source address="` + address + `" ` + rest
	}
	port := func(p string) string { return `port port="` + p + `" protocol="tcp" accept` }
	done := []string{rich("10.0.0.2", port("2888")), rich("10.0.0.2", port("3888")), rich("fd00::3", port("2888")), rich("fd00::3", port("3888"))}
	zone := func(z Zone) Firewall { return Firewall{Firewalld: active, Zones: []Zone{z}} }
	ufw := func(rules ...string) Firewall { return Firewall{UFW: "Status: active", UFWRules: rules} }
	open := ` comment 'zkctl lab'`
	nft := func(rules string) Firewall {
		return Firewall{Nft: Nftables{Ruleset: rules, Config: "/etc/nftables.conf", Text: "flush ruleset\n" + debianRules, Boots: true, Active: true}}
	}
	besides := func(fw Firewall, rules string) Firewall {
		fw.Nft = nft(rules + debianRules).Nft
		return fw
	}
	const firewalldRules = "table inet firewalld {\n\tchain filter_INPUT {\n\t\ttype filter hook input priority filter + 10; policy accept;\n\t\treject with icmpx admin-prohibited\n\t}\n}\n"
	const ufwRules = "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n\tchain ufw-user-input {\n\t\ttcp dport 22 # xt_tcp\n\t}\n" +
		"\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tcounter jump ufw-user-input\n\t}\n}\n"
	const f2b = "table inet f2b-table {\n\tchain f2b-chain {\n\t\ttype filter hook input priority filter - 1; policy accept;\n\t\ttcp dport 22 reject\n\t}\n}\n"
	some := func(clients ...string) func(*FirewallWish) {
		return func(w *FirewallWish) { w.Clients = prefixes(clients...) }
	}
	for _, c := range []struct {
		name   string
		fw     Firewall
		policy FirewallPolicy
		but    func(*FirewallWish)
		want   string // summaries
		note   string // in the findings
	}{
		{"nothing there", Firewall{}, FirewallDisable, nil, "", "neither firewalld nor ufw nor nftables is active: nothing to do"},
		{"nothing there, open", Firewall{}, FirewallOpenPorts, nil, "", "nothing to do"},
		{"iptables", Firewall{}, FirewallOpenPorts, func(w *FirewallWish) { w.Ensemble = "iptables" }, "", "iptables.service is active, and left alone"},

		{"firewalld: disable", Firewall{Firewalld: active}, FirewallDisable, nil, "stop and disable firewalld", ""},
		{"firewalld: stopped but enabled", Firewall{Firewalld: Unit{Loaded: true, Active: "inactive", Enabled: "enabled"}}, FirewallDisable, nil, "stop and disable firewalld", ""},
		{"firewalld: masked", Firewall{Firewalld: Unit{Masked: true, Active: "inactive"}}, FirewallDisable, nil, "", "masked"},
		{"firewalld: off already", Firewall{Firewalld: Unit{Loaded: true, Active: "inactive", Enabled: "disabled"}}, FirewallDisable, nil, "", "stopped and disabled"},
		{"firewalld: leave", Firewall{Firewalld: active}, FirewallLeave, nil, "", "firewalld is active and left alone"},
		{"firewalld: open ports", zone(Zone{Name: "public"}), FirewallOpenPorts, nil,
			"open TCP ports 2181 for everybody; TCP ports 2888, 3888 for 10.0.0.2, fd00::3 in firewalld, zone public", ""},
		{"firewalld: open already", zone(Zone{Name: "public", Open: []string{"2000-2200/tcp"}, Permanent: []string{"2181/tcp"}, Rich: done, PermanentRich: done}),
			FirewallOpenPorts, nil, "", ""},
		{"firewalld: only until a reload", zone(Zone{Name: "public", Open: []string{"2181/tcp"}, Permanent: []string{"2181/tcp"}, Rich: done, PermanentRich: done[1:]}),
			FirewallOpenPorts, nil, "open TCP ports 2888, 3888 for 10.0.0.2, fd00::3 in firewalld, zone public", ""},
		{"firewalld: everything is let in", zone(Zone{Name: "trusted", Target: "ACCEPT"}), FirewallOpenPorts, nil, "take 2 rules of earlier members or ports out of firewalld, zone public", ""},
		{"firewalld: members' ports for everybody", zone(Zone{Name: "public", Open: []string{"2181/tcp", "2888/tcp"}, Permanent: []string{"2181/tcp"}, Rich: done, PermanentRich: done}),
			FirewallOpenPorts, nil, "", "zone public has 2888/tcp open for everybody"},
		{"firewalld: clients from some networks", zone(Zone{Name: "public", Rich: done, PermanentRich: done}), FirewallOpenPorts, some("192.0.2.0/24"),
			"open TCP ports 2181 for 10.0.0.2, 192.0.2.0/24, fd00::3 in firewalld, zone public", ""},
		{"firewalld: trust", zone(Zone{Name: "public"}), FirewallTrustPeers, nil,
			"open TCP ports 2181 for everybody; everything for 10.0.0.2, fd00::3 in firewalld, zone public", ""},
		{"firewalld: stopped", Firewall{Firewalld: Unit{Loaded: true, Active: "inactive", Enabled: "enabled"}}, FirewallTrustPeers, nil, "", "will start at the next boot"},
		{"firewalld: a member left", zone(Zone{Name: "public", Open: []string{"2181/tcp"}, Permanent: []string{"2181/tcp"}, Rich: done, PermanentRich: done}),
			FirewallOpenPorts, func(w *FirewallWish) { w.Members = w.Members[:1] }, "take 2 rules of earlier members or ports out of firewalld, zone public", ""},
		{"firewalld: a member without an address", zone(Zone{Name: "public"}), FirewallOpenPorts, func(w *FirewallWish) { w.Unknown = []string{"b (b.example)"} }, "",
			"firewalld has to let b (b.example) in"},

		{"ufw: disable", ufw(), FirewallDisable, nil, "disable ufw", ""},
		{"ufw: inactive", Firewall{UFW: "Status: inactive"}, FirewallDisable, nil, "", "nothing to do"},
		{"ufw: leave", ufw(), FirewallLeave, nil, "", "ufw is active and left alone"},
		{"ufw: open ports", ufw("ufw allow 22/tcp"), FirewallOpenPorts, nil,
			"open TCP ports 2181 for everybody; TCP ports 2888, 3888 for 10.0.0.2, fd00::3 in ufw", ""},
		{"ufw: open already", ufw("ufw allow 2181/tcp"+open, "ufw allow from 10.0.0.2 to any port 2888,3888 proto tcp"+open, "ufw allow from fd00::3 to any port 2888,3888 proto tcp"+open),
			FirewallOpenPorts, nil, "", ""},
		{"ufw: from ports to trust", ufw("ufw allow 2181/tcp"+open, "ufw allow from 10.0.0.2 to any port 2888,3888 proto tcp"+open, "ufw allow from 10.0.0.9 comment 'mine'"),
			FirewallTrustPeers, nil, "open everything for 10.0.0.2, fd00::3 in ufw; take 1 rules of earlier members or ports out of ufw", ""},
		{"ufw: no clients", ufw(), FirewallTrustPeers, some(), "open TCP ports 2181 for 10.0.0.2, fd00::3; everything for 10.0.0.2, fd00::3 in ufw", ""},

		{"nftables: disable", nft(debianRules), FirewallDisable, nil, "disable nftables, and drop its rules", ""},
		{"nftables: disable beside Docker", nft(debianRules + "table ip nat {\n\tchain DOCKER {\n\t}\n}\n"), FirewallDisable, nil, "", "rules of Docker"},
		{"nftables: disable beside docker-bridges", nft(debianRules + "table ip docker-bridges {\n}\n"), FirewallDisable, nil, "", "rules of Docker"},
		{"nftables: disable beside kube-proxy", nft(debianRules + "table ip kube-proxy {\n}\n"), FirewallDisable, nil, "", "rules of Kubernetes"},
		{"nftables: disable beside fail2ban", nft(debianRules + f2b), FirewallDisable, nil, "", "rules of fail2ban"},
		{"nftables: disable beside iptables", nft(debianRules + "# Warning: table ip mangle is managed by iptables-nft, do not touch!\n"), FirewallDisable, nil, "", "rules of iptables"},
		{"nftables: disable beside a table of somebody", nft(debianRules + "table ip6 filter {\n}\n"), FirewallDisable, nil, "", "the table ip6 filter, which the configuration"},
		{"nftables: disable beside our table", nft(debianRules + "table inet zkctl {\n}\n"), FirewallDisable, nil, "disable nftables, and drop its rules", ""},
		{"nftables: disable, no configuration", Firewall{Nft: Nftables{Ruleset: debianRules, Active: true}}, FirewallDisable, nil, "", "the table inet filter"},
		{"nftables: leave", nft(debianRules), FirewallLeave, nil, "", "nftables is active and left alone"},
		{"nftables: open ports", nft(debianRules), FirewallOpenPorts, nil, "see that /etc/nftables.d is there; " +
			"write the rules that open TCP ports 2181 for everybody; TCP ports 2888, 3888 for 10.0.0.2, fd00::3; " +
			"include /etc/nftables.d/zkctl-lab.nft in /etc/nftables.conf; load /etc/nftables.d/zkctl-lab.nft", ""},
		{"nftables: open ports beside fail2ban", nft(debianRules + f2b), FirewallOpenPorts, nil, "see that /etc/nftables.d is there; " +
			"write the rules that open TCP ports 2181 for everybody; TCP ports 2888, 3888 for 10.0.0.2, fd00::3; " +
			"include /etc/nftables.d/zkctl-lab.nft in /etc/nftables.conf; load /etc/nftables.d/zkctl-lab.nft",
			"not declared by what nftables loads at boot: inet f2b-table f2b-chain; rules in them are gone after a reboot"},
		{"nftables: drops by somebody else", Firewall{Nft: Nftables{Ruleset: debianRules}}, FirewallOpenPorts, nil, "",
			"the chain input of table inet filter drops packets, and nftables.service is not what put it there"},
		{"nftables: drops nothing, and starts at no boot", Firewall{Nft: Nftables{Ruleset: "table ip x {\n\tchain c {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n"}},
			FirewallOpenPorts, nil, "", "nothing to do"},

		{"two filters: disable", Firewall{Firewalld: active, UFW: "Status: active"}, FirewallDisable, nil, "stop and disable firewalld; disable ufw", ""},
		{"firewalld and nftables: disable", besides(Firewall{Firewalld: active}, firewalldRules), FirewallDisable, nil,
			"stop and disable firewalld; disable nftables, and drop its rules", ""},
		{"firewalld, stopped but enabled, and nftables: disable", besides(Firewall{Firewalld: Unit{Loaded: true, Enabled: "enabled"}}, ""), FirewallDisable, nil,
			"stop and disable firewalld; disable nftables, and drop its rules", ""},
		{"ufw and nftables: disable", besides(ufw(), ufwRules), FirewallDisable, nil, "disable ufw; disable nftables, and drop its rules", ""},
		{"ufw and nftables: disable beside iptables", besides(ufw(), ufwRules+strings.ReplaceAll(ufwRules, "ufw-user", "own")), FirewallDisable, nil, "disable ufw", "rules of iptables"},
		{"firewalld and nftables: disable beside Docker", besides(Firewall{Firewalld: active}, firewalldRules+"table ip nat {\n\tchain DOCKER {\n\t}\n}\n"), FirewallDisable, nil,
			"stop and disable firewalld", "rules of Docker"},
		{"firewalld and nftables: leave", besides(Firewall{Firewalld: active}, firewalldRules), FirewallLeave, nil, "", "firewalld is active and left alone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := wish(c.policy)
			if c.but != nil {
				c.but(&w)
			}
			f := &Facts{Host: "h", Firewall: c.fw, Units: map[string]Unit{}, Contents: map[string][]byte{
				w.Record: []byte("public rich-rule=" + done[2] + "\npublic rich-rule=" + done[3] + "\npublic rich-rule=" + done[3] + "\n")}}
			if c.policy == FirewallTrustPeers || w.Clients != nil {
				delete(f.Contents, w.Record)
			}
			if w.Ensemble == "iptables" {
				f.Units["iptables.service"] = active
			}
			changes, findings := PlanFirewall(f, w)
			if got := summaries(changes); got != c.want {
				t.Errorf("changes: %q\nwant     %q", got, c.want)
			}
			var text string
			for _, f := range findings {
				text += f.String() + "\n"
				if f.Severity != Note && f.Remedy == "" {
					t.Errorf("no remedy: %v", f)
				}
			}
			if !strings.Contains(text, c.note) || c.note == "" && text != "" {
				t.Errorf("findings: %q", text)
			}
		})
	}
}

// What is given back with nftables is without what its neighbour gives back itself.
func TestNeighboursOfNftables(t *testing.T) {
	const own = "table inet firewalld {\n\tchain x {\n\t}\n}\n"
	f := &Facts{Host: "h", Firewall: Firewall{
		Firewalld: Unit{Loaded: true, Active: "active", Enabled: "enabled"},
		Nft:       Nftables{Ruleset: own + strings.TrimSpace(debianRules), Text: debianRules, Boots: true},
	}}
	changes, _ := PlanFirewall(f, wish(FirewallDisable))
	if len(changes) != 2 || changes[1].Undo == nil || changes[1].Undo.Args[2] != strings.TrimSpace(debianRules) {
		t.Errorf("%+v", changes)
	}
}

func TestNftablesDropping(t *testing.T) {
	for rules, want := range map[string]string{
		debianRules: "inet filter input",
		"table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tcounter packets 1 bytes 2 jump ufw\n\t}\n}\n": "ip filter INPUT",
		"table inet zkctl {\n\tchain members-of-lab {\n\t\ttype filter hook input priority filter - 10; policy accept;\n\t\ttcp dport 2888 drop\n\t}\n}\n": "",
		"table inet f {\n\tset drop {\n\t\ttype ipv4_addr\n\t}\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n":          "",
		"table netdev f {\n\tchain input {\n\t\ttype filter hook ingress device eth0 priority 0; policy drop;\n\t}\n}\n":                                   "",
	} {
		var got []string
		for _, c := range (Nftables{Ruleset: rules}).dropping() {
			got = append(got, c.family+" "+c.table+" "+c.chain)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %q of\n%s", got, want, rules)
		}
	}
}

func TestNftablesDeclared(t *testing.T) {
	for text, want := range map[string][2]string{
		debianRules: {"inet filter, ip mangle", "inet filter input, inet filter output, ip mangle INPUT"},
		"# table ip a\ntable a { chain in { type filter hook input priority 0; tcp dport { 22, 80 } accept; } } # }\n":     {"ip a", "ip a in"},
		"add table inet b\nadd chain inet b c { type filter hook input priority 0 ; policy drop ; }\nadd chain inet b d\n": {"inet b", "inet b c"},
		"table inet b\ndelete table inet old\nflush table ip older\ntable inet b {\n\tchain c {\n\t\tct state vmap { new : jump d,\n\t\t\tinvalid : drop }\n\t}\n" +
			"\tset type {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\tchain d { comment \"a } { hook\"; type filter \\\n hook input priority 0; }\n}\n": {"inet b", "inet b d"},
		"define t = x\ntable inet $t {\n}\n}\n}\n": {"inet $t", ""},
	} {
		tables, hooked := (Nftables{Text: "flush ruleset\n", Included: text}).declared()
		list := func(m map[nftChain]bool) string {
			var out []string
			for c := range m {
				out = append(out, strings.TrimSpace(c.family+" "+c.table+" "+c.chain))
			}
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		if got := [2]string{list(tables), list(hooked)}; got != want {
			t.Errorf("got %q, want %q of\n%s", got, want, text)
		}
	}
}
