package hostprep

import (
	"fmt"
	"slices"
	"strings"
)

// The scripts for ufw get the comment of our rules, then rules as they stand after `ufw allow`.
const (
	allowInUFW = `
set -e
mark=$1; shift
for r; do ufw allow $r comment "$mark" >/dev/null; done
`
	// ufw show added is what the user has added, whether or not ufw runs.
	ufwAllows = `
mark=$1; shift
has=$(ufw show added)
for r; do printf '%s\n' "$has" | grep -qFx -- "ufw allow $r comment '$mark'" || exit 1; done
`
	deleteInUFW = `
shift
for r; do ufw --force delete allow $r >/dev/null || :; done
`
	ufwAllowsNot = `
mark=$1; shift
has=$(ufw show added)
for r; do ! printf '%s\n' "$has" | grep -qFx -- "ufw allow $r comment '$mark'" || exit 1; done
`
)

// ufwRules are the files in which ufw keeps what users add.
var ufwRules = []string{"/etc/ufw/user.rules", "/etc/ufw/user6.rules"}

// ufw plans ufw, which is active.
func (p *firewallPlan) ufw() {
	switch {
	case p.wish.Policy == FirewallDisable:
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "ufw", Summary: "disable ufw", Root: true, Saves: []string{"/etc/ufw/ufw.conf"}, Shared: true,
			Script: `ufw --force disable`, Verify: `ufw status | grep -q 'Status: inactive'`,
			Undo: &Undo{Script: `! command -v ufw >/dev/null 2>&1 || ufw --force enable`},
		})
		return
	case !p.wish.Policy.Opens():
		p.leftAlone("ufw")
		return
	}
	comment := " comment '" + p.wish.mark() + "'"
	var wanted, missing, stale []string
	var opened []opening
	for _, o := range p.wish.openings() {
		rules := o.inUFW()
		wanted = append(wanted, rules...)
		lacks := slices.DeleteFunc(rules, func(r string) bool { return slices.Contains(p.Firewall.UFWRules, "ufw allow "+r+comment) })
		if len(lacks) > 0 {
			missing = append(missing, lacks...)
			opened = append(opened, o)
		}
	}
	for _, line := range p.Firewall.UFWRules {
		rule, ours := strings.CutSuffix(line, comment)
		if rule, allows := strings.CutPrefix(rule, "ufw allow "); ours && allows && !slices.Contains(wanted, rule) {
			stale = append(stale, rule)
		}
	}
	if missing != nil {
		args := append([]string{p.wish.mark()}, missing...)
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "ufw", Summary: "open " + describe(opened) + " in ufw", Root: true, Saves: ufwRules, Shared: true,
			Args: args, Script: allowInUFW, Verify: ufwAllows, Undo: &Undo{Script: deleteInUFW, Args: args},
		})
	}
	if stale != nil {
		p.changes = append(p.changes, Change{
			Kind: RunScript, Target: "ufw", Summary: fmt.Sprintf("take %d rules of earlier members or ports out of ufw", len(stale)), Root: true,
			Saves: ufwRules, Shared: true, Args: append([]string{p.wish.mark()}, stale...), Script: deleteInUFW, Verify: ufwAllowsNot,
		})
	}
}

// inUFW is the opening as rules after `ufw allow`, in the words in which `ufw show added` repeats them.
func (o opening) inUFW() []string {
	var list []string
	for _, p := range o.ports {
		list = append(list, fmt.Sprint(p))
	}
	ports := strings.Join(list, ",")
	if o.from == nil {
		return []string{ports + "/tcp"}
	}
	var out []string
	for _, n := range networks(o.from) {
		if o.ports == nil {
			out = append(out, "from "+n)
		} else {
			out = append(out, "from "+n+" to any port "+ports+" proto tcp")
		}
	}
	return out
}
