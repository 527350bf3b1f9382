package config

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/zkctl/zkctl/server/secure"
)

// Admin is the AdminServer, the port that speaks HTTP with operators.
type Admin struct {
	// Enabled opens it, on Port of Host, which may be "" for all addresses.
	Enabled bool
	Host    string
	Port    int
	// CommandURL is the path below which the commands are, without a slash at the end.
	CommandURL string
	// IdleTimeout is how long a connection may bring and take nothing.
	IdleTimeout time.Duration
	// ForceHTTPS lets clients speak TLS alone, PortUnification lets them choose; NeedClientAuth demands their certificate then.
	ForceHTTPS, PortUnification, NeedClientAuth bool
	// Snapshot and Restore allow the commands of these names, each once in RateLimit.
	Snapshot, Restore bool
	RateLimit         time.Duration
	// TrustForwardedFor believes what the header X-Forwarded-For says of the client's address.
	TrustForwardedFor bool
}

func defaultAdmin() Admin {
	return Admin{
		Enabled: true, Host: "0.0.0.0", Port: 8080, CommandURL: "/commands", IdleTimeout: 30 * time.Second,
		Snapshot: true, Restore: true, RateLimit: 5 * time.Minute,
	}
}

var adminKeys = []key{
	{"admin.enableServer", strictBool(func(c *Config) *bool { return &c.Admin.Enabled })},
	{"admin.serverAddress", text(func(c *Config) *string { return &c.Admin.Host })},
	{"admin.serverPort", port(func(c *Config) *int { return &c.Admin.Port })},
	{"admin.commandURL", func(c *Config, value string) (string, string) {
		if !strings.HasPrefix(value, "/") {
			return "not a path", "give one that begins with a slash, such as /commands"
		}
		c.Admin.CommandURL = strings.TrimRight(value, "/")
		return "", ""
	}},
	{"admin.idleTimeout", millis(1, func(c *Config) *time.Duration { return &c.Admin.IdleTimeout })},
	{"admin.portUnification", strictBool(func(c *Config) *bool { return &c.Admin.PortUnification })},
	{"admin.forceHttps", strictBool(func(c *Config) *bool { return &c.Admin.ForceHTTPS })},
	{"admin.needClientAuth", strictBool(func(c *Config) *bool { return &c.Admin.NeedClientAuth })},
	{"admin.snapshot.enabled", strictBool(func(c *Config) *bool { return &c.Admin.Snapshot })},
	{"admin.restore.enabled", strictBool(func(c *Config) *bool { return &c.Admin.Restore })},
	{"IPAuthenticationProvider.usexforwardedfor", strictBool(func(c *Config) *bool { return &c.Admin.TrustForwardedFor })},
	{"admin.rateLimiterIntervalInMS", millis(0, func(c *Config) *time.Duration { return &c.Admin.RateLimit })},
}

// Address is host:port of the AdminServer.
func (a *Admin) Address() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// AdminTLS says whether the AdminServer speaks TLS.
func (c *Config) AdminTLS() bool {
	return c.Admin.Enabled && (c.Admin.ForceHTTPS || c.Admin.PortUnification)
}

// AdminSettings are those of members, but with clients that are no members.
func (c *Config) AdminSettings() secure.Settings {
	s := c.TLS.Quorum
	s.VerifyClientHost = false
	s.ClientAuth = secure.None
	if c.Admin.NeedClientAuth {
		s.ClientAuth = secure.Need
	}
	return s
}

// Source is what a configuration was read from. Secrets are hidden.
type Source struct {
	// Text is zoo.cfg; "" if there was none.
	Text string
	// Properties are the settings that are system properties of a JVM with Apache ZooKeeper, by name.
	Properties map[string]string
}

// withoutSecrets is the text of a zoo.cfg with "(hidden)" for every value that must not be shown.
func withoutSecrets(text []byte) string {
	const hidden = "(hidden)"
	properties, bad := readProperties(text)
	for _, m := range bad {
		properties = append(properties, m.property)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for _, at := range properties {
		if !secret(at.key) {
			continue
		}
		for n := at.line - 1; n < len(lines); n++ {
			content := strings.TrimRight(lines[n], "\r\n")
			end := lines[n][len(content):]
			if lines[n] = ""; !strings.HasSuffix(content, `\`) {
				lines[n] = at.key + "=" + hidden + end
				break
			}
		}
	}
	safe := strings.Join(lines, "")
	for _, at := range properties {
		if secret(at.key) && at.value != "" {
			safe = strings.ReplaceAll(safe, at.value, hidden)
		}
	}
	return safe
}

// SystemProperties are Source.Properties and those of every JVM that say something of this process, too.
func (c *Config) SystemProperties() map[string]string {
	all := maps.Clone(c.Source.Properties)
	if all == nil {
		all = make(map[string]string)
	}
	all["file.separator"], all["path.separator"], all["line.separator"] = "/", ":", "\n"
	all["os.arch"] = runtime.GOARCH
	all["os.name"] = strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
	all["java.io.tmpdir"] = os.TempDir()
	if dir, err := os.Getwd(); err == nil {
		all["user.dir"] = dir
	}
	if u, err := user.Current(); err == nil {
		all["user.name"], all["user.home"] = u.Username, u.HomeDir
	}
	return all
}

// noteGiven remembers a setting for SystemProperties.
func (p *parser) noteGiven(at property) {
	name := PropertyName(at.key)
	if name == "" || at.key == "" || isMemberKey(at.key) {
		return
	}
	value := at.value
	if secret(at.key) {
		value = "(hidden)"
	}
	if p.config.Source.Properties == nil {
		p.config.Source.Properties = make(map[string]string)
	}
	p.config.Source.Properties[name] = value
}

func (p *parser) checkAdmin() {
	if a := &p.config.Admin; a.Enabled && p.config.Metrics.Address != "" && a.Port == p.config.Metrics.port {
		p.notice(p.seen["metricsProvider.httpPort"], fmt.Sprintf("the AdminServer has port %d, too", a.Port),
			"give another one, or admin.enableServer=false")
	}
	if at, given := p.seen["admin.needClientAuth"]; given && p.config.Admin.NeedClientAuth && !p.config.AdminTLS() {
		p.notice(at, "has no effect without TLS", "give admin.forceHttps=true, too")
	}
}
