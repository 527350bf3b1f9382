package config

import (
	"fmt"
	"strings"

	"github.com/zkctl/zkctl/server/jaas"
)

// QuorumSASL is how members prove to each other who they are.
type QuorumSASL struct {
	// Enabled lets connecting members authenticate, ServerRequired demands it of them; LearnerRequired lets this member
	// authenticate where it connects.
	Enabled, ServerRequired, LearnerRequired bool
	// Users are those who may connect; User and Password are this member's own.
	Users    map[string]jaas.Secret
	User     string
	Password jaas.Secret
}

var quorumSASLKeys = []key{
	{"quorum.auth.enableSasl", strictBool(func(c *Config) *bool { return &c.QuorumSASL.Enabled })},
	{"quorum.auth.serverRequireSasl", strictBool(func(c *Config) *bool { return &c.QuorumSASL.ServerRequired })},
	{"quorum.auth.learnerRequireSasl", strictBool(func(c *Config) *bool { return &c.QuorumSASL.LearnerRequired })},
	{"quorum.auth.server.saslLoginContext", text(func(c *Config) *string { return &c.given.quorumServer })},
	{"quorum.auth.learner.saslLoginContext", text(func(c *Config) *string { return &c.given.quorumLearner })},
}

// checkQuorumSASL refuses what does not fit together, as QuorumPeerConfig does.
func (p *parser) checkQuorumSASL() {
	q := &p.config.QuorumSASL
	enable := "give quorum.auth.enableSasl=true, too"
	if q.ServerRequired && !q.Enabled {
		p.refuse(p.seen["quorum.auth.serverRequireSasl"], "given without quorum.auth.enableSasl", enable)
	}
	if q.LearnerRequired && !q.Enabled {
		p.refuse(p.seen["quorum.auth.learnerRequireSasl"], "given without quorum.auth.enableSasl", enable)
	}
	if q.ServerRequired && !q.LearnerRequired {
		p.refuse(p.seen["quorum.auth.serverRequireSasl"], "members that do not authenticate themselves could not connect to each other",
			"give quorum.auth.learnerRequireSasl=true, too")
	}
	if q.Enabled && strings.EqualFold(p.seen["fips-mode"].value, "true") {
		p.refuse(p.seen["quorum.auth.enableSasl"], "fips-mode rules DIGEST-MD5 out", "remove one of them")
	}
	if q.Enabled && p.config.Distributed && !p.filesUnknown {
		p.findQuorumUsers(q)
	}
}

func (p *parser) findQuorumUsers(q *QuorumSASL) {
	if p.config.given.loginFile == "" {
		p.refuse(p.seen["quorum.auth.enableSasl"], "there are no users",
			"name a file with the sections QuorumServer and QuorumLearner in java.security.auth.login.config")
		return
	}
	if server := p.quorumSection("quorum.auth.server.saslLoginContext", p.config.given.quorumServer); server != nil {
		q.Users = server.Users()
	}
	learner := p.quorumSection("quorum.auth.learner.saslLoginContext", p.config.given.quorumLearner)
	if learner == nil {
		return
	}
	for _, m := range learner.Modules {
		if name, ok := m.Options["username"]; ok {
			q.User, q.Password = string(name), m.Options["password"]
		}
	}
	if q.User == "" {
		p.refuseLogin(learner.Line, fmt.Sprintf("section %q has no username", learner.Name), `add username="…" and password="…"`)
	}
}

// quorumSection returns a section that has to be there.
func (p *parser) quorumSection(key, name string) *jaas.Section {
	if p.logins == nil {
		return nil // refused already
	}
	s := p.section(name)
	if _, there := p.logins[name]; !there {
		at := p.seen[key]
		if at.line == 0 {
			at = p.seen["quorum.auth.enableSasl"]
		}
		p.refuse(at, fmt.Sprintf("no section %q in %s", name, loginPath(p.config.given.loginFile)), "add it")
	}
	return s
}
