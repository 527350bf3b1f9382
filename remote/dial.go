package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialAttempts is how often a connection is tried that the host takes and then
// drops before the login, as sshd does at random when too many log in at
// once (MaxStartups).
const dialAttempts = 6

// dial makes a connection.
func (s *SSH) dial(ctx context.Context) (*connection, error) {
	pause := 200 * time.Millisecond
	for try := 1; ; try++ {
		conn, dropped, err := s.dialOnce(ctx)
		if hk := (*hostKeyError)(nil); errors.As(err, &hk) && hk.unknown != nil && s.cfg.HostKeys == HostKeyAsk && s.cfg.AcceptKey != nil && try == 1 {
			if err := s.askForKey(ctx, hk); err != nil {
				return nil, err
			}
			continue
		}
		if !dropped || try == dialAttempts {
			return conn, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
			pause = min(2*pause, 2*time.Second)
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (s *SSH) failure(step string, kind, cause error, remedy string) *ConnError {
	return &ConnError{Host: s.cfg.Name, Address: s.link, Step: step, Kind: kind, Cause: cause, Remedy: remedy}
}

// dialOnce makes a connection: the way there, version exchange, keys, login, all
// within ConnectTimeout. It reports whether the host dropped the connection.
func (s *SSH) dialOnce(ctx context.Context) (conn *connection, dropped bool, err error) {
	if s.cfg.Via != nil { // before we enter its door, for which it may have to wait itself
		if _, err := s.cfg.Via.connect(ctx); err != nil {
			return nil, false, s.jumpFailure(err)
		}
	}
	leave, err := s.cfg.Fleet.enter(ctx, s.door())
	if err != nil {
		return nil, false, s.failure("connect", ErrUnreachable, err, "")
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	algorithms, err := s.keys.algorithms(s.known)
	if err != nil {
		return nil, false, s.failure("read known_hosts", ErrHostKey, err, "make it readable, or name another file in known_hosts")
	}
	tcp, via, err := s.open(ctx)
	if err != nil {
		return nil, false, err
	}
	deadline, _ := ctx.Deadline()
	tcp.SetDeadline(deadline) // a way through a jump host has none: closing ends it
	stop := context.AfterFunc(ctx, func() { tcp.Close() })

	watched := &watchedConn{Conn: tcp}
	auth := newLogin(&s.cfg)
	defer auth.close()
	var keyErr error
	client, channels, requests, err := ssh.NewClientConn(watched, s.known, &ssh.ClientConfig{
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
		if auth.typing > s.cfg.ConnectTimeout/2 && auth.failure == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			dropped = true // while somebody typed; what was typed is known now
		}
		if via != nil && ended && via.isDying() {
			return nil, false, s.jumpFailure(via.reason())
		}
		return nil, dropped, s.handshakeError(ctx, err, keyErr, auth, watched)
	}
	tcp.SetDeadline(time.Time{})
	conn = &connection{client: ssh.NewClient(client, channels, requests), tcp: watched, key: auth.signed, dead: make(chan struct{})}
	if via != nil {
		conn.via, conn.jump = via, s.cfg.Via.Name()
	}
	conn.watch(s.cfg.Silence)
	return conn, false, nil
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
		refused := s.failure("log in as "+s.cfg.User, ErrAuth, auth.failure, "")
		refused.final = true
		return refused
	case ctx.Err() != nil || isTimeout(err):
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return s.failure("connect", ErrUnreachable, context.Cause(ctx), "")
		}
		return s.failure("connect", ErrUnreachable,
			fmt.Errorf("no SSH handshake within %v", s.cfg.ConnectTimeout),
			"the port is open but the server is slow or is not SSH; look at the load on the host, or raise connect_timeout")
	case refusesLogin(err):
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

// refusesLogin reports whether the host has taken none of what it was offered, or did not wait for all of it (MaxAuthTries).
func refusesLogin(err error) bool {
	text := strings.ToLower(err.Error()) // OpenSSH begins with a capital
	return strings.Contains(text, "unable to authenticate") || strings.Contains(text, "too many authentication failures")
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
