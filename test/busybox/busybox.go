// Package busybox gives tests a machine like Alpine: /bin/sh is busybox's ash, and its tools come first in the path. It is not a
// whole Alpine: what busybox does not have is found as usual, and the C library is this machine's.
package busybox

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Use makes the rest of the test, and what it starts from its own goroutine, live with busybox. The test is skipped where there
// is none, or where we are not root.
func Use(t *testing.T) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs busybox, and root")
	}
	bin := t.TempDir()
	if out, err := exec.Command(busybox, "--install", "-s", bin).CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{{"", "/", syscall.MS_REC | syscall.MS_PRIVATE}, {busybox, sh, syscall.MS_BIND}} {
		if err := syscall.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			t.Skipf("no namespaces: %v", err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	// Without a terminal and with --help it names itself.
	if out, _ := exec.Command("/bin/sh", "--help").CombinedOutput(); !strings.Contains(string(out), "BusyBox") {
		t.Fatalf("/bin/sh is not busybox: %s", out)
	}
}
