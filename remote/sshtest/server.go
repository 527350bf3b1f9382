// Package sshtest is an SSH server inside the test process. It runs commands with
// /bin/sh in a directory of its own and can be told to misbehave in the ways that
// real hosts do: refused logins, no sftp, chatty start-up files, one session at a
// time, dropped and frozen connections, sudo with a password. It can be a jump host.
package sshtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Options say how the server behaves. The zero value accepts nobody.
type Options struct {
	Keys        []ssh.PublicKey // accepted for login
	Account     bool            // accept the keys of ~/.ssh/authorized_keys; getent and ssh know Home as the home directory
	UserCA      ssh.PublicKey   // whose user certificates are accepted for login
	Code        string          // asked for by keyboard-interactive after a key or password, if not empty
	Late        int             // so many first logins are refused, whatever they offer
	Password    string          // accepted by the method password, if not empty
	Interactive string          // accepted by keyboard-interactive, if not empty
	HostKeys    []ssh.Signer    // none means a fresh ed25519 key
	Mute        bool            // accept TCP connections and say nothing
	Drops       int             // so many first connections are closed at once, as MaxStartups does
	Startups    int             // connections before the login at a time; further ones are closed. Zero means no limit

	Forward string // jump host: "" forbids, "yes" connects to where it is asked to, "nowhere" fails

	Noise       string        // printed on both streams before each command, as a chatty .bashrc does
	Shell       []string      // login shell, which gets "-c" and the command; nil means /bin/sh
	Delay       time.Duration // before each request on a session is answered
	MaxSessions int           // at a time on a connection; zero means no limit
	NoSFTP      bool          // no sftp subsystem
	BlindSFTP   bool          // an sftp subsystem that shows a file system of its own
	NoSCP       bool          // no scp program
	HangingSCP  bool          // an scp program that never answers
	ReadOnly    bool          // an sftp subsystem that may write nowhere
	Sudo        *Sudo         // nil leaves the test process's own identity and sudo

	// For a host of its own, as in a namespace: where it listens, the authorized_keys file whose keys are accepted beside
	// Keys, and what runs a command there, in the place of Shell.
	Listener   net.Listener
	Authorized string
	Command    func(command string) *exec.Cmd
}

// Sudo puts stand-ins for sudo and id first in PATH; the login user is then
// nobody special, and root is who came through sudo.
type Sudo struct {
	Password   string // wanted by sudo; empty means none
	RequireTTY bool   // sudo insists on a terminal
	Lecture    bool   // sudo lectures before it asks
	Doas       bool   // there is doas instead of sudo
	Forbidden  bool   // the user is not in the sudoers file
	Expired    bool   // sudo finds that the user's password has expired
}

// Server is a running server.
type Server struct {
	Host string // 127.0.0.1, or where the Listener listens
	Port int
	Home string // directory in which commands run

	opts     Options
	listener net.Listener
	config   *ssh.ServerConfig
	hostKeys []ssh.Signer
	bin      string

	mu    sync.Mutex
	conns map[*faultyConn]bool

	dropAfter atomic.Int64 // bytes until the next connection drop; 0 means none
	frozen    atomic.Bool
	dials     atomic.Int64
	logins    atomic.Int64
	starting  atomic.Int64
	forwards  atomic.Int64
	todrop    atomic.Int64
	drops     atomic.Int64
	attempts  atomic.Int64
	sessions  atomic.Int64
	serving   sync.WaitGroup
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s := &Server{opts: opts, Home: t.TempDir(), hostKeys: opts.HostKeys, conns: make(map[*faultyConn]bool)}
	if len(s.hostKeys) == 0 {
		s.hostKeys = []ssh.Signer{NewKey(t)}
	}
	s.todrop.Store(int64(opts.Drops))
	s.config = s.serverConfig()
	for _, k := range s.hostKeys {
		s.config.AddHostKey(k)
	}
	if opts.Sudo != nil || opts.Account {
		s.bin = t.TempDir()
	}
	if opts.Sudo != nil {
		if err := opts.Sudo.install(s.bin); err != nil {
			t.Fatal(err)
		}
	}
	if opts.Account {
		if err := s.installAccount(); err != nil {
			t.Fatal(err)
		}
	}
	l := opts.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	s.listener = l
	addr := l.Addr().(*net.TCPAddr)
	s.Host, s.Port = addr.IP.String(), addr.Port
	s.serving.Go(s.accept)
	t.Cleanup(func() {
		s.frozen.Store(false)
		l.Close()
		s.DropConnections()
		s.serving.Wait()
	})
	return s
}

