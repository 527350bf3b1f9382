package sasl

import (
	"crypto/subtle"
	"fmt"
)

// Client is the client's side of one exchange. It is used once.
type Client struct {
	proof
	answered, over, done bool
}

// NewClient begins an exchange with a service on a host, as NewServer names them. cnonce must be printable ASCII that
// nobody can guess.
func NewClient(service, host, user, password, cnonce string) *Client {
	return &Client{proof: proof{
		user: user, password: password, authzid: user, cnonce: cnonce, nc: "00000001", uri: service + "/" + host, qop: "auth", realm: host,
	}}
}

// Respond takes the next token of the server and returns the one to send: the proof for the challenge, nil for the
// server's own proof. After an error the exchange is over. The first token of an exchange is empty and comes from the
// client.
func (c *Client) Respond(token []byte) ([]byte, error) {
	if c.over {
		return nil, ErrOver
	}
	d, err := parse(token)
	if err == nil && !c.answered {
		c.answered = true
		var answer []byte
		if answer, err = c.answer(d); err == nil {
			return answer, nil
		}
	}
	c.over = true
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(c.of("")), []byte(d["rspauth"])) != 1 {
		return nil, fmt.Errorf("%w: the server does not know the password", ErrRefused)
	}
	c.done = true
	return nil, nil
}

// Done tells whether the server has proved that it knows the password.
func (c *Client) Done() bool { return c.done }

// answer makes the client's proof.
func (c *Client) answer(d map[string]string) ([]byte, error) {
	if realm, given := d["realm"]; given {
		c.realm = realm
	}
	c.nonce = d["nonce"]
	switch {
	case c.nonce == "":
		return nil, fmt.Errorf("%w: no nonce", ErrToken)
	case d["algorithm"] != "md5-sess":
		return nil, fmt.Errorf("%w: algorithm %q", ErrRefused, d["algorithm"])
	}
	return []byte(`charset=utf-8,username="` + quote(c.user) + `",realm="` + quote(c.realm) + `",nonce="` + quote(c.nonce) +
		`",nc=` + c.nc + `,cnonce="` + c.cnonce + `",digest-uri="` + quote(c.uri) + `",maxbuf=65536,response=` +
		c.of("AUTHENTICATE") + `,qop=auth,authzid="` + quote(c.authzid) + `"`), nil
}
