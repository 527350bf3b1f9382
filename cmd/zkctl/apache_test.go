package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/test/ensemble"
	"github.com/zkctl/zkctl/test/workload"
)

// newApache is a local ensemble that is to run Apache ZooKeeper, from the archive or the package that server names. The
// test is skipped where there is none.
func newApache(t *testing.T, server string) *local {
	t.Helper()
	l := newLocal(t)
	archive, err := ensemble.ApacheArchive(l.dir)
	if errors.Is(err, ensemble.ErrNoApache) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.edit("server: {paths:", "server: {kind: apache, heap: 128m, jvm_flags: [-XX:+UseSerialGC, -XX:TieredStopAtLevel=1], "+strings.ReplaceAll(server, "ARCHIVE", archive)+", paths:")
	return l
}

// edit replaces a part of the inventory.
func (l *local) edit(before, after string) {
	l.t.Helper()
	text, err := os.ReadFile(l.inventory)
	if err != nil {
		l.t.Fatal(err)
	}
	if !strings.Contains(string(text), before) {
		l.t.Fatalf("no %q in the inventory:\n%s", before, text)
	}
	if err := os.WriteFile(l.inventory, []byte(strings.Replace(string(text), before, after, 1)), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// kinds are the kinds and versions of the members that serve, by status.
func (l *local) kinds() string {
	l.t.Helper()
	var s struct {
		Members []struct{ Host, Kind, Version string }
	}
	if err := json.Unmarshal([]byte(l.must("status", "--json")), &s); err != nil {
		l.t.Fatal(err)
	}
	var all []string
	for _, m := range s.Members {
		all = append(all, m.Host+" "+m.Kind+" "+m.Version)
	}
	return strings.Join(all, ", ")
}

// command of Apache ZooKeeper in a member's bin.
func (l *local) script(member, name string, args ...string) string {
	l.t.Helper()
	cmd := l.command()
	cmd.Path = filepath.Join(l.dir, member, "install/bin", name)
	cmd.Args = append([]string{name}, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Errorf("%s: %s %v: %v\n%s", member, name, args, err, out)
	}
	return string(out)
}

// Apache ZooKeeper is brought to the members and operated by the same verbs as zkserver; then the ensemble becomes one of
// zkservers, member by member and on the same files, and goes back, while clients write and lose nothing.
func TestApacheAndBack(t *testing.T) {
	l := newApache(t, "archive: ARCHIVE")
	if out := l.must("bootstrap", "--dry-run"); !strings.Contains(out, "unpack Apache ZooKeeper 3.8.0") {
		t.Errorf("dry run:\n%s", out)
	}
	l.must("bootstrap")
	if got := l.kinds(); got != "m1 apache 3.8.0, m2 apache 3.8.0, m3 apache 3.8.0" {
		t.Errorf("status says %s", got)
	}
	if out := l.must("status"); !strings.Contains(out, "apache") || !strings.Contains(out, "healthy") {
		t.Errorf("status:\n%s", out)
	}
	for _, again := range []string{"bootstrap", "apply"} {
		if out := l.must(again); !strings.Contains(out, "nothing to do") {
			t.Errorf("%s again:\n%s", again, out)
		}
	}
	l.must("rolling-restart")
	if out := l.script("m1", "zkServer.sh", "status"); !regexp.MustCompile(`Mode: (leader|follower)`).MatchString(out) {
		t.Errorf("zkServer.sh status:\n%s", out)
	}
	if out := l.script("m1", "zkServer.sh", "version"); !strings.Contains(out, "3.8.0") {
		t.Errorf("zkServer.sh version:\n%s", out)
	}
	if out := l.script("m1", "zkServer.sh", "print-cmd"); !strings.Contains(out, "java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1") || !strings.Contains(out, "QuorumPeerMain "+l.dir+"/m1/conf/zoo.cfg") {
		t.Errorf("zkServer.sh print-cmd:\n%s", out)
	}
	if out := l.script("m2", "zkCli.sh", "create", "/made", "by-zkCli"); !strings.Contains(out, "Created /made") {
		t.Errorf("zkCli.sh create:\n%s", out)
	}

	load, err := workload.Start("/load", workload.Options{Writers: 3, Registers: 1, Pause: 5 * time.Millisecond, Keep: 50}, l.clients...)
	if err != nil {
		t.Fatal(err)
	}
	l.edit("kind: apache", "kind: zkserver")
	if out, code := l.ctl("plan", "--server-binary", l.server, "--detailed-exitcode"); code != exitChanges || !strings.Contains(out, "it becomes zkserver (is Apache ZooKeeper)") {
		t.Errorf("plan: exit code %d\n%s", code, out)
	}
	there := l.must("apply", "--server-binary", l.server)
	if got, want := l.kinds(), fmt.Sprintf("m1 zkserver %[1]s, m2 zkserver %[1]s, m3 zkserver %[1]s", serverVersion(t, l)); got != want {
		t.Errorf("after apply status says %s, want %s\n%s", got, want, there)
	}
	if out := l.must("apply", "--server-binary", l.server); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply again:\n%s", out)
	}
	before := load.Acknowledged()
	if err := ensemble.Until(30*time.Second, "writes go on", func() bool { return load.Acknowledged() > before+50 }); err != nil {
		t.Error(err)
	}
	l.edit("kind: zkserver", "kind: apache")
	back := l.must("apply")
	if got := l.kinds(); got != "m1 apache 3.8.0, m2 apache 3.8.0, m3 apache 3.8.0" {
		t.Errorf("back again status says %s\n%s", got, back)
	}
	if strings.Contains(back, "unpack") {
		t.Errorf("what was there was brought again:\n%s", back)
	}
	if _, there := l.keptAll(load)["/made"]; !there {
		t.Error("what was made in the beginning is gone")
	}
	l.must("reset", "--yes-i-mean", "desk")
	if left, err := filepath.Glob(filepath.Join(l.dir, "m?/*")); err != nil || len(left) != 0 {
		t.Errorf("reset left %v", left)
	}
}

// serverVersion is what the zkserver of the test says it is.
func serverVersion(t *testing.T, l *local) string {
	t.Helper()
	cmd := l.command()
	cmd.Path, cmd.Args = l.server, []string{l.server, "--version"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	return words[1]
}

// The distribution's package is used where it lies; the log goes to a file, and the heap that changes costs a restart.
func TestApachePackage(t *testing.T) {
	l := newApache(t, "package: zookeeper, logging: file")
	if out := l.must("bootstrap"); strings.Contains(out, "install the package") {
		t.Errorf("it is installed:\n%s", out)
	}
	log, err := os.ReadFile(filepath.Join(l.dir, "m1/log/zookeeper-server.log"))
	if err != nil || !strings.Contains(string(log), "QuorumPeer") {
		t.Errorf("the log: %v\n%s", err, log)
	}
	l.edit("heap: 128m", "heap: 160m")
	out := l.must("apply")
	if strings.Count(out, "has to be restarted") != 3 {
		t.Errorf("another heap:\n%s", out)
	}
	if out := l.must("apply"); !strings.Contains(out, "nothing to do") {
		t.Errorf("apply again:\n%s", out)
	}
	l.edit("tickTime: 1000", "tickTime: 1000, electionAlg: 1")
	if out, code := l.ctl("apply"); code != exitPartial || !strings.Contains(out, "FAILED TO START") || !strings.Contains(out, "Only 3 is supported") {
		t.Errorf("a setting that Apache ZooKeeper refuses: exit code %d\n%s", code, out)
	}
	l.edit(", electionAlg: 1", "")
	l.must("apply")
	if out := l.must("check", "--skip", "network,names,fsync,timesync,clock,leftovers"); !strings.Contains(out, " 0 errors, 0 warnings") {
		t.Errorf("check:\n%s", out)
	}
}

// What keeps a host from running Apache ZooKeeper is said before anything is changed, with a remedy.
func TestApacheRefusals(t *testing.T) {
	for _, c := range []struct {
		server string
		code   int
		check  string // what zkctl check says, too
		want   []string
	}{
		{"archive: ARCHIVE, java_home: /nowhere", exitUnhealthy, "server.java_home is /nowhere", []string{"m1: java: server.java_home is /nowhere", "needs 8 or later", "leave server.java_home away"}},
		{"package: no-such-zookeeper", exitUnhealthy, "have no no-such-zookeeper", []string{"m1: release: the host's packages have no no-such-zookeeper"}},
		{"archive: gone.tar.gz", exitUsage, "gone.tar.gz: no such file", []string{"server.archive: ", "gone.tar.gz: no such file", "hint: download"}},
		{"archive: inventory.yaml", exitUsage, "is no .tar.gz", []string{"is no .tar.gz", "hint: use the binary release"}},
		{"archive: ARCHIVE, version: 3.9.9", exitUsage, "holds version 3.8.0", []string{"holds version 3.8.0, and server.version is 3.9.9"}},
	} {
		l := newApache(t, c.server)
		out, code := l.ctl("bootstrap")
		for _, want := range c.want {
			if code != c.code || !strings.Contains(out, want) {
				t.Errorf("%s: exit code %d, want %d and %q\n%s", c.server, code, c.code, want, out)
			}
		}
		if out, code := l.ctl("check", "--only", "java,release"); code != exitUnhealthy || !strings.Contains(out, c.check) {
			t.Errorf("%s: check: exit code %d\n%s", c.server, code, out)
		}
		if _, err := os.Stat(filepath.Join(l.dir, "m1")); !os.IsNotExist(err) {
			t.Errorf("%s: something was changed: %v", c.server, err)
		}
	}
}
