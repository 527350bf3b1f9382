package hostprep

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Nftables is the packet filter of a host that has neither firewalld nor ufw, or has it besides.
type Nftables struct {
	// Ruleset is what `nft -s list ruleset` says; "" where there are no rules, or where it was not looked at.
	Ruleset string
	// Config is the file that is loaded at boot, Text what is in it; "" where there is none.
	Config, Text string
	// Included is what is in the files that it includes, ours left out.
	Included string
	// Boots says that it is loaded at boot, Active that it was loaded as a service.
	Boots, Active bool
	// Runlevels are those of OpenRC in which it is loaded.
	Runlevels []string
}

// nftChain is a chain that sees packets for this host and may drop them.
type nftChain struct{ family, table, chain string }

// filters reports whether nftables is what filters packets here.
func (n Nftables) filters() bool { return n.Active || n.Boots || len(n.dropping()) > 0 }

var drops = regexp.MustCompile(`(^|\s)(drop|reject|jump|goto)(\s|$)`)

// dropping lists the chains of others that see what comes in and may refuse it. An accept in one chain is no word about the
// next: each of them has to let our packets through.
func (n Nftables) dropping() []nftChain {
	var out []nftChain
	var at nftChain
	input, may := false, false
	for line := range strings.Lines(n.Ruleset) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "table" && len(words) >= 3:
			at = nftChain{family: words[1], table: words[2]}
		case words[0] == "chain" && len(words) >= 2:
			at.chain, input, may = words[1], false, false
		case words[0] == "type" && strings.Contains(line, "hook input"):
			input = strings.HasPrefix(line[strings.Index(line, "type"):], "type filter ")
			may = strings.Contains(line, "policy drop")
		case words[0] == "}":
			if input && may && at.table != "zkctl" && slices.Contains([]string{"ip", "ip6", "inet"}, at.family) {
				out = append(out, at)
			}
			input, may = false, false
		default:
			may = may || drops.MatchString(strings.TrimSpace(line))
		}
	}
	return out
}

// others are marks of programs that put rules there and need them, by what they are called.
var others = []struct{ mark, name string }{
	{"docker", "Docker"}, {"kube-", "Kubernetes"}, {"cali", "Calico"}, {"cilium", "Cilium"}, {"libvirt", "libvirt"}, {"netavark", "Podman"},
	{"cni-", "CNI"}, {"f2b-", "fail2ban"}, {"fail2ban", "fail2ban"},
	{"xt match", "iptables"}, {"xt target", "iptables"}, {"managed by iptables-nft", "iptables"}, // nft cannot load these again
}

// foreign says what a flush would take away and the next boot would not bring back; "" where that is nothing.
func (n Nftables) foreign() string {
	rules := strings.ToLower(n.Ruleset)
	for _, o := range others {
		if strings.Contains(rules, o.mark) {
			return "rules of " + o.name
		}
	}
	tables, _ := n.declared()
	for line := range strings.Lines(n.Ruleset) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "table" {
			continue
		}
		if t := (nftChain{family: words[1], table: words[2]}); !tables[t] && words[1]+words[2] != "inetzkctl" {
			return "the table " + words[1] + " " + words[2] + ", which the configuration that is loaded at boot does not declare"
		}
	}
	return ""
}

var nftTokens = regexp.MustCompile(`"[^"]*"|#[^\n]*|[{};\n]|[^\s{};"#]+`)

