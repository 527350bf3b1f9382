package templates

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
		"openrc.start":                         OpenRCScript(supervised),
		"cron":                                 CronTab(supervised),
		"zkTxnLogToolkit.sh":                   tool(t, master, "zkTxnLogToolkit.sh"),
		"zkCleanup.sh":                         tool(t, master, "zkCleanup.sh"),
		"zkServer-initialize.sh":               tool(t, master, "zkServer-initialize.sh"),
		"zkSnapShotToolkit.sh":                 tool(t, master, "zkSnapShotToolkit.sh"),
		"zkSnapshotComparer.sh":                tool(t, master, "zkSnapshotComparer.sh"),
		"zkSnapshotRecursiveSummaryToolkit.sh": tool(t, master, "zkSnapshotRecursiveSummaryToolkit.sh"),
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
