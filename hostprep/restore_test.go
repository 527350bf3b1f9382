package hostprep

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

func TestRestoreHosts(t *testing.T) {
	for _, original := range []string{"127.0.0.1 localhost\n127.0.1.1 master.lab master\n", "a b", "", "x\r\ny\r\n", "127.0.0.1 localhost master # x\n"} {
		now := HostsContent([]byte(original), "lab", members, "master")
		if got, edited := RestoreHosts("lab")([]byte(original), now); edited || !bytes.Equal(got, []byte(original)) {
			t.Errorf("%q came back as %q, %v", original, got, edited)
		}
	}
	now := append(HostsContent([]byte("127.0.1.1 master\n"), "lab", members, "master"), "10.9.9.9 db\n"...)
	if got, edited := RestoreHosts("lab")([]byte("127.0.1.1 master\n"), now); !edited || string(got) != "127.0.1.1 master\n10.9.9.9 db\n" {
		t.Errorf("after an edit: %q, %v", got, edited)
	}
}

// Files that are not zkctl's alone come back byte for byte, unless somebody else has edited them since: then what zkctl wrote is
// taken out, and the edit stays.
func TestRestoredFiles(t *testing.T) {
	const fstab = "/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0"
	const selinux = "# SELINUX= can take one of these\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"
	const nft = "flush ruleset\ntable inet filter {\n}"
	include := "include \"/etc/nftables.d/zkctl-lab.nft\"\n"
	disabled := string(SELinuxContent([]byte(selinux), "disabled"))
	for _, c := range []struct {
		path, original, now string
		want                string // "" is the original, unedited
	}{
		{"/etc/fstab", fstab, string(FstabWithoutSwap([]byte(fstab))), ""},
		{"/etc/fstab", fstab, string(FstabWithoutSwap([]byte(fstab))) + "\nnas:/x /x nfs ro 0 0\n", fstab + "\nnas:/x /x nfs ro 0 0\n"},
		{"/etc/fstab", swapMark + "old none swap\n", swapMark + "old none swap\n", ""},
		{"/etc/selinux/config", selinux, disabled, ""},
		{"/etc/selinux/config", selinux, string(SELinuxContent([]byte(disabled), "permissive")), ""},
		{"/etc/selinux/config", "SELINUXTYPE=mls\n", "SELINUXTYPE=mls\nSELINUX=disabled\n", ""},
		{"/etc/selinux/config", selinux, strings.Replace(disabled, "targeted", "mls", 1),
			"# SELINUX= can take one of these\n#SELINUX=enforcing\n#SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=mls\n"},
		{"/etc/selinux/config", "SELINUX=permissive\n", "#SELINUX=permissive\nSELINUX=enforcing\n", "#SELINUX=permissive\nSELINUX=enforcing\n"},
		{"/etc/nftables.conf", nft, nft + "\n" + include, ""},
		{"/etc/nftables.conf", nft, "flush ruleset\n" + include + "add table inet more\n", "flush ruleset\nadd table inet more\n"},
	} {
		e := JournalEntry{Kind: "file", Path: c.path, Kept: []byte(c.original), Now: []byte(c.now)}
		restore := RestoredFiles("lab", []JournalEntry{e})[c.path]
		if restore == nil {
			if c.now != c.original {
				t.Errorf("%s is put back whatever others wrote", c.path)
			}
			continue
		}
		got, edited := restore(e.Kept, e.Now)
		if want := c.want; want == "" && (edited || string(got) != c.original) || want != "" && (!edited || string(got) != want) {
			t.Errorf("%s: of\n%s\ncame\n%s\nedited %v, want\n%s", c.path, c.now, got, edited, want)
		}
	}
}

