package jaas

import "strings"

// token is a word, quoted or not, a single character, or the end.
type token struct {
	kind kind
	text string // of a word
	at   int    // line
}

type kind rune

const (
	end  kind = -1
	word kind = 0
)

// lexer cuts a configuration into tokens as java.io.StreamTokenizer does: words begin with a letter, _, $ or * and may go
// on with digits, dots and hyphens; a slash begins a comment.
type lexer struct {
	text []rune
	line int
}

func (l *lexer) take() rune {
	r := l.text[0]
	l.text = l.text[1:]
	if r == '\n' || r == '\r' && (len(l.text) == 0 || l.text[0] != '\n') {
		l.line++
	}
	return r
}

func (l *lexer) next() (token, error) {
	for len(l.text) > 0 {
		at := l.line
		switch r := l.take(); {
		case r <= ' ':
		case r == '/':
			l.comment()
		case r == '"':
			text, err := l.quoted(at)
			return token{word, text, at}, err
		case beginsWord(r):
			n := 0
			for n < len(l.text) && (beginsWord(l.text[n]) || strings.ContainsRune("0123456789.-", l.text[n])) {
				n++
			}
			text := string(r) + string(l.text[:n])
			l.text = l.text[n:]
			return token{word, text, at}, nil
		default:
			return token{kind: kind(r), at: at}, nil
		}
	}
	return token{kind: end, at: l.line}, nil
}

func beginsWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r == '$' || r == '*' || r >= 0xa0
}

// comment skips what begins with a slash: up to */, or the rest of the line.
func (l *lexer) comment() {
	if len(l.text) > 0 && l.text[0] == '*' {
		l.take()
		for len(l.text) > 0 {
			if l.take() == '*' && len(l.text) > 0 && l.text[0] == '/' {
				l.take()
				return
			}
		}
		return
	}
	for len(l.text) > 0 && l.text[0] != '\n' && l.text[0] != '\r' {
		l.take()
	}
}

var escapes = map[rune]rune{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// quoted reads up to the closing quote.
func (l *lexer) quoted(at int) (string, error) {
	var b strings.Builder
	for len(l.text) > 0 {
		switch r := l.take(); r {
		case '"':
			return b.String(), nil
		case '\n', '\r':
			return "", &Error{at, "a quote is not closed in its line"}
		case '\\':
			if len(l.text) > 0 {
				b.WriteRune(l.escape())
			}
		default:
			b.WriteRune(r)
		}
	}
	return "", &Error{at, "a quote is not closed in its line"}
}

// escape reads what follows a backslash: a letter, up to three octal digits, or a character that stands for itself.
func (l *lexer) escape() rune {
	r := l.take()
	if r < '0' || r > '7' {
		if control, ok := escapes[r]; ok {
			return control
		}
		return r
	}
	digits := 2
	if r > '3' {
		digits = 1
	}
	for r -= '0'; digits > 0 && len(l.text) > 0 && '0' <= l.text[0] && l.text[0] <= '7'; digits-- {
		r = 8*r + l.take() - '0'
	}
	return r
}
