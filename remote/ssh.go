package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHConfig says how to reach and enter a host.
type SSHConfig struct {
	Name    string // in the inventory
	Address string // host name, IPv4 or IPv6 address, without port
	Port    int    // zero means 22
	User    string // login user

	// Ways to log in, tried in this order. No IdentityFiles means the usual
	// ones of ~/.ssh that exist.
	IdentityFiles []string
	AgentSocket   string                            // SSH_AUTH_SOCK, or empty for no agent
	Passphrase    func(file string) ([]byte, error) // for encrypted identity files; may be nil
	Password      func() (string, error)            // for password and keyboard-interactive; may be nil

	HostKeys   HostKeyPolicy // empty means HostKeyStrict
	KnownHosts []string      // files; none means DefaultKnownHosts. New keys go to the first

	Become Become

	ConnectTimeout time.Duration // for dial and handshake together; zero means 10 s
	Silence        time.Duration // a connection silent for so long is given up; zero means 15 s
	MaxSessions    int           // at a time on the connection; zero means 8. sshd's default limit is 10

	// DialContext replaces the TCP dial, in tests and for limits across hosts.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultConnectTimeout = 10 * time.Second
	defaultSilence        = 15 * time.Second
	defaultMaxSessions    = 8
)

// SSH is a Host reached by SSH, over one connection that is made at the first
// use and made again once if it was lost between two commands.
type SSH struct {
	*runner
	files uploader
	cfg   SSHConfig
	keys  hostKeys
	link  string // host:port

	dialing sync.Mutex // so that there is one connection

	mu     sync.Mutex
	conn   *connection
	closed bool
	limit  int // sessions at a time; the host may allow fewer than MaxSessions

	slots chan struct{} // one token per session that may be open
}

// NewSSH returns a host; nothing is dialled before the first use or Connect.
func NewSSH(cfg SSHConfig) (*SSH, error) {
	if cfg.Port == 0 {
		cfg.Port = 22
	}
	if cfg.HostKeys == "" {
		cfg.HostKeys = HostKeyStrict
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.Silence == 0 {
		cfg.Silence = defaultSilence
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = defaultMaxSessions
	}
	if cfg.DialContext == nil {
		cfg.DialContext = (&net.Dialer{}).DialContext
	}
	switch cfg.HostKeys {
	case HostKeyStrict, HostKeyAcceptNew, HostKeyOff:
	default:
		return nil, fmt.Errorf("%s: host key policy %q is none of strict, accept-new, off", cfg.Name, cfg.HostKeys)
	}
	if len(cfg.KnownHosts) == 0 && cfg.HostKeys != HostKeyOff {
		file, err := DefaultKnownHosts()
		if err != nil {
			return nil, fmt.Errorf("%s: known_hosts: %w", cfg.Name, err)
		}
		cfg.KnownHosts = []string{file}
	}
	s := &SSH{
		cfg:   cfg,
		keys:  hostKeys{policy: cfg.HostKeys, files: cfg.KnownHosts},
		link:  net.JoinHostPort(cfg.Address, strconv.Itoa(cfg.Port)),
		slots: make(chan struct{}, cfg.MaxSessions),
	}
	s.limit = cfg.MaxSessions
	for range cfg.MaxSessions {
		s.slots <- struct{}{}
	}
	s.runner = newRunner(cfg.Name, cfg.User, s, cfg.Become)
	s.address = s.link
	s.isRoot = cfg.User == "root"
	s.files.host = s.runner
	s.files.movers = []mover{sftpMover{s}, scpMover{s}}
	return s, nil
}

// Name implements Host.
func (s *SSH) Name() string { return s.cfg.Name }

// Connect dials, checks the host key and logs in, unless that is done already.
func (s *SSH) Connect(ctx context.Context) error {
	_, err := s.connect(ctx)
	return err
}

// Close implements Host.
func (s *SSH) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		s.conn.close(errors.New("closed here"))
		s.conn = nil
	}
	return nil
}

// Upload implements Host. An upload whose connection drops is tried once more:
// until the last rename nothing has happened, and after it the same bytes are
// put there again.
func (s *SSH) Upload(ctx context.Context, file File) error {
	err := s.files.Upload(ctx, file)
	if errors.Is(err, ErrLost) && ctx.Err() == nil {
		err = s.files.Upload(ctx, file)
	}
	return err
}

// connect returns the live connection, making it if need be.
func (s *SSH) connect(ctx context.Context) (*connection, error) {
	s.dialing.Lock()
	defer s.dialing.Unlock()
	s.mu.Lock()
	conn, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed {
		return nil, s.closedHere()
	}
	if conn != nil && !conn.isDead() {
		return conn, nil
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.close(errors.New("closed here"))
		return nil, s.closedHere()
	}
	s.conn = conn
	return conn, nil
}

func (s *SSH) closedHere() error {
	return s.failure("connect", ErrUnreachable, errors.New("the host was closed here"), "")
}

