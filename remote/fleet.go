package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// defaultDials is how many connections are being made to one server at a time.
// sshd begins to drop them at random at ten (MaxStartups).
const defaultDials = 6

// Fleet is what the hosts of one operation share: the jump hosts, one connection
// each, and the number of logins that one server has to deal with at a time. A
// host behind a jump host counts against that. The zero value is ready; a nil
// *Fleet shares nothing.
type Fleet struct {
	Dials int // connections being made to one server at a time; zero means 6

	mu    sync.Mutex
	doors map[string]chan struct{} // by server
	jumps map[string]*SSH          // by user, address, keys and the jump hosts before
}

// Jump returns the jump host of the configuration, the same one for all that ask and would log in to it alike.
func (f *Fleet) Jump(cfg SSHConfig) (*SSH, error) {
	cfg.Fleet = f
	jump, err := NewSSH(cfg)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s@%s %p %q %q %q", cfg.User, jump.link, cfg.Via, cfg.IdentityFiles, cfg.CertificateFiles, cfg.AgentSocket)
	f.mu.Lock()
	defer f.mu.Unlock()
	if present := f.jumps[key]; present != nil {
		return present, nil
	}
	if f.jumps == nil {
		f.jumps = make(map[string]*SSH)
	}
	f.jumps[key] = jump
	return jump, nil
}

// Close ends the connections to the jump hosts.
func (f *Fleet) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, jump := range f.jumps {
		jump.Close()
	}
}

// enter waits until the server may be asked for a further login.
func (f *Fleet) enter(ctx context.Context, server string) (leave func(), err error) {
	if f == nil {
		return func() {}, nil
	}
	f.mu.Lock()
	door := f.doors[server]
	if door == nil {
		dials := f.Dials
		if dials == 0 {
			dials = defaultDials
		}
		if f.doors == nil {
			f.doors = make(map[string]chan struct{})
		}
		door = make(chan struct{}, dials)
		f.doors[server] = door
	}
	f.mu.Unlock()
	select {
	case door <- struct{}{}:
		return func() { <-door }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// door is the server that has to deal with a login: the host itself, or the last
// jump host before it.
func (s *SSH) door() string {
	if s.cfg.Via != nil {
		return s.cfg.Via.link
	}
	return s.link
}

// open makes the byte stream to the host's SSH server: through a jump host, by a
// command, or directly. via is the jump host's connection, nil without one.
func (s *SSH) open(ctx context.Context) (stream net.Conn, via *connection, err error) {
	switch {
	case s.cfg.Via != nil:
		if via, err = s.cfg.Via.connect(ctx); err != nil {
			return nil, nil, s.jumpFailure(err)
		}
		stream, err = via.client.DialContext(ctx, "tcp", s.link)
	case s.cfg.ProxyCommand != "":
		stream, err = startProxy(s.cfg.ProxyCommand)
	default:
		stream, err = s.cfg.DialContext(ctx, "tcp", s.link)
	}
	if err == nil {
		return stream, via, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var denied *ssh.OpenChannelError
	switch {
	case errors.As(err, &denied) && denied.Reason == ssh.Prohibited:
		return nil, nil, s.failure("connect", ErrUnreachable, fmt.Errorf("the jump host %s forbids the way: %s", s.cfg.Via.Name(), denied.Message),
			"allow it in sshd_config of "+s.cfg.Via.Name()+": AllowTcpForwarding, PermitOpen, DisableForwarding")
	case errors.As(err, &denied):
		return nil, nil, s.failure("connect", ErrUnreachable, fmt.Errorf("the jump host %s cannot reach it: %s", s.cfg.Via.Name(), denied.Message),
			"the address must be right as seen from "+s.cfg.Via.Name()+", and the host be on with sshd running")
	case via != nil && via.isDying():
		return nil, nil, s.jumpFailure(via.reason())
	}
	return nil, nil, s.failure("connect", ErrUnreachable, err, dialRemedy(err))
}

func (s *SSH) jumpFailure(err error) *ConnError {
	return s.failure("connect", ErrUnreachable, fmt.Errorf("jump host %s: %w", s.cfg.Via.Name(), err), "")
}
