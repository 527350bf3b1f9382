package templates

import (
	"errors"
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
	write(t, h.m.Supervisor(), SupervisorScript(h.m), 0o755)
	write(t, h.m.ServerScript(), ServerScript(h.m), 0o755)
	write(t, h.m.Config(), ZooCfg(h.m), 0o644)
	write(t, h.m.Log(), nil, 0o644)
	write(t, filepath.Join(h.m.Host.Server.Paths.Data, "myid"), MyID(h.m), 0o644)
	write(t, h.m.IdentityCheck(), IdentityScript(h.m), 0o755)
	for _, file := range []string{h.m.Identity(), h.m.Stamp()} {
		write(t, file, []byte("ensemble=lab\nensemble.id=1-2\nserver=1\n"), 0o644)
	}
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
	var now []byte
	h.await("a server process", func() bool {
		var err error
		now, err = os.ReadFile(h.m.PidFile())
		return err == nil && len(now) > 0 && string(now) != before
	})
	return string(now)
}

func (h *host) await(what string, come func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !come(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s does not come", what)
		}
	}
}

// answering is the part of a server that answers instead of running.
const answering = `case $1 in
--version) echo zkserver 1.2.3; exit ;;
four-letter-word) [ "$3" != 4 ] || exit 1; echo "Asked: $*"; echo 'Mode: leader'; exit ;;
*-*) case $1 in --config) ;; *) echo "$*"; exit ;; esac ;;
esac
`

