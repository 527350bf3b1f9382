package provision

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/inventory"
)

// votersMayChange decides whether running members may be given the voters of the inventory by rolling restarts. While they
// go round, some members count by the old voters and some by the new ones; any quorum of these and any of those must
// have a member in common, or both could elect.
func votersMayChange(members []member, inv *inventory.Inventory) error {
	wanted := inventory.QuorumOf(inv.Hosts)
	for _, m := range members {
		if !m.running || m.started == nil {
			continue
		}
		had := quorumIn(m.started)
		if len(had.Voters()) == 0 || had.Meets(wanted) {
			continue
		}
		if !had.Simple() || !wanted.Simple() {
			return &RefusedError{m.Host.Name, "voters, groups or weights change by too much at once: a quorum by those that there are and one by those that are wanted " +
				"need not have a member in common", "change one voter, or one weight, at a time: zkctl apply after each; where no such steps lead there, zkctl stop while all members serve and nobody writes, then zkctl apply"}
		}
		var joins, leaves []string
		for _, h := range inv.Hosts {
			if h.Role == inventory.Voter && !slices.Contains(had.Voters(), h.ID) {
				joins = append(joins, h.Name)
			}
		}
		for _, id := range had.Voters() {
			if !slices.Contains(wanted.Voters(), id) {
				leaves = append(leaves, fmt.Sprintf("server %d", id))
			}
		}
		slices.Sort(joins)
		var parts []string
		if len(joins) > 0 {
			parts = append(parts, strings.Join(joins, ", ")+" to join")
		}
		if len(leaves) > 0 {
			parts = append(parts, strings.Join(leaves, ", ")+" to leave")
		}
		return &RefusedError{m.Host.Name, fmt.Sprintf(
			"the voters change by too much at once: %s; a majority of the %d that there are (%d) and one of the %d that are wanted (%d) "+
				"need not have a member in common", strings.Join(parts, ", "), len(had.Voters()), had.Needed(), len(wanted.Voters()), wanted.Needed()),
			"change one voter at a time: one host in the inventory, zkctl apply, then the next one"}
	}
	return nil
}

// retired are the servers that running members know and that are not in the inventory any more, by id.
func (r *Run) retired(members []member, ids identities) []string {
	gone := map[int]bool{}
	for _, m := range members {
		if m.running {
			for key := range settingsIn(m.started) {
				number, isServer := strings.CutPrefix(key, "server.")
				if id, err := strconv.Atoi(number); isServer && err == nil {
					gone[id] = true
				}
			}
		}
	}
	for _, h := range r.Inventory.Hosts {
		delete(gone, h.ID)
	}
	var names []string
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		name := fmt.Sprintf("server %d", id)
		if was := ids.roster[id]; was != "" {
			name = fmt.Sprintf("%s (%s)", was, name)
		}
		names = append(names, name)
	}
	return names
}

// quorumIn is that of the participants in a zoo.cfg.
func quorumIn(zooCfg []byte) inventory.Quorum {
	groups, weights, of := map[int]int{}, map[int]int{}, map[int]int{}
	for line := range strings.Lines(string(zooCfg)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		kind, number, _ := strings.Cut(strings.TrimSpace(key), ".")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		value = strings.TrimSpace(value)
		switch kind {
		case "server":
			address, _, _ := strings.Cut(value, ";")
			if !strings.HasSuffix(strings.TrimSpace(address), ":observer") {
				groups[n] = 0
			}
		case "group":
			for id := range strings.SplitSeq(value, ":") {
				if id, err := strconv.Atoi(strings.TrimSpace(id)); err == nil {
					of[id] = n
				}
			}
		case "weight":
			if weight, err := strconv.Atoi(value); err == nil {
				weights[n] = weight
			}
		}
	}
	for id := range groups {
		groups[id] = of[id]
	}
	return inventory.NewQuorum(groups, weights)
}
