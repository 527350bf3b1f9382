package secure

import (
	"crypto/tls"
	"net"
	"syscall"
)

// Conn is a connection of TLS that can be treated as what is below it: closing it never waits, and it has a descriptor.
type Conn struct {
	*tls.Conn
	tcp *net.TCPConn
}

// Close closes the connection at once. Who wants to end it in good order calls CloseWrite before.
func (c *Conn) Close() error { return c.tcp.Close() }

// CloseWrite tells the other side that nothing more will come.
func (c *Conn) CloseWrite() error {
	if err := c.Conn.CloseWrite(); err != nil {
		return err
	}
	return c.tcp.CloseWrite()
}

// SetNoDelay is that of the socket.
func (c *Conn) SetNoDelay(on bool) error { return c.tcp.SetNoDelay(on) }

// SyscallConn is that of the socket.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.tcp.SyscallConn() }

// resumed is a connection of which some bytes have been read already.
type resumed struct {
	*net.TCPConn
	read []byte
}

// Resume gives a connection back the bytes that have been read from it. It takes the slice over.
func Resume(sock *net.TCPConn, read []byte) net.Conn { return &resumed{sock, read} }

// Read returns the bytes that have been read, then what comes.
func (r *resumed) Read(into []byte) (int, error) {
	if len(r.read) == 0 {
		return r.TCPConn.Read(into)
	}
	n := copy(into, r.read)
	r.read = r.read[n:]
	return n, nil
}
