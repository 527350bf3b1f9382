package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/sshtest"
	"golang.org/x/crypto/ssh"
)

// behind returns a configuration of a host behind a jump host.
func behind(t *testing.T, fleet *remote.Fleet, jump, target *sshtest.Server, identity string) remote.SSHConfig {
	t.Helper()
	via, err := fleet.Jump(remote.SSHConfig{Name: "bastion", Address: jump.Host, Port: jump.Port, User: "ops",
		IdentityFiles: []string{identity}, HostKeys: remote.HostKeyOff, ConnectTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return remote.SSHConfig{Name: "zk1", Address: target.Host, Port: target.Port, User: "guest", IdentityFiles: []string{identity},
		HostKeys: remote.HostKeyOff, Via: via, Fleet: fleet, ConnectTimeout: 5 * time.Second}
}

func start(t *testing.T, cfg remote.SSHConfig) *remote.SSH {
	t.Helper()
	h, err := remote.NewSSH(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// Many hosts behind two jump hosts share one connection to each.
func TestJumpChainIsShared(t *testing.T) {
	identity, public := sshtest.WriteKey(t, "")
	keys := []ssh.PublicKey{public}
	outer := sshtest.Start(t, sshtest.Options{Keys: keys, Forward: "yes"})
	inner := sshtest.Start(t, sshtest.Options{Keys: keys, Forward: "yes"})
	fleet := &remote.Fleet{Dials: 2}
	t.Cleanup(fleet.Close)
	known := filepath.Join(t.TempDir(), "known_hosts")
	var group sync.WaitGroup
	var targets []*sshtest.Server
	for range 6 {
		target := sshtest.Start(t, sshtest.Options{Keys: keys})
		targets = append(targets, target)
		cfg := behind(t, fleet, inner, target, identity)
		first, err := fleet.Jump(remote.SSHConfig{Name: "outer", Address: outer.Host, Port: outer.Port, User: "ops",
			IdentityFiles: []string{identity}, HostKeys: remote.HostKeyOff})
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Via, err = fleet.Jump(remote.SSHConfig{Name: "inner", Address: inner.Host, Port: inner.Port, User: "ops", Via: first,
			IdentityFiles: []string{identity}, HostKeys: remote.HostKeyOff}); err != nil {
			t.Fatal(err)
		}
		cfg.HostKeys, cfg.KnownHosts = remote.HostKeyAcceptNew, []string{known}
		h := start(t, cfg)
		group.Go(func() {
			if _, err := h.Run(t.Context(), remote.Command{Script: "true"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if outer.Dials() != 1 || inner.Dials() != 1 || inner.Forwards() != len(targets) {
		t.Errorf("%d connections to the outer jump host, %d to the inner, %d through it", outer.Dials(), inner.Dials(), inner.Forwards())
	}
	text, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if !strings.Contains(string(text), fmt.Sprintf("[127.0.0.1]:%d ", target.Port)) {
			t.Errorf("no line for port %d in known_hosts:\n%s", target.Port, text)
		}
	}
	if strings.Contains(string(text), "0.0.0.0") {
		t.Errorf("an address of no host was recorded:\n%s", text)
	}
}

// Hosts that have keys of their own for the same jump host do not have to do with one another's.
func TestJumpWithOwnKeys(t *testing.T) {
	right, public := sshtest.WriteKey(t, "")
	wrong, _ := sshtest.WriteKey(t, "")
	keys := []ssh.PublicKey{public}
	jump, target := sshtest.Start(t, sshtest.Options{Keys: keys, Forward: "yes"}), sshtest.Start(t, sshtest.Options{Keys: keys})
	fleet := &remote.Fleet{}
	t.Cleanup(fleet.Close)
	for _, identity := range []string{wrong, right} {
		if err := start(t, behind(t, fleet, jump, target, identity)).Connect(t.Context()); (err == nil) != (identity == right) {
			t.Error(err)
		}
	}
}

func TestJumpFailures(t *testing.T) {
	identity, public := sshtest.WriteKey(t, "")
	keys := []ssh.PublicKey{public}
	target := sshtest.Start(t, sshtest.Options{Keys: keys})
	for _, c := range []struct {
		name       string
		jump       sshtest.Options
		want, hint string
	}{
		{"forbidden", sshtest.Options{Keys: keys}, "the jump host bastion forbids the way", "AllowTcpForwarding"},
		{"target down", sshtest.Options{Keys: keys, Forward: "nowhere"}, "the jump host bastion cannot reach it", "as seen from bastion"},
		{"no login", sshtest.Options{Password: "x", Forward: "yes"}, "jump host bastion: bastion: log in as ops", "authorized_keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleet := &remote.Fleet{}
			t.Cleanup(fleet.Close)
			jump := sshtest.Start(t, c.jump)
			h := start(t, behind(t, fleet, jump, target, identity))
			err := h.Connect(t.Context())
			if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(remote.HintOf(err), c.hint) {
				t.Fatalf("%v\nhint: %s", err, remote.HintOf(err))
			}
		})
	}
}

// A dead jump host is tried once for all that wait for it.
func TestDeadJumpHostIsTriedOnce(t *testing.T) {
	identity, public := sshtest.WriteKey(t, "")
	jump := sshtest.Start(t, sshtest.Options{Mute: true})
	target := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})
	fleet := &remote.Fleet{}
	t.Cleanup(fleet.Close)
	cfg := behind(t, fleet, jump, target, identity)
	var err error
	if cfg.Via, err = fleet.Jump(remote.SSHConfig{Name: "mute", Address: jump.Host, Port: jump.Port, User: "nobody",
		HostKeys: remote.HostKeyOff, ConnectTimeout: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 20 {
		h := start(t, cfg)
		group.Go(func() {
			if err := h.Connect(t.Context()); !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "jump host mute") {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if jump.Dials() > 2 {
		t.Errorf("%d connections to a jump host that does not answer", jump.Dials())
	}
}

func TestLostJumpHostIsTheCause(t *testing.T) {
	identity, public := sshtest.WriteKey(t, "")
	keys := []ssh.PublicKey{public}
	jump := sshtest.Start(t, sshtest.Options{Keys: keys, Forward: "yes"})
	target := sshtest.Start(t, sshtest.Options{Keys: keys})
	fleet := &remote.Fleet{}
	t.Cleanup(fleet.Close)
	h := start(t, behind(t, fleet, jump, target, identity))
	go func() {
		waitFor(t, filepath.Join(target.Home, "started"))
		jump.DropConnections()
	}()
	_, err := h.Run(t.Context(), remote.Command{Label: "long work", Script: `: >started; sleep 5`})
	if !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "the jump host bastion was lost") {
		t.Fatal(err)
	}
	// Both connections are made again.
	output(t, h, remote.Command{Script: "true"})
}

// sshd drops connections beyond MaxStartups; a fleet does not get there, and a
// host that drops some all the same is tried again.
func TestMaxStartups(t *testing.T) {
	identity, public := sshtest.WriteKey(t, "")
	keys := []ssh.PublicKey{public}
	for _, c := range []struct {
		name    string
		opts    sshtest.Options
		dropped int
	}{
		{"limited dials", sshtest.Options{Keys: keys, Startups: 3}, 0},
		{"dropped and tried again", sshtest.Options{Keys: keys, Drops: 3}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := sshtest.Start(t, c.opts)
			fleet := &remote.Fleet{Dials: 3}
			var group sync.WaitGroup
			for range 12 {
				h := client(t, server, identity, func(cfg *remote.SSHConfig) { cfg.Fleet = fleet })
				group.Go(func() {
					if err := h.Connect(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if server.Dropped() != c.dropped {
				t.Errorf("%d connections were dropped", server.Dropped())
			}
		})
	}
}

func TestProxyCommand(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3 to connect with")
	}
	relay := filepath.Join(t.TempDir(), "relay")
	program := `import socket, sys, threading, os
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while True:
        b = os.read(0, 65536)
        if not b: break
        s.sendall(b)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while True:
    b = s.recv(65536)
    if not b: break
    os.write(1, b)
`
	if err := os.WriteFile(relay, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	identity, public := sshtest.WriteKey(t, "")
	server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})
	h := client(t, server, identity, func(cfg *remote.SSHConfig) {
		cfg.ProxyCommand = "python3 '" + relay + "' " + server.Host + " " + strconv.Itoa(server.Port)
		cfg.Address = "name.only.the.proxy.knows"
	})
	if got := output(t, h, remote.Command{Script: "echo here"}); got != "here\n" {
		t.Fatalf("%q", got)
	}
	h = client(t, server, identity, func(cfg *remote.SSHConfig) { cfg.ProxyCommand = "sh -c 'echo no way >&2; exit 1'" })
	err := h.Connect(t.Context())
	if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "no way") {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	t.Run("until somebody listens", func(t *testing.T) {
		identity, public := sshtest.WriteKey(t, "")
		server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})
		var mu sync.Mutex
		tries := 0
		h := client(t, server, identity, func(cfg *remote.SSHConfig) {
			cfg.Wait = 2 * time.Second
			cfg.DialContext = failing(&mu, &tries, 3)
			cfg.Notice = func(text string) {
				if !strings.Contains(text, "connection refused") {
					t.Errorf("notice %q", text)
				}
			}
		})
		if err := h.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("until the key is there, and cloud-init is done", func(t *testing.T) {
		dir := t.TempDir()
		shell := filepath.Join(dir, "shell")
		text := "#!/bin/sh\ncase $2 in *cloud-init*) echo x >>" + dir + "/asked; [ $(wc -l <" + dir + "/asked) -gt 2 ] || exit 75 ;; *) exec /bin/sh \"$@\" ;; esac\n"
		if err := os.WriteFile(shell, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		var said []string
		server, h := dial(t, sshtest.Options{Late: 3, Shell: []string{shell}}, func(cfg *remote.SSHConfig) {
			cfg.Wait = 2 * time.Second
			cfg.Notice = func(text string) { said = append(said, text) }
		})
		output(t, h, remote.Command{Script: "true"})
		if server.Dials() != 4 {
			t.Errorf("%d connections", server.Dials())
		}
		if len(said) != 2 || !strings.Contains(said[0], "login refused") || !strings.Contains(said[1], "cloud-init") {
			t.Errorf("said %q", said)
		}
	})
	t.Run("not for another host key", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "known_hosts")
		server, h := dial(t, sshtest.Options{}, func(cfg *remote.SSHConfig) {
			cfg.Wait, cfg.HostKeys, cfg.KnownHosts = time.Minute, remote.HostKeyStrict, []string{file}
		})
		if err := h.Connect(t.Context()); !errors.Is(err, remote.ErrHostKey) || server.Dials() != 1 {
			t.Fatalf("%v after %d connections", err, server.Dials())
		}
	})
	t.Run("not for a key of the jump host that cannot be opened", func(t *testing.T) {
		encrypted, public := sshtest.WriteKey(t, "phrase")
		keys := []ssh.PublicKey{public}
		jump, target := sshtest.Start(t, sshtest.Options{Keys: keys, Forward: "yes"}), sshtest.Start(t, sshtest.Options{Keys: keys})
		fleet := &remote.Fleet{}
		t.Cleanup(fleet.Close)
		cfg := behind(t, fleet, jump, target, encrypted) // and nobody to ask for the passphrase
		cfg.Wait = time.Minute
		if err := start(t, cfg).Connect(t.Context()); !errors.Is(err, remote.ErrAuth) || jump.Dials() != 1 {
			t.Errorf("%v after %d connections", err, jump.Dials())
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		_, h := dial(t, sshtest.Options{Late: 1000}, func(cfg *remote.SSHConfig) { cfg.Wait = 100 * time.Millisecond })
		if err := h.Connect(t.Context()); !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), "waited 100ms") {
			t.Fatal(err)
		}
	})
}

// failing dials in vain for a number of times.
func failing(mu *sync.Mutex, tries *int, times int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		*tries++
		refuse := *tries <= times
		mu.Unlock()
		if refuse {
			return nil, errors.New("connect: connection refused")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}