// declared lists the tables that are made by what is loaded at boot, and the chains that get a hook there. What is written in
// a way that is not understood is not listed.
func (n Nftables) declared() (tables, hooked map[nftChain]bool) {
	tables, hooked = map[nftChain]bool{}, map[nftChain]bool{}
	text := strings.ReplaceAll(n.Text+"\n"+n.Included, "\\\n", " ")
	var within []nftChain // a block for each open brace: of a table, of a chain, or of neither
	var words []string
	top := func() nftChain {
		if len(within) == 0 {
			return nftChain{}
		}
		return within[len(within)-1]
	}
	// declares is the table or chain that the words before a brace, or of a statement, make.
	declares := func() nftChain {
		w := words
		if len(within) == 0 && len(w) > 0 && (w[0] == "add" || w[0] == "create") {
			w = w[1:]
		}
		if len(within) == 1 && top().table != "" && top().chain == "" && len(w) == 2 && w[0] == "chain" {
			return nftChain{top().family, top().table, w[1]}
		}
		names := map[string]int{"table": 1, "chain": 2}
		if len(within) > 0 || len(w) == 0 || names[w[0]] == 0 {
			return nftChain{}
		}
		kind := w[0]
		if w = w[1:]; len(w) == names[kind] {
			w = append([]string{"ip"}, w...)
		}
		switch {
		case len(w) != names[kind]+1:
			return nftChain{}
		case kind == "table":
			return nftChain{family: w[0], table: w[1]}
		}
		return nftChain{w[0], w[1], w[2]}
	}
	end := func() {
		if at := top(); at.chain != "" && len(words) > 0 && words[0] == "type" && slices.Contains(words, "hook") {
			hooked[at] = true
		}
		if d := declares(); d.table != "" && d.chain == "" {
			tables[d] = true
		}
		words = nil
	}
	for _, token := range nftTokens.FindAllString(text, -1) {
		switch {
		case token == "{":
			d := declares()
			end()
			within = append(within, d)
		case token == "}":
			end()
			within = within[:max(0, len(within)-1)]
		case token == ";" || token == "\n":
			end()
		case token[0] != '#':
			words = append(words, token)
		}
	}
	return tables, hooked
}

// withoutFilters is a ruleset without the tables that firewalld and ufw make, and take away when they are stopped.
func withoutFilters(ruleset string) string {
	var out strings.Builder
	for ruleset != "" {
		table := ruleset // with the remarks before it
		if end := strings.Index(ruleset, "\n}\n"); end >= 0 {
			table = ruleset[:end+len("\n}\n")]
		}
		ruleset = ruleset[len(table):]
		if !ofFilter(table) {
			out.WriteString(table)
		}
	}
	return out.String()
}

// ofFilter tells whether a table is firewalld's, or one of iptables in which all is ufw's.
func ofFilter(table string) bool {
	chain, ufw := "", false
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2 || words[0] == "#" || words[0] == "type":
		case words[0] == "table":
			if words[2] == "firewalld" {
				return true
			}
			if t := words[1] + " " + words[2]; t != "ip filter" && t != "ip6 filter" {
				return false
			}
		case words[0] == "chain":
			chain = words[1]
			ufw = ufw || strings.HasPrefix(chain, "ufw")
			if !strings.HasPrefix(chain, "ufw") && !slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT"}, chain) {
				return false
			}
		case !strings.HasPrefix(chain, "ufw") && !strings.Contains(line, "jump ufw"):
			return false
		}
	}
	return ufw
}

const (
	// disableNftables takes the rules away as the service does.
	disableNftables = `
if [ -d /run/systemd/system ]; then systemctl stop nftables.service && systemctl disable -q nftables.service
else rc-service -q nftables stop 2>/dev/null; rc-update -q -a del nftables 2>/dev/null; fi
nft flush ruleset
`
	nftablesIsOff = `
[ ! -d /run/systemd/system ] || ! systemctl -q is-enabled nftables.service 2>/dev/null || exit 1
for s in /etc/runlevels/*/nftables; do [ ! -L "$s" ] || exit 1; done
[ -z "$(nft list ruleset)" ]
`
	// enableNftables gets whether it was started at boot, whether it was active, the rules, and the runlevels.
	enableNftables = `
command -v nft >/dev/null 2>&1 || exit 0
if [ -d /run/systemd/system ]; then
	[ "$1" != true ] || systemctl enable -q nftables.service
	[ "$2" != true ] || systemctl start nftables.service
elif [ "$1" = true ]; then rc-update -q add nftables $4; rc-service -q nftables start || :
fi
printf 'flush ruleset\n%s\n' "$3" | nft -f -
`
	// staleInNft lists commands that delete the rules with our mark, $1, from the chains of others.
	staleInNft = `
stale() {
	nft -a list ruleset | awk -v mark="comment \"$1 " '
		$1 == "table" { family = $2; table = $3 }
		$1 == "chain" { chain = $2 }
		index($0, mark) && table != "zkctl" { print "delete rule", family, table, chain, "handle", $NF }'
}
`
	// loadNft gets our mark, our file, the file that is loaded at boot, our rules' comment, their number, and commands for rules
	// that are in no file. A file with which
	// the one of the host cannot be loaded is emptied: a host without any rules would be worse.
	loadNft = staleInNft + `
set -e
{ stale "$1"; cat "$2"; printf '%s' "$6"; } | nft -f -
if [ -n "$3" ] && ! nft -c -f "$3"; then
	: >"$2"
	echo "$3 cannot be loaded together with $2, which is empty now" >&2
	exit 1
fi
`
	nftIsLoaded = `[ "$(nft list ruleset | grep -cF "comment \"$4\"")" = "$5" ] && [ "$(nft list ruleset | grep -cF "comment \"$1 ")" = "$5" ]`
	// unloadNft gets our mark and our chain.
	unloadNft = staleInNft + `
stale "$1" | nft -f - || :
nft delete chain inet zkctl "$2" 2>/dev/null || { nft flush chain inet zkctl "$2" && nft delete chain inet zkctl "$2"; } || :
nft list table inet zkctl 2>/dev/null | grep -q chain || nft delete table inet zkctl 2>/dev/null || :
`
)

