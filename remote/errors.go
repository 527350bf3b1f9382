package remote

import (
	"errors"
	"fmt"
	"strings"
)

// What kept a command from running to a known end. Test with errors.Is; every
// *ConnError and *BecomeError is one of them.
var (
	// ErrUnreachable: no TCP connection, or no SSH server answered on it.
	ErrUnreachable = errors.New("host unreachable")
	// ErrHostKey: the host's key is unknown or not the one on record.
	ErrHostKey = errors.New("host key not accepted")
	// ErrAuth: the host refused every way to log in.
	ErrAuth = errors.New("login refused")
	// ErrLost: the connection or the session ended before the command did. It may
	// or may not have had its effect.
	ErrLost = errors.New("connection lost")
	// ErrShell: the login shell or account did not start /bin/sh.
	ErrShell = errors.New("no usable shell")
	// ErrBecome: the login user could not become the superuser.
	ErrBecome = errors.New("cannot become root")
)

// ConnError tells that a command never ran, or that the connection was lost
// while it did. It says nothing about what the command would have done.
type ConnError struct {
	Host    string // name in the inventory
	Address string // host:port that was dialled; empty for a local host
	Step    string // what was being done: "connect", "log in as vagrant", a Command's Label
	Kind    error  // one of the Err values above
	Cause   error
	Remedy  string // what the operator can do; may be empty

	final bool // it will not go away by waiting
}

// Error names host, step and cause.
func (e *ConnError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: ", e.Host, e.Step)
	if e.Address != "" {
		fmt.Fprintf(&b, "%s: ", e.Address)
	}
	b.WriteString(e.Kind.Error())
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap gives the kind and the cause.
func (e *ConnError) Unwrap() []error { return join(e.Kind, e.Cause) }

// Hint is the remedy, for the line after the error.
func (e *ConnError) Hint() string { return e.Remedy }

// BecomeError tells that the login user could not become root. The command did
// not run.
type BecomeError struct {
	Host   string
	User   string // login user
	Step   string // the Command's Label
	Reason string // what sudo said, without the prompt
	Remedy string
}

// Error names host, user and sudo's reason.
func (e *BecomeError) Error() string {
	return fmt.Sprintf("%s: %s: %s %v: %s", e.Host, e.Step, e.User, ErrBecome, e.Reason)
}

// Unwrap gives ErrBecome.
func (e *BecomeError) Unwrap() error { return ErrBecome }

// Hint is the remedy, for the line after the error.
func (e *BecomeError) Hint() string { return e.Remedy }

// ExitError tells that a script ran and exited with a status other than 0.
type ExitError struct {
	Host   string
	Step   string // the Command's Label
	Code   int    // 1..255; above 128 commonly a signal's number plus 128
	Stderr string // the last lines of standard error
}

// Error names host, step, status and the end of standard error.
func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %s: exit status %d", e.Host, e.Step, e.Code)
	}
	return fmt.Sprintf("%s: %s: exit status %d: %s", e.Host, e.Step, e.Code, e.Stderr)
}

// Hint is the remedy, where the end of standard error tells one.
func (e *ExitError) Hint() string {
	switch {
	case strings.Contains(e.Stderr, "No space left on device"), strings.Contains(e.Stderr, "Disk quota exceeded"):
		return "free some space on " + e.Host
	case strings.Contains(e.Stderr, "Read-only file system"):
		return "the file system on " + e.Host + " is mounted read-only, commonly after a disk error: see dmesg there"
	}
	return ""
}

// SignalError tells that the shell running a script was killed.
type SignalError struct {
	Host   string
	Step   string // the Command's Label
	Signal string // name without SIG, or a number
	Stderr string // the last lines of standard error
}

// Error names host, step and signal.
func (e *SignalError) Error() string {
	return fmt.Sprintf("%s: %s: killed by signal %s", e.Host, e.Step, e.Signal)
}

// HintOf returns the first remedy that an error, or one that it wraps, carries.
func HintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok {
		if hint := h.Hint(); hint != "" {
			return hint
		}
	}
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		return HintOf(w.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range w.Unwrap() {
			if hint := HintOf(err); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// NeverRan reports whether err means that no command ran to a known end, and
// that nothing can be concluded about the host's state.
func NeverRan(err error) bool {
	var c *ConnError
	return errors.As(err, &c) || errors.Is(err, ErrBecome)
}

func join(errs ...error) []error {
	var out []error
	for _, err := range errs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
