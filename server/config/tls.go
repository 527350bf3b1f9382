package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/keystore"
	"github.com/zkctl/zkctl/server/secure"
)

// TLS is how clients and members encrypt what they send.
type TLS struct {
	// SecureClientPort is the client port for TLS; 0 means none. SecureClientHost is the address to listen on, "" for all.
	SecureClientPort int
	SecureClientHost string
	// ClientUnified lets the plain client port take TLS, too.
	ClientUnified bool
	// HandshakeLimit bounds the handshakes with clients at a time; not positive for no bound. DropEarly closes connections
	// to the secure port before the handshake while the server does not serve.
	HandshakeLimit int
	DropEarly      bool
	// Client are the settings for clients.
	Client secure.Settings

	// SSLQuorum has the members speak TLS with each other, QuorumUnified lets them take plain connections, too, or, without
	// SSLQuorum, TLS beside plain ones.
	SSLQuorum, QuorumUnified bool
	// Quorum are the settings for members, and those of the AdminServer.
	Quorum secure.Settings

	// FIPSMode says that only approved algorithms are wanted.
	FIPSMode bool
	// X509SuperUser is the distinguished name whose certificate makes its client the superuser, "" for none.
	X509SuperUser string
}

// SecureClientAddress is the address to listen on for clients that speak TLS, or "" without such a port.
func (c *Config) SecureClientAddress() string {
	if c.TLS.SecureClientPort == 0 {
		return ""
	}
	return net.JoinHostPort(c.TLS.SecureClientHost, strconv.Itoa(c.TLS.SecureClientPort))
}

// ClientTLS says whether clients may speak TLS.
func (c *Config) ClientTLS() bool { return c.TLS.SecureClientPort != 0 || c.TLS.ClientUnified }

// QuorumTLS says whether members may speak TLS with each other.
func (c *Config) QuorumTLS() bool { return c.Distributed && (c.TLS.SSLQuorum || c.TLS.QuorumUnified) }

func defaultTLS() TLS {
	return TLS{Client: secure.Defaults(false), Quorum: secure.Defaults(true), HandshakeLimit: -1}
}

// The families of settings.
const (
	clientPrefix  = "ssl."
	quorumPrefix  = "ssl.quorum."
	metricsPrefix = "metricsProvider.ssl."
)

var tlsKeys = slices.Concat([]key{
	{"secureClientPort", port(func(c *Config) *int { return &c.TLS.SecureClientPort })},
	{"secureClientPortAddress", text(func(c *Config) *string { return &c.TLS.SecureClientHost })},
	{"client.portUnification", strictBool(func(c *Config) *bool { return &c.TLS.ClientUnified })},
	{"client.certReload", strictBool(func(c *Config) *bool { return &c.TLS.Client.Reload })},
	{"netty.server.outstandingHandshake.limit", number(-1, "handshakes at a time, or -1 for no limit", func(c *Config) *int { return &c.TLS.HandshakeLimit })},
	{"netty.server.earlyDropSecureConnectionHandshakes", strictBool(func(c *Config) *bool { return &c.TLS.DropEarly })},
	{"sslQuorum", strictBool(func(c *Config) *bool { return &c.TLS.SSLQuorum })},
	{"portUnification", strictBool(func(c *Config) *bool { return &c.TLS.QuorumUnified })},
	{"sslQuorumReloadCertFiles", strictBool(func(c *Config) *bool { return &c.TLS.Quorum.Reload })},
	{"fips-mode", strictBool(func(c *Config) *bool { return &c.TLS.FIPSMode })},
	{"ssl.authProvider", only("x509", "certificates of clients are read by the provider x509 alone")},
	{"X509AuthenticationProvider.superUser", text(func(c *Config) *string { return &c.TLS.X509SuperUser })},
},
	settingsKeys(clientPrefix, func(c *Config) *secure.Settings { return &c.TLS.Client }),
	settingsKeys(quorumPrefix, func(c *Config) *secure.Settings { return &c.TLS.Quorum }),
)

