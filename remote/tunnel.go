package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// DialFrom connects to an address as seen from the host, through its SSH
// connection: to ports that only a jump host can reach. A connection that was
// refused there is syscall.ECONNREFUSED here.
func (s *SSH) DialFrom(ctx context.Context, address string) (net.Conn, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	channel, err := conn.client.DialContext(ctx, "tcp", address)
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && strings.Contains(strings.ToLower(refused.Message), "refused") {
		err = syscall.ECONNREFUSED
	}
	if err != nil {
		return nil, fmt.Errorf("%s from %s: %w", address, s.Name(), err)
	}
	// A channel knows no deadlines; a pipe in front of it does.
	near, far := net.Pipe()
	go func() {
		io.Copy(channel, far)
		channel.Close()
		far.Close()
	}()
	go func() {
		io.Copy(far, channel)
		far.Close()
		channel.Close()
	}()
	return near, nil
}
