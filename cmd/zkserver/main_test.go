package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/server"
)

// TestMain lets the test binary be zkserver itself.
func TestMain(m *testing.M) {
	if os.Getenv("ZKSERVER_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "good.cfg"), "dataDir="+dir+"\nclientPort=2181\n")
	odd := writeFile(t, filepath.Join(dir, "odd.cfg"), "dataDir="+dir+"\nclientPort=2181\ntickTme=5\n")
	bad := writeFile(t, filepath.Join(dir, "bad.cfg"), "dataDir="+dir+"\nclientPort=x\ntickTime=2s\n")
	secret := writeFile(t, filepath.Join(dir, "secret.cfg"), "dataDir="+dir+"\nclientPort=2181\nssl.keyStore.passwrd=hunter2\n")
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"--version"}, 0, "zkserver dev\n", ""},
		{[]string{"--help"}, 0, help, ""},
		{[]string{"-h"}, 0, help, ""},
		{nil, 2, "", "zkserver: error: no configuration: give a file, such as --config /etc/zookeeper/zoo.cfg\nzkserver: hint: zkserver --help\n"},
		{[]string{"--port", "1"}, 2, "", "zkserver: error: flag provided but not defined: -port\nzkserver: hint: zkserver --help\n"},
		{[]string{"--config", good, good}, 2, "", "zkserver: error: too many arguments: " + good + "\nzkserver: hint: zkserver --help\n"},
		{[]string{"1", "2", "3", "4", "5"}, 2, "", "zkserver: error: too many arguments: 1 2 3 4 5\nzkserver: hint: zkserver --help\n"},
		{[]string{"2181", dir, "2s", "--check-config"}, 2, "", "zkserver: error: the command line: tickTime=2s: not a whole number; give milliseconds, such as 2000\n"},
		{[]string{"2181", dir, "2000", "0", "--check-config"}, 0, "", ""},
		{[]string{good, "--check-config", "-Dzookeeper.snapCount=1"}, 2, "",
			"zkserver: error: the command line: -Dzookeeper.snapCount=1: less than 2; give txns between snapshots, at least 2\n"},
		{[]string{"-Xmx1g", "-Dzookeeper.snapCount=10", good, "--check-config"}, 0, "",
			"zkserver: warning: the command line: -Xmx1g: flags of a JVM, which this server does without\n"},
		{[]string{good, "--log-level", "loud"}, 2, "", "zkserver: error: --log-level is \"loud\": give info or debug\nzkserver: hint: zkserver --help\n"},
		{[]string{good, "--log-format=xml"}, 2, "", "zkserver: error: --log-format is \"xml\": give text or json\nzkserver: hint: zkserver --help\n"},
		{[]string{"--config", good, "--check-config"}, 0, "", ""},
		{[]string{good, "--check-config"}, 0, "", ""},
		{[]string{"--check-config", good}, 0, "", ""},
		{[]string{odd, "--check-config"}, 0, "", "zkserver: warning: " + odd + ":3: tickTme=5: unknown key, ignored; did you mean tickTime?\n"},
		{[]string{secret, "--check-config"}, 0, "", "zkserver: warning: " + secret + ":3: ssl.keyStore.passwrd=(hidden): unknown key, ignored; did you mean ssl.keyStore.password?\n"},
		{[]string{bad, "--check-config"}, 2, "", "zkserver: error: " + bad + ":2: clientPort=x: not a whole number; give a port, such as 2181\n" +
			"zkserver: error: " + bad + ":3: tickTime=2s: not a whole number; give milliseconds, such as 2000\n"},
		{[]string{bad}, 2, "", "zkserver: error: " + bad + ":2: clientPort=x: not a whole number; give a port, such as 2181\n" +
			"zkserver: error: " + bad + ":3: tickTime=2s: not a whole number; give milliseconds, such as 2000\n"},
		{[]string{dir + "/none", "--check-config"}, 2, "", "zkserver: error: read the configuration: open " + dir + "/none: no such file or directory\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), c.args, &stdout, &stderr)
		if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("zkserver %s: exit code %d, stdout %q, stderr %q, want %d, %q, %q",
				strings.Join(c.args, " "), code, &stdout, &stderr, c.code, c.stdout, c.stderr)
		}
	}
}

