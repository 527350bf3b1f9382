package provisionbench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// run is one run of zkctl.
type run struct {
	elapsed time.Duration
	// trips are the most round trips to a host.
	trips int
	// rss is the most memory that the process had, in bytes.
	rss            int64
	stdout, stderr string
}

// zkctl runs the program, which must succeed.
func zkctl(t testing.TB, program string, args ...string) run {
	t.Helper()
	cmd := exec.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	began := time.Now()
	err := cmd.Start()
	var memory func() int64
	if err == nil {
		memory = peakMemory(cmd.Process.Pid)
		err = cmd.Wait()
	}
	r := run{elapsed: time.Since(began), stdout: stdout.String(), stderr: stderr.String()}
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		t.Fatalf("zkctl %s: %v\n%s%s", strings.Join(args, " "), err, r.stdout, r.stderr)
	}
	r.rss = memory()
	if _, steps, ok := strings.Cut(r.stderr, "took "); ok && testing.Verbose() {
		steps, _, _ = strings.Cut(steps, "\n")
		fmt.Println("    zkctl took", steps)
	}
	_, line, found := strings.Cut(r.stderr, "round trips: ")
	line, _, _ = strings.Cut(line, "\n")
	for part := range strings.SplitSeq(line, ", ") {
		_, number, ok := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if !found || !ok || err != nil {
			t.Fatalf("zkctl %s: no round trips in\n%s", strings.Join(args, " "), r.stderr)
		}
		r.trips = max(r.trips, n)
	}
	return r
}

// peakMemory watches the most memory that a process has had, until the result is asked for. (What wait4 tells begins with
// that of the process which has started it.)
func peakMemory(pid int) func() int64 {
	ended, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, line, ok := strings.Cut(string(text), "VmHWM:"); ok {
				var kib int64
				fmt.Sscan(line, &kib)
				most = max(most, kib<<10)
			}
			select {
			case <-ended:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(ended); return <-result }
}

// inventory writes an inventory of the hosts and returns its file. Beyond voters of them are observers; via has the address
// that zkctl dials for a host, where it is another one than the hosts use among themselves.
func (w *world) inventory(voters int, via map[string]string, system string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "name: bench\nssh: {user: root, config: none, identity_files: [%s], agent: false, host_key_policy: accept-new, known_hosts: [%s/known_hosts]}\n", w.key, dir)
	fmt.Fprintf(&b, "server: {ports: {metrics: 0}}\nsystem: {min_free_mib: 1%s}\nhosts:\n", system)
	for i, h := range w.hosts {
		role, address := "voter", h.address
		if i >= voters {
			role = "observer"
		}
		if via[h.address] != "" {
			address = via[h.address]
		}
		fmt.Fprintf(&b, "  - {name: %s, id: %d, role: %s, address: %s, peer_address: %s}\n", h.name, i+1, role, address, h.address)
	}
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}
