package provision

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// fakeJava writes a JVM that says it has this version, under which Apache ZooKeeper is the stand-in of these tests. It
// stays the process with the command line, as a real one does.
func (s *site) fakeJava(version string) (home string) {
	s.t.Helper()
	home = filepath.Join(s.dir, "jdk-"+version)
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	for name, content := range map[string]string{"bin/java": fmt.Sprintf(`#!/bin/sh
[ "$1" != -version ] || { echo 'java version "%s"' >&2; exit; }
class=
for word; do case $word in org.apache.*) class=$word ;; esac; done
case $class in
*.Version) exit ;;
*.QuorumPeerMain) trap 'kill $!; exit 143' TERM; "%s/zkserver" --config "$word" & wait $!; exit $? ;;
esac
echo "java: $*" >&2
exit 1
`, version, home)} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(home, "zkserver")); err != nil {
		s.t.Fatal(err)
	}
	return home
}

// classicArchive writes an archive in the layout of 3.4.8.
func (s *site) classicArchive(version string) string {
	s.t.Helper()
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	w := tar.NewWriter(packed)
	top := "zookeeper-" + version + "/"
	for _, name := range []string{"bin/zkServer.sh", "conf/zoo_sample.cfg", "lib/log4j-1.2.16.jar", "lib/slf4j-log4j12-1.6.1.jar", "zookeeper-" + version + ".jar",
		"dist-maven/zookeeper-" + version + ".jar"} {
		if err := w.WriteHeader(&tar.Header{Name: top + name, Mode: 0o664, Uid: 4242, Typeflag: tar.TypeReg, Size: int64(len(name))}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			s.t.Fatal(err)
		}
	}
	file := filepath.Join(s.dir, top[:len(top)-1]+".tar.gz")
	if err := errors.Join(w.Close(), packed.Close(), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// classic makes the site one of Apache ZooKeeper 3.4.8 on an old Java.
func (s *site) classic(kind string) {
	s.extra = "zoo_cfg: {enforceQuota: true}\n"
	s.serverExtra = fmt.Sprintf("  kind: %s\n  archive: %s\n  java_home: %s\n", kind, filepath.Join(s.dir, "zookeeper-3.4.8.tar.gz"), filepath.Join(s.dir, "jdk-1.6.0_45"))
}

// The layout of 3.4.8 becomes a serving ensemble, is kept whole, and changes to zkserver and back by restarts one at a
// time.
func TestClassicApache(t *testing.T) {
	s := newSite(t, 3)
	s.fakeJava("1.6.0_45")
	s.classicArchive("3.4.8")
	s.classic("apache")
	out := s.bootstrap()
	if out.Verdict.Health != Healthy {
		t.Fatalf("verdict %+v", out.Verdict)
	}
	said := ""
	for _, e := range s.events {
		said += e.Text + "\n"
	}
	if !strings.Contains(said, "enforceQuota is left out of zoo.cfg: Apache ZooKeeper knows it since 3.7.0") {
		t.Errorf("nothing of what is left out in\n%s", said)
	}
	release, err := filepath.EvalSymlinks(filepath.Join(s.dir, "m1/install/apache"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(release, "classpath"))
	if want := "zookeeper-3.4.8.jar\nlib/log4j-1.2.16.jar\nlib/slf4j-log4j12-1.6.1.jar\n"; err != nil || string(list) != want {
		t.Errorf("class path %q, %v", list, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "m1/install/releases/.*.gz")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if again := s.bootstrap(); !again.Nothing() || s.writes() != 0 {
		t.Errorf("the second run: %d changes, restarts %v, %d writes", again.Plan.Len(), again.Restarts, s.writes())
	}
	long(t)
	// A jar that is not what it was is brought again.
	if err := os.WriteFile(filepath.Join(release, "lib/log4j-1.2.16.jar"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if mended := s.bootstrap(); mended.Restarts["m1"] != "the server changes" || len(mended.Restarts) != 1 {
		t.Errorf("a damaged jar: restarts %v", mended.Restarts)
	}
	for _, change := range [][2]string{{"zkserver", "it becomes zkserver (is Apache ZooKeeper)"}, {"apache", "it becomes Apache ZooKeeper (is zkserver)"}} {
		s.classic(change[0])
		out := s.bootstrap()
		if len(out.Restarts) != 3 || out.Restarts["m2"] != change[1] || len(out.Starts) != 0 || out.Verdict.Health != Healthy {
			t.Errorf("to %s: restarts %v, starts %v, %+v", change[0], out.Restarts, out.Starts, out.Verdict)
		}
		if again := s.bootstrap(); !again.Nothing() {
			t.Errorf("to %s, again: %d changes, restarts %v", change[0], again.Plan.Len(), again.Restarts)
		}
	}
	// A new release is unpacked beside the old one.
	s.classicArchive("3.4.14")
	s.serverExtra = strings.Replace(s.serverExtra, "3.4.8", "3.4.14", 1)
	if out := s.bootstrap(); len(out.Restarts) != 3 || out.Restarts["m3"] != "the server changes" {
		t.Errorf("another release: %v", out.Restarts)
	}
	r := s.run()
	defer r.Close()
	if _, _, err := r.Reset(t.Context(), ResetOptions{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "m?/*")); len(left) > 0 {
		t.Errorf("reset left %v", left)
	}
}

// What an Apache ZooKeeper needs of a host and does not find is said with what to do about it.
func TestApacheFindings(t *testing.T) {
	for _, c := range []struct {
		version, java, manager, policy, home string
		root                                 bool
		want, remedy                         string
	}{
		{version: "3.4.8", java: "1.6.0_45"},
		{version: "3.4.8", java: "1.5.0", manager: "yum", want: "has Java 1.5.0 (/usr/bin/java); Apache ZooKeeper 3.4.8 needs 6 or later", remedy: "name it in server.java_home"},
		{version: "3.8.0", java: "1.8.0_292"},
		{version: "3.8.0", java: "17.0.15"},
		{version: "3.8.0", java: "1.7.0", manager: "apt-get", root: true, policy: "install", want: "has Java 1.7.0", remedy: "install a later one"},
		{version: "3.5.5", manager: "apt-get", root: true, policy: "check", want: "the host has no Java; Apache ZooKeeper 3.5.5 needs 8 or later", remedy: "set server.java to install, or run `apt-get install default-jre-headless`"},
		{version: "3.5.5", manager: "dnf", root: true, policy: "install"},
		{version: "3.5.5", manager: "dnf", policy: "install", want: "has no Java", remedy: "run `dnf install java-headless` there"},
		{version: "3.5.5", root: true, policy: "install", want: "has no Java", remedy: "bring one there"},
		{version: "3.5.5", manager: "apk", root: true, policy: "install", home: "/opt/jdk", want: "server.java_home is /opt/jdk, where the host has no Java", remedy: "leave server.java_home away"},
	} {
		name := fmt.Sprintf("%s on Java %q, %s, %s, root %v", c.version, c.java, c.manager, c.policy, c.root)
		v, err := apache.ParseVersion(c.version)
		if err != nil {
			t.Fatal(err)
		}
		fields := remote.Fields{"archive.tar": {[]byte("yes")}}
		if c.java != "" {
			fields["java.version"], fields["java.path"] = [][]byte{[]byte(c.java)}, [][]byte{[]byte("/usr/bin/java")}
		}
		if c.manager != "" {
			fields["packages.manager"] = [][]byte{[]byte(c.manager)}
		}
		h := inventory.Host{Name: "a", Connection: inventory.Local, Become: inventory.Become{Method: "none"},
			Server: inventory.Server{Kind: inventory.Apache, Java: c.policy, JavaHome: c.home, User: "zookeeper"}}
		if c.root {
			h.Connection = inventory.OverSSH
		}
		m := member{Member: templates.Member{Ensemble: &inventory.Inventory{}, Host: h, Apache: templates.Apache{Version: v}},
			archive: &apache.Release{}, facts: &hostprep.Facts{Fields: fields}}
		found := m.apacheFindings()
		switch {
		case c.want == "" && len(found) > 0, c.want != "" && len(found) != 1:
			t.Errorf("%s: %v", name, found)
		case c.want != "" && (!strings.Contains(found[0].Text, c.want) || !strings.Contains(found[0].Remedy, c.remedy) || found[0].Check != "java"):
			t.Errorf("%s: %v; want %q, %q", name, found, c.want, c.remedy)
		}
		installs := c.want == "" && c.java == ""
		if plan := m.planJava(); installs != (len(plan) == 1 && strings.Contains(plan[0].Summary, c.manager+" install")) {
			t.Errorf("%s: plan %v", name, plan)
		}
	}
	old := member{Member: templates.Member{Ensemble: &inventory.Inventory{Hosts: []inventory.Host{{Name: "six", PeerAddress: "fd00::6"}}},
		Host:   inventory.Host{Name: "a", Server: inventory.Server{Kind: inventory.Apache}},
		Apache: templates.Apache{Version: apache.Version{Major: 3, Minor: 4, Patch: 8}}}, archive: &apache.Release{},
		facts: &hostprep.Facts{Fields: remote.Fields{"java.version": {[]byte("1.8.0")}}}}
	found := old.apacheFindings()
	if len(found) != 2 || !strings.Contains(found[0].Text, "tar and gzip") || !strings.Contains(found[1].Text, "IPv6 address of six") {
		t.Errorf("no tar, IPv6: %v", found)
	}
}

// Packages are installed by the program that the host has; where its lists are old or missing, they are fetched first.
func TestInstallPackage(t *testing.T) {
	for _, manager := range []string{"apt-get", "dnf", "yum", "zypper", "apk"} {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		stand := fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%s\ncase $* in *install*) [ %[1]s != apt-get ] || grep -q update %[2]s ;; esac\n", manager, log)
		if err := os.WriteFile(filepath.Join(dir, manager), []byte(stand), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", installPackage+`install_one "$1" "$2" && remove_one "$1" "$2"`, "sh", manager, "some-jre")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", manager, err, out)
		}
		said, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		want := 2
		if manager == "apt-get" {
			want = 4 // refused, lists, once more, removed
		}
		if len(lines) != want || slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, "some-jre") && !strings.Contains(l, "update") }) {
			t.Errorf("%s: %q", manager, lines)
		}
	}
}

// Debian's package zookeeper has a link for myid in the data directory, with a placeholder at its end.
func TestMyIDBehindALink(t *testing.T) {
	s := newSite(t, 1)
	data, elsewhere := filepath.Join(s.dir, "m1/data"), filepath.Join(s.dir, "conf_example/myid")
	for _, dir := range []string{data, filepath.Dir(elsewhere)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.WriteFile(elsewhere, []byte("replace this text with the id\n"), 0o644), os.Symlink(elsewhere, filepath.Join(data, "myid")))
	if err != nil {
		t.Fatal(err)
	}
	s.bootstrap()
	if id, err := os.ReadFile(elsewhere); err != nil || string(id) != "1\n" {
		t.Errorf("myid %q, %v", id, err)
	}
	if again := s.bootstrap(); !again.Nothing() {
		t.Errorf("again: %d changes: %+v", again.Plan.Len(), again.Plan)
	}
}