// By the name of zkcli, and with the word cli, it is that.
func TestClient(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"zkserver", "zkcli"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ZKSERVER_TEST_MAIN", "1")
	for _, c := range [][]string{{"zkcli"}, {"zkserver", "cli"}} {
		cmd := exec.Command(filepath.Join(dir, c[0]), append(c[1:], "-server", "127.0.0.1:1", "version")...)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "ZooKeeper CLI version: dev\n") {
			t.Errorf("%v: %v\n%s", c, err, out)
		}
	}
	for _, words := range [][]string{nil, {"zkserver"}, {"/opt/zkcli/zkserver", "--config", "cli"}, {"zkserver", "zkcli"}} {
		if _, ok := asClient(words); ok {
			t.Errorf("%q is zkcli", words)
		}
	}
}

// The environment counts, JVMFLAGS more than SERVER_JVMFLAGS, and the command line more than both.
func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "good.cfg"), "dataDir="+dir+"\nclientPort=2181\n")
	t.Setenv("SERVER_JVMFLAGS", "-Xmx1000m -Dzookeeper.snapCount=1  -XX:+UseG1GC")
	t.Setenv("JVMFLAGS", "-Dzookeeper.forceSync=maybe")
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{good}, &stdout, &stderr); code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	want := "zkserver: error: JVMFLAGS: -Dzookeeper.forceSync=maybe: neither yes nor no; give yes or no\n" +
		"zkserver: error: SERVER_JVMFLAGS: -Dzookeeper.snapCount=1: less than 2; give txns between snapshots, at least 2\n"
	if stderr.String() != want {
		t.Errorf("got %swant %s", &stderr, want)
	}
	t.Setenv("JVMFLAGS", "-Dzookeeper.snapCount=2")
	stderr.Reset()
	code := run(context.Background(), []string{good, "-Dzookeeper.snapCount=3", "--check-config"}, &stdout, &stderr)
	want = "zkserver: warning: JVMFLAGS: -Dzookeeper.snapCount=2: given again in the command line, which counts; remove one of them\n" +
		"zkserver: warning: SERVER_JVMFLAGS: -Xmx1000m -XX:+UseG1GC: flags of a JVM, which this server does without\n" +
		"zkserver: warning: SERVER_JVMFLAGS: -Dzookeeper.snapCount=1: given again in the command line, which counts; remove one of them\n"
	if code != exitOK || stderr.String() != want {
		t.Errorf("exit code %d, %swant %s", code, &stderr, want)
	}
}

// process is a running zkserver with its own notification socket.
type process struct {
	*exec.Cmd
	port   int
	notify *net.UnixConn
	log    bytes.Buffer
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts a server; extra are further lines of zoo.cfg, with %DATA for the data directory. socket is a name for
// NOTIFY_SOCKET.
func start(t *testing.T, socket, extra string, flags ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{port: freePort(t)}
	writeFile(t, filepath.Join(dir, "myid"), "1\n")
	cfg := writeFile(t, filepath.Join(dir, "zoo.cfg"),
		fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n%s", dir, p.port, extra))
	if socket == "" {
		socket = filepath.Join(dir, "notify")
	}
	var err error
	if p.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.notify.Close() })
	p.Cmd = exec.Command(os.Args[0], append(flags, "--config", cfg)...)
	p.Env = append(os.Environ(), "ZKSERVER_TEST_MAIN=1", "NOTIFY_SOCKET="+socket)
	p.Stdout, p.Stderr = &p.log, &p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			p.Process.Kill()
			p.Wait()
		}
		if t.Failed() {
			t.Logf("%s", &p.log)
		}
	})
	return p
}

// told waits for a state that the service manager is told.
func (p *process) told(t *testing.T, want string) {
	t.Helper()
	p.notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 100)
	n, err := p.notify.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(buf[:n]); got != want {
		t.Fatalf("systemd is told %q, want %q", got, want)
	}
}

func (p *process) ask(t *testing.T, word string) string {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, word)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// ends waits for the end and checks the exit code.
func (p *process) ends(t *testing.T, code int) {
	t.Helper()
	timer := time.AfterFunc(20*time.Second, func() { p.Process.Kill() })
	defer timer.Stop()
	p.Wait()
	if got := p.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d (%v)", got, code, p.ProcessState)
	}
}

