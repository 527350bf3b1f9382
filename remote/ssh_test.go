package remote_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/sshtest"
	"golang.org/x/crypto/ssh"
)

const password = "open, sesame! 'quoted' $HOME"

// dial starts a server and a host that logs in to it with a key.
func dial(t *testing.T, opts sshtest.Options, change func(*remote.SSHConfig)) (*sshtest.Server, *remote.SSH) {
	t.Helper()
	file, public := sshtest.WriteKey(t, "")
	if opts.Password == "" && opts.Interactive == "" {
		opts.Keys = append(opts.Keys, public)
	}
	server := sshtest.Start(t, opts)
	return server, client(t, server, file, change)
}

func client(t *testing.T, server *sshtest.Server, identity string, change func(*remote.SSHConfig)) *remote.SSH {
	t.Helper()
	cfg := remote.SSHConfig{
		Name: "zk1", Address: server.Host, Port: server.Port, User: "guest",
		IdentityFiles: []string{identity}, HostKeys: remote.HostKeyOff,
	}
	if change != nil {
		change(&cfg)
	}
	host, err := remote.NewSSH(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	return host
}

func secret(s string) func() (string, error) { return func() (string, error) { return s, nil } }

func output(t *testing.T, h remote.Host, cmd remote.Command) string {
	t.Helper()
	res, err := h.Run(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return string(res.Stdout)
}

func TestRun(t *testing.T) {
	_, h := dial(t, sshtest.Options{}, nil)
	res, err := h.Run(t.Context(), remote.Command{Label: "try", Script: `cat; echo "$1" >&2; exit 3`, Args: []string{"a 'b'"}, Stdin: []byte("in\x00put")})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || exit.Step != "try" || string(res.Stdout) != "in\x00put" || string(res.Stderr) != "a 'b'\n" {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := h.Run(t.Context(), remote.Command{Label: "die", Script: "kill -9 $$"}); !errors.As(err, new(*remote.SignalError)) {
		t.Fatalf("killed: %v", err)
	}
}

func TestNoiseDoesNotMatter(t *testing.T) {
	_, h := dial(t, sshtest.Options{Noise: "Welcome!\nzkctl- begin\nYou have mail."}, nil)
	res, err := h.Run(t.Context(), remote.Command{Script: "echo clean; echo err >&2"})
	if err != nil || string(res.Stdout) != "clean\n" || string(res.Stderr) != "err\n" {
		t.Fatalf("%q %q %v", res.Stdout, res.Stderr, err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := h.Upload(t.Context(), remote.File{Path: path, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
}

func TestNoShell(t *testing.T) {
	nologin := filepath.Join(t.TempDir(), "nologin")
	if err := os.WriteFile(nologin, []byte("#!/bin/sh\necho This account is currently not available.\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, h := dial(t, sshtest.Options{Shell: []string{nologin}}, nil)
	_, err := h.Run(t.Context(), remote.Command{Label: "try", Script: "true"})
	if !errors.Is(err, remote.ErrShell) || !remote.NeverRan(err) || !strings.Contains(err.Error(), "currently not available") {
		t.Fatal(err)
	}
}

// A forced command that reads all of its input ends, as it did when each script had a session of its own.
func TestForcedCommandThatReads(t *testing.T) {
	forced := filepath.Join(t.TempDir(), "forced")
	if err := os.WriteFile(forced, []byte("#!/bin/sh\ncat >/dev/null\necho This account is for backups.\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, h := dial(t, sshtest.Options{Shell: []string{forced}}, nil)
	_, err := h.Run(t.Context(), remote.Command{Label: "try", Script: "true", Timeout: 20 * time.Second})
	if !errors.Is(err, remote.ErrShell) || !strings.Contains(err.Error(), "for backups") {
		t.Fatal(err)
	}
}

func TestLogin(t *testing.T) {
	encrypted, public := sshtest.WriteKey(t, "phrase")
	for _, c := range []struct {
		name   string
		server sshtest.Options
		client func(*remote.SSHConfig)
		want   string // in the error; empty for success
	}{
		{"password", sshtest.Options{Password: password}, func(c *remote.SSHConfig) { c.Password = secret(password) }, ""},
		{"keyboard-interactive", sshtest.Options{Interactive: password}, func(c *remote.SSHConfig) { c.Password = secret(password) }, ""},
		{"wrong password", sshtest.Options{Password: password}, func(c *remote.SSHConfig) { c.Password = secret("guess") }, "login refused"},
		{"no way in", sshtest.Options{Password: password}, nil, "login refused"},
		{"encrypted key", sshtest.Options{Keys: []ssh.PublicKey{public}}, func(c *remote.SSHConfig) {
			c.IdentityFiles = []string{encrypted}
			c.Passphrase = func(string) ([]byte, error) { return []byte("phrase"), nil }
		}, ""},
		{"wrong passphrase", sshtest.Options{Keys: []ssh.PublicKey{public}}, func(c *remote.SSHConfig) {
			c.IdentityFiles = []string{encrypted}
			c.Passphrase = func(string) ([]byte, error) { return []byte("guess"), nil }
		}, "wrong passphrase"},
		{"missing identity file", sshtest.Options{}, func(c *remote.SSHConfig) { c.IdentityFiles = []string{"/no/such/key"} }, "/no/such/key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := dial(t, c.server, c.client)
			err := h.Connect(t.Context())
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, remote.ErrAuth) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("err = %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "guess") || strings.Contains(err.Error(), password) {
				t.Fatalf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestHostKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ssh", "known_hosts")
	use := func(p remote.HostKeyPolicy) func(*remote.SSHConfig) {
		return func(c *remote.SSHConfig) { c.HostKeys, c.KnownHosts = p, []string{file} }
	}
	identity, public := sshtest.WriteKey(t, "")
	server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})

	err := client(t, server, identity, use(remote.HostKeyStrict)).Connect(t.Context())
	if !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "not on record") || remote.HintOf(err) == "" {
		t.Fatalf("strict: %v", err)
	}
	if err := client(t, server, identity, use(remote.HostKeyAcceptNew)).Connect(t.Context()); err != nil {
		t.Fatalf("accept-new: %v", err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("known_hosts: %v %v", info.Mode(), err)
	}
	if err := client(t, server, identity, use(remote.HostKeyStrict)).Connect(t.Context()); err != nil {
		t.Fatalf("strict, recorded: %v", err)
	}

	if err := client(t, server, identity, func(c *remote.SSHConfig) { c.HostKeys, c.KnownHosts = remote.HostKeyAcceptNew, []string{os.DevNull} }).Connect(t.Context()); err != nil {
		t.Fatalf("accept-new, kept nowhere: %v", err)
	}

	// The same name with another key is refused, whatever the policy.
	other := ssh.MarshalAuthorizedKey(sshtest.NewKey(t).PublicKey())
	line := append([]byte("["+server.Host+"]:"+strconv.Itoa(server.Port)+" "), other...)
	if err := os.WriteFile(file, append([]byte("# comment\n"), line...), 0o600); err != nil {
		t.Fatal(err)
	}
	err = client(t, server, identity, use(remote.HostKeyAcceptNew)).Connect(t.Context())
	if !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), file+":2") || !strings.Contains(remote.HintOf(err), "ssh-keygen -R") {
		t.Fatalf("changed: %v; %s", err, remote.HintOf(err))
	}
}

// Who is asked sees the fingerprint; what is not a yes is a no, and is not asked again.
func TestHostKeyIsAskedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	identity, public := sshtest.WriteKey(t, "")
	server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})
	var questions []string
	connect := func(answer string) error {
		questions = nil
		return client(t, server, identity, func(c *remote.SSHConfig) {
			c.HostKeys, c.KnownHosts = remote.HostKeyAsk, []string{file}
			if answer != "" {
				c.AcceptKey = func(_ context.Context, question string) (string, error) {
					questions = append(questions, question)
					return answer, nil
				}
			}
		}).Connect(t.Context())
	}
	if err := connect(""); !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "not on record") {
		t.Fatalf("nobody to be asked: %v", err)
	}
	if err := connect("no"); !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "was not accepted") || len(questions) != 1 {
		t.Fatalf("no: %v, asked %q", err, questions)
	}
	print := regexp.MustCompile(`SHA256:\S+`).FindString(questions[0])
	if err := connect("SHA256:another"); !errors.Is(err, remote.ErrHostKey) {
		t.Fatalf("another fingerprint: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Fatalf("something was recorded: %v", err)
	}
	if err := connect(print); err != nil || len(questions) != 1 {
		t.Fatalf("the fingerprint: %v, asked %q", err, questions)
	}
	if err := connect("no"); err != nil || len(questions) != 0 {
		t.Fatalf("recorded: %v, asked %q", err, questions)
	}
	// A key that differs from the one on record is no question.
	line := append([]byte("["+server.Host+"]:"+strconv.Itoa(server.Port)+" "), ssh.MarshalAuthorizedKey(sshtest.NewKey(t).PublicKey())...)
	if err := os.WriteFile(file, line, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := connect("yes"); !errors.Is(err, remote.ErrHostKey) || !strings.Contains(err.Error(), "on record is") || len(questions) != 0 {
		t.Fatalf("changed: %v, asked %q", err, questions)
	}
}

// A server with two keys of which only the second is on record must be asked for
// that one.
func TestHostKeyTypeOnRecordIsOfferedFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	identity, public := sshtest.WriteKey(t, "")
	ecdsa := sshtest.NewECDSAKey(t)
	server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}, HostKeys: []ssh.Signer{sshtest.NewKey(t), ecdsa}})
	line := "[" + server.Host + "]:" + strconv.Itoa(server.Port) + " " + string(ssh.MarshalAuthorizedKey(ecdsa.PublicKey()))
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	h := client(t, server, identity, func(c *remote.SSHConfig) { c.HostKeys, c.KnownHosts = remote.HostKeyStrict, []string{file} })
	if err := h.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptNewTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("# no final newline"), 0o600); err != nil {
		t.Fatal(err)
	}
	identity, public := sshtest.WriteKey(t, "")
	var group sync.WaitGroup
	for range 5 {
		server := sshtest.Start(t, sshtest.Options{Keys: []ssh.PublicKey{public}})
		for range 2 {
			h := client(t, server, identity, func(c *remote.SSHConfig) { c.HostKeys, c.KnownHosts = remote.HostKeyAcceptNew, []string{file} })
			group.Go(func() {
				if err := h.Connect(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	text, _ := os.ReadFile(file)
	if n := bytes.Count(text, []byte("\n")); n != 6 {
		t.Fatalf("%d lines:\n%s", n, text)
	}
}

func TestUnreachable(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		h := client(t, &sshtest.Server{Host: "127.0.0.1", Port: port}, "", nil)
		_, err = h.Run(t.Context(), remote.Command{Script: "true"})
		if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(remote.HintOf(err), "sshd") {
			t.Fatal(err)
		}
	})
	t.Run("another service", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write([]byte("220 mail.example.org ESMTP\r\n"))
				conn.Close()
			}
		}()
		h := client(t, &sshtest.Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, "", nil)
		_, err = h.Run(t.Context(), remote.Command{Script: "true"})
		if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(remote.HintOf(err), "not as an SSH server") {
			t.Fatalf("%v, hint %q", err, remote.HintOf(err))
		}
	})
	t.Run("mute", func(t *testing.T) {
		_, h := dial(t, sshtest.Options{Mute: true}, func(c *remote.SSHConfig) { c.ConnectTimeout = 100 * time.Millisecond })
		err := h.Connect(t.Context())
		if !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "no SSH handshake within") {
			t.Fatal(err)
		}
	})
}

