// Package toolkit is the programs that look at logs and snapshots on disk, with the options, the output and the exit codes
// of those of Apache ZooKeeper: TxnLogToolkit, SnapshotFormatter, SnapshotComparer, SnapshotRecursiveSummary and
// PurgeTxnLog. They read files of either server, and of a damaged one as much as can be read.
//
// Nodes and sessions are listed in the order of their names; Apache ZooKeeper lists them in that of its hash tables. What
// ends there with the trace of an exception ends here with a line on standard error, and with the same exit code.
package toolkit

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// The exit codes (org.apache.zookeeper.server.ExitCode).
const (
	exitOK      = 0
	exitFailed  = 1 // also for an exception that nobody catches
	exitInvalid = 2
)

// IO is what a program reads and writes.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// programs are the programs by the names that zkserver takes.
var programs = map[string]func(args []string, io IO) int{
	"txn-log-toolkit":   txnLogToolkit,
	"snapshot-toolkit":  snapshotToolkit,
	"snapshot-comparer": snapshotComparer,
	"snapshot-summary":  snapshotSummary,
	"purge-txn-log":     purgeTxnLog,
	"four-letter-word":  fourLetterWord,
}

// Find returns the program with a name. Its result is the exit code.
func Find(name string) (program func(args []string, io IO) int, ok bool) {
	program, ok = programs[name]
	return program, ok
}

// exit is an error that ends a program with its own exit code.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func exitWith(code int, format string, args ...any) error {
	return &exit{code, fmt.Errorf(format, args...)}
}

// end prints an error and returns the exit code for it.
func (o IO) end(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var e *exit
	if errors.As(err, &e) {
		code = e.code
	}
	fmt.Fprintln(o.Err, err)
	return code
}

// shortDateTime is java.text.DateFormat's SHORT date with a LONG time, in English.
func shortDateTime(millis int64) string {
	return time.UnixMilli(millis).Format("1/2/06, 3:04:05 PM MST")
}

// mediumDateTime is its MEDIUM date and time.
func mediumDateTime(t time.Time) string { return t.Format("Jan 2, 2006, 3:04:05 PM") }

// longDateTime is java.util.Date.toString.
func longDateTime(millis int64) string {
	return time.UnixMilli(millis).Format("Mon Jan 02 15:04:05 MST 2006")
}