// NewKey makes an ed25519 key.
func NewKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// NewECDSAKey makes a key of another type.
func NewECDSAKey(t testing.TB) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// WriteKey makes an ed25519 key and writes it to a file, encrypted if there is a
// passphrase. It returns the file's path and the public key.
func WriteKey(t testing.TB, passphrase string) (file string, public ssh.PublicKey) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, block); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return file, public
}

// Certify makes a certificate of a key for one name, valid for the time given from
// now; a negative one makes an expired certificate.
func Certify(t testing.TB, authority ssh.Signer, key ssh.PublicKey, kind uint32, name string, valid time.Duration) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{Key: key, CertType: kind, ValidPrincipals: []string{name}, KeyId: "test",
		ValidAfter:  uint64(time.Now().Add(-time.Hour).Unix()),
		ValidBefore: uint64(time.Now().Add(valid).Unix())}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

// Agent runs an SSH agent that holds the private keys of files, and returns its
// socket.
func Agent(t testing.TB, passphrase string, files ...string) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var key any
		if passphrase == "" {
			key, err = ssh.ParseRawPrivateKey(pem)
		} else {
			key, err = ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte(passphrase))
		}
		if err == nil {
			err = ring.Add(agent.AddedKey{PrivateKey: key})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { agent.ServeAgent(ring, conn); conn.Close() }()
		}
	}()
	return l.Addr().String()
}

// HostKey is the first host key's public half.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKeys[0].PublicKey() }

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Dials is the number of TCP connections so far.
func (s *Server) Dials() int { return int(s.dials.Load()) }

// Logins is the number of connections that got in so far, Forwards that of
// connections made for others, Dropped that of connections closed by MaxStartups.
func (s *Server) Logins() int   { return int(s.logins.Load()) }
func (s *Server) Forwards() int { return int(s.forwards.Load()) }
func (s *Server) Dropped() int  { return int(s.drops.Load()) }

// Attempts is the number of passwords and answers that were tried.
func (s *Server) Attempts() int { return int(s.attempts.Load()) }

// Sessions is the number of sessions opened so far.
func (s *Server) Sessions() int { return int(s.sessions.Load()) }

// DropAfter cuts the connection that receives the n-th byte from now on. It
// happens once.
func (s *Server) DropAfter(n int64) { s.dropAfter.Store(n) }

// Freeze stops all reading and writing, as if the host had lost power: no
// connection is closed.
func (s *Server) Freeze() { s.frozen.Store(true) }

// DropConnections closes all connections.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) serverConfig() *ssh.ServerConfig {
	c := &ssh.ServerConfig{MaxAuthTries: 6}
	late := func() error {
		if s.dials.Load() <= int64(s.opts.Late) {
			return errors.New("not yet")
		}
		return nil
	}
	// second asks for the code where there is one to be asked for.
	second := func() (*ssh.Permissions, error) {
		if s.opts.Code == "" {
			return nil, nil
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			KeyboardInteractiveCallback: s.ask("Verification code: ", s.opts.Code, func() (*ssh.Permissions, error) { return nil, nil }),
		}}
	}
	if len(s.opts.Keys) > 0 || s.opts.UserCA != nil || s.opts.Account || s.opts.Authorized != "" {
		checker := ssh.CertChecker{
			IsUserAuthority: func(key ssh.PublicKey) bool { return s.opts.UserCA != nil && equal(key, s.opts.UserCA) },
			UserKeyFallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
				for _, k := range slices.Concat(s.opts.Keys, s.authorized()) {
					if equal(k, key) {
						return second()
					}
				}
				return nil, errors.New("unknown key")
			},
		}
		c.PublicKeyCallback = func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if err := late(); err != nil {
				return nil, err
			}
			return checker.Authenticate(meta, key)
		}
	}
	if s.opts.Password != "" {
		c.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			s.attempts.Add(1)
			if err := late(); err == nil && string(password) == s.opts.Password {
				return second()
			}
			return nil, errors.New("wrong password")
		}
	}
	if s.opts.Interactive != "" {
		c.KeyboardInteractiveCallback = s.ask("Password: ", s.opts.Interactive, second)
	}
	if c.PublicKeyCallback == nil && c.PasswordCallback == nil && c.KeyboardInteractiveCallback == nil {
		c.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("nobody") }
	}
	return c
}

