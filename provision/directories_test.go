package provision

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/zkctl/zkctl/hostprep"
	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/templates"
)

// A directory that is there becomes ours, and data in it the service's, but not what others have beside our programs and files.
func TestDirectoriesThatOthersUse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const somebody = 12345
	for _, name := range []string{"install", "config", "data"} {
		must(os.Mkdir(at(name), 0o700))
		must(os.WriteFile(at(name+"/theirs"), nil, 0o600))
		must(os.Chown(at(name), somebody, somebody))
		must(os.Chown(at(name+"/theirs"), somebody, somebody))
	}
	h := inventory.Host{Name: "a", Connection: inventory.OverSSH, Server: inventory.Server{User: "nobody", Paths: inventory.Paths{
		Install: at("install"), Config: at("config"), Data: at("data"), TxnLog: at("data"), Log: at("log")}}}
	m := member{Member: templates.Member{Ensemble: &inventory.Inventory{Name: "lab"}, Host: h, Manager: templates.Systemd},
		facts: &hostprep.Facts{Accounts: map[string]hostprep.Account{"nobody": {}}}}
	err := hostprep.Batch{Changes: m.planUser("")}.Exec(t.Context(), remote.NewLocal("a", remote.Become{None: true}))
	must(err)
	owner := func(name string) uint32 {
		info, err := os.Stat(at(name))
		must(err)
		return info.Sys().(*syscall.Stat_t).Uid
	}
	for name, want := range map[string]uint32{"install": 0, "install/theirs": somebody, "config": 0, "config/theirs": somebody,
		"data": owner("data/theirs")} {
		if got := owner(name); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	if owner("data") == somebody {
		t.Error("the data is not the service's")
	}
}
