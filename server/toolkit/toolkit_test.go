package toolkit

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server/store/apache"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// directory is a directory with the files of one of those that Apache ZooKeeper wrote.
func directory(t testing.TB, name string) string {
	t.Helper()
	files, err := apache.Files(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, content := range files {
		write(t, filepath.Join(dir, filepath.Base(file)), content)
	}
	return dir
}

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// run runs a program in a directory.
func run(t testing.TB, dir, input, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(dir)
	program, ok := Find(name)
	if !ok {
		t.Fatalf("no program %s", name)
	}
	var out, err bytes.Buffer
	code = program(args, IO{In: strings.NewReader(input), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

var volatile = regexp.MustCompile(`in [0-9.]+ seconds|"timestamp":[0-9]+`)

// The output is what the programs of Apache ZooKeeper print, in the order of the names; test/interop compares them.
func TestOutput(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	dir := directory(t, "server2")
	for _, c := range []struct {
		golden, input, program, args string
		code                         int
	}{
		{golden: "log", program: "txn-log-toolkit", args: "log.300000005"},
		{golden: "log-test", program: "txn-log-toolkit", args: "--test log.300000005"},
		{golden: "log-help", program: "txn-log-toolkit", args: "-h"},
		{golden: "log-usage", program: "txn-log-toolkit", code: 1},
		{golden: "log-unknown", program: "txn-log-toolkit", args: "-q x", code: 1},
		{golden: "log-missing", program: "txn-log-toolkit", args: "none", code: 1},
		{golden: "log-no-log", program: "txn-log-toolkit", args: "snapshot.0", code: 2},
		{golden: "snapshot", program: "snapshot-toolkit", args: "snapshot.300000004"},
		{golden: "snapshot-data", program: "snapshot-toolkit", args: "-d snapshot.0"},
		{golden: "snapshot-json", program: "snapshot-toolkit", args: "-json snapshot.10000003b"},
		{golden: "snapshot-test", program: "snapshot-toolkit", args: "-test snapshot.300000004"},
		{golden: "snapshot-usage", program: "snapshot-toolkit", code: 2},
		{golden: "snapshot-both", program: "snapshot-toolkit", args: "-d -json snapshot.0", code: 2},
		{golden: "compare", program: "snapshot-comparer", args: "-l snapshot.1000000a4 -r snapshot.300000004 -b 10 -n 1"},
		{golden: "compare-debug", program: "snapshot-comparer", args: "--left=snapshot.0 --right snapshot.10000003b -b0 -n0 -d"},
		{golden: "compare-interactive", program: "snapshot-comparer", input: "\n1\n/f\n/none\nx\n99\n" + strings.Repeat("\n", 20), args: "-i -l snapshot.1000000a4 -r snapshot.300000004 -b 10 -n 1"},
		{golden: "compare-usage", program: "snapshot-comparer", args: "-l snapshot.0", code: 2},
		{golden: "summary", program: "snapshot-summary", args: "snapshot.300000004 / 0"},
		{golden: "summary-below", program: "snapshot-summary", args: "snapshot.300000004 /f 1"},
		{golden: "summary-missing", program: "snapshot-summary", args: "snapshot.300000004 /none 1", code: 1},
		{golden: "summary-usage", program: "snapshot-summary", args: "snapshot.300000004 / x", code: 2},
		{golden: "purge-usage", program: "purge-txn-log", code: 1},
		{golden: "purge-few", program: "purge-txn-log", args: ". -n 2", code: 1},
	} {
		code, stdout, stderr := run(t, dir, c.input, c.program, strings.Fields(c.args)...)
		got := volatile.ReplaceAllString(stdout, "(time)")
		if stderr != "" {
			got += "\n-- standard error --\n" + stderr
		}
		if code != c.code {
			t.Errorf("%s %s: exit code %d, want %d: %s", c.program, c.args, code, c.code, stderr)
		}
		file := filepath.Join(golden, c.golden+".txt")
		if *update {
			write(t, file, []byte(got))
		}
		if want := string(read(t, file)); got != want {
			t.Errorf("%s %s: got\n%swant\n%s", c.program, c.args, got, want)
		}
	}
}

// Every log and snapshot that Apache ZooKeeper left behind is read to its end.
func TestEveryFile(t *testing.T) {
	for _, name := range append([]string{"observer"}, apache.Names...) {
		dir := directory(t, name)
		files, err := filepath.Glob(filepath.Join(dir, "*.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			program := map[bool]string{true: "txn-log-toolkit", false: "snapshot-toolkit"}[strings.HasPrefix(filepath.Base(file), "log.")]
			if strings.HasSuffix(file, ".json") || strings.HasSuffix(file, ".jsonl") {
				continue
			}
			for _, args := range [][]string{{file}, {"-test", file}} {
				code, stdout, stderr := run(t, dir, "", program, args...)
				if code != 0 || stdout == "" || stderr != "" {
					t.Errorf("%s of %s: exit code %d, %s", program, file, code, stderr)
				}
			}
		}
	}
}

// damaged is a copy of a log with a byte of the data of its first txn changed.
func damaged(t *testing.T) (dir string, whole, broken []byte) {
	t.Helper()
	dir = directory(t, "server1")
	whole = bytes.TrimRight(read(t, filepath.Join(dir, "log.300000001")), "\x00")
	broken = bytes.Clone(whole)
	broken[bytes.Index(broken, []byte("third epoch"))] ^= 0x20
	write(t, filepath.Join(dir, "log"), broken)
	return dir, whole, broken
}

func TestRepair(t *testing.T) {
	const ask = "Would you like to fix it (Yes/No/Abort) ? "
	for _, c := range []struct {
		name, input string
		args        []string
		code        int
		stdout      string
		fixed       string // of the records
	}{
		{"all", "", []string{"-ry", "log"}, 0, "CRC FIXED - ", "1 fixed"},
		{"asked", "what\nyes\n", []string{"-r", "log"}, 0, "Third", "1 fixed"},
		{"left", "n\n", []string{"--recover", "log"}, 0, ask, "0 fixed"},
		{"aborted", "Abort\n", []string{"-r", "log"}, 0, ask, ""},
		{"no answer", "", []string{"-r", "log"}, 1, ask, ""},
		{"verbose", "", []string{"-rvy", "log"}, 0, "zxid 0x300000012", "1 fixed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _, broken := damaged(t)
			code, stdout, stderr := run(t, dir, c.input, "txn-log-toolkit", c.args...)
			if code != c.code || !strings.Contains(strings.ReplaceAll(stdout, "third", "Third"), c.stdout) || !strings.Contains(stdout, c.fixed) {
				t.Errorf("exit code %d, %s%s", code, stdout, stderr)
			}
			if c.fixed == "" {
				return
			}
			got := read(t, filepath.Join(dir, "log.fixed"))
			if len(got) != len(broken) {
				t.Fatalf("%d bytes of %d", len(got), len(broken))
			}
			code, _, _ = run(t, dir, "", "txn-log-toolkit", "-t", "log.fixed")
			if whole := code == 0; whole != (c.fixed == "1 fixed") {
				t.Errorf("the copy is whole: %v", whole)
			}
			code, _, stderr = run(t, dir, "", "txn-log-toolkit", "-ry", "log")
			if code != 1 || !strings.Contains(stderr, "Recovery file log.fixed already exists or not writable") {
				t.Errorf("a second time: exit code %d, %s", code, stderr)
			}
		})
	}
}

func TestDamagedLogs(t *testing.T) {
	dir, whole, broken := damaged(t)
	cut := func(n int) []byte { return whole[:n] }
	second := bytes.Index(whole, []byte("/epoch3-1")) - 32 - 4 - 12 // where the second record begins
	changed := func(at int, b byte) []byte {
		c := bytes.Clone(whole)
		c[at] = b
		return c
	}
	for _, c := range []struct {
		name           string
		content        []byte
		code           int
		stdout, stderr string
	}{
		{"checksum", broken, 0, "CRC ERROR - 11/22/26", ""},
		{"empty", nil, 1, "", "the file ends within its header"},
		{"half a header", cut(9), 1, "", "the file ends within its header"},
		{"no log", changed(0, 'X'), 2, "", "Invalid magic number for log"},
		{"header only", cut(16), 0, "EOF reached after 0 txns.", ""},
		{"half a record", cut(second + 20), 0, "EOF reached after 1 txns.", ""},
		{"no end of record", cut(second - 1), 1, "zxid 0x300000001", "the file ends within a record"},
		{"wrong end of record", changed(second-1, 'C'), 1, "zxid 0x300000001", "Last transaction was partial."},
		{"length", changed(second+8, 0x7f), 1, "zxid 0x300000001", "unreasonable length"},
		{"negative length", changed(second+8, 0xff), 1, "zxid 0x300000001", "unreasonable length"},
		{"type", changed(second+12+31, 99), 1, "EOF reached after 18 txns.", "1 txns cannot be read"},
	} {
		write(t, filepath.Join(dir, "log"), c.content)
		code, stdout, stderr := run(t, dir, "", "txn-log-toolkit", "log")
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || (stderr == "") != (c.stderr == "") {
			t.Errorf("%s: exit code %d, %q, %s", c.name, code, stdout, stderr)
		}
	}
}

func TestChop(t *testing.T) {
	dir, whole, broken := damaged(t)
	write(t, filepath.Join(dir, "log"), whole)
	for _, c := range []struct {
		zxid, stdout string
		records      int // of the copy
	}{
		{"0x300000004", "Chopping at 300000004 new log has 4 records\n", 4},
		{"12884901892", "Chopping at 300000004 new log has 4 records\n", 4},
		{"0x300000012", "EOF reached after 18 txns.\nGot exception: Failed to chop log\n", 18},
		{"0x200000000", "This log does not contain zxid 200000000\nGot exception: Failed to chop log\n", 0},
	} {
		code, stdout, stderr := run(t, dir, "", "txn-log-toolkit", "-c", "-z", c.zxid, "log")
		if code != 0 || stderr != "" || !strings.HasSuffix(stdout, c.stdout) {
			t.Errorf("chop at %s: exit code %d, %s%s", c.zxid, code, stdout, stderr)
		}
	}
	if got := read(t, filepath.Join(dir, "log.chopped12884901892")); !bytes.HasPrefix(whole, got) || len(got) < 100 {
		t.Errorf("the copy has %d bytes", len(got))
	}
	if code, _, stderr := run(t, dir, "", "txn-log-toolkit", "-c", "-z", "later", "log"); code != 1 || !strings.Contains(stderr, "later") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	write(t, filepath.Join(dir, "log"), broken)
	if _, stdout, _ := run(t, dir, "", "txn-log-toolkit", "-cz0x300000004", "log"); !strings.Contains(stdout, "Got exception: CRC doesn't match") {
		t.Errorf("a damaged log: %s", stdout)
	}
}

func TestDamagedSnapshots(t *testing.T) {
	dir := directory(t, "server2")
	whole := read(t, filepath.Join(dir, "snapshot.300000004"))
	changed := bytes.Clone(whole)
	changed[bytes.Index(changed, []byte("third epoch"))] ^= 0x20
	for _, c := range []struct {
		name    string
		content []byte
		dumped  bool
	}{
		{"whole", whole, true},
		{"data", changed, true},
		{"without its end", whole[:len(whole)-40], true},
		{"half", whole[:len(whole)/2], false},
		{"empty", nil, false},
		{"no snapshot", []byte("snapshot"), false},
	} {
		write(t, filepath.Join(dir, "snapshot.7"), c.content)
		code, stdout, stderr := run(t, dir, "", "snapshot-toolkit", "snapshot.7")
		if (code == 0) != c.dumped || strings.Contains(stdout, "/epoch3-0\n") != c.dumped || (stderr == "") != (c.name == "whole") {
			t.Errorf("%s: exit code %d, %d bytes, %s", c.name, code, len(stdout), stderr)
		}
		code, _, stderr = run(t, dir, "", "snapshot-toolkit", "-test", "snapshot.7")
		if (code == 0) != (c.name == "whole") || (stderr == "") != (code == 0) {
			t.Errorf("%s is tested with exit code %d, %s", c.name, code, stderr)
		}
	}
}

func TestPurge(t *testing.T) {
	parent := t.TempDir()
	if err := os.Rename(directory(t, "server3"), filepath.Join(parent, "version-2")); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, parent, "", "purge-txn-log", parent, parent, "-n", "3")
	if code != 0 || stderr != "" || strings.Count(stdout, "Removing file: ") != 19 || !strings.Contains(stdout, "\t"+parent+"/version-2/snapshot.0\n") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	left, err := filepath.Glob(filepath.Join(parent, "version-2", "[ls]*.[0-9]*"))
	if err != nil || len(left) != 7 {
		t.Errorf("left are %v", left)
	}
	if code, stdout, _ := run(t, parent, "", "purge-txn-log", parent, "-n", "3"); code != 0 || stdout != "" {
		t.Errorf("again: exit code %d, %s", code, stdout)
	}
	for _, args := range [][]string{{parent, "-n", "x"}, {parent, "-m", "3"}, {parent + "/none", "-n", "3"}, {parent, "-n"}} {
		if code, stdout, _ := run(t, parent, "", "purge-txn-log", args...); code != 1 || !strings.HasPrefix(stdout, "Usage:\n") {
			t.Errorf("%v: exit code %d, %s", args, code, stdout)
		}
	}
}

func TestOptions(t *testing.T) {
	options := []option{{short: 'a', long: "alpha"}, {short: 'b', long: "beta", hasValue: true}, {short: 'c', long: "alpine", required: true}}
	for line, want := range map[string]string{
		"-c": "", "-ac x": "a c x", "--alpha --alpine y -b 1": "a b=1 c y", "-b1 -c": "b=1 c", "-b=1 -c": "b=1 c",
		"--beta=1 -c": "b=1 c", "-beta 1 -c": "b=1 c", "--be 1 -c": "b=1 c", "-c -- -a": "c -a", "-c -": "c -",
		"-d": "Unrecognized option: -d", "--al": "Unrecognized option: --al", "-cb": "Missing argument for option: b",
		"-b -c": "Missing argument for option: b", "x": "Missing required option: c", "--alpha=1 -c": "Unrecognized option: --alpha=1",
	} {
		p, err := parseOptions(options, strings.Fields(line))
		var got []string
		for _, short := range []byte("abc") {
			if p.has(short) {
				got = append(got, strings.TrimSuffix(string(short)+"="+p.values[short], "="))
			}
		}
		text := strings.Join(append(got, p.args...), " ")
		if err != nil {
			text = err.Error()
		}
		if line == "-c" {
			want = "c"
		}
		if text != want {
			t.Errorf("%s is read as %q, want %q", line, text, want)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte{})
	files, err := apache.Files("server1")
	if err != nil {
		f.Fatal(err)
	}
	for name, content := range files {
		if strings.HasPrefix(filepath.Base(name), "log.") {
			f.Add(content[16+12 : 16+12+200])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := describe(b)
		if err == nil && len(text) > 200+40*len(b) {
			t.Errorf("%d bytes for %d", len(text), len(b))
		}
	})
}

// Whatever is in a file, the programs end, and with an exit code of theirs.
func FuzzFiles(f *testing.F) {
	for _, name := range []string{"server1", "snapshot-gz"} {
		files, err := apache.Files(name)
		if err != nil {
			f.Fatal(err)
		}
		for file, content := range files {
			if strings.Contains(file, "snapshot.0") || strings.HasSuffix(file, "log.300000001") {
				f.Add(bytes.TrimRight(content, "\x00"))
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(dir, "snapshot.5")
		write(t, name, content)
		for program, args := range map[string][]string{
			"txn-log-toolkit": {name}, "snapshot-toolkit": {name}, "snapshot-summary": {name, "/", "0"},
		} {
			run, _ := Find(program)
			var out, err bytes.Buffer
			if code := run(args, IO{In: strings.NewReader(""), Out: &out, Err: &err}); code < 0 || code > 2 || code != 0 && err.Len() == 0 {
				t.Errorf("%s: exit code %d, %s", program, code, &err)
			}
		}
	})
}
