package zkcli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// flag is an option of a command. Its name may be longer than a character, behind one dash all the same.
type flag struct {
	name  string
	value bool   // it takes one
	help  string // what a complaint about a missing choice calls it
}

// flags are the options of a command. Of a choice there may be one only.
type flags struct {
	all      []flag
	choice   bool
	required bool
}

// arguments are the words of a command, parsed.
type arguments struct {
	raw    []string // as they came, the command's name first
	words  []string // what is no option, likewise
	values map[string]string
}

func (a arguments) has(name string) bool { _, ok := a.values[name]; return ok }

// flagError is what zkCli.sh says of options: the class of the exception is part of the text.
type flagError struct{ class, text string }

func (e flagError) Error() string { return "org.apache.commons.cli." + e.class + ": " + e.text }

func (f flags) find(name string) (flag, bool) {
	i := slices.IndexFunc(f.all, func(known flag) bool { return known.name == name })
	if i < 0 {
		return flag{}, false
	}
	return f.all[i], true
}

// parse sorts words into options and others, as org.apache.commons.cli.DefaultParser does: -s, -v 1, -v1, -v=1, -sv1; options
// may stand anywhere; -- ends them.
func (f flags) parse(raw []string) (arguments, error) {
	p := parser{flags: f, arguments: arguments{raw: raw, values: make(map[string]string)}}
	for _, word := range raw {
		if err := p.take(word); err != nil {
			return p.arguments, err
		}
	}
	if err := p.complete(); err != nil {
		return p.arguments, err
	}
	if f.required && len(p.values) == 0 {
		var choices []string
		for _, known := range f.all {
			choices = append(choices, "-"+known.name+" "+known.help)
		}
		return p.arguments, flagError{"MissingOptionException", "Missing required option: [" + strings.Join(choices, ", ") + "]"}
	}
	return p.arguments, nil
}

type parser struct {
	flags
	arguments
	open string // the option that still lacks its value
	over bool   // after --
}

func (p *parser) take(word string) error {
	switch {
	case p.over:
		p.words = append(p.words, word)
	case word == "--":
		p.over = true
	case p.open != "" && !p.looksLikeFlag(word):
		p.assign(unquoted(word))
	case strings.HasPrefix(word, "-") && word != "-":
		return p.takeFlags(word)
	default:
		p.words = append(p.words, word)
	}
	return nil
}

// looksLikeFlag tells whether a word cannot be the value of an option before it.
func (p *parser) looksLikeFlag(word string) bool {
	name, ok := strings.CutPrefix(word, "-")
	if !ok || name == "" {
		return false
	}
	if _, err := strconv.ParseFloat(word, 64); err == nil {
		return false // a negative number
	}
	name, _, _ = strings.Cut(name, "=")
	if _, ok := p.find(strings.TrimPrefix(name, "-")); ok {
		return true
	}
	first, size := utf8.DecodeRuneInString(name)
	_, ok = p.find(string(first))
	return ok && size > 0
}

// takeFlags reads a word with a dash.
func (p *parser) takeFlags(word string) error {
	unknown := flagError{"UnrecognizedOptionException", "Unrecognized option: " + word}
	name := word[1:]
	if known, ok := p.find(name); ok {
		return p.begin(known)
	}
	if name, value, ok := strings.Cut(name, "="); ok {
		known, ok := p.find(name)
		if !ok || !known.value || utf8.RuneCountInString(name) != 1 {
			return unknown
		}
		if err := p.begin(known); err != nil {
			return err
		}
		p.assign(value)
		return nil
	}
	for i, r := range name {
		known, ok := p.find(string(r))
		if !ok {
			return unknown
		}
		if err := p.begin(known); err != nil {
			return err
		}
		if rest := name[i+len(string(r)):]; p.open != "" && rest != "" {
			p.assign(rest)
			return nil
		}
	}
	return nil
}

// begin notes an option.
func (p *parser) begin(known flag) error {
	if err := p.complete(); err != nil {
		return err
	}
	if p.choice {
		for other := range p.values {
			if other != known.name {
				return flagError{"AlreadySelectedException", fmt.Sprintf(
					"The option '%s' was specified but an option from this group has already been selected: '%s'", known.name, other)}
			}
		}
	}
	if !p.has(known.name) {
		p.values[known.name] = ""
	}
	if known.value {
		p.open = known.name
	}
	return nil
}

// assign gives the open option its value; what comes first stays.
func (p *parser) assign(value string) {
	if p.values[p.open] == "" {
		p.values[p.open] = value
	}
	p.open = ""
}

// complete demands that no option lacks its value.
func (p *parser) complete() error {
	if p.open != "" {
		return flagError{"MissingArgumentException", "Missing argument for option: " + p.open}
	}
	return nil
}

// unquoted takes a pair of double quotes off.
func unquoted(s string) string {
	if n := len(s); n > 1 && s[0] == '"' && s[n-1] == '"' && !strings.Contains(s[1:n-1], `"`) {
		return s[1 : n-1]
	}
	return s
}
