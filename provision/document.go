package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
)

// documentKind marks a file as a plan.
const documentKind = "zkctl plan"

// Served is what Document.Unavailable is where clients are served all the while.
const Served = "not at all"

// Document is a plan in a form that can be kept, read and agreed to. It holds no time and nothing random, so that two
// plans of hosts that have not changed are the same bytes.
type Document struct {
	Kind     string `json:"kind"`
	Format   int    `json:"format"`
	Ensemble string `json:"ensemble"`
	// Version is that of the server that would be pushed.
	Version string `json:"version"`
	// Limit are the hosts to which the plan is limited; empty means all.
	Limit     []string      `json:"limit,omitempty"`
	Inventory FileRef       `json:"inventory"`
	Hosts     []PlannedHost `json:"hosts"`
	Changes   []Planned     `json:"changes"`
	// Settings are the settings of zoo.cfg that change on members that have one.
	Settings []SettingChange `json:"settings"`
	Starts   []string        `json:"starts"`
	// Restarts are in the order in which members would be restarted.
	Restarts []PlannedRestart `json:"restarts"`
	// Rounds are those in which TLS is switched on or off, the first one being that of Changes and Restarts.
	Rounds []PlannedRound `json:"tls_rounds,omitempty"`
	// Elections is how many the restarts are expected to cost.
	Elections int `json:"elections"`
	// Unavailable says for how long clients would not be served.
	Unavailable string `json:"unavailable"`
}

// FileRef names a file and its content.
type FileRef struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// PlannedHost is a host as the plan saw it.
type PlannedHost struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	MachineID string `json:"machine_id,omitempty"`
}

// Planned is one change of one host.
type Planned struct {
	Step    string `json:"step"`
	Host    string `json:"host"`
	Target  string `json:"target"`
	Summary string `json:"summary"`
	// Effect is what the change means for a running server.
	Effect Effect `json:"effect"`
	Diff   string `json:"diff,omitempty"`
	// Digest stands for all that the change is made of, what it found included.
	Digest string `json:"digest"`
}

// PlannedRestart is a member that has to be restarted.
type PlannedRestart struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// Nothing reports whether there is nothing to do.
func (d *Document) Nothing() bool {
	return len(d.Changes) == 0 && len(d.Starts) == 0 && len(d.Restarts) == 0
}

// Plan finds out what Apply would do. It changes nothing.
func (r *Run) Plan(ctx context.Context) (*Outcome, *Document, error) {
	r.DryRun = true
	it, err := r.intend(ctx)
	if err != nil {
		return nil, nil, err
	}
	return it.out, r.document(it), nil
}

// document is what is intended, as data.
func (r *Run) document(it *intent) *Document {
	d := &Document{
		Kind: documentKind, Format: 1, Ensemble: r.Inventory.Name, Version: r.Version, Limit: r.Limit,
		Inventory: FileRef{File: r.Inventory.File}, Changes: []Planned{}, Settings: []SettingChange{},
		Starts: append([]string{}, it.out.Starts...), Restarts: []PlannedRestart{}, Elections: it.out.Elections,
	}
	if data, err := os.ReadFile(r.Inventory.File); err == nil {
		d.Inventory.SHA256 = hexSum(data)
	}
	for _, m := range it.members {
		d.Hosts = append(d.Hosts, PlannedHost{m.Host.Name, m.Host.Address, m.facts.MachineID})
		if r.within(m.Host) {
			d.Settings = append(d.Settings, m.settingChanges()...)
		}
	}
	for _, s := range it.out.Plan.Steps {
		for _, h := range s.Hosts {
			for _, c := range h.Changes {
				c = it.ids.neutral(c)
				d.Changes = append(d.Changes, Planned{
					Step: s.Name, Host: h.Host.Name, Target: c.Target, Summary: c.Summary,
					Effect: effectOf(it.member(h.Host.Name), c), Diff: diff(c), Digest: digest(s.Name, h.Host.Name, c),
				})
			}
		}
	}
	for _, name := range it.out.Order {
		d.Restarts = append(d.Restarts, PlannedRestart{name, it.out.Restarts[name]})
	}
	d.Rounds = it.rounds()
	if len(d.Rounds) > 1 && it.leader != "" {
		d.Elections += len(d.Rounds) - 1
	}
	var idle []string
	for _, m := range it.members {
		if !m.running {
			idle = append(idle, m.Host.Name)
		}
	}
	counts := map[string]inventory.Quorum{}
	for _, m := range it.members {
		if m.running {
			counts[m.Host.Name] = quorumIn(m.started)
		}
	}
	d.Unavailable = unavailable(r.Inventory, counts, d.Starts, idle, it.out.Order, d.Elections)
	return d
}

