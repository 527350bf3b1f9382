package sasl

import (
	"fmt"
	"slices"
	"strings"
)

// parse reads the directives of a token: name=value or name="value", separated by commas, with blanks around them. Names
// are in lower case. None that counts may come twice.
func parse(token []byte) (map[string]string, error) {
	directives := make(map[string]string)
	for rest := string(token); ; {
		rest = strings.TrimLeft(rest, blanks+",")
		if rest == "" {
			return directives, nil
		}
		name, value, found := strings.Cut(rest, "=")
		name = strings.ToLower(strings.TrimRight(name, blanks))
		if !found || name == "" || strings.ContainsAny(name, blanks+`,"`) {
			return nil, fmt.Errorf("%w: no name=value", ErrToken)
		}
		var err error
		if value, rest, err = cutValue(strings.TrimLeft(value, blanks)); err != nil {
			return nil, err
		}
		if _, twice := directives[name]; twice && slices.Contains(counting, name) {
			return nil, fmt.Errorf("%w: %s comes twice", ErrToken, name)
		}
		directives[name] = value
	}
}

// counting are the directives that matter to one side or the other.
var counting = []string{
	"realm", "nonce", "cnonce", "username", "response", "digest-uri", "qop", "charset", "maxbuf", "authzid", "algorithm", "rspauth",
}

const blanks = " \t\r\n"

// cutValue takes a value off the front of text, up to the comma or the end behind it.
func cutValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ",")
		value = strings.TrimRight(value, blanks)
		if strings.ContainsAny(value, blanks+`"`) {
			return "", "", fmt.Errorf("%w: blank or quote in a value", ErrToken)
		}
		return value, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		case '"':
			rest = strings.TrimLeft(text[i+1:], blanks)
			if rest != "" && rest[0] != ',' {
				return "", "", fmt.Errorf("%w: text behind a quoted value", ErrToken)
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", fmt.Errorf("%w: a quote is not closed", ErrToken)
}

// quote makes text fit between quotes.
func quote(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
}
