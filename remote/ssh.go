package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHConfig says how to reach and enter a host.
type SSHConfig struct {
	Name    string // in the inventory
	Address string // host name, IPv4 or IPv6 address, without port
	Port    int    // zero means 22
	User    string // login user

	// The way there, where it is not direct: through a jump host, or by a command
	// as in ssh_config(5), ProxyCommand.
	Via          *SSH
	ProxyCommand string
	Fleet        *Fleet // what is shared with the other hosts; may be nil

	// Ways to log in, tried in this order. No IdentityFiles means the usual
	// ones of ~/.ssh that exist. A file of which the agent holds the key is not
	// read beyond its public half.
	IdentityFiles    []string
	CertificateFiles []string                              // beside those called like an identity file, with -cert.pub
	AgentSocket      string                                // SSH_AUTH_SOCK, or empty for no agent
	IdentitiesOnly   bool                                  // offer no key of the agent but those of IdentityFiles
	Passphrase       func(file string) ([]byte, error)     // for encrypted identity files; may be nil
	Password         func() (string, error)                // for password and keyboard-interactive; may be nil
	Ask              func(question string) (string, error) // for what a host asks beside the password; may be nil

	HostKeys   HostKeyPolicy // empty means HostKeyStrict
	KnownHosts []string      // files; none means DefaultKnownHosts. New keys go to the first
	// AcceptKey asks somebody about a host key that is not on record, for HostKeyAsk; nil refuses such keys.
	AcceptKey    func(ctx context.Context, question string) (answer string, err error)
	HostKeyAlias string // the name in known_hosts, where it is not the address

	Become Become

	// Wait is how long to go on at the first connection where the host does not
	// answer or does not let us in yet, and then for the end of cloud-init: for
	// machines that are being made. Notice is told what is waited for; may be nil.
	Wait   time.Duration
	Notice func(text string)

	ConnectTimeout time.Duration // for dial and handshake together; zero means 10 s
	Silence        time.Duration // a connection silent for so long is given up; zero means 12 s
	MaxSessions    int           // at a time on the connection; zero means 8. sshd's default limit is 10

	// DialContext replaces the TCP dial, in tests and for limits across hosts.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultConnectTimeout = 10 * time.Second
	defaultSilence        = 12 * time.Second
	defaultMaxSessions    = 8
)

// SSH is a Host reached by SSH, over one connection that is made at the first
// use and made again, with some patience, if it was lost between two commands.
type SSH struct {
	*runner
	files uploader
	cfg   SSHConfig
	keys  hostKeys
	link  string // host:port
	known string // host:port as it is known in known_hosts

	dialing  sync.Mutex // so that there is one connection
	failed   error      // of the last dial, at failedAt
	failedAt time.Time
	entered  bool // the first connection was made

	mu     sync.Mutex
	conn   *connection
	closed bool
	limit  int           // sessions at a time; the host may allow fewer than MaxSessions
	idle   []*sshProcess // loaders that wait for another script, each with its slot

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
	case HostKeyStrict, HostKeyAsk, HostKeyAcceptNew, HostKeyOff:
	default:
		return nil, fmt.Errorf("%s: host key policy %q is none of strict, ask, accept-new, off", cfg.Name, cfg.HostKeys)
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
	s.known = s.link
	if cfg.HostKeyAlias != "" {
		s.known = net.JoinHostPort(cfg.HostKeyAlias, "22")
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

// LoginKey is the key or certificate with which we are logged in: nil if it was a
// password, or if there is no connection yet.
func (s *SSH) LoginKey() ssh.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	return s.conn.key
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
	s.idle = nil
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

// connect returns the live connection, making it if need be. Who waited while
// another one tried in vain shares its error: many hosts behind a dead jump host
// do not try it one after the other.
func (s *SSH) connect(ctx context.Context) (*connection, error) {
	asked := time.Now()
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
	if s.failedAt.After(asked) {
		return nil, s.failed
	}
	conn, err := s.dialPatiently(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.failed, s.failedAt = err, time.Now()
		}
		return nil, err
	}
	s.entered = true
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
