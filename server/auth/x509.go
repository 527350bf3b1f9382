package auth

import (
	"crypto/x509"

	"github.com/zkctl/zkctl/wire"
)

const x509Scheme = "x509"

// certificates is the distinguished name of the certificate that a client has shown in the handshake of TLS
// (org.apache.zookeeper.server.auth.X509AuthenticationProvider).
type certificates struct{ super string }

// X509 is the scheme x509. superUser is the name of the user who may do everything; empty for nobody
// (zookeeper.X509AuthenticationProvider.superUser).
func X509(superUser string) Scheme { return certificates{superUser} }

func (certificates) Name() string { return x509Scheme }

// Authenticate takes the first certificate, which has been verified in the handshake. A connection without has failed.
func (s certificates) Authenticate(c Conn, _ []byte) ([]wire.ID, Verdict) {
	if len(c.Certificates) == 0 {
		return nil, Failed
	}
	name, err := subject(c.Certificates[0])
	if err != nil {
		return nil, Failed
	}
	var ids []wire.ID
	if name == s.super && s.super != "" {
		ids = append(ids, wire.ID{Scheme: SuperScheme, ID: name})
	}
	return append(ids, wire.ID{Scheme: x509Scheme, ID: name}), Accepted
}

// Matches lets the superuser be everybody.
func (s certificates) Matches(conn, acl string) bool {
	return conn == acl || s.super != "" && conn == s.super
}

func (certificates) Valid(id string) bool  { return validName(id) }
func (certificates) Proven() bool          { return true }
func (certificates) User(id string) string { return id }

// subject is the name of a certificate's owner.
func subject(c *x509.Certificate) (string, error) { return nameText(c.RawSubject) }
