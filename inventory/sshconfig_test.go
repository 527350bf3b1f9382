package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestMain keeps the tests from the ssh_config of whoever runs them.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	systemSSHConfig = filepath.Join(home, "ssh_config")
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

const sshConfigText = `
# as people have them
Host bastion gw
  HostName bastion.example.org
  User ops
  Port 2222
  IdentityFile ~/.ssh/bastion

Host inner
  ProxyJump gw
  User inner-user

Host zk* !zk9
  User admin
  ProxyJump bastion
  IdentityFile ~/.ssh/zk_%h
  IdentityFile ${HOME}/.ssh/second
  IdentitiesOnly yes
  CertificateFile ~/.ssh/zk-cert.pub
  UserKnownHostsFile ${HOME}/.ssh/known_zk "/etc/known more"
  StrictHostKeyChecking yes
  HostKeyAlias alias-%n
  IdentityAgent ~/.agent

Host zk1
  HostName 10.0.0.11

Host zk2
  HostName %h.example.org

Host direct
  ProxyCommand nc %h %p

Match all
  Port 2200

Include more/*
`

func writeSSHConfig(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range map[string]string{".ssh/config": strings.ReplaceAll(sshConfigText, "more/", home+"/.ssh/more/"), ".ssh/more/x": "Host included\n  HostName 10.0.0.99\n"} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func parseHost(t *testing.T, ssh, host string) Host {
	t.Helper()
	inv, err := Parse("inventory.yaml", []byte("name: e\n"+ssh+"hosts:\n  - "+host+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return inv.Hosts[0]
}

func TestSSHConfig(t *testing.T) {
	home := writeSSHConfig(t)
	h := parseHost(t, "", "{name: zk1, id: 1}")
	if h.Address != "10.0.0.11" || h.PeerAddress != "10.0.0.11" {
		t.Errorf("addresses %s and %s", h.Address, h.PeerAddress)
	}
	want := SSH{
		User: "admin", Port: 2200, IdentityFiles: []string{home + "/.ssh/zk_10.0.0.11", home + "/.ssh/second"}, IdentitiesOnly: true,
		Certificates: []string{home + "/.ssh/zk-cert.pub"}, Agent: true, Jump: []string{"bastion"}, HostKeyPolicy: "strict",
		KnownHosts: []string{home + "/.ssh/known_zk", "/etc/known more"}, ConnectWait: h.SSH.ConnectWait, HostKeyAlias: "alias-zk1",
		AgentSocket: home + "/.agent", jumpsOfSSH: true, Jumps: h.SSH.Jumps,
	}
	if !reflect.DeepEqual(h.SSH, want) {
		t.Errorf("got  %+v\nwant %+v", h.SSH, want)
	}
	if len(h.SSH.Jumps) != 1 {
		t.Fatalf("jump hosts %+v", h.SSH.Jumps)
	}
	j := h.SSH.Jumps[0]
	if j.Name != "ops@bastion:2222" || j.Address != "bastion.example.org" || j.SSH.User != "ops" || j.SSH.Port != 2222 ||
		!reflect.DeepEqual(j.SSH.IdentityFiles, []string{home + "/.ssh/bastion"}) {
		t.Errorf("jump host %+v", j)
	}
}

func TestSSHConfigOrder(t *testing.T) {
	home := writeSSHConfig(t)
	// What the inventory says wins.
	h := parseHost(t, "ssh: {user: me, port: 22, identity_files: [/k], jump: [], host_key_policy: off, known_hosts: [/kh]}\n", "{name: zk1, id: 1}")
	if s := h.SSH; s.User != "me" || s.Port != 22 || s.IdentityFiles[0] != "/k" || s.IdentitiesOnly || len(s.Jumps) != 0 ||
		s.HostKeyPolicy != "off" || s.KnownHosts[0] != "/kh" || s.ProxyCommand != "" {
		t.Errorf("%+v", s)
	}
	if h := parseHost(t, "", "{name: one, address: zk2, id: 1}"); h.Address != "zk2.example.org" {
		t.Errorf("%%h: address %s", h.Address)
	}
	if h := parseHost(t, "", "{name: one, address: zk2, peer_address: 10.1.1.1, id: 1}"); h.PeerAddress != "10.1.1.1" {
		t.Errorf("peer address %s", h.PeerAddress)
	}
	if h := parseHost(t, "", "{name: included, id: 1}"); h.Address != "10.0.0.99" {
		t.Errorf("Include: address %s", h.Address)
	}
	if h := parseHost(t, "", "{name: a, address: direct, id: 1}"); h.SSH.ProxyCommand != "nc direct 2200" || h.SSH.Jumps != nil {
		t.Errorf("proxy command %q, jump hosts %v", h.SSH.ProxyCommand, h.SSH.Jumps)
	}
	if h := parseHost(t, "", "{name: a, address: zk9, id: 1}"); h.SSH.User != currentUser() || h.SSH.Jumps != nil {
		t.Errorf("a negated pattern: %+v", h.SSH)
	}
	if h := parseHost(t, "ssh: {config: none}\n", "{name: a, address: zk1, id: 1}"); h.Address != "zk1" || h.SSH.Port != 22 || h.SSH.HostKeyPolicy != "accept-new" {
		t.Errorf("config none: %+v", h)
	}
	// The host keys of a jump host are where those of its host are.
	h = parseHost(t, "ssh: {known_hosts: [/kh]}\n", "{name: a, address: 10.0.0.1, id: 1, ssh: {jump: [root@10.0.0.2]}}")
	if got := h.SSH.Jumps[0].SSH.KnownHosts; !slices.Equal(got, []string{"/kh"}) {
		t.Errorf("known_hosts of the jump host: %v", got)
	}
	// A jump host with a jump host of its own; the user of one that ssh_config does not know is the host's.
	h = parseHost(t, "ssh: {user: me}\n", "{name: a, address: 10.0.0.1, id: 1, ssh: {jump: ['inner', 'root@[fd00::1]:2022', last]}}")
	var names []string
	for _, j := range h.SSH.Jumps {
		names = append(names, j.Name)
	}
	if got := strings.Join(names, " "); got != "ops@gw:2222 inner-user@inner:2200 root@fd00::1:2022 me@last:2200" {
		t.Errorf("jump hosts %s", got)
	}
	// Another file, by the inventory and by the command line.
	other := filepath.Join(home, "other")
	if err := os.WriteFile(other, []byte("Host a\n HostName 10.9.9.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := parseHost(t, "ssh: {config: ~/other}\n", "{name: a, id: 1}"); h.Address != "10.9.9.9" {
		t.Errorf("ssh.config: address %s", h.Address)
	}
	inv, err := Options{SSHConfig: other}.Parse("x", []byte("name: e\nssh: {config: none}\nhosts: [{name: a, id: 1}]\n"))
	if err != nil || inv.Hosts[0].Address != "10.9.9.9" {
		t.Errorf("--ssh-config: %v", err)
	}
}

func TestSSHConfigProblems(t *testing.T) {
	home := writeSSHConfig(t)
	broken := filepath.Join(home, "broken")
	for path, text := range map[string]string{broken: "Host *\n  Port 22\n Include " + home + "/worse\n", filepath.Join(home, "worse"): "Match exec true\n", filepath.Join(home, "loop"): "Host a\n ProxyJump b\nHost b\n ProxyJump a\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ssh, want := range map[string]string{
		"ssh: {config: " + broken + "}\n":               "Match Exec is not supported",
		"ssh: {config: /no/such/file}\n":                "no such file",
		"ssh: {jump: ['a b']}\n":                        "must be [user@]host[:port]",
		"ssh: {jump: ['a:99999']}\n":                    "is no port",
		"ssh: {jump: [a], proxy_command: x}\n":          "give one",
		"ssh: {config: " + home + "/loop, jump: [a]}\n": "do they lead to each other",
	} {
		_, err := Parse("i.yaml", []byte("name: e\n"+ssh+"hosts:\n  - {name: z, address: 10.0.0.1, id: 1}\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "i.yaml:") {
			t.Errorf("%s: %v", ssh, err)
		}
	}
	// The user's own file is no fault of the inventory.
	if err := os.Rename(broken, filepath.Join(home, ".ssh/config")); err != nil {
		t.Fatal(err)
	}
	inv, err := Parse("i.yaml", []byte("name: e\nhosts:\n  - {name: a, address: 10.0.0.1, id: 1}\n  - {name: b, address: 10.0.0.2, id: 2}\n  - {name: c, address: 10.0.0.3, id: 3}\n"))
	if err != nil || len(inv.Warnings) != 1 || !strings.Contains(inv.Warnings[0].Text, "Match Exec") {
		t.Errorf("%v, %v", inv, err)
	}
	if _, err := Parse("i.yaml", []byte("name: e\nhosts:\n  - {name: a, id: 1}\n")); err == nil || !strings.Contains(err.Error(), "has no address, and what may have it cannot be read: ") || !strings.Contains(err.Error(), "Match Exec") {
		t.Errorf("%v", err)
	}
}

// The file of all users comes after the user's own, with -F not at all; what it includes may be beyond us.
func TestSystemSSHConfig(t *testing.T) {
	home := writeSSHConfig(t)
	system := systemSSHConfig
	defer func() { systemSSHConfig = system }()
	systemSSHConfig = filepath.Join(home, "ssh_config")
	text := "Include " + home + "/fedora\nHost zk* plain\n  User everybody\n  ProxyJump corporate\n  IdentityFile /etc/key\n"
	for name, text := range map[string]string{"ssh_config": text, "fedora": "Match final all\n  Port 7\n", "own": "Host plain\n  HostName 10.0.0.7\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if h := parseHost(t, "", "{name: zk1, id: 1}"); h.SSH.User != "admin" || !slices.Equal(h.SSH.Jump, []string{"bastion"}) || len(h.SSH.IdentityFiles) != 3 {
		t.Errorf("%+v", h.SSH)
	}
	if h := parseHost(t, "", "{name: plain, address: 10.0.0.7, id: 1}"); h.SSH.User != currentUser() || h.SSH.Jumps != nil {
		t.Errorf("by its address: %+v", h.SSH)
	}
	if h := parseHost(t, "", "{name: x, address: plain, id: 1}"); h.SSH.User != "everybody" || len(h.SSH.Jumps) != 1 || h.SSH.Jumps[0].Address != "corporate" {
		t.Errorf("by the system's: %+v", h.SSH)
	}
	if h := parseHost(t, "ssh: {config: "+home+"/own}\n", "{name: plain, id: 1}"); h.Address != "10.0.0.7" || h.SSH.Jumps != nil {
		t.Errorf("another file: %+v", h.SSH)
	}
}

// Of Match only what the host's name decides is understood. What else it says counts for no host, and spoils nothing.
func TestMatch(t *testing.T) {
	home := writeSSHConfig(t)
	text := `
Match originalhost zk1,zk2
  User one
Match host "zk3" exec "test -e /nowhere"
  User two
  ProxyJump nowhere
match  Host  zk3
  HostName 10.0.0.3
  StrictHostKeyChecking ask
  UserKnownHostsFile none
Match user root
  Port 1
Host zk*
  HostName 10.0.0.9
  User three
Match final all # RHEL
  Port 2022
`
	if err := os.WriteFile(filepath.Join(home, ".ssh/config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, err := Parse("i.yaml", []byte("name: e\nhosts:\n  - {name: zk1, id: 1}\n  - {name: zk3, id: 2}\n  - {name: zk5, address: 10.0.0.5, id: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if h := inv.Hosts[0]; h.Address != "10.0.0.9" || h.SSH.User != "one" || h.SSH.Port != 2022 || h.SSH.HostKeyPolicy != "accept-new" {
		t.Errorf("%s %+v", h.Address, h.SSH)
	}
	if h := inv.Hosts[1]; h.Address != "10.0.0.3" || h.SSH.User != "three" || h.SSH.Jumps != nil || h.SSH.HostKeyPolicy != "ask" || !slices.Equal(h.SSH.KnownHosts, []string{os.DevNull}) {
		t.Errorf("%s %+v", h.Address, h.SSH)
	}
	var warned []string
	for _, w := range inv.Warnings {
		warned = append(warned, strings.TrimPrefix(w.Text, filepath.Join(home, ".ssh/config")))
	}
	if want := []string{`:4: Match host "zk3" exec "test -e /nowhere": is not known here: what follows it is left out`, `:11: Match user root: is not known here: what follows it is left out`}; !slices.Equal(warned, want) {
		t.Errorf("%q", warned)
	}
}

func TestSeveralEnsembles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two := write("two.yaml", "name: a\nhosts: [{name: z, address: 10.0.0.1, id: 1}]\n---\nname: b\nhosts: [{name: z, address: 10.0.0.2, id: 1}]\n---\n")
	write("three.yml", "name: c\nhosts: [{name: z, address: 10.0.0.3, id: 1}]\n")
	write("notes.txt", "not an inventory")
	var several *SeveralError
	if _, err := Load(two); !errors.As(err, &several) || strings.Join(several.Names, " ") != "a b" || several.Hint() == "" {
		t.Errorf("one of two: %v", err)
	}
	all, err := Options{}.LoadAll(dir)
	if err != nil || len(all) != 3 || all[0].Name != "c" || all[2].Name != "b" || all[2].File != two {
		t.Fatalf("%v %v", all, err)
	}
	// Members of two ensembles on one machine share nothing.
	write("three.yml", "name: b\nhosts: [{name: y, address: 10.0.0.1, id: 1, server: {ports: {client: 2182}}}]\n")
	_, err = Options{}.LoadAll(dir)
	for _, want := range []string{"the name b is already", "server.ports.peer is 2888, the same port as y", "server.paths.data"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := (Options{}).LoadAll(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no file *.yaml") {
		t.Errorf("an empty directory: %v", err)
	}
}