// stores are the two of each family.
var stores = []struct {
	name string
	of   func(*secure.Settings) *secure.Store
}{
	{"keyStore", func(s *secure.Settings) *secure.Store { return &s.KeyStore }},
	{"trustStore", func(s *secure.Settings) *secure.Store { return &s.TrustStore }},
}

// settingsKeys are the keys of one family.
func settingsKeys(prefix string, of func(*Config) *secure.Settings) []key {
	var all []key
	add := func(name string, set func(*Config, string) (string, string)) {
		all = append(all, key{prefix + name, set})
	}
	flag := func(name string, field func(*secure.Settings) *bool) {
		add(name, strictBool(func(c *Config) *bool { return field(of(c)) }))
	}
	for _, which := range stores {
		store := func(c *Config) *secure.Store { return which.of(of(c)) }
		add(which.name+".location", text(func(c *Config) *string { return &store(c).Location }))
		add(which.name+".passwordPath", text(func(c *Config) *string { return &store(c).PasswordPath }))
		add(which.name+".password", storePassword(store))
		add(which.name+".type", inCheck)
	}
	for _, name := range []string{"protocol", "enabledProtocols", "ciphersuites"} {
		add(name, inCheck)
	}
	add("clientAuth", func(c *Config, value string) (string, string) { return told(of(c).SetClientAuth(value)) })
	add("handshakeDetectionTimeoutMillis", millis(1, func(c *Config) *time.Duration { return &of(c).DetectionTimeout }))
	add("context.supplier.class", refused("a Java class cannot supply the certificates of this server", "give "+prefix+"keyStore.location instead"))
	flag("hostnameVerification", func(s *secure.Settings) *bool { return &s.VerifyHost })
	flag("clientHostnameVerification", func(s *secure.Settings) *bool { return &s.VerifyClientHost })
	flag("allowReverseDnsLookup", func(s *secure.Settings) *bool { return &s.ReverseLookup })
	flag("crl", func(s *secure.Settings) *bool { return &s.CRL })
	flag("ocsp", func(s *secure.Settings) *bool { return &s.OCSP })
	return all
}

func storePassword(store func(*Config) *secure.Store) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		store(c).Password = secure.Password(value)
		return "", ""
	}
}

// inCheck leaves a key to checkTLS, which looks at several of them in their order.
func inCheck(*Config, string) (what, remedy string) { return "", "" }

// told makes an error what is wrong with a value.
func told(err error) (what, remedy string) {
	if err != nil {
		return err.Error(), ""
	}
	return "", ""
}

// checkTLS puts the settings together and refuses what would leave connections without protection, or never let any
// succeed.
func (p *parser) checkTLS() {
	c := p.config
	if at, given := p.seen["secureClientPortAddress"]; given && c.TLS.SecureClientPort == 0 {
		p.refuse(at, "given without secureClientPort", "give secureClientPort too, or remove it")
	}
	p.checkSettings(clientPrefix, &c.TLS.Client)
	p.checkSettings(quorumPrefix, &c.TLS.Quorum)
	p.checkSettings(metricsPrefix, &c.Metrics.TLS)
	if c.TLS.FIPSMode {
		p.notice(p.seen["fips-mode"], "only approved algorithms are used; start the server with GODEBUG=fips140=on for Go's validated module",
			"host names are still checked; "+quorumPrefix+"hostnameVerification=false leaves that out")
	}
	for _, u := range p.tlsUses() {
		p.checkStores(u)
	}
}

// tlsUse is something that needs the stores of a family.
type tlsUse struct {
	prefix   string
	settings secure.Settings
	who      string // speaks TLS with this server
	trusts   bool   // certificates have to be verified
}

