package config

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

// property is one key of a properties file and the line on which it begins.
type property struct {
	key, value string
	line       int
	// source and shown are set where the property was not given in a file: where it was, and what was written there. line
	// then counts the words.
	source, shown string
}

// readProperties reads the syntax of java.util.Properties.load: lines that begin with # or ! are comments, a key ends
// at the first =, : or blank that is not escaped, a line that ends in an odd number of backslashes goes on in the next
// one, bytes are ISO-8859-1, \uXXXX is a UTF-16 unit. Keys and values are trimmed, as QuorumPeerConfig does. All
// occurrences are returned in order; of equal keys the last one counts.
//
// A malformed escape is reported with its line and costs that property only.
func readProperties(text []byte) ([]property, []malformed) {
	var properties []property
	var errs []malformed
	lines := lineReader{rest: text}
	for lines.next() {
		key, value, err := splitProperty(lines.text)
		if err != nil {
			errs = append(errs, malformed{property{key: key, value: value, line: lines.first}, err})
			continue
		}
		properties = append(properties, property{key: key, value: value, line: lines.first})
	}
	return properties, errs
}

// malformed is a line that is not a property; key and value are as they stand there.
type malformed struct {
	property
	err error
}

// lineReader yields logical lines: blank lines and comments left out, continued lines joined.
type lineReader struct {
	rest  []byte
	line  int // natural lines consumed so far
	first int // number of the natural line on which text begins
	text  []byte
}

func (r *lineReader) next() bool {
	for len(r.rest) > 0 {
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
		r.rest = nil
		return line
	}
	line, rest := r.rest[:end], r.rest[end+1:]
	if r.rest[end] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	r.rest = rest
	return line
}

// continued says whether a line ends in an odd number of backslashes.
func continued(line []byte) bool {
	n := len(line) - len(bytes.TrimRight(line, `\`))
	return n%2 == 1
}

func splitProperty(line []byte) (key, value string, err error) {
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
	return strings.TrimSpace(key), strings.TrimSpace(value), nil
}

var errUnicodeEscape = errors.New(`\u is not followed by four hexadecimal digits`)

// unescape resolves backslashes and turns ISO-8859-1 into UTF-8.
func unescape(raw []byte) (string, error) {
	units := make([]uint16, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			units = append(units, uint16(c))
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch raw[i] {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			if len(raw) < i+5 {
				return "", errUnicodeEscape
			}
			unit, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
			if err != nil {
				return "", errUnicodeEscape
			}
			units = append(units, uint16(unit))
			i += 4
		default:
			units = append(units, uint16(raw[i]))
		}
	}
	return string(utf16.Decode(units)), nil
}
