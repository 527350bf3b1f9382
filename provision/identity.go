package provision

import (
	"crypto/rand"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/templates"
)

// Identity says whose data a directory holds. The same lines stand in the stamp, which moves with the data, in that of the txn
// logs where they have a directory of their own, and in a file beside zoo.cfg, which stays: the server starts only where all
// agree.
type Identity struct {
	Ensemble   string
	EnsembleID string
	Server     int
}

// unchosen stands for an ensemble's id in plans that come before it is chosen.
const unchosen = "00000000-0000-4000-8000-000000000000"

// Marshal is the content of the file.
func (i Identity) Marshal() []byte {
	return fmt.Appendf(nil, `# Written by zkctl: the data in this directory, or the one that zoo.cfg beside this file names, belongs to
# one server of one ensemble. A server that finds another's refuses to start.
ensemble=%s
ensemble.id=%s
server=%d
`, i.Ensemble, i.EnsembleID, i.Server)
}

// parseIdentity reads what Marshal wrote; ok is false for anything else.
func parseIdentity(text []byte) (i Identity, ok bool) {
	values := settingsIn(text)
	server, err := strconv.Atoi(values["server"])
	i = Identity{values["ensemble"], values["ensemble.id"], server}
	return i, err == nil && i.EnsembleID != ""
}

// newEnsembleID makes a random id in the form of RFC 9562, version 4.
func newEnsembleID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// roster are the server ids that an ensemble has given out, with the names that had them, also of members that have left.
type roster map[int]string

// marshal is the content of the file, by id.
func (r roster) marshal() []byte {
	var b strings.Builder
	b.WriteString("# Written by zkctl: every server id that this ensemble has given out, and to whom.\n")
	for _, id := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%d=%s\n", id, r[id])
	}
	return []byte(b.String())
}

func parseRoster(text []byte) roster {
	r := roster{}
	for key, name := range settingsIn(text) {
		if id, err := strconv.Atoi(key); err == nil {
			r[id] = name
		}
	}
	return r
}

func (r *Run) rosterFile(h inventory.Host) string { return path.Join(r.stateDir(h), "members") }

// identities are what all hosts say about who is who.
type identities struct {
	// ensembleID is the ensemble's, unchosen where none was chosen yet.
	ensembleID string
	// fresh says that it was chosen just now.
	fresh  bool
	roster roster
}

