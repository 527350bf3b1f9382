package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/inventory"
)

// votersMayChange decides whether running members may be given the voters of the inventory by rolling restarts. While they
// go round, some members count by the old voters and some by the new ones; any majority of these and any of those must
// have a member in common, or both could elect.
func votersMayChange(members []member, inv *inventory.Inventory) error {
	wanted := map[string]string{} // id to name
	for _, h := range inv.Hosts {
		if h.Role == inventory.Voter {
			wanted[fmt.Sprint(h.ID)] = h.Name
		}
	}
	for _, m := range members {
		if !m.running || m.started == nil {
			continue
		}
		had := votersIn(m.started)
		if len(had) == 0 {
			continue
		}
		var joins, leaves []string
		for id, name := range wanted {
			if !slices.Contains(had, id) {
				joins = append(joins, name)
			}
		}
		for _, id := range had {
			if wanted[id] == "" {
				leaves = append(leaves, "server "+id)
			}
		}
		all := len(had) + len(joins)
		if len(had)/2+1+len(wanted)/2+1 > all {
			continue
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
				"need not have a member in common", strings.Join(parts, ", "), len(had), len(had)/2+1, len(wanted), len(wanted)/2+1),
			"change one voter at a time: one host in the inventory, zkctl apply, then the next one"}
	}
	return nil
}

// votersIn are the ids of the participants in a zoo.cfg.
func votersIn(zooCfg []byte) []string {
	var ids []string
	for line := range strings.Lines(string(zooCfg)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		id, isServer := strings.CutPrefix(strings.TrimSpace(key), "server.")
		if !ok || !isServer {
			continue
		}
		address, _, _ := strings.Cut(value, ";")
		if !strings.HasSuffix(strings.TrimSpace(address), ":observer") && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
