package convert

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// Each testdata file is what a tool wrote, read by the function that its name begins with; .want is the inventory or the
// error. Every inventory must be one that zkctl takes.
func TestImports(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	only := map[string]string{
		"terraform-several-chosen.json": "zk_ips", "terraform-state.json": "aws_instance.zk*", "ansible-groups.ini": "", "ansible-no-group.ini": "database",
	}
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".want") {
			continue
		}
		tested++
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var hosts []Host
			kind, _, _ := strings.Cut(name, "-")
			switch kind {
			case "vagrant":
				hosts, err = Vagrant(text)
			case "terraform":
				hosts, err = Terraform(text, only[name])
			case "ansible":
				hosts, err = Ansible(text, only[name])
			case "addresses":
				hosts, err = Addresses(text)
			default:
				t.Fatalf("who wrote it?")
			}
			var got []byte
			if err == nil {
				got, err = Inventory(hosts, Options{Name: "lab", User: "root", Source: kind})
			}
			if err != nil {
				got = []byte("error: " + err.Error() + "\n")
			} else if _, err := inventory.Parse(name, got); err != nil {
				t.Errorf("zkctl does not take it: %v", err)
			}
			want := file + ".want"
			if *update {
				if err := os.WriteFile(want, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(expected) {
				t.Errorf("got:\n%s\nwant:\n%s\n(-update rewrites it)", got, expected)
			}
		})
	}
	if tested < 10 {
		t.Fatalf("only %d files", tested)
	}
}

func FuzzAnsible(f *testing.F) {
	f.Add([]byte("[zk]\nzk[1:3] ansible_host=10.0.0.1 x='a b'\n[zk:vars]\na={{ b }}\nb={{ a }}\n[all:children]\nzk\n"))
	f.Add([]byte("all:\n  children:\n    zk:\n      hosts:\n        a: {ansible_host: b}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if hosts, err := Ansible(text, ""); err == nil {
			Inventory(hosts, Options{Name: "x"})
		}
	})
}

func FuzzTerraform(f *testing.F) {
	f.Add([]byte(`{"a": {"value": {"zk1": "10.0.0.1"}}}`))
	f.Add([]byte(`{"version": 4, "resources": [{"type": "aws_instance", "name": "zk", "instances": [{"index_key": 0, "attributes": {"public_ip": "1.2.3.4"}}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if hosts, err := Terraform(text, ""); err == nil {
			Inventory(hosts, Options{Name: "x"})
		}
	})
}
