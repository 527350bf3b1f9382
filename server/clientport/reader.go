package clientport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const readBytes = 32 << 10

// readBuffers are lent to connections while they have bytes to look at, so that an idle one costs no buffer.
var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

type readBuffer struct{ data [readBytes]byte }

// ErrFrameLength is the reason for closing a connection whose client announced a frame that is too long or negative.
var ErrFrameLength = errors.New("frame length out of range")

// frameReader cuts the bytes of one connection into frames.
type frameReader struct {
	raw      syscall.RawConn
	secure   *tls.Conn // nil for a plain connection
	maxFrame int
	requests *largeRequests

	buffer     *readBuffer
	start, end int // what of the buffer is not consumed yet

	n       int // result of the last read
	readErr error
	read    func(fd uintptr) bool
}

func newFrameReader(tcp *net.TCPConn, maxFrame int, requests *largeRequests) (*frameReader, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &frameReader{raw: raw, maxFrame: maxFrame, requests: requests}
	r.read = r.tryRead
	return r, nil
}

// buffered is what was read and not consumed yet. It is valid until the next fill.
func (r *frameReader) buffered() []byte {
	if r.buffer == nil {
		return nil
	}
	return r.buffer.data[r.start:r.end]
}

// fill waits for more bytes. While it waits for the first byte of something, no buffer is held.
func (r *frameReader) fill() error {
	if r.start == r.end {
		r.release()
	} else if r.start > 0 {
		r.end = copy(r.buffer.data[:], r.buffer.data[r.start:r.end])
		r.start = 0
	}
	if r.secure != nil {
		return r.fillSecure()
	}
	if err := r.raw.Read(r.read); err != nil {
		return err
	}
	if r.readErr != nil {
		return r.readErr
	}
	if r.n == 0 {
		return io.EOF
	}
	r.end += r.n
	return nil
}

// tryRead reads without waiting, and says whether the result is final.
func (r *frameReader) tryRead(fd uintptr) bool {
	if r.buffer == nil {
		r.buffer = readBuffers.Get().(*readBuffer)
	}
	for {
		r.n, r.readErr = unix.Read(int(fd), r.buffer.data[r.end:])
		if r.readErr != unix.EINTR {
			break
		}
	}
	if r.readErr != unix.EAGAIN {
		return true
	}
	if r.end == 0 {
		r.release()
	}
	return false
}

// fillSecure is fill for TLS. A byte alone means nothing in the protocol, so that waiting for the second one with a buffer
// delays nothing.
func (r *frameReader) fillSecure() error {
	if r.buffer == nil {
		var first [1]byte
		if _, err := io.ReadFull(r.secure, first[:]); err != nil {
			return err
		}
		r.buffer = readBuffers.Get().(*readBuffer)
		r.end = copy(r.buffer.data[:], first[:])
	}
	n, err := r.secure.Read(r.buffer.data[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error will come again
	}
	return err
}

func (r *frameReader) release() {
	if r.buffer != nil {
		readBuffers.Put(r.buffer)
	}
	r.buffer, r.start, r.end = nil, 0, 0
}

// next returns the next frame if all of it has been read. A frame that does not fit into the buffer is read by large.
func (r *frameReader) next() (frame []byte, whole, large bool, err error) {
	b := r.buffered()
	if len(b) < 4 {
		return nil, false, false, nil
	}
	length := int(int32(binary.BigEndian.Uint32(b)))
	if length < 0 || length > r.maxFrame {
		return nil, false, false, fmt.Errorf("%w: %d", ErrFrameLength, length)
	}
	if err := r.requests.announced(length); err != nil {
		return nil, false, false, err
	}
	if len(b)-4 >= length {
		r.start += 4 + length
		return b[4 : 4+length : 4+length], true, false, nil
	}
	return nil, false, length > readBytes-4, nil
}

// discard forgets what was read.
func (r *frameReader) discard() { r.start = r.end }

// length is the announced length of the frame at the start of the buffer, which has that much.
func (r *frameReader) length() int { return int(binary.BigEndian.Uint32(r.buffered())) }

// large reads a frame for which next wanted it. The memory grows with what really arrives.
func (r *frameReader) large() ([]byte, error) {
	b := r.buffered()
	length := r.length()
	frame := append(make([]byte, 0, min(length, 2*readBytes)), b[4:]...)
	r.start = r.end
	for {
		if err := r.fill(); err != nil {
			return nil, err
		}
		b := r.buffered()
		b = b[:min(len(b), length-len(frame))]
		r.start += len(b)
		if cap(frame)-len(frame) < len(b) {
			frame = append(make([]byte, 0, min(length, 2*cap(frame))), frame...)
		}
		frame = append(frame, b...)
		if len(frame) == length {
			return frame, nil
		}
	}
}
