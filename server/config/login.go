package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/zkctl/zkctl/server/jaas"
)

// section returns a section of the login configuration, nil if there is none that this server can use.
func (p *parser) section(name string) *jaas.Section {
	s, there := p.logins[name]
	if !there {
		return nil
	}
	for _, m := range s.Modules {
		switch {
		case m.Class == jaas.DigestModule:
		case strings.HasSuffix(m.Class, ".Krb5LoginModule"):
			p.refuseLogin(m.Line, fmt.Sprintf("section %q asks for Kerberos, which this server does not support", name),
				"use "+jaas.DigestModule+" with users and passwords, inside TLS")
			return nil
		default:
			p.refuseLogin(m.Line, fmt.Sprintf("section %q asks for the login module %s, which this server does not have", name, m.Class),
				"use "+jaas.DigestModule)
			return nil
		}
	}
	return &s
}

func (p *parser) refuseLogin(line int, what, remedy string) {
	p.problems = append(p.problems, Problem{File: loginPath(p.config.given.loginFile), Line: line, What: what, Remedy: remedy})
}

// readLogins reads the users of SASL and where else they may be.
func (p *parser) readLogins() {
	c := p.config
	if c.given.usersFile != "" {
		p.readUsers()
	}
	if c.given.loginFile == "" {
		return
	}
	at := p.seen["java.security.auth.login.config"]
	text, err := os.ReadFile(loginPath(c.given.loginFile))
	if err != nil {
		p.refuse(at, reason(err), "name a file that this server may read, or remove the key")
		return
	}
	if p.logins, err = jaas.Parse(text); err != nil {
		var bad *jaas.Error
		errors.As(err, &bad)
		p.refuseLogin(bad.Line, bad.What, "")
		return
	}
	s := p.section(c.given.section)
	switch {
	case s != nil && c.given.usersFile != "":
		p.refuse(p.seen["sasl.usersFile"], fmt.Sprintf("the users of SASL are in section %q of %s, too", s.Name, loginPath(c.given.loginFile)), "keep one of them")
	case s != nil:
		c.SASLUsers = s.Users()
	case p.logins[c.given.section].Line == 0 && (!c.QuorumSASL.Enabled || p.seen["sasl.serverconfig"].line > 0):
		p.notice(at, fmt.Sprintf("has no section %q, so that clients cannot authenticate by SASL", c.given.section), "add it, or remove the key")
	}
}

// loginPath is the file that java.security.auth.login.config names: a path, or a URL of one. A leading = is for Java alone.
func loginPath(value string) string {
	value = strings.TrimPrefix(value, "=")
	if u, err := url.Parse(value); err == nil && u.Scheme == "file" {
		return u.Path
	}
	return value
}

// reason is why a file cannot be read, without its name.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// readUsers reads a file of lines NAME:PASSWORD. Empty lines and such that begin with # are comments.
func (p *parser) readUsers() {
	c := p.config
	text, err := os.ReadFile(c.given.usersFile)
	if err != nil {
		p.refuse(p.seen["sasl.usersFile"], reason(err), "name a file that this server may read, or remove the key")
		return
	}
	users, problems := parseUsers(c.given.usersFile, text)
	p.problems = append(p.problems, problems...)
	c.SASLUsers = users
}

func parseUsers(file string, text []byte) (map[string]jaas.Secret, []Problem) {
	users := make(map[string]jaas.Secret)
	var problems []Problem
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		name, password, found := strings.Cut(line, ":")
		switch _, twice := users[name]; {
		case !found || name == "":
			problems = append(problems, Problem{File: file, Line: number, What: "not NAME:PASSWORD", Remedy: "begin comments with #"})
		case twice:
			problems = append(problems, Problem{File: file, Line: number, What: fmt.Sprintf("user %q again", name), Remedy: "remove one of them"})
		default:
			users[name] = jaas.Secret(password)
		}
	}
	return users, problems
}