func TestSudo(t *testing.T) {
	root := remote.Command{Label: "try", Script: "id -u; cat", Root: true, Stdin: []byte("payload\n")}
	for _, c := range []struct {
		name   string
		sudo   sshtest.Sudo
		become remote.Become
		want   string // in the error; empty for success
	}{
		{"no password wanted", sshtest.Sudo{}, remote.Become{}, ""},
		{"no password wanted, one given", sshtest.Sudo{}, remote.Become{Password: secret(password)}, ""},
		{"password", sshtest.Sudo{Password: password2}, remote.Become{Password: secret(password2)}, ""},
		{"password and terminal", sshtest.Sudo{Password: password2, RequireTTY: true}, remote.Become{Password: secret(password2)}, ""},
		{"terminal", sshtest.Sudo{RequireTTY: true}, remote.Become{}, ""},
		{"lecture", sshtest.Sudo{Password: password2, Lecture: true}, remote.Become{Password: secret(password2)}, ""},
		{"lecture on a terminal", sshtest.Sudo{Password: password2, Lecture: true, RequireTTY: true}, remote.Become{Password: secret(password2)}, ""},
		{"password missing", sshtest.Sudo{Password: password2}, remote.Become{}, "sudo wants a password"},
		{"wrong password", sshtest.Sudo{Password: password2}, remote.Become{Password: secret("guess")}, "refused the password"},
		{"not allowed", sshtest.Sudo{Forbidden: true}, remote.Become{}, "sudoers"},
		{"expired", sshtest.Sudo{Expired: true}, remote.Become{}, "password has expired"},
		{"expired, with a password", sshtest.Sudo{Expired: true}, remote.Become{Password: secret(password2)}, "password has expired"},
		{"none", sshtest.Sudo{}, remote.Become{None: true}, "is not root and become is none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, h := dial(t, sshtest.Options{Sudo: &c.sudo, Noise: "hello\n"}, func(cfg *remote.SSHConfig) { cfg.Become = c.become })
			if got := output(t, h, remote.Command{Script: "id -u"}); got != "1000\n" {
				t.Fatalf("login user is %q", got)
			}
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					res, err := h.Run(t.Context(), root)
					if c.want == "" {
						if err != nil || string(res.Stdout) != "0\npayload\n" {
							t.Errorf("%q, %v", res.Stdout, err)
						}
						return
					}
					var become *remote.BecomeError
					if !errors.As(err, &become) || !strings.Contains(err.Error(), c.want) || become.Remedy == "" {
						t.Errorf("err = %v, want %q", err, c.want)
					}
					if strings.Contains(err.Error(), "guess") {
						t.Errorf("the error tells the secret: %v", err)
					}
				})
			}
			group.Wait()
			if strings.HasPrefix(c.name, "wrong") {
				tried, _ := os.ReadFile(server.SudoPasswords())
				if string(tried) != "guess\n" {
					t.Errorf("tried %q", tried)
				}
			}
		})
	}
}

