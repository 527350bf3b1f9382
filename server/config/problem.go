package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong, or worth knowing, in a configuration.
type Problem struct {
	// File and Line say where; Line is 0 where something is missing, and where File is no file but the name of another
	// source, such as SERVER_JVMFLAGS.
	File string
	Line int
	// Key and Value are as read; both empty where the problem is not that of one key.
	Key, Value string
	// What is wrong, and what the operator can do about it.
	What, Remedy string
}

// String is "zoo.cfg:3: tickTime=2s: not a whole number; give milliseconds, such as 2000".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	switch {
	case secret(p.Key):
		fmt.Fprintf(&b, "%s=(hidden): ", p.Key)
	case p.Key != "" && (p.Line > 0 || p.Value != ""):
		fmt.Fprintf(&b, "%s=%s: ", p.Key, p.Value)
	case p.Key != "":
		fmt.Fprintf(&b, "%s: ", p.Key)
	}
	b.WriteString(p.What)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// secret says whether values of a key, which may be misspelt, must not be shown.
func secret(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "passw") && !strings.HasSuffix(key, "passwordpath") || strings.HasSuffix(key, "superdigest")
}

// Error is everything for which a configuration was refused, in the order of the file.
type Error struct{ Problems []Problem }

// Error has one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
