//go:build lab

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusal is a host that a bootstrap refuses: what is said must name the host, the cause and what to do about it.
type refusal struct {
	name     string
	variants []string
	rewrite  []string // of the inventory: pairs of old and new text
	code     int
	cause    []string
	remedy   string
}

// asVagrant logs in as a user with sudo.
var asVagrant = []string{"user: root", "user: vagrant"}

var refusals = []refusal{
	{"a read-only file system", []string{"read-only"}, nil, 1, []string{"ead-only"}, ""},
	{"a full disk", []string{"full-disk"}, nil, 3, []string{"0 MiB free"}, "free some space"},
	{"another ensemble's data", []string{"foreign-data"}, nil, 3, []string{"/var/lib/zookeeper"}, ""},
	{"a hosts file that cannot be written", []string{"immutable-hosts"}, nil, 8, []string{"/etc/hosts"}, ""},
	{"closed ports", []string{"closed-ports"}, nil, 3, []string{"2888"}, ""},
	{"keys are not taken", []string{"password-only"}, nil, 5, []string{"log in as root", "login refused: offered key"}, "authorized_keys"},
	{"a shell that runs nothing", []string{"nologin"}, asVagrant, 5, []string{"no usable shell", "not available"}, "nologin"},
	{"an expired password", []string{"expired"}, asVagrant, 5, []string{"password has expired"}, "change it"},
	{"sudo wants a password", []string{"sudo-password"}, asVagrant, 5, []string{"sudo wants a password"}, "give the become password"},
	{"doas wants a password", []string{"doas-password"}, asVagrant, 5, []string{"doas wants a password"}, "doas.conf"},
	{"a wrong sudo password", []string{"sudo-password"}, wrongPassword, 5, []string{"sudo refused the password"}, "no second attempt"},
	{"a wrong doas password", []string{"doas-password"}, wrongPassword, 5, []string{"doas refused the password"}, "no second attempt"},
	{"another host key", []string{"new-host-key"}, nil, 5, []string{"host key not accepted", "known_hosts:"}, "ssh-keygen -R"},
}

// wrongPassword is asVagrant with a password that is none.
var wrongPassword = append([]string{"\nhosts:", "\nbecome: {password: {env: WRONG_PASSWORD}}\nhosts:"}, asVagrant...)

