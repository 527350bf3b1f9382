package sasl

import (
	"crypto/subtle"
	"fmt"
	"strconv"
)

// Server is the server's side of one exchange. It is used once.
type Server struct {
	host, uri string
	nonce     string
	password  func(user string) (string, bool)

	challenged, over, done bool
	user, authorization    string
}

// NewServer begins an exchange for a service, such as "zookeeper", on a host, such as "zk-sasl-md5", which both sides take
// for the realm, too. nonce must be printable ASCII and must not be used again; nobody may be able to guess it. password
// looks up the password of a user.
func NewServer(service, host, nonce string, password func(user string) (string, bool)) *Server {
	return &Server{host: host, uri: service + "/" + host, nonce: nonce, password: password}
}

// Respond takes the next token of the client and returns the one to send: the challenge for the first one, whatever it is,
// then the server's own proof for the client's. After an error the exchange is over, unless it says that a token is too long.
func (s *Server) Respond(token []byte) ([]byte, error) {
	switch {
	case s.over:
		return nil, ErrOver
	case len(token) > MaxTokenBytes:
		return nil, fmt.Errorf("%w: %d bytes", ErrToken, len(token))
	case !s.challenged:
		s.challenged = true
		return []byte(`realm="` + quote(s.host) + `",nonce="` + s.nonce + `",charset=utf-8,algorithm=md5-sess`), nil
	}
	s.over = true
	answer, err := s.verify(token)
	s.done = err == nil
	return answer, err
}

// Done tells whether the client has proved that it knows the password.
func (s *Server) Done() bool { return s.done }

// User is whom the client is, once Done.
func (s *Server) User() string { return s.user }

// Authorization is whom the client wants to act as, once Done: User, unless it named another.
func (s *Server) Authorization() string { return s.authorization }

// verify checks the client's proof.
func (s *Server) verify(token []byte) ([]byte, error) {
	d, err := parse(token)
	if err != nil {
		return nil, err
	}
	// nc is what it must be for a new nonce, whatever the client says.
	p := proof{
		user: d["username"], realm: s.host, nonce: s.nonce, cnonce: d["cnonce"], nc: "00000001", uri: s.uri, qop: "auth",
		authzid: d["authzid"],
	}
	for name, want := range map[string]string{"qop": p.qop, "charset": "utf-8"} {
		if value, given := d[name]; given && value != want {
			return nil, fmt.Errorf("%w: %s is %q", ErrRefused, name, value)
		}
	}
	for name, want := range map[string]string{"realm": p.realm, "nonce": p.nonce, "digest-uri": p.uri} {
		if d[name] != want {
			return nil, fmt.Errorf("%w: %s is %q", ErrRefused, name, d[name])
		}
	}
	switch maxbuf, given := d["maxbuf"]; {
	case given && !isNumber(maxbuf):
		return nil, fmt.Errorf("%w: maxbuf is %q", ErrToken, maxbuf)
	case p.user == "":
		return nil, fmt.Errorf("%w: no username", ErrToken)
	case p.cnonce == "":
		return nil, fmt.Errorf("%w: no cnonce", ErrToken)
	case len(d["response"]) != 32:
		return nil, fmt.Errorf("%w: no response of 32 digits", ErrToken)
	}
	password, known := s.password(p.user)
	if !known {
		return nil, fmt.Errorf("%w: user %q is unknown", ErrRefused, p.user)
	}
	p.password = password
	if subtle.ConstantTimeCompare([]byte(p.of("AUTHENTICATE")), []byte(d["response"])) != 1 {
		return nil, fmt.Errorf("%w: wrong password of user %q", ErrRefused, p.user)
	}
	s.user, s.authorization = p.user, p.user
	if p.authzid != "" {
		s.authorization = p.authzid
	}
	return []byte("rspauth=" + p.of("")), nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}