const password2 = "sudo secret"

func TestUploadBy(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 40<<10)
	for _, c := range []struct {
		name string
		opts sshtest.Options
		root bool
	}{
		{"sftp", sshtest.Options{}, false},
		{"sftp and sudo", sshtest.Options{Sudo: &sshtest.Sudo{Password: password2}}, true},
		{"scp", sshtest.Options{NoSFTP: true}, false},
		{"scp and sudo", sshtest.Options{NoSFTP: true, Sudo: &sshtest.Sudo{}}, true},
		{"standard input", sshtest.Options{NoSFTP: true, NoSCP: true}, false},
		{"standard input and sudo", sshtest.Options{NoSFTP: true, NoSCP: true, Sudo: &sshtest.Sudo{Password: password2}}, true},
		{"sftp confined", sshtest.Options{BlindSFTP: true}, false},
		{"sftp that may write nowhere", sshtest.Options{ReadOnly: true}, false},
		{"sftp that may write nowhere, and sudo", sshtest.Options{ReadOnly: true, Sudo: &sshtest.Sudo{}}, true},
		{"noise", sshtest.Options{Noise: "Welcome!\n", NoSFTP: true}, false},
		{"one session", sshtest.Options{MaxSessions: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := dial(t, c.opts, func(cfg *remote.SSHConfig) {
				if c.opts.Sudo != nil && c.opts.Sudo.Password != "" {
					cfg.Become.Password = secret(password2)
				}
			})
			dir := t.TempDir()
			for name, content := range map[string][]byte{"big": big, "small": []byte("x\n"), "empty": {}, "odd name's": []byte("y")} {
				path := filepath.Join(dir, name)
				for range 2 {
					if err := h.Upload(t.Context(), remote.File{Path: path, Content: content, Mode: 0o640, Root: c.root}); err != nil {
						t.Fatal(err)
					}
				}
				got, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%s: %d bytes, %v", name, len(got), err)
				}
				if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
					t.Errorf("%s: mode %v", name, info.Mode())
				}
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 4 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

// Wherever the connection drops, the file is the old one or the new one, and the
// upload ends well over a second connection.
func TestUploadSurvivesADrop(t *testing.T) {
	content := bytes.Repeat([]byte("new content "), 20<<10)
	server, h := dial(t, sshtest.Options{}, nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, at := range []int64{1, 300, 1000, 2000, 40_000, 200_000, 246_000, 248_000, 250_000} {
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		dials := server.Dials()
		server.DropAfter(at)
		if err := h.Upload(t.Context(), remote.File{Path: path, Content: content}); err != nil {
			t.Fatalf("drop at byte %d: %v", at, err)
		}
		server.DropAfter(0)
		if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
			t.Fatalf("drop at byte %d: %d bytes", at, len(got))
		}
		if at < 200_000 && server.Dials() == dials {
			t.Fatalf("drop at byte %d: no second connection", at)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestUploadOfARunningProgram(t *testing.T) {
	_, h := dial(t, sshtest.Options{}, nil)
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Skip("no /bin/sleep to copy")
	}
	path := filepath.Join(t.TempDir(), "server")
	for range 2 {
		if err := h.Upload(t.Context(), remote.File{Path: path, Content: program, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		output(t, h, remote.Command{Script: `"$1" 60 >/dev/null 2>&1 & echo $!`, Args: []string{path}})
	}
	output(t, h, remote.Command{Script: `for p in /proc/[0-9]*; do case $(readlink "$p/exe") in "$1"*) kill "${p#/proc/}" ;; esac; done; :`, Args: []string{path}})
}

func TestReconnectsBetweenCommands(t *testing.T) {
	server, h := dial(t, sshtest.Options{}, nil)
	output(t, h, remote.Command{Script: "true"})
	server.DropConnections()
	output(t, h, remote.Command{Script: "true"})
	if server.Dials() != 2 {
		t.Errorf("%d connections", server.Dials())
	}
}

// A host whose SSH server is restarted refuses connections for a moment.
func TestReconnectsToARestartedServer(t *testing.T) {
	var mu sync.Mutex
	down := 0
	server, h := dial(t, sshtest.Options{}, func(cfg *remote.SSHConfig) {
		cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if down > 0 {
				down--
				return nil, errors.New("connect: connection refused")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	output(t, h, remote.Command{Script: "true"})
	mu.Lock()
	down = 3
	mu.Unlock()
	server.DropConnections()
	output(t, h, remote.Command{Script: "true"})
}

func TestConnectionLostDuringACommand(t *testing.T) {
	server, h := dial(t, sshtest.Options{}, nil)
	marker := filepath.Join(server.Home, "started")
	go func() {
		waitFor(t, marker)
		server.DropConnections()
	}()
	_, err := h.Run(t.Context(), remote.Command{Label: "long work", Script: `: >started; sleep 5`})
	if !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "long work") {
		t.Fatal(err)
	}
}

func TestSilentHostIsGivenUp(t *testing.T) {
	server, h := dial(t, sshtest.Options{}, func(c *remote.SSHConfig) { c.Silence = 200 * time.Millisecond })
	marker := filepath.Join(server.Home, "started")
	go func() {
		waitFor(t, marker)
		server.Freeze()
	}()
	_, err := h.Run(t.Context(), remote.Command{Label: "long work", Script: `: >started; sleep 5`})
	if !errors.Is(err, remote.ErrLost) || !strings.Contains(err.Error(), "no sign of life") {
		t.Fatal(err)
	}
}

func TestCancelKills(t *testing.T) {
	for _, c := range []struct {
		name string
		opts sshtest.Options
		root bool
	}{
		{"beside it", sshtest.Options{}, false},
		{"over a connection of its own", sshtest.Options{MaxSessions: 1}, false},
		{"as root", sshtest.Options{Sudo: &sshtest.Sudo{Password: password2}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, h := dial(t, c.opts, func(cfg *remote.SSHConfig) { cfg.Become.Password = secret(password2) })
			ctx, cancel := context.WithCancel(t.Context())
			marker := filepath.Join(server.Home, "pid")
			go func() {
				waitFor(t, marker)
				cancel()
			}()
			_, err := h.Run(ctx, remote.Command{Label: "hang", Script: `sh -c 'echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 1000'; echo`, Root: c.root})
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "killed on the host") {
				t.Fatal(err)
			}
			pid, _ := os.ReadFile(marker)
			stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
			if err == nil && !strings.Contains(string(stat), ") Z ") {
				t.Fatalf("still there: %s", stat)
			}
		})
	}
}

func TestManyCommandsOverOneSession(t *testing.T) {
	server, h := dial(t, sshtest.Options{MaxSessions: 1, Delay: 5 * time.Millisecond}, nil)
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			if got, err := h.Run(t.Context(), remote.Command{Script: `echo "$1"`, Args: []string{strconv.Itoa(i)}}); err != nil || string(got.Stdout) != strconv.Itoa(i)+"\n" {
				t.Errorf("%q, %v", got.Stdout, err)
			}
		})
	}
	group.Wait()
	if server.Dials() != 1 {
		t.Errorf("%d connections", server.Dials())
	}
}

// waitFor returns when a file exists.
func waitFor(t *testing.T, file string) {
	for range 1000 {
		if _, err := os.Stat(file); err == nil {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			return
		}
	}
}

// A host that wants a terminal for sudo is sent megabytes through it, every byte as it is.
func TestTerminalCarriesPrograms(t *testing.T) {
	payload := make([]byte, 3<<20)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	_, h := dial(t, sshtest.Options{Sudo: &sshtest.Sudo{RequireTTY: true}}, func(cfg *remote.SSHConfig) {})
	got := output(t, h, remote.Command{Label: "sum", Script: "sha256sum", Root: true, Stdin: payload})
	if want := fmt.Sprintf("%x  -\n", sha256.Sum256(payload)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Commands that follow one another are run by one shell, and do not find what an earlier one has set.
func TestOneShellServesSeveralCommands(t *testing.T) {
	_, h := dial(t, sshtest.Options{}, nil)
	first := output(t, h, remote.Command{Script: "echo $$"})
	if _, err := h.Run(t.Context(), remote.Command{Script: "cd /; x=1; PATH=; umask 0; trap 'echo end' EXIT; set -eu; exit 3"}); err == nil {
		t.Error("a script that fails is said not to")
	}
	if got := output(t, h, remote.Command{Script: "echo $$"}); got != first {
		t.Errorf("shell %q, then %q", first, got)
	}
	home := output(t, h, remote.Command{Script: "pwd", Stdin: []byte("of another shell")})
	path := output(t, h, remote.Command{Script: "echo $PATH", Stdin: []byte("of another shell")})
	if got, want := output(t, h, remote.Command{Script: `pwd; echo "$PATH"; umask; echo "${x-unset}"; false; echo on`}), home+path+"0022\nunset\non\n"; got != want {
		t.Errorf("a later script finds %q, want %q", got, want)
	}
}

// A shell that ended while it waited for a further script is not missed, and its connection neither.
func TestShellThatEndedWhileItWaited(t *testing.T) {
	server, h := dial(t, sshtest.Options{}, nil)
	for i := range 20 {
		pid, err := strconv.Atoi(strings.TrimSpace(output(t, h, remote.Command{Script: "echo $$"})))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		} else {
			server.DropConnections()
		}
		if got := output(t, h, remote.Command{Script: "echo again"}); got != "again\n" {
			t.Errorf("%q", got)
		}
	}
}

// What a script has left of its standard input is not taken for a further script.
func TestInputIsNoScript(t *testing.T) {
	server, h := dial(t, sshtest.Options{}, nil)
	for _, script := range []string{"read -r line", "exit 1", ":"} {
		h.Run(t.Context(), remote.Command{Script: script, Stdin: []byte("a line\n: >evil\n" + strings.Repeat(": >evil\n", 40_000))})
		output(t, h, remote.Command{Script: "sleep 0.05"})
	}
	if _, err := os.Stat(filepath.Join(server.Home, "evil")); err == nil {
		t.Error("it was run")
	}
}

// Shells that wait for a script give their sessions up to whoever needs one.
func TestWaitingShellsGiveWay(t *testing.T) {
	for _, most := range []int{1, 2, 3} {
		server, h := dial(t, sshtest.Options{MaxSessions: most}, func(c *remote.SSHConfig) { c.MaxSessions = 2 })
		for range 3 {
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() { h.Run(t.Context(), remote.Command{Script: "sleep 0.02"}) })
			}
			group.Wait()
			if err := h.Upload(t.Context(), remote.File{Path: filepath.Join(server.Home, "file"), Content: []byte("content")}); err != nil {
				t.Errorf("%d sessions: %v", most, err)
			}
		}
	}
}