// TestDifficultHosts is the table of docs/hosts.md: hosts as they are found in the field, on one session of the lab.
func TestDifficultHosts(t *testing.T) {
	h := bare(t, "ZKCTL_LAB_INIT=systemd")
	plain, err := os.ReadFile(h.inventory)
	must(t, err)
	t.Setenv("WRONG_PASSWORD", "guess")
	known := filepath.Join(h.outDir(), "known_hosts")
	// One look at all of them, so that their keys are on record.
	h.must("keys", "list")
	for _, c := range refusals {
		h.step(t, c.name, func(t *testing.T, h *hosts) {
			must(t, os.WriteFile(h.inventory, plain, 0o600))
			h.rewrite(c.rewrite...)
			h.lab(append([]string{"variant", "slave1"}, c.variants...)...)
			defer h.lab("variant", "slave1", "plain")
			r := h.ctl("bootstrap", "--wait-timeout", "20s")
			if r.code == 0 || c.code != 0 && r.code != c.code {
				t.Errorf("want exit code %d: %v", c.code, r)
			}
			for _, want := range append([]string{"slave1"}, c.cause...) {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("no %q in the refusal: %v", want, r)
				}
			}
			// Findings have their remedies in brackets, errors have a hint.
			if !strings.Contains(r.stderr, c.remedy) || !strings.Contains(r.stderr, "hint: ") && !strings.Contains(r.stderr, " (") {
				t.Errorf("the refusal does not say what to do (%q): %v", c.remedy, r)
			}
			if strings.Contains(r.stdout+r.stderr, "guess") {
				t.Errorf("the password is in the output")
			}
			t.Logf("exit code %d\n%s", r.code, r.stderr)
		})
	}
	must(t, os.WriteFile(known, nil, 0o600)) // slave1 has new keys
	must(t, os.WriteFile(h.inventory, plain, 0o600))
	for _, name := range h.names {
		h.lab("variant", name, "plain")
	}

	h.step(t, "no sftp, talk, one session, sudo with password, doas, other shells, a clock an hour off", func(t *testing.T, h *hosts) {
		h.lab("variant", "master", "requiretty", "no-root-login", "fish", "max-startups-2", "clock-off")
		h.lab("variant", "slave1", "no-sftp", "chatty", "max-sessions-1", "sudo-password")
		h.lab("variant", "slave2", "doas-password", "tcsh", "bind-hosts", "no-firewalld", "home-not-ours")
		h.rewrite("user: root", "user: vagrant", "\nhosts:", "\nbecome:\n  password: {env: ZKCTL_SUDO_PASSWORD}\nhosts:")
		r := h.must("bootstrap")
		if !strings.Contains(r.stderr, "master: clock") {
			t.Errorf("nothing is said of the clock: %v", r)
		}
		h.leader()
		if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
			t.Errorf("the second run has something to do: %v", r)
		}
		r = h.must("keys", "rotate")
		t.Log(r.stdout)
		h.must("keys", "list")
		for _, name := range h.names {
			h.lab("variant", name, "plain")
		}
		sshMesh(t, h, "vagrant")
		serves(t, h)
	})

	h.lab("down")
	h.labEnv[0] = "ZKCTL_LAB_INIT=systemd,systemd,sysv"
	h.lab("up", "3")
	must(t, os.WriteFile(h.inventory, plain, 0o600))
	h.step(t, "a jump host, a password, no systemd", func(t *testing.T, h *hosts) {
		h.lab("variant", "slave1", "password-only", "behind")
		h.lab("variant", "slave2", "behind")
		text := strings.NewReplacer(
			"name: slave1, address: "+h.address("slave1"), "name: slave1, ssh: {jump: [root@"+h.address("master")+"], user: vagrant, password: {env: ZKCTL_SSH_PASSWORD}}, become: {password: {env: ZKCTL_SUDO_PASSWORD}}, address: "+h.address("slave1"),
			"name: slave2, address: "+h.address("slave2"), "name: slave2, ssh: {jump: [root@"+h.address("master")+"]}, address: "+h.address("slave2"),
		).Replace(string(plain))
		text = strings.Replace(text, "\nhosts:", "\nsystem: {ssh_keys: leave}\nhosts:", 1) // sshd of slave1 takes none
		must(t, os.WriteFile(h.inventory, []byte(text), 0o600))
		if r := h.expect(5, "bootstrap", "--jump", "root@10.254.254.254", "--connect-timeout", "2s"); !strings.Contains(r.stderr, "jump host root@10.254.254.254") {
			t.Errorf("the jump host is not named: %v", r)
		}
		r := h.must("bootstrap")
		if strings.Contains(r.stdout+r.stderr, "lab-vagrant") {
			t.Error("the password is in the output")
		}
		if r := h.must("status"); !strings.Contains(r.stdout, "leader") {
			t.Errorf("status through the jump host: %v", r)
		}
		if r := h.must("bootstrap"); !strings.Contains(r.stdout+r.stderr, "nothing to do") {
			t.Errorf("the second run has something to do: %v", r)
		}
		h.lab("variant", "master", "no-forwarding")
		if r := h.expect(5, "bootstrap"); !strings.Contains(r.stderr, "forbids the way") || !strings.Contains(r.stderr, "AllowTcpForwarding") {
			t.Errorf("a jump host that forwards nothing: %v", r)
		}
		for _, name := range h.names {
			h.lab("variant", name, "plain")
		}
		serves(t, h)
	})
}
