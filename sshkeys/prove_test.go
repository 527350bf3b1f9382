package sshkeys

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/remote"
)

// TestProve logs in by a stand-in for ssh: it notes whom it was asked to call, and says what $SAYS has for that.
func TestProve(t *testing.T) {
	const called = "called 10.0.0.1 4711 10.0.0.2 22"
	for _, c := range []struct {
		name, config, stand string
		target              Target
		calls               []string
		failures            []string
	}{
		{name: "by name", stand: "echo " + called, target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick"}},
		{name: "a chatty shell", stand: "echo hello; echo " + called + "; echo bye", target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick"}},
		{name: "no name", stand: "echo " + called, target: Target{Address: "10.0.0.2"}, calls: []string{"10.0.0.2 quick"}},
		{name: "the name leads elsewhere", stand: "echo " + strings.ReplaceAll(called, "0.2 ", "0.3 "), target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "the caller has the address", stand: "echo called 10.0.0.2 4711 10.0.0.3 22", target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "an address that begins alike", stand: "echo called 10.0.0.1 4711 10.0.0.22 22", target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "nothing is said", stand: ":", target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "ssh_config tells hosts apart", config: "Host 10.*\n  User other\n", stand: "echo " + called, target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "ssh_config includes", config: "Include others\n", stand: "echo " + called, target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}},
		{name: "ssh_config is about all", config: "Host *\n  Compression yes\nMatch final all\n", stand: "echo " + called,
			target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick"}},
		{name: "an old ssh", stand: `[ "$how" = plain ] || { echo "command-line line 0: Bad SSH2 KexAlgorithms '^ecdh-sha2-nistp256,curve25519-sha256'." >&2; exit 255; }; echo ` + called,
			target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick", "b plain"}},
		{name: "an sshd of another mind", stand: `[ "$how" = plain ] || { echo "Unable to negotiate with 10.0.0.2: no matching key exchange method found." >&2; exit 255; }; echo ` + called,
			target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick", "b plain"}},
		{name: "a busy sshd", stand: `[ "$(wc -l <"$CALLS")" -gt 1 ] || { echo "kex_exchange_identification: Connection closed by remote host" >&2; exit 255; }; echo ` + called,
			target: Target{Address: "10.0.0.2", Name: "b"}, calls: []string{"b quick", "b quick"}},
		{name: "refused", stand: `echo "Permission denied (publickey)." >&2; exit 255`, target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}, failures: []string{"a: ssh b: Permission denied (publickey).", "a: ssh 10.0.0.2: Permission denied (publickey)."}},
		{name: "the name is unknown", stand: `[ "$host" != b ] || { echo "Could not resolve hostname b" >&2; exit 255; }; echo ` + called, target: Target{Address: "10.0.0.2", Name: "b"},
			calls: []string{"b quick", "10.0.0.2 quick"}, failures: []string{"a: ssh b: Could not resolve hostname b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			stand := `#!/bin/sh
how=plain
case " $* " in *KexAlgorithms*) how=quick ;; esac
while [ "$1" != -l ]; do shift; done
host=$3
echo "$host $how" >>"$CALLS"
` + c.stand + "\n"
			for name, text := range map[string]string{"bin/ssh": stand, ".ssh/config": c.config} {
				p := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			calls := filepath.Join(dir, "calls")
			t.Setenv("HOME", dir)
			t.Setenv("CALLS", calls)
			t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
			failures, err := Prove(t.Context(), remote.NewLocal("a", remote.Become{}), "-", []Target{c.target})
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, f := range failures {
				said = append(said, f.Error())
			}
			text, err := os.ReadFile(calls)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Split(strings.TrimSpace(string(text)), "\n"); !slices.Equal(got, c.calls) || !slices.Equal(said, c.failures) {
				t.Errorf("called %q and said %q, want %q and %q", got, said, c.calls, c.failures)
			}
		})
	}
}
