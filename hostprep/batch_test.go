package hostprep

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

// journalOf reads a journal back as the operation that undoes it does.
func journalOf(t *testing.T, host remote.Host, dir string) []JournalEntry {
	t.Helper()
	res, err := host.Run(t.Context(), remote.Command{Label: "read the journal", Script: remote.FieldsScript + JournalFragment(dir) + ":\n", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	fields, err := remote.ParseFields(res.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := ParseJournal(JournalName, fields)
	if err != nil {
		t.Fatal(err)
	}
	return journal
}

func rooted(cs []Change) []Change {
	for i := range cs {
		cs[i].Root = true
	}
	return cs
}

// What a batch did is taken back: bytes, modes, times, absence, and what scripts changed; whatever happened in between.
func TestBatchAndUndo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the journal is root's")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("text", "it's \"old\" $HOME `x` \\n\r\nwithout end", 0o640)
	write("inode", "SELINUX=enforcing\n", 0o644)
	write("real", "target\n", 0o600)
	write("state", "on\n", 0o644)
	if err := os.Symlink("real", at("link")); err != nil {
		t.Fatal(err)
	}
	old := map[string]os.FileInfo{}
	for _, n := range []string{"text", "inode", "real"} {
		info, err := os.Stat(at(n))
		if err != nil {
			t.Fatal(err)
		}
		old[n] = info
	}
	counter := remote.Count(remote.NewLocal("h", remote.Become{None: true}))
	changes := rooted([]Change{
		{Kind: WriteFile, Target: at("text"), Summary: "text", After: []byte("it's 'new'\\\n\n\n"), Mode: 0o755, Owner: "root"},
		{Kind: WriteFile, Target: at("inode"), Summary: "inode", After: []byte("SELINUX=disabled\n"), Mode: 0o644, InPlace: true},
		{Kind: WriteFile, Target: at("link"), Summary: "link", After: []byte(""), Mode: 0o644},
		{Kind: RunScript, Target: "dirs", Summary: "dirs", Script: `set -e; mkdir -p "$1"`, Args: []string{at("a/b/c d")}, Saves: []string{at("a/b/c d")}},
		{Kind: WriteFile, Target: at("a/b/c d/new"), Summary: "new", After: []byte("x\n")},
		{Kind: RunScript, Target: "state", Summary: "switch off", Script: `echo off >"$1"`, Args: []string{at("state")},
			Verify: `grep -q off "$1"`, Undo: &Undo{Script: `echo "$1" >"$2"`, Args: []string{"on", at("state")}}},
	})
	made := 0
	b := Batch{Journal: at("journal"), Changes: changes, Made: func(i int) {
		if i != made {
			t.Errorf("change %d was made after %d others", i, made)
		}
		made++
	}}
	if err := b.Exec(t.Context(), counter); err != nil {
		t.Fatal(err)
	}
	if made != len(changes) || counter.Writes() != 1 {
		t.Errorf("%d of %d changes in %d commands", made, len(changes), counter.Writes())
	}
	for name, want := range map[string]string{"text": "it's 'new'\\\n\n\n", "inode": "SELINUX=disabled\n", "real": "", "a/b/c d/new": "x\n", "state": "off\n"} {
		if got, err := os.ReadFile(at(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if info, _ := os.Stat(at("text")); info.Mode() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}
	if info, _ := os.Stat(at("inode")); !os.SameFile(info, old["inode"]) {
		t.Error("the inode changed")
	}
	if l, err := os.Readlink(at("link")); err != nil || l != "real" {
		t.Errorf("link: %v, %v", l, err)
	}
	// A second change keeps the first state.
	changes[0].After = []byte("newer\n")
	if err := (Batch{Journal: at("journal"), Changes: changes[:1]}).Exec(t.Context(), counter); err != nil {
		t.Fatal(err)
	}

	undo, findings := PlanUndo("h", journalOf(t, counter, at("journal")), nil)
	if len(findings) != 0 {
		t.Errorf("findings %v", findings)
	}
	if err := (Batch{Changes: undo}).Exec(t.Context(), counter); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"text": "it's \"old\" $HOME `x` \\n\r\nwithout end", "inode": "SELINUX=enforcing\n", "real": "target\n", "state": "on\n"} {
		if got, err := os.ReadFile(at(name)); err != nil || string(got) != want {
			t.Errorf("after undo: %s: %q, %v", name, got, err)
		}
		if was := old[name]; was != nil {
			info, err := os.Stat(at(name))
			if err != nil || info.Mode() != was.Mode() || info.ModTime().Unix() != was.ModTime().Unix() {
				t.Errorf("after undo: %s: %v, %v, was %v, %v", name, info.Mode(), info.ModTime(), was.Mode(), was.ModTime())
			}
		}
	}
	if info, _ := os.Stat(at("inode")); !os.SameFile(info, old["inode"]) {
		t.Error("undo changed the inode")
	}
	if _, err := os.Stat(at("a")); !os.IsNotExist(err) {
		t.Errorf("the directories are left: %v", err)
	}
}

// A journal of which the last line was cut off, by a full disk or a power cut, is read without it, and what that line was about is
// entered again.
func TestJournalThatWasCutOff(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the journal is root's")
	}
	host := remote.NewLocal("h", remote.Become{None: true})
	dir := t.TempDir()
	journal, index, a, b := filepath.Join(dir, "journal"), filepath.Join(dir, "journal/index"), filepath.Join(dir, "a"), filepath.Join(dir, "bb")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(b, "before\n")
	change := func(path string) {
		t.Helper()
		changes := []Change{{Kind: WriteFile, Target: path, Summary: "write " + path, After: []byte("after\n"), Root: true}}
		if err := (Batch{Journal: journal, Changes: changes}).Exec(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	change(a)
	change(b)
	whole, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	// Within the kind, the key, the numbers and the path of either, and before the ends of lines.
	for _, cut := range []int{0, 3, 40, last - 2, last - 1, last, last + 4, last + 5, last + 40, last + 70, last + 76, last + 90, len(whole) - 2, len(whole) - 1} {
		for again := range 2 {
			write(index, string(whole[:cut]))
			write(b, "before\n")
			want := 0
			if cut >= last || again > 0 && cut == last-1 {
				want = 1
			}
			if again > 0 {
				change(b)
				want++
			}
			got := journalOf(t, host, journal)
			ok := len(got) == want && (want == 0 || got[0].Path == a || cut < last)
			if again > 0 && ok {
				e := got[len(got)-1]
				ok = e.Path == b && string(e.Kept) == "before\n"
			}
			if !ok {
				t.Errorf("cut off after %d of %d bytes, written %d times since: %+v", cut, len(whole), again, got)
			}
		}
	}
}

// The first change that fails ends a batch; the error names it, and what came before is reported as made.
func TestBatchStopsAtAFailure(t *testing.T) {
	dir := t.TempDir()
	host := remote.NewLocal("h", remote.Become{None: true})
	for name, c := range map[string]Change{
		"a script":       {Kind: RunScript, Summary: "break it", Script: `set -e; false; touch "$1"`, Args: []string{filepath.Join(dir, "never")}},
		"a verification": {Kind: RunScript, Summary: "break it", Script: `:`, Verify: `false`},
		"a directory":    {Kind: WriteFile, Summary: "break it", Target: dir, After: []byte("x")},
		"no directory":   {Kind: WriteFile, Summary: "break it", Target: filepath.Join(dir, "no/such"), After: []byte("x")},
		"an exit":        {Kind: RunScript, Summary: "break it", Script: `exit 7`},
	} {
		t.Run(name, func(t *testing.T) {
			var made []int
			last := Change{Kind: WriteFile, Target: filepath.Join(dir, "last"), After: []byte("x")}
			b := Batch{Changes: []Change{{Kind: RunScript, Summary: "first", Script: `:`}, c, last}, Made: func(i int) { made = append(made, i) }}
			err := b.Exec(t.Context(), host)
			if err == nil || !strings.HasPrefix(err.Error(), "h: break it: exit status ") || fmt.Sprint(made) != "[0]" {
				t.Errorf("made %v, error %v", made, err)
			}
			for _, n := range []string{"never", "last"} {
				if _, err := os.Stat(filepath.Join(dir, n)); err == nil {
					t.Errorf("%s was made", n)
				}
			}
		})
	}
}

// Files that follow one another are written together: if one cannot be, none is put in its place, and the error names that one.
func TestBatchOfFilesFailsAsOne(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	host := remote.Count(remote.NewLocal("h", remote.Become{None: true}))
	file := func(name, text string) Change {
		return Change{Kind: WriteFile, Target: at(name), Summary: "write " + name, After: []byte(text), Mode: 0o640}
	}
	b := Batch{Changes: []Change{file("one", "1"), file("no/such/two", "2"), file("three", "3")}}
	if err := b.Exec(t.Context(), host); err == nil || !strings.HasPrefix(err.Error(), "h: write no/such/two: exit status 1") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	host = remote.Count(remote.NewLocal("h", remote.Become{None: true}))
	var made []int
	b = Batch{Changes: []Change{file("one", "1"), file("one.more", "it's\n\n"), file("one", "again")}, Made: func(i int) { made = append(made, i) }}
	if err := b.Exec(t.Context(), host); err != nil || fmt.Sprint(made) != "[0 1 2]" || host.Writes() != 1 {
		t.Errorf("made %v in %d scripts, error %v", made, host.Writes(), err)
	}
	for name, want := range map[string]string{"one": "again", "one.more": "it's\n\n"} {
		got, err := os.ReadFile(at(name))
		if info, _ := os.Stat(at(name)); err != nil || string(got) != want || info.Mode() != 0o640 {
			t.Errorf("%s: %q, %v, %v", name, got, info.Mode(), err)
		}
	}
}

// A file that somebody has written since it was looked at is left alone, and so are those that were to be written with it.
func TestBatchFindsAnotherFile(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		for _, name := range []string{"one", "two", "three"} {
			if err := os.WriteFile(at(name), []byte("seen "+name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := func(name string) Change {
			return Change{Kind: WriteFile, Target: at(name), Summary: "change " + name, Before: []byte("seen " + name), After: []byte("new " + name), InPlace: inPlace, Merged: true}
		}
		host := remote.NewLocal("h", remote.Become{None: true})
		for _, text := range []string{"theirs", ""} { // written, or gone
			if err := os.Remove(at("two")); err != nil && text != "" {
				t.Fatal(err)
			}
			if text != "" {
				if err := os.WriteFile(at("two"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Batch{Changes: []Change{file("two"), file("three")}}.Exec(t.Context(), host)
			if err == nil || !strings.HasPrefix(err.Error(), "h: change two: ") || !strings.Contains(err.Error(), "is not any more what it was when it was looked at") {
				t.Errorf("in place %v, error %v", inPlace, err)
			}
			if got, _ := os.ReadFile(at("two")); string(got) != text {
				t.Errorf("two is %q", got)
			}
			if got, _ := os.ReadFile(at("three")); string(got) != "seen three" {
				t.Errorf("three is %q", got)
			}
		}
		if err := (Batch{Changes: []Change{file("one"), file("three")}}).Exec(t.Context(), host); err != nil {
			t.Error(err)
		}
	}
}

// What a run that was cut off has left beside a file goes; the directory of one that is at work stays.
func TestBatchRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	others := filepath.Join(dir, fmt.Sprintf(".zkctl.%d", os.Getpid()))
	for _, d := range []string{others, filepath.Join(dir, fmt.Sprintf(".zkctl.%d", ended.Process.Pid))} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "file"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := Batch{Changes: []Change{{Kind: WriteFile, Target: filepath.Join(dir, "file"), After: []byte("whole")}}}
	if err := b.Exec(t.Context(), remote.NewLocal("h", remote.Become{None: true})); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != filepath.Base(others) || left[1].Name() != "file" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// One change of a script has its standard input, whatever is beside it.
func TestBatchWithStandardInput(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	host := remote.Count(remote.NewLocal("h", remote.Become{None: true}))
	payload := bytes.Repeat([]byte{0, '\n', 'x'}, 100_000)
	take := func(name string, in []byte) Change {
		return Change{Kind: RunScript, Summary: name, Script: `cat >"$1"`, Args: []string{at(name)}, Stdin: in}
	}
	b := Batch{Changes: []Change{take("none", nil), take("all", payload), {Kind: WriteFile, Target: at("file"), After: []byte("f")}, take("second", []byte("2"))}}
	if err := b.Exec(t.Context(), host); err != nil || host.Writes() != 2 {
		t.Errorf("%d scripts, error %v", host.Writes(), err)
	}
	for name, want := range map[string][]byte{"none": {}, "all": payload, "file": []byte("f"), "second": []byte("2")} {
		if got, err := os.ReadFile(at(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s holds %d bytes, want %d: %v", name, len(got), len(want), err)
		}
	}
}

// A batch reports in the same round trip what came of it; with a last change that no script can make, in one more.
func TestBatchLooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct {
		content string
		runs    int
	}{{"text\n", 1}, {"binary\x00", 2}} {
		counted := &countingHost{Host: remote.NewLocal("h", remote.Become{None: true})}
		seen := ""
		b := Batch{
			Changes: []Change{{Kind: WriteFile, Target: file, Summary: "write it", After: []byte(c.content)}},
			Look:    `file content "` + file + `"`,
			Seen:    func(f remote.Fields) error { seen = string(f.Bytes("content")); return nil },
		}
		if err := b.Exec(t.Context(), counted); err != nil {
			t.Fatal(err)
		}
		if seen != c.content || counted.runs+counted.uploads != c.runs {
			t.Errorf("seen %q in %d commands and %d uploads, want %q in %d", seen, counted.runs, counted.uploads, c.content, c.runs)
		}
		b.Changes[0].After, b.Changes[0].Target = []byte("other\n"), file+"/impossible"
		seen = ""
		if err := b.Exec(t.Context(), counted); err == nil || seen != "" {
			t.Errorf("a change that failed: %v, seen %q", err, seen)
		}
	}
}

type countingHost struct {
	remote.Host
	runs, uploads int
}

func (h *countingHost) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	h.runs++
	return h.Host.Run(ctx, cmd)
}

func (h *countingHost) Upload(ctx context.Context, f remote.File) error {
	h.uploads++
	return h.Host.Upload(ctx, f)
}

// A long input reaches its script as it is, whatever comes before that and whichever dd is there, and leaves nothing behind.
func TestLongInputIsPutAside(t *testing.T) {
	plain, err := exec.LookPath("dd")
	if err != nil {
		t.Skip(err)
	}
	host := remote.NewLocal("h", remote.Become{None: true})
	input := bytes.Repeat([]byte("some\x00bytes\n"), 300_000)
	for _, c := range []struct{ name, dd, journal, said string }{
		{"a dd that fills blocks", "", "state/undo", ""},
		{"one that does not", "case $* in *iflag*) exit 1 ;; esac", "state/undo", ""},
		{"no journal", "", "", ""},
		{"a full disk", "case $* in *count=1048576*) exit 1 ;; esac", "state/undo", "cannot be put aside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
			if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
				t.Fatal(err)
			}
			fake(t, "dd", c.dd+"\nexec "+plain+` "$@"`)
			journal := c.journal
			if journal != "" {
				journal = filepath.Join(dir, journal)
			}
			target := filepath.Join(dir, "target")
			err := Batch{Journal: journal, Changes: rooted([]Change{
				{Kind: RunScript, Target: "before", Summary: "read what there is", Script: `[ -z "$(cat)" ]`},
				{Kind: RunScript, Target: target, Summary: "push", Args: []string{target}, Stdin: input, Script: `cat >"$1"`},
				{Kind: WriteFile, Target: filepath.Join(dir, "file"), Summary: "write", After: []byte("text\n")},
			})}.Exec(t.Context(), host)
			if c.said != "" {
				if err == nil || !strings.Contains(err.Error(), "push") || !strings.Contains(err.Error(), c.said) {
					t.Errorf("%v", err)
				}
			} else if got, _ := os.ReadFile(target); err != nil || !bytes.Equal(got, input) {
				t.Errorf("%d bytes came, want %d: %v", len(got), len(input), err)
			}
			for _, pattern := range []string{"tmp/*", "state/zkctl.*"} {
				if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			}
		})
	}
}
