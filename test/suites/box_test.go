//go:build suites

package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
)

// box is where a suite runs with one kind of server: namespaces of its own for network, processes and /tmp, and java.
type box struct {
	t    *testing.T
	kind ensemble.Kind
	dir  string   // for logs; its tmp is /tmp inside
	env  []string // besides that of the test
	runs int
}

// classPath has Apache ZooKeeper with all that its Netty connections need.
const classPath = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar:/usr/share/java/netty-codec.jar:" +
	"/usr/share/java/netty-resolver.jar:/usr/share/java/netty-transport-native-unix-common.jar"

func newBox(t *testing.T, kind ensemble.Kind) *box {
	t.Helper()
	if err := ensemble.HaveApache(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	need(t, "unshare", "util-linux")
	need(t, "ip", "iproute2")
	if out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("needs root, for namespaces: %s", bytes.TrimSpace(out))
	}
	b := &box{t: t, kind: kind, dir: filepath.Join(root(t), "bin", "suites", t.Name(), kind.String())}
	must(t, os.RemoveAll(b.dir))
	must(t, os.MkdirAll(filepath.Join(b.dir, "tmp"), 0o1777))
	b.set("CLASSPATH", classPath)
	if kind == ensemble.Zkserver {
		server, err := ensemble.ServerBinary()
		must(t, err)
		b.set("REAL_JAVA", realJava(t))
		b.set("ZKSERVER", server)
		b.set("PATH", filepath.Join(root(t), "test", "suites", "standin")+":"+os.Getenv("PATH"))
	}
	return b
}

// realJava is the Java virtual machine for all that is no server.
func realJava(t *testing.T) string {
	t.Helper()
	java, err := exec.LookPath("java")
	must(t, err)
	return java
}

func (b *box) set(name, value string) { b.env = append(b.env, name+"="+value) }

// enter makes the namespaces. A source tree below /tmp stays visible.
const enter = `set -e
case $ROOT/ in /tmp/*)
	mkdir -p "$BOX/tmp/${ROOT#/tmp/}"
	mount --bind "$ROOT" "$BOX/tmp/${ROOT#/tmp/}"
esac
mount --rbind "$BOX/tmp" /tmp
ip link set lo up
exec "$@"`

// run runs a command inside for at most limit and returns what it wrote to stdout. Everything that it started ends with
// it. What it wrote is kept in the directory of the box.
func (b *box) run(limit time.Duration, dir string, name string, args ...string) []byte {
	b.t.Helper()
	b.runs++
	ctx, cancel := context.WithTimeout(b.t.Context(), limit)
	defer cancel()
	// As a slave, the box lets go of what is unmounted outside: it would keep the disks of test hosts busy.
	inside := append([]string{"--mount", "--propagation", "slave", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", enter, "sh", name}, args...)
	cmd := exec.CommandContext(ctx, "unshare", inside...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(b.env, "ROOT="+root(b.t), "BOX="+b.dir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	stdout, err := os.Create(filepath.Join(b.dir, fmt.Sprint(b.runs, ".stdout")))
	must(b.t, err)
	defer stdout.Close()
	stderr, err := os.Create(filepath.Join(b.dir, fmt.Sprint(b.runs, ".stderr")))
	must(b.t, err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, stdout), stderr
	began := time.Now()
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && ctx.Err() == nil && !errors.As(err, &exit) { // a suite with a failed test does not exit with 0
		b.t.Fatalf("%v: %v", cmd, err)
	}
	b.t.Logf("%v: %s %s: %v after %v", b.kind, filepath.Base(name), strings.Join(args, " "), cmd.ProcessState, time.Since(began).Round(time.Second))
	return out.Bytes()
}

// TestBoxHoldsNoMounts: what is unmounted outside is unmounted in a box, and what a box mounts stays in it.
func TestBoxHoldsNoMounts(t *testing.T) {
	b := newBox(t, ensemble.Apache)
	dir := t.TempDir()
	disk, own := filepath.Join(dir, "disk"), filepath.Join(dir, "own")
	must(t, os.Mkdir(disk, 0o755))
	must(t, os.Mkdir(own, 0o755))
	do(t, dir, "mount", "--bind", dir, dir) // as the lab does with the directory of its hosts
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	do(t, dir, "mount", "--make-shared", dir)
	do(t, dir, "mount", "-t", "tmpfs", "disk", disk)
	t.Cleanup(func() { exec.Command("umount", "-l", disk).Run() })

	said := func(what string) bool {
		_, err := os.Stat(filepath.Join(b.dir, "tmp", what))
		return err == nil
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.run(time.Minute, dir, "sh", "-c", `mountpoint -q disk && mount -t tmpfs own own && touch /tmp/entered
			while mountpoint -q disk; do sleep 0.1; done; touch /tmp/free`)
	}()
	must(t, ensemble.Until(time.Minute, "the box runs", func() bool { return said("entered") }))
	if exec.Command("mountpoint", "-q", own).Run() == nil {
		t.Error("what the box mounted is mounted outside")
	}
	do(t, dir, "umount", disk)
	<-ended
	if !said("free") {
		t.Error("the box holds what was unmounted outside")
	}
}

// junit reads the report of a suite, which is not there if that did not come to its end.
func (b *box) junit(report string) Results {
	b.t.Helper()
	f, err := os.Open(report)
	if err != nil {
		b.t.Errorf("%v: the suite did not come to its end: %v", b.kind, err)
		return nil
	}
	defer f.Close()
	r, err := ParseJUnit(f)
	must(b.t, err)
	return r
}
