package auth

import (
	"regexp"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/sasl"
	"github.com/zkctl/zkctl/wire"
)

const (
	saslScheme = "sasl"
	// saslService and saslHost are what clients and servers agree on as the other's name.
	saslService = "zookeeper"
	saslHost    = "zk-sasl-md5"
)

// SASL returns the scheme "sasl" for access control lists. Its ids come from exchanges (Policy.Respond), not from auth
// packets. An id in a list that is anyUser stands for all of them (zookeeper.letAnySaslUserDoX); "" for none.
// (org.apache.zookeeper.server.auth.SASLAuthenticationProvider)
func SASL(anyUser string) Scheme { return saslIDs{anyUser} }

type saslIDs struct{ anyUser string }

func (saslIDs) Name() string                                   { return saslScheme }
func (saslIDs) Authenticate(Conn, []byte) ([]wire.ID, Verdict) { return nil, Failed }
func (saslIDs) Proven() bool                                   { return true }
func (saslIDs) User(id string) string                          { return id }

// principal is what a name with an @ has to look like: that of a user, or of a service on a host, and its realm.
var principal = regexp.MustCompile(`^[^/@]*(/[^/@]*)?@[^/@]*$`)

func (saslIDs) Valid(id string) bool {
	return !strings.Contains(id, "@") || principal.MatchString(id)
}

func (s saslIDs) Matches(conn, acl string) bool {
	return conn == "super" || conn == acl || s.anyUser != "" && acl == s.anyUser
}

// SASLOptions are how clients authenticate by SASL. The zero value is a server that does not: it answers and goes on.
type SASLOptions struct {
	// Password looks up the password of a user; nil switches SASL off.
	Password func(user string) (password string, ok bool)
	// Nonce returns text of printable ASCII that nobody can guess, another one each time.
	Nonce func() string
	// SuperUsers may do everything (zookeeper.superUser and others).
	SuperUsers []string
	// AllowFailed lets clients go on that failed (zookeeper.allowSaslFailedClients), unless SASL is enforced.
	AllowFailed bool
}

// Exchange is the SASL exchange of one connection. The zero value has not begun.
type Exchange struct{ server *sasl.Server }

// SASLAnswer is what becomes of a token.
type SASLAnswer struct {
	// IDs are those of the connection from now on.
	IDs []wire.ID
	// Token is to be sent; nil is null.
	Token []byte
	// Err is the code of the answer. After any but ErrOK the connection is closed.
	Err wire.ErrCode
	// Reason says why the client failed. It is set even if the client may go on, and has no secret in it.
	Reason error
}

// Respond takes a token of the client whose exchange this is, and whose ids are these, as ZooKeeperServer.processSasl does.
func (p *Policy) Respond(e *Exchange, ids []wire.ID, token []byte) SASLAnswer {
	if p.sasl.Password == nil {
		return SASLAnswer{IDs: ids}
	}
	if e.server == nil {
		e.server = sasl.NewServer(saslService, saslHost, p.sasl.Nonce(), p.sasl.Password)
	}
	answer, err := e.server.Respond(token)
	switch required := slices.Contains(p.enforced, saslScheme); {
	case err == nil:
	case p.sasl.AllowFailed && !required:
		return SASLAnswer{IDs: ids, Reason: err}
	case required:
		return SASLAnswer{IDs: ids, Err: wire.ErrSessionClosedRequireSASL, Reason: err}
	default:
		return SASLAnswer{IDs: ids, Err: wire.ErrAuthFailed, Reason: err}
	}
	if e.server.Done() {
		// Whom a client wants to act as does not matter: it is who it has proved to be.
		user := e.server.User()
		ids = with(ids, wire.ID{Scheme: saslScheme, ID: user})
		if slices.Contains(p.sasl.SuperUsers, user) {
			ids = with(ids, wire.ID{Scheme: SuperScheme})
		}
	}
	return SASLAnswer{IDs: ids, Token: answer}
}