// nftables plans nftables: a chain in a table of our own, which keeps everybody else from the members' ports, and rules in the
// chains that would drop what has to come in. Both are in one file, which is included by what is loaded at boot.
func (p *firewallPlan) nftables(n Nftables) {
	if !n.Boots && !n.Active {
		c := n.dropping()[0]
		p.find(Warning, "let "+describe(p.wish.openings())+" through in whatever puts its rules there",
			"the chain %s of table %s %s drops packets, and nftables.service is not what put it there: left alone", c.chain, c.family, c.table)
		return
	}
	switch foreign := n.foreign(); {
	case p.wish.Policy == FirewallDisable && foreign != "":
		p.find(Warning, "set system.firewall to open-ports, or see that it lets "+describe(p.wish.openings())+" through",
			"nftables has %s, and a flush would take that away: left alone", foreign)
		return
	case p.wish.Policy == FirewallDisable:
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "nftables", Summary: "disable nftables, and drop its rules", Root: true,
			Script: disableNftables, Verify: nftablesIsOff,
			Undo: &Undo{Script: enableNftables, Args: []string{fmt.Sprint(n.Boots), fmt.Sprint(n.Active), n.Ruleset, strings.Join(n.Runlevels, " ")}},
		})
		return
	case !p.wish.Policy.Opens():
		p.leftAlone("nftables")
		return
	}
	if !n.Boots {
		p.find(Warning, "systemctl enable nftables.service", "nftables.service is active, but nothing loads its rules at boot")
	}
	var booted, passing []nftChain
	var names []string
	_, hooked := n.declared()
	for _, c := range n.dropping() {
		if hooked[c] {
			booted = append(booted, c)
		} else {
			passing = append(passing, c)
			names = append(names, c.family+" "+c.table+" "+c.chain)
		}
	}
	if names != nil {
		p.find(Warning, "let "+describe(p.wish.openings())+" through in whatever makes them, or run apply after a reboot",
			"chains that drop packets and are not declared by what nftables loads at boot: %s; rules in them are gone after a reboot", strings.Join(names, ", "))
	}
	content, inserted, comment, rules := p.wish.inNft(booted, passing)
	mark := p.wish.mark()
	dir, included := n.dropIns()
	file := path.Join(dir, "zkctl-"+p.wish.Ensemble+".nft")
	pending := strings.Count(n.Ruleset, `comment "`+comment+`"`) != rules || strings.Count(n.Ruleset, `comment "`+mark+" ") != rules
	before, exists := p.Contents[file]
	if !exists || string(before) != content {
		pending = true
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: dir, Summary: "see that " + dir + " is there", Root: true, Saves: []string{dir}, Args: []string{dir},
			Script: `[ -d "$1" ] || mkdir -p -m 755 -- "$1"`,
		}, Change{
			Kind: WriteFile, Target: file, Summary: "write the rules that open " + describe(p.wish.openings()), Root: true,
			Before: before, After: []byte(content), Mode: 0o644, Owner: "root", Group: "root",
		})
	}
	if include := fmt.Sprintf("include %q", file); n.Config != "" && !included && !slices.Contains(strings.Split(n.Text, "\n"), include) {
		pending = true
		p.changes = append(p.changes, Change{
			Kind: WriteFile, Target: n.Config, Summary: "include " + file + " in " + n.Config, Root: true, InPlace: true, Merged: true,
			Before: []byte(n.Text), After: []byte(n.Text + missingEnd(n.Text, "\n") + include + "\n"), Mode: 0o644, Owner: "root", Group: "root",
		})
	}
	if n.Config == "" {
		p.find(Warning, "include "+file+" in what is loaded at boot", "no file is known that nftables loads at boot")
	}
	if pending {
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "nftables", Summary: "load " + file, Root: true, Script: loadNft, Verify: nftIsLoaded,
			Args: []string{mark, file, n.Config, comment, fmt.Sprint(rules), inserted},
			Undo: &Undo{Script: unloadNft, Args: []string{mark, p.wish.nftChain()}},
		})
	}
}

