package provision

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
	"github.com/zkctl/zkctl/sshkeys"
	"github.com/zkctl/zkctl/templates"
)

// ResetOptions say how much a reset takes away.
type ResetOptions struct {
	// KeepData leaves data and txn logs, with their stamps, and the user that owns them.
	KeepData bool
	// UndoHost gives the hosts back what they had before the first run: /etc/hosts, firewall, SELinux, SSH keys and all
	// files that were replaced.
	UndoHost bool
	// Force takes members of the limit off even if those that stay are no quorum.
	Force bool
}

// The names of the steps of a reset.
const (
	stepStop   = "stop"
	stepRemove = "remove the ensemble"
	stepUndo   = "undo the changes of the hosts"
	stepForget = "forget"
)

// Reset stops all members, or those of the limit, and removes them from their hosts. Hosts that cannot be reached do not keep the
// others from being reset; missing says why, and the same call does the rest later. With DryRun it returns the plan.
func (r *Run) Reset(ctx context.Context, o ResetOptions) (plan *Plan, missing, err error) {
	if len(r.hostsWithin()) == len(r.Inventory.Hosts) {
		r.Limit = nil
	}
	members, missing, err := r.observeForReset(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := r.mayTakeOff(ctx, members, o); err != nil {
		return nil, missing, err
	}
	plan = &Plan{}
	ids := r.identify(members)
	var foreign []hostprep.Finding
	for _, m := range members {
		for _, file := range m.Stamps() {
			stamp, ok := parseIdentity(m.facts.Contents[file])
			if ok && !o.KeepData && (stamp.Ensemble != r.Inventory.Name || ids.ensembleID != unchosen && stamp.EnsembleID != ids.ensembleID) {
				foreign = append(foreign, hostprep.Finding{Host: m.Host.Name, Check: "data", Severity: hostprep.Error,
					Text:   fmt.Sprintf("%s belongs to server %d of the ensemble %s (%s) and is not removed", path.Dir(file), stamp.Server, stamp.Ensemble, stamp.EnsembleID),
					Remedy: "move it away first, or say --keep-data"})
			}
		}
		if m.running {
			plan.add(stepStop, m.Host, []hostprep.Change{m.service("stop")})
		}
	}
	if err := r.findings(stepChecks, foreign); err != nil {
		return nil, missing, err
	}
	for _, m := range members {
		journal, err := m.journal()
		if err != nil {
			return nil, missing, err
		}
		plan.add(stepRemove, m.Host, r.planRemoval(m, o.KeepData, journal))
	}
	if o.UndoHost {
		others, err := r.observeOthers(ctx)
		if err == nil {
			err = r.planUndo(members, others, o.KeepData, plan)
		}
		if err != nil {
			return nil, missing, err
		}
	}
	if r.DryRun {
		r.changes += plan.Len()
		return plan, missing, nil
	}
	if plan.Len() == 0 {
		return plan, missing, nil
	}
	err = r.locked(ctx, nil, nil, func(ctx context.Context) error {
		for _, s := range plan.Steps {
			if s.Name == stepStop {
				err := r.step(ctx, stepStop, func(ctx context.Context) error { return r.stopForReset(ctx, members, o) })
				if err != nil {
					return err
				}
				continue
			}
			if err := r.applyUnjournalled(ctx, Changed, s.Name, &Plan{Steps: []PlannedStep{s}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return plan, missing, err
	}
	// The lock was in there.
	forget := &Plan{}
	firsts := machines(members)
	for _, m := range members {
		if !privileged(m.Member) || slices.ContainsFunc(firsts, func(f member) bool { return m.Host.Name == f.Host.Name }) {
			c, err := r.forget(m, members, o)
			if err != nil {
				return plan, missing, err
			}
			forget.add(stepForget, m.Host, []hostprep.Change{c})
		}
	}
	return plan, missing, r.applyUnjournalled(ctx, Marked, stepForget, forget)
}

// observeForReset looks at all hosts that can be reached, with their journals.
func (r *Run) observeForReset(ctx context.Context) (members []member, missing, err error) {
	const step = "connect and gather facts"
	hosts := r.hostsWithin()
	all := make([]member, len(hosts))
	err = r.step(ctx, step, func(ctx context.Context) error {
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) (err error) {
			m := templates.Member{Ensemble: r.Inventory, Host: hosts[i]}
			want := r.wanted(m)
			want.Extra = append(want.Extra, hostprep.JournalFragment(r.journalDir(hosts[i])))
			if privileged(m) {
				want.Extra = append(want.Extra, neighboursFragment(r.stateDir(hosts[i])))
			}
			files, trees := (member{Member: m}).belongings(false)
			for _, p := range slices.Concat(files, trees) {
				if !strings.HasPrefix(p, hosts[i].Server.Paths.Log+"/") { // a log may be large, and is not alone
					want.Files = append(want.Files, p)
				}
			}
			all[i], err = r.find(ctx, m, want)
			return err
		})
	})
	for _, m := range all {
		if m.facts != nil {
			members = append(members, m)
		}
	}
	if err != nil && (len(members) == 0 || context.Cause(ctx) != nil || !remote.NeverRan(err)) {
		return nil, nil, err
	}
	return members, err, nil
}

// observeOthers looks at those that stay: whose keys they have, and which other ensembles live there. Who cannot be reached is left out.
func (r *Run) observeOthers(ctx context.Context) ([]member, error) {
	const step = "look at those that stay"
	hosts := slices.DeleteFunc(slices.Clone(r.Inventory.Hosts), r.within)
	if len(hosts) == 0 {
		return nil, nil
	}
	all := make([]member, len(hosts))
	err := r.step(ctx, step, func(ctx context.Context) error {
		return r.each(ctx, step, hosts, func(ctx context.Context, i int) (err error) {
			m := templates.Member{Ensemble: r.Inventory, Host: hosts[i]}
			want := hostprep.Wanted{Root: privileged(m), Extra: r.keyFragments(m)}
			if privileged(m) {
				want.Extra = append(want.Extra, neighboursFragment(r.stateDir(hosts[i])))
			}
			if all[i], err = r.find(ctx, m, want); err != nil && context.Cause(ctx) == nil && r.leftOut(step, hosts[i], err) {
				return nil
			}
			return err
		})
	})
	return slices.DeleteFunc(all, func(m member) bool { return m.facts == nil }), err
}

// mayTakeOff decides whether members may be taken off an ensemble that is to go on. What they have goes with them, so that those that
// stay have to be seen to serve, and to be a quorum, or else something may be lost that was acknowledged. Who is counted by
// nobody, or has nothing and does not run, is missed by none.
func (r *Run) mayTakeOff(ctx context.Context, members []member, o ResetOptions) error {
	if len(r.Limit) == 0 {
		return nil
	}
	for _, m := range members {
		i := slices.IndexFunc(r.Inventory.Hosts, func(h inventory.Host) bool { return !r.within(h) && h.SameMachine(m.Host) })
		if i >= 0 && o.UndoHost && privileged(m.Member) {
			return &RefusedError{Host: m.Host.Name, Text: r.Inventory.Hosts[i].Name + " is on the same machine, and stays: what was changed there is for both",
				Remedy: "leave --undo-host-changes away"}
		}
	}
	seen, err := r.learnCounts(ctx, r.probeAll(ctx), r.hostsWithin())
	if err != nil {
		return err
	}
	var away []int
	var names []string
	now, serves := inForce(seen), synced(seen)
	for _, m := range members {
		data := func(dir string) bool { return m.facts.Files[path.Join(dir, "version-2")].Exists }
		if now.know(m.Host.ID) && (m.running || data(m.Host.Server.Paths.Data) || data(m.Host.Server.Paths.TxnLog)) {
			away, names = append(away, m.Host.ID), append(names, m.Host.Name)
		}
	}
	left := without(serves, away...)
	quorum := inForce(seen, away...).closest(left)
	if len(away) == 0 || leading(seen) != nil && quorum.Enough(left) {
		return nil
	}
	text := fmt.Sprintf("%s serve; without %s it would be %d, and %d are needed%s", quorum.Describe(serves), strings.Join(names, ", "),
		quorum.Tally(left), quorum.Needed(), missing(seen))
	if o.Force {
		r.report(Event{Kind: Warning, Step: stepStop, Text: text})
		return nil
	}
	return &RefusedError{Host: names[0], Text: text + " (--force takes it off all the same)",
		Remedy: "start those that stay (zkctl start), or take fewer members off; without --limit the whole ensemble is removed"}
}

func (r *Run) stopForReset(ctx context.Context, members []member, o ResetOptions) error {
	if err := r.mayTakeOff(ctx, members, o); err != nil {
		return err
	}
	seen := r.probeAll(ctx)
	for _, m := range leaderLast(members, seen) {
		if m.running {
			if err := r.call(ctx, stepStop, m, "stop"); err != nil {
				return err
			}
		}
	}
	if len(r.Limit) == 0 {
		return nil
	}
	return r.awaitHeir(ctx, seen, r.hostsWithin(), nil)
}

// belongings are the files and directories that make a host a member, whoever has put them there.
func (m member) belongings(keepData bool) (files, trees []string) {
	s, t := m.Host.Server, m.Member
	files = []string{t.Config(), t.Identity(), t.ServerScript(), t.ClientScript(), t.IdentityCheck(), t.Supervisor(), m.markFile(),
		t.LauncherPath(), t.Log(), t.Log() + ".1"}
	files = append(append(files, t.Links()...), t.LogConfigPaths()...)
	files = append(files, t.RollingLog())
	for i := 1; i <= 5; i++ {
		files = append(files, fmt.Sprintf("%s.%d", t.RollingLog(), i))
	}
	files = append(append(files, t.ToolPaths()...), m.certificateFiles()...)
	trees = []string{path.Join(s.Paths.Install, "releases")}
	if !keepData {
		files = append(files, path.Join(s.Paths.Data, "myid"), t.Started(), t.PidFile(), t.SupervisorPidFile(), path.Join(s.Paths.Data, "initialize"))
		files = append(files, t.Stamps()...)
		trees = append(trees, path.Join(s.Paths.Data, "version-2"), path.Join(s.Paths.TxnLog, "version-2"))
	}
	if privileged(t) {
		if m.Host.System.Profile == "manage" {
			files = append(files, profilePath(t))
		}
		files = append(files, t.UnitFile(), bootPath(t, "openrc"), bootPath(t, "sysv"), bootPath(t, "cron"))
	} else {
		trees = append(trees, path.Join(s.Paths.Install, ".zkctl/undo"))
	}
	return files, trees
}

// planRemoval plans to take away what makes the host a member, if there is something of it. Only what zkctl puts there is
// named; directories go when nothing else is in them and, as far as there is a journal, zkctl has made them.
func (r *Run) planRemoval(m member, keepData bool, journal []hostprep.JournalEntry) []hostprep.Change {
	s, t := m.Host.Server, m.Member
	files, trees := m.belongings(keepData)
	left := slices.Concat(files, trees)
	if !keepData {
		left = append(left, r.rosterFile(m.Host))
	}
	if !m.running && !slices.ContainsFunc(left, func(p string) bool { return m.facts.Files[p].Exists }) {
		return nil
	}
	dirs := []string{path.Join(s.Paths.Install, "bin"), t.Certificates(), s.Paths.Config, s.Paths.Log}
	if !keepData {
		dirs = append(dirs, s.Paths.TxnLog, s.Paths.Data)
	}
	dirs = append(dirs, s.Paths.Install)
	if len(journal) > 0 {
		dirs = slices.DeleteFunc(dirs, func(dir string) bool {
			return !slices.ContainsFunc(journal, func(e hostprep.JournalEntry) bool { return e.Kind == "absent" && e.Path == dir })
		})
	}
	summary := "remove server, configuration and service"
	if !keepData {
		summary = "remove server, configuration, service and data"
	} else {
		summary += "; keep " + s.Paths.Data
	}
	root := "no"
	if privileged(t) {
		root = "yes"
	}
	args := []string{s.Service, root}
	args = append(append(args, files...), "--")
	args = append(append(args, trees...), "--")
	return []hostprep.Change{{
		Kind: hostprep.RunScript, Target: s.Paths.Install, Summary: summary, Root: privileged(t), Args: append(args, dirs...),
		Script: `
service=$1 root=$2; shift 2
if [ $root = yes ]; then
	if [ -d /run/systemd/system ]; then { systemctl stop "$service.service"; systemctl disable -q "$service.service"; } 2>/dev/null
	elif [ -d /run/openrc ] && [ -x "/etc/init.d/$service" ]; then
		rc-service -q "$service" stop >/dev/null 2>&1
		rc-update -q del "$service" default >/dev/null 2>&1
	elif [ -x "/etc/init.d/$service" ]; then
		if command -v update-rc.d >/dev/null 2>&1; then update-rc.d -f "$service" remove >/dev/null 2>&1
		elif command -v chkconfig >/dev/null 2>&1; then chkconfig --del "$service"; fi
	fi
fi
while [ "$1" != -- ]; do rm -f -- "$1" || exit 1; shift; done; shift
while [ "$1" != -- ]; do rm -rf -- "$1" || exit 1; shift; done; shift
for d; do [ -L "$d" ] || rmdir -- "$d" 2>/dev/null || :; done
if [ $root = yes ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl reset-failed "$service.service" 2>/dev/null || :; fi
`,
		Verify: `shift 2; while [ "$1" != -- ]; do [ ! -e "$1" ] || exit 1; shift; done`,
	}}
}

// planUndo plans to give each machine back what its journal holds. others are members that stay, on other machines.
func (r *Run) planUndo(members, others []member, keepData bool, p *Plan) error {
	all := slices.Concat(members, others)
	ring, err := r.keyring(all)
	if err != nil {
		return err
	}
	var userKeys, hostKeys []sshkeys.PublicKey
	for _, m := range ring.members {
		userKeys, hostKeys = append(userKeys, userKeysOf(m)...), append(hostKeys, m.Observed.HostKeys...)
	}
	for _, m := range machines(members) {
		if !privileged(m.Member) {
			continue
		}
		journal, stays, err := r.toUndo(m, members)
		if err != nil {
			return err
		}
		restored := hostprep.RestoredFiles(r.Inventory.Name, journal)
		if link := m.facts.Hosts.Link; link != "" {
			restored[link] = hostprep.RestoreHosts(r.Inventory.Name)
		}
		for _, e := range journal { // by their names: the paths in a journal have no links in them
			switch path.Base(e.Path) {
			case "authorized_keys":
				restored[e.Path] = func(original, now []byte) ([]byte, bool) { return sshkeys.Without(original, now, userKeys, false) }
			case "known_hosts":
				restored[e.Path] = func(original, now []byte) ([]byte, bool) { return sshkeys.Without(original, now, hostKeys, true) }
			}
		}
		if keepData {
			journal = slices.DeleteFunc(journal, func(e hostprep.JournalEntry) bool { return keeps(members, e) })
		}
		changes, findings := hostprep.PlanUndo(m.Host.Name, journal, restored)
		notes := texts(findings)
		if len(stays) > 0 {
			changes = append(changes, takeKeys(stays, ring, r.strangers(m, all))...)
			notes = append(notes, fmt.Sprintf("%s lives here, too: what may be for all of them stays until the last one is reset with --undo-host-changes: %s",
				strings.Join(m.neighbours(), ", "), strings.Join(namesIn(stays), ", ")))
		}
		if m.facts.SELinux.Runtime == "Disabled" && slices.ContainsFunc(changes, func(c hostprep.Change) bool { return c.Target == m.facts.SELinux.Path }) {
			notes = append(notes, "SELinux comes back with the next reboot; what was written while it was off has no label: `touch /.autorelabel` before")
		}
		for _, n := range notes {
			r.report(Event{Kind: Warning, Step: stepUndo, Host: m.Host.Name, Text: n})
		}
		if len(changes) == 0 {
			continue // nothing was changed, or it was undone already
		}
		changes = append(changes, hostprep.Change{
			Kind: hostprep.RunScript, Target: "systemd", Summary: "let the service manager forget the service", Root: true,
			Script: `[ ! -d /run/systemd/system ] || systemctl daemon-reload`,
		})
		p.add(stepUndo, m.Host, changes, notes...)
	}
	return nil
}

// namesIn are the paths and settings that entries of a journal are about.
func namesIn(entries []hostprep.JournalEntry) (names []string) {
	for _, e := range entries {
		names = append(names, strings.TrimPrefix(e.Path, "take back: "))
	}
	return names
}

func userKeysOf(m sshkeys.Member) (keys []sshkeys.PublicKey) {
	for _, k := range m.Observed.Keys {
		keys = append(keys, k.Public)
	}
	return keys
}

// strangers tells of a machine on which other ensembles stay which hosts of this one are none of theirs, by name: no ensemble lives
// on both. Their keys are no use there any more.
func (r *Run) strangers(on member, members []member) func(name string) bool {
	return func(name string) bool {
		i := slices.IndexFunc(members, func(m member) bool { return m.Host.Name == name })
		return i >= 0 && !members[i].Host.SameMachine(on.Host) &&
			!slices.ContainsFunc(members[i].neighbours(), func(n string) bool { return slices.Contains(on.neighbours(), n) })
	}
}

// takeKeys plans to take the keys of strangers out of files that stay for others. A key that somebody else of the ring has, too, stays.
func takeKeys(stays []hostprep.JournalEntry, ring *keyring, stranger func(name string) bool) (changes []hostprep.Change) {
	var keys, kept []sshkeys.PublicKey
	var known []sshkeys.Known
	var names []string
	for _, m := range ring.members {
		if !stranger(m.Name) {
			kept = append(kept, userKeysOf(m)...)
			continue
		}
		keys, known, names = append(keys, userKeysOf(m)...), append(known, m.Known()), append(names, m.Name)
	}
	keys = slices.DeleteFunc(keys, func(k sshkeys.PublicKey) bool { return slices.ContainsFunc(kept, k.Same) })
	for _, e := range stays {
		if e.Now == nil {
			continue
		}
		rest := e.Now
		switch path.Base(e.Path) {
		case "authorized_keys":
			rest = sshkeys.TakeAuthorized(e.Kept, e.Now, keys)
		case "known_hosts":
			rest = sshkeys.TakeKnown(e.Kept, e.Now, known)
		}
		if !bytes.Equal(rest, e.Now) {
			changes = append(changes, hostprep.Change{Kind: hostprep.WriteFile, Target: e.Path, Before: e.Now, After: rest, Root: true, InPlace: true,
				Summary: fmt.Sprintf("take the keys of %s out of %s", strings.Join(names, ", "), e.Path)})
		}
	}
	return changes
}

// neighboursFragment reports the other ensembles that live on a host, which is to say that their ids are remembered there, and
// what those that do not any more have left to the last one.
func neighboursFragment(stateDir string) string {
	return "state=" + shell.Quote(stateDir) + `
for d in "${state%/*}"/*; do
	[ "$d" != "$state" ] || continue
	if [ -f "$d/members" ]; then field neighbour "${d##*/}"
	elif [ -f "$d/undo/left" ]; then field left "${d##*/}"; report_journal "left/${d##*/}" "$d/undo"; fi
done
`
}

func (m member) neighbours() []string { return m.facts.Fields.Texts("neighbour") }

// journal is what the machine was before the ensemble changed it.
func (m member) journal() ([]hostprep.JournalEntry, error) {
	journal, err := hostprep.ParseJournal(hostprep.JournalName, m.facts.Fields)
	if err != nil {
		err = fmt.Errorf("%s: %w", m.Host.Name, err)
	}
	return journal, err
}

// toUndo is what there is to take back on a machine. While other ensembles live there, it is only what is about this one, and the
// rest stays; the last one has what others left to it, besides its own.
func (r *Run) toUndo(m member, members []member) (journal, stays []hostprep.JournalEntry, err error) {
	if journal, err = m.journal(); err != nil {
		return nil, nil, err
	}
	if len(m.neighbours()) > 0 {
		journal = slices.DeleteFunc(journal, func(e hostprep.JournalEntry) bool {
			own := r.ownEntry(m, members, e)
			if !own {
				stays = append(stays, e)
			}
			return !own
		})
		return journal, stays, nil
	}
	for _, name := range m.facts.Fields.Texts("left") {
		left, err := hostprep.ParseJournal("left/"+name, m.facts.Fields)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: what %s left: %w", m.Host.Name, name, err)
		}
		journal = hostprep.JoinJournals(left, journal)
	}
	return journal, nil, nil
}

// ownEntry reports whether an entry of a journal is about the ensemble alone: its files, its service, and its lines in the hosts
// file, which are told from those of others.
func (r *Run) ownEntry(on member, members []member, e hostprep.JournalEntry) bool {
	if e.Path == "/etc/hosts" || e.Path == on.facts.Hosts.Link || hostprep.IsHostsTemplate(e.Path) {
		return true
	}
	return slices.ContainsFunc(members, func(m member) bool {
		p := m.Host.Server.Paths
		for _, dir := range []string{p.Data, p.TxnLog, p.Install, p.Config, p.Log, r.stateDir(m.Host)} {
			if e.Path == dir || strings.HasPrefix(e.Path, dir+"/") {
				return true
			}
		}
		files, _ := m.belongings(false)
		return slices.Contains(files, e.Path) || e.Path == "take back: "+enableAtBoot(m.Host.Server.Service)
	})
}

// keeps reports whether an entry of a journal is about data that is kept, or about the user who owns it.
func keeps(members []member, e hostprep.JournalEntry) bool {
	if e.Kind == "script" {
		return strings.HasPrefix(e.Path, "take back: create user ")
	}
	return slices.ContainsFunc(members, func(m member) bool {
		for _, dir := range []string{m.Host.Server.Paths.Data, m.Host.Server.Paths.TxnLog} {
			if e.Path == dir || strings.HasPrefix(e.Path, dir+"/") {
				return true
			}
		}
		return false
	})
}

// forget plans to remove what zkctl keeps on a host for itself: all of it after an undo, else what is about the ensemble and
// not about the host. While other ensembles live there, what the host was before is left to the last one.
func (r *Run) forget(m member, members []member, o ResetOptions) (hostprep.Change, error) {
	dir := r.stateDir(m.Host)
	c := hostprep.Change{
		Kind: hostprep.RunScript, Target: dir, Root: privileged(m.Member), Args: []string{dir}, Summary: "forget the ensemble's ids",
		Script: `rm -f "$1/members"`,
	}
	stays := slices.ContainsFunc(r.Inventory.Hosts, func(h inventory.Host) bool { return !r.within(h) && h.SameMachine(m.Host) })
	switch {
	case stays && c.Root:
		c.Summary, c.Script = "keep the ensemble's ids for those that stay", `:`
	case o.KeepData:
		c.Summary, c.Script = "keep the ensemble's ids for the data that is kept", `:`
	case o.UndoHost && len(m.neighbours()) > 0:
		journal, err := m.journal()
		if err != nil {
			return c, err
		}
		for _, e := range journal {
			if r.ownEntry(m, members, e) {
				c.Args = append(c.Args, e.Key)
			}
		}
		c.Summary, c.Script = "leave "+dir+"/undo to the last ensemble here", leaveJournal
	case o.UndoHost || !c.Root:
		c.Summary = "remove " + dir
		c.Args = append(c.Args, path.Dir(dir))
		for _, name := range m.facts.Fields.Texts("left") {
			if len(m.neighbours()) == 0 {
				c.Args = append(c.Args, path.Join(path.Dir(dir), name))
			}
		}
		// First what names the rest, last what tells that there is something left: so this may be cut off.
		c.Script = `dir=$1 parent=$2; shift 2
for d in "$@" "$dir"; do rm -f -- "$d/undo/index"; rm -rf -- "$d/undo"; rm -rf -- "$d" || exit 1; done
rmdir "$parent" 2>/dev/null || :`
	}
	return c, nil
}

// leaveJournal gets an ensemble's directory, and the keys of the entries that were taken back.
const leaveJournal = `
dir=$1; shift
if [ -f "$dir/undo/index" ]; then
	while IFS= read -r line; do
		key=${line#* }
		case " $* " in *" ${key%% *} "*) ;; *) printf '%s\n' "$line" ;; esac
	done <"$dir/undo/index" >"$dir/undo/index.new" && : >"$dir/undo/left" && mv -f "$dir/undo/index.new" "$dir/undo/index" || exit 1
	for key; do rm -f -- "$dir/undo/$key.bytes" "$dir/undo/$key.left" "$dir/undo/$key.sh"; done
fi
for f in "$dir"/* "$dir"/.[!.]*; do [ "$f" = "$dir/undo" ] || rm -rf -- "$f"; done
`

// applyUnjournalled carries out a plan of what is not to be undone.
func (r *Run) applyUnjournalled(ctx context.Context, kind EventKind, name string, p *Plan) error {
	all := byHost(p)
	hosts := make([]inventory.Host, len(all))
	for i, h := range all {
		hosts[i] = h.host
	}
	return r.step(ctx, name, func(ctx context.Context) error {
		return r.each(ctx, name, hosts, func(ctx context.Context, i int) error {
			return r.execute(ctx, kind, all[i].steps, hosts[i], hostprep.Batch{Changes: all[i].changes})
		})
	})
}