func TestServeAndStop(t *testing.T) {
	for _, c := range []struct {
		socket string
		signal os.Signal
		format string
	}{
		{"", syscall.SIGTERM, "text"},
		{fmt.Sprintf("@zkserver-test-%d", os.Getpid()), os.Interrupt, "json"},
	} {
		p := start(t, c.socket, "", "--log-format", c.format)
		p.told(t, "READY=1")
		if answer := p.ask(t, "srvr"); !strings.Contains(answer, "Mode: standalone\n") {
			t.Errorf("srvr answers %q", answer)
		}
		if answer := p.ask(t, "ruok"); answer != "ruok is not executed because it is not in the whitelist.\n" {
			t.Errorf("ruok answers %q", answer)
		}
		p.Process.Signal(c.signal)
		p.told(t, "STOPPING=1")
		p.ends(t, 0)
		if want := map[string]string{"text": "msg=stopped\n", "json": `"msg":"stopped"}` + "\n"}[c.format]; !strings.HasSuffix(p.log.String(), want) {
			t.Errorf("the log does not end with %q", want)
		}
	}
}

func TestSecondSignalLeaves(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		signals := make(chan os.Signal, 2)
		stops, code := 0, -1
		signals <- syscall.SIGTERM
		signals <- signal
		obey(signals, func() { stops++ }, func(c int) { code = c })
		if stops != 1 || code != want {
			t.Errorf("SIGTERM and %v: %d stops, exit code %d, want 1 and %d", signal, stops, code, want)
		}
	}
}

func TestMemberIsReadyWithoutQuorum(t *testing.T) {
	extra := "initLimit=5\nsyncLimit=5\n4lw.commands.whitelist=ruok, isro\n"
	for i := range 3 {
		extra += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", i+1, freePort(t), freePort(t))
	}
	p := start(t, "", extra)
	p.told(t, "READY=1")
	for word, want := range map[string]string{
		"ruok": "imok", "isro": "null", "srvr": "This ZooKeeper instance is not currently serving requests\n",
	} {
		if answer := p.ask(t, word); answer != want {
			t.Errorf("%s answers %q, want %q", word, answer, want)
		}
	}
	p.Process.Signal(syscall.SIGTERM)
	p.ends(t, 0)
}

func TestFailureIsNotRefusal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	cfg := writeFile(t, filepath.Join(dir, "zoo.cfg"),
		fmt.Sprintf("dataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%d\nadmin.enableServer=false\n", dir, l.Addr().(*net.TCPAddr).Port))
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{cfg}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit code %d with a client port in use, want %d", code, exitFailed)
	}
	if !strings.Contains(stderr.String(), "address already in use") {
		t.Errorf("stderr is %q", &stderr)
	}
}

// Failures for which Apache ZooKeeper has an exit code of its own have it here.
func TestExitCodesOfFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	election := fmt.Sprintf("initLimit=5\nsyncLimit=5\nelectionPortBindRetry=1\nserver.1=127.0.0.1:%d:%d\nserver.2=127.0.0.1:%d:%d\nserver.3=127.0.0.1:%d:%d\n",
		freePort(t), taken.Addr().(*net.TCPAddr).Port, freePort(t), freePort(t), freePort(t), freePort(t))
	for _, c := range []struct {
		lines string
		code  int
	}{
		{"datadir.autocreate=false\n", server.ExitDirectory},
		{"dataLogDir=/proc/no/such\n", server.ExitDirectory},
		{election, server.ExitQuorumPort},
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "myid"), "1\n")
		cfg := writeFile(t, filepath.Join(dir, "zoo.cfg"),
			fmt.Sprintf("dataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%d\n%s", dir, freePort(t), c.lines))
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), []string{cfg}, &stdout, &stderr); code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", c.lines, code, c.code, &stderr)
		}
	}
}

// A service manager that has gone away does not keep the server from serving.
func TestNotifySocketGone(t *testing.T) {
	n := newNotifier(filepath.Join(t.TempDir(), "none"))
	if err := n.send("READY=1"); err == nil {
		t.Error("no error from a socket that does not exist")
	}
	if err := newNotifier("").send("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

// A standalone server does not start without its AdminServer, and says so by the exit code of Apache ZooKeeper.
func TestAdminPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	cfg := writeFile(t, filepath.Join(dir, "zoo.cfg"), fmt.Sprintf("dataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%d\nadmin.serverAddress=127.0.0.1\nadmin.serverPort=%d\n",
		dir, freePort(t), l.Addr().(*net.TCPAddr).Port))
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{cfg}, &stdout, &stderr); code != server.ExitAdminServer {
		t.Errorf("exit code %d, want %d", code, server.ExitAdminServer)
	}
	if !strings.Contains(stderr.String(), "admin.enableServer=false") {
		t.Errorf("stderr is %q", &stderr)
	}
}