// What a program of the host writes for zkctl and for others is put back, unless it has written for others since, before the last
// change of ours or after it.
func TestUndoOfSharedFiles(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the journal is root's")
	}
	host := remote.NewLocal("h", remote.Become{None: true})
	for _, c := range []struct {
		name, edits string // of each letter: o our rule, p another one of ours, x that of somebody else; u: our undo
		there       bool
		want        string
	}{
		{"nobody else", "op", true, "was\n"},
		{"nobody else, and nothing was there", "op", false, ""},
		{"afterwards", "opx", true, "was\nx\n"},
		{"in between", "oxp", true, "was\nx\n"},
		{"in between, where nothing was there", "oxp", false, "x\n"},
		{"before", "xo", true, "was\nx\n"},
		{"undone, and done again", "ouop", true, "was\n"},
		{"undone, and done again, where nothing was there", "ouop", false, ""},
		{"after it was undone", "ouxo", true, "was\nx\n"},
	} {
		dir := t.TempDir()
		file, journal := filepath.Join(dir, "zone"), filepath.Join(dir, "journal")
		if c.there {
			if err := os.WriteFile(file, []byte("was\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		takeBack := func() []Finding {
			undo, findings := PlanUndo("h", journalOf(t, host, journal), nil)
			if err := (Batch{Changes: undo}).Exec(t.Context(), host); err != nil {
				t.Fatal(err)
			}
			return findings
		}
		for _, rule := range c.edits {
			if rule == 'u' {
				takeBack()
				continue
			}
			change := Change{Kind: RunScript, Target: "zone", Summary: "open " + string(rule), Root: true, Saves: []string{file}, Shared: true,
				Args: []string{file, string(rule)}, Script: `echo "$2" >>"$1"`,
				Undo: &Undo{Script: `grep -vFx -- "$2" "$1" >"$1.new"; cat "$1.new" >"$1"; rm "$1.new"`, Args: []string{file, string(rule)}}}
			b := Batch{Journal: journal, Changes: []Change{change}}
			if rule == 'x' {
				change.Saves, change.Undo, b.Changes, b.Journal = nil, nil, []Change{change}, ""
			}
			if err := b.Exec(t.Context(), host); err != nil {
				t.Fatal(err)
			}
		}
		findings := takeBack()
		got, _ := os.ReadFile(file)
		if said := len(findings) > 0; string(got) != c.want || said != (strings.Contains(c.want, "x") && c.edits != "xo") {
			t.Errorf("%s: %q, want %q; %v", c.name, got, c.want, findings)
		}
	}
}

// What somebody has removed from a host since, or named otherwise, is no hindrance to an undo.
func TestUndoOfWhatIsGone(t *testing.T) {
	f := &Facts{Host: "h", Hostname: "localhost", Systemd: true, Contents: map[string][]byte{}, Units: map[string]Unit{"firewalld.service": {Loaded: true, Active: "active", Enabled: "enabled"}}}
	f.Firewall.Firewalld, f.Firewall.UFW = f.Units["firewalld.service"], "Status: active"
	f.Firewall.Nft = Nftables{Boots: true, Active: true, Ruleset: "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n"}
	f.Firewall.Nft.Config, f.Firewall.Nft.Text = "/etc/nftables.conf", f.Firewall.Nft.Ruleset
	changes, _ := PlanFirewall(f, FirewallWish{Policy: FirewallDisable, Ensemble: "lab", ClientPorts: []int{2181}})
	names, _ := PlanHostname(f, "a-name-that-no-host-has", "set")
	changes = append(changes, names...)
	if len(changes) != 4 {
		t.Fatalf("%d changes: %v", len(changes), changes)
	}
	host := remote.NewLocal("h", remote.Become{None: true})
	for _, c := range changes {
		script := "PATH=/nowhere\ncat() { read -r l <\"$1\"; echo \"$l\"; }\n" + c.Undo.Script
		if res, err := host.Run(t.Context(), remote.Command{Label: "undo", Script: script, Args: c.Undo.Args}); err != nil {
			t.Errorf("%s: %v\n%s", c.Summary, err, res.Stderr)
		}
	}
}
