package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// client is the least that can put a server under load: one session, requests encoded once, many in flight. It parses
// replies only as far as the error code. A full client library would cost as much processor time as the server.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Op codes of the protocol (ZooDefs.OpCode).
const (
	opCreate  = 1
	opGetData = 4
	opSetData = 5
	opClose   = -11
)

const sessionTimeout = 30 * time.Second

// dial opens a session.
func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReaderSize(conn, 1<<16)}
	request := binary.BigEndian.AppendUint32(nil, 0)                                        // protocol version
	request = binary.BigEndian.AppendUint64(request, 0)                                     // last zxid seen
	request = binary.BigEndian.AppendUint32(request, uint32(sessionTimeout.Milliseconds())) // timeout
	request = binary.BigEndian.AppendUint64(request, 0)                                     // session id
	request = appendBytes(request, make([]byte, 16))                                        // password
	request = append(request, 0)                                                            // not read-only
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write(appendBytes(nil, request)); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := c.reply(); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return c, nil
}

func (c *client) close() {
	c.conn.Write(appendBytes(nil, header(opClose))) // a courtesy to the server
	c.conn.Close()
}

// reply reads one frame.
func (c *client) reply() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c.in, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(c.in, frame)
	return frame, err
}

// answered reads the reply to one request and returns its error code as an error.
func (c *client) answered() error {
	frame, err := c.reply()
	if err != nil {
		return err
	}
	if len(frame) < 16 {
		return fmt.Errorf("a reply of %d bytes", len(frame))
	}
	if code := int32(binary.BigEndian.Uint32(frame[12:])); code != 0 {
		return fmt.Errorf("the server answered with error %d", code)
	}
	return nil
}

// do sends one request and waits for its reply.
func (c *client) do(frame []byte) error {
	if _, err := c.conn.Write(frame); err != nil {
		return err
	}
	return c.answered()
}

// inStep sends one request after the other until the end and returns how long each took.
func (c *client) inStep(end time.Time, frame func(i int) []byte) ([]time.Duration, error) {
	var took []time.Duration
	for i := 0; time.Now().Before(end); i++ {
		began := time.Now()
		if err := c.do(frame(i)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// pipelined keeps the given number of requests in flight until the end and returns how many were answered.
func (c *client) pipelined(end time.Time, inFlight int, frame func(i int) []byte) (int, error) {
	tickets := make(chan struct{}, inFlight)
	sent := make(chan error, 1)
	go func() {
		out := bufio.NewWriterSize(c.conn, 1<<16)
		var err error
		for i := 0; err == nil && time.Now().Before(end); i++ {
			select {
			case tickets <- struct{}{}:
			default:
				if err = out.Flush(); err != nil {
					break
				}
				tickets <- struct{}{}
			}
			_, err = out.Write(frame(i))
		}
		if err == nil {
			err = out.Flush()
		}
		close(tickets)
		sent <- err
	}()
	n := 0
	for range tickets {
		if err := c.answered(); err != nil {
			c.conn.Close() // ends the sender as well
			for range tickets {
			}
			return n, err
		}
		n++
	}
	return n, <-sent
}

// header begins a request. All requests of a session carry the same xid: the server only repeats it.
func header(op int32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1), uint32(op))
}

func appendBytes(to, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(data))), data...)
}

// create is the frame of a request for a persistent znode that anyone may change.
func create(path string, data []byte) []byte {
	body := appendBytes(appendBytes(header(opCreate), []byte(path)), data)
	body = binary.BigEndian.AppendUint32(body, 1)  // one ACL entry
	body = binary.BigEndian.AppendUint32(body, 31) // all permissions
	body = appendBytes(appendBytes(body, []byte("world")), []byte("anyone"))
	return appendBytes(nil, binary.BigEndian.AppendUint32(body, 0))
}

// set is the frame of a write without version check.
func set(path string, data []byte) []byte {
	body := appendBytes(appendBytes(header(opSetData), []byte(path)), data)
	return appendBytes(nil, binary.BigEndian.AppendUint32(body, 0xffffffff))
}

// get is the frame of a read without watch.
func get(path string) []byte {
	return appendBytes(nil, append(appendBytes(header(opGetData), []byte(path)), 0))
}