func TestZkServerScript(t *testing.T) {
	h := newHost(t, answering+"exec sleep 1000\n")
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

// running is a server that goes on until it is told to stop, under its own name, and says what it was started with. It has no
// child that could outlive it: one that is told to end between fork and exec does not hear it.
const running = answering + `echo "flags: $SERVER_JVMFLAGS $JVMFLAGS, arguments: $*"
trap 'exit 0' TERM
while :; do sleep 0.05; done
`

// A zoo.cfg that zkctl knows nothing of is started and stopped as by Apache ZooKeeper's script.
func TestOwnConfiguration(t *testing.T) {
	h := newHost(t, running)
	dir := t.TempDir()
	config := filepath.Join(dir, "own.cfg")
	write(t, config, []byte("dataDir="+dir+"/data\nclientPort=3\n"), 0o644)
	pidFile := dir + "/data/zookeeper_server.pid"
	t.Cleanup(func() { h.run("stop", config) })
	t.Setenv("ZOO_LOG_DIR", dir+"/logs")
	h.expect("Stopping zookeeper ... no zookeeper to stop (could not find file "+pidFile+")\n", 0, "stop", config)
	h.expect("Starting zookeeper ... STARTED\n", 0, "start", config)
	pid, err := os.ReadFile(pidFile)
	if err != nil || len(pid) == 0 || pid[len(pid)-1] == '\n' {
		t.Fatalf("pid file %q, %v", pid, err)
	}
	h.expect("Starting zookeeper ... already running as process "+string(pid)+".\n", 1, "start", config)
	h.expect("Client port found: 3. Client address: localhost. Client SSL: false.\nMode: leader\n", 0, "status", config)
	h.expect("Stopping zookeeper ... STOPPED\n", 0, "stop", config)
	if line, err := os.ReadFile("/proc/" + string(pid) + "/cmdline"); err == nil && len(line) > 0 { // empty: dead, not buried
		t.Errorf("%q lives after stop", line)
	}
	out, err := filepath.Glob(dir + "/logs/zookeeper-*-server-*.out")
	if err != nil || len(out) != 1 {
		t.Errorf("output in %v, %v", out, err)
	}
	t.Setenv("ZOO_DATADIR_AUTOCREATE_DISABLE", "1")
	h.expect("ZooKeeper data directory is missing at "+dir+"/data fix the path or run initialize\n", 1, "start", config)
	if err := os.Mkdir(dir+"/data/version-2", 0o755); err != nil {
		t.Fatal(err)
	}
	h.expect(h.m.Server()+" --config "+config+" -Dzookeeper.datadir.autocreate=false\n", 0, "print-cmd", config)
	write(t, h.m.Server(), []byte("#!/bin/sh\nexit 2\n"), 0o755)
	h.expect("Starting zookeeper ... FAILED TO START\n", 1, "start", config)
}

// What users of a JVM set beside zoo.cfg reaches the server, however it is started.
func TestEnvironmentFiles(t *testing.T) {
	h := newHost(t, running)
	dir := filepath.Dir(h.m.Config())
	write(t, filepath.Join(dir, "java.env"), []byte("export SERVER_JVMFLAGS=-Dzookeeper.a=1\nJVMFLAGS=-Dzookeeper.b=2\n"), 0o644)
	const flags = "flags: -Dzookeeper.a=1 -Dzookeeper.b=2, arguments: --config"
	h.expect("STARTED", 0, "start")
	h.await(flags, func() bool {
		log, _ := os.ReadFile(h.m.Log())
		return strings.Contains(string(log), flags)
	})
	h.expect("STOPPED", 0, "stop")
	write(t, h.m.Server(), []byte("#!/bin/sh\necho \"flags: $SERVER_JVMFLAGS $JVMFLAGS, arguments: $*\"\n"), 0o755)
	h.expect(flags, 0, "start-foreground")
	write(t, filepath.Join(dir, "zookeeper-env.sh"), []byte("if then\n"), 0o644)
	h.expect(flags, 0, "start-foreground")
}

// status finds the client port wherever a configuration can have it.
func TestStatusFindsThePort(t *testing.T) {
	h := newHost(t, answering)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "myid"), []byte("2\n"), 0o644)
	write(t, filepath.Join(dir, "dynamic"), []byte("server.1=a:1:2:participant;5\nserver.2=b:1:2:participant;[::1]:6\n"), 0o644)
	config := filepath.Join(dir, "zoo.cfg")
	const where = "Looking for secureClientPort in the static config.\n"
	for _, c := range []struct {
		lines, port, address, secure string
	}{
		{"clientPort=7", "7", "localhost", "false"},
		{" clientPort = 7 \nclientPortAddress=::1", "7", "::1", "false"},
		{"server.1=a:1:2;3\nserver.2=b:1:2:participant;8", "8", "localhost", "false"},
		{"server.2=b:1:2;10.0.0.1:8;9", "8", "10.0.0.1", "false"},
		{"dynamicConfigFile=" + dir + "/dynamic", "6", "::1", "false"},
		{"server.2=b:1:2\nsecureClientPort=9", "9", "localhost", "true"},
		{"secureClientPort=9\nsecureClientPortAddress=10.0.0.1", "9", "10.0.0.1", "true"},
	} {
		write(t, config, []byte("dataDir="+dir+"\n"+c.lines+"\n"), 0o644)
		h.expect("Client port found: "+c.port+". Client address: "+c.address+". Client SSL: "+c.secure+".\nMode: leader\n", 0, "status", config)
	}
	write(t, config, []byte("dataDir="+dir+"\n"), 0o644)
	h.expect(where+"Unable to find either secure or unsecure client port in any configs. Terminating.\n", 1, "status", config)
	write(t, config, []byte("clientPort=4\ndataDir="+dir+"\n"), 0o644)
	h.expect("Error contacting service. It is probably not running.\n", 1, "status", config)
}

