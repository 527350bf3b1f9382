package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLocalRun(t *testing.T) {
	h := NewLocal("here", Become{})
	ctx := context.Background()
	for _, c := range []struct {
		name, script string
		args         []string
		stdin        string
		want         string
		code         int
	}{
		{"output", "echo hello", nil, "", "hello\n", 0},
		{"no final newline", "printf x", nil, "", "x", 0},
		{"arguments", `printf '<%s>' "$@"`, []string{"a b", "", "it's", "$HOME", "-n"}, "", "<a b><><it's><$HOME><-n>", 0},
		{"standard input", "cat", nil, "line\n\x00binary", "line\n\x00binary", 0},
		{"no standard input", "cat; echo end", nil, "", "end\n", 0},
		{"exit status", "echo out; exit 7", nil, "", "out\n", 7},
		{"set -e", "set -e; false; echo not reached", nil, "", "", 1},
		{"syntax error", "if then", nil, "", "", 2},
		{"here-document", "cat <<'E'\n$x\nE\n", nil, "", "$x\n", 0},
		{"daemon keeps the output open", "sleep 30 & echo started", nil, "", "started\n", 0},
		{"locale", `echo "$LC_ALL"`, nil, "", "C\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := h.Run(ctx, Command{Label: c.name, Script: c.script, Args: c.args, Stdin: []byte(c.stdin)})
			if string(res.Stdout) != c.want || res.ExitCode != c.code {
				t.Fatalf("got %q, status %d; want %q, %d (stderr %q, err %v)", res.Stdout, res.ExitCode, c.want, c.code, res.Stderr, err)
			}
			var exit *ExitError
			if c.code == 0 && err != nil || c.code != 0 && (!errors.As(err, &exit) || exit.Code != c.code) {
				t.Fatalf("err = %v", err)
			}
		})
	}
}

func TestLocalSignal(t *testing.T) {
	h := NewLocal("here", Become{})
	_, err := h.Run(context.Background(), Command{Label: "die", Script: "kill -KILL $$"})
	var sig *SignalError
	if !errors.As(err, &sig) || sig.Signal != "KILL" {
		t.Fatalf("err = %v", err)
	}
}

func TestLocalTimeoutKillsDescendants(t *testing.T) {
	h := NewLocal("here", Become{})
	pidFile := filepath.Join(t.TempDir(), "pid")
	_, err := h.Run(context.Background(), Command{Label: "hang", Timeout: 300 * time.Millisecond,
		Script: `( sh -c 'echo $$ >"$1"; exec sleep 1000' - "$1" ); echo done`, Args: []string{pidFile}})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "killed on the host") {
		t.Fatalf("err = %v", err)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if err == nil && !bytes.Contains(stat, []byte(") Z ")) {
		t.Fatalf("the descendant lives: %s", stat)
	}
}

func TestLocalUpload(t *testing.T) {
	h := NewLocal("here", Become{})
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "zoo.cfg")
	for _, content := range []string{"first\n", "", "second\n"} {
		if err := h.Upload(ctx, File{Path: path, Content: []byte(content), Mode: 0o640}); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(ctx, h, path, false)
		if err != nil || string(got) != content {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("zoo.cfg", link); err != nil {
		t.Fatal(err)
	}
	if err := h.Upload(ctx, File{Path: link, Content: []byte("third\n"), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(path)
	if err := h.Upload(ctx, File{Path: path, Content: []byte("fourth\n"), InPlace: true}); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(path)
	if !os.SameFile(before, after) {
		t.Error("an upload in place changed the inode")
	}
	if !after.Mode().IsRegular() || after.Mode().Perm() != 0o600 || after.Size() != 7 {
		t.Errorf("file: %v, %d bytes", after.Mode(), after.Size())
	}
	if target, err := os.Readlink(link); err != nil || target != "zoo.cfg" {
		t.Errorf("link: %q, %v", target, err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if err := h.Upload(ctx, File{Path: filepath.Join(dir, "no", "file")}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("missing directory: %v", err)
	}
	if err := h.Upload(ctx, File{Path: dir}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
}

// slowOutput delivers what a process writes late, as a slow line does.
type slowOutput struct{ launcher }

func (l slowOutput) launch(ctx context.Context, opts launchOptions) (process, error) {
	deliver := opts.stdout
	opts.stdout = func(p []byte) {
		time.Sleep(200 * time.Millisecond)
		deliver(p)
	}
	return l.launcher.launch(ctx, opts)
}

// A cancellation that comes before the host has told the process kills it nevertheless.
func TestCancelBeforeTheProcessIsKnown(t *testing.T) {
	h := NewLocal("here", Become{})
	h.launcher = slowOutput{h.launcher}
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if b, err := os.ReadFile(pidFile); err == nil && bytes.HasSuffix(b, []byte("\n")) {
				break
			}
		}
		cancel()
	}()
	_, err := h.Run(ctx, Command{Label: "hang", Script: `echo $$ >"$1"; sleep 1000`, Args: []string{pidFile}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "killed on the host") {
		t.Errorf("err = %v", err)
	}
	pid, _ := os.ReadFile(pidFile)
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("still there: %s", stat)
	}
}

// A script that paces its input gets no more than a block and a half beyond what it has taken, and in the end all of it.
func TestPacedInput(t *testing.T) {
	h := NewLocal("here", Become{})
	input := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	file := filepath.Join(t.TempDir(), "input")
	res, err := h.Run(t.Context(), Command{Label: "take it", Args: []string{file}, Stdin: input, Paced: true, Timeout: 30 * time.Second, Script: `
echo first
exec 3<&0; cat <&3 >"$1" &
# size N: waits until so much has come, and looks a little later whether it is more.
size() {
	while [ "$(stat -c %s "$1")" -lt "$2" ]; do sleep 0.01; done
	sleep 0.1
	stat -c %s "$1"
}
while [ ! -e "$1" ]; do sleep 0.01; done
size "$1" 1572864
took; size "$1" 2621440
took; took; size "$1" 4718592
took; wait
size "$1" 5242880
`})
	if want := "first\n1572864\n2621440\n4718592\n5242880\n"; err != nil || string(res.Stdout) != want {
		t.Errorf("%q, want %q: %v", res.Stdout, want, err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, input) {
		t.Errorf("%d bytes came, want %d: %v", len(got), len(input), err)
	}
	// One that takes none of it, or says so too often, ends all the same.
	for _, script := range []string{"exit 3", "while took; do :; done & sleep 0.2; kill $!; exit 3"} {
		var exit *ExitError
		if _, err := h.Run(t.Context(), Command{Label: "end", Script: script, Stdin: input, Paced: true, Timeout: time.Minute}); !errors.As(err, &exit) || exit.Code != 3 {
			t.Errorf("%s: %v", script, err)
		}
	}
}
