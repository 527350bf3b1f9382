package remote_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/sshtest"
	"golang.org/x/crypto/ssh"
)

// writePublic writes a public key or certificate in the form of a .pub file.
func writePublic(t *testing.T, file string, key ssh.PublicKey) string {
	t.Helper()
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUserCertificates(t *testing.T) {
	authority := sshtest.NewKey(t)
	server := sshtest.Start(t, sshtest.Options{UserCA: authority.PublicKey()})
	for _, c := range []struct {
		name, passphrase string
		valid            time.Duration
		beside           bool
		want             string
	}{
		{"beside the key", "", time.Hour, true, ""},
		{"named", "", time.Hour, false, ""},
		{"of an encrypted key", "phrase", time.Hour, true, ""},
		{"expired", "", -time.Minute, true, "expired on "},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, public := sshtest.WriteKey(t, c.passphrase)
			path := filepath.Join(t.TempDir(), "cert.pub")
			if c.beside {
				path = file + "-cert.pub"
			}
			writePublic(t, path, sshtest.Certify(t, authority, public, ssh.UserCert, "guest", c.valid))
			h := client(t, server, file, func(cfg *remote.SSHConfig) {
				if !c.beside {
					cfg.CertificateFiles = []string{path}
				}
				cfg.Passphrase = func(string) ([]byte, error) { return []byte(c.passphrase), nil }
			})
			err := h.Connect(t.Context())
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), c.want)) {
				t.Fatal(err)
			}
		})
	}
}

func TestAgent(t *testing.T) {
	file, public := sshtest.WriteKey(t, "phrase")
	other, _ := sshtest.WriteKey(t, "")
	socket := sshtest.Agent(t, "phrase", file)
	pub := writePublic(t, filepath.Join(t.TempDir(), "id.pub"), public)
	writePublic(t, file+".pub", public)
	bare := filepath.Join(t.TempDir(), "id") // only id.pub is there
	writePublic(t, bare+".pub", public)
	asked := func(string) ([]byte, error) { return nil, errors.New("asked for a passphrase") }
	for _, c := range []struct {
		name   string
		change func(*remote.SSHConfig)
		want   string
	}{
		{"key not named", func(c *remote.SSHConfig) { c.IdentityFiles = []string{other} }, ""},
		{"identities only", func(c *remote.SSHConfig) { c.IdentityFiles, c.IdentitiesOnly = []string{other}, true }, "login refused"},
		{"encrypted file, no question", func(c *remote.SSHConfig) { c.IdentityFiles, c.IdentitiesOnly = []string{file}, true }, ""},
		{"public half is enough", func(c *remote.SSHConfig) { c.IdentityFiles, c.IdentitiesOnly = []string{pub}, true }, ""},
		{"public half beside nothing", func(c *remote.SSHConfig) { c.IdentityFiles, c.IdentitiesOnly = []string{bare}, true }, ""},
		{"public half without agent", func(c *remote.SSHConfig) { c.IdentityFiles, c.AgentSocket = []string{pub}, "" }, "a public key, of which the agent"},
		{"dead agent", func(c *remote.SSHConfig) { c.IdentityFiles, c.AgentSocket = []string{other}, "/no/such/agent" }, "not usable: agent: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := dial(t, sshtest.Options{Keys: []ssh.PublicKey{public}}, func(cfg *remote.SSHConfig) {
				cfg.AgentSocket, cfg.Passphrase = socket, asked
				c.change(cfg)
			})
			err := h.Connect(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatal(err)
			}
		})
	}
}

// Keys that a server does not want leave room for the password: it bears six attempts.
func TestPasswordAfterManyKeys(t *testing.T) {
	agent := sshtest.Agent(t, "", keyFiles(t, 5)...)
	for _, opts := range []sshtest.Options{{Account: true, Password: password}, {Account: true, Interactive: password}} {
		_, h := dial(t, opts, func(cfg *remote.SSHConfig) {
			cfg.AgentSocket, cfg.Password, cfg.IdentityFiles = agent, secret(password), keyFiles(t, 3)
		})
		if err := h.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	}
	_, h := dial(t, sshtest.Options{Account: true, Password: password}, func(cfg *remote.SSHConfig) { cfg.IdentityFiles = keyFiles(t, 7) })
	if err := h.Connect(t.Context()); !errors.Is(err, remote.ErrAuth) {
		t.Error(err)
	}
}

func keyFiles(t *testing.T, n int) (files []string) {
	for range n {
		file, _ := sshtest.WriteKey(t, "")
		files = append(files, file)
	}
	return files
}

