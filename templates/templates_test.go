package templates

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/apache"
	"github.com/zkctl/zkctl/inventory"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

const ensemble = `
name: lab
zoo_cfg: {maxClientCnxns: 100}
zoo_cfg_extra: {custom.path: 'C:\x'}
hosts:
  - {name: slave1, address: 10.0.0.12, id: 2}
  - {name: master, address: 10.0.0.11, id: 1, server: {paths: {txn_log: /log/zookeeper}}}
  - {name: far, address: "fd00::1", id: 10, role: observer, server: {ports: {metrics: 0, client: 2182}}}
`

func member(t *testing.T, name string, manager Manager) Member {
	t.Helper()
	inv, err := inventory.Parse("inventory.yaml", []byte(ensemble))
	if err != nil {
		t.Fatal(err)
	}
	return Member{Ensemble: inv, Host: *inv.Host(name), Manager: manager}
}

func TestGolden(t *testing.T) {
	master := member(t, "master", Systemd)
	supervised := member(t, "slave1", Supervisor)
	java, classic := apacheMember(t, "master", Systemd, "3.8.4"), apacheMember(t, "far", Supervisor, "3.4.8")
	java.Apache.Prometheus = true
	java.Host.Server.Logging, java.Host.Server.JVMFlags = "file", []string{"-XX:+UseG1GC", "-Dnote=it's here"}
	classic.Host.Server.JavaHome = "/opt/jdk8"
	for name, got := range map[string][]byte{
		"master.zoo.cfg":                       ZooCfg(master),
		"slave1.zoo.cfg":                       ZooCfg(supervised),
		"far.zoo.cfg":                          ZooCfg(member(t, "far", Systemd)),
		"master.myid":                          MyID(master),
		"profile.sh":                           Profile(master),
		"zookeeper.service":                    Unit(master),
		"supervisor.sh":                        SupervisorScript(supervised),
		"zkServer.systemd.sh":                  ServerScript(master),
		"zkServer.sh":                          ServerScript(supervised),
		"identity.sh":                          IdentityScript(master),
		"zkCli.sh":                             ClientScript(master),
		"sysv.sh":                              SysVScript(supervised),
		"openrc.init":                          OpenRCService(member(t, "slave1", OpenRC)),
		"launch.sh":                            SupervisorScript(member(t, "slave1", OpenRC)),
		"zkServer.openrc.sh":                   ServerScript(member(t, "slave1", OpenRC)),
		"openrc.start":                         OpenRCScript(supervised),
		"cron":                                 CronTab(supervised),
		"zkTxnLogToolkit.sh":                   tool(t, master, "zkTxnLogToolkit.sh"),
		"zkCleanup.sh":                         tool(t, master, "zkCleanup.sh"),
		"zkServer-initialize.sh":               tool(t, master, "zkServer-initialize.sh"),
		"zkSnapShotToolkit.sh":                 tool(t, master, "zkSnapShotToolkit.sh"),
		"zkSnapshotComparer.sh":                tool(t, master, "zkSnapshotComparer.sh"),
		"zkSnapshotRecursiveSummaryToolkit.sh": tool(t, master, "zkSnapshotRecursiveSummaryToolkit.sh"),
		"apache.zoo.cfg":                       ZooCfg(java),
		"apache.service":                       Unit(java),
		"apache.zkServer.sh":                   ServerScript(java),
		"apache.zkCli.sh":                      ClientScript(java),
		"apache.zookeeper-java":                Launcher(java),
		"apache.supervisor.sh":                 SupervisorScript(classic),
		"classic.zookeeper-java":               Launcher(classic),
		"classic.zoo.cfg":                      ZooCfg(classic),
		"log4j.properties":                     LogConfigs(classic)[0].Content,
		"logback.xml":                          LogConfigs(classic)[1].Content,
		"log4j-client.properties":              LogConfigs(classic)[2].Content,
		"logback-client.xml":                   LogConfigs(classic)[3].Content,
		"file.log4j.properties":                LogConfigs(java)[0].Content,
		"file.logback.xml":                     LogConfigs(java)[1].Content,
	} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s\n(go test ./templates -update rewrites it)", name, got, want)
		}
		if bytes.HasPrefix(got, []byte("#!/bin/sh")) {
			if out, err := exec.Command("sh", "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
	}
}

// apacheMember is a member that runs this version of Apache ZooKeeper.
func apacheMember(t *testing.T, name string, manager Manager, version string) Member {
	t.Helper()
	m := member(t, name, manager)
	m.Host.Server.Kind = inventory.Apache
	v, err := apache.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	m.Apache.Version = v
	return m
}

