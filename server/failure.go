package server

// Failure is an error for which Apache ZooKeeper's server has an exit code of its own (org.apache.zookeeper.server.ExitCode).
type Failure struct {
	Code int
	Err  error
}

// The exit codes of failures.
const (
	ExitDirectory   = 3  // a data directory cannot be used
	ExitAdminServer = 4  // its port cannot be opened
	ExitStorage     = 10 // a snapshot or the log cannot be written
	ExitQuorumPort  = 14 // the election port cannot be bound
)

// Error is that of the cause.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Err }
