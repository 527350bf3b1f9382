// Package shell writes text so that a POSIX shell reads it back unchanged. It is
// the only place where command lines are built from values.
package shell

import "strings"

// plain holds the bytes that no shell treats specially, besides letters and
// digits. The equals sign is not among them: as a first word it would assign.
const plain = "_-./:@%+,"

// Quote returns s as one word of a POSIX shell. It stands unquoted where that is
// safe, else in single quotes. NUL bytes cannot be passed and are dropped.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Join quotes each word and puts blanks between them.
func Join(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

func special(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune(plain, r)
}
