//go:build chaos

package resources

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/zkctl/zkctl/wire"
)

// session is the least that is a client: a connection that can be made anew, and the session that it carries.
type session struct {
	id     wire.SessionID
	passwd []byte
	conn   net.Conn
}

// errExpired says that the servers do not know the session any more.
var errExpired = errors.New("the session has expired")

// connect begins the session at a server, or resumes it there.
func (s *session) connect(addr string, timeout time.Duration) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	if s.passwd == nil {
		s.passwd = make([]byte, 16)
	}
	request := wire.ConnectRequest{TimeOut: int32(timeout.Milliseconds()), SessionID: s.id, Passwd: s.passwd}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	var response wire.ConnectResponse
	if _, err = conn.Write(frame(request.Append(nil))); err == nil {
		var b []byte
		if b, err = receive(conn); err == nil {
			err = response.Unmarshal(b)
		}
	}
	if err == nil && response.SessionID == 0 {
		err = errExpired
	}
	if err != nil {
		conn.Close()
		return err
	}
	conn.SetDeadline(time.Time{})
	s.id, s.passwd, s.conn = response.SessionID, response.Passwd, conn
	return nil
}

// ping tells the server that the session lives.
func (s *session) ping() error {
	_, err := s.conn.Write(frame(request(-2, wire.OpPing, nil)))
	return err
}

// do sends one request and waits for its reply.
func (s *session) do(op wire.OpCode, body []byte) error {
	s.conn.SetDeadline(time.Now().Add(time.Minute))
	defer s.conn.SetDeadline(time.Time{})
	if _, err := s.conn.Write(frame(request(1, op, body))); err != nil {
		return err
	}
	for {
		b, err := receive(s.conn)
		switch {
		case err != nil:
			return err
		case len(b) < 16:
			return fmt.Errorf("a reply of %d bytes", len(b))
		case int32(binary.BigEndian.Uint32(b)) < 0:
			continue // to a ping
		}
		if code := int32(binary.BigEndian.Uint32(b[12:])); code != 0 {
			return fmt.Errorf("the server answered with error %d", code)
		}
		return nil
	}
}

func request(xid int32, op wire.OpCode, body []byte) []byte {
	return append(wire.AppendInt32(wire.AppendInt32(nil, xid), int32(op)), body...)
}

func frame(b []byte) []byte { return append(wire.AppendInt32(nil, int32(len(b))), b...) }

func receive(conn net.Conn) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}