// unavailable says for how long clients are not served, where the idle members do not run yet and some of them are started, and
// others restarted, one after the other. counts says how those count that run; those that were restarted count by the inventory.
func unavailable(inv *inventory.Inventory, counts map[string]inventory.Quorum, starts, idle, restarts []string, elections int) string {
	quorum := inventory.QuorumOf(inv.Hosts)
	enoughBy := func(quorum inventory.Quorum, fits func(name string) bool) bool {
		ids := map[int]bool{}
		for _, h := range inv.Hosts {
			ids[h.ID] = fits(h.Name)
		}
		return quorum.Enough(func(id int) bool { return ids[id] })
	}
	enough := func(fits func(name string) bool) bool { return enoughBy(quorum, fits) }
	running := func(name string) bool { return !slices.Contains(idle, name) }
	started := func(name string) bool { return running(name) || slices.Contains(starts, name) }
	missed := func(i int) bool { // the i-th of the restarts, by the voters that stay meanwhile
		stays := func(name string) bool { return name != restarts[i] && started(name) }
		by := quorums{quorum} // of who comes back
		for _, h := range inv.Hosts {
			if had := counts[h.Name]; len(had.Voters()) > 0 && stays(h.Name) && !slices.Contains(restarts[:i], h.Name) {
				by = append(by, had)
			}
		}
		return slices.ContainsFunc(by, func(q inventory.Quorum) bool { return !enoughBy(q, stays) })
	}
	switch {
	case len(starts) == len(inv.Hosts):
		return "until the first start: nothing runs yet"
	case !enough(started):
		return "until more members are started than these: the voters that run are no majority"
	case !enough(running):
		return "until members are started: the voters that run are no majority"
	case slices.ContainsFunc(restarts, func(name string) bool { return missed(slices.Index(restarts, name)) }):
		return "while a voter is restarted that the others cannot do without: zkctl restart does that, apply refuses to"
	case elections == 1:
		return "for one election; sessions survive it"
	case elections > 1:
		return "for one election at a time; sessions survive them"
	}
	return Served
}

// member is the member of that name.
func (it *intent) member(name string) member {
	for _, m := range it.members {
		if m.Host.Name == name {
			return m
		}
	}
	panic("provision: no member " + name)
}

// neutral is a change as it is in a plan that was made before the ensemble's id was chosen.
func (i identities) neutral(c hostprep.Change) hostprep.Change {
	if i.fresh {
		c.After = bytes.ReplaceAll(c.After, []byte(i.ensembleID), []byte(unchosen))
	}
	return c
}

// digest stands for a change and what it found.
func digest(step, host string, c hostprep.Change) string {
	h := sha256.New()
	for _, part := range []string{
		step, host, fmt.Sprint(c.Kind), c.Target, c.Script, c.Verify, strings.Join(c.Args, "\x00"), fmt.Sprint(c.Mode), c.Owner, c.Group,
		fmt.Sprint(c.InPlace, c.Root, c.Before == nil), hexSum(c.Before), hexSum(c.After), hexSum(c.Stdin),
	} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// DriftError says that hosts or inventory are not what they were when a plan was made.
type DriftError struct{ Differences []string }

// Error lists what differs.
func (e *DriftError) Error() string {
	return "what the plan was made for has changed since:\n  " + strings.Join(e.Differences, "\n  ")
}

// Hint says what to do.
func (e *DriftError) Hint() string {
	return "nothing was changed; make a new plan (zkctl plan --out FILE), look at it, and apply that"
}

// permits decides whether now, what there is to do at present, is all in the plan. What was done since is no hindrance: a
// plan of which a part was carried out goes on with the rest.
func (d *Document) permits(now *Document) error {
	var diffs []string
	say := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	if d.Ensemble != now.Ensemble {
		say("the plan is for the ensemble %s, the inventory describes %s", d.Ensemble, now.Ensemble)
	}
	if d.Inventory.SHA256 != now.Inventory.SHA256 {
		say("%s was edited", now.Inventory.File)
	}
	if d.Version != now.Version {
		say("the plan was made by zkctl %s, this is %s", d.Version, now.Version)
	}
	then := map[string]PlannedHost{}
	for _, h := range d.Hosts {
		then[h.Name] = h
	}
	for _, h := range now.Hosts {
		if was, ok := then[h.Name]; ok && was.MachineID != h.MachineID {
			say("%s: another machine answers at %s: machine id %s, was %s", h.Name, h.Address, h.MachineID, was.MachineID)
		}
	}
	agreed, targets := map[string]bool{}, map[string]bool{}
	changes := slices.Clone(d.Changes)
	for _, round := range d.Rounds {
		changes = append(changes, round.Changes...)
	}
	for _, c := range changes {
		agreed[c.Digest] = true
		targets[c.Host+" "+c.Target] = true
	}
	for _, c := range now.Changes {
		switch {
		case agreed[c.Digest]:
		case targets[c.Host+" "+c.Target]:
			say("%s: %s is not what the plan saw (%s)", c.Host, c.Target, c.Summary)
		default:
			say("%s: not in the plan: %s", c.Host, c.Summary)
		}
	}
	may := map[string]bool{}
	for _, name := range d.Starts {
		may[name] = true
	}
	for _, name := range now.Starts {
		if !may[name] {
			say("%s: does not run any more", name)
		}
	}
	// What a start of the plan has started runs with the old configuration until the files of the plan are there.
	for _, r := range d.Restarts {
		may[r.Host] = true
	}
	for _, round := range d.Rounds {
		for _, r := range round.Restarts {
			may[r.Host] = true
		}
	}
	for _, r := range now.Restarts {
		if !may[r.Host] {
			say("%s: would have to be restarted: %s", r.Host, r.Why)
		}
	}
	if diffs != nil {
		return &DriftError{diffs}
	}
	return nil
}

// Marshal is the file's content.
func (d *Document) Marshal() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// Strings, numbers and booleans only: it cannot fail.
	if err := e.Encode(d); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ParseDocument reads a plan; ok is false for content that does not claim to be one.
func ParseDocument(data []byte) (d *Document, ok bool, err error) {
	var mark struct {
		Kind   string `json:"kind"`
		Format int    `json:"format"`
	}
	if json.Unmarshal(data, &mark) != nil || mark.Kind != documentKind {
		return nil, false, nil
	}
	if mark.Format != 1 {
		return nil, true, fmt.Errorf("the plan has format %d; this zkctl knows format 1", mark.Format)
	}
	d = &Document{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, true, fmt.Errorf("the plan cannot be read: %w", err)
	}
	return d, true, nil
}
