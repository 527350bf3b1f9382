// Package txnlog reads and writes logs of transactions, in the format of Apache ZooKeeper (server.persistence.FileTxnLog):
//
//	file     "ZKLG" | int version 2 | long dbid 0 | record ... | zeros
//	record   long Adler-32 of the txn | int length | txn | 'B'
//
// A file is named log.<zxid of its first record, hex>. It may be longer than its records: space is reserved ahead, so that
// a sync need not write the length of the file. Files are never appended to by a later process; it begins a new one.
package txnlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/server/txn"
	"github.com/zkctl/zkctl/server/vfs"
	"github.com/zkctl/zkctl/wire"
)

const (
	magic       = 0x5A4B4C47 // "ZKLG"
	version     = 2
	headerBytes = 16
	frameBytes  = 8 + 4 + 1
	endOfRecord = 'B'
	prefix      = "log."
	// maxTxnBytes is more than any server writes: a request of the largest size, and the paths of a closeSession.
	maxTxnBytes = 256 << 20
)

var (
	// ErrTorn says that the file ends within a record, as after a loss of power.
	ErrTorn = errors.New("torn record")
	// ErrCorrupt says that a record is whole and wrong.
	ErrCorrupt = errors.New("corrupt record")
)

// Name is the name of the file whose first record has this zxid.
func Name(first wire.Zxid) string { return prefix + strconv.FormatUint(uint64(first), 16) }

// Files lists the logs in a directory by zxid.
func Files(fs vfs.FS, dir string) ([]wire.Zxid, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var list []wire.Zxid
	for _, name := range names {
		hex, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if first, err := strconv.ParseUint(hex, 16, 64); err == nil {
			list = append(list, wire.Zxid(first))
		}
	}
	slices.Sort(list)
	return list, nil
}

// Writer appends to the newest log of a directory. After an error it must not be used any more: what it wrote is in
// doubt.
type Writer struct {
	fs       vfs.FS
	dir      string
	prealloc int64

	file     vfs.File
	buffered *bufio.Writer
	size     int64 // of what was written to file
	reserved int64
}

// NewWriter returns a writer whose first record begins a new file. preallocBytes is how much space is reserved at a time.
func NewWriter(fs vfs.FS, dir string, preallocBytes int64) *Writer {
	return &Writer{fs: fs, dir: dir, prealloc: preallocBytes}
}

// Append writes a txn, which is durable after Sync.
func (w *Writer) Append(zxid wire.Zxid, b []byte) error {
	if w.file == nil {
		if err := w.create(zxid); err != nil {
			return fmt.Errorf("create %s: %w", Name(zxid), err)
		}
	}
	var head [12]byte
	binary.BigEndian.PutUint64(head[:], uint64(adler32.Checksum(b)))
	binary.BigEndian.PutUint32(head[8:], uint32(len(b)))
	w.size += int64(len(b)) + frameBytes
	if w.prealloc > 0 && w.size+4096 > w.reserved {
		w.reserved = (w.size/w.prealloc + 1) * w.prealloc
		if err := w.file.Preallocate(w.reserved); err != nil {
			return fmt.Errorf("reserve space for the log: %w", err)
		}
	}
	if _, err := w.buffered.Write(head[:]); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if _, err := w.buffered.Write(b); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if err := w.buffered.WriteByte(endOfRecord); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

func (w *Writer) create(first wire.Zxid) error {
	file, err := w.fs.Create(path.Join(w.dir, Name(first)))
	if err != nil {
		return err
	}
	w.file, w.size, w.reserved = file, headerBytes, 0
	if w.buffered == nil {
		w.buffered = bufio.NewWriterSize(file, 64<<10)
	} else {
		w.buffered.Reset(file)
	}
	var head [headerBytes]byte
	binary.BigEndian.PutUint32(head[:], magic)
	binary.BigEndian.PutUint32(head[4:], version)
	if _, err := w.buffered.Write(head[:]); err != nil {
		return err
	}
	return w.fs.SyncDir(w.dir)
}

// Sync makes everything appended durable.
func (w *Writer) Sync() error {
	if w.file == nil {
		return nil
	}
	if err := w.buffered.Flush(); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	return nil
}

// Roll ends the file; the next record begins a new one. What was appended is durable.
func (w *Writer) Roll() error {
	if w.file == nil {
		return nil
	}
	err := w.Sync()
	err = errors.Join(err, w.file.Close())
	w.file = nil
	return err
}

// Reader reads the records of one file.
type Reader struct {
	file vfs.File
	in   *bufio.Reader
	at   int64
	end  int64
}

// OpenReader opens a log. An empty file, or one whose header is not whole, reads as torn.
func OpenReader(fs vfs.FS, name string) (*Reader, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file, in: bufio.NewReaderSize(file, 64<<10)}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// End is the offset behind the last whole record.
func (r *Reader) End() int64 { return r.end }

// Next reads a txn. The error is io.EOF at the end of the records, ErrTorn if the last one is not whole, ErrCorrupt if
// one is wrong.
func (r *Reader) Next() (txn.Entry, error) {
	if r.at == 0 {
		if err := r.header(); err != nil {
			return txn.Entry{}, err
		}
	}
	var head [12]byte
	n, err := io.ReadFull(r.in, head[:])
	switch {
	case err == io.EOF || n > 0 && allZero(head[:n]):
		return txn.Entry{}, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return txn.Entry{}, ErrTorn
	case err != nil:
		return txn.Entry{}, err
	}
	length := int32(binary.BigEndian.Uint32(head[8:]))
	switch {
	case length == 0:
		return txn.Entry{}, ErrTorn
	case length < 0 || length > maxTxnBytes:
		return txn.Entry{}, fmt.Errorf("length %d at offset %d: %w", length, r.at, ErrCorrupt)
	}
	b := make([]byte, int(length)+1)
	if _, err := io.ReadFull(r.in, b); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return txn.Entry{}, ErrTorn
		}
		return txn.Entry{}, err
	}
	if b[length] != endOfRecord {
		return txn.Entry{}, ErrTorn
	}
	b = b[:length:length]
	if sum := binary.BigEndian.Uint64(head[:]); sum != uint64(adler32.Checksum(b)) {
		return txn.Entry{}, fmt.Errorf("checksum at offset %d: %w", r.at, ErrCorrupt)
	}
	e, err := txn.Decode(b)
	if err != nil {
		return txn.Entry{}, fmt.Errorf("offset %d: %w: %w", r.at, err, ErrCorrupt)
	}
	r.at += int64(length) + frameBytes
	r.end = r.at
	return e, nil
}

func (r *Reader) header() error {
	var head [headerBytes]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrTorn
		}
		return err
	}
	if allZero(head[:]) {
		return ErrTorn
	}
	if binary.BigEndian.Uint32(head[:]) != magic {
		return fmt.Errorf("no log of transactions: %w", ErrCorrupt)
	}
	r.at = headerBytes
	r.end = headerBytes
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
