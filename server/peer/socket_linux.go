package peer

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged ends a connection whose other side has not confirmed for this long what was sent. Otherwise votes
// would wait, after a network failure, until TCP tries again, which can take as long as the failure did.
func limitUnacknowledged(sock net.Conn, d time.Duration) {
	conn, ok := sock.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		// Only a remedy: without it the connection works as well.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