// identify finds out the ensemble's id from what the hosts say: most of them are right.
func (r *Run) identify(members []member) identities {
	ids := identities{ensembleID: unchosen, roster: roster{}}
	votes := map[string]int{}
	for _, m := range members {
		said := map[string]bool{}
		for _, file := range []string{m.Identity(), m.Stamp()} {
			if i, ok := parseIdentity(m.facts.Contents[file]); ok && i.Ensemble == r.Inventory.Name {
				said[i.EnsembleID] = true
			}
		}
		for id := range said {
			votes[id]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(votes)) {
		if ids.ensembleID == unchosen || votes[id] > votes[ids.ensembleID] {
			ids.ensembleID = id
		}
	}
	for _, m := range members {
		for id, name := range parseRoster(m.facts.Contents[r.rosterFile(m.Host)]) {
			if ids.roster[id] == "" {
				ids.roster[id] = name
			}
		}
	}
	return ids
}

// checkIdentities says which members' data is not their own, and which ids were somebody else's.
func (r *Run) checkIdentities(members []member, ids identities) []hostprep.Finding {
	var out []hostprep.Finding
	bad := func(m member, remedy, format string, args ...any) {
		out = append(out, hostprep.Finding{Host: m.Host.Name, Check: "data", Severity: hostprep.Error, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	for _, m := range members {
		for _, file := range m.Stamps() {
			if text, remedy := r.checkStamp(m, file, ids); text != "" {
				bad(m, remedy, "%s", text)
			}
		}
		stamp, stamped := parseIdentity(m.facts.Contents[m.Stamp()])
		if was := ids.roster[m.Host.ID]; was != "" && was != m.Host.Name && !(stamped && stamp.Server == m.Host.ID) && !r.ReuseIDs {
			free := 1
			for ids.roster[free] != "" || nameOfID(r.Inventory, ids, free) != "" {
				free++
			}
			bad(m, fmt.Sprintf("give it another id (%d is free), or say --reuse-ids if nothing is left of %s", free, was),
				"server id %d was %s's: its data or its votes may still be around", m.Host.ID, was)
		}
		for id, name := range ids.roster {
			if name == m.Host.Name && id != m.Host.ID && !stamped && !r.ReuseIDs {
				bad(m, fmt.Sprintf("give it id %d again; an id must never change", id), "%s was server %d, the inventory says %d", name, id, m.Host.ID)
			}
		}
	}
	return out
}

// checkStamp says what is wrong with the directory of a stamp, and what to do; "" where it is the member's own, or free.
func (r *Run) checkStamp(m member, file string, ids identities) (text, remedy string) {
	const move = "mount the member's own disk, or move that directory's content away and say --adopt-data: an empty member gets its data from the leader"
	dir := path.Dir(file)
	stamp, stamped := parseIdentity(m.facts.Contents[file])
	switch {
	case stamped && stamp.Ensemble != r.Inventory.Name:
		return fmt.Sprintf("%s belongs to server %d of the ensemble %s", dir, stamp.Server, stamp.Ensemble), move
	case stamped && stamp.EnsembleID != ids.ensembleID:
		return fmt.Sprintf("%s belongs to an ensemble of the same name with another past: its id is %s, the others have %s", dir, stamp.EnsembleID, ids.ensembleID), move
	case stamped && stamp.Server != m.Host.ID:
		return fmt.Sprintf("%s belongs to server %d (%s), this is server %d", dir, stamp.Server, nameOfID(r.Inventory, ids, stamp.Server), m.Host.ID), move + "; an id must never change"
	case stamped || m.running || r.AdoptData:
		return "", ""
	}
	had := m.hadStamp(file)
	switch holds := slices.ContainsFunc(m.facts.Data, func(d hostprep.DataDir) bool { return d.Path == dir && d.HasData }); {
	case holds && had:
		return dir + " holds data without a stamp, and this member's had one", move + "; --adopt-data if it is this member's all the same"
	case holds:
		return dir + " holds data that is not known to be this member's (no stamp)", "move its content away, or take it over with --adopt-data if it is this member's"
	case had:
		return dir + " is empty, and this member had data there", "mount the member's disk; if its data is gone for good, --adopt-data makes it an empty member, which gets its data from the leader"
	}
	return "", ""
}

// hadStamp reports whether there was a stamp, by what stands beside zoo.cfg.
func (m member) hadStamp(file string) bool {
	text := m.facts.Contents[m.Identity()]
	_, known := parseIdentity(text)
	return known && (file == m.Stamp() || settingsIn(text)[txnLogKey] != "")
}

// nameOfID is who has or had an id, "" if nobody.
func nameOfID(inv *inventory.Inventory, ids identities, id int) string {
	for _, h := range inv.Hosts {
		if h.ID == id {
			return h.Name
		}
	}
	return ids.roster[id]
}

// planStamps plans the stamps. They are to be written before the identity: where that is without them, they were lost.
func (m member) planStamps(ensembleID string) (changes []hostprep.Change) {
	for _, file := range m.Stamps() {
		changes = append(changes, m.file(file, m.identity(ensembleID), 0o644, m.User())...)
	}
	return changes
}

// txnLogKey is in the identity of a member whose txn logs have a stamp of their own.
const txnLogKey = "txnlog"

// planIdentity plans identity and the check that compares it with the stamps.
func (m member) planIdentity(ensembleID string) []hostprep.Change {
	content := m.identity(ensembleID)
	if len(m.Stamps()) > 1 {
		content = fmt.Appendf(content, "%s=%s\n", txnLogKey, m.Host.Server.Paths.TxnLog)
	}
	changes := m.file(m.Identity(), content, 0o644, m.root())
	return append(changes, m.file(m.IdentityCheck(), templates.IdentityScript(m.Member), 0o755, m.root())...)
}

func (m member) identity(ensembleID string) []byte {
	return Identity{m.Ensemble.Name, ensembleID, m.Host.ID}.Marshal()
}

// planRoster plans the list of ids on a host. It is zkctl's own and no part of what a server needs.
func (r *Run) planRoster(m member, ids identities) []hostprep.Change {
	wanted := maps.Clone(ids.roster)
	for _, h := range r.Inventory.Hosts {
		wanted[h.ID] = h.Name
	}
	file := r.rosterFile(m.Host)
	changes := m.file(file, wanted.marshal(), 0o600, m.root())
	if len(changes) == 0 {
		return nil
	}
	return append([]hostprep.Change{{
		Kind: hostprep.RunScript, Target: path.Dir(file), Summary: "make directory " + path.Dir(file), Root: privileged(m.Member),
		Args: []string{path.Dir(file)}, Script: `umask 077; mkdir -p -- "$1"`,
	}}, changes...)
}
