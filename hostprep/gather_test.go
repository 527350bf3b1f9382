package hostprep

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

// The script is run on this machine, which is a host like any other.
func TestGather(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with blank")
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "version-2"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"data/myid": "7\n", "data/version-2/log.1": "", "note": "two\nlines"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port

	host := remote.Count(remote.NewLocal("here", remote.Become{None: true}))
	f, err := Gather(t.Context(), host, Wanted{
		DiskPaths: []string{filepath.Join(dir, "not", "there"), "/proc", "/"}, Ports: []int{port, 1},
		DataDirs: []string{data, "/nowhere"}, Files: []string{filepath.Join(dir, "note"), "/nowhere"},
		Contents: []string{filepath.Join(dir, "note"), "/nowhere"}, Users: []string{"root", "no-such-user"},
		Extra: []string{"field mine 'a value'", "file mine.note " + shell.Quote(filepath.Join(dir, "note")) + "; file mine.none /nowhere"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if host.Reads() != 1 || host.Writes() != 0 {
		t.Errorf("%d reads, %d writes", host.Reads(), host.Writes())
	}
	if f.OS.Kernel != "Linux" || f.Arch != runtime.GOARCH || f.IsRoot != (os.Geteuid() == 0) || f.CPUs < 1 || f.MemoryKiB < 1 {
		t.Errorf("%+v", f)
	}
	if f.Skew.Abs()-f.SkewUncertainty > time.Second {
		t.Errorf("own clock is off by %v ± %v", f.Skew, f.SkewUncertainty)
	}
	if len(f.Disks) != 2 || f.Disks[0].Path != filepath.Join(dir, "not", "there") || f.Disks[0].SizeKiB <= 0 || f.Disks[0].AvailKiB > f.Disks[0].SizeKiB ||
		f.Disks[1].Path != "/" || f.Disks[1].SizeKiB <= 0 { // that of /proc has no size
		t.Errorf("disks: %+v", f.Disks)
	}
	if len(f.Ports) != 1 || f.Ports[0].PID != os.Getpid() || f.Ports[0].Address != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("ports: %+v", f.Ports)
	}
	if len(f.Data) != 1 || f.Data[0] != (DataDir{Path: data, MyID: "7", HasData: true}) {
		t.Errorf("data: %+v", f.Data)
	}
	if st := f.Files[filepath.Join(dir, "note")]; st.Kind != "file" || st.Mode != 0o640 || st.Size != 9 || len(st.SHA256) != 64 {
		t.Errorf("file: %+v", st)
	}
	if len(f.Files) != 1 || len(f.Contents) != 1 || string(f.Contents[filepath.Join(dir, "note")]) != "two\nlines" {
		t.Errorf("files: %v, contents: %q", f.Files, f.Contents)
	}
	if a, ok := f.Accounts["root"]; !ok || a.UID != 0 || len(f.Accounts) != 1 {
		t.Errorf("accounts: %v", f.Accounts)
	}
	if got := f.Fields.Bytes("mine.note"); string(got) != "two\nlines" || f.Fields.Has("mine.none") {
		t.Errorf("extra file: %q", got)
	}
	if f.Fields.Text("mine") != "a value" {
		t.Errorf("extra: %q", f.Fields.Text("mine"))
	}
	t.Logf("clock: %v ± %v", f.Skew, f.SkewUncertainty)
}

// moving is a host on which somebody writes to the file between two looks at it, as many times as said.
type moving struct {
	remote.Host
	path  string
	times int
}

func (m *moving) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	if m.times > 0 {
		m.times--
		cmd.Script = strings.Replace(cmd.Script, "with_contents contents_of", "echo more >>"+m.path+"; with_contents contents_of", 1)
	}
	return m.Host.Run(ctx, cmd)
}

// Who finds others at work looks again, and gives up after the third time.
func TestGatherLooksAgain(t *testing.T) {
	for times, want := range map[int]error{2: nil, 3: errMoving} {
		path := filepath.Join(t.TempDir(), "note")
		if err := os.WriteFile(path, []byte("one\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		host := &moving{Host: remote.NewLocal("here", remote.Become{None: true}), path: path, times: times}
		f, err := Gather(t.Context(), host, Wanted{Files: []string{path}, Contents: []string{path}})
		if !errors.Is(err, want) {
			t.Errorf("after %d changes: %v", times, err)
		}
		if err == nil && string(f.Contents[path]) != "one\nmore\nmore\n" {
			t.Errorf("after %d changes: %q", times, f.Contents)
		}
	}
}

// Contents come as one, and a file that changes between two looks at it is no reason to take it for another.
func TestParseContents(t *testing.T) {
	sum := func(text string) string { return hexSum([]byte(text)) }
	files := map[string]remote.FileState{"/a": {SHA256: sum("one\n")}, "/b": {SHA256: sum("")}, "/c": {}}
	fields := func(all string, of ...string) remote.Fields {
		f := remote.Fields{"contents": {[]byte(all)}}
		for _, o := range of {
			_, path, _ := strings.Cut(o, " ")
			name := "content." + path
			if path == "/d" {
				name = "d"
			}
			f["contents.of"], f["contents.as"] = append(f["contents.of"], []byte(o)), append(f["contents.as"], []byte(name))
		}
		return f
	}
	all := fields("one\nthree,four", "4 /a", "0 /b", "5 /c", "5 /d")
	got, err := parseContents(all, files)
	if all.Text("d") != ",four" {
		t.Errorf("what was asked for by a name: %q", all)
	}
	if err != nil || len(got) != 3 || string(got["/a"]) != "one\n" || got["/b"] == nil || string(got["/c"]) != "three" {
		t.Errorf("%q, %v", got, err)
	}
	gone := fields("one\nthree", "4 /a", "0 /b", "5 /c")
	gone["contents.as"] = append(gone["contents.as"], []byte("content./d"))
	for name, f := range map[string]remote.Fields{
		"gone":    gone,
		"longer":  fields("one\nthree!", "4 /a", "0 /b", "5 /c"),
		"shorter": fields("one\nthre", "4 /a", "0 /b", "5 /c"),
		"other":   fields("One\nthree", "4 /a", "0 /b", "5 /c"),
		"no size": fields("one\n", "x /a"),
	} {
		if got, err := parseContents(f, files); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
