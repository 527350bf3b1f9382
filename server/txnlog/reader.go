package txnlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"sync"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

// Reader reads the records of one file.
type Reader struct {
	file vfs.File
	in   *bufio.Reader
	size int64
	at   int64 // of the next record
	end  int64
	last wire.Zxid
	err  error
}

// OpenReader opens a log. An empty file, or one whose header is not whole, reads as torn.
func OpenReader(fs vfs.FS, name string) (*Reader, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	in := buffers.Get().(*bufio.Reader)
	in.Reset(file)
	return &Reader{file: file, size: size, in: in}, nil
}

var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// Close closes the file. Nothing can be read any more.
func (r *Reader) Close() error {
	if r.in != nil {
		r.in.Reset(nil)
		buffers.Put(r.in)
		r.in, r.err = nil, fs.ErrClosed
	}
	return r.file.Close()
}

// End is the offset behind the last whole record.
func (r *Reader) End() int64 { return r.end }

// Next reads a txn. At the end of the records the error is io.EOF, ErrTorn if something follows that a loss of power may
// have left, ErrCorrupt if something follows that was whole once. Both say where.
func (r *Reader) Next() (txn.Entry, error) {
	if r.err != nil {
		return txn.Entry{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		return txn.Entry{}, err
	}
	r.at += int64(len(e.Bytes)) + frameBytes
	r.end = r.at
	r.last = e.Header.Zxid
	return e, nil
}

func (r *Reader) next() (txn.Entry, error) {
	if r.at == 0 {
		if err := r.header(); err != nil {
			return txn.Entry{}, err
		}
	}
	var head [frameHead]byte
	n, err := io.ReadFull(r.in, head[:])
	switch {
	case n == 0 && err == io.EOF:
		return txn.Entry{}, io.EOF
	case n > 0 && allZero(head[:n]):
		return txn.Entry{}, r.judge("zeros")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return txn.Entry{}, r.judge("the file ends")
	case err != nil:
		return txn.Entry{}, fmt.Errorf("read at offset %d: %w", r.at, err)
	}
	length := int64(int32(binary.BigEndian.Uint32(head[8:])))
	switch {
	case length <= 0 || length > maxTxnBytes:
		return txn.Entry{}, r.judge(fmt.Sprintf("a length of %d", length))
	case r.at+frameBytes+length > r.size:
		return txn.Entry{}, r.judge("the file ends")
	}
	b := make([]byte, length+1)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return txn.Entry{}, fmt.Errorf("read at offset %d: %w", r.at, err)
	}
	end := b[length]
	b = b[:length:length]
	if end != endOfRecord {
		return txn.Entry{}, r.judge("the record has no end")
	}
	if sum := binary.BigEndian.Uint64(head[:]); sum != uint64(adler32.Checksum(b)) {
		return txn.Entry{}, r.judge("the checksum is wrong")
	}
	e, err := txn.Decode(b)
	if err != nil { // as it was written
		return txn.Entry{}, r.corrupt(err.Error())
	}
	return e, nil
}

func (r *Reader) header() error {
	var head [headerBytes]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return r.torn("the file ends within its header")
		}
		return fmt.Errorf("read the header: %w", err)
	}
	if allZero(head[:]) {
		err := r.judge("the header is missing")
		if err == io.EOF {
			err = r.torn("the header is missing")
		}
		return err
	}
	if binary.BigEndian.Uint32(head[:]) != magic {
		return r.corrupt("no log of transactions begins so")
	}
	r.at = headerBytes
	r.end = headerBytes
	return nil
}

func (r *Reader) torn(why string) error { return r.because(why, ErrTorn) }

func (r *Reader) corrupt(why string) error { return r.because(why, ErrCorrupt) }

func (r *Reader) because(why string, kind error) error {
	if r.last == 0 {
		return fmt.Errorf("offset %d, before any transaction: %s: %w", r.at, why, kind)
	}
	return fmt.Errorf("offset %d, behind transaction %v: %s: %w", r.at, r.last, why, kind)
}
