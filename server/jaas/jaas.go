// Package jaas reads the login configurations of the Java Authentication and Authorization Service, in which ZooKeeper
// keeps its users and passwords:
//
//	Server {
//	    org.apache.zookeeper.server.auth.DigestLoginModule required
//	    user_super="secret"
//	    user_bob="secret";
//	};
//
// The syntax is that of sun.security.provider.ConfigFile, with the line of each error. What a module would do is not known
// here, and system properties (${name}) are not expanded. Values of options are secrets.
package jaas

import (
	"fmt"
	"strings"
)

// DigestModule is the only module that is known here: its options are users and passwords of DIGEST-MD5.
const DigestModule = "org.apache.zookeeper.server.auth.DigestLoginModule"

// Secret is text that is not shown when it is printed, logged or marshalled.
type Secret string

// String is the same for all secrets.
func (Secret) String() string { return "(hidden)" }

// GoString is the same for all secrets.
func (Secret) GoString() string { return "(hidden)" }

// MarshalText is the same for all secrets.
func (Secret) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil }

// Section is what applications look up by name.
type Section struct {
	Name    string
	Line    int
	Modules []Module
}

// Module is one login module of a section.
type Module struct {
	Class string
	Line  int
	// Options are by name; of several with the same name the last one counts.
	Options map[string]Secret
}

const userPrefix = "user_"

// Users are the users of DIGEST-MD5 in all modules of a section, with their passwords.
func (s Section) Users() map[string]Secret {
	users := make(map[string]Secret)
	for _, m := range s.Modules {
		for name, value := range m.Options {
			if user, ok := strings.CutPrefix(name, userPrefix); ok {
				users[user] = value
			}
		}
	}
	return users
}

// Error is where and why a configuration cannot be read. It has no value of an option in it.
type Error struct {
	Line int
	What string
}

// Error is "line 3: no ; behind the options".
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// Parse reads a configuration. An error is an *Error.
func Parse(text []byte) (map[string]Section, error) {
	p := &parser{lexer: lexer{text: []rune(string(text)), line: 1}}
	sections := make(map[string]Section)
	err := p.next()
	for err == nil && p.kind != end {
		var s Section
		if s, err = p.section(); err != nil {
			break
		}
		if first, twice := sections[s.Name]; twice {
			return nil, &Error{s.Line, fmt.Sprintf("section %q again, after line %d", s.Name, first.Line)}
		}
		sections[s.Name] = s
	}
	if err != nil {
		return nil, err
	}
	return sections, nil
}

// parser has the token that is to be looked at next.
type parser struct {
	lexer
	token
}

func (p *parser) next() (err error) {
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) fail(what string) error {
	if p.kind == end {
		what += ", but the file ends"
	}
	return &Error{p.at, what}
}

// expect takes a token of a kind, or says what is missing.
func (p *parser) expect(kind kind, what string) (token, error) {
	t := p.token
	if t.kind != kind {
		return t, p.fail(what)
	}
	return t, p.next()
}

// section is name { module… } ;
func (p *parser) section() (Section, error) {
	name, err := p.expect(word, "the name of a section is expected")
	if err != nil {
		return Section{}, err
	}
	s := Section{Name: name.text, Line: name.at}
	if _, err := p.expect('{', fmt.Sprintf("{ is expected after the name of section %q", s.Name)); err != nil {
		return s, err
	}
	for p.kind != '}' {
		m, err := p.module()
		if err != nil {
			return s, err
		}
		s.Modules = append(s.Modules, m)
	}
	if err := p.next(); err != nil {
		return s, err
	}
	_, err = p.expect(';', fmt.Sprintf("; is expected after the } of section %q", s.Name))
	return s, err
}

// module is class flag name=value… ;
func (p *parser) module() (Module, error) {
	class, err := p.expect(word, "the class of a login module or } is expected")
	if err != nil {
		return Module{}, err
	}
	m := Module{Class: class.text, Line: class.at, Options: make(map[string]Secret)}
	flag, err := p.expect(word, "required, requisite, sufficient or optional is expected after the class of a login module")
	if err != nil {
		return m, err
	}
	switch strings.ToLower(flag.text) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return m, &Error{flag.at, fmt.Sprintf("%q is none of required, requisite, sufficient and optional", flag.text)}
	}
	for p.kind != ';' {
		name, err := p.expect(word, "an option or ; is expected")
		if err != nil {
			return m, err
		}
		if _, err := p.expect('=', "= and a value are expected after the name of an option"); err != nil {
			return m, err
		}
		value, err := p.expect(word, "a value is expected after =; in quotes, unless it begins with a letter")
		if err != nil {
			return m, err
		}
		if _, rest, found := strings.Cut(value.text, "${"); found && strings.Contains(rest, "}") {
			return m, &Error{value.at, "system properties, ${name}, are not expanded by this server: write the value itself"}
		}
		m.Options[name.text] = Secret(value.text)
	}
	return m, p.next()
}
