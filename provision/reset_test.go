package provision

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/sshtest"
	"github.com/zkctl/zkctl/sshkeys"
	"github.com/zkctl/zkctl/templates"
)

// Of two ensembles on a host the first to go leaves what the second may stand on; with the second, the host is what it was,
// whichever of them came first.
func TestUndoBesideAnotherEnsemble(t *testing.T) {
	t.Run("the first goes", func(t *testing.T) {
		undoBesideAnother(t, "one", []string{"set filter from on", "set speed from 0", "limits", "shared.cfg"})
	})
	t.Run("the second goes", func(t *testing.T) {
		undoBesideAnother(t, "two", []string{"set swap from on", "set speed from 1", "limits", "shared.cfg"})
	})
}

func undoBesideAnother(t *testing.T, goes string, leaves []string) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	host := &elsewhere{remote.NewLocal("a", remote.Become{None: true}), at("zkctl"), new(atomic.Bool)}
	exec := func(journal string, changes ...hostprep.Change) {
		t.Helper()
		if err := (hostprep.Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string) hostprep.Change {
		return hostprep.Change{Kind: hostprep.WriteFile, Target: at(name), Summary: "write " + name, After: []byte(content), Mode: 0o644}
	}
	set := func(name, from, to string) hostprep.Change {
		return hostprep.Change{Kind: hostprep.RunScript, Target: name, Summary: "set " + name + " from " + from, Args: []string{at(name), to}, Script: `echo "$2" >"$1"`,
			Undo: &hostprep.Undo{Script: `echo "$2" >"$1"`, Args: []string{at(name), from}}}
	}
	for name, content := range map[string]string{"filter": "on\n", "swap": "on\n", "speed": "0\n", "shared.cfg": "the host's"} {
		if err := os.WriteFile(at(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := contents(t, dir)

	runs := map[string]*Run{}
	for _, name := range []string{"one", "two"} {
		inv, err := inventory.Parse("inventory.yaml", fmt.Appendf(nil, `name: %s
server: {service: %[1]s, paths: {data: %[2]s/data, config: %[2]s, install: %[2]s/install, log: %[2]s/log}}
hosts: [{name: a, address: 10.0.0.1, id: 1}]
`, name, at(name)))
		if err != nil {
			t.Fatal(err)
		}
		runs[name] = &Run{Inventory: inv}
	}
	exec("/var/lib/zkctl/one/undo", set("filter", "on", "off"), set("speed", "0", "1"), write("one/zoo.cfg", "1"), write("limits", "of one"), write("shared.cfg", "of one"))
	past := time.Now().Add(-time.Hour)
	if entries, err := filepath.Glob(at("zkctl/one/undo/*.*")); err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	} else {
		for _, e := range entries {
			if err := os.Chtimes(e, past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	exec("/var/lib/zkctl/two/undo", set("swap", "on", "off"), set("speed", "1", "2"), write("two/zoo.cfg", "2"), write("limits", "of both"), write("shared.cfg", "of both"))
	for name := range runs {
		exec("", hostprep.Change{Kind: hostprep.RunScript, Target: name, Summary: "remember ids", Script: ": >/var/lib/zkctl/" + name + "/members"})
	}

	reset := func(name string) (stays []string) {
		t.Helper()
		r := runs[name]
		h := r.Inventory.Hosts[0]
		facts, err := hostprep.Gather(t.Context(), host, hostprep.Wanted{Extra: []string{
			hostprep.JournalFragment(r.journalDir(h)), neighboursFragment(r.stateDir(h))}})
		if err != nil {
			t.Fatal(err)
		}
		m := member{Member: templates.Member{Ensemble: r.Inventory, Host: h}, facts: facts}
		journal, others, err := r.toUndo(m, []member{m})
		if err != nil {
			t.Fatal(err)
		}
		changes, _ := hostprep.PlanUndo("a", journal, nil)
		forget, err := r.forget(m, []member{m}, ResetOptions{UndoHost: true})
		if err != nil {
			t.Fatal(err)
		}
		// Where that is cut off, the journal can still be read.
		cutOff := forget
		cutOff.Script = `rm() {
			for d; do :; done
			[ "$1" = -f ] || { command rm -f "$d"/*.bytes "$d"/undo/*.bytes; exit 9; }
			command rm "$@"
		}
` + forget.Script
		if err := (hostprep.Batch{Changes: append(changes, cutOff)}).Exec(t.Context(), host); err != nil {
			facts, err := hostprep.Gather(t.Context(), host, hostprep.Wanted{Extra: []string{hostprep.JournalFragment(r.journalDir(h))}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := hostprep.ParseJournal(hostprep.JournalName, facts.Fields); err != nil {
				t.Errorf("after a reset that was cut off: %v", err)
			}
			changes = nil
		}
		exec("", append(changes, forget)...)
		return namesIn(others)
	}
	last := map[string]string{"one": "two", "two": "one"}[goes]
	var left []string
	for _, e := range reset(goes) {
		left = append(left, strings.TrimPrefix(e, dir+"/"))
	}
	if !slices.Equal(left, leaves) {
		t.Errorf("%s leaves %q", goes, left)
	}
	now := contents(t, dir)
	for name, want := range map[string]string{"filter": "off\n", "swap": "off\n", "speed": "2\n", "limits": "of both", "shared.cfg": "of both",
		goes + "/zoo.cfg": "", "zkctl/" + goes + "/members": ""} {
		if now[name] != want {
			t.Errorf("without %s, %s is %q, want %q", goes, name, now[name], want)
		}
	}
	if now[last+"/zoo.cfg"] == "" {
		t.Errorf("with %s went %s/zoo.cfg", goes, last)
	}
	if stays := reset(last); stays != nil {
		t.Errorf("the last one leaves %q", stays)
	}
	if after := contents(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("at the end: %v\nat the beginning: %v", after, before)
	}
}

// contents are the files below a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type()&os.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			all[strings.TrimPrefix(path, dir+"/")] = "-> " + to
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// On a host on which another ensemble stays, the keys of hosts go that are none of its, and of them only what was put there.
func TestKeysOfStrangers(t *testing.T) {
	public := func(comment string) sshkeys.PublicKey {
		_, key := sshtest.WriteKey(t, "")
		k, err := sshkeys.ParsePublicKey(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + comment)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	r := &Run{}
	ring := &keyring{}
	var members []member
	for name, neighbours := range map[string]string{"a": "two", "b": "two three", "c": "", "d": "three"} {
		m := member{facts: &hostprep.Facts{Fields: remote.Fields{}}}
		m.Host = inventory.Host{Name: name, Address: name, Connection: inventory.OverSSH}
		for n := range strings.FieldsSeq(neighbours) {
			m.facts.Fields["neighbour"] = append(m.facts.Fields["neighbour"], []byte(n))
		}
		members = append(members, m)
		o := sshkeys.Observed{Keys: []sshkeys.UserKey{{Public: public("root@" + name)}}, HostKeys: []sshkeys.PublicKey{public("")}}
		ring.members = append(ring.members, sshkeys.Member{Name: name, Observed: o})
	}
	of := func(name string) sshkeys.Member {
		return ring.members[slices.IndexFunc(ring.members, func(m sshkeys.Member) bool { return m.Name == name })]
	}
	var keys []sshkeys.PublicKey
	var known []sshkeys.Known
	for _, m := range ring.members {
		keys, known = append(keys, userKeysOf(m)...), append(known, m.Known())
	}
	authorized, _ := sshkeys.MergeAuthorized([]byte("# by hand"), keys)
	hosts, _ := sshkeys.MergeKnown(nil, known)
	stays := []hostprep.JournalEntry{
		{Kind: "file", Path: "/root/.ssh/authorized_keys", Kept: []byte("# by hand"), Now: authorized},
		{Kind: "absent", Path: "/root/.ssh/known_hosts", Now: hosts},
		{Kind: "absent", Path: "/etc/limits", Now: authorized},
		{Kind: "file", Path: "/gone/authorized_keys", Kept: []byte("# by hand")},
	}
	for on, gone := range map[string]string{"a": "c d", "b": "c", "d": "a c"} {
		at := slices.IndexFunc(members, func(m member) bool { return m.Host.Name == on })
		changes := takeKeys(stays, ring, r.strangers(members[at], members))
		if len(changes) != 2 {
			t.Fatalf("on %s: %+v", on, changes)
		}
		for i, c := range changes {
			lost := string(stays[i].Now)
			for name := range strings.FieldsSeq(gone) {
				line := userKeysOf(of(name))[0].Line() + "\n"
				if i == 1 {
					line = name + " " + of(name).Observed.HostKeys[0].Line() + "\n"
				}
				lost = strings.Replace(lost, line, "", 1)
			}
			if string(c.After) != lost || lost == string(stays[i].Now) {
				t.Errorf("on %s, %s becomes\n%s\nwant\n%s", on, c.Target, c.After, lost)
			}
		}
	}
	// A key that all hosts share is needed by those that stay.
	for i := range ring.members {
		ring.members[i].Observed.Keys[0] = ring.members[0].Observed.Keys[0]
	}
	if changes := takeKeys(stays[:1], ring, r.strangers(members[0], members)); len(changes) != 0 {
		t.Errorf("a shared key: %+v", changes)
	}
}
