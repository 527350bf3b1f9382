package templates

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/inventory"
)

// host is a directory laid out like a host without systemd, with stand-ins for the binaries.
type host struct {
	t *testing.T
	m Member
}

func newHost(t *testing.T, server string) *host {
	t.Helper()
	dir := t.TempDir()
	inv, err := inventory.Parse(filepath.Join(dir, "inventory.yaml"), []byte(`
name: lab
connection: local
server: {paths: {data: data, install: install, config: conf, log: log}, ports: {client: 29999}}
hosts: [{name: one, id: 1}]
`))
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t, Member{Ensemble: inv, Host: inv.Hosts[0], Manager: Supervisor}}
	write(t, h.m.Server(), []byte("#!/bin/sh\n"+server), 0o755)
	write(t, h.m.Client(), []byte("#!/bin/sh\necho 'Mode: leader'\n"), 0o755)
	write(t, h.m.Supervisor(), SupervisorScript(h.m), 0o755)
	write(t, h.m.ServerScript(), ServerScript(h.m), 0o755)
	write(t, h.m.Config(), ZooCfg(h.m), 0o644)
	write(t, h.m.Log(), nil, 0o644)
	write(t, filepath.Join(h.m.Host.Server.Paths.Data, "myid"), MyID(h.m), 0o644)
	t.Cleanup(func() { h.run("stop") })
	return h
}

// run calls zkServer.sh and returns standard output and exit code.
func (h *host) run(args ...string) (string, int) {
	h.t.Helper()
	cmd := exec.Command(h.m.ServerScript(), args...)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (h *host) expect(output string, code int, args ...string) {
	h.t.Helper()
	out, got := h.run(args...)
	if got != code || !strings.Contains(out, output) {
		h.t.Errorf("zkServer.sh %s: status %d, output %q; want %d, %q", strings.Join(args, " "), got, out, code, output)
	}
}

// pid returns the process id in the pid file once it is another one than before.
func (h *host) pid(before string) string {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(h.m.PidFile()); err == nil && len(b) > 0 && string(b) != before {
			return string(b)
		}
	}
	h.t.Fatal("no server process appeared")
	return ""
}

func TestZkServerScript(t *testing.T) {
	h := newHost(t, "case $1 in --version) echo zkserver 1.2.3; exit;; esac\nexec sleep 1000\n")
	h.expect("no zookeeper to stop", 0, "stop")
	h.expect("Starting zookeeper ... STARTED", 0, "start")
	first := h.pid("")
	h.expect("already running as process "+first, 1, "start")
	h.expect("Mode: leader", 0, "status")
	h.expect("Client port found: 29999. Client address: localhost. Client SSL: false.", 0, "status")
	h.expect("zkserver 1.2.3", 0, "version")
	h.expect("Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED", 0, "restart")
	second := h.pid(first)
	h.expect("STOPPED", 0, "stop")
	if err := exec.Command("kill", "-0", second).Run(); err == nil {
		t.Errorf("process %s lives after stop", second)
	}
	if _, err := os.Stat(h.m.SupervisorPidFile()); err == nil {
		t.Error("the supervisor's pid file is left behind")
	}
}

func TestSupervisorRestartsAKilledServer(t *testing.T) {
	h := newHost(t, "exec sleep 1000\n")
	h.expect("STARTED", 0, "start")
	first := h.pid("")
	if out, err := exec.Command("kill", "-KILL", first).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.pid(first)
	log, err := os.ReadFile(h.m.Log())
	if err != nil || !strings.Contains(string(log), "ended with status 137") {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestRefusedConfigurationIsNotRetried(t *testing.T) {
	h := newHost(t, "echo refused; exit 2\n")
	h.expect("FAILED TO START", 1, "start")
	log, err := os.ReadFile(h.m.Log())
	if err != nil || strings.Count(string(log), "refused") != 1 {
		t.Errorf("log %q, %v", log, err)
	}
}

// Who may not start and stop the server is told so, instead of that no server runs.
func TestStopNeedsPermission(t *testing.T) {
	for _, manager := range []Manager{Systemd, Supervisor} {
		h := newHost(t, "exec sleep 1000\n")
		h.expect("STARTED", 0, "start")
		h.m.Manager, h.m.Host.Connection, h.m.Host.Server.User = manager, inventory.OverSSH, "nobody"
		script := filepath.Join(t.TempDir(), "zkServer.sh")
		// A stand-in for id makes the caller an ordinary user.
		text := "id() { case $1 in -u) echo 12345 ;; *) echo alice ;; esac; }\n" + string(ServerScript(h.m))
		write(t, script, []byte(text), 0o755)
		for _, verb := range []string{"start", "stop", "restart"} {
			out, err := exec.Command("sh", script, verb).Output()
			if err == nil || !strings.Contains(string(out), "not permitted for alice: sudo "+script+" "+verb) {
				t.Errorf("%s, %s: %q, %v", manager, verb, out, err)
			}
		}
	}
}

// A pid file that a power cut left behind names a process that is somebody else now.
func TestStalePidFile(t *testing.T) {
	h := newHost(t, "exec sleep 1000\n")
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Process.Signal(syscall.SIGKILL); err != nil {
			t.Errorf("the other process was stopped: %v", err)
		}
		other.Wait()
	}()
	write(t, h.m.SupervisorPidFile(), []byte(strconv.Itoa(other.Process.Pid)), 0o644)
	h.expect("no zookeeper to stop", 0, "stop")
	h.expect("STARTED", 0, "start")
}