// A server may want more than a key or a password.
func TestSecondFactor(t *testing.T) {
	code := func(question string) (string, error) {
		if question != "Verification code:" {
			return "", fmt.Errorf("asked %q", question)
		}
		return "123456", nil
	}
	for _, c := range []struct {
		name string
		opts sshtest.Options
		ask  func(string) (string, error)
		want string
	}{
		{"after a key", sshtest.Options{}, code, ""},
		{"after a password", sshtest.Options{Password: password}, code, ""},
		{"after a password that was asked for", sshtest.Options{Interactive: password}, code, ""},
		{"nobody to ask", sshtest.Options{Interactive: password}, nil, `asks "Verification code:"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Code = "123456"
			_, h := dial(t, c.opts, func(cfg *remote.SSHConfig) { cfg.Ask, cfg.Password = c.ask, secret(password) })
			err := h.Connect(t.Context())
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), c.want)) {
				t.Fatal(err)
			}
		})
	}
}

func TestHostCertificates(t *testing.T) {
	authority, plain, identity := sshtest.NewKey(t), sshtest.NewKey(t), ""
	identity, public := sshtest.WriteKey(t, "")
	serve := func(t *testing.T, name string, valid time.Duration) *sshtest.Server {
		cert := sshtest.Certify(t, authority, plain.PublicKey(), ssh.HostCert, name, valid)
		signer, err := ssh.NewCertSigner(cert, plain)
		if err != nil {
			t.Fatal(err)
		}
		return sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}, HostKeys: []ssh.Signer{plain, signer}})
	}
	ca := "@cert-authority 127.*,[127.*]:* " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
	for _, c := range []struct {
		name, known, principal string
		valid                  time.Duration
		policy                 remote.HostKeyPolicy
		want                   string
	}{
		{"vouched for", ca, "127.0.0.1", time.Hour, remote.HostKeyStrict, ""},
		{"for another name", ca, "elsewhere", time.Hour, remote.HostKeyAcceptNew, "certificate is not valid"},
		{"expired", ca, "127.0.0.1", -time.Minute, remote.HostKeyAcceptNew, "certificate is not valid"},
		{"authority revoked", ca + "@revoked * " + string(ssh.MarshalAuthorizedKey(authority.PublicKey())), "127.0.0.1", time.Hour, remote.HostKeyStrict, "is revoked by"},
		{"unknown authority, new key", "", "127.0.0.1", time.Hour, remote.HostKeyAcceptNew, ""},
		{"unknown authority, strict", "", "127.0.0.1", time.Hour, remote.HostKeyStrict, "not on record"},
		{"expired, but the key is known", ca + "[127.*]:* " + string(ssh.MarshalAuthorizedKey(plain.PublicKey())), "127.0.0.1", -time.Minute, remote.HostKeyStrict, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(file, []byte(c.known), 0o600); err != nil {
				t.Fatal(err)
			}
			h := client(t, serve(t, c.principal, c.valid), identity, func(cfg *remote.SSHConfig) { cfg.HostKeys, cfg.KnownHosts = c.policy, []string{file} })
			err := h.Connect(t.Context())
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), c.want) || remote.HintOf(err) == "") {
				t.Fatal(err)
			}
		})
	}
}

func TestHostKeyAlias(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	server, h := dial(t, sshtest.Options{}, func(cfg *remote.SSHConfig) {
		cfg.HostKeyAlias, cfg.HostKeys, cfg.KnownHosts = "zk1.lab", remote.HostKeyAcceptNew, []string{file}
	})
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	if want := "zk1.lab " + string(ssh.MarshalAuthorizedKey(server.HostKey())); string(text) != want {
		t.Fatalf("recorded %q, want %q", text, want)
	}
}

// Login shells that are no sh must hand the loader to one.
func TestExoticShells(t *testing.T) {
	for _, shell := range []string{"bash", "dash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		t.Run(shell, func(t *testing.T) {
			argv := []string{path}
			if shell == "busybox" {
				argv = append(argv, "sh")
			}
			_, h := dial(t, sshtest.Options{Shell: argv, Noise: "noise\n"}, nil)
			if got := output(t, h, remote.Command{Script: `printf '%s|' "$@"; cat`, Args: []string{"it's", `a "b" $c !d \e`}, Stdin: []byte("in")}); got != `it's|a "b" $c !d \e|in` {
				t.Fatalf("%q", got)
			}
		})
	}
}

