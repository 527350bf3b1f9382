package clientport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setBacklog sets how many connections may wait to be accepted: listen(2) on a socket that listens already does that.
func setBacklog(listener net.Listener, n int) error {
	raw, err := listener.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), n) })
	if err != nil {
		return err
	}
	return failed
}