// What a version does not know, or has no jar for, is left out, and it is said why.
func TestLeftOut(t *testing.T) {
	old := apacheMember(t, "master", Systemd, "3.4.8")
	old.Host.ZooCfg["enforceQuota"] = "true"
	said := strings.Join(old.LeftOut(), "\n")
	for _, want := range []string{"enforceQuota is left out of zoo.cfg: Apache ZooKeeper knows it since 3.7.0, this is 3.4.8", "metricsProvider.httpPort is left out"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	for _, key := range []string{"enforceQuota", "etrics", "admin."} {
		if bytes.Contains(ZooCfg(old), []byte(key)) {
			t.Errorf("%s is in\n%s", key, ZooCfg(old))
		}
	}
	bare := apacheMember(t, "master", Systemd, "3.8.0")
	if said := bare.LeftOut(); len(said) != 1 || !strings.Contains(said[0], "has no jar with the Prometheus provider") || bytes.Contains(ZooCfg(bare), []byte("metricsProvider")) {
		t.Errorf("without the jar: %q", said)
	}
	bare.Apache.Prometheus = true
	if said := bare.LeftOut(); len(said) != 0 || !bytes.Contains(ZooCfg(bare), []byte("metricsProvider.httpPort=7000")) {
		t.Errorf("with the jar: %q", said)
	}
	if said := member(t, "master", Systemd).LeftOut(); len(said) != 0 {
		t.Errorf("zkserver: %q", said)
	}
}

// zkctl asks by srvr and mntr, whatever the inventory allows others.
func TestNeededWords(t *testing.T) {
	for words, want := range map[string]string{"ruok": "ruok, srvr, mntr", "mntr srvr": "mntr, srvr", "*": "*", "": "srvr, mntr"} {
		m := member(t, "master", Systemd)
		m.Host.Server.FourLetterWords = strings.Fields(words)
		if got := settingsOf(m)["4lw.commands.whitelist"]; got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

func settingsOf(m Member) map[string]string {
	all := map[string]string{}
	for _, s := range m.Settings() {
		all[s.Key] = s.Value
	}
	return all
}

// tool is the script of this name.
func tool(t *testing.T, m Member, name string) []byte {
	t.Helper()
	for _, tool := range Tools(m) {
		if filepath.Base(tool.Path) == name {
			return tool.Content
		}
	}
	t.Fatalf("no script %s", name)
	return nil
}

// The server lines are the same on every host, and rendering twice gives the same bytes.
func TestDeterministic(t *testing.T) {
	first := ZooCfg(member(t, "master", Systemd))
	for range 20 {
		if again := ZooCfg(member(t, "master", Systemd)); !bytes.Equal(first, again) {
			t.Fatalf("two renderings differ:\n%s\n%s", first, again)
		}
	}
	if a, b := servers(first), servers(ZooCfg(member(t, "far", Systemd))); a != b {
		t.Errorf("server lines differ:\n%s\n%s", a, b)
	}
}

func servers(zooCfg []byte) string {
	var lines []string
	for _, l := range strings.Split(string(zooCfg), "\n") {
		if strings.HasPrefix(l, "server.") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// Where metrics are off, nothing names a class that Apache ZooKeeper may not have.
func TestZooCfgWithoutMetrics(t *testing.T) {
	if got := ZooCfg(member(t, "far", Systemd)); bytes.Contains(got, []byte("etrics")) {
		t.Errorf("metrics are off:\n%s", got)
	}
}

// What we render the server must accept, without a warning about it: its own parser decides.
func TestServerAcceptsZooCfg(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "zkserver")
	build := exec.Command("go", "build", "-o", binary, "../cmd/zkserver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"master", "slave1", "far"} {
		m := member(t, name, Systemd)
		data := filepath.Join(dir, name)
		m.Host.Server.Paths.Data, m.Host.Server.Paths.TxnLog = data, data
		delete(m.Host.ZooCfg, "custom.path")
		if err := os.MkdirAll(data, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(data, "myid"), MyID(m), 0o644)
		config := filepath.Join(data, "zoo.cfg")
		write(t, config, ZooCfg(m), 0o644)
		out, err := exec.Command(binary, "--config", config, "--check-config").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			// The ensemble of this test has two participants, which is worth a warning.
			if !strings.Contains(line, "does not survive the loss of any participant") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

func TestGroupsInZooCfg(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`name: lab
hosts:
  - {name: a, address: 10.0.0.1, id: 11, group: 2, weight: 0}
  - {name: b, address: 10.0.0.2, id: 2, group: 1}
  - {name: c, address: 10.0.0.3, id: 3, group: 1, weight: 4}
  - {name: o, address: 10.0.0.4, id: 4, role: observer}
`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := string(ZooCfg(Member{Ensemble: inv, Host: inv.Hosts[0], Manager: Systemd}))
	if want := "observer\nserver.11=10.0.0.1:2888:3888:participant\ngroup.1=2:3\ngroup.2=11\nweight.2=1\nweight.3=4\nweight.11=0\n"; !strings.HasSuffix(cfg, want) {
		t.Errorf("zoo.cfg ends with\n%s\nwant\n%s", cfg, want)
	}
}