var includes = regexp.MustCompile(`(?m)^\s*include\s+"(/[^"*]*)/\*\.nft"`)

// dropIns is the directory for files of our kind, and whether what is loaded at boot includes all that are there.
func (n Nftables) dropIns() (dir string, included bool) {
	for _, m := range includes.FindAllStringSubmatch(n.Text, -1) {
		if strings.HasPrefix(m[1], "/etc/") {
			return m[1], true
		}
	}
	return "/etc/nftables.d", false
}

// nftChain is the name of our chain in the table inet zkctl.
func (w FirewallWish) nftChain() string { return "members-of-" + w.Ensemble }

// inNft is our file for nft: its content, the comment that all its rules have, and the number of these. It has rules in the
// chains that are there after a boot, booted. Those in the chains passing are commands by themselves, now: were they in the
// file, it would make these chains at the next boot, without a hook, and who comes to make them with one would fail.
func (w FirewallWish) inNft(booted, passing []nftChain) (content, now, comment string, rules int) {
	const placeholder = "\x00"
	var own, inFile, inserted strings.Builder
	all := w.openings()
	set := func(items []string) string { return "{ " + strings.Join(items, ", ") + " }" }
	ports := func(list []int) string { return "tcp dport " + set(strings.Split(words(list), ", ")) + " " }
	// matches are what an opening lets in, by family of addresses.
	matches := func(o opening) map[string]string {
		m := map[string]string{}
		if o.from == nil {
			m[""] = ""
		}
		for _, n := range networks(o.from) {
			m[family(n)] += n + " "
		}
		for f, list := range m {
			rule := ""
			if f != "" {
				rule = map[string]string{"ipv4": "ip", "ipv6": "ip6"}[f] + " saddr " + set(strings.Fields(list)) + " "
			}
			if o.ports != nil {
				rule += ports(o.ports)
			}
			m[f] = rule
		}
		return m
	}
	families := []string{"", "ipv4", "ipv6"}
	put := func(b *strings.Builder, format string, args ...any) {
		fmt.Fprintf(b, format+"comment %q\n", append(args, placeholder)...)
		rules++
	}
	put(&own, "\t\tiif \"lo\" accept ")
	for _, o := range all {
		m := matches(o)
		for _, f := range families {
			if m[f] != "" {
				put(&own, "\t\t%saccept ", m[f])
			}
		}
	}
	kept := slices.Clone(w.MemberPorts)
	if w.Clients != nil {
		kept = append(kept, w.ClientPorts...)
	}
	put(&own, "\t\t%sdrop ", ports(kept))
	insert := func(b *strings.Builder, c nftChain) {
		for _, o := range all {
			m := matches(o)
			for _, f := range families {
				if m[f] != "" && (f == "" || c.family == "inet" || c.family == map[string]string{"ipv4": "ip", "ipv6": "ip6"}[f]) {
					put(b, "insert rule %s %s %s %saccept ", c.family, c.table, c.chain, m[f])
				}
			}
		}
	}
	for _, c := range booted {
		fmt.Fprintf(&inFile, "add table %s %s\nadd chain %[1]s %[2]s %s\n", c.family, c.table, c.chain)
		insert(&inFile, c)
	}
	for _, c := range passing {
		insert(&inserted, c)
	}
	head := "\tchain " + w.nftChain() + " {\n\t\ttype filter hook input priority -10; policy accept;\n"
	content = "# Written by zkctl for the ensemble " + w.Ensemble + ": the members' ports are for the members.\ntable inet zkctl {\n" + head + "\t}\n}\n" +
		"flush chain inet zkctl " + w.nftChain() + "\ntable inet zkctl {\n" + head + own.String() + "\t}\n}\n" + inFile.String()
	comment = w.mark() + " " + hexSum([]byte(content))[:12]
	marked := strings.NewReplacer(fmt.Sprintf("%q", placeholder), `"`+comment+`"`)
	return marked.Replace(content), marked.Replace(inserted.String()), comment, rules
}
