package secure

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/zkctl/zkctl/server/ratelog"
)

const (
	// repeatAfter is when the same reason of the same host is told again.
	repeatAfter = time.Minute
	// maxTold bounds how many reasons are remembered.
	maxTold = 1000
)

// refusals tells of handshakes that failed, a line for each host and reason, so that a peer that tries again and again
// does not fill the log.
type refusals struct {
	log     *slog.Logger
	limited *ratelog.Logger // many hosts could

	mu   sync.Mutex
	told map[string]time.Time
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, limited: ratelog.New(log), told: make(map[string]time.Time)}
}

// note tells of a handshake with a client or, if dialed, with a server.
func (r *refusals) note(remote net.Addr, dialed bool, err error) {
	message := "TLS handshake with a client failed"
	if dialed {
		message = "TLS handshake with a server failed"
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) || !dialed && hungUp(err) {
		r.log.Debug(message, "remote", remote.String(), "error", err)
		return
	}
	host, _, splitErr := net.SplitHostPort(remote.String())
	if splitErr != nil {
		host = remote.String()
	}
	if r.again(host+" "+reason(err), time.Now()) {
		r.limited.Warn(message, "remote", remote.String(), "error", reason(err))
	}
}

// again decides whether to tell of something now.
func (r *refusals) again(what string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, told := r.told[what]; told && now.Sub(at) < repeatAfter {
		return false
	}
	if len(r.told) >= maxTold {
		clear(r.told)
	}
	r.told[what] = now
	return true
}

// hungUp tells whether an error means no more than that a client has hung up, as health checks do.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// reason is an error without what differs from one connection to the next.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