func TestTools(t *testing.T) {
	h := newHost(t, answering)
	dir := t.TempDir()
	for _, tool := range Tools(h.m) {
		write(t, tool.Path, tool.Content, 0o755)
	}
	call := func(want string, code int, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(h.m.Host.Server.Paths.Install, "bin", name), args...)
		out, err := cmd.Output()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
			t.Errorf("%s %v: exit code %d, %q, want %d, %q", name, args, got, out, code, want)
		}
	}
	call("txn-log-toolkit -d a b\n", 0, "zkTxnLogToolkit.sh", "-d", "a b")
	call("snapshot-toolkit -json x\n", 0, "zkSnapShotToolkit.sh", "-json", "x")
	call("snapshot-comparer -l x\n", 0, "zkSnapshotComparer.sh", "-l", "x")
	call("snapshot-summary x / 1\n", 0, "zkSnapshotRecursiveSummaryToolkit.sh", "x", "/", "1")
	call("purge-txn-log "+h.m.Host.Server.Paths.Data+" -n 3\n", 0, "zkCleanup.sh", "-n", "3")
	write(t, filepath.Join(dir, "zoo.cfg"), []byte("dataDir="+dir+"/d\ndataLogDir="+dir+"/l\n"), 0o644)
	call("purge-txn-log "+dir+"/l "+dir+"/d -n 3\n", 0, "zkCleanup.sh", "--config", dir, "-n", "3")

	config := "--configfile=" + filepath.Join(dir, "zoo.cfg")
	call("usage: ", 1, "zkServer-initialize.sh", "--help")
	call("Unknown option: x\nusage: ", 1, "zkServer-initialize.sh", "x")
	call("Unable to find config file at /none\n", 1, "zkServer-initialize.sh", "--configfile", "/none")
	call("No myid provided, be sure to specify it in "+dir+"/d/myid if using non-standalone\n", 0, "zkServer-initialize.sh", config)
	for _, made := range []string{"d/version-2", "l/version-2", "d/initialize"} {
		if _, err := os.Stat(filepath.Join(dir, made)); err != nil {
			t.Error(err)
		}
	}
	write(t, filepath.Join(dir, "d/version-2/log.1"), nil, 0o644)
	call("ZooKeeper data directory already exists at "+dir+"/d (or use --force to force re-initialization)\n", 1, "zkServer-initialize.sh", config)
	call("Force enabled, data/txnlog directories will be re-initialized\nUsing myid of 7\n", 0, "zkServer-initialize.sh", "--force", "--myid=7", config)
	if _, err := os.Stat(filepath.Join(dir, "d/version-2/log.1")); err == nil {
		t.Error("the old data is still there")
	}
	if id, err := os.ReadFile(filepath.Join(dir, "d/myid")); err != nil || string(id) != "7\n" {
		t.Errorf("myid is %q, %v", id, err)
	}
}

// A server is not started on data that is another's, nor on a directory without a stamp, such as one whose disk is missing.
func TestForeignDataIsRefused(t *testing.T) {
	for stamp, want := range map[string]string{
		"ensemble=lab\nensemble.id=1-2\nserver=2\n": "data belongs to server 2, this member has server 1",
		"ensemble=lab\nensemble.id=9-9\nserver=1\n": "data belongs to ensemble.id 9-9, this member has ensemble.id 1-2",
		"": "has no stamp: is its disk mounted?",
	} {
		h := newHost(t, "touch "+filepath.Join(t.TempDir(), "began")+"; sleep 60")
		if stamp == "" {
			if err := os.Remove(h.m.Stamp()); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, h.m.Stamp(), []byte(stamp), 0o644)
		}
		// To look takes its time where there is much else to do.
		check := filepath.Join(t.TempDir(), "check")
		write(t, check, IdentityScript(h.m), 0o755)
		write(t, h.m.IdentityCheck(), []byte("#!/bin/sh\nsleep 0.7\nexec "+check+"\n"), 0o755)
		h.expect("FAILED TO START", 1, "start")
		h.await("the refusal", func() bool {
			log, _ := os.ReadFile(h.m.Log())
			_, err := os.Stat(h.m.SupervisorPidFile())
			return strings.Contains(string(log), want) && errors.Is(err, os.ErrNotExist)
		})
		if log, err := os.ReadFile(h.m.Log()); err != nil || strings.Contains(string(log), "starting it again") {
			t.Errorf("log %q, %v", log, err)
		}
	}
}