// dialAttempts is how often a connection is tried that the host takes and then
// drops before the login, as sshd does at random when too many log in at
// once (MaxStartups).
const dialAttempts = 3

// dial makes a connection.
func (s *SSH) dial(ctx context.Context) (*connection, error) {
	for try := 1; ; try++ {
		conn, dropped, err := s.dialOnce(ctx)
		if !dropped || try == dialAttempts {
			return conn, err
		}
		pause := time.Duration(100+rand.IntN(400)) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (s *SSH) failure(step string, kind, cause error, remedy string) *ConnError {
	return &ConnError{Host: s.cfg.Name, Address: s.link, Step: step, Kind: kind, Cause: cause, Remedy: remedy}
}

// dialOnce makes a connection: TCP, version exchange, keys, login, all within
// ConnectTimeout. It reports whether the host dropped the connection.
func (s *SSH) dialOnce(ctx context.Context) (conn *connection, dropped bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	algorithms, err := s.keys.algorithms(s.link)
	if err != nil {
		return nil, false, s.failure("read known_hosts", ErrHostKey, err, "correct the line, or remove it")
	}
	tcp, err := s.cfg.DialContext(ctx, "tcp", s.link)
	if err != nil {
		return nil, false, s.failure("connect", ErrUnreachable, err, dialRemedy(err))
	}
	deadline, _ := ctx.Deadline()
	tcp.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { tcp.Close() })

	watched := &watchedConn{Conn: tcp}
	auth := newLogin(&s.cfg)
	defer auth.close()
	var keyErr error
	client, channels, requests, err := ssh.NewClientConn(watched, s.link, &ssh.ClientConfig{
		User:              s.cfg.User,
		Auth:              auth.methods(),
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			keyErr = s.keys.check(address, remote, key)
			return keyErr
		},
		ClientVersion: "SSH-2.0-zkctl",
	})
	if !stop() && err == nil {
		client.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		tcp.Close()
		// The library closes its end when it reads the end of the other, and
		// then may report either.
		ended := errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		dropped = ended && ctx.Err() == nil && keyErr == nil && auth.failure == nil
		return nil, dropped, s.handshakeError(ctx, err, keyErr, auth, watched)
	}
	tcp.SetDeadline(time.Time{})
	return newConnection(ssh.NewClient(client, channels, requests), watched, s.cfg.Silence), false, nil
}

// handshakeError says at which point between the TCP connection and the login it
// went wrong.
func (s *SSH) handshakeError(ctx context.Context, err, keyErr error, auth *login, conn *watchedConn) error {
	var hk *hostKeyError
	switch {
	case errors.As(keyErr, &hk):
		return s.failure("check host key", ErrHostKey, hk, hk.remedy)
	case keyErr != nil:
		return s.failure("check host key", ErrHostKey, keyErr, "")
	case auth.failure != nil:
		return s.failure("log in as "+s.cfg.User, ErrAuth, auth.failure, "")
	case ctx.Err() != nil || isTimeout(err):
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return s.failure("connect", ErrUnreachable, context.Cause(ctx), "")
		}
		return s.failure("connect", ErrUnreachable,
			fmt.Errorf("no SSH handshake within %v", s.cfg.ConnectTimeout),
			"the port is open but the server is slow or is not SSH; look at the load on the host, or raise connect_timeout")
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(err.Error(), "too many authentication failures"):
		tried := "nothing was there to log in with"
		if len(auth.offered) > 0 {
			tried = "offered " + strings.Join(auth.offered, ", ")
		}
		if len(auth.skipped) > 0 {
			tried += "; not usable: " + strings.Join(auth.skipped, ", ")
		}
		return s.failure("log in as "+s.cfg.User, ErrAuth, errors.New(tried),
			fmt.Sprintf("check that `ssh -p %d %s@%s` works: the user's name, the key in authorized_keys on the host, or the password", s.cfg.Port, s.cfg.User, s.cfg.Address))
	case !conn.heard():
		return s.failure("connect", ErrUnreachable, fmt.Errorf("closed before any answer: %w", err),
			"is it an SSH server? If it is, it may refuse for load (MaxStartups) or by address (PerSourcePenalties): try again with a lower --parallel")
	}
	return s.failure("SSH handshake", ErrUnreachable, err,
		"something answers on the port, but not as an SSH server that takes this connection: check address and port, and sshd's log on the host")
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func dialRemedy(err error) string {
	text := err.Error()
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name does not resolve here: correct the address in the inventory"
	case strings.Contains(text, "connection refused"):
		return "the host answers but nothing listens there: is sshd running, and is the port right?"
	case strings.Contains(text, "no route to host"), strings.Contains(text, "network is unreachable"):
		return "a firewall rejects it or the host is off: check the address and the firewall for the SSH port"
	case isTimeout(err), strings.Contains(text, "deadline exceeded"):
		return "no answer at all: the host is off, the address is wrong, or a firewall drops the packets"
	}
	return ""
}