func TestExpiredPassword(t *testing.T) {
	shell := filepath.Join(t.TempDir(), "shell")
	// What sshd says to a command of an account whose password has expired.
	text := "#!/bin/sh\necho 'WARNING: Your password has expired.' >&2\necho 'Password change required but no TTY available.' >&2\nexit 1\n"
	if err := os.WriteFile(shell, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	_, h := dial(t, sshtest.Options{Shell: []string{shell}, Sudo: &sshtest.Sudo{}}, nil)
	_, err := h.Run(t.Context(), remote.Command{Label: "try", Script: "true"})
	// A command that needs root has not come as far as sudo.
	if _, err := h.Run(t.Context(), remote.Command{Label: "try", Script: "true", Root: true}); !errors.Is(err, remote.ErrShell) || errors.Is(err, remote.ErrBecome) {
		t.Errorf("as root: %v", err)
	}
	if !errors.Is(err, remote.ErrShell) || !strings.Contains(err.Error(), "password has expired") || !strings.Contains(remote.HintOf(err), "change it") {
		t.Fatalf("%v\nhint: %s", err, remote.HintOf(err))
	}
}

func TestDoas(t *testing.T) {
	root := remote.Command{Label: "try", Script: "id -u; cat", Root: true, Stdin: []byte("payload\n")}
	for _, c := range []struct {
		name   string
		sudo   sshtest.Sudo
		become remote.Become
		want   string
	}{
		{"no password wanted", sshtest.Sudo{}, remote.Become{}, ""},
		{"no password wanted, one given", sshtest.Sudo{}, remote.Become{Password: secret(password2)}, ""},
		{"password", sshtest.Sudo{Password: password2}, remote.Become{Password: secret(password2)}, ""},
		{"password missing", sshtest.Sudo{Password: password2}, remote.Become{}, "doas wants a password"},
		{"wrong password", sshtest.Sudo{Password: password2}, remote.Become{Password: secret("guess")}, "doas refused the password"},
		{"not allowed", sshtest.Sudo{Forbidden: true}, remote.Become{}, "doas.conf does not allow it"},
	} {
		for _, program := range []string{"doas", ""} {
			if _, err := exec.LookPath("sudo"); err == nil && program == "" {
				continue // it would be taken before doas
			}
			t.Run(c.name+" "+program, func(t *testing.T) {
				c.sudo.Doas, c.become.Program = true, program
				server, h := dial(t, sshtest.Options{Sudo: &c.sudo, Noise: "hello\n"}, func(cfg *remote.SSHConfig) { cfg.Become = c.become })
				for range 2 {
					res, err := h.Run(t.Context(), root)
					if c.want == "" {
						if err != nil || string(res.Stdout) != "0\npayload\n" {
							t.Errorf("%q, %v", res.Stdout, err)
						}
						continue
					}
					var become *remote.BecomeError
					if !errors.As(err, &become) || !strings.Contains(err.Error(), c.want) || become.Remedy == "" || strings.Contains(err.Error(), "guess") {
						t.Errorf("err = %v, want %q", err, c.want)
					}
				}
				if tried, _ := os.ReadFile(server.SudoPasswords()); c.want != "" && strings.Count(string(tried), "\n") > 1 {
					t.Errorf("tried %q", tried)
				}
			})
		}
	}
}

// An scp that never answers does not hold up what can be done without it.
func TestHangingSCP(t *testing.T) {
	_, h := dial(t, sshtest.Options{NoSFTP: true, HangingSCP: true}, func(cfg *remote.SSHConfig) { cfg.ConnectTimeout = 300 * time.Millisecond })
	path := filepath.Join(t.TempDir(), "f")
	if err := h.Upload(t.Context(), remote.File{Path: path, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "x" {
		t.Fatalf("%q", got)
	}
}

// Who types a passphrase may take longer than a connection may.
func TestSlowTyping(t *testing.T) {
	file, public := sshtest.WriteKey(t, "phrase")
	asked := 0
	_, h := dial(t, sshtest.Options{Keys: []ssh.PublicKey{public}}, func(cfg *remote.SSHConfig) {
		cfg.IdentityFiles, cfg.ConnectTimeout = []string{file}, 2*time.Second
		cfg.Passphrase = func(string) ([]byte, error) {
			if asked++; asked == 1 {
				time.Sleep(2100 * time.Millisecond)
			}
			return []byte("phrase"), nil
		}
	})
	if err := h.Connect(t.Context()); err != nil || asked != 2 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
}

func TestLoginKey(t *testing.T) {
	wrong, _ := sshtest.WriteKey(t, "")
	right, public := sshtest.WriteKey(t, "")
	authority := sshtest.NewKey(t)
	certified, plain := sshtest.WriteKey(t, "")
	cert := sshtest.Certify(t, authority, plain, ssh.UserCert, "guest", time.Hour)
	writePublic(t, certified+"-cert.pub", cert)
	for _, c := range []struct {
		name  string
		opts  sshtest.Options
		files []string
		want  ssh.PublicKey
	}{
		{"the second key", sshtest.Options{Keys: []ssh.PublicKey{public}}, []string{wrong, right}, public},
		{"a certificate", sshtest.Options{UserCA: authority.PublicKey()}, []string{wrong, certified}, cert},
		{"a password", sshtest.Options{Password: password}, []string{wrong}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := client(t, sshtest.Start(t, c.opts), "", func(cfg *remote.SSHConfig) {
				cfg.IdentityFiles, cfg.Password = c.files, secret(password)
			})
			if err := h.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := h.LoginKey()
			if (got == nil) != (c.want == nil) || got != nil && string(got.Marshal()) != string(c.want.Marshal()) {
				t.Errorf("logged in with %v, want %v", got, c.want)
			}
		})
	}
}
