package remote

import (
	"context"
	"io/fs"
	"time"
)

// Host is a machine on which commands run and to which files are written. All
// methods are safe for concurrent use.
type Host interface {
	// Name is the host's name in the inventory. Errors and logs carry it.
	Name() string

	// Run runs a command to its end. A nil error means exit status 0. The
	// Result holds what was captured in every case, also beside an error,
	// which is an *ExitError, *SignalError, *ConnError or *BecomeError, or
	// wraps the error of ctx.
	Run(ctx context.Context, cmd Command) (Result, error)

	// Upload replaces a file atomically; see File.
	Upload(ctx context.Context, file File) error

	// Close ends the connection. Later calls fail.
	Close() error
}

// DefaultCommandTimeout bounds a Command that sets no Timeout of its own.
const DefaultCommandTimeout = 2 * time.Minute

// StdinBlock is how much a script with Paced reads between two calls of took.
const StdinBlock = 1 << 20

// Command is a script and how to run it.
type Command struct {
	// Label says what the command is for, as a verb phrase ("read facts").
	// Errors and progress show it instead of the script.
	Label string

	// Script is run by /bin/sh, in the home directory, with LC_ALL=C and the
	// sbin directories in PATH. It must not rely on more than POSIX sh.
	Script string

	// Args become $1, $2, … of the script; they need no quoting.
	Args []string

	// Stdin is the script's standard input. Secrets belong here.
	Stdin []byte
	// Paced says that the script calls the function took after each StdinBlock that it has read, and for the rest. It is sent
	// no more than a little ahead: sshd keeps what nobody has read yet, and copies all of it with every packet that comes.
	Paced bool

	// Root asks for the script to be run by the superuser, by sudo where the
	// login user is another one.
	Root bool

	// ReadOnly states that the script changes nothing on the host. Dry runs
	// and the Counter rely on it.
	ReadOnly bool

	// Timeout bounds the command; zero means DefaultCommandTimeout.
	Timeout time.Duration
}

// CaptureLimit is the number of bytes kept of each output stream. Beyond it
// the oldest bytes are dropped and Result.Truncated is set.
const CaptureLimit = 16 << 20

// Result is what a command wrote and how it ended.
type Result struct {
	Stdout    []byte
	Stderr    []byte // empty where the host demands a terminal for sudo: both streams are in Stdout then
	ExitCode  int    // -1 if the command did not exit by itself
	Truncated bool   // more than CaptureLimit bytes were written
}

// File is a file to be put on a host. It is written beside its destination,
// compared by SHA-256, given mode and owner, synced, renamed over the
// destination, and the directory is synced; where SELinux is on, the label is
// restored. A destination that is a symbolic link is followed. The directory
// must exist.
type File struct {
	Path    string // absolute
	Content []byte
	Mode    fs.FileMode // permission bits; zero means 0644
	Owner   string      // user name; empty leaves the writing user
	Group   string      // group name; empty with an Owner means the owner's group
	Root    bool        // write as the superuser

	// InPlace rewrites the existing file instead of renaming a new one over
	// it, so that the inode stays: for bind-mounted files, which cannot be
	// renamed over, and for files whose security label must survive. The new
	// content is complete and verified on the host before the first byte is
	// overwritten, but the rewrite itself is not atomic. Mode and owner of an
	// existing file stay too.
	InPlace bool
}
