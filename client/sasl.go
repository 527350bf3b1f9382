package client

import (
	"fmt"
	"io"
	"net"

	"github.com/zkctl/zkctl/wire"
)

// SASL is the client's part in one authentication.
type SASL interface {
	// Step answers a challenge; the first one is empty. done says that the server has nothing more to prove.
	Step(challenge []byte) (answer []byte, done bool, err error)
}

// authenticate carries out a SASL authentication on a new connection, before any request.
func (c *Client) authenticate(conn net.Conn, in io.Reader) error {
	mechanism := c.options.SASL()
	var challenge []byte
	for {
		answer, done, err := mechanism.Step(challenge)
		if err != nil {
			return c.refused(err)
		}
		if done {
			c.tell(Event{State: StateSaslAuthenticated})
			return nil
		}
		c.mu.Lock()
		xid := c.nextXid()
		c.mu.Unlock()
		body := wire.RequestHeader{Xid: xid, Type: wire.OpSASL}.Append(nil)
		if _, err := conn.Write(frame(wire.AppendBuffer(body, answer))); err != nil {
			return err
		}
		if challenge, err = c.challenge(in, xid); err != nil {
			return err
		}
	}
}

// challenge reads the server's next token.
func (c *Client) challenge(in io.Reader, xid int32) ([]byte, error) {
	for {
		b, err := readFrame(in, c.options.MaxReplyBytes)
		if err != nil {
			return nil, err
		}
		d := wire.NewDecoder(b)
		var h wire.ReplyHeader
		h.Decode(d)
		switch {
		case d.Err() != nil:
			return nil, d.Err()
		case h.Err == wire.ErrAuthFailed || h.Err == wire.ErrSessionClosedRequireSASL:
			return nil, c.refused(&Error{Code: h.Err})
		case h.Xid == xid:
			token := d.Buffer()
			return token, d.Err()
		case h.Xid >= 0:
			return nil, fmt.Errorf("reply to xid %d: %w", h.Xid, errProtocol)
		}
		if err := c.receiveSpecial(h, d.Rest()); err != nil {
			return nil, err
		}
	}
}

// refused ends the session because the server does not accept us, or we not the server.
func (c *Client) refused(err error) error {
	c.become(AuthFailed)
	c.tell(Event{State: StateAuthFailed})
	return err
}
