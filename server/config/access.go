package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkctl/zkctl/server/auth"
	"github.com/zkctl/zkctl/server/jaas"
)

// Access is how clients prove who they are, and what follows from it.
type Access struct {
	// SkipACL lets everybody do everything.
	SkipACL bool
	// SuperDigest is the id of the scheme digest of the superuser, "" for none. It is a secret.
	SuperDigest string
	// NoDigest leaves the scheme digest out; DigestAlgorithm is the hash in its ids, "" for SHA-1.
	NoDigest        bool
	DigestAlgorithm string
	// Providers are the schemes for which a class was named, in order: some of sasl, x509, digest, ip, ensemble and key.
	Providers []string
	// EnsembleNames are those that the provider of the scheme ensemble accepts.
	EnsembleNames []string
	// EnforcedSchemes are those of which a client must have an id before it may ask anything; none if empty.
	EnforcedSchemes []string

	// SASLUsers are the users of SASL; nil for a server that does not speak it.
	SASLUsers map[string]jaas.Secret
	// SASLSuperUsers may do everything. SASLAnyUser is the id that stands for all users in access control lists.
	SASLSuperUsers []string
	SASLAnyUser    string
	// AllowSASLFailed lets clients go on whose authentication by SASL failed.
	AllowSASLFailed bool

	given givenAccess
}

// givenAccess are values from which fields of Access are made; zero in a checked configuration.
type givenAccess struct {
	superPassword jaas.Secret
	// enforce is enforce.auth.enabled, enforceSASL sessionRequireClientSASLAuth.
	enforce, enforceSASL bool
	schemes              []string
	// loginFile and section are where the users of SASL are, usersFile the same without JAAS. The other sections are of the
	// ensemble.
	loginFile, section, usersFile string
	quorumServer, quorumLearner   string
	// logDir is where a relative path of the audit log begins.
	logDir string
}

var accessKeys = []key{
	{"skipACL", yesNo(func(c *Config) *bool { return &c.SkipACL })},
	{"DigestAuthenticationProvider.enabled", setDigestEnabled},
	{"DigestAuthenticationProvider.superDigest", text(func(c *Config) *string { return &c.SuperDigest })},
	{"DigestAuthenticationProvider.digestAlg", setDigestAlgorithm},
	{"ensembleAuthName", setList(func(c *Config) *[]string { return &c.EnsembleNames })},
	{"sessionRequireClientSASLAuth", strictBool(func(c *Config) *bool { return &c.given.enforceSASL })},
	{"enforce.auth.enabled", strictBool(func(c *Config) *bool { return &c.given.enforce })},
	{"enforce.auth.schemes", setList(func(c *Config) *[]string { return &c.given.schemes })},
	{"java.security.auth.login.config", text(func(c *Config) *string { return &c.given.loginFile })},
	{"sasl.serverconfig", text(func(c *Config) *string { return &c.given.section })},
	{"sasl.usersFile", text(func(c *Config) *string { return &c.given.usersFile })},
	{"SASLAuthenticationProvider.superPassword", setSuperPassword},
	{"superUser", setSuperUser},
	{"letAnySaslUserDoX", text(func(c *Config) *string { return &c.SASLAnyUser })},
	{"allowSaslFailedClients", strictBool(func(c *Config) *bool { return &c.AllowSASLFailed })},
	{"requireKerberosConfig", onlyFalse("Kerberos is not supported by this server")},
}

func setDigestEnabled(c *Config, value string) (string, string) {
	enabled := true
	what, remedy := strictBool(func(*Config) *bool { return &enabled })(c, value)
	c.NoDigest = !enabled
	return what, remedy
}

func setDigestAlgorithm(c *Config, value string) (string, string) {
	if !auth.KnowsDigest(value) {
		return "not an algorithm that this server knows", "give one such as SHA1, SHA-256 or SHA3-256, the same on all members"
	}
	if !strings.EqualFold(value, "SHA1") {
		c.DigestAlgorithm = value
	}
	return "", ""
}

// setList takes names with commas between them.
func setList(field func(*Config) *[]string) func(*Config, string) (string, string) {
	return func(c *Config, value string) (string, string) {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*field(c) = append(*field(c), name)
			}
		}
		if len(*field(c)) == 0 {
			return "empty", "give names with commas between them, or remove the key"
		}
		return "", ""
	}
}

func setSuperPassword(c *Config, value string) (string, string) {
	if value == "" {
		return "empty", "give a password, or remove the key"
	}
	c.given.superPassword = jaas.Secret(value)
	return "", ""
}

func setSuperUser(c *Config, value string) (string, string) {
	if value == "" {
		return "empty", "give the name of a user, or remove the key"
	}
	c.SASLSuperUsers = append(c.SASLSuperUsers, value)
	return "", ""
}

const providerPackage = "org.apache.zookeeper.server.auth."