type interactive = func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error)

// ask is a keyboard-interactive login by one question.
func (s *Server) ask(question, answer string, then func() (*ssh.Permissions, error)) interactive {
	return func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{question}, []bool{false})
		s.attempts.Add(1)
		if err == nil && len(answers) == 1 && answers[0] == answer {
			return then()
		}
		return nil, errors.New("wrong answer")
	}
}

func equal(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

func (s *Server) accept() {
	for {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.dials.Add(1)
		conn := &faultyConn{Conn: tcp, server: s, closed: make(chan struct{})}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(conn *faultyConn) {
	if s.opts.Mute {
		<-conn.closed
		return
	}
	starting := s.starting.Add(1)
	leave := sync.OnceFunc(func() { s.starting.Add(-1) })
	defer leave()
	if s.todrop.Add(-1) >= 0 || s.opts.Startups > 0 && starting > int64(s.opts.Startups) {
		s.drops.Add(1)
		return
	}
	server, channels, requests, err := ssh.NewServerConn(conn, s.config)
	leave()
	if err != nil {
		return
	}
	defer server.Close()
	s.logins.Add(1)
	go ssh.DiscardRequests(requests)
	var open atomic.Int64
	var sessions sync.WaitGroup
	for ch := range channels {
		if ch.ChannelType() == "direct-tcpip" {
			sessions.Go(func() { s.forward(ch) })
			continue
		}
		if ch.ChannelType() != "session" {
			ch.Reject(ssh.UnknownChannelType, "only sessions here")
			continue
		}
		if limit := int64(s.opts.MaxSessions); limit > 0 && open.Load() >= limit {
			ch.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		open.Add(1)
		s.sessions.Add(1)
		channel, requests, err := ch.Accept()
		if err != nil {
			open.Add(-1)
			continue
		}
		sessions.Go(func() {
			defer open.Add(-1)
			(&session{server: s, channel: channel}).serve(requests)
		})
	}
	sessions.Wait()
}

// forward connects a channel with the server that it asks for; see RFC 4254,
// section 7.2.
func (s *Server) forward(ch ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil || s.opts.Forward == "" {
		ch.Reject(ssh.Prohibited, "administratively prohibited")
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil || s.opts.Forward == "nowhere" {
		ch.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer conn.Close()
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	s.forwards.Add(1)
	go ssh.DiscardRequests(requests)
	go func() {
		io.Copy(conn, channel)
		conn.Close()
	}()
	io.Copy(channel, conn)
	channel.Close()
}

// faultyConn is a connection that can be cut or frozen.
type faultyConn struct {
	net.Conn
	server *Server
	once   sync.Once
	closed chan struct{}
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	if left := c.server.dropAfter.Load(); left > 0 && n > 0 {
		left -= int64(n)
		if left <= 0 {
			c.server.dropAfter.Store(0)
			c.Close()
			return 0, fmt.Errorf("dropped as told")
		}
		c.server.dropAfter.Store(left)
	}
	return n, err
}

func (c *faultyConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

// wait holds a frozen connection until it is closed here.
func (c *faultyConn) wait() {
	if c.server.frozen.Load() {
		<-c.closed
	}
}

func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
