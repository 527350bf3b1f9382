package hostprep

import "fmt"

// Severity ranks a Finding.
type Severity int

// The severities. Only an Error stops a bootstrap.
const (
	Note Severity = iota
	Warning
	Error
)

// String gives "note", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return fmt.Sprintf("severity %d", int(s))
}

// Finding is what a check has to say about a host.
type Finding struct {
	Host     string
	Check    string // one of Checks
	Severity Severity
	Text     string
	Remedy   string // may be empty
	// Fix does what Remedy says, where that is safe to do unasked.
	Fix []Change
}

// String is one line: host, check and text.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Host, f.Check, f.Text) }