// tlsUses are all there are, with those of each family that need most.
func (p *parser) tlsUses() []tlsUse {
	c := p.config
	var uses []tlsUse
	if c.ClientTLS() {
		uses = append(uses, tlsUse{clientPrefix, c.TLS.Client, "clients that speak TLS", c.TLS.Client.ClientAuth == secure.Need})
	}
	switch {
	case c.QuorumTLS():
		uses = append(uses, tlsUse{quorumPrefix, c.TLS.Quorum, "members that speak TLS", true})
	case c.AdminTLS():
		uses = append(uses, tlsUse{quorumPrefix, c.AdminSettings(), "clients of the AdminServer", c.Admin.NeedClientAuth})
	}
	if m := &c.Metrics; m.SecureAddress != "" {
		uses = append(uses, tlsUse{metricsPrefix, m.TLS, "clients that ask for metrics", m.TLS.ClientAuth == secure.Need})
	}
	return uses
}

func (p *parser) checkSettings(prefix string, s *secure.Settings) {
	for _, which := range stores {
		store := which.of(s)
		at, given := p.seen[prefix+which.name+".type"]
		if !given && store.Location == "" {
			continue
		}
		named := at.value
		if !given {
			at = p.seen[prefix+which.name+".location"]
		}
		var err error
		if store.Type, err = keystore.TypeOf(named, store.Location); err != nil {
			p.refuse(at, err.Error(), "")
		}
	}
	for _, k := range []struct {
		name string
		set  func(string) error
	}{
		{"protocol", s.SetProtocol},
		{"enabledProtocols", s.SetEnabledProtocols},
		{"ciphersuites", func(value string) error {
			leftOut, err := s.SetCipherSuites(value)
			if err == nil && len(leftOut) > 0 {
				p.notice(p.seen[prefix+"ciphersuites"], "not supported by this server, left out: "+strings.Join(leftOut, ", "), "")
			}
			return err
		}},
	} {
		at, given := p.seen[prefix+k.name]
		if !given {
			continue
		}
		if err := k.set(at.value); err != nil {
			p.refuse(at, err.Error(), "")
		}
	}
	if p.config.TLS.FIPSMode {
		at := p.seen[prefix+"ciphersuites"]
		if leftOut := s.Approve(); len(s.CipherSuites) == 0 {
			p.refuse(at, "none of them is approved for fips-mode", "")
		} else if len(leftOut) > 0 {
			p.notice(at, "not approved for fips-mode, left out: "+strings.Join(leftOut, ", "), "")
		}
	}
}

// checkStores demands the stores that are needed.
func (p *parser) checkStores(u tlsUse) {
	missing := func(name, what, remedy string) {
		p.refuse(property{key: u.prefix + name}, what, remedy)
	}
	if u.settings.KeyStore.Location == "" {
		missing("keyStore.location", "missing, and "+u.who+" need a certificate of this server", "name the file with its private key")
	}
	switch {
	case u.settings.TrustStore.Location != "":
	case u.trusts:
		missing("trustStore.location", "missing, so that no certificate of "+u.who+" could be verified", "name the file with the certificates of those who sign them")
	case u.settings.ClientAuth == secure.Want:
		p.notice(property{key: u.prefix + "trustStore.location"}, "missing: clients that show a certificate will be refused", "name the file with the certificates of those who sign them")
	}
}

// readStores opens the stores that are needed, so that a wrong password is found before the start.
func (p *parser) readStores() {
	for _, u := range p.tlsUses() {
		var wrong *secure.StoreError
		if !errors.As(secure.Check(u.settings), &wrong) {
			continue
		}
		name := "keyStore"
		if wrong.Trust {
			name = "trustStore"
		}
		if wrong.Password {
			p.refuse(p.seen[u.prefix+name+".passwordPath"], fmt.Sprintf("cannot be read: %v", wrong.Err), "")
			continue
		}
		p.refuse(p.seen[u.prefix+name+".location"], fmt.Sprintf("cannot be used: %v", wrong.Err), "")
	}
}
