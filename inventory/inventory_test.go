package inventory

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Each testdata/*.yaml is an inventory with something wrong in it; the file of the same name and suffix .want has the
// messages.
func TestRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			inv, err := Load(file)
			var got string
			switch {
			case err == nil:
				for _, w := range inv.Warnings {
					got += "warning: " + w.Error() + "\n"
				}
			default:
				var problems Problems
				if !errors.As(err, &problems) {
					t.Fatalf("error is not Problems: %v", err)
				}
				got = err.Error() + "\n"
			}
			wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s\n(go test ./inventory -update rewrites it)", got, want)
			}
		})
	}
}

func TestExampleIsTheClassicLayout(t *testing.T) {
	inv, err := Load("../inventory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Warnings) != 0 {
		t.Errorf("warnings: %v", inv.Warnings)
	}
	var names []string
	for i, h := range inv.Hosts {
		names = append(names, h.Name)
		if h.ID != i+1 || h.Role != Voter || h.Connection != OverSSH {
			t.Errorf("%s: id %d, role %s, connection %s", h.Name, h.ID, h.Role, h.Connection)
		}
		p := h.Server.Ports
		if p.Client != 2181 || p.Peer != 2888 || p.Election != 3888 {
			t.Errorf("%s: ports %+v", h.Name, p)
		}
	}
	if got := strings.Join(names, " "); got != "master slave1 slave2" {
		t.Errorf("hosts %s", got)
	}
	if got, want := inv.ConnectString(), "192.168.56.11:2181,192.168.56.12:2181,192.168.56.13:2181"; got != want {
		t.Errorf("connect string %s, want %s", got, want)
	}
	master, slave2 := inv.Host("master"), inv.Host("slave2")
	if slave2.SSH.User != "root" || slave2.SSH.Port != 2222 || master.SSH.User != "vagrant" || master.SSH.Port != 22 {
		t.Errorf("ssh: %+v and %+v", master.SSH, slave2.SSH)
	}
	if slave2.Server.Paths.Data != "/data/zookeeper" || slave2.Server.Paths.Install != "/opt/zookeeper" {
		t.Errorf("slave2 paths %+v", slave2.Server.Paths)
	}
	if slave2.ZooCfg["maxClientCnxns"] != "200" || slave2.ZooCfg["tickTime"] != "2000" || master.ZooCfg["maxClientCnxns"] != "60" {
		t.Errorf("zoo_cfg %v and %v", master.ZooCfg, slave2.ZooCfg)
	}
	if slave2.SSH.Password.Env != "ZKCTL_SSH_PASSWORD" || slave2.System.MaxSkew != 5*time.Second {
		t.Errorf("slave2 %+v %+v", slave2.SSH, slave2.System)
	}
}

// The annotated example shows every key there is: each yaml tag must occur in its text.
func TestExampleShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../inventory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range source {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(code), `yaml:"`)[1:] {
			key, _, _ := strings.Cut(part, `"`)
			if strings.HasSuffix(file, "_test.go") || key == "" {
				continue
			}
			if !strings.Contains(string(text), key+":") {
				t.Errorf("the example does not show %q", key)
			}
		}
	}
}

func TestLocalExample(t *testing.T) {
	inv, err := Load("../examples/local.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	h := inv.Host("two")
	if want := filepath.Join(root, ".demo/two/data"); h.Server.Paths.Data != want || h.Server.Paths.TxnLog != want {
		t.Errorf("paths %+v, want data %s", h.Server.Paths, want)
	}
	if h.Connection != Local || h.Become.Method != "none" || h.System.SSHKeys != "leave" || h.ClientAddress() != "127.0.0.1:21812" {
		t.Errorf("host %+v", h)
	}
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../inventory.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("name: a\nhosts: [{name: b, address: c, id: 1}]")
	f.Add("name: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := Parse("fuzz.yaml", []byte(text))
		if (inv == nil) == (err == nil) {
			t.Errorf("inventory %v with error %v", inv, err)
		}
	})
}
