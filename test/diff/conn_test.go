//go:build diff

package diff

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// patience is how long a server may take for anything it is asked.
const patience = 15 * time.Second

// conn is a client connection of which only frames are known.
type conn struct {
	tcp     *net.TCPConn
	in      *bufio.Reader
	session wire.SessionID // 0 before the ConnectResponse
	resumed wire.Zxid      // that the session had seen before this connection
	seen    wire.Zxid      // newest in a reply
	passwd  []byte
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &conn{tcp: c.(*net.TCPConn), in: bufio.NewReader(c)}, nil
}

// framed puts the length in front of a frame.
func framed(b []byte, header wire.RequestHeader, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(body)))
	return append(header.Append(b), body...)
}

// write sends bytes. That the server may have closed the connection shows when its answer is read.
func (c *conn) write(b []byte) { c.tcp.Write(b) }

// read returns the next frame, or nil if the server has closed the connection.
func (c *conn) read() ([]byte, error) {
	c.tcp.SetReadDeadline(time.Now().Add(patience))
	var length [4]byte
	if _, err := io.ReadFull(c.in, length[:]); err != nil {
		return nil, ended(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > 64<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(c.in, frame); err != nil {
		return nil, ended(err)
	}
	return frame, nil
}

// ended makes nothing of the end of the stream and an error of everything else, above all of silence.
func ended(err error) error {
	if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
		return fmt.Errorf("no answer within %v: %w", patience, err)
	}
	return nil
}
