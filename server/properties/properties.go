// Package properties reads the syntax of java.util.Properties, in which zoo.cfg, dynamic configuration files and the
// memberships that servers send each other are written:
//
//	lines that begin with # or ! are comments
//	a key ends at the first =, : or blank that is not escaped
//	a line that ends in an odd number of backslashes goes on in the next one
//	\t \n \r \f and \uXXXX, a UTF-16 unit, are escapes; any other escaped character stands for itself
package properties

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Property is one key and the line on which it begins, counted from 1. Keys and values are trimmed, as QuorumPeerConfig
// does.
type Property struct {
	Key, Value string
	Line       int
}

// Malformed is a line that is not a property; key and value are as they stand there.
type Malformed struct {
	Property
	Err error
}

// ErrEscape is what is wrong with a malformed property.
var ErrEscape = errors.New(`\u is not followed by four hexadecimal digits`)

// ReadFile reads the text of a file, whose bytes are ISO-8859-1. All occurrences of a key are returned in order; the last
// one counts. A malformed escape costs that property only.
func ReadFile(text []byte) ([]Property, []Malformed) {
	decoded := make([]byte, 0, len(text))
	for _, b := range text {
		decoded = utf8.AppendRune(decoded, rune(b))
	}
	return Read(decoded)
}

// Read is ReadFile for text in UTF-8, such as a membership that a server or client sent.
func Read(text []byte) ([]Property, []Malformed) {
	var list []Property
	var bad []Malformed
	lines := lineReader{rest: text}
	for lines.next() {
		key, value, err := split(lines.text)
		p := Property{key, value, lines.first}
		if err != nil {
			bad = append(bad, Malformed{p, err})
			continue
		}
		list = append(list, p)
	}
	return list, bad
}

// Without returns the text of a file without the properties whose keys drop chooses, comments and everything else as they
// were.
func Without(text []byte, drop func(key string) bool) []byte {
	var kept []byte
	done := 0
	lines := lineReader{rest: text}
	for lines.next() {
		if key, _, err := split(lines.text); err == nil && drop(key) {
			kept = append(kept, text[done:lines.begin]...)
			done = lines.end
		}
	}
	return append(kept, text[done:]...)
}

// lineReader yields logical lines: blank lines and comments left out, continued lines joined.
type lineReader struct {
	rest  []byte
	line  int // natural lines consumed so far
	first int // number of the natural line on which text begins
	begin int // where that line begins
	end   int // where the last natural line ended
	text  []byte
}

func (r *lineReader) next() bool {
	for len(r.rest) > 0 {
		r.begin = r.end
		line := bytes.TrimLeft(r.natural(), " \t\f")
		if len(line) == 0 || line[0] == '#' || line[0] == '!' {
			continue
		}
		r.first, r.text = r.line, nil
		for continued(line) {
			r.text = append(r.text, line[:len(line)-1]...)
			line = nil
			if len(r.rest) > 0 {
				line = bytes.TrimLeft(r.natural(), " \t\f")
			}
		}
		r.text = append(r.text, line...)
		return true
	}
	return false
}

// natural takes one line that ends in LF, CR, CR LF or the end of the text.
func (r *lineReader) natural() []byte {
	r.line++
	end := bytes.IndexAny(r.rest, "\r\n")
	if end < 0 {
		line := r.rest
		r.end += len(line)
		r.rest = nil
		return line
	}
	line, rest := r.rest[:end], r.rest[end+1:]
	if r.rest[end] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	r.end += len(r.rest) - len(rest)
	r.rest = rest
	return line
}

// continued says whether a line ends in an odd number of backslashes.
func continued(line []byte) bool {
	n := len(line) - len(bytes.TrimRight(line, `\`))
	return n%2 == 1
}

func split(line []byte) (key, value string, err error) {
	end := 0
	for end < len(line) && !bytes.ContainsRune([]byte("=: \t\f"), rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := bytes.TrimLeft(line[end:], " \t\f")
	if len(rest) > 0 && (rest[0] == '=' || rest[0] == ':') {
		rest = bytes.TrimLeft(rest[1:], " \t\f")
	}
	if key, err = unescape(line[:end]); err == nil {
		value, err = unescape(rest)
	}
	if err != nil {
		return string(line[:end]), string(rest), err
	}
	return trim(key), trim(value), nil
}

// trim is java.lang.String.trim, which Apache ZooKeeper applies to keys and values; other blanks of Unicode stay.
func trim(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }

// unescape resolves backslashes.
func unescape(raw []byte) (string, error) {
	units := make([]uint16, 0, len(raw))
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		i += n
		if r != '\\' {
			units = utf16.AppendRune(units, r)
			continue
		}
		if i == len(raw) {
			break
		}
		r, n = utf8.DecodeRune(raw[i:])
		i += n
		switch r {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			if len(raw) < i+4 {
				return "", ErrEscape
			}
			unit, err := strconv.ParseUint(string(raw[i:i+4]), 16, 16)
			if err != nil {
				return "", ErrEscape
			}
			units = append(units, uint16(unit))
			i += 4
		default:
			units = utf16.AppendRune(units, r)
		}
	}
	return string(utf16.Decode(units)), nil
}
