package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialPatiently makes a connection; the first one may take as long as Wait, for
// machines that are still being made. What cannot pass by itself (another host key,
// a wrong passphrase) is not waited for.
func (s *SSH) dialPatiently(ctx context.Context) (*connection, error) {
	if s.entered {
		return s.dialAgain(ctx)
	}
	if s.cfg.Wait == 0 {
		return s.dial(ctx)
	}
	end := time.Now().Add(s.cfg.Wait)
	pause := min(max(s.cfg.Wait/100, 10*time.Millisecond), 3*time.Second)
	said := ""
	for {
		conn, err := s.dial(ctx)
		if err == nil {
			s.awaitCloudInit(ctx, conn, end, pause)
			return conn, nil
		}
		if !mayPass(err) || ctx.Err() != nil {
			return nil, err
		}
		// Passwords are tried seldom: some hosts lock an account after a few.
		next := pause
		if errors.Is(err, ErrAuth) && s.cfg.Password != nil {
			next = 5 * pause
		}
		if time.Until(end) < next {
			return nil, fmt.Errorf("%w (waited %v)", err, s.cfg.Wait)
		}
		if text := err.Error(); text != said {
			s.notice("waiting: " + text)
			said = text
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// dialAgain makes a connection to a host where we have been: it may be without a server for a moment, which is restarted.
func (s *SSH) dialAgain(ctx context.Context) (*connection, error) {
	const patience = 5 * time.Second
	end := time.Now().Add(patience)
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		conn, err := s.dial(ctx)
		if err == nil || !errors.Is(err, ErrUnreachable) || time.Until(end) < pause || ctx.Err() != nil {
			return conn, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (s *SSH) notice(text string) {
	if s.cfg.Notice != nil {
		s.cfg.Notice(text)
	}
}

// mayPass reports whether a host may let us in later.
func mayPass(err error) bool {
	var c *ConnError
	for cause := err; errors.As(cause, &c); cause = c.Cause { // of the host, and of jump hosts before it
		if c.final {
			return false
		}
	}
	return !errors.Is(err, ErrHostKey) && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrAuth))
}

// cloudInitRuns ends with status 75 while cloud-init is at work, which writes
// /etc/hosts, users and keys, and holds the package manager. Its signs are those of
// cloud-init's documentation, "boot stages".
const cloudInitRuns = `exec /bin/sh -c '[ -e /run/cloud-init/enabled ] || exit 0; [ -e /run/cloud-init/result.json ] || exit 75'`

// awaitCloudInit waits until the machine's first configuration is done, not beyond
// the end. A host that cannot be asked is not waited for.
func (s *SSH) awaitCloudInit(ctx context.Context, conn *connection, end time.Time, pause time.Duration) {
	for first := true; time.Until(end) > pause; first = false {
		session, err := openSession(ctx, conn)
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { session.Close() })
		err = session.Run(cloudInitRuns)
		stop()
		session.Close()
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.ExitStatus() != 75 {
			return
		}
		if first {
			s.notice("waiting for the end of cloud-init")
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
