package server

import (
	"crypto/rand"
	"encoding/base64"
	"slices"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/jaas"
	"github.com/zkctl/zkctl/server/metrics"
	"github.com/zkctl/zkctl/server/peer"
)

// authOptions are how clients are authenticated and authorized. m counts what comes of it.
func authOptions(c *config.Config, m *metrics.Metrics) auth.Options {
	o := auth.Options{
		SkipACL: c.SkipACL, NoDigest: c.NoDigest, Enforced: c.EnforcedSchemes,
		SASL: auth.SASLOptions{Nonce: nonce, SuperUsers: c.SASLSuperUsers, AllowFailed: c.AllowSASLFailed},
	}
	if !c.NoDigest {
		o.Schemes = append(o.Schemes, auth.Digest(c.SuperDigest, c.DigestAlgorithm))
	}
	if c.SASLUsers != nil {
		o.SASL.Password = lookUp(c.SASLUsers)
	}
	if c.ClientTLS() || slices.Contains(c.Providers, "x509") {
		o.Schemes = append(o.Schemes, auth.X509(c.TLS.X509SuperUser))
	}
	for _, scheme := range c.Providers {
		switch scheme {
		case "sasl":
			o.Schemes = append(o.Schemes, auth.SASL(c.SASLAnyUser))
		case "ensemble":
			o.Schemes = append(o.Schemes, auth.Ensemble(c.EnsembleNames, m))
		case "key":
			o.Schemes = append(o.Schemes, auth.Key())
		}
	}
	return o
}

// operatorOptions are how operators are, at the AdminServer.
func operatorOptions(c *config.Config, m *metrics.Metrics) auth.Options {
	o := authOptions(c, m)
	if c.AdminTLS() {
		o.Schemes = append(o.Schemes, auth.X509(c.TLS.X509SuperUser))
	}
	return o
}

// quorumSASL is how members authenticate each other.
func quorumSASL(q *config.QuorumSASL) peer.SASL {
	return peer.SASL{
		Accepts: q.Enabled, Required: q.ServerRequired, Proves: q.LearnerRequired, User: q.User, OwnPassword: string(q.Password),
		Password: lookUp(q.Users), Nonce: nonce,
	}
}

// lookUp returns a function that looks up passwords.
func lookUp(users map[string]jaas.Secret) func(user string) (string, bool) {
	return func(user string) (string, bool) {
		password, ok := users[user]
		return string(password), ok
	}
}

// nonce is text that nobody can guess.
func nonce() string {
	b := make([]byte, 30)
	rand.Read(b) // it never fails
	return base64.StdEncoding.EncodeToString(b)
}
