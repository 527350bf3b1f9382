package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

// SASL is how servers prove to each other who they are, by DIGEST-MD5 (org.apache.zookeeper.server.quorum.auth). The zero
// value does without. It is the same for both ports; the side that connects begins, on the election port after its greeting.
type SASL struct {
	// Accepts lets servers that connect authenticate themselves (quorum.auth.enableSasl); Required refuses those that do
	// not (quorum.auth.serverRequireSasl).
	Accepts, Required bool
	// Password looks up the password of a user who may connect.
	Password func(user string) (password string, ok bool)
	// Proves lets this server authenticate itself where it connects (quorum.auth.learnerRequireSasl), as User.
	Proves            bool
	User, OwnPassword string
	// Nonce returns text of printable ASCII that nobody can guess, another one each time.
	Nonce func() string
}

const (
	saslService = "zookeeper-quorum"
	saslHost    = "zk-quorum-sasl-md5"
)

// ErrNotAuthenticated is why a connection ends: one of the two servers did not prove who it is, or could not.
var ErrNotAuthenticated = errors.New("not authenticated")

// prove authenticates this server on a connection that it has opened, if it has to. Nothing behind the exchange is read.
func (s SASL) prove(ctx context.Context, sock net.Conn, timeout time.Duration) error {
	if !s.Proves {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Unix(1, 0)) }) // ends the exchange
	defer stop()
	if err := sock.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if err := s.exchangeAsClient(sock); err != nil {
		return fmt.Errorf("%w at %s: %w", ErrNotAuthenticated, remote(sock), err)
	}
	if !stop() {
		return ctx.Err()
	}
	return sock.SetDeadline(time.Time{})
}

func (s SASL) exchangeAsClient(sock io.ReadWriter) error {
	client := sasl.NewClient(saslService, saslHost, s.User, s.OwnPassword, s.Nonce())
	token := []byte{}
	for {
		if err := sendToken(sock, wire.QuorumAuthInProgress, token); err != nil {
			return err
		}
		packet, err := wire.ReadQuorumAuthPacket(sock, sasl.MaxTokenBytes)
		if err != nil {
			return err
		}
		if packet.Status != wire.QuorumAuthInProgress && packet.Status != wire.QuorumAuthSuccess {
			return fmt.Errorf("the other server refuses user %q", s.User)
		}
		if token, err = client.Respond(packet.Token); err != nil {
			return err
		}
		switch success := packet.Status == wire.QuorumAuthSuccess; {
		case success && client.Done():
			return nil
		case success || client.Done():
			return errors.New("the other server ends too early or too late")
		}
	}
}

// admit lets a server that has connected authenticate itself, and returns what is to be read from now on. Who does not try
// is let through if it need not: then what was read to find out is read again.
func (s SASL) admit(sock net.Conn) (io.Reader, error) {
	if !s.Accepts {
		return sock, nil
	}
	begin := make([]byte, wire.QuorumAuthMagicBytes)
	n, err := io.ReadFull(sock, begin)
	read := io.MultiReader(bytes.NewReader(begin[:n]), sock)
	switch {
	case err == nil && wire.IsQuorumAuth(begin):
	case !s.Required:
		return read, nil // an error will come again
	case err != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("%w: the other server does not try (quorum.auth.serverRequireSasl)", ErrNotAuthenticated)
	}
	if err := s.exchangeAsServer(read, sock); err != nil {
		_ = sendToken(sock, wire.QuorumAuthError, []byte{}) // it is of no use to a server that is gone
		return nil, fmt.Errorf("%w: %w", ErrNotAuthenticated, err)
	}
	return sock, nil
}

func (s SASL) exchangeAsServer(in io.Reader, out io.Writer) error {
	server := sasl.NewServer(saslService, saslHost, s.Nonce(), s.Password)
	for {
		packet, err := wire.ReadQuorumAuthPacket(in, sasl.MaxTokenBytes)
		if err != nil {
			return err
		}
		token, err := server.Respond(packet.Token)
		if err != nil {
			return err
		}
		if !server.Done() {
			if err := sendToken(out, wire.QuorumAuthInProgress, token); err != nil {
				return err
			}
			continue
		}
		if server.Authorization() != server.User() {
			return fmt.Errorf("user %q wants to act as %q", server.User(), server.Authorization())
		}
		return sendToken(out, wire.QuorumAuthSuccess, token)
	}
}

func sendToken(out io.Writer, status wire.QuorumAuthStatus, token []byte) error {
	_, err := out.Write(wire.QuorumAuthPacket{Status: status, Token: token}.Append(nil))
	return err
}