// providers are the schemes of the classes that Apache ZooKeeper has for authentication.
var providers = map[string]string{
	"SASLAuthenticationProvider": "sasl", "X509AuthenticationProvider": "x509", "DigestAuthenticationProvider": "digest",
	"IPAuthenticationProvider": "ip", "EnsembleAuthenticationProvider": "ensemble", "KeyAuthenticationProvider": "key",
}

// setProvider takes an authProvider.ID.
func setProvider(c *Config, value string) (string, string) {
	class, _ := strings.CutPrefix(value, providerPackage)
	scheme := providers[class]
	if scheme == "" || class == value {
		return "this server cannot load classes, and has none of this name",
			"give one of Apache ZooKeeper's own, such as " + providerPackage + "SASLAuthenticationProvider, or remove the key"
	}
	if !slices.Contains(c.Providers, scheme) {
		c.Providers = append(c.Providers, scheme)
	}
	return "", ""
}

// accessFamilies are keys whose names end as their users like.
var accessFamilies = []key{{"authProvider.", setProvider}, {"superUser.", setSuperUser}}

func familyNames() []string {
	var names []string
	for _, k := range accessFamilies {
		names = append(names, k.name)
	}
	return names
}

// family returns the key that a name belongs to.
func family(name string) (key, bool) {
	i := slices.IndexFunc(accessFamilies, func(k key) bool { return strings.HasPrefix(name, k.name) && name != k.name })
	if i < 0 {
		return key{}, false
	}
	return accessFamilies[i], true
}

// knows reports whether a scheme has a provider.
func (a *Access) knows(scheme string) bool {
	return scheme == "ip" || scheme == "digest" && !a.NoDigest || slices.Contains(a.Providers, scheme)
}

// checkAccess refuses what does not fit together.
func (p *parser) checkAccess() {
	c := p.config
	if slices.Contains(c.Providers, "digest") {
		c.NoDigest = false // as its own provider it is there all the same
	}
	enforced := p.seen["enforce.auth.schemes"]
	switch {
	case c.given.enforceSASL:
		c.EnforcedSchemes, enforced = []string{"sasl"}, p.seen["sessionRequireClientSASLAuth"]
	case c.given.enforce:
		c.EnforcedSchemes = c.given.schemes
		if len(c.given.schemes) == 0 && enforced.line == 0 {
			p.refuse(p.seen["enforce.auth.enabled"], "no scheme to enforce", "give enforce.auth.schemes, such as enforce.auth.schemes=digest")
		}
	}
	for _, scheme := range c.EnforcedSchemes {
		if c.knows(scheme) || scheme == "x509" && c.ClientTLS() {
			continue
		}
		what, remedy := fmt.Sprintf("no provider of the scheme %q", scheme), "add one with authProvider, or enforce another scheme"
		if scheme == "sasl" {
			remedy = "add authProvider.sasl=" + providerPackage + "SASLAuthenticationProvider"
		}
		p.refuse(enforced, what, remedy)
	}
	if len(c.EnsembleNames) > 0 && !c.knows("ensemble") {
		p.notice(p.seen["ensembleAuthName"], "has no effect without the provider of the scheme ensemble",
			"add authProvider.ensemble="+providerPackage+"EnsembleAuthenticationProvider")
	}
	p.checkSASL()
}

// checkSASL warns where a setting of SASL has no effect.
func (p *parser) checkSASL() {
	c := p.config
	if p.filesUnknown {
		return
	}
	if at := p.seen["SASLAuthenticationProvider.superPassword"]; at.line > 0 {
		if _, known := c.SASLUsers["super"]; known {
			c.SASLUsers["super"] = c.given.superPassword
		} else {
			p.notice(at, "has no effect without a user super", `add user_super="…" to the users of SASL`)
		}
	}
	if c.SASLUsers == nil {
		if slices.Contains(c.EnforcedSchemes, "sasl") && len(c.EnforcedSchemes) == 1 {
			at := p.seen["enforce.auth.schemes"]
			if c.given.enforceSASL {
				at = p.seen["sessionRequireClientSASLAuth"]
			}
			p.notice(at, "there are no users of SASL, so that no client can do anything", "name them with java.security.auth.login.config")
		}
		return
	}
	at := p.seen["java.security.auth.login.config"]
	if c.given.usersFile != "" {
		at = p.seen["sasl.usersFile"]
	}
	if strings.EqualFold(p.seen["fips-mode"].value, "true") {
		p.notice(at, "has no effect: fips-mode rules DIGEST-MD5 out", "remove fips-mode, or the users")
		c.SASLUsers = nil
		return
	}
	if !c.knows("sasl") {
		p.notice(at, "users of SASL cannot be named in access control lists without their provider",
			"add authProvider.sasl="+providerPackage+"SASLAuthenticationProvider")
	}
	if len(c.SASLUsers) == 0 {
		p.notice(at, "has no user, so that nobody can authenticate by SASL", `add user_NAME="PASSWORD"`)
	}
}
